//! A physical base backup, by the server's own program (PostgreSQL manual, "pg_basebackup"): a tar archive of the data
//! directory with the log that makes it consistent, and a manifest with a checksum of each file.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::super::access::Access;
use super::super::backup::{Backup, PIECES};
use super::super::deployment::{Change, shell};
use super::super::dump::Dump;
use super::copy::COPY;
use super::roles::{OWN, WHO, own_verifier, verifier};
use super::{change, names};

pub const BACKUP: Backup = Backup {
    content: "postgresql-base-backup-tar",
    take,
    lay_out,
    settle: Some(settle),
    admit: Some(admit),
    check,
    copy: Some(COPY),
    is_in_memory: false,
};

/// What `pg_restore` reads: the service's database, without its roles.
pub const DUMP: Dump = Dump { extension: "dump", take: dump };

/// The log that was written since it began is part of the backup: a slot keeps it, which goes with the session that made it. The
/// session ends within a second of its client, however that ends.
const TAKE: &str = r#"
export PGCONNECT_TIMEOUT=10 PGHOST=/var/run/postgresql PGUSER="$role" PGDATABASE="$home"
export PGOPTIONS='-c statement_timeout=0 -c idle_session_timeout=0 -c client_connection_check_interval=1s -c search_path=pg_catalog'
ask() { psql -XAtqw -v ON_ERROR_STOP=1 -c "$1"; }
slot=project_services_backup_$$
said=$(mktemp /tmp/backup.XXXXXX)
psql -XAtqw -v ON_ERROR_STOP=1 -c "SELECT pg_create_physical_replication_slot('$slot', true, true)" \
  -c 'SELECT pg_sleep(86400)' >"$said" 2>&1 &
keeper=$!
trap 'kill $keeper 2>/dev/null || :; rm -f "$said"' EXIT
trap 'exit 1' TERM INT HUP PIPE
n=0
until [ "$(ask "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '$slot'")" = 1 ]; do
  kill -0 $keeper 2>/dev/null || { cat "$said" >&2; exit 1; }
  [ $n -lt 100 ] || { echo 'Its log can not be kept.' >&2; exit 1; }
  n=$((n + 1))
  sleep 0.1
done
printf 'fact:server version=%s\n' "$(ask 'SHOW server_version')" >&2
printf 'fact:mark=%s\n' "$(head -n 1 /var/lib/postgresql/data/.initialised)" >&2
pg_basebackup -w -D - -F tar -X fetch -c fast"#;

fn take(access: &Access) -> Change {
    as_postgres(&["set -eu", WHO, TAKE].concat(), access)
}

/// A volume that was marked has all of it. Where the image has what checks every file against the manifest, that is done as well, by
/// its length alone ($1) where it was restored and read before: what comes in is sealed, so it is still that.
const LAY_OUT: &str = r#"
cd /var/lib/postgresql/data
rm -rf pgdata .initialised
mkdir -m 700 pgdata
pieces | { tar -x -f - -C pgdata && cat >/dev/null; }
mark=$(told mark)
[ -e pgdata/backup_label ] && [ -e pgdata/backup_manifest ] || { echo 'It is not whole.' >&2; exit 1; }
if command -v pg_verifybackup >/dev/null; then pg_verifybackup -q -n $1 pgdata; fi"#;

/// Marks the volume, durably and last of all, as what it has the data of was.
pub(super) const MARK_AS: &str = r#"
cd /var/lib/postgresql/data
printf '%s\n' "$mark" >.initialised.new
sync .initialised.new 2>/dev/null || sync
mv .initialised.new .initialised
sync . 2>/dev/null || sync"#;

fn lay_out(_: &str, is_verified: bool) -> Change {
    let mut command = shell(&[PIECES, LAY_OUT, MARK_AS].concat());
    command.extend(["lay-out", if is_verified { "--skip-checksums" } else { "" }].map(str::to_owned));
    Change { command, user: "postgres", input: SecretString::default() }
}

/// Reads statements up to `\quit`. In single-user mode the server reads the log up to the end of the backup, and has all of it
/// on the disk; nobody is asked for a password there, and one line is one statement (PostgreSQL manual, postgres, "Options for
/// Single-User Mode"). The file system as a whole is told to write what is left to write, for a thousand files one by one take ten
/// times as long.
pub(super) const SETTLE: &str = r#"
cd /var/lib/postgresql/data/pgdata
statements=
while IFS= read -r line && [ "$line" != '\quit' ]; do
  statements="$statements$line
"
done
[ "$line" = '\quit' ]
printf '%s' "$statements" |
  postgres --single -D "$PWD" -c exit_on_error=on -c fsync=on -c recovery_init_sync_method=syncfs -c shared_buffers=32MB -c huge_pages=off \
    -c default_transaction_read_only=off -c synchronous_commit=local -c log_statement=none \
    -c log_min_error_statement=panic -c log_min_duration_statement=-1 -c logging_collector=off -c log_destination=stderr \
    -c search_path=pg_catalog template1 >/tmp/said 2>&1 || {
    tail -n 20 /tmp/said >&2
    exit 1
  }"#;

fn settle(access: &Access) -> Change {
    settling(access, &["set -eu\nexport LC_ALL=C\numask 077", SETTLE].concat(), &[])
}

/// What ends in [`SETTLE`], which is told whom to let in.
pub(super) fn settling(access: &Access, script: &str, arguments: &[&str]) -> Change {
    let input = Zeroizing::new([&admission(access), "\\quit\n"].concat());
    let mut command = shell(script);
    command.push("settle".to_owned());
    command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    Change { command, user: "postgres", input: SecretString::from(input.as_str()) }
}

fn admit(access: &Access) -> Change {
    change(access, &admission(access))
}

/// Statements, each in one line, by which a server that has another one's data lets in whom the access names. It may have been
/// taken of a server that took no writes just then.
pub(super) fn admission(access: &Access) -> Zeroizing<String> {
    let (user, _) = names(access);
    let (theirs, ours) = (verifier(access.password.expose_secret()), own_verifier(access));
    Zeroizing::new(
        [
            "ALTER ROLE \"",
            user,
            "\" PASSWORD '",
            &theirs,
            "';\nDO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '",
            OWN,
            "') THEN ALTER ROLE ",
            OWN,
            " PASSWORD '",
            &ours,
            "'; END IF; END $$;\nALTER SYSTEM RESET default_transaction_read_only;\n",
        ]
        .concat(),
    )
}

/// Reads every database twice over where the image has what checks tables and indexes page by page, and once otherwise.
const CHECK: &str = r#"
export PGCONNECT_TIMEOUT=10 PGHOST=/var/run/postgresql PGUSER="$role"
export PGOPTIONS='-c statement_timeout=0 -c lock_timeout=0 -c default_transaction_read_only=off -c search_path=pg_catalog'
trap 'exit 1' TERM INT HUP
ask() { PGDATABASE=$1 psql -XAtqw -v ON_ERROR_STOP=1; }
[ "$(echo 'SELECT pg_is_in_recovery()' | ask "$home")" = f ] || { echo 'It is still in recovery.'; exit 1; }
echo "SELECT datname FROM pg_database WHERE datallowconn AND datname !~ E'[\\n\\r]' ORDER BY oid" | ask "$home" >/tmp/databases
printf 'fact:databases=%s\n' "$(wc -l </tmp/databases)"
by=pg_dump
if command -v pg_amcheck >/dev/null &&
  [ "$(echo "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'" | ask "$home")" = 1 ]; then
  PGDATABASE=$home pg_amcheck -w --all --install-missing
  by='pg_amcheck and pg_dump'
fi
while IFS= read -r database; do
  PGDATABASE=$database pg_dump -w -F custom -Z 0 </dev/null >/dev/null
  ask "$database" <<'SQL'
SELECT 'fact:tables of ' || current_database() || '=' || count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'm') AND nspname !~ '^pg_' AND nspname <> 'information_schema' HAVING count(*) > 0;
SELECT format('SELECT %L || count(*) FROM %I.%I',
  'fact:rows of ' || format('%I.%I.%I', current_database(), nspname, relname) || '=', nspname, relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'm') AND relispopulated AND relname !~ E'[\\n\\r]' AND nspname !~ E'^pg_|[\\n\\r]'
  AND nspname <> 'information_schema'
ORDER BY pg_total_relation_size(c.oid) DESC, c.oid LIMIT 5 \gexec
SQL
done </tmp/databases
printf 'fact:read by=%s\n' "$by""#;

fn check(access: &Access) -> Change {
    as_postgres(&["set -eu", WHO, CHECK].concat(), access)
}

/// $2 is the database.
const DUMP_IT: &str = r#"
export PGCONNECT_TIMEOUT=10 PGHOST=/var/run/postgresql PGUSER="$role"
export PGOPTIONS='-c statement_timeout=0 -c lock_timeout=0 -c search_path=pg_catalog'
exec pg_dump -w -F custom -d "$2""#;

fn dump(access: &Access) -> Change {
    as_postgres(&["set -eu", WHO, DUMP_IT].concat(), access)
}

pub(super) fn as_postgres(script: &str, access: &Access) -> Change {
    let (user, database) = names(access);
    let mut command = shell(script);
    command.extend(["backup", user, database].map(str::to_owned));
    Change { command, user: "postgres", input: SecretString::default() }
}
