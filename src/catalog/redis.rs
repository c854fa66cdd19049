//! Redis, by the official image or one with the same contract.

use std::time::Duration;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::access::Access;
use super::deployment::{Deployment, File, entrypoint, shell, until};
use super::{Credential, Definition, Offer, credential, tiers};
use crate::domain::service::{ServiceKind, ServiceSpec, TierSpec};

const PORT: u16 = 6379;
const STOP_GRACE: Duration = Duration::from_secs(30);
const DATA: &str = "/data";

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::Redis,
    name: "Redis",
    description: "In-memory data store for caches, queues and sessions, persisted to disk.",
    image: "redis",
    credential_keys: &["REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"],
    offer: Some(Offer {
        versions: &["7", "6"],
        tiers: tiers([128, 500, 512], [256, 1000, 2 * 1024], [512, 2000, 10 * 1024]),
        port: PORT,
        data_path: DATA,
        stop_grace: STOP_GRACE,
        access: Access::with_password,
        credentials,
        deployment,
    }),
};

fn credentials(access: &Access, host: &str) -> Vec<Credential> {
    let password = access.password.expose_secret();
    vec![
        credential("REDIS_URL", format!("redis://:{password}@{host}:{PORT}")),
        credential("REDIS_HOST", host),
        credential("REDIS_PORT", PORT.to_string()),
        credential("REDIS_PASSWORD", password),
    ]
}

/// Refuses a volume that should hold data and doesn't. Redis 7 keeps a directory, Redis 6 a file.
const ENTRYPOINT: &str = r#"set -eu
if [ -e /data/.service/expect-data ] && [ ! -e /data/appendonlydir ] && [ ! -e /data/appendonly.aof ]; then
  echo "the data that should be here is gone" >&2
  exit 78
fi
exec docker-entrypoint.sh "$@""#;

fn deployment(spec: &ServiceSpec, access: &Access) -> Deployment {
    let password = access.password.expose_secret();
    let probe_password = sha256_hex(format!("health check of {password}").as_bytes());
    let answers = format!("redis-cli -h 127.0.0.1 -p {PORT} <{DATA}/.service/ping 2>/dev/null | grep -q PONG");
    Deployment {
        image: DEFINITION.image(&spec.version),
        entrypoint: entrypoint(ENTRYPOINT),
        command: vec!["redis-server".to_owned(), format!("{DATA}/.service/redis.conf")],
        environment: Vec::new(),
        user: "redis",
        data_path: DATA,
        second_path: None,
        tmpfs: &[("/tmp", "1777")],
        files: vec![
            File {
                path: ".service/redis.conf",
                content: Zeroizing::new(configuration(&spec.tier, password, &probe_password).into_bytes()),
            },
            // Read from standard input by redis-cli, so that it is in no process list.
            File {
                path: ".service/ping",
                content: Zeroizing::new(format!("AUTH healthcheck {probe_password}\nPING\n").into_bytes()),
            },
        ],
        port: PORT,
        tier: spec.tier,
        shared_memory_mib: 1,
        pids: 64,
        stop_signal: "SIGTERM",
        stop_grace: STOP_GRACE,
        health_check: shell(&answers),
        ready_check: until("true", &answers),
        ready_hint: None,
    }
}

/// Passwords stand in it as SHA-256 digests (Redis manual, ACL SETUSER, `#<hash>`). The health check has a user of its
/// own that can do nothing but PING. The user without a name is the default user for clients that read one out of
/// `redis://:password@…`, as redis-cli does.
///
/// Maxmemory leaves three eighths of the limit for buffers and for the pages that are copied while the append-only file
/// is rewritten. Only keys with an expiry are evicted: what an application keeps for good is never dropped.
fn configuration(tier: &TierSpec, password: &str, probe_password: &str) -> String {
    let (digest, probe_digest) = (sha256_hex(password.as_bytes()), sha256_hex(probe_password.as_bytes()));
    let maxmemory = tier.memory_mib * 5 / 8;
    let maxclients = tier.memory_mib * 4;
    format!(
        "bind * -::*\n\
         port {PORT}\n\
         dir {DATA}\n\
         user default on #{digest} ~* &* +@all\n\
         user \"\" on #{digest} ~* &* +@all\n\
         user healthcheck on #{probe_digest} resetkeys resetchannels -@all +ping\n\
         maxmemory {maxmemory}mb\n\
         maxmemory-policy volatile-lru\n\
         maxclients {maxclients}\n\
         appendonly yes\n\
         appendfsync everysec\n\
         auto-aof-rewrite-percentage 100\n\
         auto-aof-rewrite-min-size 16mb\n\
         save \"\"\n\
         tcp-keepalive 300\n"
    )
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_of_the_container_tells_the_password() {
        let access = Access::with_password(&super::super::access::Seed([9; 40]));
        let spec = ServiceSpec {
            kind: ServiceKind::Redis,
            version: "7".to_owned(),
            tier: DEFINITION.offer.as_ref().unwrap().tiers[0],
            hostname: "redis".to_owned(),
            published: None,
        };
        let deployment = deployment(&spec, &access);
        for file in &deployment.files {
            let text = String::from_utf8(file.content.to_vec()).unwrap();
            assert!(!text.contains(access.password.expose_secret()), "{}", file.path);
        }
    }
}
