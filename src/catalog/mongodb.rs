//! MongoDB, by the programs of the official image or of one that has the same.
//!
//! The sidecar makes the users itself: each time that a container is made, a server that nobody else reaches is told them
//! before the one that serves begins. The server's own shell takes half a second of CPU time and 110 MiB of memory for whatever
//! it is told, so what is asked again and again does without.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::access::Access;
use super::deployment::{Change, Deployment, File, Question, Talk, entrypoint, shell};
use super::policy::Policy;
use super::script::TOLD;
use super::{Abilities, Credential, Definition, Endpoint, Offer, Rotation, credential, tiers};
use crate::domain::service::{ServiceKind, TierSpec, Wish};

mod backup;
mod guard;
mod upgrade;

const PORT: u16 = 27017;
const STOP_GRACE: Duration = Duration::from_secs(60);
const DATA: &str = "/data/db";
/// The sidecar's own user, who may do everything.
const OWN: &str = "project_services";

const ENDPOINTS: &[Endpoint] = &[Endpoint { name: "mongodb", port: PORT, protocol: "mongodb" }];

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::Mongodb,
    name: "MongoDB",
    description: "Document database for JSON-like records.",
    image: "mongo",
    credential_keys: &["MONGO_URL", "MONGOHOST", "MONGOPORT", "MONGOUSER", "MONGOPASSWORD", "MONGODATABASE"],
    offer: Some(Offer {
        versions: &["8.0", "7.0"],
        default_version: "8.0",
        // The journal's files have 100 MB each, and are made beforehand (MongoDB manual, "Journaling").
        tiers: tiers([640, 500, 2 * 1024], [1024, 1000, 10 * 1024], [2048, 2000, 40 * 1024]),
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
            storage_guard: Some(guard::GUARD),
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
        credential("MONGO_URL", url(user, password, host, database).as_str()),
        credential("MONGOHOST", host),
        credential("MONGOPORT", PORT.to_string()),
        credential("MONGOUSER", user),
        credential("MONGOPASSWORD", password),
        credential("MONGODATABASE", database),
    ]
}

fn names(access: &Access) -> (&str, &str) {
    (access.username.as_deref().unwrap_or("app"), access.database.as_deref().unwrap_or("app"))
}

/// How a user connects that stands in `database`. It says so twice, for a client may be pointed to another database.
fn url(user: &str, password: &str, host: &str, database: &str) -> Zeroizing<String> {
    // Joined at once, for text that grows leaves copies behind.
    let parts =
        ["mongodb://", user, ":", password, "@", host, ":", &PORT.to_string(), "/", database, "?authSource=", database];
    Zeroizing::new(parts.concat())
}

/// For a script: `in_mongosh` runs the script $1 by the shell of that name, for at most $2 seconds unless that is empty, with a
/// module $3 beside it. The shell has nothing but that, and leaves nothing behind. Where memory is short, it is what has to go, and
/// not the server.
const MONGOSH: &str = r#"
in_mongosh() (
  echo 1000 >/proc/self/oom_score_adj 2>/dev/null || :
  HOME=$(mktemp -d)
  trap 'rm -rf "$HOME"' EXIT
  export HOME
  mkdir -p "$HOME/.mongodb/mongosh"
  echo '{"enableTelemetry":false,"disableLogging":true}' >"$HOME/.mongodb/mongosh/config"
  printf '%s\n' "${3:-}" >"$HOME/module.js"
  ${2:+timeout -k 1 "$2"} mongosh --nodb --quiet --norc --file /dev/fd/3 3<<SCRIPT
$1
SCRIPT
)
"#;

/// For a script: `begin` runs a server that listens at the container's own address only and asks nobody who he is, and `end` has it
/// end as one does that is stopped. In between it ends with the script.
const ALONE: &str = r#"
begin() {
  mongod --dbpath=/data/db/data --bind_ip=127.0.0.1 --port=27018 --nounixsocket --quiet --wiredTigerCacheSizeGB=0.25 \
    --setParameter=diagnosticDataCollectionEnabled=false --setParameter=maxIndexBuildMemoryUsageMegabytes=50 &
  server=$!
  trap 'kill $server 2>/dev/null && wait $server || :' EXIT
  trap 'exit 143' TERM INT
  until bash -c ': </dev/tcp/127.0.0.1/27018' 2>/dev/null; do
    kill -0 $server 2>/dev/null || { echo "the server that is to be prepared has ended" >&2; return 1; }
    sleep 0.1
  done
}
end() {
  kill $server
  wait $server
  trap - EXIT TERM INT
  sync
}
"#;

/// Makes an interrupted first start begin anew, for half a database would look like a whole one. A volume that should hold data
/// and doesn't is refused, never initialised. The users are told whenever their file is another one than the last time, which it
/// is in each container.
const ENTRYPOINT: &str = r#"set -eu
cd /data/db
users=$(stat -c '%i %z' .service/users.js)
if [ ! -e .initialised ]; then
  if [ -e .service/expect-data ]; then
    echo "the data directory that should be here is gone" >&2
    exit 78
  fi
  rm -rf data
  mkdir data
fi
if [ "$(cat .initialised 2>/dev/null)" != "$users" ]; then
  begin
  in_mongosh "const server = new Mongo('mongodb://127.0.0.1:27018/');
$(cat .service/users.js)" 60
  end
  echo "$users" >.initialised.new
  sync .initialised.new 2>/dev/null || sync
  mv -f .initialised.new .initialised
  sync . 2>/dev/null || sync
fi
exec "$@""#;

/// `hello`, which a server answers who has asked nobody who he is (MongoDB manual, "Wire Protocol", OP_MSG): the message's length,
/// its number, 0 and its kind, 2013; no flags; one document, `{hello: 1, $db: "admin"}`.
const HELLO: &str =
    r#"printf "\64\0\0\0\1\0\0\0\0\0\0\0\335\7\0\0\0\0\0\0\0\37\0\0\0\20hello\0\1\0\0\0\2\44db\0\6\0\0\0admin\0\0""#;
/// The names of what is said in return are between zero bytes.
const HEARD: &str =
    r#"while IFS= read -r -d "" said; do case $said in *isWritablePrimary*) echo yes; break ;; esac; done"#;

fn deployment(wish: &Wish, access: &Access, _: &Policy) -> Deployment {
    let client = format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{PORT} && {HELLO} >&3 && {HEARD} <&3'");
    let talk = Talk { port: PORT, ask: HELLO, hear: HEARD };
    let question = Question { client: &client, answers: &["yes"], talk: Some(talk) };
    Deployment {
        entrypoint: entrypoint(&[MONGOSH, ALONE, ENTRYPOINT].concat()),
        command: server(&wish.tier),
        environment: Vec::new(),
        user: "mongodb",
        data_path: DATA,
        second_path: None,
        // The image would have a volume of its own for the second one.
        tmpfs: &[("/tmp", "1777"), ("/data/configdb", "1777")],
        files: vec![
            File {
                path: ".service/users.js",
                content: Zeroizing::new(users(access).as_bytes().to_vec()),
                salted: true,
            },
            // Who comes from inside finds a place however many clients there are (MongoDB source,
            // `net.maxIncomingConnectionsOverride`, which only a file can say).
            File {
                path: ".service/mongod.conf",
                content: Zeroizing::new(b"net:\n  maxIncomingConnectionsOverride: [\"127.0.0.1/32\"]\n".to_vec()),
                salted: false,
            },
        ],
        endpoints: ENDPOINTS,
        tier: wish.tier,
        shared_memory_mib: 1,
        // A thread for each connection, and the server's own.
        pids: max_connections(&wish.tier) + 200,
        stop_signal: "SIGTERM",
        stop_grace: STOP_GRACE,
        health_check: question.check(),
        ready_check: question.repeated(&format!("[ -e {DATA}/.initialised ]")),
        ready_hint: None,
    }
}

/// A server that has its container to itself. What it notes about itself every second would take 500 MB of storage.
fn server(tier: &TierSpec) -> Vec<String> {
    let words = [
        "mongod".to_owned(),
        format!("--config={DATA}/.service/mongod.conf"),
        format!("--dbpath={DATA}/data"),
        format!("--port={PORT}"),
        "--bind_ip_all".to_owned(),
        "--nounixsocket".to_owned(),
        "--auth".to_owned(),
        // It need not tell who comes and who goes.
        "--quiet".to_owned(),
        format!("--maxConns={}", max_connections(tier)),
        format!("--wiredTigerCacheSizeGB={}", f64::from(cache_mib(tier)) / 1024.0),
        "--setParameter=authenticationMechanisms=SCRAM-SHA-256".to_owned(),
        "--setParameter=diagnosticDataCollectionEnabled=false".to_owned(),
        // Else 200 (MongoDB manual, "Server Parameters"), which a small size does not have.
        format!("--setParameter=maxIndexBuildMemoryUsageMegabytes={}", (tier.memory_mib / 8).min(200)),
    ];
    words.to_vec()
}

/// Half of what is left beside what the server itself and its connections need, and at least as much as it asks for (MongoDB
/// manual, `wiredTigerCacheSizeGB`).
fn cache_mib(tier: &TierSpec) -> u32 {
    (tier.memory_mib.saturating_sub(256) / 2).max(256)
}

/// Each takes up to 1 MiB (MongoDB manual, "Production Notes").
fn max_connections(tier: &TierSpec) -> u32 {
    tier.memory_mib / 4
}

/// What the service's user may do in its database.
const ROLES: &str = r#"["readWrite", "dbAdmin"]"#;

/// What makes the users in a `server`, or has them again as they were made: the service's has its database and nothing else. The
/// passwords stand in it in clear, for only the server makes a verifier of one.
fn users(access: &Access) -> Zeroizing<String> {
    users_with(access, ROLES)
}

/// The same with the service's user in other roles.
fn users_with(access: &Access, roles: &str) -> Zeroizing<String> {
    let (user, database) = names(access);
    let (own, newest) = (access.own_password(), access.passwords().last().unwrap_or_default());
    let own = ["[\"admin\", \"", OWN, "\", \"", own.expose_secret(), "\", [\"root\"]]"];
    let theirs = ["[\"", database, "\", \"", user, "\", \"", newest, "\", ", roles, "]"];
    let (own, theirs) = (Zeroizing::new(own.concat()), Zeroizing::new(theirs.concat()));
    let text = [
        "for (const [database, user, pwd, roles] of [",
        &own,
        ", ",
        &theirs,
        "]) {\n  const there = server.getDB(database);\n  const is = {pwd, roles, mechanisms: [\"SCRAM-SHA-256\"]};\n  \
         if (there.getUser(user)) there.updateUser(user, is);\n  else there.createUser({user, ...is});\n}\n",
    ];
    Zeroizing::new(text.concat())
}

/// Reads the file of the users, how to connect, and what to say then.
const CHANGE: &str = r#"
cd /data/db/.service
put users.js
script=$(lines)
in_mongosh "$script" 20"#;

/// Who is connected stays so. The server knows one password of each user: the old one is let go at once. What the user may do stays
/// as well.
fn credential_change(_: &Wish, access: &Access) -> Change {
    let (user, database) = names(access);
    let newest = access.passwords().last().unwrap_or_default();
    let is = ["{pwd: \"", newest, "\", mechanisms: [\"SCRAM-SHA-256\"]}"];
    let is = Zeroizing::new(is.concat());
    let change = ["server.getDB(\"", database, "\").updateUser(\"", user, "\", ", &is, ");\n"];
    let change = Zeroizing::new(change.concat());
    let input = Zeroizing::new([users(access).as_str(), ".\n", &connect_own(access), &change, ".\n"].concat());
    // The files in the volume are root's, so that the server can't change them. It has no capabilities here either.
    Change {
        command: shell(&[TOLD, MONGOSH, CHANGE].concat()),
        user: "root",
        input: SecretString::from(input.as_str()),
    }
}

/// How the sidecar's user connects.
fn connect_own(access: &Access) -> Zeroizing<String> {
    connect(&url(OWN, access.own_password().expose_secret(), "127.0.0.1", "admin"))
}

fn connect(url: &str) -> Zeroizing<String> {
    let patience = "&serverSelectionTimeoutMS=5000&connectTimeoutMS=5000";
    Zeroizing::new(["const server = new Mongo(\"", url, patience, "\");\n"].concat())
}

/// Reads a script that comes as the service's user, and tries it. Only the sidecar changes who is let in, so who was let in a quarter
/// of an hour ago, with the same password and by the same container, still is: asking costs the server's own CPU time.
const LOGIN: &str = r#"
script=$(lines)
sum=$(printf '%s' "$script" | sha256sum)
if [ "$(cat /tmp/let-in 2>/dev/null)" = "$sum" ] && [ -n "$(find /tmp/let-in -mmin -15)" ]; then exit 0; fi
said=$(in_mongosh "$script" 10 2>&1) && { printf '%s' "$sum" >/tmp/let-in; exit 0; }
rm -f /tmp/let-in
case $said in
  *'Authentication failed'* | *'not authorized'* | *'requires authentication'*) exit 3 ;;
  *) exit 1 ;;
esac"#;

fn login(_: &Wish, access: &Access) -> Change {
    let (user, database) = names(access);
    let theirs = connect(&url(user, access.password.expose_secret(), "127.0.0.1", database));
    let input = Zeroizing::new([&theirs, "server.getDB(\"", database, "\").getCollectionNames();\n.\n"].concat());
    Change {
        command: shell(&[TOLD, MONGOSH, LOGIN].concat()),
        user: "mongodb",
        input: SecretString::from(input.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::access::Seed;
    use super::*;
    use crate::domain::service::Power;

    fn wish() -> Wish {
        let tier = DEFINITION.offer.as_ref().unwrap().tiers[0];
        Wish { kind: ServiceKind::Mongodb, version: "8.0".to_owned(), tier, power: Power::On }
    }

    #[test]
    fn what_is_asked_is_one_whole_message() {
        let said = Command::new("bash").args(["-c", HELLO]).output().unwrap().stdout;
        let number = |at: usize| u32::from_le_bytes(said[at..at + 4].try_into().unwrap());
        assert_eq!((number(0) as usize, number(12)), (said.len(), 2013), "its length, and that it is an OP_MSG");
        let document = 16 + 4 + 1;
        assert_eq!(number(document) as usize, said.len() - document);
        assert_eq!(&said[document + 4..], b"\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0");
    }

    #[test]
    fn a_server_is_heard_that_says_who_it_is_and_no_other() {
        let hears = |reply: &str| {
            let script = format!("printf '{reply}' | {{ {HEARD}; }}");
            Command::new("bash").args(["-c", &script]).output().unwrap().stdout == b"yes\n"
        };
        assert!(hears(r"\231\0\0\0\335\7\0\0\0\0\0\0\0\0\377\0\0\0\10isWritablePrimary\0\1\20more\0"));
        assert!(!hears(r"\231\0\0\0\1errmsg\0no\0") && !hears(""));
    }

    #[test]
    fn passwords_are_told_by_standard_input_and_a_file_that_no_digest_has() {
        let access = Access::with_database(&Seed([9; 40])).with_next(&Seed([8; 40]));
        let deployment = deployment(&wish(), &access, &Policy::default());
        let changes = [credential_change(&wish(), &access), login(&wish(), &access)];
        let mut words = [deployment.entrypoint, deployment.command].concat();
        words.extend(changes.iter().flat_map(|change| change.command.clone()));
        let open = deployment.files.iter().filter(|file| !file.salted);
        words.extend(open.map(|file| String::from_utf8(file.content.to_vec()).unwrap()));
        for password in access.passwords().chain([access.own_password().expose_secret()]) {
            assert!(words.iter().all(|word| !word.contains(password)), "{words:?}");
        }
        let newest = access.next.as_ref().unwrap().expose_secret();
        assert!(changes[0].input.expose_secret().contains(newest), "while it is being changed it is taken already");
    }

    #[test]
    fn what_a_size_has_for_the_cache_leaves_room_for_the_rest() {
        let cached = DEFINITION.offer.as_ref().unwrap().tiers.map(|tier| cache_mib(&tier));
        assert_eq!(cached, [256, 384, 896]);
    }
}
