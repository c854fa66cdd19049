//! A logical dump by the server's own program (MySQL manual, "mysqldump"), as of one moment: it goes into a server of any later
//! version as well.

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{names, own_login};
use crate::catalog::access::Access;
use crate::catalog::backup::{Backup, PIECES};
use crate::catalog::deployment::{Change, shell};
use crate::catalog::dump::Dump;
use crate::catalog::script::TOLD;

pub const BACKUP: Backup = Backup {
    content: "mysql-dump-sql",
    take,
    lay_out,
    settle: None,
    // Each start lets in whom its access names.
    admit: None,
    check,
    copy: None,
    is_in_memory: false,
};

/// What `mysql` reads: the service's database, without its users.
pub const DUMP: Dump = Dump { extension: "sql", take: dump };

/// Reads how to connect. $1 is the database.
const CLIENT: &str = r#"
login=$(lines)
as_ours() {
  program=$1
  shift
  "$program" --defaults-file=/dev/fd/3 "$@" 3<<LOGIN
$login
LOGIN
}
ask() { as_ours mysql -NB -e "$1"; }
dump() {
  as_ours mysqldump --single-transaction --quick --routines --triggers --events --hex-blob --set-gtid-purged=OFF \
    --no-tablespaces "$@"
}
"#;

const TAKE: &str = r#"
printf 'fact:server version=%s\n' "$(ask 'SELECT VERSION()')" >&2
dump --databases "$1""#;

fn take(access: &Access) -> Change {
    as_ours(TAKE, access)
}

fn dump(access: &Access) -> Change {
    as_ours(r#"dump "$1""#, access)
}

/// The dump goes into a server that nobody reaches, which is then ended as one is that is stopped. A volume that is marked has all of
/// it.
const LAY_OUT: &str = r#"
cd /var/lib/mysql
rm -rf data .initialised
mkdir -p /tmp/lay-out
socket=/tmp/lay-out/socket
serve() {
  mysqld --no-defaults --datadir="$PWD/data" --socket=$socket --pid-file=/tmp/lay-out/pid \
    --skip-networking --mysqlx=OFF --skip-log-bin --performance-schema=OFF --innodb-buffer-pool-size=48M \
    --innodb-numa-interleave=OFF --table-definition-cache=400 --table-open-cache=200 "$@" >/tmp/lay-out/said 2>&1
}
fail() { tail -n 20 /tmp/lay-out/said >&2; exit 1; }
serve --initialize-insecure || fail
serve --tmpdir="$PWD/data" &
server=$!
trap 'kill $server 2>/dev/null || :' EXIT
until mysqladmin --no-defaults --socket=$socket -u root ping >/dev/null 2>&1; do
  kill -0 $server 2>/dev/null || fail
  sleep 0.1
done
pieces | { mysql --no-defaults --socket=$socket -u root && cat >/dev/null; }
told nothing
mysqladmin --no-defaults --socket=$socket -u root shutdown
wait $server || fail
trap - EXIT
sync
: >.initialised
sync .initialised . 2>/dev/null || sync"#;

fn lay_out(_: &str, _: bool) -> Change {
    Change { command: shell(&[PIECES, LAY_OUT].concat()), user: "mysql", input: SecretString::default() }
}

/// Checks every table and reads all of it.
const CHECK: &str = r#"
as_ours mysqlcheck --check --silent --databases "$1"
dump --databases "$1" >/dev/null
tables=$(ask "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '$1' AND table_type = 'BASE TABLE'")
printf 'fact:tables of %s=%s\n' "$1" "$tables"
ask "SELECT table_name FROM information_schema.tables WHERE table_schema = '$1' AND table_type = 'BASE TABLE'
  AND table_name NOT REGEXP '[^[:alnum:]_.\$ -]' ORDER BY data_length + index_length DESC, table_name LIMIT 5" |
  while IFS= read -r table; do
    printf 'fact:rows of %s.%s=%s\n' "$1" "$table" "$(ask "SELECT COUNT(*) FROM \`$1\`.\`$table\`" </dev/null)"
  done
printf 'fact:read by=%s\n' 'mysqlcheck and mysqldump'"#;

fn check(access: &Access) -> Change {
    as_ours(CHECK, access)
}

fn as_ours(script: &str, access: &Access) -> Change {
    let (_, database) = names(access);
    let mut command = shell(&[TOLD, CLIENT, script].concat());
    command.extend(["backup", database].map(str::to_owned));
    let input = Zeroizing::new([own_login(access).as_str(), ".\n"].concat());
    Change { command, user: "mysql", input: SecretString::from(input.as_str()) }
}
