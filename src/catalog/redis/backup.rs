//! A snapshot by the server itself, in its own format (Redis manual, "Persistence").

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::super::access::Access;
use super::super::backup::{Backup, PIECES};
use super::super::deployment::{Change, shell};
use super::super::dump::Dump;
use super::super::script::ALONE;
use super::copy::COPY;

pub const BACKUP: Backup = Backup {
    content: "redis-rdb",
    take,
    lay_out,
    settle: None,
    admit: None,
    check,
    copy: Some(COPY),
    is_in_memory: true,
};

/// What `redis-server` starts from.
pub const DUMP: Dump = Dump { extension: "rdb", take };

/// Reads the line that logs in, and says lines to the server.
const TELL: &str = r#"set -eu
IFS= read -r login
tell() {
  { printf '%s\n' "$login" "$@"; } | timeout -k 1 30 redis-cli -h 127.0.0.1 -p 6379 2>&1 | tr -d '\r' | tail -n +2
}
field() { tell "INFO $1" | sed -n "s/^$2://p"; }
fail() { printf '%s\n' "$1" >&2; exit 1; }
"#;

/// There is one file for all who want a snapshot, so the next one waits until it is done with. A snapshot takes its file's name when it is whole. What was there before goes, so that what is there then is a new one. One
/// that waits for a rewriting of the append-only file begins by itself.
pub(super) const SNAPSHOT: &str = r#"
file=/data/dump.rdb
alone /tmp/snapshot.lock
trap 'rm -f "$file" "$lock"' EXIT
trap 'exit 1' TERM INT HUP PIPE
rm -f "$file"
begun=$(tell 'BGSAVE SCHEDULE')
case $begun in
  *'Background saving'* | *'already in progress'* | *'ackground save'*) ;;
  *) fail "It makes no snapshot: $begun" ;;
esac
until [ -e "$file" ]; do
  sleep 0.1
  state=$(tell 'INFO persistence')
  case $state in
    *rdb_bgsave_in_progress:1* | *aof_rewrite_in_progress:1* | *aof_rewrite_scheduled:1*) ;;
    *rdb_bgsave_in_progress:0*)
      [ ! -e "$file" ] || break
      case $state in *rdb_last_bgsave_status:err*) fail 'Its snapshot failed, for want of memory or of space.' ;; esac
      waited=$((${waited:-0} + 1))
      [ $waited -lt 100 ] || fail 'Its snapshot is not where it should be.' ;;
    *) fail "It does not tell how far its snapshot is: $state" ;;
  esac
done"#;

const TAKE: &str = r#"
printf 'fact:server version=%s\n' "$(field server redis_version)" >&2
cat "$file""#;

fn take(access: &Access) -> Change {
    logged_in(&[ALONE, SNAPSHOT, TAKE].concat(), access)
}

/// Where a snapshot goes that a server of version $1 is to start from. Redis 7 keeps a directory, Redis 6 a file that may begin
/// with a snapshot.
pub(super) const PLACE: &str = r#"
umask 027
cd /data
case $1 in
  6) place=appendonly.aof.new ;;
  *) place=appendonlydir.new/appendonly.aof.1.base.rdb ;;
esac"#;

/// Puts what may be there out of the way.
pub(super) const CLEAR: &str = r#"
rm -rf appendonlydir appendonlydir.new appendonly.aof appendonly.aof.new
[ "$1" = 6 ] || mkdir appendonlydir.new"#;

const LAY_OUT: &str = r#"
pieces >"$place"
told nothing"#;

/// Has the server find what is in its place.
pub(super) const KEEP: &str = r#"
case $1 in
  6)
    sync "$place" 2>/dev/null || sync
    mv "$place" appendonly.aof ;;
  *)
    echo 'file appendonly.aof.1.base.rdb seq 1 type b' >appendonlydir.new/appendonly.aof.manifest
    sync appendonlydir.new/* 2>/dev/null || sync
    mv appendonlydir.new appendonlydir ;;
esac
sync . 2>/dev/null || sync"#;

fn lay_out(version: &str, _: bool) -> Change {
    in_version(&[PIECES, PLACE, CLEAR, LAY_OUT, KEEP].concat(), version)
}

/// A server that answers has read all of it, and the checksum at its end with that.
const CHECK: &str = r#"
keyspace=$(tell 'INFO keyspace') || fail 'It does not answer.'
printf '%s\n' "$keyspace" | sed -n 's/^\(db[0-9]*\):keys=\([0-9]*\),.*/fact:keys of \1=\2/p'
total=$(printf '%s\n' "$keyspace" | sed -n 's/^db[0-9]*:keys=\([0-9]*\),.*/\1/p' | awk '{ n += $1 } END { print n + 0 }')
[ "$(field persistence loading)" = 0 ] || fail 'It is still loading.'
printf 'fact:keys=%s\nfact:read by=%s\n' "$total" 'a start, with its checksum'"#;

fn check(access: &Access) -> Change {
    logged_in(CHECK, access)
}

/// $1 is the version.
pub(super) fn in_version(script: &str, version: &str) -> Change {
    let mut command = shell(script);
    command.extend(["lay-out".to_owned(), version.to_owned()]);
    Change { command, user: "redis", input: SecretString::default() }
}

pub(super) fn logged_in(script: &str, access: &Access) -> Change {
    let input = Zeroizing::new(["AUTH ", access.password.expose_secret(), "\n"].concat());
    Change { command: shell(&[TELL, script].concat()), user: "redis", input: SecretString::from(input.as_str()) }
}
