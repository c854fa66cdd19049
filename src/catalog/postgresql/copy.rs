//! A base backup by the files themselves (PostgreSQL manual, "Making a Base Backup Using the Low Level API"): what is written
//! while they are copied is in the log, which comes last.

use secrecy::SecretString;

use super::super::access::Access;
use super::super::copy::Copy;
use super::super::deployment::{Change, shell};
use super::backup::{MARK_AS, SETTLE, as_postgres, settling};
use super::roles::WHO;

pub const COPY: Copy = Copy { hold, release: RELEASE, copy, finish };

/// One session begins the backup and ends it. It takes statements for as long as somebody has any. A slot keeps the log that is
/// written from its begin on, and goes with the session.
const HOLD: &str = r#"
export PGCONNECT_TIMEOUT=10 PGHOST=/var/run/postgresql PGUSER="$role" PGDATABASE="$home"
export PGOPTIONS='-c statement_timeout=0 -c idle_session_timeout=0 -c client_connection_check_interval=1s -c search_path=pg_catalog'
exec psql -XAtqw -v ON_ERROR_STOP=1"#;

/// The checkpoint that it begins with is made at once.
const BEGIN: &str = "SELECT NULL FROM pg_create_physical_replication_slot(\
    'project_services_clone_' || pg_backend_pid(), true, true);\n\
    SELECT 'held' FROM pg_backup_start('clone', true);\n";

/// Tells the last file of the log that belongs to it, and its label.
const RELEASE: &str = "SELECT 'released ' || pg_walfile_name(lsn) || ' ' || \
    translate(encode(convert_to(labelfile, 'UTF8'), 'base64'), E'\\n', '') FROM pg_backup_stop(false);\n";

fn hold(access: &Access) -> Change {
    Change { input: SecretString::from(BEGIN), ..as_postgres(&["set -eu", WHO, HOLD].concat(), access) }
}

/// Leaves out what pg_basebackup does (PostgreSQL source, basebackup.c, `excludeFiles` and `excludeDirContents`). A file that goes
/// while it is copied does no harm, for the log has that as well; one that is replaced is copied again with all others.
const COPY_IT: &str = r#"set -eu
export LC_ALL=C
umask 077
from=/source/pgdata
cd /var/lib/postgresql/data
rm -rf pgdata .initialised
[ -e /source/.initialised ] || { echo 'What it is to be a clone of is not where it should be.' >&2; exit 1; }
[ -z "$(ls -A "$from/pg_tblspc")" ] || { echo 'It has tablespaces, which are elsewhere.' >&2; exit 1; }
over() {
  to=$1 tries=0
  shift
  while :; do
    code=0
    cp -a --reflink=auto "$@" "$to/" 2>/tmp/said || code=$?
    [ $code != 0 ] || return 0
    sed -E "/^cp: (can't|cannot) (stat|open|access) '.*: No such file or directory$/d" /tmp/said >/tmp/left
    [ $code != 1 ] || [ -s /tmp/left ] || return 0
    tries=$((tries + 1))
    [ $code = 1 ] && [ $tries -lt 5 ] || { tail -n 5 /tmp/left >&2; exit 1; }
  done
}
mkdir pgdata pgdata/base pgdata/global
set --
for path in "$from"/* "$from"/.[!.]*; do
  case ${path##*/} in
    '.[!.]*' | base | global) ;;
    postmaster.pid | postmaster.opts | current_logfiles.tmp | postgresql.auto.conf.tmp | backup_manifest) ;;
    backup_label | backup_label.old | tablespace_map | tablespace_map.old) ;;
    pg_wal | pg_tblspc | pg_replslot | pg_dynshmem | pg_notify | pg_serial | pg_snapshots | pg_stat_tmp | pg_subtrans)
      mkdir "pgdata/${path##*/}" ;;
    *) set -- "$@" "$path" ;;
  esac
done
over pgdata "$@"
for part in base global; do
  set --
  for path in "$from/$part"/*; do
    case ${path##*/} in
      pgsql_tmp* | pg_control) ;;
      *) set -- "$@" "$path" ;;
    esac
  done
  over "pgdata/$part" "$@"
done
find pgdata/base pgdata/global -name 'pg_internal.init*' -exec rm -f {} +"#;

fn copy(_: &str) -> Change {
    Change { command: shell(COPY_IT), user: "postgres", input: SecretString::default() }
}

/// $1 is what was told. The control file comes last of all, and whole: it is written in place.
const FINISH: &str = r#"set -eu
export LC_ALL=C
umask 077
from=/source/pgdata
cd /var/lib/postgresql/data/pgdata
last=${1%% *}
printf %s "${1#* }" | base64 -d >backup_label
first=$(sed -n 's/^START WAL LOCATION: .* (file \([0-9A-F]*\))$/\1/p' backup_label)
[ ${#first} = 24 ] && [ ${#last} = 24 ] || { echo 'It has no label.' >&2; exit 1; }
set --
for name in $(ls "$from/pg_wal"); do
  case $name in
    *.history) set -- "$@" "$from/pg_wal/$name" ;;
    *[!0-9A-F]*) ;;
    *)
      if [ ! "$name" \< "$first" ] && [ ! "$name" \> "$last" ]; then set -- "$@" "$from/pg_wal/$name"; fi ;;
  esac
done
cp -a --reflink=auto "$@" pg_wal/
until
  cp -a --reflink=auto "$from/global/pg_control" global/
  cmp -s "$from/global/pg_control" global/pg_control
do sleep 0.1; done"#;

const MARK: &str = "\nmark=$(head -n 1 /source/.initialised)";

fn finish(access: &Access, _: &str, told: &str) -> Change {
    settling(access, &[FINISH, SETTLE, MARK, MARK_AS].concat(), &[told])
}
