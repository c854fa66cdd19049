//! To another major version by replication: the new server takes over all that the old one holds as its replica, and then
//! stands for itself (Redis manual, "Replication"; a replica may be newer than its master).
//!
//! Meanwhile nobody but a user of ours may write to the old one or change what others may do. Other users than those of the
//! service are removed, as they would be by a restart. That is so until it is restarted, which its run id tells.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::super::access::{Access, digest};
use super::super::deployment::{Change, shell};
use super::super::inquiry::{Answer, Inquiry};
use super::super::upgrade::{Transfer, Upgrade, Written};

pub const UPGRADE: Upgrade = Upgrade { check, freeze, copy, compare, close, thaw, written: Written { ask, read } };

/// `tell` says lines to the server at the host $1, as whom its first line says. Standard input has the line that logs in as
/// the service's user, the one that makes ours, and the one that logs in as ours.
const TELL: &str = r#"set -eu
from=$1 mark=$2
IFS= read -r as_default
IFS= read -r make
IFS= read -r as_ours
tell() {
  host=$1
  shift
  { printf '%s\n' "$@"; } | timeout -k 1 10 redis-cli -h "$host" -p 6379 2>&1
}
here() { tell 127.0.0.1 "$@"; }
field() { tr -d '\r' | sed -n "s/^$1://p"; }
fail() { printf '%s\n' "$1"; exit 1; }
"#;

/// One that is frozen already does not let the service's user make ours.
const FREEZE: &str = r#"
here "$as_default" "$make" >/dev/null
case $(here "$as_ours") in OK) ;; *) fail "It does not let in who is to see to the upgrade." ;; esac
here "$as_ours" "ACL USERS" | tail -n +2 | while IFS= read -r user; do
  case $user in
    default | '' | healthcheck | project-services-upgrade) ;;
    *) here "$as_ours" "ACL DELUSER \"$(printf '%s' "$user" | sed 's/[\\"]/\\&/g')\"" >/dev/null ;;
  esac
done
case $(here "$as_ours" 'ACL SETUSER default -@write -@admin' 'ACL SETUSER "" -@write -@admin') in
  "$(printf 'OK\nOK\nOK')") ;;
  *) fail "It can't be made read-only." ;;
esac
here "$as_ours" 'INFO server' | field run_id"#;

const COPY: &str = r#"
here "$as_default" 'CONFIG SET masteruser project-services-upgrade' "CONFIG SET masterauth ${as_ours##* }" \
  "REPLICAOF $from 6379" >/dev/null
state() { here "$as_default" 'INFO replication' 'INFO persistence' | tr -d '\r'; }
has() { case $now in *"$1"*) return 0 ;; *) return 1 ;; esac; }
n=0
until now=$(state) && has 'master_link_status:up' && has 'master_sync_in_progress:0'; do
  n=$((n + 1))
  [ $n -lt 18000 ] || fail "It does not take over the data in time."
  sleep 0.1
done
here "$as_default" 'REPLICAOF NO ONE' 'CONFIG SET masterauth ""' 'CONFIG SET masteruser ""' >/dev/null
until now=$(state) && has 'role:master' && has 'loading:0' && has 'aof_enabled:1' && has 'aof_rewrite_in_progress:0' &&
  has 'aof_rewrite_scheduled:0'; do
  n=$((n + 1))
  [ $n -lt 18000 ] || fail "It does not keep the data in time."
  sleep 0.1
done
has 'aof_last_bgrewrite_status:ok' && has 'aof_last_write_status:ok' || fail "It could not write the data to its volume."
# What the old one sent. It is in the append-only file by now.
rm -f /data/dump.rdb
"#;

/// Keys with an expiry may go at any moment, on either side.
const COMPARE: &str = r#"
kept() { tr -d '\r' | sed -n 's/^\(db[0-9]*\):keys=\([0-9]*\),expires=\([0-9]*\).*/\1 \2 \3/p' |
  while read -r name keys expires; do
    [ "$keys" = "$expires" ] || echo "$name has $((keys - expires)) keys that do not expire"
  done; }
old=$(tell "$from" "$as_ours" 'INFO keyspace' | kept)
new=$(here "$as_default" 'INFO keyspace' | kept)
[ "$old" = "$new" ] || fail "The new one does not hold what the old one holds: $old; $new."
"#;

const CLOSE: &str = r#"
[ "$(here "$as_ours" 'INFO server' | field run_id)" = "$mark" ] ||
  fail "It was restarted while it was being copied, and may have been written to since."
"#;

/// One that was restarted since does not know our user, and is as before.
const THAW: &str = r#"
case $(here "$as_ours" 'ACL SETUSER default +@all' 'ACL SETUSER "" +@all') in
  "$(printf 'OK\nOK\nOK')") ;;
  *WRONGPASS*) exit 0 ;;
  *) fail "It could not be made writable again." ;;
esac
here "$as_default" 'ACL DELUSER project-services-upgrade' >/dev/null"#;

fn check(transfer: &Transfer<'_>) -> Change {
    change(transfer, "")
}

fn freeze(transfer: &Transfer<'_>) -> Change {
    change(transfer, FREEZE)
}

fn copy(transfer: &Transfer<'_>) -> Change {
    change(transfer, COPY)
}

fn compare(transfer: &Transfer<'_>) -> Change {
    change(transfer, COMPARE)
}

fn close(transfer: &Transfer<'_>) -> Change {
    change(transfer, CLOSE)
}

fn thaw(transfer: &Transfer<'_>) -> Change {
    change(transfer, THAW)
}

fn change(transfer: &Transfer<'_>, script: &str) -> Change {
    let mut command = shell(&[TELL, script].concat());
    command.extend(["upgrade", transfer.from, transfer.mark].map(str::to_owned));
    let (password, ours) = (transfer.access.password.expose_secret(), transfer.access.password_for("upgrade"));
    let ours = ours.expose_secret();
    let input = Zeroizing::new(
        [
            "AUTH ",
            password,
            "\nACL SETUSER project-services-upgrade reset on #",
            &digest(ours),
            " ~* &* +@all\nAUTH project-services-upgrade ",
            ours,
            "\n",
        ]
        .concat(),
    );
    Change { command, user: "redis", input: SecretString::from(input.as_str()) }
}

fn ask(access: &Access) -> Inquiry {
    let input = Zeroizing::new(["AUTH ", access.password.expose_secret(), "\nINFO persistence\n"].concat());
    Inquiry {
        command: shell("redis-cli -h 127.0.0.1 -p 6379 2>&1"),
        user: "redis",
        input: SecretString::from(input.as_str()),
        limit: Duration::from_secs(6),
        kept: 1 << 16,
    }
}

/// The server counts since its start, for it is never told to save a snapshot (Redis manual, INFO).
fn read(answer: &Answer) -> Option<String> {
    let text = std::str::from_utf8(&answer.stdout).ok()?;
    let changes = text.lines().find_map(|line| line.trim().strip_prefix("rdb_changes_since_last_save:"))?;
    Some(format!("since its last start {} changes were made", changes.parse::<u64>().ok()?))
}
