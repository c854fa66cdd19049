//! The log says what became of a service, whoever writes at the same time and whatever they have read.

use std::sync::Arc;

use project_services::domain::event::NewEvent;
use project_services::domain::id::ServiceId;
use project_services::domain::lifecycle::{Requested, ServiceAction, request};
use project_services::domain::service::{Operation, OperationPhase, Service, ServiceState};
use project_services::domain::task::TaskId;
use project_services::store::{Guard, Page, Passed, Store, StoreError, Write};
use tokio::task::JoinSet;

use super::fixture::{Database, append, create, note, service, update};
use super::{ALL, destroy, later, read, sequences};

contract! {
    an_event_tells_the_state_that_is_and_not_the_one_that_was_read,
    reveals_during_stops_and_starts_do_not_contradict_them,
    nothing_happens_to_a_destroyed_service,
    what_a_service_has_passed_has_places_of_its_own,
}

async fn an_event_tells_the_state_that_is_and_not_the_one_that_was_read(database: Database) {
    let store = database.connect().await;
    let stale = service("demo", "db");
    create(&*store, &stale).await;
    let running = Service { state: ServiceState::Running, operation: None, ..stale.clone() };
    update(&*store, &stale, &running, Some(&note("runs")), later(stale.updated_at)).await.unwrap();
    let event = append(&*store, &stale, "seen by one who has read it before").await.unwrap();
    assert_eq!((event.previous_state, event.state), (Some(ServiceState::Running), ServiceState::Running));
    assert_eq!(event.operation, None);
}

/// What a use case does: it reads, decides and writes, again and again.
async fn settle(store: &dyn Store, id: ServiceId, action: ServiceAction) {
    loop {
        let before = read(store, id).await;
        let now = later(before.updated_at);
        let asked = request(&before, &[], action, TaskId(before.id.0), now);
        let Ok(Requested::Changed(asked, _)) = asked else { panic!("{action} is allowed") };
        let state = if action == ServiceAction::Stop { ServiceState::Stopped } else { ServiceState::Running };
        let after = Service { state, operation: None, ..*asked };
        let event = NewEvent::of_change(&before, &after, None, now);
        let parts = Write { service: Some(&after), event: event.as_ref(), ..Write::new(Guard::Revision(&before), now) };
        match store.commit(parts).await {
            Ok(_) => return,
            Err(StoreError::Stale) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

// The chain itself is checked where the database ends, as for every test.
async fn reveals_during_stops_and_starts_do_not_contradict_them(database: Database) {
    const ROUNDS: usize = 20;
    const VIEWERS: usize = 4;
    let stores = [database.connect().await, database.connect().await];
    let service = service("demo", "db");
    create(&*stores[0], &service).await;
    let running = Service { state: ServiceState::Running, operation: None, ..service.clone() };
    let now = later(service.updated_at);
    update(&*stores[0], &service, &running, Some(&note("runs")), now).await.unwrap();
    let mut all = JoinSet::new();
    for viewer in 0..VIEWERS {
        let store = Arc::clone(&stores[viewer % 2]);
        all.spawn(async move {
            for _ in 0..ROUNDS {
                let seen = read(&*store, service.id).await;
                append(&*store, &seen, "revealed").await.unwrap();
            }
        });
    }
    let store = Arc::clone(&stores[0]);
    all.spawn(async move {
        for _ in 0..ROUNDS {
            settle(&*store, service.id, ServiceAction::Stop).await;
            settle(&*store, service.id, ServiceAction::Start).await;
        }
    });
    all.join_all().await;
    let events = stores[0].event_list_of_service(service.id, ALL).await.unwrap().rows;
    assert_eq!(events.iter().filter(|event| event.message == "revealed").count(), ROUNDS * VIEWERS);
    assert_eq!(events.len(), 2 + ROUNDS * (VIEWERS + 2));
}

async fn nothing_happens_to_a_destroyed_service(database: Database) {
    let store = database.connect().await;
    let seen = service("demo", "db");
    create(&*store, &seen).await;
    destroy(&*store, seen.id).await;
    let (event, reveal) = (note("revealed"), ServiceAction::RevealCredentials);
    let guard = Guard::State { read: &seen, one_of: reveal.allowed_in() };
    let refused = store.commit(Write { event: Some(&event), ..Write::new(guard, event.occurred_at) }).await;
    assert!(matches!(refused, Err(StoreError::InvalidState(ServiceState::Destroyed))), "{refused:?}");
    assert_eq!(sequences(&*store, "demo").await, [1, 2]);
}

async fn what_a_service_has_passed_has_places_of_its_own(database: Database) {
    let store = database.connect().await;
    let accepted = service("demo", "db");
    create(&*store, &accepted).await;
    let at = |phase| Operation { phase, ..accepted.operation.clone().unwrap() };
    let phases = [OperationPhase::CreatingContainer, OperationPhase::Starting];
    let passed = phases.map(|phase| Passed { operation: at(phase), event: note(phase.as_str()) });
    let read = read(&*store, accepted.id).await;
    let write = async |after: &Service, passed: &[Passed], event: Option<&NewEvent>| {
        let guard = Guard::Revision(&read);
        let write = Write { service: Some(after), passed, event, ..Write::new(guard, later(read.updated_at)) };
        store.commit(write).await
    };
    let running = Service { state: ServiceState::Running, operation: None, ..read.clone() };
    let after = write(&running, &passed, Some(&note("runs"))).await.unwrap().service;
    assert_eq!(after.revision, read.revision + 3);
    let stale = write(&running, &passed, Some(&note("lost"))).await;
    assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");

    // One that is at the last of them still.
    let read = after;
    let starting = Service { operation: Some(at(OperationPhase::Starting)), ..read.clone() };
    let write = Write {
        service: Some(&starting),
        passed: &passed,
        ..Write::new(Guard::Revision(&read), later(read.updated_at))
    };
    assert_eq!(store.commit(write).await.unwrap().service.revision, read.revision + 2);

    let all = Page { after: None, before: None, limit: 10, from_end: false };
    let events = store.event_list_of_service(accepted.id, all).await.unwrap().rows;
    let told = events.iter().map(|event| {
        let phase = event.operation.as_ref().map(|operation| operation.phase);
        (event.sequence, event.revision.unwrap(), event.previous_state, event.state, phase)
    });
    let (pending, running) = (ServiceState::Pending, ServiceState::Running);
    let expected = [
        (1, 1, None, pending, Some(OperationPhase::Queued)),
        (2, 2, Some(pending), pending, Some(phases[0])),
        (3, 3, Some(pending), pending, Some(phases[1])),
        (4, 4, Some(pending), running, None),
        (5, 5, Some(running), running, Some(phases[0])),
        (6, 6, Some(running), running, Some(phases[1])),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}
