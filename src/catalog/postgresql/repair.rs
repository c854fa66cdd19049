//! Gets a user back in who has locked himself out.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::roles::{OWN, own_verifier, privileges, verifier};
use super::{PORT, names};
use crate::catalog::access::Access;
use crate::catalog::deployment::{Change, File, shell};
use crate::catalog::policy::Policy;
use crate::domain::service::Wish;

/// Reads the rest of a connection's parameters, up to a line of its own, and logs in with them, at the container's own address: the image trusts the
/// loopback address and the unix socket. They come in libpq's service file, so that they are in no process list.
const LOGIN: &str = r#"address=$(hostname -i | cut -d ' ' -f 1)
service() {
  printf '[login]\nhost=%s\nconnect_timeout=3\n' "$address"
  while IFS= read -r line && [ "$line" != . ]; do printf '%s\n' "$line"; done
}
said=$(service |
  PGSERVICEFILE=/dev/stdin timeout -k 1 5 psql -Xqtw service=login -c 'SELECT 1' 2>&1) && exit 0
case $said in
  *'password authentication failed'* | *'not permitted to log in'* | *'no pg_hba.conf entry'* | *'rejects connection'* | \
  *'does not exist'* | *'permission denied'* | *'not currently accepting connections'* | *'no password supplied'*) exit 3 ;;
  *) exit 1 ;;
esac"#;

pub(super) fn login(_: &Wish, access: &Access) -> Change {
    let (user, database) = names(access);
    let password = access.password.expose_secret();
    let port = PORT.to_string();
    let parameters = ["port=", &port, "\nuser=", user, "\ndbname=", database, "\npassword=", password, "\n.\n"];
    let input = Zeroizing::new(parameters.concat());
    Change { command: shell(LOGIN), user: "postgres", input: SecretString::from(input.as_str()) }
}

/// Runs before the server does, once for each time that it is made: it differs by its verifier. Who may connect is as the image
/// has it (docker-entrypoint.sh, `pg_setup_hba_conf`). What ALTER SYSTEM has set is put aside; so is the configuration that it
/// builds on, where the server can't read it. In single-user mode nobody is asked for a password, and one line is one
/// statement (PostgreSQL manual, postgres, "Options for Single-User Mode").
const SCRIPT: &str = r#"set -eu
here=/var/lib/postgresql/data/.service/repair
done=/var/lib/postgresql/data/.repaired
if [ -e "$done" ] && cmp -s "$here" "$done"; then exit 0; fi
[ -e "$PGDATA/PG_VERSION" ] || exit 0
cd "$PGDATA"
cp -f postgresql.auto.conf postgresql.auto.conf.before-repair 2>/dev/null || :
: >postgresql.auto.conf
cat >pg_hba.conf <<'HBA'
local all all trust
host all all 127.0.0.1/32 trust
host all all ::1/128 trust
local replication all trust
host replication all 127.0.0.1/32 trust
host replication all ::1/128 trust
host all all all scram-sha-256
HBA
if ! postgres -D "$PGDATA" -C max_connections >/dev/null 2>&1; then
  mv -f postgresql.conf postgresql.conf.before-repair 2>/dev/null || :
  : >postgresql.conf
fi
rm -f postmaster.pid
single() {
  postgres --single -D "$PGDATA" -c log_min_error_statement=panic -c search_path=pg_catalog template1 >/dev/null
}
"#;

/// What is put back depends on who is who in the data.
pub(super) fn file(access: &Access, policy: &Policy) -> File {
    let (user, database) = names(access);
    let make_user = format!(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{user}') THEN CREATE ROLE \"{user}\"; END IF; END $$"
    );
    let superuser = |role: &str| format!("ALTER ROLE \"{role}\" SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS");
    let (raise_sidecar, raise_user) = (superuser(OWN), superuser(user));
    let let_in = |role: &str, verifier: &str| {
        let reset = format!("ALTER ROLE \"{role}\" RESET ALL\nALTER ROLE \"{role}\" ");
        Zeroizing::new([&reset, "LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD '", verifier, "'"].concat())
    };
    let open = format!(
        "ALTER DATABASE \"{database}\" RESET ALL\n\
         ALTER DATABASE \"{database}\" ALLOW_CONNECTIONS true CONNECTION LIMIT -1"
    );
    // The bootstrap superuser has this number (PostgreSQL source, pg_authid.dat).
    let name = format!(
        "UPDATE pg_authid SET rolname = '{OWN}' WHERE oid = 10 AND NOT EXISTS (SELECT FROM pg_authid WHERE rolname = '{OWN}')"
    );
    let let_user_in = let_in(user, &verifier(access.passwords().last().unwrap_or_default()));
    let let_sidecar_in = let_in(OWN, &own_verifier(access));
    let rights = privileges(access, policy).join("\n");
    let own = [&name, &raise_sidecar, &*let_sidecar_in, &make_user, &let_user_in, &open, &rights].map(String::as_str);
    let old = [&make_user, &raise_user, &*let_user_in, &open].map(String::as_str);
    let (own, old) = (Zeroizing::new(own.join("\n")), Zeroizing::new(old.join("\n")));
    let text = [
        SCRIPT,
        "if grep -qsx project_services /var/lib/postgresql/data/.initialised; then\nsingle <<'SQL'\n",
        &own,
        "\nSQL\nelse\nsingle <<'SQL'\n",
        &old,
        "\nSQL\nfi\ncp -f \"$here\" \"$done\"\n",
    ];
    File { path: ".service/repair", content: Zeroizing::new(text.concat().into_bytes()), salted: true }
}
