//! Statements that read, by a role that can do nothing else.
//!
//! The statement reaches the server in hexadecimal digits, within a block of PL/pgSQL that opens a cursor for it. So psql
//! reads nothing of it, whatever is in it; a cursor takes one statement alone, and only one that gives rows; and the
//! transaction around it is read-only, can't be made another any more, and is rolled back.

use std::time::Duration;

use secrecy::SecretString;

use super::super::access::{Access, hex};
use super::super::deployment::shell;
use super::super::inquiry::{Answer, Inquiry, MAX_BYTES, MAX_ITEMS, Refusal, SqlConsole};
use super::names;
use super::roles::WHO;
use crate::domain::console::Table;
use crate::domain::service::{TierSpec, Wish};

pub const CONSOLE: SqlConsole = SqlConsole { ask, read };

/// Longer than all that [`ASK`] does may take.
const LIMIT: Duration = Duration::from_secs(15);
/// The page, the names of its columns, and room for what the server says besides.
const KEPT: usize = MAX_BYTES + (1 << 20);
/// What [`ASK`] exits with where the role could not be made.
const NO_ROLE: i64 = 90;
/// The same, since the server did not answer.
const NO_ANSWER: i64 = 91;
/// What psql exits with where a statement failed, and where there is no connection (PostgreSQL manual, psql, "Exit Status").
const FAILED: i64 = 3;
const NOT_CONNECTED: i64 = 2;
/// What timeout(1) exits with where it ended psql: its own code, or that of SIGTERM.
const TOO_LONG: [i64; 2] = [124, 143];

/// Has the sidecar's role, or of old data the user $1 of the database $2, do the set-up $3, and then the role of ours what comes by standard input. Only its own
/// container lets that role in, on the unix socket, for it has no password.
///
/// Nothing may run on once nobody waits for it: the server ends statements in time and looks whether psql is still there.
/// What withstands that, such as a function that goes on whatever happens, is ended by the set-up.
const ASK: &str = r#"export PGCLIENTENCODING=UTF8
set_up() {
  PGOPTIONS='-c search_path=pg_catalog,pg_temp -c default_transaction_read_only=off -c statement_timeout=2s
    -c synchronous_commit=local -c client_min_messages=error' \
    timeout -k 1 2 psql -Xqwt -v VERBOSITY=terse -c "$3" "host=/var/run/postgresql user=$role dbname=$home" </dev/null 2>&1
}
code=0
refusal=$(set_up "$@") || code=$?
[ $code -lt 124 ] || exit 91
[ $code = 0 ] || { printf '%s\n' "$refusal" >&2; exit 90; }
PGOPTIONS='-c default_transaction_read_only=on -c statement_timeout=10s -c lock_timeout=5s
  -c idle_in_transaction_session_timeout=5s -c client_connection_check_interval=1s -c client_min_messages=error
  -c max_parallel_workers_per_gather=0' \
  timeout -k 1 11 psql -Xqw --csv -v ON_ERROR_STOP=1 -v SHOW_CONTEXT=never \
  "host=/var/run/postgresql user=project_services_reader dbname=$2" || code=$?
[ $code -lt 124 ] || set_up "$@" >/dev/null || :
exit $code"#;

/// Makes the role, and puts it right if somebody has changed it. What others do the same moment waits for the lock. The
/// server's log tells nothing of what the role does (PostgreSQL manual, "When to Log": LOG comes after ERROR there).
const SET_UP: &str = r"DO $set_up$
DECLARE
  wanted text[] := ARRAY['log_min_error_statement=panic', 'log_min_messages=fatal', 'temp_file_limit=TEMP_MIBMB'];
  item record;
BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE usename = 'project_services_reader' AND backend_start < clock_timestamp() - interval '10 s';
  FOR attempt IN 1..2 LOOP
    IF EXISTS (SELECT FROM pg_authid role WHERE rolname = 'project_services_reader'
        AND rolcanlogin AND rolinherit AND rolbypassrls AND rolpassword IS NULL AND rolvaliduntil = 'infinity'
        AND NOT (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication) AND rolconnlimit = 4
        AND pg_has_role(oid, 'pg_read_all_data', 'USAGE')
        AND 1 = (SELECT count(*) FROM pg_auth_members WHERE member = role.oid)
        AND wanted = (SELECT array_agg(setting ORDER BY setting) FROM pg_db_role_setting, unnest(setconfig) setting
          WHERE setrole = role.oid)
        AND 1 = (SELECT count(*) FROM pg_db_role_setting WHERE setrole = role.oid)) THEN
      RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('project_services_reader', 0));
  END LOOP;
  IF NOT EXISTS (SELECT FROM pg_authid WHERE rolname = 'project_services_reader') THEN
    CREATE ROLE project_services_reader;
    COMMENT ON ROLE project_services_reader IS 'Reads for the SQL console of Project Services, from inside the container.';
  END IF;
  ALTER ROLE project_services_reader LOGIN INHERIT BYPASSRLS NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION
    CONNECTION LIMIT 4 PASSWORD NULL VALID UNTIL 'infinity';
  FOR item IN SELECT roleid::regrole AS granted, grantor::regrole AS grantor FROM pg_auth_members
      WHERE member = 'project_services_reader'::regrole LOOP
    EXECUTE format('REVOKE %s FROM project_services_reader GRANTED BY %s', item.granted, item.grantor);
  END LOOP;
  GRANT pg_read_all_data TO project_services_reader;
  FOR item IN SELECT datname FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
      WHERE setrole = 'project_services_reader'::regrole LOOP
    EXECUTE format('ALTER ROLE project_services_reader IN DATABASE %I RESET ALL', item.datname);
  END LOOP;
  ALTER ROLE project_services_reader RESET ALL;
  ALTER ROLE project_services_reader SET log_min_error_statement = 'panic';
  ALTER ROLE project_services_reader SET log_min_messages = 'fatal';
  ALTER ROLE project_services_reader SET temp_file_limit = 'TEMP_MIBMB';
END
$set_up$";

/// Rows come as PostgreSQL writes composite values, one a line, after whether there are more and how many milliseconds it
/// took. The server counts them, so that psql never has to keep more than a page.
///
/// A container that needs too much memory has the kernel kill one of the server's processes, at which the server ends all
/// the others. The limit for the one process makes of that an error of the statement; without prlimit(1), which the official
/// image has, it goes on without.
const SCRIPT: &str = r"SELECT pg_catalog.pg_backend_pid() AS pid \gset
\setenv SERVER_PROCESS :pid
\! prlimit --pid $SERVER_PROCESS --data=MEMORY </dev/null >/dev/null 2>&1 || :
BEGIN READ ONLY;
DO $$
DECLARE result refcursor := 'result';
BEGIN
  OPEN result NO SCROLL FOR EXECUTE pg_catalog.convert_from(pg_catalog.decode('STATEMENT', 'hex'), 'UTF8');
END
$$;
FETCH 0 FROM result;
DO $$
DECLARE
  result refcursor := 'result';
  answer refcursor := 'answer';
  item record;
  line text;
  page text := '';
  items int := 0;
  more bool := false;
BEGIN
  LOOP
    FETCH result INTO item;
    EXIT WHEN NOT FOUND;
    items := items + 1;
    more := items > MAX_ITEMS;
    EXIT WHEN more;
    line := item::text || E'\n';
    more := octet_length(page) + octet_length(line) > MAX_BYTES;
    EXIT WHEN more;
    page := page || line;
  END LOOP;
  OPEN answer FOR SELECT more::text || ' '
    || (extract(epoch FROM clock_timestamp() - transaction_timestamp()) * 1000)::int || E'\n' || page;
END
$$;
\pset format unaligned
\pset tuples_only on
FETCH ALL FROM answer;
ROLLBACK;
\q
";

fn ask(wish: &Wish, access: &Access, statement: &str) -> Inquiry {
    let (user, database) = names(access);
    let TierSpec { memory_mib, storage_mib, .. } = wish.tier;
    let mut command = shell(&["set -eu", WHO, ASK].concat());
    let set_up = SET_UP.replace("TEMP_MIB", &(storage_mib / 8).to_string());
    command.extend(["console", user, database, &set_up].map(str::to_owned));
    let script = SCRIPT
        .replace("MEMORY", &(u64::from(memory_mib / 8) << 20).to_string())
        .replace("MAX_ITEMS", &MAX_ITEMS.to_string())
        .replace("MAX_BYTES", &MAX_BYTES.to_string())
        .replace("STATEMENT", &hex(statement.as_bytes()));
    Inquiry { command, user: "postgres", input: SecretString::from(script), limit: LIMIT, kept: KEPT }
}

fn read(answer: &Answer, statement: &str) -> Result<Table, Refusal> {
    let said = String::from_utf8_lossy(&answer.stderr);
    match answer.exit_code {
        Some(0) => table(&answer.stdout).ok_or_else(|| Refusal::Server("its answer can't be understood".to_owned())),
        Some(code) if TOO_LONG.contains(&code) => {
            Err(Refusal::Question("The statement took longer than ten seconds.".to_owned()))
        }
        Some(FAILED) => Err(Refusal::Question(complaint(&said, statement))),
        Some(NO_ANSWER) => Err(Refusal::Server("it did not answer in time".to_owned())),
        Some(NO_ROLE | NOT_CONNECTED) => Err(Refusal::Server(reason(&said))),
        _ => Err(Refusal::Server("it ended before it answered".to_owned())),
    }
}

/// What the server says against a statement, without the statement itself.
fn complaint(said: &str, statement: &str) -> String {
    let begin = if said.starts_with("ERROR:") { 0 } else { said.find("\nERROR:").map_or(0, |at| at + 1) };
    let text = said[begin..].trim_start_matches("ERROR:").trim();
    // It comes last, and a statement may itself have a line that looks like this.
    let quoted = format!("\nQUERY:  {}", statement.trim_end());
    let text = text.find(&quoted).map_or(text, |at| &text[..at]);
    let first = text.lines().next().unwrap_or_default();
    if first == "cannot open multi-query plan as cursor" {
        return "There has to be one statement, and only one.".to_owned();
    }
    if first.starts_with("cannot open ") && first.ends_with(" query as cursor") {
        return "Only statements that read can be run: SELECT, TABLE, VALUES, WITH, SHOW and EXPLAIN.".to_owned();
    }
    text.to_owned()
}

/// Why there is no connection, by the last that the server or psql said of it.
fn reason(said: &str) -> String {
    let line = said.lines().rev().find(|line| line.contains("FATAL:") || line.contains("ERROR:"));
    let line = line.or_else(|| said.lines().find(|line| !line.trim().is_empty())).unwrap_or("nothing");
    let text = line.rsplit_once("FATAL:").or_else(|| line.rsplit_once("ERROR:")).map_or(line, |(_, text)| text);
    format!("it says \"{}\"", text.trim())
}

fn table(output: &[u8]) -> Option<Table> {
    let mut reader = Reader { rest: output };
    let columns = reader.header()?;
    let (more, millis) = reader.line()?.split_once(' ')?;
    let (is_truncated, duration_millis) = (more.parse().ok()?, millis.parse().ok()?);
    let mut rows = Vec::new();
    while let Some(row) = reader.row(columns.len())? {
        rows.push(row);
    }
    Some(Table { columns, rows, is_truncated, duration_millis })
}

/// Reads what [`SCRIPT`] has psql write.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn line(&mut self) -> Option<&'a str> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let line = str::from_utf8(&self.rest[..end]).ok()?;
        self.rest = &self.rest[end + 1..];
        Some(line)
    }

    /// A line of CSV.
    fn header(&mut self) -> Option<Vec<String>> {
        let mut columns = Vec::new();
        // Such as of `SELECT FROM t`.
        if self.take(b'\n') {
            return Some(columns);
        }
        loop {
            columns.push(self.field(b'\n')?.unwrap_or_default());
            if self.take(b'\n') {
                return Some(columns);
            }
            self.take(b',').then_some(())?;
        }
    }

    /// A composite value on a line of its own; None after the last one (PostgreSQL manual, "Composite Type Input and Output
    /// Syntax").
    fn row(&mut self, columns: usize) -> Option<Option<Vec<Option<String>>>> {
        if matches!(self.rest, [] | [b'\n']) {
            return Some(None);
        }
        self.take(b'(').then_some(())?;
        let mut row = Vec::with_capacity(columns);
        while row.len() < columns {
            if !row.is_empty() {
                self.take(b',').then_some(())?;
            }
            row.push(self.field(b')')?);
        }
        (self.take(b')') && self.take(b'\n')).then_some(Some(row))
    }

    /// What comes up to a comma or `end`, which stay. None within: nothing, and no quotes either. Within quotes a quote is
    /// doubled, and in a composite value a backslash as well.
    fn field(&mut self, end: u8) -> Option<Option<String>> {
        let mut bytes = Vec::new();
        let is_quoted = self.take(b'"');
        loop {
            let byte = *self.rest.first()?;
            let is_doubled = is_quoted && (byte == b'"' || byte == b'\\' && end == b')');
            if is_doubled && self.rest.get(1) == Some(&byte) {
                self.rest = &self.rest[1..];
            } else if is_quoted && byte == b'"' {
                self.rest = &self.rest[1..];
                break;
            } else if !is_quoted && (byte == b',' || byte == end) {
                break;
            }
            bytes.push(byte);
            self.rest = &self.rest[1..];
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some((is_quoted || !text.is_empty()).then_some(text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::access::Seed;
    use super::super::DEFINITION;
    use super::*;
    use crate::domain::service::{Power, ServiceKind};
    use secrecy::ExposeSecret;

    fn answer(exit_code: i64, stdout: &str, stderr: &str) -> Answer {
        Answer { exit_code: Some(exit_code), stdout: stdout.into(), stderr: stderr.into() }
    }

    fn cells(row: &[Option<&str>]) -> Vec<Option<String>> {
        row.iter().map(|cell| cell.map(str::to_owned)).collect()
    }

    #[test]
    fn a_statement_stands_nowhere_as_it_is() {
        let tier = DEFINITION.offer.unwrap().tiers[0];
        let wish = Wish { kind: ServiceKind::Postgresql, version: "17".to_owned(), tier, power: Power::On };
        let access = Access::with_database(&Seed([9; 40]));
        for statement in
            ["'; DROP TABLE t; --", "$$; \\! id", "STATEMENT", ":'x' :pid", "\\q", "a\nCOMMIT;\nb", "MAX_BYTES ä\0"]
        {
            let inquiry = ask(&wish, &access, statement);
            let script = inquiry.input.expose_secret();
            assert_eq!(inquiry.command[3..6], ["console".to_owned(), names(&access).0.into(), names(&access).1.into()]);
            assert!(!inquiry.command.concat().contains(statement), "{statement}");
            let digits = script.split_once("decode('").unwrap().1.split_once('\'').unwrap().0;
            let bytes: Vec<u8> =
                (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
            assert_eq!(bytes, statement.as_bytes());
            let without = script.replace(digits, "");
            assert_eq!(without, ask(&wish, &access, "").input.expose_secret(), "{statement}");
        }
    }

    #[test]
    fn a_table_is_read_as_it_is_whatever_its_cells_hold() {
        let output = "a,\"b \"\"x\"\"\",\"c\nd,\",?column?\ntrue 12\n\
            (1,,\"\",\"x\"\"y\n,\\\\z)\")\n( t,NULL,\"(1,\"\"\\\\\"\"\"\",)\",\"{1,2}\")\n\n";
        let table = read(&answer(0, output, ""), "").unwrap();
        assert_eq!(table.columns, ["a", "b \"x\"", "c\nd,", "?column?"]);
        assert_eq!((table.is_truncated, table.duration_millis), (true, 12));
        let second = [Some(" t"), Some("NULL"), Some("(1,\"\\\"\",)"), Some("{1,2}")];
        assert_eq!(table.rows, [cells(&[Some("1"), None, Some(""), Some("x\"y\n,\\z)")]), cells(&second)]);
        for (output, columns, rows) in [
            ("a\nfalse 0\n\n", 1, vec![]),
            ("a\nfalse 0\n()\n(\"\")\n\n", 1, vec![cells(&[None]), cells(&[Some("")])]),
            ("\nfalse 0\n()\n()\n\n", 0, vec![vec![], vec![]]),
        ] {
            let table = read(&answer(0, output, ""), "").unwrap();
            assert_eq!((table.columns.len(), table.rows), (columns, rows), "{output}");
        }
        let odd = Answer { stdout: b"a\nfalse 0\n(\xff)\n\n".to_vec(), ..answer(0, "", "") };
        assert_eq!(read(&odd, "").unwrap().rows, [cells(&[Some("\u{fffd}")])]);
        for broken in
            ["", "a", "a\n", "a\nfalse\n", "a\nfalse 0\n(1", "a\nfalse 0\n(1,2)\n", "a,b\nfalse 0\n(1)\n", "a\nx"]
        {
            assert!(matches!(read(&answer(0, broken, ""), ""), Err(Refusal::Server(_))), "{broken:?}");
        }
    }

    #[test]
    fn what_the_server_says_against_a_statement_is_told_without_the_statement() {
        let statement = "select nam\nQUERY:  from t";
        let said = "WARNING:  x\nERROR:  column \"nam\" does not exist\nLINE 1: select nam\n               ^\n\
            HINT:  Perhaps name.\nQUERY:  select nam\nQUERY:  from t\n";
        let told = "column \"nam\" does not exist\nLINE 1: select nam\n               ^\nHINT:  Perhaps name.";
        for (said, told) in [
            (said, told),
            ("ERROR:  division by zero\n", "division by zero"),
            ("ERROR:  cannot open multi-query plan as cursor\n", "There has to be one statement, and only one."),
            (
                "ERROR:  cannot open COMMIT query as cursor\n",
                "Only statements that read can be run: SELECT, TABLE, VALUES, WITH, SHOW and EXPLAIN.",
            ),
        ] {
            assert_eq!(read(&answer(3, "", said), statement), Err(Refusal::Question(told.to_owned())));
        }
        assert!(matches!(read(&answer(143, "a\n", ""), ""), Err(Refusal::Question(_))));
    }

    #[test]
    fn a_server_that_does_not_let_in_is_told_apart_from_a_statement_that_fails() {
        let socket =
            "psql: error: connection to server on socket \"/x\" failed: FATAL:  sorry, too many clients already\n";
        for (code, said, told) in [
            (2, socket, "it says \"sorry, too many clients already\""),
            (90, "ERROR:  permission denied to create role\n", "it says \"permission denied to create role\""),
            (
                2,
                "server closed the connection unexpectedly\n\tThis\n",
                "it says \"server closed the connection unexpectedly\"",
            ),
            (91, "Terminated\n", "it did not answer in time"),
            (1, "", "it ended before it answered"),
            (137, "", "it ended before it answered"),
        ] {
            assert_eq!(read(&answer(code, "", said), ""), Err(Refusal::Server(told.to_owned())));
        }
        assert!(matches!(read(&Answer::default(), ""), Err(Refusal::Server(_))));
    }
}
