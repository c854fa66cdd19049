//! What is taken off the beginning of a log, and what of it stays.

use jiff::Timestamp;
use project_services::domain::event::LogSpan;
use project_services::domain::service::Service;
use project_services::store::{Page, Retention, Store, StoreError};

use super::fixture::{Database, append, create, note, project, service, update};
use super::{ALL, destroy, read, sequences};

contract! {
    a_log_is_trimmed_to_the_newest_events,
    events_that_are_too_old_go_and_younger_ones_behind_them_stay,
    a_log_that_was_trimmed_is_read_from_where_it_is_whole,
    a_page_and_its_cursor_are_of_one_moment,
}

fn newest(newest: u32) -> Retention {
    Retention { newest, since: Timestamp::UNIX_EPOCH }
}

async fn trim(store: &dyn Store, keep: Retention, limit: u32) -> u64 {
    let mut gone = 0;
    for project in store.event_list_overdue(keep).await.unwrap() {
        loop {
            match store.event_trim(&project, keep, limit).await.unwrap() {
                0 => break,
                more => gone += more,
            }
        }
    }
    gone
}

/// Two services that live and one that is destroyed, whose events alternate: 1 to 12 of `demo`, and one of `other`.
async fn filled(store: &dyn Store) -> [Service; 3] {
    let services = [service("demo", "a"), service("demo", "b"), service("demo", "c")];
    for service in &services {
        create(store, service).await;
    }
    for number in 4..=11 {
        append(store, &services[number % 2], &number.to_string()).await.unwrap();
    }
    destroy(store, services[2].id).await;
    create(store, &service("other", "d")).await;
    services
}

async fn a_log_is_trimmed_to_the_newest_events(database: Database) {
    let store = database.connect().await;
    let [a, b, c] = filled(&*store).await;
    assert!(store.event_list_overdue(newest(12)).await.unwrap().is_empty());
    assert_eq!(store.event_trim(&project("demo"), newest(12), 100).await.unwrap(), 0);
    assert_eq!(store.event_list_overdue(newest(11)).await.unwrap(), [project("demo")]);
    // Never more than so many at once.
    assert_eq!(store.event_trim(&project("demo"), newest(2), 3).await.unwrap(), 3);
    assert_eq!(store.event_span(&project("demo")).await.unwrap(), LogSpan { first: 4, last: 12 });
    assert_eq!(trim(&*store, newest(2), 3).await, 7);
    assert_eq!(store.event_span(&project("demo")).await.unwrap(), LogSpan { first: 11, last: 12 });
    let kept = async |service: &Service| {
        let events = store.event_list_of_service(service.id, ALL).await.unwrap().rows;
        events.iter().map(|event| event.sequence).collect::<Vec<_>>()
    };
    // The newest of `a` is older than the others, and stays, for it tells what `a` is like.
    assert_eq!((kept(&a).await, kept(&b).await, kept(&c).await), (vec![10], vec![11], vec![12]));
    // It goes once another has taken its place, and so does the last one of what is destroyed.
    append(&*store, &a, "13").await.unwrap();
    append(&*store, &b, "14").await.unwrap();
    assert_eq!(trim(&*store, newest(2), 100).await, 2);
    assert_eq!((kept(&a).await, kept(&b).await, kept(&c).await), (vec![13], vec![14], vec![]));
    assert_eq!(sequences(&*store, "other").await, [1]);
    // Pages of what is left know that there is nothing ahead of it.
    let page = Page { after: None, before: Some(14), limit: 1, from_end: true };
    let ahead = store.event_list_of_service(b.id, page).await.unwrap();
    assert!(ahead.rows.is_empty() && !ahead.has_more);
}

async fn events_that_are_too_old_go_and_younger_ones_behind_them_stay(database: Database) {
    let store = database.connect().await;
    let service = service("demo", "a");
    create(&*store, &service).await;
    let mut before = read(&*store, service.id).await;
    for day in [1, 3, 2, 9] {
        let mut event = note(&day.to_string());
        event.occurred_at = format!("2030-01-0{day}T00:00:00Z").parse().unwrap();
        before = update(&*store, &before, &before, Some(&event), event.occurred_at).await.unwrap();
    }
    let since = |day: u8| Retention { newest: 100, since: format!("2030-01-0{day}T00:00:00Z").parse().unwrap() };
    assert_eq!(trim(&*store, since(2), 100).await, 2);
    assert!(store.event_list_overdue(since(2)).await.unwrap().is_empty());
    // The log is trimmed in its own order, whatever the clocks of those who wrote it.
    assert_eq!(trim(&*store, since(3), 100).await, 0);
    assert_eq!(trim(&*store, since(4), 1).await, 2);
    assert_eq!(store.event_span(&project("demo")).await.unwrap(), LogSpan { first: 5, last: 5 });
}

async fn a_log_that_was_trimmed_is_read_from_where_it_is_whole(database: Database) {
    let store = database.connect().await;
    filled(&*store).await;
    trim(&*store, newest(2), 100).await;
    let read = async |after| store.event_list_since(&project("demo"), after, 100).await;
    // Some of the events behind these are gone, though not the newest one of each service.
    for after in 0..9 {
        let answer = read(after).await;
        assert!(matches!(answer, Err(StoreError::Expired)), "{after}: {answer:?}");
    }
    for after in 10..=12 {
        let events = read(after).await.unwrap();
        assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), (after + 1..=12).collect::<Vec<_>>());
    }
}

async fn a_page_and_its_cursor_are_of_one_moment(database: Database) {
    let stores = [database.connect().await, database.connect().await];
    let service = service("demo", "a");
    create(&*stores[0], &service).await;
    let writer = tokio::spawn({
        let store = std::sync::Arc::clone(&stores[1]);
        async move {
            for number in 2..=60 {
                let before = read(&*store, service.id).await;
                let mut after = before.clone();
                after.evidence.crashes = number;
                update(&*store, &before, &after, Some(&note("x")), before.updated_at).await.unwrap();
            }
        }
    });
    let page = Page { after: None, before: None, limit: 10, from_end: false };
    let mut seen = 0;
    while seen < 60 {
        let (slice, span) = stores[0].service_list_at(&project("demo"), &Default::default(), page).await.unwrap();
        seen = span.last;
        // Each write is one event more.
        assert_eq!(slice.rows[0].revision, seen);
    }
    writer.await.unwrap();
}
