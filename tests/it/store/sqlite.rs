//! What only the SQLite store promises.

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, RunQueryDsl};
use project_services::domain::event::NewEvent;
use project_services::domain::service::ServiceState;
use project_services::store::{NewService, StoreError, StoreUrl, Trouble, connect};
use tokio::task::JoinSet;

use super::fixture::{Database, append, create, new, note, project, seal, service, update};
use crate::harness::eventually;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

// On a runtime with one thread, which `connect` must not need more than.
#[tokio::test]
async fn a_new_file_is_its_owners_only() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("new/deep/store.db");
    let url: StoreUrl = format!("sqlite://{}", file.display()).parse().unwrap();
    let store = connect(&url, None).await.unwrap();
    create(&*store, &service("demo", "db")).await;
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert_eq!(mode(file.parent().unwrap().parent().unwrap()), 0o700);
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&file.with_extension("db-wal")), 0o600);
}

#[tokio::test]
async fn a_file_that_cant_be_opened_is_unavailable() {
    let directory = tempfile::tempdir().unwrap();
    let url: StoreUrl = format!("sqlite:{}", directory.path().display()).parse().unwrap();
    assert!(matches!(connect(&url, None).await, Err(StoreError::Unavailable(_))));
}

/// What the operator reads when something else is in the database's place.
async fn refusal(database: &Database) -> String {
    match connect(&database.url().parse().unwrap(), None).await.map(drop) {
        Err(StoreError::NotOurs(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_installation_is_refused_and_left_alone() {
    for (content, expected) in
        [("", "is empty"), ("this is no database, and long enough to be one. ", "no database at all")]
    {
        let database = Database::sqlite();
        let content = content.repeat(100);
        std::fs::write(database.file(), &content).unwrap();
        let why = refusal(&database).await;
        assert!(why.contains(expected) && why.contains("remove the file"), "{why}");
        assert_eq!(std::fs::read_to_string(database.file()).unwrap(), content);
    }
    for (sql, expected) in
        [("PRAGMA user_version = 1", "without tables"), ("CREATE TABLE users (name)", "of something else")]
    {
        let database = Database::sqlite();
        database.raw_sqlite().batch_execute(sql).unwrap();
        let before = std::fs::read(database.file()).unwrap();
        let why = refusal(&database).await;
        assert!(why.contains(expected) && why.contains("remove the file"), "{why}");
        assert_eq!(std::fs::read(database.file()).unwrap(), before);
    }
}

#[tokio::test]
async fn a_database_that_left_something_behind_is_not_begun_anew() {
    for left in ["-wal", "-journal", ".saved-1795446000"] {
        let database = Database::sqlite();
        let left = beside(&database, left);
        std::fs::write(&left, "x").unwrap();
        let why = refusal(&database).await;
        assert!(why.contains(&left.display().to_string()), "{why}");
        assert!(!database.file().exists());
        std::fs::remove_file(left).unwrap();
        database.connect().await.ping().await.unwrap();
    }
}

fn beside(database: &Database, suffix: &str) -> PathBuf {
    let mut name = database.file().into_os_string();
    name.push(suffix);
    name.into()
}

fn is_misplaced<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Trouble(Trouble::Misplaced(_))))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_file_is_not_in_its_place_nothing_is_written() {
    for suffix in ["", "-wal", "-shm"] {
        let database = Database::sqlite();
        let store = database.connect().await;
        let service = service("demo", "db");
        create(&*store, &service).await;
        let (file, away) = (beside(&database, suffix), beside(&database, ".away"));
        std::fs::rename(&file, &away).unwrap();
        let refused = append(&*store, &service, "lost").await;
        assert!(is_misplaced(&refused), "{suffix}: {refused:?}");
        assert!(refused.unwrap_err().to_string().contains("is gone"));
        assert!(is_misplaced(&store.ping().await), "{suffix}");
        assert_eq!(store.event_span(&service.project).await.unwrap().last, 1, "{suffix}: what is there is read");
        // Another file in its place does not make it better.
        std::fs::copy(&away, &file).unwrap();
        let refused = append(&*store, &service, "lost").await;
        assert!(refused.unwrap_err().to_string().contains("was replaced"), "{suffix}");
        std::fs::rename(&away, &file).unwrap();
        store.ping().await.unwrap();
        assert_eq!(append(&*store, &service, "kept").await.unwrap().sequence, 2, "{suffix}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_overtaken_by_a_removal_is_no_success() {
    let database = Database::sqlite();
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    // It waits for the lock, past the first look at the files.
    let mut other = database.raw_sqlite();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let (outcome, ()) = tokio::join!(append(&*store, &service, "lost"), async {
        // Nothing tells that a writer waits; had it not begun yet, it would be refused all the same.
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::fs::rename(database.file(), beside(&database, ".away")).unwrap();
        other.batch_execute("COMMIT").unwrap();
    });
    assert!(is_misplaced(&outcome), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_saved_when_the_files_are_removed() {
    let database = Database::sqlite();
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(beside(&database, suffix)).unwrap();
    }
    let directory = database.file().parent().unwrap().to_owned();
    let is_saved = |path: &PathBuf| {
        let name = path.display().to_string();
        name.split_once(".saved-").is_some_and(|(_, rest)| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let saved = eventually("the saved copy", async || {
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).find(is_saved)
    })
    .await;
    drop(store);
    assert_eq!(mode(&saved), 0o600);
    assert!(refusal(&database).await.contains(saved.to_str().unwrap()));
    std::fs::rename(&saved, database.file()).unwrap();
    let store = database.connect().await;
    assert_eq!(store.event_span(&service.project).await.unwrap().last, 1);
    assert!(store.sealed_get(service.id).await.unwrap().is_some());
}

/// Overwrites the first page of a table.
fn damage(database: &Database, table: &str) {
    let mut raw = database.raw_sqlite();
    raw.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let root = format!("SELECT rootpage AS number FROM sqlite_schema WHERE name = '{table}'");
    let root: Vec<Number> = diesel::sql_query(root).load(&mut raw).unwrap();
    drop(raw);
    let file = std::fs::OpenOptions::new().write(true).open(database.file()).unwrap();
    file.write_all_at(&[0xa5; 4096], u64::try_from(root[0].number - 1).unwrap() * 4096).unwrap();
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_and_nothing_more_is_written() {
    let database = Database::sqlite();
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    drop(store);
    damage(&database, "services");
    let store = database.connect().await;
    // Without anybody having read it.
    eventually("the damage to be found", async || store.ping().await.err()).await;
    let read = store.service_get(service.id).await;
    assert!(matches!(read, Err(StoreError::Trouble(Trouble::Damaged(_)))), "{read:?}");
    let written = append(&*store, &service, "x").await;
    assert!(matches!(written, Err(StoreError::Trouble(Trouble::Damaged(_)))), "{written:?}");
    assert_eq!(store.event_span(&service.project).await.unwrap().last, 1, "what is whole is read");
}

#[tokio::test]
async fn a_damaged_beginning_is_refused() {
    let database = Database::sqlite();
    drop(database.connect().await);
    std::fs::OpenOptions::new().write(true).open(database.file()).unwrap().write_all_at(&[0xa5; 4096], 0).unwrap();
    assert!(refusal(&database).await.contains("is damaged, or no database at all"));
}

#[tokio::test]
async fn ciphertext_is_gone_from_the_file_once_the_service_is_destroyed() {
    let database = Database::sqlite();
    let store = database.connect().await;
    let service = service("demo", "db");
    // Large enough for pages of its own, which would be left as they are.
    let sealed = seal("k1", service.id, &"hunter2".repeat(2000));
    let new = NewService { sealed: sealed.clone(), ..new(&service) };
    store.service_create(&new, &NewEvent::provisioned(&service, "ada")).await.unwrap();
    let before = store.service_get(service.id).await.unwrap().unwrap();
    let mut after = before.clone();
    after.state = ServiceState::Destroyed;
    let file = database.url().strip_prefix("sqlite:").unwrap().to_owned();
    let holds_it = || {
        let bytes = std::fs::read(&file).unwrap();
        sealed.as_bytes().chunks_exact(64).any(|chunk| bytes.windows(64).any(|window| window == chunk))
    };
    database.raw_sqlite().batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert!(holds_it());
    update(&*store, &before, &after, Some(&note("gone")), before.updated_at).await.unwrap();
    // Closing it empties the write-ahead log into the file.
    drop(store);
    database.raw_sqlite().batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert!(!holds_it());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_that_writes_holds_up_writers_and_no_readers() {
    let database = Database::sqlite();
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let mut other = database.raw_sqlite();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    // Longer than SQLite waits.
    let (appended, last) = tokio::join!(append(&*store, &service, "x"), store.event_span(&service.project));
    assert!(matches!(appended, Err(StoreError::Unavailable(_))), "{appended:?}");
    assert_eq!(last.unwrap().last, 1);
    other.batch_execute("COMMIT").unwrap();
    assert_eq!(append(&*store, &service, "x").await.unwrap().sequence, 2);
    assert_eq!(store.event_span(&project("demo")).await.unwrap().last, 2);
}

#[tokio::test]
async fn the_file_has_a_write_ahead_log() {
    let database = Database::sqlite();
    let _store = database.connect().await;
    let found = database.texts("SELECT journal_mode AS value FROM pragma_journal_mode").await;
    assert_eq!(found, [Some("wal".to_owned())]);
}

// SQLite refuses some of those who switch a new file to its write-ahead log at the same time, without any waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_file_is_opened_by_all_who_come_at_once() {
    for _ in 0..20 {
        let database = Database::sqlite();
        let url: StoreUrl = database.url().parse().unwrap();
        let mut opening = JoinSet::new();
        for _ in 0..8 {
            let url = url.clone();
            opening.spawn(async move { connect(&url, None).await.map(drop) });
        }
        assert!(opening.join_all().await.iter().all(Result::is_ok));
    }
}

#[tokio::test]
async fn a_copy_is_whole_its_owners_only_and_gone_when_it_is_not_needed() {
    let database = Database::sqlite();
    let store = connect(&database.url().parse().unwrap(), None).await.unwrap();
    let one = service("demo", "db");
    create(&*store, &one).await;
    let directory = database.file().parent().unwrap().join("copies");
    let left = directory.join(format!("snapshot.{}.new", "0".repeat(32)));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(&left, "of a process that was killed").unwrap();
    let copied = store.copy_into(&directory).await.unwrap().unwrap();
    assert!(!left.exists());
    assert_eq!(mode(copied.path()), 0o600);
    let other = Database::sqlite();
    std::fs::copy(copied.path(), other.file()).unwrap();
    let copy = connect(&other.url().parse().unwrap(), None).await.unwrap();
    assert_eq!(copy.service_get(one.id).await.unwrap().map(|service| service.name), Some(one.name));
    drop(copied);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

#[tokio::test]
async fn a_database_is_copied_before_its_tables_are_changed_and_at_no_other_time() {
    use diesel_migrations::{FileBasedMigrations, MigrationHarness};
    use project_services::store::copy_before_migration;
    let database = Database::sqlite();
    let url: StoreUrl = database.url().parse().unwrap();
    assert!(copy_before_migration(&url).await.unwrap().is_none(), "there is none yet");
    let store = connect(&url, None).await.unwrap();
    let installation = store.installation_id().await.unwrap();
    drop(store);
    assert!(copy_before_migration(&url).await.unwrap().is_none(), "it is up to date");
    let migrations = FileBasedMigrations::from_path("migrations/sqlite").unwrap();
    database.raw_sqlite().revert_last_migration(migrations).unwrap();
    let copied = copy_before_migration(&url).await.unwrap().unwrap();
    assert_eq!((mode(copied.path()), copied.installation), (0o600, Some(installation)));
    drop(copied);
    let kept = copy_before_migration(&url).await.unwrap().unwrap().keep().unwrap();
    assert_eq!((mode(&kept), kept), (0o600, beside(&database, ".before-migration")));
    connect(&url, None).await.unwrap();
    assert!(copy_before_migration(&url).await.unwrap().is_none(), "it is up to date again");
}
