//! To another major version by dump and load, with the programs of the newer one (PostgreSQL manual, "Upgrading a PostgreSQL
//! Cluster"). All roles and databases of the cluster go over.
//!
//! While they do, the old server's transactions are read-only by default. Its clients can say otherwise, so
//! whether anything was written is found out: every transaction that writes has a number, and the next number has to stay the
//! same. At the end only its own container is let in, on the unix socket, and whoever else is connected is ended.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::super::access::Access;
use super::super::deployment::{Change, shell};
use super::super::inquiry::{Answer, Inquiry};
use super::super::upgrade::{Transfer, Upgrade, Written};
use super::names;
use super::roles::{WHO, privileges};

pub const UPGRADE: Upgrade = Upgrade { check, freeze, copy, compare, close, thaw, written: Written { ask, read } };

/// In the new container, which reaches the old server by its host name: $1 is the user, $2 the database, $3 the old host. The
/// passwords of the user and of the sidecar's role come by standard input and go into a file in memory that only this user
/// reads. The old server may be one that has no such role: then its user is the superuser. `each` calls a function with
/// every database's name, escaped for a connection string. Names with a line break are refused by `CHECK`.
const IN_THE_NEW: &str = r#"set -eu
umask 077
user=$1 main=$2
IFS= read -r password
IFS= read -r own
work=$(mktemp -d /tmp/upgrade.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' TERM INT HUP
printf '*:*:*:%s:%s\n' "$user" "$password" project_services "$own" >"$work/password"
export PGPASSFILE="$work/password"
at="host=$3 port=5432 connect_timeout=10 keepalives_idle=10 keepalives_count=3"
role=project_services
said=$(psql -Xqtw "$at user=$role dbname=postgres" -c 'SELECT 1' 2>&1) || case $said in
  *'authentication failed'* | *'not permitted to log in'*) role=$user ;;
  *) printf '%s\n' "$said"; exit 1 ;;
esac
old="$at user=$role"
new="host=/var/run/postgresql user=project_services"
from='-c role=none -c default_transaction_read_only=on -c statement_timeout=0 -c lock_timeout=30s -c search_path=pg_catalog'
into='-c role=none -c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 -c synchronous_commit=off'
of_old() { PGOPTIONS=$from psql -XqtAw -v ON_ERROR_STOP=1 "$old dbname='$1'"; }
of_new() { PGOPTIONS="$into -c search_path=pg_catalog" psql -XqtAw -v ON_ERROR_STOP=1 "$new dbname='$1'"; }
databases() {
  of_old "$main" <<'SQL'
SELECT replace(replace(datname, E'\\', E'\\\\'), '''', E'\\''') FROM pg_database
WHERE datname <> 'template0' ORDER BY datname <> 'template1', datname <> 'postgres', datname;
SQL
}
each() {
  databases >"$work/databases"
  while IFS= read -r database; do "$1" "$database" </dev/null; done <"$work/databases"
}
superusers() {
  of_old "$main" <<'SQL'
SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname <> 'project_services' AND rolname !~ '^pg_';
SQL
}
refuse() { printf '%s\n' "$1"; exit 65; }
"#;

/// Values of the key of a partition and of the state of an aggregate are evaluated when they are laid out, which only a superuser
/// can do for all: the checks of a user's own types must not run then, unless the user is a superuser anyway.
const CHECK: &str = r#"
against=$(of_old "$main" <<'SQL'
SELECT sentence FROM (
  SELECT 1, 'Its role ' || current_user || ' is no superuser any more, so not all that it holds can be read; a repair puts that right.'
    WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
  UNION ALL SELECT 2, 'The name of a database or a role has a line break in it, which can''t go over.'
    WHERE EXISTS (SELECT FROM pg_database WHERE datname ~ E'[\\n\\r]')
      OR EXISTS (SELECT FROM pg_roles WHERE rolname ~ E'[\\n\\r]')
  UNION ALL SELECT 3, 'The database ' || datname || ' allows no connections, so it can''t be read.' FROM pg_database
    WHERE NOT datallowconn AND datname <> 'template0'
  UNION ALL SELECT 4, 'The tablespace ' || spcname || ' is outside of what goes over.' FROM pg_tablespace
    WHERE spcname NOT IN ('pg_default', 'pg_global')
  UNION ALL SELECT 5, 'The subscription ' || subname || ' writes to it; disable it first.' FROM pg_subscription
    WHERE subenabled
  UNION ALL SELECT 6, 'The prepared transaction ' || gid || ' has to be committed or rolled back first.'
    FROM pg_prepared_xacts
) AS against (rank, sentence) ORDER BY rank, sentence LIMIT 1;
SQL
)
[ -z "$against" ] || refuse "$against"
of_new postgres >"$work/available" <<'SQL'
SELECT name FROM pg_available_extensions;
SQL
version=$(psql --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
extensions() {
  of_old "$1" >"$work/extensions" <<'SQL'
SELECT extname FROM pg_extension ORDER BY extname;
SQL
  while IFS= read -r extension; do
    grep -qxF -e "$extension" "$work/available" ||
      refuse "The extension $extension, which the database $1 has, does not exist in version $version."
  done <"$work/extensions"
}
each extensions
evaluated() {
  found=$(of_old "$1" <<'SQL'
WITH own AS (
  SELECT oid FROM pg_type WHERE typnamespace <> 'pg_catalog'::regnamespace
    AND (typtype IN ('d', 'c', 'r', 'm') OR typelem <> 0))
SELECT 'The key of the partitioned table ' || partrelid::regclass FROM pg_partitioned_table WHERE EXISTS (
    SELECT FROM pg_depend JOIN own ON own.oid = refobjid WHERE refclassid = 'pg_type'::regclass
      AND classid = 'pg_class'::regclass AND objid = partrelid
      AND (objsubid = ANY (partattrs) OR objsubid = 0 AND partexprs IS NOT NULL))
UNION ALL
SELECT 'The state of the aggregate ' || aggfnoid::regprocedure FROM pg_aggregate
  JOIN own ON own.oid IN (aggtranstype, aggmtranstype)
  WHERE coalesce(agginitval, aggminitval) IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = aggfnoid::oid AND deptype = 'e')
LIMIT 1;
SQL
  )
  [ -z "$found" ] || refuse "$found, in the database $1, has a type whose checks would be run by a superuser."
}
superusers=$(superusers)
[ "$superusers" != 0 ] || each evaluated
"#;

/// The service's own database was made at the first start, and so was its user: both take over what the old ones are, but for
/// the rights of a superuser where the user is not to have them: $5 are the statements that see to that. What the old
/// bootstrap superuser had is the sidecar's role's, and the user administers the others as before. A trusted extension is the
/// owner's of its database, as if that had created it.
///
/// A function in a check runs with the rights of who copies. So where nobody but the sidecar is a superuser, tables are filled by
/// a role that can do what the user's roles can do and no more.
const COPY: &str = r#"
into="$into -c maintenance_work_mem=$4MB"
step() { [ ! -e "$work/failed" ] || { head -c 1000 "$work/complaints"; exit 1; }; }
exec 2>"$work/complaints"
trap 'head -c 1000 "$work/complaints"; rm -rf "$work"' EXIT
{ PGOPTIONS=$from pg_dumpall -w --roles-only -d "$old dbname='$main'" || : >"$work/failed"; } |
  sed -e "/^CREATE ROLE $user;\$/d" -e '/^CREATE ROLE project_services;$/d' -e '/^ALTER ROLE project_services /d' \
    -e "s/ GRANTED BY $role;\$/ GRANTED BY project_services;/" >"$work/roles"
step
{ of_new postgres <"$work/roles" || : >"$work/failed"; } >/dev/null
step
of_new postgres >/dev/null <<SQL
DROP DATABASE IF EXISTS "$main" WITH (FORCE);
SQL
loader=$new loading="$into -c temp_file_limit=-1"
superusers=$(superusers)
if [ "$superusers" = 0 ]; then
  loading=$into
  loader="host=/var/run/postgresql user=project_services_loader"
  of_new postgres >/dev/null <<'SQL'
CREATE ROLE project_services_loader LOGIN BYPASSRLS;
ALTER ROLE project_services_loader SET temp_file_limit = -1;
GRANT pg_write_all_data TO project_services_loader;
SELECT format('GRANT %I TO project_services_loader', rolname) FROM pg_roles
  WHERE NOT rolsuper AND rolname !~ '^pg_' AND rolname <> 'project_services_loader'
\gexec
SQL
fi
part() {
  part=$1 database=$2
  shift 2
  { PGOPTIONS=$from pg_dump -w --format=custom --compress=0 --section="$part" --dbname "$old dbname='$database'" ||
    : >"$work/failed"; } | { PGOPTIONS=$loading pg_restore -w --exit-on-error "$@" || : >"$work/failed"; }
  step
}
go_over() {
  by=postgres clean=
  case $1 in
    template1) clean=--clean ;;
    postgres) by=template1 clean=--clean ;;
  esac
  part pre-data "$1" --create $clean --dbname "$new dbname=$by"
  part data "$1" --dbname "$loader dbname='$1'"
  part post-data "$1" --dbname "$loader dbname='$1'"
}
each go_over
of_new postgres >/dev/null <<SQL
DROP ROLE IF EXISTS project_services_loader;
$5
DO \$\$
DECLARE
  item record;
BEGIN
  FOR item IN SELECT rolname FROM pg_roles r WHERE oid <> 10 AND NOT rolsuper AND rolname !~ '^pg_'
      AND rolname NOT IN ('$user', 'project_services_reader') AND NOT EXISTS (
        SELECT FROM pg_auth_members WHERE roleid = r.oid AND member = '$user'::regrole AND admin_option) LOOP
    BEGIN
      EXECUTE format('GRANT %I TO %I WITH ADMIN OPTION', item.rolname, '$user');
    EXCEPTION WHEN invalid_grant_operation THEN
      NULL; -- The user is a member of it, by whatever way.
    END;
  END LOOP;
END
\$\$;
ALTER DATABASE template1 OWNER TO project_services;
ALTER DATABASE postgres OWNER TO project_services;
GRANT ALL ON DATABASE postgres TO $user;
SQL
give() {
  of_new "$1" >/dev/null <<'SQL'
WITH given AS (
  UPDATE pg_extension SET extowner = datdba FROM pg_database, pg_available_extension_versions
  WHERE datname = current_database() AND datdba <> 10 AND extowner = 10 AND extname <> 'plpgsql'
    AND name = extname AND version = extversion AND trusted
  RETURNING pg_extension.oid, extowner, pg_database.oid AS database)
INSERT INTO pg_shdepend (dbid, classid, objid, objsubid, refclassid, refobjid, deptype)
SELECT database, 'pg_extension'::regclass, oid, 0, 'pg_authid'::regclass, extowner, 'o' FROM given;
SQL
}
each give
PGOPTIONS="$into" vacuumdb -wq --all --analyze-only --host /var/run/postgresql --username project_services --maintenance-db postgres
"#;

/// What is counted: rows of every table, where sequences are, large objects, roles. What an extension brings along may differ.
const COMPARE: &str = r#"
count() {
  cat <<'SQL'
SELECT format('SELECT %L, count(*) FROM ONLY %I.%I', format('table %I.%I:', nspname, relname), nspname, relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
  WHERE relkind = 'r' AND nspname <> 'information_schema' AND nspname !~ '^pg_' AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
  ORDER BY nspname COLLATE "C", relname COLLATE "C"
\gexec
SELECT format('SELECT %L, last_value, is_called FROM %I.%I', format('sequence %I.%I:', nspname, relname), nspname, relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
  WHERE relkind = 'S' AND nspname <> 'information_schema' AND nspname !~ '^pg_' AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
  ORDER BY nspname COLLATE "C", relname COLLATE "C"
\gexec
SELECT 'large objects:', count(*) FROM pg_largeobject_metadata;
SELECT 'functions:', count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
  WHERE nspname <> 'information_schema' AND nspname !~ '^pg_' AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e');
SELECT 'role ' || rolname COLLATE "C", md5(coalesce(rolpassword, '')) FROM pg_authid
  WHERE rolname !~ '^pg_' AND rolname <> 'project_services' ORDER BY 1;
SQL
}
same() {
  failed=
  count | of_old "$1" >"$work/old" &
  reading=$!
  count | of_new "$1" >"$work/new" || failed=new
  wait $reading || failed=old
  [ -z "$failed" ] || { echo "The $failed one could not be counted."; exit 1; }
  cmp -s "$work/old" "$work/new" || {
    printf 'In the database %s the new one does not hold what the old one holds: ' "$1"
    grep -vxFf "$work/new" "$work/old" | head -n 3 || :
    exit 1
  }
}
exec 2>&1
each same
# From here on statistics tell what is written since.
forget() {
  of_new "$1" >/dev/null <<'SQL'
SELECT pg_stat_reset();
SQL
}
each forget
"#;

/// In the old container: `say` has a statement done by the sidecar, as a sender of logical replication does
/// where that can be had, for clients may have taken all other connections. `others` ends whoever has come over TCP, also
/// those who are still being let in, and tells whether there was anybody: their processes are called by their address, or
/// by nothing yet.
const IN_THE_OLD: &str = r#"hba=$PGDATA/pg_hba.conf
by() {
  PGOPTIONS='-c statement_timeout=30s -c search_path=pg_catalog -c log_min_error_statement=panic' \
    timeout -k 1 40 psql -XqtAw -v ON_ERROR_STOP=1 -v VERBOSITY=terse \
    "host=/var/run/postgresql connect_timeout=5 user=$role dbname=$home $1" -c "$2" </dev/null
}
way=replication=database
by "$way" 'SELECT 1' >/dev/null 2>&1 || way=
say() { by "$way" "$1"; }
loaded() { say 'SELECT extract(epoch FROM pg_conf_load_time())'; }
reload() {
  before=$(loaded)
  say 'SELECT pg_reload_conf()' >/dev/null
  n=0
  until [ "$(loaded)" != "$before" ]; do
    n=$((n + 1))
    [ $n -lt 200 ] || { echo "The server does not read its settings anew."; exit 1; }
    sleep 0.05
  done
}
open() {
  if [ -e "$hba.open" ]; then mv -f "$hba.open" "$hba"; fi
}
others() {
  found=1
  postmaster=$(head -n 1 "$PGDATA/postmaster.pid")
  for process in /proc/[0-9]*; do
    read -r number _ _ parent _ 2>/dev/null <"$process/stat" || continue
    [ "$parent" = "$postmaster" ] || continue
    title=$(tr '\0' ' ' 2>/dev/null <"$process/cmdline") || continue
    case $title in
      '') ;;
      "postgres: "*'('[0-9]*')'*) found=0; kill -TERM "$number" 2>/dev/null || : ;;
      "postgres: "*) ;;
      *)
        # One that was begun this moment would take a signal for a crash.
        found=0
        [ $n -lt 40 ] || kill -TERM "$number" 2>/dev/null || :
        ;;
    esac
  done
  return $found
}
next='SELECT pg_snapshot_xmax(pg_current_snapshot())'
exec 2>&1
"#;

/// Sessions of before are ended, for they may be in a transaction that writes.
const FREEZE: &str = r#"
open
against=$(say "SELECT count(*) FROM pg_db_role_setting, unnest(setconfig) AS setting
  WHERE setting ~* '^default_transaction_read_only=' AND setting !~* '=(on|true|yes|1)$'
    AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = '$1'))
    AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = '$2'))")
[ "$against" = 0 ] || { echo "It can't be made read-only: its role or its database has a setting against it."; exit 65; }
say 'ALTER SYSTEM SET default_transaction_read_only = on'
say 'ALTER SYSTEM SET autovacuum = off'
reload
n=0
until [ "$(say 'SHOW default_transaction_read_only')" = on ]; do
  n=$((n + 1))
  [ $n -lt 100 ] || { echo "The server does not become read-only."; exit 1; }
  sleep 0.1
done
since=$(say 'SELECT clock_timestamp()')
ended="SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_start < '$since'
  AND backend_type IN ('client backend', 'autovacuum worker', 'walsender')"
n=0
until [ "$(say "$ended")" = 0 ]; do
  n=$((n + 1))
  [ $n -lt 100 ] || { echo "A session of it could not be ended."; exit 1; }
  sleep 0.1
done
say "$next""#;

/// What is connected now has to be gone before the numbers are compared. $3 is the number that [`FREEZE`] said.
const CLOSE: &str = r#"
if [ ! -e "$hba.open" ]; then
  cp -p "$hba" "$hba.copy"
  mv -f "$hba.copy" "$hba.open"
fi
printf 'local all all trust\nlocal replication all trust\n' >"$hba.new"
mv -f "$hba.new" "$hba"
reload
n=0
while others; do
  n=$((n + 1))
  [ $n -lt 200 ] || { echo "A session of it could not be ended."; exit 1; }
  sleep 0.05
done
[ "$(say "$next")" = "$3" ] || { echo "Something was written to it while it was being copied."; exit 1; }"#;

const THAW: &str = r#"
open
say 'ALTER SYSTEM RESET default_transaction_read_only'
say 'ALTER SYSTEM RESET autovacuum'
reload"#;

fn check(transfer: &Transfer<'_>) -> Change {
    in_the_new(transfer, CHECK)
}

fn copy(transfer: &Transfer<'_>) -> Change {
    in_the_new(transfer, COPY)
}

fn compare(transfer: &Transfer<'_>) -> Change {
    in_the_new(transfer, COMPARE)
}

fn freeze(transfer: &Transfer<'_>) -> Change {
    in_the_old(transfer, FREEZE)
}

fn close(transfer: &Transfer<'_>) -> Change {
    in_the_old(transfer, CLOSE)
}

fn thaw(transfer: &Transfer<'_>) -> Change {
    in_the_old(transfer, THAW)
}

fn in_the_new(transfer: &Transfer<'_>, script: &str) -> Change {
    let (user, database) = names(transfer.access);
    let mut command = shell(&[IN_THE_NEW, script].concat());
    let memory = (transfer.wish.tier.memory_mib / 8).to_string();
    let privileges = privileges(transfer.access, transfer.policy).join(";\n") + ";";
    command.extend(["upgrade", user, database, transfer.from, &memory, &privileges].map(str::to_owned));
    let (password, own) = (&transfer.access.password, transfer.access.own_password());
    let input = Zeroizing::new([password.expose_secret(), "\n", own.expose_secret(), "\n"].concat());
    Change { command, user: "postgres", input: SecretString::from(input.as_str()) }
}

fn in_the_old(transfer: &Transfer<'_>, script: &str) -> Change {
    let (user, database) = names(transfer.access);
    let mut command = shell(&["set -eu", WHO, IN_THE_OLD, script].concat());
    command.extend(["upgrade", user, database, transfer.mark].map(str::to_owned));
    Change { command, user: "postgres", input: SecretString::default() }
}

/// Statistics of the tables of every database, which began with 0 when the service was brought to its version.
const COUNT: &str = r#"say() {
  PGOPTIONS='-c role=none -c search_path=pg_catalog' \
    psql -XqtAw -v ON_ERROR_STOP=1 "host=/var/run/postgresql user=$role dbname='$1'" -c "$2" </dev/null
}
say "$home" "SELECT replace(replace(datname, E'\\\\', E'\\\\\\\\'), '''', E'\\\\''') FROM pg_database WHERE datallowconn AND datname !~ E'[\\n\\r]'" |
while IFS= read -r database; do
  say "$database" 'SELECT sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_del) FROM pg_stat_user_tables'
done"#;

fn ask(access: &Access) -> Inquiry {
    let (user, database) = names(access);
    let mut command = shell(&["set -eu", WHO, COUNT].concat());
    command.extend(["written", user, database].map(str::to_owned));
    let (input, limit) = (SecretString::default(), Duration::from_secs(10));
    Inquiry { command, user: "postgres", input, limit, kept: 1 << 16 }
}

fn read(answer: &Answer) -> Option<String> {
    if answer.exit_code != Some(0) {
        return None;
    }
    let text = std::str::from_utf8(&answer.stdout).ok()?;
    let mut sums = [0u64; 3];
    for line in text.lines() {
        for (sum, count) in sums.iter_mut().zip(line.split('|')) {
            *sum += count.parse::<u64>().unwrap_or_default();
        }
    }
    let [inserted, changed, removed] = sums;
    Some(format!("by its statistics {inserted} rows were inserted, {changed} changed and {removed} removed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_the_sum_over_all_databases() {
        let answer = |exit_code, text: &str| Answer { exit_code, stdout: text.into(), stderr: Vec::new() };
        let read = read(&answer(Some(0), "||\n3|1|0\n4|0|2\n")).unwrap();
        assert_eq!(read, "by its statistics 7 rows were inserted, 1 changed and 2 removed");
        assert_eq!(super::read(&answer(Some(2), "3|1|0\n")), None);
    }
}
