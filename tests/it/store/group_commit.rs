//! Writes that wait for the disk at the same time, on SQLite. What they wait for here is another process that writes, so that
//! all of them have come before the first one begins.

use std::pin::pin;
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use futures_util::future::{join, join_all, poll_immediate};
use project_services::domain::event::{NewEvent, ServiceEvent};
use project_services::domain::service::Service;
use project_services::store::{Guard, Result, Store, StoreError, Write};

use super::fixture::{Database, append, begin_term, create, new, note, project, service, update};
use super::{later, read, sequences};

/// What comes of `writes` where all of them have come before the first is begun.
async fn together<T>(database: &Database, writes: impl Future<Output = T>) -> T {
    let mut other = database.raw_sqlite();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let release = async { other.batch_execute("COMMIT").unwrap() };
    join(writes, release).await.0
}

/// Appends so many events of a service to its project's log.
async fn append_all(store: &dyn Store, service: &Service, messages: &[&str]) -> Vec<Result<ServiceEvent>> {
    join_all(messages.iter().map(|message| append(store, service, message))).await
}

async fn messages(store: &dyn Store) -> Vec<String> {
    let events = store.event_list_since(&project("demo"), 0, 1000).await.unwrap();
    events.into_iter().map(|event| event.message).collect()
}

/// A database with one service, whose provisioning is the first event of its log.
async fn one_service() -> (Database, Arc<dyn Store>, Service) {
    let database = Database::sqlite();
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    (database, store, service)
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_wait_at_the_same_time_share_one_commit_in_their_order() {
    let (database, store, service) = one_service().await;
    let before = store.commit_count();
    let texts: Vec<String> = (2..32).map(|place| place.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let written = together(&database, append_all(&*store, &service, &texts)).await;
    assert_eq!(store.commit_count() - before, 1);
    for (event, place) in written.into_iter().zip(2..) {
        let event = event.unwrap();
        assert_eq!((event.sequence, event.message), (place, place.to_string()));
    }
    assert_eq!(sequences(&*store, "demo").await, (1..32).collect::<Vec<_>>());
    // One that comes alone has one of its own.
    append(&*store, &service, "alone").await.unwrap();
    assert_eq!(store.commit_count() - before, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_patient_goes_ahead_of_the_next_and_where_nobody_comes_alone() {
    let (_database, store, service) = one_service().await;
    let epoch = begin_term(&*store).await.epoch;
    let (read, event) = (read(&*store, service.id).await, note("patient"));
    let guard = Guard::Term { epoch, read: &read };
    let patient = || Write { event: Some(&event), is_patient: true, ..Write::new(guard, event.occurred_at) };
    let before = store.commit_count();
    let (waited, urgent) = join(store.commit(patient()), append(&*store, &service, "urgent")).await;
    waited.unwrap();
    urgent.unwrap();
    assert_eq!(
        (store.commit_count() - before, &messages(&*store).await[1..]),
        (1, &["patient", "urgent"].map(str::to_owned)[..])
    );
    store.commit(patient()).await.unwrap();
    assert_eq!(store.commit_count() - before, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_refused_takes_back_itself_alone() {
    let (database, store, one) = one_service().await;
    let before = store.commit_count();
    let (first, second) = (service("demo", "cache"), service("demo", "cache"));
    let (first_new, second_new) = (new(&first), new(&second));
    let (first_told, second_told) = (NewEvent::provisioned(&first, "ada"), NewEvent::provisioned(&second, "ada"));
    let current = read(&*store, one.id).await;
    let overtaken = Service { revision: current.revision + 1, ..current.clone() };
    let (stale, at) = (note("stale"), later(current.updated_at));
    let writes = async {
        tokio::join!(
            append(&*store, &one, "a"),
            store.service_create(&first_new, &first_told),
            store.service_create(&second_new, &second_told),
            update(&*store, &overtaken, &overtaken, Some(&stale), at),
            append(&*store, &one, "b"),
        )
    };
    let (a, first_created, second_created, updated, b) = together(&database, writes).await;
    // Each sees what those before it did.
    let places = [a.unwrap().sequence, first_created.unwrap().sequence, b.unwrap().sequence];
    assert_eq!(places, [2, 3, 4]);
    assert!(matches!(second_created, Err(StoreError::NameTaken)), "{second_created:?}");
    assert!(matches!(updated, Err(StoreError::Stale)), "{updated:?}");
    assert_eq!(store.commit_count() - before, 1);
    assert_eq!(sequences(&*store, "demo").await, [1, 2, 3, 4]);
    assert!(store.service_get(second.id).await.unwrap().is_none());
    assert!(store.sealed_get(second.id).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_dropped_before_its_turn_is_not_done_and_holds_up_nobody() {
    let (database, store, service) = one_service().await;
    let writes = async {
        let mut dropped = Box::pin(append(&*store, &service, "dropped"));
        assert!(poll_immediate(&mut dropped).await.is_none());
        let mut kept = pin!(append(&*store, &service, "kept"));
        assert!(poll_immediate(&mut kept).await.is_none());
        drop(dropped);
        // What releases them has its turn.
        tokio::task::yield_now().await;
        kept.await
    };
    assert_eq!(together(&database, writes).await.unwrap().sequence, 2);
    assert_eq!(messages(&*store).await[1..], ["kept"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_commit_fails_nothing_is_kept_and_nobody_is_told_otherwise() {
    let (database, store, one) = one_service().await;
    database
        .execute(
            "CREATE TABLE doomed (id INTEGER PRIMARY KEY, other INTEGER REFERENCES doomed DEFERRABLE INITIALLY DEFERRED); \
             CREATE TRIGGER doom AFTER INSERT ON service_events WHEN NEW.message = 'doomed' \
             BEGIN INSERT INTO doomed (other) VALUES (99); END",
        )
        .await;
    let before = store.commit_count();
    let twin = service("demo", one.name.as_str());
    let (twin_new, twin_told) = (new(&twin), NewEvent::provisioned(&twin, "ada"));
    let writes = async {
        tokio::join!(
            append(&*store, &one, "a"),
            append(&*store, &one, "doomed"),
            append(&*store, &one, "b"),
            store.service_create(&twin_new, &twin_told),
        )
    };
    let (a, doomed, b, refused) = together(&database, writes).await;
    // The last one would have been refused all the same; but it can't be told from what is not kept.
    for lost in [a, doomed, b, refused] {
        assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    }
    assert_eq!((store.commit_count(), sequences(&*store, "demo").await), (before, vec![1]));
    assert_eq!(append(&*store, &one, "c").await.unwrap().sequence, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_takes_the_transaction_back_takes_those_before_it_along_and_none_behind_it() {
    let (database, store, one) = one_service().await;
    // As SQLite does by itself where the disk is full or fails.
    database
        .execute(
            "CREATE TRIGGER breaks AFTER INSERT ON service_events WHEN NEW.message = 'breaks' \
             BEGIN SELECT RAISE(ROLLBACK, 'broken'); END",
        )
        .await;
    let before = store.commit_count();
    let texts = ["a", "b", "breaks", "c", "d"];
    let written = together(&database, append_all(&*store, &one, &texts)).await;
    assert!(written[..2].iter().all(|lost| matches!(lost, Err(StoreError::Unavailable(_)))), "{written:?}");
    assert!(matches!(written[2], Err(StoreError::Failed(_))), "{written:?}");
    let places: Vec<_> = written[3..].iter().map(|kept| kept.as_ref().unwrap().sequence).collect();
    assert_eq!(places, [2, 3]);
    assert_eq!(store.commit_count() - before, 1);
    assert_eq!(messages(&*store).await[1..], ["c", "d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_stands_for_what_anybody_else_reads() {
    let (database, store, one) = one_service().await;
    let other = database.connect().await;
    let writes = (0..100).map(async |_| {
        let event = append(&*store, &one, "x").await.unwrap();
        assert!(other.event_span(&one.project).await.unwrap().last >= event.sequence);
    });
    join_all(writes).await;
    assert_eq!(sequences(&*other, "demo").await.len(), 101);
}
