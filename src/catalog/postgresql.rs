//! PostgreSQL, by the official image or one with the same contract.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::access::Access;
use super::deployment::{Change, Deployment, File, Question, Talk, entrypoint, shell};
use super::policy::Policy;
use super::{Abilities, Credential, Definition, Endpoint, Offer, Rotation, StorageGuard, credential, tiers};
use crate::domain::service::{ServiceKind, TierSpec, Wish};

mod archive;
mod backup;
mod console;
mod copy;
mod repair;
mod roles;
mod upgrade;

const PORT: u16 = 5432;
const STOP_GRACE: Duration = Duration::from_secs(60);
/// What is in the volume. From 18 on the image has a link here, to the directory around it, where it asks for a volume
/// (docker-library/postgres, pull request 1259).
const DATA: &str = "/var/lib/postgresql/data";
const AROUND_DATA: &str = "/var/lib/postgresql";
/// The image runs the scripts in it once the database is initialised, before it listens on TCP.
const INIT_SCRIPTS: &str = "/docker-entrypoint-initdb.d";

const ENDPOINTS: &[Endpoint] = &[Endpoint { name: "postgresql", port: PORT, protocol: "postgresql" }];

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::Postgresql,
    name: "PostgreSQL",
    description: "Relational database with transactions, JSON and full-text search.",
    image: "postgres",
    credential_keys: &["DATABASE_URL", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"],
    offer: Some(Offer {
        versions: &["18", "17", "16", "15"],
        default_version: "17",
        tiers: tiers([256, 500, 1024], [512, 1000, 5 * 1024], [1024, 2000, 20 * 1024]),
        endpoints: ENDPOINTS,
        connections: Some(max_connections),
        data_path: DATA,
        stop_grace: STOP_GRACE,
        access: Access::with_database,
        credentials,
        deployment,
        login: repair::login,
        can: Abilities {
            repair: Some(repair::file),
            rotation: Some(Rotation { change: credential_change, is_live: true }),
            storage_guard: Some(StorageGuard { forbid: forbid_writes, allow: allow_writes }),
            sql: Some(console::CONSOLE),
            upgrade: Some(upgrade::UPGRADE),
            backup: Some(backup::BACKUP),
            dump: Some(backup::DUMP),
            archive: Some(archive::ARCHIVE),
            ..Abilities::NONE
        },
    }),
    is_announced: false,
};

fn credentials(access: &Access, host: &str) -> Vec<Credential> {
    let (user, database) = names(access);
    let password = access.password.expose_secret();
    vec![
        // Joined at once, for text that grows leaves copies behind.
        credential(
            "DATABASE_URL",
            ["postgresql://", user, ":", password, "@", host, ":", &PORT.to_string(), "/", database].concat(),
        ),
        credential("PGHOST", host),
        credential("PGPORT", PORT.to_string()),
        credential("PGUSER", user),
        credential("PGPASSWORD", password),
        credential("PGDATABASE", database),
    ]
}

fn names(access: &Access) -> (&str, &str) {
    (access.username.as_deref().unwrap_or("postgres"), access.database.as_deref().unwrap_or("postgres"))
}

/// Makes an interrupted first start begin anew, for half a database would look like a whole one to the image. A volume
/// that should hold data and doesn't is refused, never initialised. The mark is written by [`roles::MARK`].
const ENTRYPOINT: &str = r#"set -eu
if [ ! -e /var/lib/postgresql/data/.initialised ]; then
  if [ -e /var/lib/postgresql/data/.service/expect-data ]; then
    echo "the data directory that should be here is gone" >&2
    exit 78
  fi
  rm -rf "$PGDATA"
fi
[ ! -e /var/lib/postgresql/data/.service/repair ] || sh /var/lib/postgresql/data/.service/repair
exec docker-entrypoint.sh "$@""#;

/// What comes before that where the volume is around the data. One that has lost the image's link gets it again; where something else
/// is in its place the data would not be found, and another database be made beside it.
const LINK: &str = r#"[ -e /var/lib/postgresql/data ] || ln -s . /var/lib/postgresql/data
if ! [ /var/lib/postgresql/data -ef /var/lib/postgresql ]; then
  echo "the data directory that should be here is gone" >&2
  exit 78
fi
"#;

/// Hears what pg_isready does: that somebody has to log in, or why they can't, unless that is because the server is starting or
/// ending (PostgreSQL manual, "Message Formats" and "PostgreSQL Error Codes", `cannot_connect_now`).
const HEAR: &str = r#"LC_ALL=C; read -r -N 1 kind
case $kind in
R) echo yes ;;
E) while read -r -d '' field; do
    case $field in C57P03) break ;; C?????) echo yes; break ;; esac
  done ;;
esac"#;

/// What a client says first (PostgreSQL manual, "Message Formats", StartupMessage), in words of printf.
fn startup(user: &str, database: &str) -> String {
    const VERSION: u32 = 3 << 16;
    let parameters = ["user", user, "database", database, ""].map(|text| [text, "\0"].concat()).concat();
    let length = u32::try_from(parameters.len() + 8).unwrap_or(u32::MAX);
    let message = [&length.to_be_bytes(), &VERSION.to_be_bytes(), parameters.as_bytes()].concat();
    message.iter().map(|byte| format!("\\{byte:03o}")).collect()
}

fn deployment(wish: &Wish, access: &Access, policy: &Policy) -> Deployment {
    let (user, database) = names(access);
    // Also "too many clients" is an answer to it (PostgreSQL manual, pg_isready).
    let client = format!("pg_isready -q -h 127.0.0.1 -p {PORT} -U {user} -d {database}");
    let ask = format!("printf '{}'", startup(user, database));
    let talk = Talk { port: PORT, ask: &ask, hear: HEAR };
    let question = Question { client: &client, answers: &[], talk: Some(talk) };
    let mut command = vec!["postgres".to_owned()];
    for (setting, value) in tuning(&wish.tier).into_iter().chain(archive::settings()) {
        command.extend(["-c".to_owned(), format!("{setting}={value}")]);
    }
    let (data_path, before) = match wish.version.as_str() {
        "15" | "16" | "17" => (DATA, ""),
        _ => (AROUND_DATA, LINK),
    };
    Deployment {
        entrypoint: entrypoint(&[before, ENTRYPOINT].concat()),
        command,
        environment: vec![
            ("POSTGRES_USER", roles::OWN.to_owned()),
            ("POSTGRES_DB", database.to_owned()),
            ("POSTGRES_PASSWORD_FILE", format!("{DATA}/.service/verifier")),
            ("PGDATA", format!("{DATA}/pgdata")),
        ],
        user: "postgres",
        data_path,
        second_path: Some(INIT_SCRIPTS),
        tmpfs: &[("/var/run/postgresql", "3777"), ("/tmp", "1777")],
        files: vec![
            File {
                path: ".service/verifier",
                content: Zeroizing::new(roles::own_verifier(access).as_bytes().to_vec()),
                salted: true,
            },
            File { path: archive::SCRIPT, content: Zeroizing::new(archive::KEEP.into()), salted: false },
            // Run in the order of their names.
            roles::first_start(access, policy),
            File { path: "mark-initialised.sh", content: Zeroizing::new(roles::MARK.into()), salted: false },
        ],
        endpoints: ENDPOINTS,
        tier: wish.tier,
        shared_memory_mib: wish.tier.memory_mib / 4,
        pids: 200,
        // Fast shutdown: disconnect the clients, write a checkpoint (PostgreSQL manual, "Shutting Down the Server").
        stop_signal: "SIGINT",
        stop_grace: STOP_GRACE,
        health_check: question.check(),
        ready_check: question.repeated(&format!("[ -e {DATA}/.initialised ]")),
        // Of the image's set-up server, as it makes way for the real one.
        ready_hint: Some("database system is shut down"),
    }
}

/// Reads statements up to `\quit` and has them done by whom [`roles::WHO`] finds. Where nobody is let in any more, because clients
/// have taken all connections and those that are reserved for superusers as well, it comes in as a sender of logical
/// replication does: those have places of their own, and take SQL (PostgreSQL manual, `max_wal_senders` and "Streaming
/// Replication Protocol").
const CHANGE: &str = r#"statements=
while IFS= read -r line && [ "$line" != '\quit' ]; do
  statements="$statements$line
"
done
[ "$line" = '\quit' ] || exit 1
say() {
  printf '%s' "$statements" | PGOPTIONS='-c search_path=pg_catalog,pg_temp' \
    psql -Xqw -v VERBOSITY=terse "host=/var/run/postgresql connect_timeout=5 $1" 2>&1
}
code=0
refusal=$(say "user=$role dbname=$home") || code=$?
if [ $code = 2 ]; then
  # It could not connect.
  say "user=$role dbname=$home replication=database" >/dev/null && exit 0
fi
[ $code = 0 ] || printf '%s\n' "$refusal" >&2
exit $code"#;

/// Sets the role's password over the unix socket, where the image trusts its own user. It is a verifier, as at the first
/// start, and kept out of the server's log as well. A role that is no superuser any more can't see to that, but can
/// still change its own password.
///
/// The timeout is for a role that somebody has locked: what is left behind must not take effect much later. A commit
/// that is not flushed could be lost after it was answered. Whatever waits for standbys that are none of ours is not
/// waited for (PostgreSQL manual, "Write Ahead Log", `synchronous_commit`).
fn credential_change(_: &Wish, access: &Access) -> Change {
    let (user, _) = names(access);
    let password = access.passwords().last().unwrap_or_default();
    let verifier = roles::verifier(password);
    change(access, &Zeroizing::new(["ALTER ROLE \"", user, "\" PASSWORD '", &verifier, "';\n"].concat()))
}

/// Whoever writes now is ended, and so is whoever fills temporary files, which are named by their process (PostgreSQL source,
/// `OpenTemporaryFileInTablespace`). A client that sets its session to write can, so that it can delete.
fn forbid_writes(_: &Wish, access: &Access) -> Change {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND (\
        backend_xid IS NOT NULL OR pid IN (\
            SELECT substring(name FROM '^pgsql_tmp([0-9]+)\\.')::integer \
            FROM pg_ls_dir('base/pgsql_tmp', true, false) AS name));\n";
    let forbid = "ALTER SYSTEM SET default_transaction_read_only = on;\nSELECT pg_reload_conf();\n";
    // At once, and again for who has begun before it was read-only.
    change(access, &[end, forbid, end].concat())
}

fn allow_writes(_: &Wish, access: &Access) -> Change {
    change(access, "ALTER SYSTEM RESET default_transaction_read_only;\nSELECT pg_reload_conf();\n")
}

/// Has `statements` done by the sidecar, whatever a user's settings. They are kept out of the server's log.
fn change(access: &Access, statements: &str) -> Change {
    let (user, database) = names(access);
    let settings = "SET log_statement = 'none';\n\
        SET log_min_error_statement = 'panic';\n\
        SET log_min_duration_statement = -1;\n\
        SET log_replication_commands = off;\n\
        \\set ON_ERROR_STOP on\n\
        SET statement_timeout = '10s';\n\
        SET synchronous_commit = 'local';\n\
        SET default_transaction_read_only = off;\n";
    let input = Zeroizing::new([settings, statements, "\\quit\n"].concat());
    let mut command = shell(&["set -eu", roles::WHO, CHANGE].concat());
    command.extend(["change", user, database].map(str::to_owned));
    Change { command, user: "postgres", input: SecretString::from(input.as_str()) }
}

fn max_connections(tier: &TierSpec) -> u32 {
    tier.memory_mib / 8
}

/// What PostgreSQL keeps for superusers, and so for the sidecar, besides what clients may have.
const RESERVED: u32 = 3;

/// Settings for a server that has its container to itself: a quarter of the memory for shared buffers, three quarters
/// assumed to be cache (PostgreSQL manual, "Resource Consumption" and "Planner Cost Constants"). Neither the temporary files of
/// one query nor the log that a replication slot has forgotten takes more than a part of the storage.
fn tuning(tier: &TierSpec) -> Vec<(&'static str, String)> {
    let memory = tier.memory_mib;
    let cores = (tier.cpu_millis / 1000).max(1);
    let max_connections = max_connections(tier);
    vec![
        // Here they stand above what ALTER SYSTEM says, so that nobody locks himself out by it.
        ("port", PORT.to_string()),
        ("listen_addresses", "*".to_owned()),
        ("shared_buffers", format!("{}MB", memory / 4)),
        ("effective_cache_size", format!("{}MB", memory * 3 / 4)),
        ("work_mem", format!("{}kB", (memory * 1024 / 4 / max_connections).max(1024))),
        ("maintenance_work_mem", format!("{}MB", memory / 16)),
        ("max_connections", (max_connections + RESERVED).to_string()),
        ("superuser_reserved_connections", RESERVED.to_string()),
        ("max_wal_size", format!("{}MB", (tier.storage_mib / 8).clamp(128, 2048))),
        ("min_wal_size", "80MB".to_owned()),
        ("max_slot_wal_keep_size", format!("{}MB", tier.storage_mib / 8)),
        ("temp_file_limit", format!("{}MB", tier.storage_mib / 4)),
        ("max_worker_processes", (cores * 2).max(4).to_string()),
        ("max_parallel_workers", cores.to_string()),
        ("max_parallel_workers_per_gather", (cores / 2).to_string()),
        ("autovacuum_max_workers", (cores + 1).min(3).to_string()),
        ("random_page_cost", "1.1".to_owned()),
        ("huge_pages", "off".to_owned()),
        ("jit", "off".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn heard(said: &[u8]) -> String {
        let mut bash = Command::new("bash");
        let bash = bash.args(["-c", HEAR]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut bash = bash.spawn().unwrap();
        bash.stdin.take().unwrap().write_all(said).unwrap();
        String::from_utf8(bash.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn whoever_may_log_in_or_not_was_answered_unless_the_server_is_starting() {
        let refusal = |code: &str| [b"E\0\0\0\x50SFATAL\0VFATAL\0C", code.as_bytes(), b"\0Mso it is\0\0"].concat();
        assert_eq!(heard(b"R\0\0\0\x08\0\0\0\0S\0"), "yes\n");
        assert_eq!(heard(&refusal("53300")), "yes\n", "too many are there");
        assert_eq!(heard(&refusal("57P03")), "", "it is starting");
        assert_eq!(heard(b"E\0\0\0\x50SFATAL\0"), "", "it was broken off");
        assert_eq!(heard(b""), "");
    }

    #[test]
    fn what_is_said_first_tells_its_own_length() {
        let said =
            Command::new("bash").args(["-c", &format!("printf '{}'", startup("someone", "db"))]).output().unwrap();
        assert_eq!(said.stdout, b"\0\0\0\x22\0\x03\0\0user\0someone\0database\0db\0\0");
    }
}
