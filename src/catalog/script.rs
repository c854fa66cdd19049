//! Parts of scripts that several kinds have in common.

/// The beginning of a script that is told files and lines. Each ends with a line of its own that is a full stop, so that nothing is done
/// with half of one. A file takes the old one's place at once and durably, under a name of its own until then: another that was left
/// behind may be at it as well. `put` reads the file $1 in the current directory, which is one that the server can't write to.
pub(super) const TOLD: &str = r#"set -eu
lines() {
  while IFS= read -r line; do
    [ "$line" != . ] || return 0
    printf '%s\n' "$line"
  done
  return 1
}
put() {
  new=$1.$$
  trap 'rm -f "$new"' EXIT
  rm -f "$new"
  lines >"$new"
  chmod 444 "$new"
  sync "$new" 2>/dev/null || sync
  mv -f "$new" "$1"
  sync . 2>/dev/null || sync
}
"#;

/// The end of an entry point whose server reads its configuration when it begins, or by SIGHUP: runs it, passes on what the engine
/// sends, and what [`TELL`] says. It begins anew where it was told to end, and ends as it does otherwise.
///
/// Only the server's own user may send it signals, and only root may change its files, so the one who does the other is told by a
/// pipe. That is in a directory of its own, for in one that is sticky the kernel may keep root from another's pipe (Linux,
/// `protected_fifos`).
pub(super) const SUPERVISED: &str = r#"
mkdir -p /tmp/server
mkfifo -m 622 /tmp/server/told
while :; do
  # One that came back before the last teller was gone reads nothing.
  read -r signal </tmp/server/told || continue
  case $signal in
    TERM) : >/tmp/server/again ;;
    HUP) ;;
    *) continue ;;
  esac
  kill "-$signal" "$(cat /tmp/server/pid)" || :
done &
server=
stopped=
trap 'stopped=yes; [ -z "$server" ] || kill -TERM "$server" 2>/dev/null || :' TERM INT
while :; do
  "$@" &
  server=$!
  echo "$server" >/tmp/server/pid
  [ -z "$stopped" ] || kill -TERM "$server" 2>/dev/null || :
  code=0
  wait "$server" || code=$?
  while kill -0 "$server" 2>/dev/null; do
    code=0
    wait "$server" || code=$?
  done
  if [ -n "$stopped" ] || [ ! -e /tmp/server/again ]; then exit "$code"; fi
  rm -f /tmp/server/again
done"#;

/// For a script in such a container: `tell` sends the signal $1 to the server.
pub(super) const TELL: &str = r#"
tell() { echo "$1" | timeout -k 1 5 tee /tmp/server/told >/dev/null; }
"#;

/// For what only one may do at a time in a container: `alone` waits until the lock $1 is the script's. The script removes it.
pub(super) const ALONE: &str = r#"
alone() {
  lock=$1
  echo $$ >"$lock.$$"
  until ln "$lock.$$" "$lock" 2>/dev/null; do
    IFS= read -r owner 2>/dev/null <"$lock" || owner=
    # One that was killed has left it.
    if [ -n "$owner" ] && [ ! -e "/proc/$owner" ] && mkdir "$lock.mended" 2>/dev/null; then
      IFS= read -r again 2>/dev/null <"$lock" || again=
      [ "$again" != "$owner" ] || rm -f "$lock"
      rmdir "$lock.mended"
    fi
    sleep 0.2
  done
  rm -f "$lock.$$"
}
"#;

/// For a script: `began` tells one run of its container from another, by when its first process began.
pub(super) const BEGAN: &str = r#"
began() { cut -d ' ' -f 22 /proc/1/stat; }
"#;
