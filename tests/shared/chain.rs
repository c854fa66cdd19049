//! Whatever a test was about, the event log that it leaves behind must not contradict itself. Whoever holds a store checks
//! this as it ends, so that no test can forget to.

use std::collections::HashMap;
use std::path::Path;

use diesel::sql_types::Text;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};
use tokio_postgres::NoTls;

/// Each line's first word says what it tells; a database answers both in one snapshot.
const LINES: &str = "SELECT value FROM ( \
        SELECT 1 AS part, project_id AS project, 0 AS place, \
            'log ' || project_id || ' ' || first_sequence || ' ' || last_sequence AS value FROM projects \
        UNION ALL SELECT 2, project_id, sequence, \
            'event ' || project_id || ' ' || sequence || ' ' || service_id || ' ' || coalesce(previous_state, '-') || ' ' \
            || state \
        FROM service_events \
        UNION ALL SELECT 3, project_id, 0, 'service ' || id || ' ' || state FROM services \
    ) AS told ORDER BY part, project, place";

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    value: String,
}

/// The logs of a database, as a test left them.
pub struct Logs(Vec<String>);

impl Logs {
    /// Of a file. One that is not there or no database any more contradicts nothing.
    pub fn of_sqlite(file: &Path) -> Self {
        if !file.exists() {
            return Self(Vec::new());
        }
        let lines = SqliteConnection::establish(&file.display().to_string())
            .ok()
            .and_then(|mut connection| diesel::sql_query(LINES).load::<Line>(&mut connection).ok());
        Self(lines.unwrap_or_default().into_iter().map(|line| line.value).collect())
    }

    /// Of a PostgreSQL database, read from within any runtime or none.
    pub fn of_postgres(url: &str) -> Self {
        let url = url.to_owned();
        let reading = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await else { return Vec::new() };
                tokio::spawn(connection);
                let rows = client.query(LINES, &[]).await.unwrap_or_default();
                rows.iter().map(|row| row.get(0)).collect()
            })
        });
        Self(reading.join().unwrap_or_default())
    }

    /// Panics where a log contradicts itself, unless the test has failed already.
    pub fn check(&self) {
        if !std::thread::panicking() {
            check(self.0.iter().map(String::as_str));
        }
    }
}

/// Within a project there are no gaps; within a service each event begins in the state in which the one before it ended, the
/// first one begins in none, the last one ends in the service's, and nothing comes behind DESTROYED. What was taken off the
/// beginning of a log leaves the newest events of services, at the least of those that are not DESTROYED.
fn check<'a>(lines: impl Iterator<Item = &'a str>) {
    let mut logs: HashMap<&str, (i64, i64, i64)> = HashMap::new();
    let mut states: HashMap<&str, &str> = HashMap::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match *words {
            ["log", project, first, last] => {
                let (first, last) = (first.parse().unwrap(), last.parse().unwrap());
                logs.insert(project, (first, last, first - 1));
            }
            ["event", project, place, service, previous, state] => {
                let (first, last, before) = logs.get_mut(project).expect("a log has its project");
                let place: i64 = place.parse().unwrap();
                if place >= *first {
                    assert_eq!(place, *before + 1, "the log of {project} has a gap ahead of {line:?}");
                    *before = place;
                }
                assert!(place <= *last, "the log of {project} ends behind its head");
                if let Some(before) = states.insert(service, state) {
                    assert_eq!(previous, before, "an event does not begin where the one before it ended: {line:?}");
                } else if *first == 1 {
                    assert_eq!(previous, "-", "a service's first event begins in no state: {line:?}");
                }
                // What happens to its backups then changes nothing of it.
                let is_over = previous == "DESTROYED";
                assert!(!is_over || state == previous, "something happened to a destroyed service: {line:?}");
            }
            ["service", id, state] => match states.get(id) {
                Some(shown) => assert_eq!(*shown, state, "the newest event of service {id} shows another state"),
                None => assert_eq!(state, "DESTROYED", "no event of service {id} was kept"),
            },
            _ => panic!("{line:?} can't be read"),
        }
    }
    for (project, (_, last, before)) in logs {
        assert_eq!(before, last, "the log of {project} does not end at its head");
    }
}
