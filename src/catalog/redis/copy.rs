//! A snapshot that the server makes beside what it works on (Redis manual, "Persistence") is the one file to copy.

use super::super::access::Access;
use super::super::copy::Copy;
use super::super::deployment::Change;
use super::super::script::ALONE;
use super::backup::{CLEAR, KEEP, PLACE, SNAPSHOT, in_version, logged_in};

pub const COPY: Copy = Copy { hold, release: "\n", copy, finish };

/// The snapshot goes when this ends.
const HOLD: &str = r#"
echo held
IFS= read -r _
rm -f "$file"
echo released
IFS= read -r _ || :"#;

fn hold(access: &Access) -> Change {
    logged_in(&[ALONE, SNAPSHOT, HOLD].concat(), access)
}

const COPY_IT: &str = r#"
cp --reflink=auto /source/dump.rdb "$place""#;

fn copy(version: &str) -> Change {
    in_version(&["set -eu", PLACE, CLEAR, COPY_IT].concat(), version)
}

/// The server's own program reads all of it, and the checksum at its end. It is the server, by another name.
const CHECK: &str = r#"
check=/tmp/redis-check-rdb
ln -sf "$(command -v redis-check-rdb || command -v redis-server)" "$check"
"$check" "$place" >/tmp/said 2>&1 || { tail -n 5 /tmp/said >&2; exit 1; }"#;

fn finish(_: &Access, version: &str, _told: &str) -> Change {
    in_version(&["set -eu", PLACE, CHECK, KEEP].concat(), version)
}
