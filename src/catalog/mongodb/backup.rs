//! A logical dump as mongodump writes one (mongo-tools, common/archive/spec.md), by the server's own shell: it goes into a server
//! of any later version as well. A server that is no replica set has no moment in common for its collections: each is read
//! after the other, and what is written meanwhile may be in it or not.

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{ALONE, MONGOSH, connect_own, names};
use crate::catalog::access::Access;
use crate::catalog::backup::{Backup, PIECES};
use crate::catalog::deployment::{Change, shell};
use crate::catalog::dump::Dump;
use crate::catalog::script::TOLD;

/// What the shell is given to write and read one.
const ARCHIVE: &str = include_str!("archive.js");

pub const BACKUP: Backup = Backup {
    content: "mongodump-archive",
    take,
    lay_out,
    settle: None,
    // Each container lets in whom its access names.
    admit: None,
    check,
    copy: None,
    is_in_memory: false,
};

/// What `mongorestore --archive` reads: the service's database, without its users.
pub const DUMP: Dump = Dump { extension: "archive", take };

/// Does $1, a call of the module, until it has ended. Nothing but the module's own text can end that.
const CALL: &str = r#"
call() {
  in_mongosh "$1
require(process.env.HOME + '/module.js').$2.catch((error) => {
  console.error(error.message);
  process.exit(1);
});" '' "$module"
}
"#;

/// For a script: `call` calls what the module of an archive exports, and `more` that stands behind it.
pub(super) fn module(more: &str) -> String {
    ["\nmodule=$(cat <<'MODULE'\n", ARCHIVE, more, "MODULE\n)\n", CALL].concat()
}

fn take(access: &Access) -> Change {
    // Whatever the shell itself has to say is no part of it.
    as_ours(r#"call "$connect" "dump(server, '$1', '/dev/fd/5', EJSON)" 5>&1 1>&2"#, access)
}

fn check(access: &Access) -> Change {
    let script = r#"call "$connect" "check(server, '$1')"
echo 'fact:read by=validate' >&2"#;
    as_ours(script, access)
}

fn as_ours(script: &str, access: &Access) -> Change {
    let (_, database) = names(access);
    let mut command = shell(&[TOLD, MONGOSH, &module(""), "connect=$(lines)\n", script].concat());
    command.extend(["backup", database].map(str::to_owned));
    let input = Zeroizing::new([connect_own(access).as_str(), ".\n"].concat());
    Change { command, user: "mongodb", input: SecretString::from(input.as_str()) }
}

/// It goes into a server that nobody reaches, which is then ended as one is that is stopped. A volume that is marked has all of it.
const LAY_OUT: &str = r#"
cd /data/db
rm -rf data .initialised
mkdir data
begin >/tmp/said 2>&1 || { tail -n 20 /tmp/said >&2; exit 1; }
pieces | {
  call "const server = new Mongo('mongodb://127.0.0.1:27018/');" "load(server, 27018, '/dev/fd/0', EJSON)" && cat >/dev/null
}
told nothing
end
echo laid out >.initialised
sync .initialised . 2>/dev/null || sync"#;

fn lay_out(_: &str, _: bool) -> Change {
    let script = [PIECES, MONGOSH, ALONE, &module(""), LAY_OUT].concat();
    Change { command: shell(&script), user: "mongodb", input: SecretString::default() }
}
