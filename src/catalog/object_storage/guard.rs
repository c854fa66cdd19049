//! Has the server take no more writes into the bucket, of which it tells in its own configuration: reads and deletes go on.

use secrecy::SecretString;

use super::USER;
use super::backup::FORGET;
use crate::catalog::access::Access;
use crate::catalog::deployment::{Change, shell};
use crate::catalog::s3;
use crate::catalog::{StorageGuard, Wish};

pub const GUARD: StorageGuard = StorageGuard { forbid, allow };

/// `configure` changes what is kept of the bucket $1 for the filer, and shows it.
pub(super) const CONFIGURE: &str = r#"
configure() {
  place=/buckets/$1/
  shift
  printf '%s\n' "fs.configure -locationPrefix=$place $* -apply" fs.configure |
    timeout 10 weed shell -master=127.0.0.1:9333 -filer=127.0.0.1:8888 2>&1 || :
}
writable() {
  said=$(configure "$1" -delete)
  case $said in
    *'"readOnly":  true'* | *rror:*) ;;
    *'"locations":'*) return 0 ;;
  esac
  printf 'It does not take it: %s\n' "$said" >&2
  return 1
}
"#;

/// What is deleted is so in its index only, until its volume is made anew without it. That is done by itself where it is three
/// tenths of one, and seldom; here it is done for as long as nothing is written, for the smallest part that lets it have room again.
const FORBID: &str = r#"
forget
said=$(configure "$1" -readOnly=true)
case $said in
  *rror:* | *'"readOnly":  false'*) ;;
  *'"readOnly":  true'*) is_closed=yes ;;
esac
[ -n "${is_closed:-}" ] || { printf 'It does not take it: %s\n' "$said" >&2; exit 1; }
echo $$ >/tmp/full
# Another one that is told the same goes on instead.
while [ "$(cat /tmp/full 2>/dev/null)" = $$ ]; do
  wget -q -O /dev/null 'http://127.0.0.1:9333/vol/vacuum?garbageThreshold=0.05' || :
  sleep 3
done </dev/null >/dev/null 2>&1 &"#;

const ALLOW: &str = r#"
writable "$1"
rm -f /tmp/full"#;

fn forbid(_: &Wish, access: &Access) -> Change {
    change(&[FORGET, CONFIGURE, FORBID], access)
}

fn allow(_: &Wish, access: &Access) -> Change {
    change(&[CONFIGURE, ALLOW], access)
}

fn change(parts: &[&str], access: &Access) -> Change {
    let (_, bucket) = s3::names(access);
    let mut command = shell(&["set -eu", &parts.concat()].concat());
    command.extend(["change", bucket].map(str::to_owned));
    Change { command, user: USER, input: SecretString::default() }
}
