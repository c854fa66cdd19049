//! Who is who in a server: the sidecar has a role of its own, which is the bootstrap superuser that nobody can drop, and the
//! service's user owns its database.
//!
//! Data that an earlier version of the sidecar laid out has no such role: there the service's user is the bootstrap superuser,
//! and stays so, for PostgreSQL lets nobody demote it. The mark in the volume tells the two apart, so that it goes wherever the
//! data goes.

use postgres_protocol::password::scram_sha_256;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::names;
use crate::catalog::access::Access;
use crate::catalog::deployment::File;
use crate::catalog::policy::{Extension, Policy};

/// The sidecar's own role. Scripts have it as it is.
pub(super) const OWN: &str = "project_services";

/// For a script that is given the service's user and database as $1 and $2: whom the sidecar's statements are run by, and in
/// which database. The sidecar's role keeps to one that no user owns, so that no user's settings or functions are in its way.
pub(super) const WHO: &str = r"
role=$1 home=$2
if grep -qsx project_services /var/lib/postgresql/data/.initialised; then role=project_services home=postgres; fi
";

/// Marks, durably, that the database is initialised, and whose it is. Runs before anybody can connect over TCP, so what it
/// guards can't have been written to yet.
pub(super) const MARK: &str = "mark=/var/lib/postgresql/data/.initialised\n\
    echo project_services >\"$mark.new\"\n\
    sync \"$mark.new\" 2>/dev/null || sync\n\
    mv \"$mark.new\" \"$mark\"\n\
    sync \"$mark\" /var/lib/postgresql/data 2>/dev/null || sync\n";

/// What gives whoever has it the files and programs of the server, and so the rights of a superuser (PostgreSQL manual,
/// "Predefined Roles").
const POWERS: &str = "'pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files'";

/// What a server stores of a password (PostgreSQL manual, CREATE ROLE, PASSWORD), so that the password itself never enters the
/// container.
pub(super) fn verifier(password: &str) -> Zeroizing<String> {
    Zeroizing::new(scram_sha_256(password.as_bytes()))
}

/// The verifier of the sidecar's role.
pub(super) fn own_verifier(access: &Access) -> Zeroizing<String> {
    verifier(access.own_password().expose_secret())
}

/// Statements, each in one line, by which the service's user is what `policy` lets it be and owns its database, and by which
/// nobody else is more than that.
pub(super) fn privileges(access: &Access, policy: &Policy) -> Vec<String> {
    let (user, database) = names(access);
    let attributes = match policy.superuser {
        true => "SUPERUSER REPLICATION BYPASSRLS",
        false => "NOSUPERUSER NOREPLICATION NOBYPASSRLS",
    };
    let mut statements = vec![
        format!("ALTER ROLE \"{user}\" LOGIN INHERIT CREATEDB CREATEROLE {attributes}"),
        format!("GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO \"{user}\" WITH ADMIN OPTION"),
        format!("ALTER DATABASE \"{database}\" OWNER TO \"{user}\""),
        // Up to PostgreSQL 15 CREATEROLE is enough to grant any role that is no superuser.
        format!(
            "UPDATE pg_authid SET rolsuper = {} WHERE rolname IN ({POWERS}) \
             AND current_setting('server_version_num')::integer < 160000",
            !policy.superuser
        ),
    ];
    if !policy.superuser {
        statements.push(format!(
            "DO $$ DECLARE item record; BEGIN \
             FOR item IN SELECT rolname FROM pg_roles WHERE rolsuper AND oid <> 10 AND rolname !~ '^pg_' LOOP \
             EXECUTE format('ALTER ROLE %I NOSUPERUSER', item.rolname); END LOOP; \
             FOR item IN SELECT roleid::regrole AS power, member::regrole AS member, grantor::regrole AS grantor \
             FROM pg_auth_members JOIN pg_roles ON pg_roles.oid = roleid WHERE rolname IN ({POWERS}) LOOP \
             EXECUTE format('REVOKE %s FROM %s GRANTED BY %s CASCADE', item.power, item.member, item.grantor); END LOOP; \
             END $$"
        ));
    }
    statements
}

/// The image runs it at the first start, before [`MARK`], with a server that nobody else reaches. What can't be created of the
/// operator's extensions is told in the container's log and left out.
pub(super) fn first_start(access: &Access, policy: &Policy) -> File {
    let (user, database) = names(access);
    let say = |database: &str| {
        format!("psql -Xqw -v ON_ERROR_STOP=1 -h /var/run/postgresql -U {OWN} -d {database} <<'SQL'\n")
    };
    let (create, verifier) = (extensions(&policy.extensions), verifier(access.password.expose_secret()));
    let create_in = |database| [&say(database), &create, ";\nSQL\n"].concat();
    let script = [
        &say("postgres"),
        "SET log_statement = 'none';\nCREATE ROLE \"",
        user,
        "\" PASSWORD '",
        &verifier,
        "';\n",
        &privileges(access, policy).join(";\n"),
        ";\nSQL\n",
        &create_in("template1"),
        &create_in(database),
    ];
    File { path: "create-user.sh", content: Zeroizing::new(script.concat().into_bytes()), salted: true }
}

/// Creates what is wanted and there.
fn extensions(wanted: &[Extension]) -> String {
    let names: Vec<_> = wanted.iter().map(|extension| format!("'{}'", extension.as_str())).collect();
    format!(
        "DO $$ DECLARE wanted text; BEGIN FOREACH wanted IN ARRAY ARRAY[{}]::text[] LOOP \
         BEGIN EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I CASCADE', wanted); \
         EXCEPTION WHEN OTHERS THEN RAISE WARNING 'The extension % is left out: %', wanted, SQLERRM; END; \
         END LOOP; END $$",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::access::Seed;
    use super::*;

    fn text(file: &File) -> String {
        String::from_utf8(file.content.to_vec()).unwrap()
    }

    #[test]
    fn a_user_is_a_superuser_only_where_the_operator_says_so() {
        let access = Access::with_database(&Seed([9; 40]));
        for (superuser, attribute, other) in
            [(false, " NOSUPERUSER ", " SUPERUSER "), (true, " SUPERUSER ", " NOSUPERUSER")]
        {
            let policy = Policy { superuser, ..Policy::default() };
            let statements = privileges(&access, &policy);
            assert!(statements.iter().all(|statement| !statement.contains('\n')), "{statements:?}");
            assert!(statements[0].contains(attribute) && !statements.concat().contains(other), "{statements:?}");
        }
    }

    #[test]
    fn a_first_start_tells_no_password_and_has_the_extensions_of_the_operator() {
        let access = Access::with_database(&Seed([9; 40]));
        let plain = text(&first_start(&access, &Policy::default()));
        for secret in access.passwords().chain([access.own_password().expose_secret()]) {
            assert!(!plain.contains(secret));
        }
        assert_eq!(plain.matches("ARRAY[]::text[]").count(), 2);
        let extensions = ["dblink", "uuid-ossp"].map(|name| name.parse().unwrap()).to_vec();
        let script = text(&first_start(&access, &Policy { extensions, ..Policy::default() }));
        assert_eq!(script.matches("ARRAY['dblink', 'uuid-ossp']::text[]").count(), 2);
    }
}
