//! Statements that read, by a user who can do nothing else.
//!
//! The statement reaches the server in hexadecimal digits, and is prepared there: so the client reads nothing of it, whatever is
//! in it, and it is one alone. The transaction around it is read-only, and nothing comes after it.

use std::time::Duration;

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::verifier::verifier;
use super::{is, login_of, names, own_login};
use crate::catalog::access::{Access, hex};
use crate::catalog::deployment::shell;
use crate::catalog::inquiry::{Answer, Inquiry, MAX_BYTES, MAX_ITEMS, Outcome, Refusal, SqlConsole};
use crate::catalog::script::TOLD;
use crate::domain::console::Table;
use crate::domain::service::Wish;

pub const CONSOLE: SqlConsole = SqlConsole { ask, read };

/// Who reads. It comes over the unix socket only.
const READER: &str = "project_services_reader";
/// Longer than all that [`ASK`] does may take.
const LIMIT: Duration = Duration::from_secs(18);
/// How much is taken of what the client writes: a page, with the name of its column around each cell.
const TAKEN: usize = 4 * MAX_BYTES;
/// Room for when it was over.
const KEPT: usize = TAKEN + 100;
/// What [`ASK`] exits with where the user could not be made.
const NO_USER: i64 = 90;
/// The same, since the server did not answer.
const NO_ANSWER: i64 = 91;
/// What the client exits with where a statement failed, or there is no connection.
const FAILED: i64 = 1;
/// What timeout(1) exits with where it ended the client, by its own code or that of a signal.
const TOO_LONG: [i64; 3] = [124, 137, 143];
/// What the result of the statement begins with.
const RESULT: &str = "<resultset statement=\"EXECUTE asked\"";

/// Reads how the reader connects, how the sidecar's user does, what makes the reader, and the statements. $1 is the database, $2
/// what the reader may do.
///
/// Nothing may run on once nobody waits for it: a hint in the statement lifts the server's own limit, so what is left of it is
/// ended. Of much that is given only the beginning is taken, at which the client ends.
const ASK: &str = r#"
login=$(lines)
own=$(lines)
set_up=$(lines)
statements=$(lines)
as_own() {
  timeout -k 1 3 mysql --defaults-file=/dev/fd/5 -NB "$@" 5<<OWN
$own
OWN
}
code=0
may=$(as_own -e "SHOW GRANTS FOR 'project_services_reader'@'localhost'" 2>/dev/null) || code=$?
[ $code -lt 124 ] || exit 91
if [ "$may" != "$2" ]; then
  said=$(printf '%s\n' "$set_up" | as_own 2>&1) || code=$?
  [ $code -lt 124 ] || exit 91
  case $said in *ERROR*) printf '%s\n' "$said" >&2; exit 90 ;; esac
fi
exec 4>&1
code=$({
  {
    code=0
    printf '%s\n' "$statements" |
      timeout -k 1 11 mysql --defaults-file=/dev/fd/5 --default-character-set=utf8mb4 --xml --binary-as-hex --quick "$1" \
        5<<LOGIN || code=$?
$login
LOGIN
    echo $code >&3
  } | head -c TAKEN >&4
} 3>&1)
printf '\n%s' "${EPOCHREALTIME:-$(date +%s).000000}"
[ $code -lt 124 ] ||
  as_own -e "SELECT id FROM information_schema.processlist WHERE user = 'project_services_reader' AND time > 9" |
  sed 's/.*/KILL &;/' | as_own --force 2>/dev/null || :
exit $code"#;

fn ask(_: &Wish, access: &Access, statement: &str) -> Inquiry {
    let (_, database) = names(access);
    let password = access.reader_password();
    let set_up = [
        &is(READER, "localhost", &verifier(password.expose_secret())),
        // Who runs statements as it does not know its password, and can't change it then.
        &format!("ALTER USER '{READER}'@'localhost' PASSWORD REQUIRE CURRENT;\n"),
        &format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{READER}'@'localhost';\n"),
        &format!("GRANT SELECT, SHOW VIEW ON `{database}`.* TO '{READER}'@'localhost';\n"),
    ];
    let set_up = Zeroizing::new(set_up.map(String::as_str).concat());
    let statements = [
        "SET SESSION max_execution_time = 10000, lock_wait_timeout = 5;\nSET @statement = CONVERT(0x",
        &hex(statement.as_bytes()),
        " USING utf8mb4);\nPREPARE asked FROM @statement;\nSTART TRANSACTION READ ONLY;\n",
        "SELECT UNIX_TIMESTAMP(SYSDATE(6)) AS at;\nEXECUTE asked;\n",
    ];
    let login = login_of(READER, &password);
    let input = [login.as_str(), ".\n", &own_login(access), ".\n", &set_up, ".\n", &statements.concat(), ".\n"];
    let input = Zeroizing::new(input.concat());
    let may = format!(
        "GRANT USAGE ON *.* TO `{READER}`@`localhost`\nGRANT SELECT, SHOW VIEW ON `{database}`.* TO `{READER}`@`localhost`"
    );
    let mut command = shell(&[TOLD, &ASK.replace("TAKEN", &TAKEN.to_string())].concat());
    command.extend(["console", database, &may].map(str::to_owned));
    Inquiry { command, user: "mysql", input: SecretString::from(input.as_str()), limit: LIMIT, kept: KEPT }
}

fn read(answer: &Answer, _: &str) -> Outcome<Table> {
    let said = String::from_utf8_lossy(&answer.stderr);
    let is_full = answer.stdout.len() >= TAKEN;
    match answer.exit_code {
        Some(code) if code == 0 || is_full => table(&String::from_utf8_lossy(&answer.stdout)),
        Some(code) if TOO_LONG.contains(&code) => Err(Refusal::Question(TOO_LONG_A_TIME.to_owned())),
        Some(FAILED) => Err(complaint(&said)),
        Some(NO_ANSWER) => Err(Refusal::Server("it did not answer in time".to_owned())),
        Some(NO_USER) => Err(Refusal::Server(reason(&said))),
        _ => Err(Refusal::Server("it ended before it answered".to_owned())),
    }
}

const TOO_LONG_A_TIME: &str = "The statement took longer than ten seconds.";
const ONLY_READS: &str = "Only statements that read can be run: SELECT, TABLE, VALUES, WITH, SHOW and EXPLAIN.";

/// What the server says against a statement, or against whoever runs it (MySQL manual, "Server Error Message Reference").
fn complaint(said: &str) -> Refusal {
    let error = said.find("ERROR ").map_or("", |at| &said[at + 6..]);
    let Some((before, text)) = error.split_once(" at line ").and_then(|(before, rest)| {
        let (_, text) = rest.split_once(": ")?;
        (!before.contains(':')).then_some((before, text.trim_end()))
    }) else {
        return Refusal::Server(reason(said));
    };
    Refusal::Question(match before.split(' ').next().unwrap_or_default() {
        "1317" | "3024" => TOO_LONG_A_TIME.to_owned(),
        // Not in a read-only transaction; not to be prepared.
        "1792" | "1295" => ONLY_READS.to_owned(),
        _ => text.to_owned(),
    })
}

/// Why there is no connection.
fn reason(said: &str) -> String {
    let line = said.lines().find(|line| line.contains("ERROR ")).unwrap_or("nothing");
    let text = line.split_once("): ").map_or(line, |(_, text)| text);
    format!("it says \"{}\"", text.trim())
}

/// What the client wrote: when the statement began, its result, and when it was over, in seconds of the clock.
fn table(output: &str) -> Outcome<Table> {
    let strange = || Refusal::Server("its answer can't be understood".to_owned());
    let (output, over) = output.rsplit_once('\n').ok_or_else(strange)?;
    let begun = output.split_once("<field name=\"at\">").and_then(|(_, rest)| rest.split_once('<'));
    let begun: f64 = begun.and_then(|(seconds, _)| seconds.parse().ok()).ok_or_else(strange)?;
    let over: f64 = over.replace(',', ".").parse().map_err(|_| strange())?;
    // What gives no result set changes nothing either.
    let at = output.find(RESULT).ok_or_else(|| Refusal::Question(ONLY_READS.to_owned()))?;
    let took = Duration::try_from_secs_f64(over - begun).unwrap_or_default();
    let duration_millis = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
    let mut table = Table { columns: Vec::new(), rows: Vec::new(), is_truncated: false, duration_millis };
    fill(&mut table, &output[at..]);
    Ok(table)
}

/// Takes the rows out of a result, up to where it is cut off or enough.
fn fill(table: &mut Table, result: &str) {
    let mut reader = Reader::from_str(result);
    let (mut names, mut row, mut cell, mut bytes) = (Vec::new(), Vec::new(), None::<String>, 0);
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) if tag.name().as_ref() == b"field" => {
                names.push(name_of(&tag));
                cell = Some(String::new());
            }
            Ok(Event::Empty(tag)) if tag.name().as_ref() == b"field" => {
                names.push(name_of(&tag));
                row.push(None);
            }
            Ok(Event::Text(text)) => {
                if let (Some(cell), Ok(text)) = (&mut cell, text.decode()) {
                    cell.push_str(&text);
                }
            }
            Ok(Event::GeneralRef(entity)) => {
                if let (Some(cell), Ok(entity)) = (&mut cell, entity.decode()) {
                    cell.push_str(&unescape(&format!("&{entity};")).unwrap_or_default());
                }
            }
            Ok(Event::End(tag)) if tag.name().as_ref() == b"field" => row.push(Some(cell.take().unwrap_or_default())),
            Ok(Event::End(tag)) if tag.name().as_ref() == b"row" => {
                bytes += row.iter().flatten().map(String::len).sum::<usize>();
                if table.rows.len() == MAX_ITEMS || bytes > MAX_BYTES {
                    table.is_truncated = true;
                    return;
                }
                table.columns = std::mem::take(&mut names);
                table.rows.push(std::mem::take(&mut row));
            }
            Ok(Event::End(tag)) if tag.name().as_ref() == b"resultset" => return,
            Ok(Event::Eof) | Err(_) => {
                table.is_truncated = true;
                return;
            }
            Ok(_) => {}
        }
    }
}

fn name_of(field: &BytesStart<'_>) -> String {
    let name = field.try_get_attribute("name").ok().flatten();
    let name = name.map(|name| String::from_utf8_lossy(&name.value).into_owned()).unwrap_or_default();
    unescape(&name).map_or_else(|_| name.clone(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::super::DEFINITION;
    use super::*;
    use crate::catalog::access::Seed;
    use crate::domain::service::{Power, ServiceKind};

    const BEGUN: &str = "<?xml version=\"1.0\"?>\n\n<resultset statement=\"SELECT UNIX_TIMESTAMP(SYSDATE(6)) AS at\" \
                         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\n  <row>\n\t<field name=\"at\">\
                         1795787630.711000</field>\n  </row>\n</resultset>\n<?xml version=\"1.0\"?>\n\n";
    const TAG: &str = "<resultset statement=\"EXECUTE asked\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">";

    fn answer(exit_code: i64, stdout: &str, stderr: &str) -> Answer {
        Answer { exit_code: Some(exit_code), stdout: stdout.into(), stderr: stderr.into() }
    }

    fn given(result: &str) -> Outcome<Table> {
        read(&answer(0, &format!("{BEGUN}{result}\n1795787630.723456"), ""), "")
    }

    #[test]
    fn a_statement_and_passwords_stand_nowhere_as_they_are() {
        let tier = DEFINITION.offer.unwrap().tiers[0];
        let wish = Wish { kind: ServiceKind::Mysql, version: "9.7".to_owned(), tier, power: Power::On };
        let access = Access::with_database(&Seed([9; 40]));
        for statement in ["'; DROP TABLE t; --", "\\! id", ".\n.\nEXECUTE", "DELIMITER x", "$(id)", "ä\0"] {
            let inquiry = ask(&wish, &access, statement);
            let input = inquiry.input.expose_secret();
            assert!(!inquiry.command.concat().contains(statement) && !input.contains(statement), "{statement}");
            let digits = input.split_once("CONVERT(0x").unwrap().1.split_once(' ').unwrap().0;
            assert_eq!(digits, hex(statement.as_bytes()).as_str());
            for password in [access.reader_password(), access.own_password()] {
                assert!(!inquiry.command.concat().contains(password.expose_secret()));
            }
        }
    }

    #[test]
    fn cells_are_text_or_nothing_and_what_is_cut_off_says_so() {
        let first =
            "\n  <row>\n\t<field name=\"a&lt;&quot;\">1</field>\n\t<field name=\"b\" xsi:nil=\"true\" />\n  </row>\n";
        let second =
            "\n  <row>\n\t<field name=\"a&lt;&quot;\"></field>\n\t<field name=\"b\">x&amp;\n\t&gt;</field>\n  </row>\n";
        let table = given(&format!("{TAG}{first}{second}</resultset>\n")).unwrap();
        assert_eq!(table.columns, ["a<\"", "b"]);
        let cell = |text: &str| Some(text.to_owned());
        assert_eq!(table.rows, [[cell("1"), None], [cell(""), cell("x&\n\t>")]]);
        assert_eq!((table.is_truncated, table.duration_millis), (false, 12));

        let cut = given(&format!("{TAG}{first}{}", &second[..60])).unwrap();
        assert_eq!((cut.rows.len(), cut.is_truncated), (1, true));
        let none = given(&format!("{TAG}</resultset>\n")).unwrap();
        assert_eq!((none.columns.len(), none.rows.len(), none.is_truncated), (0, 0, false));
        let many = given(&format!("{TAG}{}</resultset>\n", first.repeat(MAX_ITEMS + 1))).unwrap();
        assert_eq!((many.rows.len(), many.is_truncated), (MAX_ITEMS, true));
        assert_eq!(given(""), Err(Refusal::Question(ONLY_READS.to_owned())));
    }

    #[test]
    fn a_server_that_does_not_let_in_is_told_apart_from_a_statement_that_fails() {
        for (said, told) in [
            (
                "ERROR 1064 (42000) at line 3: You have an error: near 'at line 1: x'\n",
                "You have an error: near 'at line 1: x'",
            ),
            ("ERROR 3024 (HY000) at line 6: Query execution was interrupted\n", TOO_LONG_A_TIME),
            ("ERROR 1792 (25006) at line 6: Cannot execute statement in a READ ONLY transaction.\n", ONLY_READS),
        ] {
            assert_eq!(read(&answer(1, "", said), ""), Err(Refusal::Question(told.to_owned())), "{said}");
        }
        for (code, said, told) in [
            (1, "ERROR 1040 (HY000): Too many connections\n", "it says \"Too many connections\""),
            (1, "ERROR 2002 (HY000): Can't connect at line 3: x\n", "it says \"Can't connect at line 3: x\""),
            (90, "ERROR 1290 (HY000) at line 1: read-only\n", "it says \"ERROR 1290 (HY000) at line 1: read-only\""),
            (91, "", "it did not answer in time"),
            (137 + 1, "", "it ended before it answered"),
        ] {
            assert_eq!(read(&answer(code, "", said), ""), Err(Refusal::Server(told.to_owned())), "{said}");
        }
    }
}
