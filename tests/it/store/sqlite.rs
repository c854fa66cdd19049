//! What only the SQLite store promises.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use diesel::connection::SimpleConnection;
use project_services::domain::event::NewEvent;
use project_services::domain::service::ServiceState;
use project_services::store::{NewService, StoreError, StoreUrl, connect};
use tokio::task::JoinSet;

use super::fixture::{Database, append, create, new, note, project, seal, service, update};

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
    let file = directory.path().join("no.db");
    std::fs::write(&file, "this is no database, and long enough to be looked at".repeat(100)).unwrap();
    let url: StoreUrl = format!("sqlite:{}", file.display()).parse().unwrap();
    assert!(connect(&url, None).await.is_err());
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
    let (appended, last) = tokio::join!(append(&*store, &service, "x"), store.event_last(&service.project));
    assert!(matches!(appended, Err(StoreError::Unavailable(_))), "{appended:?}");
    assert_eq!(last.unwrap(), 1);
    other.batch_execute("COMMIT").unwrap();
    assert_eq!(append(&*store, &service, "x").await.unwrap().sequence, 2);
    assert_eq!(store.event_last(&project("demo")).await.unwrap(), 2);
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
