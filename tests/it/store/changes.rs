//! Of those who change the same, one does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use project_services::domain::service::{Service, ServiceState};
use project_services::store::StoreError;
use tokio::task::JoinSet;

use super::fixture::{Database, append, create, note, project, service, update};
use super::{later, read, sequences};

contract! {
    an_update_of_what_changed_meanwhile_is_stale,
    of_racing_updates_one_wins_each_revision,
    a_reader_of_the_log_never_sees_a_gap,
    an_event_of_no_service_takes_no_place_in_the_log,
}

async fn an_update_of_what_changed_meanwhile_is_stale(database: Database) {
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let current = read(&*store, service.id).await;
    let after = Service { state: ServiceState::Running, ..current.clone() };
    for before in [
        Service { generation: current.generation + 1, ..current.clone() },
        Service { generation: current.generation - 1, ..current.clone() },
        Service { revision: current.revision + 1, ..current.clone() },
        Service { revision: current.revision - 1, ..current.clone() },
    ] {
        let answer = update(&*store, &before, &after, Some(&note("lost")), later(current.updated_at)).await;
        assert!(matches!(answer, Err(StoreError::Stale)), "{answer:?}");
    }
    assert_eq!(read(&*store, service.id).await, current);
    assert_eq!(sequences(&*store, "demo").await, [1]);
}

async fn of_racing_updates_one_wins_each_revision(database: Database) {
    const WRITERS: i64 = 16;
    const UPDATES: i64 = 4;
    // Two handles, as of two processes.
    let stores = [database.connect().await, database.connect().await];
    let service = service("demo", "db");
    create(&*stores[0], &service).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&stores[usize::try_from(writer).unwrap() % 2]);
        writers.spawn(async move {
            let mut won = Vec::new();
            while won.len() < usize::try_from(UPDATES).unwrap() {
                let before = read(&*store, service.id).await;
                let mut after = before.clone();
                after.evidence.crashes += 1;
                let event = note(&format!("{writer} {}", won.len()));
                match update(&*store, &before, &after, Some(&event), later(before.updated_at)).await {
                    Ok(written) => won.push(written.revision),
                    Err(StoreError::Stale) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            won
        });
    }
    let mut revisions: Vec<i64> = writers.join_all().await.concat();
    revisions.sort_unstable();
    assert_eq!(revisions, (2..2 + WRITERS * UPDATES).collect::<Vec<_>>());
    let last = read(&*stores[0], service.id).await;
    assert_eq!(i64::from(last.evidence.crashes), WRITERS * UPDATES);
    let events = stores[0].event_list_since(&project("demo"), 1, 1000).await.unwrap();
    assert_eq!(sequences(&*stores[0], "demo").await, (1..=1 + WRITERS * UPDATES).collect::<Vec<_>>());
    let mut messages: Vec<_> = events.into_iter().map(|event| event.message).collect();
    messages.sort();
    messages.dedup();
    assert_eq!(messages.len(), revisions.len());
}

async fn a_reader_of_the_log_never_sees_a_gap(database: Database) {
    const WRITERS: usize = 12;
    const EVENTS: usize = 15;
    let stores = [database.connect().await, database.connect().await];
    let mut services = Vec::new();
    for number in 0..WRITERS {
        let service = service("demo", &format!("db-{number}"));
        create(&*stores[0], &service).await;
        services.push(service);
    }
    let first = stores[0].event_span(&project("demo")).await.unwrap().last;
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (store, done) = (Arc::clone(&stores[1]), Arc::clone(&done));
        async move {
            let (mut cursor, mut looks) = (first, 0);
            loop {
                // Asked first, so that the last look comes after the last append.
                let last_look = done.load(Ordering::SeqCst);
                for event in store.event_list_since(&project("demo"), cursor, 7).await.unwrap() {
                    assert_eq!(event.sequence, cursor + 1, "a reader that goes on from here has missed an event");
                    cursor = event.sequence;
                }
                looks += 1;
                if last_look && store.event_span(&project("demo")).await.unwrap().last == cursor {
                    return (cursor, looks);
                }
            }
        }
    });
    let mut writers = JoinSet::new();
    for (number, service) in services.into_iter().enumerate() {
        let store = Arc::clone(&stores[number % 2]);
        writers.spawn(async move {
            for event in 0..EVENTS {
                append(&*store, &service, &event.to_string()).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    done.store(true, Ordering::SeqCst);
    let (cursor, looks) = reader.await.unwrap();
    assert_eq!(cursor, first + i64::try_from(WRITERS * EVENTS).unwrap());
    assert!(looks > 1);
}

async fn an_event_of_no_service_takes_no_place_in_the_log(database: Database) {
    let store = database.connect().await;
    let (service, nobody) = (service("demo", "db"), service("demo", "nobody"));
    create(&*store, &service).await;
    let answer = append(&*store, &nobody, "x").await;
    assert!(matches!(answer, Err(StoreError::Stale)), "{answer:?}");
    append(&*store, &service, "x").await.unwrap();
    assert_eq!(sequences(&*store, "demo").await, [1, 2]);
}
