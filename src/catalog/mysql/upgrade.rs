//! To another version by dump and load, with the programs of the newer one (MySQL manual, "mysqldump"). The service's database
//! goes over, which is all that its user can write to.
//!
//! Meanwhile the old server takes writes of nobody but the sidecar (MySQL manual, `read_only`): what began to write before can't
//! commit, and only a restart or the sidecar itself takes that back. So nothing was written to one that is read-only and was not
//! restarted. It is read by a user of ours that is there for as long.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{PORT, is, names, own_login, verifier};
use crate::catalog::access::Access;
use crate::catalog::deployment::{Change, shell};
use crate::catalog::inquiry::{Answer, Inquiry};
use crate::catalog::script::{ALONE, BEGAN, TOLD};
use crate::catalog::upgrade::{Transfer, Upgrade, Written};

pub const UPGRADE: Upgrade = Upgrade { check, freeze, copy, compare, close, thaw, written: Written { ask, read } };

/// Who reads the old server from the new one's container.
const READER: &str = "project_services_upgrade";

/// In the old container, by the sidecar's user: $1 is the service's user, $2 what [`FREEZE`] said. What was left behind by a sidecar that
/// was killed comes to its end before. `end` ends the sessions of a user that are there then.
const IN_THE_OLD: &str = r#"
alone /tmp/upgrade.lock
trap 'rm -f /tmp/upgrade.lock' EXIT
login=$(lines)
make=$(lines)
remove=$(lines)
tell() {
  timeout -k 1 30 mysql --defaults-file=/dev/fd/3 -NB "$@" 3<<LOGIN
$login
LOGIN
}
fail() { printf '%s\n' "$1"; exit 1; }
end() {
  now=$(tell -e 'SELECT CONNECTION_ID()')
  n=0
  while :; do
    there=$(tell -e "SELECT id FROM information_schema.processlist WHERE user = '$1' AND id < $now")
    [ -n "$there" ] || return 0
    n=$((n + 1))
    [ $n -lt 100 ] || fail "A session of it could not be ended."
    printf 'KILL %s;\n' $there | tell --force >/dev/null 2>&1 || :
    sleep 0.1
  done
}
thaw() {
  tell <<SQL
SET GLOBAL offline_mode = OFF;
SET GLOBAL read_only = OFF;
SET GLOBAL event_scheduler = ON;
$remove
SQL
}
"#;

/// To be read-only waits for statements that write, and those may wait for a client. An event that falls due meanwhile is made up
/// for, by whichever server goes on: hence the time, in seconds since 1970.
const FREEZE: &str = r#"
thaw
prepared() {
  [ -z "$(tell -e 'XA RECOVER')" ] || { echo "It has a prepared transaction, which has to be committed or rolled back first."; exit 65; }
}
prepared
printf '%s\n' "$make" | tell
time=$(date +%s)
tell -e 'SET GLOBAL event_scheduler = OFF'
n=0
until said=$(tell -e 'SET SESSION lock_wait_timeout = 1; SET GLOBAL read_only = ON' 2>&1); do
  n=$((n + 1))
  [ $n -lt 10 ] || fail "It does not become read-only: $said"
  end "$1"
done
end "$1"
prepared
echo "$(began) $time""#;

const CLOSE: &str = r#"
tell -e 'SET GLOBAL offline_mode = ON'
case "$(began) $(tell -e 'SELECT @@GLOBAL.read_only')" in
  "${2% *} 1") ;;
  *) fail "It was restarted while it was being copied, and may have been written to since." ;;
esac
printf '%s\n' "$remove" | tell"#;

/// In the new container: $1 is the database, $2 what [`FREEZE`] said.
const IN_THE_NEW: &str = r#"
ours=$(lines)
theirs=$(lines)
umask 077
work=$(mktemp -d /tmp/upgrade.XXXXXX)
trap 'if [ $? != 0 ]; then head -c 1000 "$work/complaints"; fi; rm -rf "$work"' EXIT
trap 'exit 1' TERM INT HUP
exec 2>"$work/complaints"
as() {
  login=$1 program=$2
  shift 2
  "$program" --defaults-file=/dev/fd/3 "$@" 3<<LOGIN
$login
LOGIN
}
of_old() { as "$theirs" mysql -NBr "$1"; }
of_new() { as "$ours" mysql -NBr "$1"; }
"#;

/// Of a number of type FLOAT mysqldump writes six digits, which is not all that it holds, and of a negative zero of either type not
/// that it is negative. As text of a DOUBLE they are whole (MySQL manual, "Problems with Floating-Point Values"). mysqldump takes no
/// columns, but what follows the name of a table: so tables with such numbers go by themselves.
///
/// What is loaded stands in a server that is ended before it serves, and its events are not to begin before that.
const COPY: &str = r#"
of_old "$1" >"$work/floats" <<'SQL'
SET SESSION group_concat_max_len = 1048576;
SELECT table_name, GROUP_CONCAT(
    IF(data_type IN ('float', 'double'), CONCAT('CAST(CAST(', name, ' AS DOUBLE) AS CHAR)'), name) ORDER BY ordinal_position)
  FROM (SELECT *, CONCAT('`', REPLACE(column_name, '`', '``'), '`') AS name FROM information_schema.columns) AS columns
    JOIN information_schema.tables USING (table_schema, table_name)
  WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'
  GROUP BY table_name HAVING SUM(data_type IN ('float', 'double')) > 0;
SQL
dump() {
  as "$theirs" mysqldump --single-transaction --quick --routines --triggers --events --hex-blob --set-gtid-purged=OFF \
    --no-tablespaces --loose-skip-masking-policies --max-allowed-packet=1G "$@"
}
all() {
  database=$1
  set --
  while IFS='	' read -r table columns; do
    name=$(printf %s "$table" | sed 's/`/``/g')
    dump --skip-routines --skip-events --where="0 UNION ALL SELECT $columns FROM \`$name\`" "$database" "$table" </dev/null ||
      return
    set -- "$@" --ignore-table="$database.$table"
  done <"$work/floats"
  dump "$@" "$database"
}
create=$(printf 'SHOW CREATE DATABASE `%s`;\n' "$1" | of_old "$1" | cut -f 2)
of_new mysql <<SQL
SET GLOBAL event_scheduler = OFF;
SET GLOBAL max_allowed_packet = 1073741824;
SET GLOBAL innodb_flush_log_at_trx_commit = 2;
DROP DATABASE IF EXISTS \`$1\`;
$create;
SQL
{
  printf 'SET timestamp = %s;\n' "${2#* }"
  all "$1" || : >"$work/failed"
} | as "$ours" mysql --binary-mode --max-allowed-packet=1G "$1"
[ ! -e "$work/failed" ] || exit 1"#;

/// Every row of every table, and what else there is by its name. An event that ends by itself may do so at any moment, on either side.
const COMPARE: &str = r#"
held() {
  "$1" "$2" >"$work/tables" <<'SQL' && "$1" "$2" <"$work/tables" && "$1" "$2" <<'SQL'
SELECT CONCAT('CHECKSUM TABLE `', REPLACE(table_name, '`', '``'), '` EXTENDED;') FROM information_schema.tables
  WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE';
SQL
SELECT 'column', table_name, column_name, column_type FROM information_schema.columns WHERE table_schema = DATABASE();
SELECT 'index', table_name, index_name, seq_in_index, COALESCE(column_name, '') FROM information_schema.statistics
  WHERE table_schema = DATABASE();
SELECT 'constraint', table_name, constraint_name, constraint_type FROM information_schema.table_constraints
  WHERE table_schema = DATABASE();
SELECT 'view', table_name, definer FROM information_schema.views WHERE table_schema = DATABASE();
SELECT routine_type, routine_name, definer FROM information_schema.routines WHERE routine_schema = DATABASE();
SELECT 'trigger', trigger_name, definer FROM information_schema.triggers WHERE trigger_schema = DATABASE();
SELECT 'event', event_name, definer FROM information_schema.events
  WHERE event_schema = DATABASE() AND COALESCE(execute_at, ends) IS NULL;
SQL
}
for side in old new; do
  held of_$side "$1" >"$work/unsorted"
  sort "$work/unsorted" >"$work/$side"
  case "$(cat "$work/$side")
" in *'	NULL
'*) echo "A table of the $side one can't be read."; exit 1 ;; esac
done
[ "$(cat "$work/old")" = "$(cat "$work/new")" ] || {
  echo "The new one does not hold what the old one holds:"
  sort "$work/old" "$work/new" | uniq -u | head -n 3
  exit 1
}"#;

fn check(transfer: &Transfer<'_>) -> Change {
    in_the_new(transfer, "\necho 'SELECT 1' | of_new mysql")
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
    in_the_old(transfer, "\nthaw")
}

fn reader_password(access: &Access) -> SecretString {
    access.password_for("upgrade")
}

fn in_the_new(transfer: &Transfer<'_>, script: &str) -> Change {
    let (_, database) = names(transfer.access);
    let mut command = shell(&[TOLD, IN_THE_NEW, script].concat());
    command.extend(["upgrade", database, transfer.mark].map(str::to_owned));
    let (port, password) = (PORT.to_string(), reader_password(transfer.access));
    let input = Zeroizing::new(
        [
            &own_login(transfer.access),
            ".\n[mysql]\nconnect-timeout=10\n[client]\nhost=",
            transfer.from,
            "\nport=",
            &port,
            "\nuser=",
            READER,
            "\npassword=",
            password.expose_secret(),
            "\n.\n",
        ]
        .concat(),
    );
    Change { command, user: "mysql", input: SecretString::from(input.as_str()) }
}

fn in_the_old(transfer: &Transfer<'_>, script: &str) -> Change {
    let (user, database) = names(transfer.access);
    let mut command = shell(&[TOLD, ALONE, BEGAN, IN_THE_OLD, script].concat());
    command.extend(["upgrade", user, transfer.mark].map(str::to_owned));
    let password = verifier(reader_password(transfer.access).expose_secret());
    let grants = format!(
        "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `{database}`.* TO '{READER}'@'%';\n\
         GRANT SHOW_ROUTINE, CONNECTION_ADMIN ON *.* TO '{READER}'@'%';\n"
    );
    let make = Zeroizing::new(is(READER, "%", &password) + &grants);
    let remove = format!("DROP USER IF EXISTS '{READER}'@'%';\n");
    let input = Zeroizing::new([own_login(transfer.access).as_str(), ".\n", &make, ".\n", &remove, ".\n"].concat());
    Change { command, user: "mysql", input: SecretString::from(input.as_str()) }
}

const COUNT: &str = r#"
login=$(lines)
mysql --defaults-file=/dev/fd/3 -NBe "SHOW GLOBAL STATUS LIKE 'Innodb\_rows\_%'" 3<<LOGIN
$login
LOGIN"#;

fn ask(access: &Access) -> Inquiry {
    let input = Zeroizing::new([own_login(access).as_str(), ".\n"].concat());
    Inquiry {
        command: shell(&[TOLD, COUNT].concat()),
        user: "mysql",
        input: SecretString::from(input.as_str()),
        limit: Duration::from_secs(10),
        kept: 1 << 16,
    }
}

/// Of InnoDB's tables, but for the server's own (MySQL manual, "Server Status Variables").
fn read(answer: &Answer) -> Option<String> {
    let text = std::str::from_utf8(&answer.stdout).ok()?;
    let count = |what: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("Innodb_rows_")?.strip_prefix(what));
        line?.trim().parse::<u64>().ok()
    };
    let (inserted, changed, removed) = (count("inserted")?, count("updated")?, count("deleted")?);
    Some(format!("since its last start {inserted} rows were inserted, {changed} changed and {removed} removed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_what_the_server_counts_since_its_start() {
        let answer = |text: &str| Answer { exit_code: Some(0), stdout: text.into(), stderr: Vec::new() };
        let said = "Innodb_rows_deleted\t2\nInnodb_rows_inserted\t7\nInnodb_rows_read\t90\nInnodb_rows_updated\t1\n";
        let told = read(&answer(said)).unwrap();
        assert_eq!(told, "since its last start 7 rows were inserted, 1 changed and 2 removed");
        assert_eq!(read(&answer("")), None);
    }
}
