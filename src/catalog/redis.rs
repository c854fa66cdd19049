//! Redis, by the official image or one with the same contract.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::access::{Access, digest};
use super::deployment::{Change, Deployment, File, Question, Talk, entrypoint, shell};
use super::policy::Policy;
use super::script::TOLD;
use super::{
    Abilities, Credential, Definition, Endpoint, LiveResize, Offer, Rotation, StorageGuard, credential, tiers,
};
use crate::domain::service::{ServiceKind, TierSpec, Wish};

mod backup;
mod copy;
mod keys;
mod resp;
mod upgrade;

const PORT: u16 = 6379;
const STOP_GRACE: Duration = Duration::from_secs(30);
const DATA: &str = "/data";
const POLICY: &str = "volatile-lru";
/// What the server says to who comes when `maxclients` are connected.
const FULL: &str = "max number of clients reached";

const ENDPOINTS: &[Endpoint] = &[Endpoint { name: "redis", port: PORT, protocol: "redis" }];

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::Redis,
    name: "Redis",
    description: "In-memory data store for caches, queues and sessions, persisted to disk.",
    image: "redis",
    credential_keys: &["REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"],
    offer: Some(Offer {
        versions: &["8", "7", "6"],
        default_version: "7",
        tiers: tiers([128, 500, 512], [256, 1000, 2 * 1024], [512, 2000, 10 * 1024]),
        endpoints: ENDPOINTS,
        connections: Some(max_clients),
        data_path: DATA,
        stop_grace: STOP_GRACE,
        access: Access::with_password,
        credentials,
        deployment,
        login,
        can: Abilities {
            rotation: Some(Rotation { change: credential_change, is_live: true }),
            live_resize: Some(LiveResize { change: size_change, memory_for_data: maxmemory_mib }),
            storage_guard: Some(StorageGuard { forbid: forbid_writes, allow: allow_writes }),
            keys: Some(keys::BROWSER),
            upgrade: Some(upgrade::UPGRADE),
            backup: Some(backup::BACKUP),
            dump: Some(backup::DUMP),
            ..Abilities::NONE
        },
    }),
    is_announced: false,
};

fn credentials(access: &Access, host: &str) -> Vec<Credential> {
    let password = access.password.expose_secret();
    vec![
        // Joined at once, for text that grows leaves copies behind.
        credential("REDIS_URL", ["redis://:", password, "@", host, ":", &PORT.to_string()].concat()),
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

fn deployment(wish: &Wish, access: &Access, _: &Policy) -> Deployment {
    let client = format!("redis-cli -h 127.0.0.1 -p {PORT} <{DATA}/.service/ping");
    // A server that serves so many that it turns others away says so, which one that hangs does not.
    let hear = format!("read -r one; read -r two; case $one$two in *PONG* | *'{FULL}'*) echo yes ;; esac");
    let ask = format!("while read -r line; do printf '%s\\r\\n' \"$line\"; done <{DATA}/.service/ping");
    let talk = Talk { port: PORT, ask: &ask, hear: &hear };
    let question = Question { client: &client, answers: &["PONG", FULL], talk: Some(talk) };
    Deployment {
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
                content: Zeroizing::new(configuration(&wish.tier, access).into_bytes()),
                salted: false,
            },
            // Read from standard input by redis-cli, so that it is in no process list.
            File {
                path: ".service/ping",
                content: Zeroizing::new(
                    ["AUTH healthcheck ", access.probe.expose_secret(), "\nPING\n"].concat().into_bytes(),
                ),
                salted: false,
            },
        ],
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

/// Passwords stand in it as SHA-256 digests (Redis manual, ACL SETUSER, `#<hash>`). The health check has a user of its
/// own that can do nothing but PING. The user without a name is the default user for clients that read one out of
/// `redis://:password@…`, as redis-cli does.
///
/// Maxmemory leaves three eighths of the limit for buffers and for the pages that are copied while the append-only file
/// is rewritten. Only keys with an expiry are evicted: what an application keeps for good is never dropped.
fn configuration(tier: &TierSpec, access: &Access) -> String {
    let (digests, probe) = (digests(access), digest(access.probe.expose_secret()));
    let probe = probe.as_str();
    let maxmemory = maxmemory_mib(tier);
    let maxclients = max_clients(tier);
    format!(
        "bind * -::*\n\
         port {PORT}\n\
         dir {DATA}\n\
         user default on {digests} ~* &* +@all\n\
         user \"\" on {digests} ~* &* +@all\n\
         user healthcheck on #{probe} resetkeys resetchannels -@all +ping\n\
         maxmemory {maxmemory}mb\n\
         maxmemory-policy {POLICY}\n\
         maxclients {maxclients}\n\
         appendonly yes\n\
         appendfsync everysec\n\
         auto-aof-rewrite-percentage 100\n\
         auto-aof-rewrite-min-size 16mb\n\
         save \"\"\n\
         tcp-keepalive 300\n"
    )
}

fn maxmemory_mib(tier: &TierSpec) -> u32 {
    tier.memory_mib * 5 / 8
}

fn max_clients(tier: &TierSpec) -> u32 {
    tier.memory_mib * 4
}

fn digests(access: &Access) -> String {
    access.passwords().map(|password| ["#", &digest(password)].concat()).collect::<Vec<_>>().join(" ")
}

/// Puts a new configuration in place, which is what a restart goes by, and then tells the running server. Whatever redis-cli says, it
/// exits with 0: all $1 answers have to be OK. A rewriting of the append-only file is begun, or was before.
///
/// Redis keeps no connection in reserve: while clients have taken all of them nobody can tell it anything. So it is tried
/// for a while, for clients come and go.
const CHANGE: &str = r#"
cd /data/.service
put redis.conf
commands=$(lines)
tell() { printf '%s\n' "$commands" | timeout -k 1 5 redis-cli -h 127.0.0.1 -p 6379 2>&1; }
n=0
while answers=$(tell) || :; do
  [ "$(printf '%s\n' "$answers" | grep -c -x -e OK -e '.*ppend only file rewriting.*')" != "$1" ] || exit 0
  case $answers in
    *"max number of clients reached"*) ;;
    *) break ;;
  esac
  answers="its clients have taken all connections; it is tried until one is free."
  [ $n -lt 25 ] || break
  n=$((n + 1))
  sleep 0.2
done
printf '%s\n' "$answers" >&2
exit 1"#;

/// Reads two commands, of which the first logs in, and tries them.
const LOGIN: &str = r#"said=$(head -n 2 | timeout -k 1 5 redis-cli -h 127.0.0.1 -p 6379 2>&1) || :
case $said in
  OK*PONG) ;;
  *WRONGPASS* | *NOAUTH* | *NOPERM* | *'without any password configured'*) exit 3 ;;
  *) exit 1 ;;
esac"#;

fn login(_: &Wish, access: &Access) -> Change {
    let input = Zeroizing::new(["AUTH ", access.password.expose_secret(), "\nPING\n"].concat());
    Change { command: shell(LOGIN), user: "redis", input: SecretString::from(input.as_str()) }
}

/// Who is logged in stays so. The password itself is told only to log in with; it works before and after, since the one
/// to be is added first, and the old one goes when the new one has taken its place.
fn credential_change(wish: &Wish, access: &Access) -> Change {
    let digests = digests(access);
    let of = |user: &str| Zeroizing::new(["ACL SETUSER ", user, " resetpass ", &digests].concat());
    change(wish, access, &[&of("default"), &of("\"\"")])
}

/// Nobody loses a connection by it.
fn size_change(wish: &Wish, access: &Access) -> Change {
    let maxclients = format!("CONFIG SET maxclients {}", max_clients(&wish.tier));
    change(wish, access, &[&set_maxmemory(&wish.tier), &maxclients])
}

/// What needs memory is refused, and nothing is evicted for it; what deletes goes on.
fn forbid_writes(wish: &Wish, access: &Access) -> Change {
    let commands = ["CONFIG SET maxmemory-policy noeviction", "CONFIG SET maxmemory 1", "BGREWRITEAOF"];
    change(wish, access, &commands)
}

fn allow_writes(wish: &Wish, access: &Access) -> Change {
    let policy = format!("CONFIG SET maxmemory-policy {POLICY}");
    change(wish, access, &[&set_maxmemory(&wish.tier), &policy])
}

fn set_maxmemory(tier: &TierSpec) -> String {
    format!("CONFIG SET maxmemory {}mb", maxmemory_mib(tier))
}

/// Puts the configuration in place and has `commands` done, which each answer with OK.
fn change(wish: &Wish, access: &Access, commands: &[&str]) -> Change {
    let configuration = configuration(&wish.tier, access);
    let commands = Zeroizing::new(commands.join("\n"));
    let password = access.password.expose_secret();
    let input = Zeroizing::new([&configuration, ".\nAUTH ", password, "\n", &commands, "\n.\n"].concat());
    let answers = 1 + commands.lines().count();
    let mut command = shell(&[TOLD, CHANGE].concat());
    command.extend(["change".to_owned(), answers.to_string()]);
    // The files in the volume are root's, so that the server can't change them. It has no capabilities here either.
    Change { command, user: "root", input: SecretString::from(input.as_str()) }
}

#[cfg(test)]
mod tests {
    use super::super::access::Seed;
    use super::*;
    use crate::domain::service::Power;

    fn wish() -> Wish {
        Wish {
            kind: ServiceKind::Redis,
            version: "7".to_owned(),
            tier: DEFINITION.offer.as_ref().unwrap().tiers[0],
            power: Power::On,
        }
    }

    #[test]
    fn no_file_of_the_container_tells_a_password() {
        let access = Access::with_password(&Seed([9; 40])).with_next(&Seed([8; 40]));
        let deployment = deployment(&wish(), &access, &Policy::default());
        for file in &deployment.files {
            let text = String::from_utf8(file.content.to_vec()).unwrap();
            for password in access.passwords() {
                assert!(!text.contains(password), "{}", file.path);
            }
        }
    }

    #[test]
    fn while_a_password_is_being_changed_a_restart_takes_both_and_the_health_check_stays() {
        let before = Access::with_password(&Seed([9; 40]));
        let pending = before.clone().with_next(&Seed([8; 40]));
        let after = pending.promoted().unwrap();
        let file = |access: &Access, number: usize| {
            deployment(&wish(), access, &Policy::default()).files[number].content.clone()
        };
        let users = |access: &Access| {
            let text = String::from_utf8(file(access, 0).to_vec()).unwrap();
            text.lines().filter(|line| line.starts_with("user default")).map(str::to_owned).collect::<String>()
        };
        let (old, new) = (digest(before.password.expose_secret()), digest(after.password.expose_secret()));
        assert!(users(&pending).contains(old.as_str()) && users(&pending).contains(new.as_str()));
        assert!(!users(&after).contains(old.as_str()) && users(&after).contains(new.as_str()));
        assert_eq!(file(&before, 1), file(&after, 1));
    }
}
