//! Each object as it was at some moment while the backup was taken, by bash and the little else that the image has.
//!
//! An object is a document, and parts that it names; what small ones hold is in the document. A document is exchanged by
//! name, once its parts are there, and its parts go when it has gone (MinIO, `xlStorage.RenameData` and `writeAllMeta`). So
//! where one is the same file before its parts were linked and after, it has all of them.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::PORT;
use crate::catalog::access::Access;
use crate::catalog::backup::{Backup, PIECES};
use crate::catalog::deployment::Change;
use crate::catalog::s3;

pub const BACKUP: Backup = Backup {
    content: "minio-files",
    take,
    lay_out,
    settle: None,
    // The file of keys does that.
    admit: None,
    check,
    copy: None,
    is_in_memory: false,
};

const BEGIN: &str = r#"set -euo pipefail
shopt -s globstar dotglob nullglob
fail() { printf '%s\n' "$1" >&2; exit 1; }
many=200
batches() {
  local verb=$1
  shift
  while [[ $# -gt 0 ]]; do
    "$verb" "${@:1:many}"
    shift $(($# < many ? $# : many))
  done
}
"#;

/// Links keep what is to flow, and take no space of their own. Parts of uploads that are not complete are no objects. What a
/// document is the same file as can't be another one meanwhile, for a link holds it.
const HOLD: &str = r#"
cd /data/files
for left in /data/.held/*; do
  owner=${left##*/}
  [[ -e /proc/$owner && -e /tmp/held.$owner ]] || rm -rf "$left" "/tmp/held.$owner"
done
held=/data/.held/$$
trap 'rm -rf "$held" "/tmp/held.$$"' EXIT
trap 'exit 1' TERM INT HUP PIPE
: >"/tmp/held.$$"
mkdir -p "$held"
link() { cp -l --parents -- "$@" "$held" 2>/dev/null; }
# What is gone by then is left out, which shows below.
link_some() { link "$@" || :; }
again() {
  local object=${1%/xl.meta} tries=0
  until [[ $1 -ef $held/$1 ]]; do
    rm -f -- "$held/$1" "$held/$object"/*/part.*
    [[ -e $1 ]] || return 0
    [[ $tries -lt 1000 ]] || fail "It is written all the time: $1"
    tries=$((tries + 1))
    link "$1" || continue
    local parts=("$object"/*/part.*)
    # Where one is gone the document is another one, and this is of no use.
    [[ ${#parts[@]} = 0 ]] || link "${parts[@]}" || rm -f -- "$held/$1"
  done
}
documents=("$1"/**/xl.meta .minio.sys/{buckets,config,pool.bin}/**/xl.meta)
batches link_some .minio.sys/format.json "${documents[@]}"
parts=("$1"/**/part.* .minio.sys/{buckets,config}/**/part.*)
batches link_some "${parts[@]}"
for document in "${documents[@]}"; do
  [[ -d $document || $document -ef $held/$document ]] || again "$document"
done
for part in "${parts[@]}"; do
  [[ -d $part || -e $held/$part || ! -e $part || ! -e $held/${part%/*/*}/xl.meta ]] || fail "It could not be linked: $part"
done
"#;

/// The bucket, and then of some files at a time their lengths and names, and what they hold.
const GIVE: &str = r#"
cd "$held"
give() {
  local lengths path n=0
  mapfile -t lengths < <(stat -c %s -- "$@")
  [[ ${#lengths[@]} = $# ]] || fail 'Not all of it is there.'
  for path; do
    printf '%s %s\0' "${lengths[n++]}" "$path"
  done
  printf '\0'
  cat -- "$@"
}
files=()
for path in .minio.sys/format.json **/xl.meta; do
  [[ ! -f $path ]] || files+=("$path")
done
for path in **/part.*; do
  [[ ! -f $path || ! -f ${path%/*/*}/xl.meta ]] || files+=("$path")
done
printf '%s\0' "$1"
batches give "${files[@]}"
printf 'end\0'
version=$(minio --version)
printf 'fact:server version=%s\n' "${version%%$'\n'*}" >&2"#;

fn take(access: &Access) -> Change {
    by_bash(&[BEGIN, HOLD, GIVE], access, "")
}

const LAY_OUT: &str = r#"
cd /data
first() {
  [ $(($1 / 65536)) = 0 ] || dd bs=65536 count=$(($1 / 65536)) iflag=fullblock 2>/dev/null
  [ $(($1 % 65536)) = 0 ] || dd bs=$(($1 % 65536)) count=1 iflag=fullblock 2>/dev/null
}
lay() {
  IFS= read -r -d '' bucket
  mkdir -p "files/$bucket"
  local entries=() entry path directories
  while IFS= read -r -d '' entry && [[ $entry != end ]]; do
    if [[ -n $entry ]]; then
      entries+=("$entry")
      continue
    fi
    directories=()
    for entry in "${entries[@]}"; do
      path=files/${entry#* }
      directories+=("${path%/*}")
    done
    mkdir -p -- "${directories[@]}"
    for entry in "${entries[@]}"; do
      first "${entry%% *}" >"files/${entry#* }"
    done
    entries=()
  done
  [[ ${entry:-} = end ]]
}
pieces | lay
told nothing
sync
: >.initialised
sync .initialised . 2>/dev/null || sync"#;

fn lay_out(_: &str, _: bool) -> Change {
    let script = [PIECES, BEGIN, LAY_OUT].concat();
    Change { command: words(&script), user: "root", input: SecretString::default() }
}

/// The image's client reads every object, which the server compares with its checksums.
const CHECK: &str = r#"
IFS= read -r MC_HOST_own
export MC_HOST_own MC_CONFIG_DIR=/tmp/.mc GOMEMLIMIT=64MiB
mc find "own/$1" >/tmp/objects 2>/tmp/said || fail "It does not tell what it holds: $(cat /tmp/said)"
objects=0
bytes=0
while mapfile -t -n $many some && [[ ${#some[@]} -gt 0 ]]; do
  here=$(mc cat -- "${some[@]}" 2>/tmp/said | wc -c) || fail "It can't be read: $(cat /tmp/said)"
  objects=$((objects + ${#some[@]}))
  bytes=$((bytes + here))
done </tmp/objects
printf 'fact:objects of %s=%s\nfact:bytes of %s=%s\nfact:read by=%s\n' "$1" $objects "$1" $bytes 'mc cat'"#;

fn check(access: &Access) -> Change {
    let (key, _) = s3::names(access);
    let secret = access.password.expose_secret();
    let input = Zeroizing::new(["http://", key, ":", secret, "@127.0.0.1:", &PORT.to_string(), "\n"].concat());
    by_bash(&[BEGIN, CHECK], access, &input)
}

fn by_bash(parts: &[&str], access: &Access, input: &str) -> Change {
    let (_, bucket) = s3::names(access);
    let mut command = words(&parts.concat());
    command.push(bucket.to_owned());
    Change { command, user: "root", input: SecretString::from(input) }
}

fn words(script: &str) -> Vec<String> {
    ["bash", "-c", script, "backup"].map(str::to_owned).to_vec()
}
