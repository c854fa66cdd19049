//! What is written of backups, and what is refused.

use jiff::Timestamp;
use project_services::domain::backup::{
    Backup, BackupError, BackupErrorCode, BackupOrigin, BackupPhase, BackupState, Verification,
};
use project_services::domain::event::NewEvent;
use project_services::domain::id::BackupId;
use project_services::domain::service::Service;
use project_services::store::{BackupsOf, Committed, Guard, Page, Store, StoreError, Write};
use uuid::Uuid;

use super::fixture::{Database, create, micros, project, service};
use super::{destroy, read};

contract! {
    a_backup_is_written_and_read_back_and_outlives_its_service,
    a_backup_that_somebody_wrote_meanwhile_is_refused,
    of_one_service_one_backup_is_taken_at_a_time,
    backups_are_listed_the_newest_first,
}

const FIRST: Page<BackupId> = Page { after: None, before: None, limit: 2, from_end: false };

fn new(service: &Service) -> Backup {
    let now = micros(Timestamp::now());
    Backup::new(BackupId(Uuid::now_v7()), service, BackupOrigin::Manual, Some("Ünïcode".to_owned()), now)
}

async fn write(store: &dyn Store, service: &Service, backup: &Backup) -> Result<Committed, StoreError> {
    let event = NewEvent::backup_requested(backup, "ada", backup.created_at);
    let backups = std::slice::from_ref(backup);
    store
        .commit(Write { backups, event: Some(&event), ..Write::new(Guard::Revision(service), backup.created_at) })
        .await
}

async fn a_backup_is_written_and_read_back_and_outlives_its_service(database: Database) {
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let row = read(&*store, service.id).await;
    let first = new(&row);
    let committed = write(&*store, &row, &first).await.unwrap();
    assert!(committed.event.is_some(), "it is an event of the service");
    let read_back = store.backup_get(first.id).await.unwrap().unwrap();
    assert_eq!(read_back, Backup { revision: 1, ..first.clone() });
    assert_eq!(store.backup_list_open(None).await.unwrap(), std::slice::from_ref(&read_back));

    let error =
        BackupError { code: BackupErrorCode::StoreFull, message: "no".to_owned(), occurred_at: first.created_at };
    let facts = [("rows".to_owned(), "7".to_owned())].into();
    let full = Backup {
        state: BackupState::Verified,
        phase: Some(BackupPhase::Reading),
        content_bytes: 1 << 40,
        stored_bytes: Some(7),
        object: Some("demo/db".to_owned()),
        to_verify: true,
        verification: Some(Verification { verified_at: first.created_at, facts }),
        attempts: 3,
        not_before: Some(first.created_at),
        error: Some(error),
        begun_at: Some(first.created_at),
        ended_at: Some(first.created_at),
        ..read_back
    };
    write(&*store, &row, &full).await.unwrap();
    let expected = Backup { revision: 2, ..full };
    assert_eq!(store.backup_get(first.id).await.unwrap(), Some(expected.clone()));

    destroy(&*store, service.id).await;
    let kept = store.backup_get(first.id).await.unwrap().unwrap();
    assert_eq!(kept, expected);
    let row = read(&*store, service.id).await;
    let write = Write { lost: Some(&kept), ..Write::new(Guard::Revision(&row), first.created_at) };
    store.commit(write).await.unwrap();
    assert_eq!(store.backup_get(first.id).await.unwrap(), None);
}

async fn a_backup_that_somebody_wrote_meanwhile_is_refused(database: Database) {
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let row = read(&*store, service.id).await;
    let first = new(&row);
    write(&*store, &row, &first).await.unwrap();
    let seen = store.backup_get(first.id).await.unwrap().unwrap();
    write(&*store, &row, &seen.deleting()).await.unwrap();
    for stale in [seen.asked_to_verify(), Backup { content_bytes: 1, ..seen.clone() }] {
        let refused = write(&*store, &row, &stale).await;
        assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    }
    let lost = store.commit(Write { lost: Some(&seen), ..Write::new(Guard::Revision(&row), seen.created_at) }).await;
    assert!(matches!(lost, Err(StoreError::Stale)), "{lost:?}");
    assert_eq!(store.backup_get(first.id).await.unwrap().unwrap().state, BackupState::Deleting);
}

async fn of_one_service_one_backup_is_taken_at_a_time(database: Database) {
    let store = database.connect().await;
    let (one, other) = (service("demo", "db"), service("demo", "other"));
    for service in [&one, &other] {
        create(&*store, service).await;
    }
    let (one, other) = (read(&*store, one.id).await, read(&*store, other.id).await);
    let first = new(&one);
    write(&*store, &one, &first).await.unwrap();
    let second = write(&*store, &one, &new(&one)).await;
    assert!(matches!(second, Err(StoreError::Stale)), "{second:?}");
    write(&*store, &other, &new(&other)).await.unwrap();
    let seen = store.backup_get(first.id).await.unwrap().unwrap();
    let ended = seen.failed(BackupErrorCode::SourceFailed, "no".to_owned(), seen.created_at);
    write(&*store, &one, &ended).await.unwrap();
    write(&*store, &one, &new(&one)).await.unwrap();
}

async fn backups_are_listed_the_newest_first(database: Database) {
    let store = database.connect().await;
    let (one, other) = (service("demo", "db"), service("elsewhere", "db"));
    for service in [&one, &other] {
        create(&*store, service).await;
    }
    let (one, other) = (read(&*store, one.id).await, read(&*store, other.id).await);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let backup = Backup { state: BackupState::Available, ..new(&one) };
        write(&*store, &one, &backup).await.unwrap();
        ids.insert(0, backup.id);
    }
    write(&*store, &other, &new(&other)).await.unwrap();
    let of = [BackupsOf::Service(one.id), BackupsOf::Project(project("demo"))];
    for of in of {
        let listed = async |page| {
            let slice = store.backup_list(&of, page).await.unwrap();
            (slice.rows.iter().map(|backup| backup.id).collect::<Vec<_>>(), slice.has_more)
        };
        assert_eq!(listed(FIRST).await, (ids[..2].to_vec(), true));
        assert_eq!(listed(Page { after: Some(ids[1]), ..FIRST }).await, (ids[2..].to_vec(), false));
        assert_eq!(listed(Page { from_end: true, ..FIRST }).await, (ids[1..].to_vec(), true));
        assert_eq!(listed(Page { before: Some(ids[1]), from_end: true, ..FIRST }).await, (ids[..1].to_vec(), false));
        assert_eq!(store.backup_count(&of).await.unwrap(), 3);
    }
    let (after, before) = (Some(ids[0]), Some(ids[2]));
    for page in [
        FIRST,
        Page { after, ..FIRST },
        Page { before, limit: 1, from_end: true, ..FIRST },
        Page { after, before, limit: 1, from_end: false },
        Page { limit: 3, ..FIRST },
    ] {
        let mut many = store.backup_list_of_services(&[other.id, one.id], page).await.unwrap();
        many.sort_by_key(|(service, _)| *service != one.id);
        let alone = store.backup_list(&BackupsOf::Service(one.id), page).await.unwrap();
        assert_eq!((many[0].1.rows.clone(), many[0].1.has_more), (alone.rows, alone.has_more), "{page:?}");
    }
}
