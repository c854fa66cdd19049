//! The write-ahead log (PostgreSQL manual, "Continuous Archiving and Point-in-Time Recovery"): `archive_command` puts each
//! segment into the volume, beside the data directory, while somebody wants it; restores are fed by `restore_command`.

use jiff::Timestamp;
use secrecy::SecretString;

use super::super::access::Access;
use super::super::archive::{Archive, Order, Replay};
use super::super::backup::PIECES;
use super::super::deployment::{Change, shell};
use super::names;
use super::roles::WHO;

pub const ARCHIVE: Archive = Archive {
    content: "postgresql-write-ahead-log",
    collect,
    end,
    follows,
    replay: Replay {
        prepare,
        arguments,
        feed,
        finish,
        // PostgreSQL source, `PerformWalRecovery`.
        never_reached: "recovery ended before configured recovery target was reached",
    },
};

/// Where the script is that the server runs for each segment, in the volume.
pub(super) const SCRIPT: &str = ".service/archive";

/// What the server is started with, always: whether it archives can't change while it runs.
pub(super) fn settings() -> [(&'static str, String); 3] {
    let command = format!("sh /var/lib/postgresql/data/{SCRIPT} %p %f");
    // Both of the last two together are an error, so that nobody can turn it off by ALTER SYSTEM.
    [("archive_mode", "on".to_owned()), ("archive_command", command), ("archive_library", String::new())]
}

/// $1 is the segment's path, $2 its name. While nobody wants it, it is let go at once; so is what there is no room for, of which
/// an empty file tells in its place. Ends with 0 only once what was put there stays there.
pub(super) const KEEP: &str = r#"set -eu
from=$PWD/$1 name=$2
case $name in *.*) exit 0 ;; esac
cd /var/lib/postgresql/data/.archive 2>/dev/null || exit 0
read -r most 2>/dev/null <on || exit 0
[ ! -e "ready/$name" ] || exit 0
used=$(du -sk ready)
if [ $((${used%%[!0-9]*} + 16384)) -gt $((most * 1024)) ]; then
  : >"ready/$name.missed"
else
  cp -p "$from" .part
  sync .part 2>/dev/null || sync
  mv .part "ready/$name"
fi
sync ready 2>/dev/null || sync
"#;

/// The server is asked for nothing while nothing was committed: what transactions have ended and which go on tells that. Where
/// something was, a transaction of its own is the last in a segment that is ended with it, so that there is always one
/// after each moment that is asked for. While others wait none is ended: however small, each takes the room of a whole one, and a
/// sidecar that is killed again and again would fill the share with them. $3 is the share, what follows was kept. No more than so many segments are given at once.
const COLLECT: &str = r#"
share=$3
shift 3
export PGCONNECT_TIMEOUT=10 PGHOST=/var/run/postgresql PGUSER="$role" PGDATABASE="$home"
export PGOPTIONS='-c statement_timeout=10s -c search_path=pg_catalog -c log_statement=none'
ask() { psql -XAtqw -v ON_ERROR_STOP=1 -c "$1"; }
tell() { printf 'fact:%s\n' "$1" >&2; }
mode=$(ask 'SHOW archive_mode')
[ "$mode" = on ] || { tell 'at next start=yes'; exit 0; }
cd /var/lib/postgresql/data
mkdir -p .archive/ready
cd .archive
for kept; do rm -f "ready/$kept"; done
[ -s on ] || rm -f seen
if [ "$(cat on 2>/dev/null)" != "$share" ]; then
  printf '%s\n' "$share" >on.new
  mv on.new on
fi
now=$(ask 'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint')
tell "now=$now"
seen= segment=
read -r seen segment 2>/dev/null <seen || :
snapshot=$(ask 'SELECT pg_current_snapshot()')
late= waits=
for path in ready/*; do
  case ${path##*/} in
    '*' | *.missed) ;;
    *) waits=yes ;;
  esac
done
if [ ! -e "ready/$segment.missed" ] && [ "$snapshot" = "$seen" ]; then
  :
elif [ -n "$waits" ]; then
  late=yes
else
  ask 'SELECT pg_current_xact_id()' >/dev/null
  seen=$(ask 'SELECT pg_current_snapshot()')
  segment=$(ask 'SELECT pg_walfile_name(pg_switch_wal())')
  printf '%s %s\n' "$seen" "$segment" >seen.new
  mv seen.new seen
fi
n=0
while [ -e "$PGDATA/pg_wal/archive_status/$segment.ready" ] && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.05; done
n=0 last= more=
for path in ready/*; do
  name=${path##*/}
  case $name in
    '*') break ;;
    *.missed)
      if [ $n -gt 0 ]; then more=yes; break; fi
      tell 'given up=yes'
      rm -f "$path"
      continue
      ;;
  esac
  if [ $n = 64 ]; then more=yes; break; fi
  printf '%s %s %s\n' "$name" "$(stat -c %s "$path")" "$(stat -c %Y "$path")"
  cat "$path"
  n=$((n + 1)) last=$name
done
if [ -n "$more$late" ]; then
  tell 'more=yes'
elif [ ! -e "$PGDATA/pg_wal/archive_status/$segment.ready" ]; then
  tell 'up to date=yes'
fi"#;

fn collect(access: &Access, order: Order<'_>) -> Change {
    let mut change = of_service(&["set -eu", WHO, COLLECT].concat(), access);
    change.command.push(order.share_mib.to_string());
    change.command.extend_from_slice(order.kept);
    change
}

const END: &str = "rm -rf /var/lib/postgresql/data/.archive";

fn end(access: &Access) -> Change {
    of_service(END, access)
}

/// The name is the timeline, and the number of the segment in two parts, in 8 hexadecimal digits each; the last part is up to FF
/// for segments of 16 MiB (PostgreSQL source, `XLogFileName`).
fn follows(last: &str, next: &str) -> bool {
    let parts = |name: &str| {
        let part = |at: usize| u64::from_str_radix(name.get(at..at + 8)?, 16).ok();
        (name.len() == 24).then_some(())?;
        Some((part(0)?, (part(8)? << 8) + part(16)?))
    };
    parts(last).zip(parts(next)).is_some_and(|((line, number), next)| next == (line, number + 1))
}

/// Gives the server the segment $1 at $2, or tells that there is none: it waits for the next one that is fed, and lets those go
/// that nobody has asked for. It reads what it was given before from where it has put it.
const TAKE: &str = r#"set -eu
from=$PWD
case $1 in *.*) exit 1 ;; esac
cd /var/lib/postgresql/data/.replay
while :; do
  is_past=
  last=$(cat last 2>/dev/null || :)
  if [ -e end ] || ! [ "$1" \> "$last" ]; then is_past=yes; fi
  for old in log/*; do
    [ "log/$1" \> "$old" ] && rm -f "$old" || break
  done
  if [ -e "log/$1" ]; then exec mv "log/$1" "$from/$2"; fi
  [ -z "$is_past" ] || exit 1
  sleep 0.02
done
"#;

const PREPARE: &str = r#"set -eu
cd /var/lib/postgresql/data
rm -rf .replay
mkdir -p .replay/log
printf '%s' "$1" >.replay/take
touch pgdata/recovery.signal"#;

fn prepare() -> Change {
    let mut command = shell(PREPARE);
    command.extend(["prepare", TAKE].map(str::to_owned));
    Change { command, user: "postgres", input: SecretString::default() }
}

/// The line of a database's history that the backup is of, and no other that branched off of it. Nobody is let in before the end,
/// so that it needs no more than its size has.
fn arguments(to: Option<Timestamp>) -> Vec<String> {
    let mut settings = vec![
        "restore_command=sh /var/lib/postgresql/data/.replay/take %f %p".to_owned(),
        "recovery_target_timeline=current".to_owned(),
        "recovery_target_action=promote".to_owned(),
        "hot_standby=off".to_owned(),
    ];
    settings.extend(to.map(|to| format!("recovery_target_time={}", to.strftime("%Y-%m-%d %H:%M:%S.%6f+00"))));
    settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

/// A few segments wait at most.
const FEED: &str = r#"
cd /var/lib/postgresql/data/.replay
segments() {
  last=
  while read -r name size _; do
    dd bs=1048576 count=$((size / 1048576)) iflag=fullblock 2>/dev/null >part
    [ "$name" \> "$last" ] || continue
    n=0
    while :; do
      set -- log/*
      [ $# -gt 4 ] || break
      sleep 0.02
    done
    mv part "log/$name"
    printf '%s' "$name" >last.new
    mv last.new last
    last=$name
  done
  cat >/dev/null
}
pieces | segments
told whole >/dev/null
: >end"#;

fn feed() -> Change {
    Change { command: shell(&[PIECES, FEED].concat()), user: "postgres", input: SecretString::default() }
}

/// Where $3 is `all`, it has to have read all that it was fed, up to the last segment: where it ended the history of its new timeline
/// tells (PostgreSQL source, `writeTimeLineHistory`).
const FINISH: &str = r#"
export PGCONNECT_TIMEOUT=10 PGHOST=/var/run/postgresql PGUSER="$role" PGDATABASE="$home"
export PGOPTIONS='-c statement_timeout=10s -c search_path=pg_catalog'
cd /var/lib/postgresql/data
if [ "$3" = all ]; then
  set -- "$PGDATA"/pg_wal/*.history
  while [ $# -gt 1 ]; do shift; done
  end=$(tail -n 1 "$1" | cut -f 2)
  segment=$(psql -XAtqw -v ON_ERROR_STOP=1 -v "end=$end" <<'SQL'
SELECT pg_walfile_name(:'end'::pg_lsn)
SQL
)
  last=$(cat .replay/last)
  if [ ! -e .replay/end ] || [ "${last#????????}" \> "${segment#????????}" ]; then
    echo "It ended at $end, and there is more of its log: up to $last."
    exit 1
  fi
fi
rm -rf .replay"#;

fn finish(access: &Access, is_all: bool) -> Change {
    let mut change = of_service(&["set -eu", WHO, FINISH].concat(), access);
    change.command.push(if is_all { "all" } else { "up to a moment" }.to_owned());
    change
}

fn of_service(script: &str, access: &Access) -> Change {
    let (user, database) = names(access);
    let mut command = shell(script);
    command.extend(["archive", user, database].map(str::to_owned));
    Change { command, user: "postgres", input: SecretString::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_follows_the_one_before_it_in_the_same_timeline() {
        let first = "0000000100000000000000FE";
        assert!(follows(first, "0000000100000000000000FF"));
        assert!(follows("0000000100000000000000FF", "000000010000000100000000"));
        for other in
            ["000000010000000000000100", "0000000200000000000000FF", first, "", "0000000100000000000000FF.part"]
        {
            assert!(!follows(first, other), "{other}");
        }
    }

    #[test]
    fn a_moment_is_told_to_the_microsecond_and_none_where_all_is_wanted() {
        let to = "2026-11-26T12:00:00.123456Z".parse().unwrap();
        assert_eq!(arguments(Some(to)).last().unwrap(), "recovery_target_time=2026-11-26 12:00:00.123456+00");
        assert!(!arguments(None).concat().contains("recovery_target_time="));
    }
}
