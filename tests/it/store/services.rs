//! What is written of a service, and what is refused.

use std::sync::Arc;

use project_services::domain::event::NewEvent;
use project_services::domain::service::{ErrorCode, Power, RunId, Service, ServiceError, ServiceState};
use project_services::store::{NewService, ServiceFilter, StoreError};
use tokio::task::JoinSet;

use super::fixture::{Database, create, keyed, micros, new, ports, project, published, seal, sealer, service, update};
use super::{ALL, destroy, later, read, sequences};

contract! {
    what_is_written_is_read_back,
    what_is_not_there_is_none_and_no_error,
    a_name_is_taken_until_its_service_is_destroyed,
    a_port_is_taken_until_its_service_is_destroyed,
    a_key_is_taken_for_ever_and_outranks_the_name,
    a_projects_quota_holds_however_many_ask_at_once,
    a_refused_service_leaves_no_trace,
}

async fn what_is_written_is_read_back(database: Database) {
    let store = database.connect().await;
    let mut service = published(service("demo", "db"), 54_321);
    let first = store.service_create(&keyed(&service, "key", "print"), &NewEvent::provisioned(&service, "ada")).await;
    let first = first.unwrap();
    assert_eq!((first.sequence, first.previous_state, first.state), (1, None, ServiceState::Pending));
    assert_eq!((first.service, first.actor.as_deref()), (service.id, Some("ada")));
    assert_eq!(first.occurred_at, micros(service.created_at));

    service.created_at = micros(service.created_at);
    service.updated_at = micros(service.updated_at);
    assert_eq!(read(&*store, service.id).await, service);
    let found = store.service_find_by_key(&project("demo"), &"key".parse().unwrap()).await.unwrap();
    assert_eq!(found, Some((service.clone(), "print".to_owned())));
    let sealed = store.sealed_get(service.id).await.unwrap().unwrap();
    assert_eq!(sealer("k1").open(service.id, &sealed).unwrap().as_slice(), b"hunter2");
    assert_eq!(ports(&*store).await, [54_321]);
    assert_eq!(store.service_list_names(&project("demo")).await.unwrap(), [service.name.clone()]);
    assert_eq!(store.service_list_active().await.unwrap(), [service.clone()]);

    let mut after = service.clone();
    let now = later(service.updated_at);
    after.wish.power = Power::Off;
    after.generation = 2;
    after.state = ServiceState::Error;
    after.operation = None;
    after.error = Some(ServiceError {
        code: ErrorCode::VolumeLost,
        message: "Ünïcode 'n' \"quotes\"".to_owned(),
        occurred_at: now,
    });
    after.evidence.initialised = true;
    after.evidence.ready_run = Some(RunId("run".to_owned()));
    after.trace = Some("00-11111111111111111111111111111111-2222222222222222-00".parse().unwrap());
    let event = NewEvent::of_change(&service, &after, Some("ada"), now).unwrap();
    let written = update(&*store, &service, &after, Some(&event), now).await.unwrap();
    assert_eq!(written, Service { revision: 2, updated_at: micros(now), ..after });
    assert_eq!(read(&*store, service.id).await, written);

    let events = store.event_list_since(&project("demo"), 0, 10).await.unwrap();
    assert_eq!(events[0], first);
    assert_eq!((events[1].previous_state, events[1].state), (Some(ServiceState::Pending), ServiceState::Error));
    assert_eq!((&events[1].message, events[1].occurred_at), (&event.message, micros(now)));
    assert_eq!(store.event_list_since(&project("demo"), 1, 10).await.unwrap(), events[1..]);
    assert_eq!(store.event_list_since(&project("demo"), 0, 1).await.unwrap(), events[..1]);
    assert_eq!(store.event_span(&project("demo")).await.unwrap().last, 2);

    // Without an event nothing is appended.
    update(&*store, &written, &written, None, now).await.unwrap();
    assert_eq!(store.event_span(&project("demo")).await.unwrap().last, 2);
}

async fn what_is_not_there_is_none_and_no_error(database: Database) {
    let store = database.connect().await;
    let nobody = service("demo", "db");
    store.ping().await.unwrap();
    assert_eq!(store.service_get(nobody.id).await.unwrap(), None);
    assert_eq!(store.service_find_by_key(&nobody.project, &"key".parse().unwrap()).await.unwrap(), None);
    assert_eq!(store.sealed_get(nobody.id).await.unwrap(), None);
    let sealed = seal("k1", nobody.id, "x");
    assert!(!store.sealed_replace(nobody.id, &sealed, &sealed).await.unwrap());
    assert_eq!(store.event_span(&nobody.project).await.unwrap().last, 0);
    assert!(store.event_list_since(&nobody.project, 0, 10).await.unwrap().is_empty());
    assert!(store.event_list_of_service(nobody.id, ALL).await.unwrap().rows.is_empty());
    assert_eq!(store.service_count(&nobody.project, &ServiceFilter::default()).await.unwrap(), 0);
    let stale = update(&*store, &nobody, &nobody, None, nobody.created_at).await;
    assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
}

async fn a_name_is_taken_until_its_service_is_destroyed(database: Database) {
    let store = database.connect().await;
    let first = service("demo", "db");
    create(&*store, &first).await;
    let second = service("demo", "db");
    let taken = store.service_create(&new(&second), &NewEvent::provisioned(&second, "ada")).await;
    assert!(matches!(taken, Err(StoreError::NameTaken)), "{taken:?}");
    create(&*store, &service("other", "db")).await;
    destroy(&*store, first.id).await;
    assert!(store.service_list_names(&project("demo")).await.unwrap().is_empty());
    create(&*store, &second).await;
    destroy(&*store, second.id).await;
    create(&*store, &service("demo", "db")).await;
}

async fn a_port_is_taken_until_its_service_is_destroyed(database: Database) {
    let store = database.connect().await;
    let first = published(service("demo", "one"), 40_000);
    create(&*store, &first).await;
    let second = published(service("other", "two"), 40_000);
    let taken = store.service_create(&new(&second), &NewEvent::provisioned(&second, "ada")).await;
    assert!(matches!(taken, Err(StoreError::PortTaken)), "{taken:?}");
    create(&*store, &published(service("other", "three"), 39_999)).await;
    assert_eq!(ports(&*store).await, [39_999, 40_000]);
    destroy(&*store, first.id).await;
    assert_eq!(ports(&*store).await, [39_999]);
    create(&*store, &second).await;
}

async fn a_key_is_taken_for_ever_and_outranks_the_name(database: Database) {
    let store = database.connect().await;
    let first = service("demo", "db");
    let event = NewEvent::provisioned(&first, "ada");
    store.service_create(&keyed(&first, "key", "print"), &event).await.unwrap();
    // A repeated request takes the same name as well.
    let again = service("demo", "db");
    let used = store.service_create(&keyed(&again, "key", "print"), &event).await;
    assert!(matches!(used, Err(StoreError::KeyUsed)), "{used:?}");
    destroy(&*store, first.id).await;
    let used = store.service_create(&keyed(&again, "key", "print"), &event).await;
    assert!(matches!(used, Err(StoreError::KeyUsed)), "{used:?}");
    // Another project's keys are its own.
    let other = service("other", "db");
    store.service_create(&keyed(&other, "key", "print"), &NewEvent::provisioned(&other, "ada")).await.unwrap();
    // The same request many times at once is one service.
    let mut requests = JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        requests.spawn(async move {
            let service = service("race", "db");
            store.service_create(&keyed(&service, "key", "print"), &NewEvent::provisioned(&service, "ada")).await
        });
    }
    let answers = requests.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Err(StoreError::KeyUsed))).count(), 7, "{answers:?}");
}

async fn a_projects_quota_holds_however_many_ask_at_once(database: Database) {
    let store = database.connect().await;
    let mut requests = JoinSet::new();
    for n in 0..12 {
        let store = Arc::clone(&store);
        requests.spawn(async move {
            let service = service("demo", &format!("db-{n}"));
            let new = NewService { quota: 5, ..new(&service) };
            store.service_create(&new, &NewEvent::provisioned(&service, "ada")).await.map(|_| service.id)
        });
    }
    let (made, refused): (Vec<_>, Vec<_>) = requests.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 5);
    assert!(refused.iter().all(|answer| matches!(answer, Err(StoreError::QuotaReached))), "{refused:?}");
    assert_eq!(sequences(&*store, "demo").await, [1, 2, 3, 4, 5]);
    // Another project has a quota of its own.
    let other = service("other", "db");
    let new_other = NewService { quota: 1, ..new(&other) };
    store.service_create(&new_other, &NewEvent::provisioned(&other, "ada")).await.unwrap();
    // A destroyed service makes room for one more.
    destroy(&*store, *made[0].as_ref().unwrap()).await;
    let (last, none) = (service("demo", "last"), service("demo", "none"));
    let event = NewEvent::provisioned(&last, "ada");
    store.service_create(&NewService { quota: 5, ..keyed(&last, "key", "print") }, &event).await.unwrap();
    let full = store.service_create(&NewService { quota: 5, ..new(&none) }, &event).await;
    assert!(matches!(full, Err(StoreError::QuotaReached)), "{full:?}");
    // A request that is repeated hears of its service all the same.
    let used = store.service_create(&NewService { quota: 5, ..keyed(&none, "key", "print") }, &event).await;
    assert!(matches!(used, Err(StoreError::KeyUsed)), "{used:?}");
}

async fn a_refused_service_leaves_no_trace(database: Database) {
    let store = database.connect().await;
    create(&*store, &service("demo", "db")).await;
    let refused = service("demo", "db");
    store.service_create(&new(&refused), &NewEvent::provisioned(&refused, "ada")).await.unwrap_err();
    assert_eq!(store.service_get(refused.id).await.unwrap(), None);
    assert_eq!(store.event_span(&project("demo")).await.unwrap().last, 1);
    create(&*store, &service("demo", "db-2")).await;
    assert_eq!(sequences(&*store, "demo").await, [1, 2]);
}
