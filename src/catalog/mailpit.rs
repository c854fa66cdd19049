//! Mailpit, by the official image or one with the same contract.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use super::access::Access;
use super::deployment::{Change, Deployment, File, Question, entrypoint, shell};
use super::policy::Policy;
use super::script::{SUPERVISED, TELL, TOLD};
use super::{Abilities, Credential, Definition, Endpoint, Offer, Rotation, credential, http, tiers};
use crate::domain::service::{ServiceKind, TierSpec, Wish};

const SMTP: u16 = 1025;
const WEB: u16 = 8025;
const STOP_GRACE: Duration = Duration::from_secs(15);
const DATA: &str = "/data";

const ENDPOINTS: &[Endpoint] =
    &[Endpoint { name: "smtp", port: SMTP, protocol: "smtp" }, Endpoint { name: "web", port: WEB, protocol: "http" }];

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::Mailpit,
    name: "Mailpit",
    description: "Mail catcher: takes what an application sends and shows it in a web inbox. It delivers nothing.",
    image: "axllent/mailpit:v",
    credential_keys: &["SMTP_HOST", "SMTP_PORT", "SMTP_USERNAME", "SMTP_PASSWORD", "MAILPIT_URL"],
    offer: Some(Offer {
        versions: &["1.33"],
        default_version: "1.33",
        tiers: tiers([128, 500, 512], [256, 1000, 2 * 1024], [512, 2000, 10 * 1024]),
        endpoints: ENDPOINTS,
        connections: None,
        data_path: DATA,
        stop_grace: STOP_GRACE,
        access: Access::with_user,
        credentials,
        deployment,
        login,
        can: Abilities { rotation: Some(Rotation { change: credential_change, is_live: false }), ..Abilities::NONE },
    }),
    is_announced: false,
};

fn credentials(access: &Access, host: &str) -> Vec<Credential> {
    let (user, password) = (user(access), access.password.expose_secret());
    vec![
        credential("SMTP_HOST", host),
        credential("SMTP_PORT", SMTP.to_string()),
        credential("SMTP_USERNAME", user),
        credential("SMTP_PASSWORD", password),
        // Joined at once, for text that grows leaves copies behind.
        credential("MAILPIT_URL", ["http://", user, ":", password, "@", host, ":", &WEB.to_string()].concat()),
    ]
}

fn user(access: &Access) -> &str {
    access.username.as_deref().unwrap_or("mailpit")
}

/// Refuses a volume that should hold mails and doesn't.
const ENTRYPOINT: &str = r#"set -eu
if [ -e /data/.service/expect-data ] && [ ! -e /data/mailpit.db ]; then
  echo "the data that should be here is gone" >&2
  exit 78
fi
"#;

fn deployment(wish: &Wish, access: &Access, _: &Policy) -> Deployment {
    let question = Question { client: "/mailpit readyz", answers: &[], talk: None };
    Deployment {
        entrypoint: entrypoint(&[ENTRYPOINT, SUPERVISED].concat()),
        command: vec!["/mailpit".to_owned()],
        environment: vec![
            ("MP_DATABASE", format!("{DATA}/mailpit.db")),
            ("MP_SMTP_BIND_ADDR", format!("0.0.0.0:{SMTP}")),
            ("MP_UI_BIND_ADDR", format!("0.0.0.0:{WEB}")),
            ("MP_SMTP_AUTH_FILE", format!("{DATA}/.service/users")),
            ("MP_UI_AUTH_FILE", format!("{DATA}/.service/users")),
            // There is no TLS on the project's network.
            ("MP_SMTP_AUTH_ALLOW_INSECURE", "true".to_owned()),
            ("MP_MAX_MESSAGES", max_messages(&wish.tier).to_string()),
            ("MP_DISABLE_VERSION_CHECK", "true".to_owned()),
        ],
        // The image has no user of its own. Without capabilities root owns its volume, and nothing else.
        user: "root",
        data_path: DATA,
        second_path: None,
        tmpfs: &[("/tmp", "1777")],
        files: vec![File { path: ".service/users", content: users(access), salted: true }],
        endpoints: ENDPOINTS,
        tier: wish.tier,
        shared_memory_mib: 1,
        pids: 64,
        stop_signal: "SIGTERM",
        stop_grace: STOP_GRACE,
        health_check: question.check(),
        ready_check: question.repeated("true"),
        ready_hint: None,
    }
}

/// The oldest go beyond that (Mailpit manual, "--max").
fn max_messages(tier: &TierSpec) -> u32 {
    tier.storage_mib
}

/// The password stands in it as its digest. It has 200 random bits, so that it needs no salt and no slow digest, which would have to be
/// made anew with each request (Mailpit manual, "Password file"; htpasswd, `{SHA}`).
fn users(access: &Access) -> Zeroizing<Vec<u8>> {
    let password = access.passwords().last().unwrap_or_default();
    let digest = BASE64_STANDARD.encode(Sha1::digest(password));
    Zeroizing::new([user(access), ":{SHA}", &digest, "\n"].concat().into_bytes())
}

/// Puts the file of users in place and has the server begin anew, which takes a moment.
const CHANGE: &str = r#"
cd /data/.service
put users
before=$(cat /tmp/server/pid)
tell TERM
n=0
until [ "$(cat /tmp/server/pid)" != "$before" ] && /mailpit readyz >/dev/null 2>&1; do
  [ $n -lt 80 ] || { echo 'It does not answer.' >&2; exit 1; }
  n=$((n + 1))
  sleep 0.1
done"#;

fn credential_change(_: &Wish, access: &Access) -> Change {
    let users = users(access);
    let input = Zeroizing::new([&String::from_utf8_lossy(&users), ".\n"].concat());
    let script = [TOLD, TELL, CHANGE].concat();
    Change { command: shell(&script), user: "root", input: SecretString::from(input.as_str()) }
}

/// Asks as a browser would.
fn login(_: &Wish, access: &Access) -> Change {
    let pair = Zeroizing::new([user(access), ":", access.password.expose_secret()].concat());
    let pair = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
    let head = Zeroizing::new(["GET /api/v1/info HTTP/1.0\r\nAuthorization: Basic ", &pair, "\r\n"].concat());
    http::login(WEB, &http::request(&head), "root")
}
