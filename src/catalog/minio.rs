//! S3 storage by MinIO, by the program of its last image or of one that has the same.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::access::Access;
use super::deployment::{Change, Deployment, File, Question, entrypoint, shell};
use super::policy::Policy;
use super::script::{SUPERVISED, TELL, TOLD};
use super::{Abilities, Credential, Definition, Endpoint, Offer, Rotation, http, s3, tiers};
use crate::domain::service::{ServiceKind, Wish};

mod backup;

const PORT: u16 = 9000;
const STOP_GRACE: Duration = Duration::from_secs(15);
const DATA: &str = "/data";

const ENDPOINTS: &[Endpoint] = &[Endpoint { name: "s3", port: PORT, protocol: "http" }];

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::Minio,
    name: "MinIO",
    description: "Object storage with an S3-compatible API, in its last release: upstream has ended, and mends nothing any more. \
        Object storage is the kind that goes on.",
    image: "quay.io/minio/minio:RELEASE.",
    credential_keys: &["AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "S3_BUCKET"],
    offer: Some(Offer {
        versions: &["2025-09-07T16-13-09Z"],
        default_version: "2025-09-07T16-13-09Z",
        tiers: tiers([256, 500, 1024], [512, 1000, 5 * 1024], [1024, 2000, 20 * 1024]),
        endpoints: ENDPOINTS,
        connections: None,
        data_path: DATA,
        stop_grace: STOP_GRACE,
        access: Access::with_bucket,
        credentials,
        deployment,
        login,
        can: Abilities {
            rotation: Some(Rotation { change: credential_change, is_live: false }),
            backup: Some(backup::BACKUP),
            ..Abilities::NONE
        },
    }),
    is_announced: false,
};

fn credentials(access: &Access, host: &str) -> Vec<Credential> {
    s3::credentials(access, host, PORT)
}

/// Refuses a volume that should hold objects and doesn't. A directory is a bucket.
const ENTRYPOINT: &str = r#"set -eu
if [ ! -e /data/.initialised ]; then
  if [ -e /data/.service/expect-data ]; then
    echo "the data that should be here is gone" >&2
    exit 78
  fi
  mkdir -p "/data/files/$BUCKET"
  : >/data/.initialised
  sync /data/.initialised /data 2>/dev/null || sync
fi
"#;

fn deployment(wish: &Wish, access: &Access, _: &Policy) -> Deployment {
    let (_, bucket) = s3::names(access);
    let client = http::client(PORT, "/minio/health/ready");
    let question = Question { client: &client, answers: &["200 OK"], talk: None };
    let memory = wish.tier.memory_mib;
    Deployment {
        entrypoint: entrypoint(&[ENTRYPOINT, SUPERVISED].concat()),
        command: ["minio", "server", "--address", &format!(":{PORT}"), "/data/files"].map(str::to_owned).to_vec(),
        environment: vec![
            ("BUCKET", bucket.to_owned()),
            ("MINIO_CONFIG_ENV_FILE", format!("{DATA}/.service/keys")),
            // Without these the small size's memory does not do for uploads of 60 MB (measured), nor for the console.
            ("GOMEMLIMIT", format!("{}MiB", memory / 2 - 8)),
            ("MINIO_API_REQUESTS_MAX", (memory / 16).to_string()),
            ("MINIO_BROWSER", "off".to_owned()),
            ("MINIO_UPDATE", "off".to_owned()),
            ("HOME", "/tmp".to_owned()),
        ],
        // The image has no user of its own. Without capabilities root owns its volume, and nothing else.
        user: "root",
        data_path: DATA,
        second_path: None,
        tmpfs: &[("/tmp", "1777")],
        files: vec![File { path: ".service/keys", content: keys(access), salted: true }],
        endpoints: ENDPOINTS,
        tier: wish.tier,
        shared_memory_mib: 1,
        pids: 128,
        stop_signal: "SIGTERM",
        stop_grace: STOP_GRACE,
        health_check: question.check(),
        ready_check: question.repeated("true"),
        ready_hint: None,
    }
}

/// What the server reads when it begins. The key stands in it in clear, for it is what requests are signed with: the server has to
/// make the same signature.
fn keys(access: &Access) -> Zeroizing<Vec<u8>> {
    let (key, _) = s3::names(access);
    let secret = access.passwords().last().unwrap_or_default();
    Zeroizing::new(["MINIO_ROOT_USER=", key, "\nMINIO_ROOT_PASSWORD=", secret, "\n"].concat().into_bytes())
}

/// Puts the keys in place, and has the server begin anew, which takes a moment. Whoever comes with the new secret is let in when
/// this ends.
const CHANGE: &str = r#"
cd /data/.service
put keys
request=$(lines)
tell TERM
n=0
until case $(ask 9000 2>/dev/null) in *' 200 '*) true ;; *) false ;; esac; do
  [ $n -lt 80 ] || { echo 'It does not take the new key.' >&2; exit 1; }
  n=$((n + 1))
  sleep 0.1
done"#;

fn credential_change(_: &Wish, access: &Access) -> Change {
    let secret = access.passwords().last().unwrap_or_default();
    let (keys, request) = (keys(access), s3::request(access, secret, PORT));
    let input = Zeroizing::new([&String::from_utf8_lossy(&keys), ".\n", &request, ".\n"].concat());
    let script = [TOLD, TELL, http::ASK, CHANGE].concat();
    Change { command: shell(&script), user: "root", input: SecretString::from(input.as_str()) }
}

fn login(_: &Wish, access: &Access) -> Change {
    http::login(PORT, &s3::request(access, access.password.expose_secret(), PORT), "root")
}
