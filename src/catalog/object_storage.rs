//! S3 storage by SeaweedFS: the official image, or one with the same program.
//!
//! A server of SeaweedFS is several, which trust each other and whoever else comes. They listen inside the container only; what is
//! open is the S3 endpoint, which asks for keys, and a port of its own for other servers, which asks for a certificate that nobody
//! has.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::access::Access;
use super::deployment::{Change, Deployment, File, Question, entrypoint, shell};
use super::policy::Policy;
use super::script::{SUPERVISED, TELL, TOLD};
use super::{Abilities, Credential, Definition, Endpoint, Offer, Rotation, http, s3, tiers};
use crate::domain::service::{ServiceKind, TierSpec, Wish};

mod backup;
mod guard;

const PORT: u16 = 8333;
/// It writes what it holds in memory to its volume.
const STOP_GRACE: Duration = Duration::from_secs(30);
const DATA: &str = "/data";
/// The user and the group of the image.
const USER: &str = "1000:1000";

const ENDPOINTS: &[Endpoint] = &[Endpoint { name: "s3", port: PORT, protocol: "http" }];

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::ObjectStorage,
    name: "Object storage",
    description: "Storage for files with an S3-compatible API, run by SeaweedFS.",
    image: "chrislusf/seaweedfs",
    credential_keys: &["AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "S3_BUCKET"],
    offer: Some(Offer {
        versions: &["4.48"],
        default_version: "4.48",
        // boto3 uploads ten parts of 8 MiB at once, for which 256 MiB do not do (measured).
        tiers: tiers([512, 500, 1024], [1024, 1000, 5 * 1024], [2048, 2000, 20 * 1024]),
        endpoints: ENDPOINTS,
        connections: None,
        data_path: DATA,
        stop_grace: STOP_GRACE,
        access: Access::with_bucket,
        credentials,
        deployment,
        login,
        can: Abilities {
            rotation: Some(Rotation { change: credential_change, is_live: true }),
            storage_guard: Some(guard::GUARD),
            backup: Some(backup::BACKUP),
            ..Abilities::NONE
        },
    }),
    is_announced: false,
};

fn credentials(access: &Access, host: &str) -> Vec<Credential> {
    s3::credentials(access, host, PORT)
}

/// Refuses a volume that should hold objects and doesn't. The bucket is made once the servers answer each other.
const ENTRYPOINT: &str = r#"set -eu
cd /data/.service
# Without them everybody could change who has keys.
[ -s security.toml ] && [ -s s3.key ]
if [ ! -e /data/.initialised ]; then
  if [ -e expect-data ]; then
    echo "the data that should be here is gone" >&2
    exit 78
  fi
  while sleep 0.2; do
    echo "s3.bucket.create -name $BUCKET -owner app" |
      timeout 10 weed shell -master=127.0.0.1:9333 -filer=127.0.0.1:8888 >/tmp/bucket 2>&1 || continue
    grep -q -e 'created bucket' -e 'already exist' /tmp/bucket || continue
    sync
    : >/data/.initialised
    sync /data/.initialised /data 2>/dev/null || sync
    break
  done &
fi
"#;

fn deployment(wish: &Wish, access: &Access, _: &Policy) -> Deployment {
    let (_, bucket) = s3::names(access);
    // The S3 endpoint answers before the servers behind it have found each other: the last of them knows of the one that has
    // the data. Whatever is not there ends the client.
    let behind = "http://127.0.0.1:8888/healthz http://127.0.0.1:9333/dir/status";
    let client = format!("wget -q -O - http://127.0.0.1:{PORT}/healthz {behind}");
    let question = Question { client: &client, answers: &["127.0.0.1:8080"], talk: None };
    Deployment {
        entrypoint: entrypoint(&[ENTRYPOINT, SUPERVISED].concat()),
        command: command(&wish.tier),
        environment: vec![
            ("BUCKET", bucket.to_owned()),
            // Without it the small size's memory does not do for uploads of 60 MB (measured).
            ("GOMEMLIMIT", format!("{}MiB", wish.tier.memory_mib * 3 / 5)),
        ],
        user: USER,
        data_path: DATA,
        second_path: None,
        tmpfs: &[("/tmp", "1777")],
        files: files(access),
        endpoints: ENDPOINTS,
        tier: wish.tier,
        shared_memory_mib: 1,
        pids: 128,
        stop_signal: "SIGTERM",
        stop_grace: STOP_GRACE,
        health_check: question.check(),
        ready_check: question.repeated("[ -e /data/.initialised ]"),
        ready_hint: None,
    }
}

/// The servers but that of S3, which they have no need of.
fn inner() -> impl Iterator<Item = &'static str> {
    const WORDS: [&str; 11] = [
        "weed",
        "-logtostderr=true",
        "server",
        "-dir=/data",
        "-filer",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        // Nobody else wants to be it.
        "-master.electionTimeout=1s",
        "-master.telemetry=false",
        "-master.volumePreallocate=false",
        "-volume.max=0",
    ];
    WORDS.into_iter()
}

fn command(tier: &TierSpec) -> Vec<String> {
    let mut words = ["weed", "-logtostderr=true", "server", "-dir=/data", "-filer", "-s3"].map(str::to_owned).to_vec();
    let options = [
        "ip=127.0.0.1",
        "ip.bind=127.0.0.1",
        "s3.ip.bind=0.0.0.0",
        "s3.config=/data/.service/s3.json",
        "s3.iam=false",
        "s3.port.iceberg=0",
        "s3.port.lance=0",
        // Nobody else wants to be it.
        "master.electionTimeout=1s",
        "master.telemetry=false",
        "master.volumePreallocate=false",
        "volume.max=0",
        "volume.preStopSeconds=1",
    ];
    words.extend(options.map(|option| format!("-{option}")));
    words.push(format!("-master.volumeSizeLimitMB={}", (tier.storage_mib / 16).clamp(64, 1024)));
    words
}

/// The key stands in it in clear, for it is what requests are signed with (AWS documentation, "Signature Version 4"): the
/// server has to make the same signature.
fn files(access: &Access) -> Vec<File> {
    let mut files = vec![File {
        path: ".service/s3.json",
        content: Zeroizing::new(configuration(access).as_bytes().to_vec()),
        salted: true,
    }];
    // A server without them does not start.
    let texts = certificates().unwrap_or_default();
    let paths = [".service/security.toml", ".service/ca.pem", ".service/s3.pem", ".service/s3.key"];
    files.extend(paths.into_iter().zip(texts).map(|(path, text)| File {
        path,
        content: Zeroizing::new(text.into_bytes()),
        salted: true,
    }));
    files
}

/// What the port for other servers asks for and shows. The authority's key is gone when this returns.
fn certificates() -> Result<[String; 4], rcgen::Error> {
    const CONFIGURATION: &str = "[grpc]\nca = \"/data/.service/ca.pem\"\n\
        [grpc.s3]\ncert = \"/data/.service/s3.pem\"\nkey = \"/data/.service/s3.key\"\n";
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["s3".to_owned()])?.signed_by(&key, &authority)?;
    Ok([CONFIGURATION.to_owned(), authority.pem(), certificate.pem(), key.serialize_pem()])
}

/// Its user can do anything with its bucket, and nothing else.
fn configuration(access: &Access) -> Zeroizing<String> {
    let (key, bucket) = s3::names(access);
    let secret = access.passwords().last().unwrap_or_default();
    let actions =
        ["Admin", "Read", "Write", "List", "Tagging"].map(|action| format!("\"{action}:{bucket}\"")).join(",");
    Zeroizing::new(
        [
            r#"{"identities":[{"name":"app","credentials":[{"accessKey":""#,
            key,
            r#"","secretKey":""#,
            secret,
            r#""}],"actions":["#,
            &actions,
            "]}]}\n",
        ]
        .concat(),
    )
}

/// Puts the file of keys in place, and has the server read it. Whoever comes with the new secret is let in when this ends.
const CHANGE: &str = r#"
cd /data/.service
put s3.json
request=$(lines)
tell HUP
n=0
until case $(ask 8333) in *' 200 '*) true ;; *) false ;; esac; do
  [ $n -lt 50 ] || { echo 'It does not take the new key.' >&2; exit 1; }
  n=$((n + 1))
  sleep 0.1
done"#;

/// Who is connected stays so; one key has one secret, so that of before ends at once.
fn credential_change(_: &Wish, access: &Access) -> Change {
    let secret = access.passwords().last().unwrap_or_default();
    let request = s3::request(access, secret, PORT);
    let input = Zeroizing::new([configuration(access).as_str(), ".\n", &request, ".\n"].concat());
    let script = [TOLD, TELL, http::ASK, CHANGE].concat();
    // The files in the volume are root's, so that the server can't change them. It has no capabilities here either.
    Change { command: shell(&script), user: "root", input: SecretString::from(input.as_str()) }
}

fn login(_: &Wish, access: &Access) -> Change {
    let request = s3::request(access, access.password.expose_secret(), PORT);
    http::login(PORT, &request, USER)
}
