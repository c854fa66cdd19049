//! To another major version by what a dump would hold, which goes from server to server: the service's database, which is all
//! that its user can write to. A server of any later version takes it, whatever its features are set to.
//!
//! Meanwhile the user may read and do nothing else. The server heeds that from the next command on, whoever is connected (MongoDB
//! manual, "Role-Based Access Control"), and what has begun by then is ended. It is so until a container is made anew, which tells
//! the users anew.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::backup::module;
use super::{MONGOSH, OWN, PORT, ROLES, connect, connect_own, names, url, users_with};
use crate::catalog::access::Access;
use crate::catalog::deployment::{Change, shell};
use crate::catalog::inquiry::{Answer, Inquiry};
use crate::catalog::script::{ALONE, BEGAN, TOLD};
use crate::catalog::upgrade::{Transfer, Upgrade, Written};

pub const UPGRADE: Upgrade = Upgrade { check, freeze, copy, compare, close, thaw, written: Written { ask, read } };

/// What the module of an archive has besides.
pub(super) const UPGRADE_MODULE: &str = include_str!("upgrade.js");

/// What comes by standard input: how to connect to the old server, as `from` where this is the new one, and a script of the users.
const WHO: &str = r#"
connect=$(lines)
users=$(lines)
"#;

const END: &str = r#"
call "$connect$users" "end(server, '$1', '$2')" >/dev/null
"#;

fn check(transfer: &Transfer<'_>) -> Change {
    in_the_new(transfer, r#"in_mongosh "$connect""#)
}

fn copy(transfer: &Transfer<'_>) -> Change {
    in_the_new(transfer, r#"call "$connect" "copy(from, server, $4, own, '$1')""#)
}

fn compare(transfer: &Transfer<'_>) -> Change {
    in_the_new(transfer, r#"call "$connect" "compare(from, server, '$1', EJSON)""#)
}

fn freeze(transfer: &Transfer<'_>) -> Change {
    in_the_old(transfer, &[END, "began"].concat(), r#"["read"]"#)
}

fn close(transfer: &Transfer<'_>) -> Change {
    const SAME: &str = r#"
[ "$(began)" = "${3##*[!0-9]}" ] || { echo "It was restarted while it was being copied, and may have been written to since."; exit 1; }"#;
    in_the_old(transfer, &[END, SAME].concat(), "[]")
}

fn thaw(transfer: &Transfer<'_>) -> Change {
    in_the_old(transfer, r#"in_mongosh "$connect$users" 60"#, ROLES)
}

fn in_the_new(transfer: &Transfer<'_>, script: &str) -> Change {
    let own = transfer.access.own_password();
    let from = connect(&url(OWN, own.expose_secret(), transfer.from, "admin"));
    let from = Zeroizing::new(from.replacen("const server", "const from", 1));
    let own = ["const own = [\"", OWN, "\", \"", own.expose_secret(), "\"];\n"];
    let own = Zeroizing::new(own.concat());
    change(transfer, script, &[&connect_own(transfer.access), &from, &own], "")
}

/// What was left behind by a sidecar that was killed comes to its end before.
const IN_THE_OLD: &str = r#"
alone /tmp/upgrade.lock
trap 'rm -f /tmp/upgrade.lock' EXIT
"#;

fn in_the_old(transfer: &Transfer<'_>, script: &str, roles: &str) -> Change {
    let script = [ALONE, IN_THE_OLD, script].concat();
    change(transfer, &script, &[&connect_own(transfer.access)], &users_with(transfer.access, roles))
}

fn change(transfer: &Transfer<'_>, script: &str, connect: &[&str], users: &str) -> Change {
    let (user, database) = names(transfer.access);
    let mut command = shell(&[TOLD, MONGOSH, &module(UPGRADE_MODULE), BEGAN, WHO, script].concat());
    command.extend(["upgrade", database, user, transfer.mark, &PORT.to_string()].map(str::to_owned));
    let connect = Zeroizing::new(connect.concat());
    let input = Zeroizing::new([connect.as_str(), ".\n", users, ".\n"].concat());
    Change { command, user: "mongodb", input: SecretString::from(input.as_str()) }
}

/// For each collection the server counts what wrote to it since its start (MongoDB manual, `top`).
const COUNT: &str = r#"
connect=$(lines)
in_mongosh "$connect
const { totals } = server.getDB('admin').runCommand({top: 1});
const theirs = Object.entries(totals).filter(([name]) => name.startsWith('$1.'));
print(theirs.reduce((sum, [, { writeLock }]) => sum + Number(writeLock.count), 0));" 10"#;

fn ask(access: &Access) -> Inquiry {
    let (_, database) = names(access);
    let mut command = shell(&[TOLD, MONGOSH, COUNT].concat());
    command.extend(["written", database].map(str::to_owned));
    let input = Zeroizing::new([connect_own(access).as_str(), ".\n"].concat());
    let (input, limit) = (SecretString::from(input.as_str()), Duration::from_secs(12));
    Inquiry { command, user: "mongodb", input, limit, kept: 1 << 16 }
}

fn read(answer: &Answer) -> Option<String> {
    let text = std::str::from_utf8(&answer.stdout).ok().filter(|_| answer.exit_code == Some(0))?;
    let operations: u64 = text.trim().parse().ok()?;
    Some(format!("since its last start {operations} operations wrote to it"))
}

#[cfg(test)]
mod tests {
    use super::super::DEFINITION;
    use super::*;
    use crate::catalog::access::Seed;
    use crate::catalog::policy::Policy;
    use crate::domain::service::{Power, Wish};

    #[test]
    fn while_it_is_copied_the_user_may_read_and_then_nothing_until_it_is_as_before() {
        let access = Access::with_database(&Seed([9; 40]));
        let tier = DEFINITION.offer.as_ref().unwrap().tiers[0];
        let wish = Wish { kind: DEFINITION.kind, version: "7.0".to_owned(), tier, power: Power::On };
        let policy = Policy::default();
        let transfer = Transfer { wish: &wish, access: &access, policy: &policy, from: "old", mark: "1" };
        let Upgrade { freeze, close, thaw, .. } = UPGRADE;
        for (told, roles) in [(freeze, r#"["read"]"#), (close, "[]"), (thaw, r#"["readWrite", "dbAdmin"]"#)] {
            let input = told(&transfer).input.expose_secret().to_owned();
            let is = [access.password.expose_secret(), "\", ", roles, "]]"].concat();
            assert!(input.contains(&is), "{roles}");
        }
        for made in [UPGRADE.check, UPGRADE.copy, UPGRADE.compare, freeze, close, thaw] {
            let words = made(&transfer).command.concat();
            for password in [&access.password, &access.own_password()] {
                assert!(!words.contains(password.expose_secret()), "it is told by standard input alone");
            }
        }
    }

    #[test]
    fn what_was_written_is_told_where_the_server_counts_it() {
        let answer = |exit_code, text: &str| Answer { exit_code, stdout: text.into(), stderr: Vec::new() };
        assert_eq!(read(&answer(Some(0), "12\n")).unwrap(), "since its last start 12 operations wrote to it");
        assert_eq!(read(&answer(Some(1), "")), None);
    }
}
