//! Has the server take no more writes, by a role of ours that the service's user has instead of its own: it reads, and makes room.

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::backup::module;
use super::upgrade::UPGRADE_MODULE;
use super::{MONGOSH, ROLES, connect_own, names, users_with};
use crate::catalog::StorageGuard;
use crate::catalog::access::Access;
use crate::catalog::deployment::{Change, shell};
use crate::catalog::script::TOLD;
use crate::domain::service::Wish;

pub const GUARD: StorageGuard = StorageGuard { forbid, allow };

/// The role's name, in the service's database.
const FULL: &str = "project_services_full";

/// Of what the user's own roles permit (MongoDB manual, "Built-In Roles"). A collection gives its room back when it is dropped, or
/// compacted. A server that has no roles of its users' own answers that there is no such command: it goes on, as one does that has no
/// guard.
const ROLE: &str = r#"
const make = (command) => server.getDB(DATABASE).runCommand({
  [command]: ROLE,
  privileges: [{resource: {db: DATABASE, collection: ""}, actions: ["remove", "dropCollection", "dropIndex", "dropDatabase", "compact"]}],
  roles: [{role: "read", db: DATABASE}],
});
try {
  make("createRole");
} catch (error) {
  if (error.codeName === "CommandNotFound") process.exit(0);
  if (error.code !== 51002) throw error;
  make("updateRole");
}
"#;

/// What the user began is ended, for it was permitted then.
const FORBID: &str = r#"
script=$(lines)
call "$script" "end(server, '$1', '$2')""#;

const ALLOW: &str = r#"
script=$(lines)
in_mongosh "$script" 20"#;

fn forbid(_: &Wish, access: &Access) -> Change {
    let (_, database) = names(access);
    let role = format!("const [DATABASE, ROLE] = [\"{database}\", \"{FULL}\"];{ROLE}");
    change(access, FORBID, &role, &format!("[\"{FULL}\"]"))
}

fn allow(_: &Wish, access: &Access) -> Change {
    change(access, ALLOW, "", ROLES)
}

fn change(access: &Access, script: &str, first: &str, roles: &str) -> Change {
    let (user, database) = names(access);
    let mut command = shell(&[TOLD, MONGOSH, &module(UPGRADE_MODULE), script].concat());
    command.extend(["change", database, user].map(str::to_owned));
    let users = users_with(access, roles);
    let input = Zeroizing::new([connect_own(access).as_str(), first, &users, ".\n"].concat());
    Change { command, user: "mongodb", input: SecretString::from(input.as_str()) }
}
