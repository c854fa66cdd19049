//! MySQL, by the programs of the official image or of one that has the same.
//!
//! The sidecar lays the data out by itself and sees to the users at each start, before anybody can connect: so no password is
//! ever in the container, and a start lets in who is locked out.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::access::Access;
use super::deployment::{Change, Deployment, File, Question, entrypoint, shell};
use super::policy::Policy;
use super::script::TOLD;
use super::{Abilities, Credential, Definition, Endpoint, Offer, Rotation, StorageGuard, credential, tiers};
use crate::domain::service::{ServiceKind, TierSpec, Wish};

mod backup;
mod console;
mod upgrade;
mod verifier;

use verifier::verifier;

const PORT: u16 = 3306;
const STOP_GRACE: Duration = Duration::from_secs(60);
const DATA: &str = "/var/lib/mysql";
const SOCKET: &str = "/var/run/mysqld/mysqld.sock";
/// The sidecar's own user, which comes over the unix socket only.
const OWN: &str = "project_services";
/// What the server says to who comes when `max_connections` are connected.
const FULL: &str = "Too many connections";

const ENDPOINTS: &[Endpoint] = &[Endpoint { name: "mysql", port: PORT, protocol: "mysql" }];

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::Mysql,
    name: "MySQL",
    description: "Relational database, widely used by web applications.",
    image: "mysql",
    credential_keys: &["MYSQL_URL", "MYSQLHOST", "MYSQLPORT", "MYSQLUSER", "MYSQLPASSWORD", "MYSQLDATABASE"],
    offer: Some(Offer {
        versions: &["9.7", "8.4"],
        default_version: "9.7",
        tiers: tiers([256, 500, 1024], [512, 1000, 5 * 1024], [1024, 2000, 20 * 1024]),
        endpoints: ENDPOINTS,
        connections: Some(max_connections),
        data_path: DATA,
        stop_grace: STOP_GRACE,
        access: Access::with_database,
        credentials,
        deployment,
        login,
        can: Abilities {
            rotation: Some(Rotation { change: credential_change, is_live: true }),
            storage_guard: Some(StorageGuard { forbid: forbid_writes, allow: allow_writes }),
            sql: Some(console::CONSOLE),
            backup: Some(backup::BACKUP),
            dump: Some(backup::DUMP),
            upgrade: Some(upgrade::UPGRADE),
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
            "MYSQL_URL",
            ["mysql://", user, ":", password, "@", host, ":", &PORT.to_string(), "/", database].concat(),
        ),
        credential("MYSQLHOST", host),
        credential("MYSQLPORT", PORT.to_string()),
        credential("MYSQLUSER", user),
        credential("MYSQLPASSWORD", password),
        credential("MYSQLDATABASE", database),
    ]
}

fn names(access: &Access) -> (&str, &str) {
    (access.username.as_deref().unwrap_or("app"), access.database.as_deref().unwrap_or("app"))
}

/// Makes an interrupted first start begin anew, for half a database would look like a whole one. A volume that should hold data
/// and doesn't is refused, never initialised. Until its users are made, which is before it listens, root is let in by the unix
/// socket only.
const ENTRYPOINT: &str = r#"set -eu
cd /var/lib/mysql
if [ ! -e .initialised ]; then
  if [ -e .service/expect-data ]; then
    echo "the data directory that should be here is gone" >&2
    exit 78
  fi
  rm -rf data
  mysqld --no-defaults --initialize-insecure --datadir="$PWD/data" --innodb-numa-interleave=OFF
  sync
  : >.initialised
  sync .initialised . 2>/dev/null || sync
fi
exec "$@""#;

fn deployment(wish: &Wish, access: &Access, _: &Policy) -> Deployment {
    let client = format!("mysqladmin --defaults-file={DATA}/.service/probe.cnf ping");
    let question = Question { client: &client, answers: &["is alive", FULL], talk: None };
    let mut command = ["mysqld", "--no-defaults"].map(str::to_owned).to_vec();
    command.extend(tuning(&wish.tier).into_iter().map(|(setting, value)| format!("--{setting}={value}")));
    Deployment {
        entrypoint: entrypoint(ENTRYPOINT),
        command,
        environment: Vec::new(),
        user: "mysql",
        data_path: DATA,
        second_path: None,
        tmpfs: &[("/tmp", "1777"), ("/var/run/mysqld", "1777")],
        files: vec![
            File {
                path: ".service/users.sql",
                content: Zeroizing::new(users(access).as_bytes().to_vec()),
                salted: true,
            },
            File {
                path: ".service/probe.cnf",
                content: Zeroizing::new(
                    [
                        "[client]\nhost=127.0.0.1\nport=",
                        &PORT.to_string(),
                        "\nuser=healthcheck\npassword=",
                        access.probe.expose_secret(),
                        "\nconnect-timeout=3\n",
                    ]
                    .concat()
                    .into_bytes(),
                ),
                salted: false,
            },
        ],
        endpoints: ENDPOINTS,
        tier: wish.tier,
        shared_memory_mib: 1,
        // A thread for each connection, and the server's own.
        pids: max_connections(&wish.tier) + 150,
        stop_signal: "SIGTERM",
        stop_grace: STOP_GRACE,
        health_check: question.check(),
        ready_check: question.repeated(&format!("[ -e {DATA}/.initialised ]")),
        ready_hint: Some("ready for connections"),
    }
}

/// What the server does at each start before it listens (MySQL manual, `init_file`). Passwords stand in it as what the server
/// stores of them. Root can't come in any more, the service's user has all of its database and nothing else, and the health check's
/// can do nothing.
fn users(access: &Access) -> Zeroizing<String> {
    let (user, database) = names(access);
    let theirs = verifier(access.passwords().last().unwrap_or_default());
    let (own, probe) = (verifier(access.own_password().expose_secret()), verifier(access.probe.expose_secret()));
    let lines = [
        is(OWN, "localhost", &own),
        format!("GRANT ALL ON *.* TO '{OWN}'@'localhost' WITH GRANT OPTION;\n"),
        is("healthcheck", "127.0.0.1", &probe),
        "ALTER USER 'root'@'localhost' ACCOUNT LOCK;\n".to_owned(),
        format!("CREATE DATABASE IF NOT EXISTS `{database}`;\n"),
        is(user, "%", &theirs),
        grant(access),
    ];
    Zeroizing::new(lines.concat())
}

/// Makes a user, or has it again as it was made.
fn is(name: &str, host: &str, verifier: &str) -> String {
    format!(
        "CREATE USER IF NOT EXISTS '{name}'@'{host}';\n\
         ALTER USER '{name}'@'{host}' IDENTIFIED WITH caching_sha2_password AS 0x{verifier} REQUIRE NONE \
         WITH MAX_USER_CONNECTIONS 0 PASSWORD EXPIRE NEVER ACCOUNT UNLOCK;\n"
    )
}

fn grant(access: &Access) -> String {
    let (user, database) = names(access);
    format!("GRANT ALL ON `{database}`.* TO '{user}'@'%';\n")
}

/// Reads the file of the users, the parameters of a connection, and statements, which are done by the sidecar's user. Where $1 is
/// a user's name, those of its connections are ended that are there then.
const CHANGE: &str = r#"
cd /var/lib/mysql/.service
put users.sql
login=$(lines)
statements=$(lines)
tell() {
  timeout -k 1 20 mysql --defaults-file=/dev/fd/3 -NB "$@" 3<<LOGIN
$login
LOGIN
}
printf '%s\n' "$statements" | tell
[ -n "$1" ] || exit 0
printf 'SELECT id FROM information_schema.processlist WHERE user = "%s";\n' "$1" | tell |
  sed 's/.*/KILL &;/' | tell --force 2>/dev/null || :"#;

/// Who is connected stays so; both passwords are taken until the old one is let go (MySQL manual, "Dual Password Support"). A
/// restart in between takes the new one.
fn credential_change(_: &Wish, access: &Access) -> Change {
    let (user, _) = names(access);
    let who = format!("ALTER USER '{user}'@'%' ");
    let password = access.password.expose_secret();
    let is = [&who, "IDENTIFIED BY '", password, "';\n"].concat();
    let statements = match &access.next {
        Some(next) => [&is, &who, "IDENTIFIED BY '", next.expose_secret(), "' RETAIN CURRENT PASSWORD;\n"].concat(),
        None => [&is, &who, "DISCARD OLD PASSWORD;\n"].concat(),
    };
    change(access, "", &Zeroizing::new(statements))
}

/// What reads and deletes goes on. Who is connected may have more rights than are left, and is ended.
fn forbid_writes(_: &Wish, access: &Access) -> Change {
    let (user, database) = names(access);
    let left = "SELECT, DELETE, DROP, LOCK TABLES, SHOW VIEW, EXECUTE";
    let statements = format!(
        "REVOKE IF EXISTS ALL ON `{database}`.* FROM '{user}'@'%';\nGRANT {left} ON `{database}`.* TO '{user}'@'%';\n"
    );
    change(access, user, &statements)
}

/// Nobody who is connected has the rights before he selects a database again.
fn allow_writes(_: &Wish, access: &Access) -> Change {
    let (user, _) = names(access);
    change(access, user, &grant(access))
}

fn change(access: &Access, ended: &str, statements: &str) -> Change {
    let input = Zeroizing::new([users(access).as_str(), ".\n", &own_login(access), ".\n", statements, ".\n"].concat());
    let mut command = shell(&[TOLD, CHANGE].concat());
    command.extend(["change", ended].map(str::to_owned));
    // The files in the volume are root's, so that the server can't change them. It has no capabilities here either.
    Change { command, user: "root", input: SecretString::from(input.as_str()) }
}

/// How the sidecar's user connects.
fn own_login(access: &Access) -> Zeroizing<String> {
    login_of(OWN, &access.own_password())
}

/// How a user of ours connects.
fn login_of(user: &str, password: &SecretString) -> Zeroizing<String> {
    let socket = ["[mysql]\nconnect-timeout=5\n[client]\nsocket=", SOCKET, "\nuser=", user, "\npassword="].concat();
    Zeroizing::new([&socket, password.expose_secret(), "\n"].concat())
}

/// Reads the parameters of a connection and tries it. That an account or a database is not there can't be told from a wrong
/// password by everybody, and keeps an application out as well.
const LOGIN: &str = r#"
login=$(lines)
said=$(printf '%s\n' "$login" | timeout -k 1 5 mysql --defaults-file=/dev/stdin -NBe 'SELECT 1' 2>&1) && exit 0
case $said in
  *'ERROR 1045'* | *'ERROR 1044'* | *'ERROR 1049'* | *'ERROR 3118'* | *'ERROR 1862'* | *'ERROR 1698'*) exit 3 ;;
  *) exit 1 ;;
esac"#;

fn login(_: &Wish, access: &Access) -> Change {
    let (user, database) = names(access);
    let port = PORT.to_string();
    let input = Zeroizing::new(
        [
            "[client]\nhost=127.0.0.1\nport=",
            &port,
            "\nuser=",
            user,
            "\nconnect-timeout=3\npassword=",
            access.password.expose_secret(),
            "\n[mysql]\ndatabase=",
            database,
            "\n.\n",
        ]
        .concat(),
    );
    Change { command: shell(&[TOLD, LOGIN].concat()), user: "mysql", input: SecretString::from(input.as_str()) }
}

/// Who comes beside them is the sidecar (MySQL manual, `max_connections`).
fn max_connections(tier: &TierSpec) -> u32 {
    tier.memory_mib / 5
}

/// Settings for a server that has its container to itself. Without the performance schema, whose memory is a small size's
/// half, it takes 172 MiB idle and 220 with 40 clients of the smallest size's 256 (measured with 9.7).
fn tuning(tier: &TierSpec) -> Vec<(&'static str, String)> {
    let memory = tier.memory_mib;
    vec![
        ("datadir", format!("{DATA}/data")),
        ("socket", SOCKET.to_owned()),
        ("pid-file", "/var/run/mysqld/mysqld.pid".to_owned()),
        ("tmpdir", format!("{DATA}/data")),
        ("port", PORT.to_string()),
        ("init-file", format!("{DATA}/.service/users.sql")),
        // Names are not looked up for who connects, and no file of the container is read or written by a statement.
        ("skip-name-resolve", "ON".to_owned()),
        ("secure-file-priv", "NULL".to_owned()),
        ("mysqlx", "OFF".to_owned()),
        ("innodb-buffer-pool-size", format!("{}M", memory * 3 / 8 - 64)),
        ("innodb-log-buffer-size", "4M".to_owned()),
        ("innodb-redo-log-capacity", format!("{}M", (tier.storage_mib / 32).clamp(32, 512))),
        ("innodb-temp-data-file-path", format!("ibtmp1:12M:autoextend:max:{}M", tier.storage_mib / 4)),
        ("innodb-numa-interleave", "OFF".to_owned()),
        ("max-connections", max_connections(tier).to_string()),
        ("table-open-cache", (memory * 3 / 4).max(200).to_string()),
        ("table-definition-cache", (memory * 3 / 2).to_string()),
        ("temptable-max-ram", format!("{}M", memory / 16)),
        ("performance-schema", if memory < 1024 { "OFF" } else { "ON" }.to_owned()),
        // There are no replicas, and its own log brings a crashed one back.
        ("skip-log-bin", "ON".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::access::Seed;
    use super::*;
    use crate::domain::service::Power;

    #[test]
    fn no_file_of_the_container_tells_a_password_of_the_service() {
        let access = Access::with_database(&Seed([9; 40])).with_next(&Seed([8; 40]));
        let tier = DEFINITION.offer.as_ref().unwrap().tiers[0];
        let wish = Wish { kind: ServiceKind::Mysql, version: "9.7".to_owned(), tier, power: Power::On };
        let own = access.own_password();
        for file in deployment(&wish, &access, &Policy::default()).files {
            let text = String::from_utf8(file.content.to_vec()).unwrap();
            for password in access.passwords().chain([own.expose_secret()]) {
                assert!(!text.contains(password), "{}", file.path);
            }
        }
    }

    #[test]
    fn a_password_is_let_go_only_once_the_new_one_has_its_place() {
        let before = Access::with_database(&Seed([9; 40]));
        let pending = before.clone().with_next(&Seed([8; 40]));
        let tier = DEFINITION.offer.as_ref().unwrap().tiers[0];
        let wish = Wish { kind: ServiceKind::Mysql, version: "9.7".to_owned(), tier, power: Power::On };
        let told = |access: &Access| credential_change(&wish, access).input.expose_secret().to_owned();
        assert!(told(&pending).contains("RETAIN CURRENT PASSWORD") && !told(&pending).contains("DISCARD"));
        let after = pending.promoted().unwrap();
        assert!(told(&after).contains("DISCARD OLD PASSWORD") && !told(&after).contains("RETAIN"));
    }
}
