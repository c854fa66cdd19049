//! Qdrant, by the official image. Written by its documentation, and announced until somebody has seen it working.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::access::Access;
use super::deployment::{Change, Deployment, File, Question, entrypoint, shell};
use super::policy::Policy;
use super::script::{SUPERVISED, TELL, TOLD};
use super::{Abilities, Credential, Definition, Endpoint, Offer, Rotation, credential, http, tiers};
use crate::domain::service::{ServiceKind, Wish};

const HTTP: u16 = 6333;
const GRPC: u16 = 6334;
const STOP_GRACE: Duration = Duration::from_secs(30);
const DATA: &str = "/qdrant/storage";

const ENDPOINTS: &[Endpoint] =
    &[Endpoint { name: "http", port: HTTP, protocol: "http" }, Endpoint { name: "grpc", port: GRPC, protocol: "grpc" }];

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::Qdrant,
    name: "Qdrant",
    description: "Vector database for similarity search over embeddings.",
    image: "qdrant/qdrant:v",
    credential_keys: &["QDRANT_URL", "QDRANT_GRPC_URL", "QDRANT_API_KEY"],
    offer: Some(Offer {
        versions: &["1.20.0"],
        default_version: "1.20.0",
        tiers: tiers([256, 500, 1024], [512, 1000, 5 * 1024], [1024, 2000, 20 * 1024]),
        endpoints: ENDPOINTS,
        connections: None,
        data_path: DATA,
        stop_grace: STOP_GRACE,
        access: Access::with_password,
        credentials,
        deployment,
        login,
        can: Abilities { rotation: Some(Rotation { change: credential_change, is_live: false }), ..Abilities::NONE },
    }),
    is_announced: true,
};

fn credentials(access: &Access, host: &str) -> Vec<Credential> {
    vec![
        credential("QDRANT_URL", format!("http://{host}:{HTTP}")),
        credential("QDRANT_GRPC_URL", format!("http://{host}:{GRPC}")),
        credential("QDRANT_API_KEY", access.password.expose_secret()),
    ]
}

/// Refuses a volume that should hold collections and doesn't.
const ENTRYPOINT: &str = r#"set -eu
if [ -e /qdrant/storage/.service/expect-data ] && [ ! -e /qdrant/storage/data ]; then
  echo "the data that should be here is gone" >&2
  exit 78
fi
cd /qdrant
"#;

fn deployment(wish: &Wish, access: &Access, _: &Policy) -> Deployment {
    let client = http::client(HTTP, "/readyz");
    let question = Question { client: &client, answers: &["200 OK"], talk: None };
    Deployment {
        entrypoint: entrypoint(&[ENTRYPOINT, SUPERVISED].concat()),
        command: ["./qdrant", "--config-path", CONFIGURATION].map(str::to_owned).to_vec(),
        environment: vec![("QDRANT_INIT_FILE_PATH", "/tmp/initialised".to_owned())],
        // The image runs as root by default. Without capabilities root owns its volume, and nothing else.
        user: "root",
        data_path: DATA,
        second_path: None,
        tmpfs: &[("/tmp", "1777")],
        files: vec![File { path: ".service/config.yaml", content: configuration(access), salted: true }],
        endpoints: ENDPOINTS,
        tier: wish.tier,
        shared_memory_mib: 1,
        pids: 256,
        stop_signal: "SIGTERM",
        stop_grace: STOP_GRACE,
        health_check: question.check(),
        ready_check: question.repeated("true"),
        ready_hint: None,
    }
}

const CONFIGURATION: &str = "/qdrant/storage/.service/config.yaml";

/// While a key is being changed, both are taken (Qdrant documentation, "Security", `alt_api_key`). They stand in it in clear, for
/// there is no other way to tell the server.
fn configuration(access: &Access) -> Zeroizing<Vec<u8>> {
    let mut keys = Zeroizing::new(String::new());
    for (name, key) in ["api_key", "alt_api_key"].iter().zip(access.passwords()) {
        keys.push_str(&["  ", name, ": ", key, "\n"].concat());
    }
    let text = format!(
        "storage:\n  storage_path: {DATA}/data\n  snapshots_path: {DATA}/snapshots\n  temp_path: {DATA}/temp\n\
         telemetry_disabled: true\n\
         service:\n  host: 0.0.0.0\n  http_port: {HTTP}\n  grpc_port: {GRPC}\n{}",
        keys.as_str()
    );
    Zeroizing::new(text.into_bytes())
}

/// Puts the keys in place, and has the server begin anew, which takes a moment. Whoever comes with the newest key is let in when
/// this ends.
const CHANGE: &str = r#"
cd /qdrant/storage/.service
put config.yaml
request=$(lines)
tell TERM
n=0
until case $(ask 6333 2>/dev/null) in *' 200 '*) true ;; *) false ;; esac; do
  [ $n -lt 80 ] || { echo 'It does not take the new key.' >&2; exit 1; }
  n=$((n + 1))
  sleep 0.1
done"#;

fn credential_change(_: &Wish, access: &Access) -> Change {
    let newest = access.passwords().last().unwrap_or_default();
    let configuration = configuration(access);
    let input = Zeroizing::new([&String::from_utf8_lossy(&configuration), ".\n", &request(newest), ".\n"].concat());
    let script = [TOLD, TELL, http::ASK, CHANGE].concat();
    Change { command: shell(&script), user: "root", input: SecretString::from(input.as_str()) }
}

fn login(_: &Wish, access: &Access) -> Change {
    http::login(HTTP, &request(access.password.expose_secret()), "root")
}

fn request(key: &str) -> Zeroizing<String> {
    http::request(&["GET /collections HTTP/1.0\r\nHost: 127.0.0.1\r\napi-key: ", key, "\r\n"].concat())
}
