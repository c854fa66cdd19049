//! The server's files as of one moment, as they are where its process is killed, which it comes back from by itself.
//!
//! It has three: what the filer knows, in the files of LevelDB, and of each volume the needles and the index of those. None of them
//! is written but at its end, and what is exchanged is so by name: so links and lengths hold a moment. For it to be one
//! moment of all of them, the server stands still for as long as links take. An object is whole in that: the filer knows of
//! one once all of it is in volumes, and has nothing removed from there that it knows of.

use secrecy::SecretString;

use super::guard::CONFIGURE;
use crate::catalog::access::Access;
use crate::catalog::backup::{Backup, PIECES};
use crate::catalog::deployment::{Change, shell};
use crate::catalog::s3;
use crate::catalog::script::ALONE;

pub const BACKUP: Backup = Backup {
    content: "seaweedfs-files",
    take,
    lay_out,
    settle: Some(settle),
    // The files of keys do that.
    admit: None,
    check,
    copy: None,
    is_in_memory: false,
};

/// Removes what was held by those who are gone. Where that is $1's, it stays.
pub(super) const FORGET: &str = r#"
forget() {
  for held in /data/.held/*; do
    owner=${held##*/}
    [ -e "/proc/$owner" ] && [ -e "/tmp/held.$owner" ] || rm -rf "$held" "/tmp/held.$owner"
  done
}
"#;

/// Who ends while the server stands still leaves one behind who has it go on.
///
/// What a thread has begun to write is written before it stands still. A compaction puts its needles in place and then their
/// index: in between nothing is held.
const HOLD: &str = r#"set -eu
cd /data
fail() { printf '%s\n' "$1" >&2; exit 1; }
forget
held=/data/.held/$$
server=$(cat /tmp/server/pid)
alone /tmp/hold.lock
trap 'kill -CONT "$server" 2>/dev/null || :; rm -rf "$held" "/tmp/held.$$" "$lock"' EXIT
trap 'exit 1' TERM INT HUP PIPE
: >"/tmp/held.$$"
stands() { kill -0 "$server" && ! cat /proc/"$server"/task/*/stat | sed 's/.*) //' | grep -q -v '^T '; }
is_between() {
  for index in *.cpx; do
    [ ! -e "$index" ] || [ -e "${index%x}d" ] || return 0
  done
  return 1
}
hold() {
  kill -STOP "$server" || fail 'It does not run.'
  waited=0
  until stands; do
    [ $waited -lt 500 ] || return 1
    waited=$((waited + 1))
  done
  ! is_between || return 1
  set -- filerldb2
  for file in *.dat *.idx *.vif; do
    [ ! -e "$file" ] || set -- "$@" "$file"
  done
  cp -rl "$@" "$held" || return 1
  lengths=$(cd "$held" && find . -type f -exec stat -c '%s %n' {} +) || return 1
  # Somebody may have had it go on.
  stands
}
tries=0
while :; do
  rm -rf "$held"
  mkdir -p "$held"
  (sleep 10; kill -CONT "$server") </dev/null >/dev/null 2>&1 &
  waker=$!
  is_held=
  if hold; then is_held=yes; fi
  kill -CONT "$server" || :
  kill "$waker" 2>/dev/null || :
  [ -z "$is_held" ] || break
  [ $tries -lt 60 ] || fail 'Its files are never as of one moment.'
  tries=$((tries + 1))
  sleep 0.5
done
# Another one may hold it now.
trap 'rm -rf "$held" "/tmp/held.$$"' EXIT
rm -f "$lock"
"#;

/// Where the last needle ends that an index knows of. That has records of `width` bytes: a key, a place in eights of bytes and a
/// length, which what was deleted has none of. They need not be in the order of their places.
const LAST_END: &str = r#"
last_end() {
  od -A n -v -t u1 | awk -v width=$width '
    BEGIN { end = 8 }
    { for (i = 1; i <= NF; i++) {
        byte[n++] = $i
        if (n < width) continue
        n = 0
        place = ((byte[8] * 256 + byte[9]) * 256 + byte[10]) * 256 + byte[11]
        if (width == 17) place += byte[12] * 4294967296
        long = ((byte[width - 4] * 256 + byte[width - 3]) * 256 + byte[width - 2]) * 256 + byte[width - 1]
        if (long >= 2147483648) long = 0
        # A head, a checksum and a time, and one to eight bytes that fill it up.
        after = place * 8 + 28 + long + 8 - (28 + long) % 8
        if (after > end) end = after
    } }
    END { printf "%.0f\n", end }'
}
"#;

/// Each file follows its length and its name. Of the needles only those go along which the index knows of: a volume that has
/// more takes no deletes ever after. How long the records are, the program was built for.
const GIVE: &str = r#"
version=$(weed version 2>/dev/null)
case $version in
  *' 30GB '*) width=16 ;;
  *' 8000GB '*) width=17 ;;
  *) fail "It is of another build: $version" ;;
esac
first() {
  [ $(($1 / 65536)) = 0 ] || dd bs=65536 count=$(($1 / 65536)) iflag=fullblock 2>/dev/null
  [ $(($1 % 65536)) = 0 ] || dd bs=$(($1 % 65536)) count=1 iflag=fullblock 2>/dev/null
}
length_of() { printf '%s\n' "$lengths" | sed -n "s|^\([0-9]*\) $1\$|\1|p"; }
printf '%s\n' "$lengths" | while IFS=' ' read -r length path; do
  case $path in
    */LOCK | */LOG | */LOG.old) continue ;;
    *.idx) length=$((length - length % width)) ;;
    *.dat)
      index=${path%.dat}.idx
      records=$(($(length_of "$index") / width))
      end=$(dd if="$held/$index" bs=$width skip=$((records > 0 ? records - 1 : 0)) count=$((records > 0)) 2>/dev/null | last_end)
      [ "$end" = "$length" ] || end=$(first $((records * width)) <"$held/$index" | last_end)
      [ "$end" -le "$length" ] || fail "The index of $path knows of more than there is."
      length=$end ;;
  esac
  printf '%s %s\n' "$length" "$path"
  first "$length" <"$held/$path"
done
echo end
printf 'fact:server version=%s\n' "${version#version }" >&2"#;

fn take(_: &Access) -> Change {
    of_server(&[FORGET, ALONE, HOLD, LAST_END, GIVE].concat(), &[])
}

/// The bucket is among it, by the name that it had.
const LAY_OUT: &str = r#"
cd /data
pieces | {
  while IFS=' ' read -r length path && [ "$length" != end ]; do
    mkdir -p "${path%/*}"
    {
      [ $((length / 65536)) = 0 ] || dd bs=65536 count=$((length / 65536)) iflag=fullblock 2>/dev/null
      [ $((length % 65536)) = 0 ] || dd bs=$((length % 65536)) count=1 iflag=fullblock 2>/dev/null
    } >"$path"
  done
  [ "$length" = end ]
}
told nothing
sync
: >.initialised
sync .initialised . 2>/dev/null || sync"#;

fn lay_out(_: &str, _: bool) -> Change {
    of_server(&[PIECES, LAY_OUT].concat(), &[])
}

/// Where its parts are asked by its shell, which ends well whatever it has found.
const ASK: &str = r#"set -eu
ask() { weed shell -master=127.0.0.1:9333 -filer=127.0.0.1:8888 2>&1; }
fail() { printf '%s\n' "$1" >&2; exit 1; }
whole() {
  said=$(printf 'fs.verify /buckets/%s\nfs.du /buckets/%s\n' "$1" "$1" | ask)
  case $said in
    *', error 0 files'*) ;;
    *) fail "Parts of objects are missing: $said" ;;
  esac
}
"#;

/// A server looks for each part of each object. What it writes is written at once, so that it need not take the time that it takes
/// to end.
const SETTLE: &str = r#"
bucket=$1
shift
"$@" </dev/null >/tmp/said 2>&1 &
server=$!
trap 'kill -KILL $server 2>/dev/null || :' EXIT
until {
  wget -q -O - http://127.0.0.1:8888/healthz && wget -q -O - http://127.0.0.1:9333/dir/status
} 2>/dev/null | grep -q '127.0.0.1:8080'; do
  kill -0 $server 2>/dev/null || fail "It does not start: $(tail -n 20 /tmp/said)"
  sleep 0.2
done
whole "$bucket"
writable "$bucket" || exit 1
sync"#;

fn settle(access: &Access) -> Change {
    let (_, bucket) = s3::names(access);
    let mut change = of_server(&[ASK, CONFIGURE, SETTLE].concat(), &[bucket]);
    change.command.extend(super::inner().map(str::to_owned));
    change
}

/// Reads all that is in volumes and compares it with its checksums.
const CHECK: &str = r#"
said=$(printf 'lock\nvolume.scrub -mode full -details -maxParallelization 1\nunlock\n' | ask)
case $said in
  *failures* | *rror:*) fail "Volumes are damaged: $said" ;;
  *'Scrubbed '*) ;;
  *) fail "Its volumes are not read: $said" ;;
esac
whole "$1"
objects=$(printf '%s\n' "$said" | sed -n 's/^total [0-9]* directories, \([0-9]*\) files$/\1/p')
bytes=$(printf '%s\n' "$said" | sed -n "s|.*logical size: *\([0-9]*\)[[:space:]]*/buckets/$1\$|\1|p")
[ -n "$objects" ] && [ -n "$bytes" ] || fail "It does not tell what is in its bucket: $said"
printf 'fact:objects of %s=%s\nfact:bytes of %s=%s\n' "$1" "$objects" "$1" "$bytes"
printf 'fact:read by=%s\n' 'volume.scrub and fs.verify'"#;

fn check(access: &Access) -> Change {
    let (_, bucket) = s3::names(access);
    of_server(&[ASK, CHECK].concat(), &[bucket])
}

fn of_server(script: &str, words: &[&str]) -> Change {
    let mut command = shell(script);
    command.push("backup".to_owned());
    command.extend(words.iter().map(|&word| word.to_owned()));
    Change { command, user: super::USER, input: SecretString::default() }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// Where an index of records of `width` bytes knows the last needle to end.
    fn last_end(width: usize, records: &[(u64, u32)]) -> u64 {
        let script = format!("width={width}\n{LAST_END}\nlast_end");
        let mut child =
            Command::new("sh").arg("-c").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut index = Vec::new();
        for (key, (place, length)) in (1u64..).zip(records) {
            index.extend(key.to_be_bytes());
            // The highest byte of a place of five is the last one.
            index.extend(&(place / 8).to_be_bytes()[4..]);
            if width == 17 {
                index.push((place / 8).to_be_bytes()[3]);
            }
            index.extend(length.to_be_bytes());
        }
        child.stdin.take().unwrap().write_all(&index).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().parse().unwrap()
    }

    #[test]
    fn an_index_tells_where_its_last_needle_ends_in_whatever_order() {
        const DELETED: u32 = u32::MAX;
        for width in [16, 17] {
            assert_eq!(last_end(width, &[]), 8, "the head of the volume is always there");
            // Seen of a server: the last needle of a volume of so many bytes.
            assert_eq!(last_end(width, &[(8, 100), (3_330_491 * 8, 200_012)]), 26_843_976);
            assert_eq!(last_end(width, &[(8_430_139 * 8, DELETED), (8, 5)]), 67_441_144);
            assert_eq!(last_end(width, &[(8, 4)]), 8 + 40, "there is always something that fills up");
        }
        assert_eq!(last_end(17, &[(3 << 36, DELETED), (8, 1)]), (3 << 36) + 32);
    }
}
