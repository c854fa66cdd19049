//! What every store has to do. One suite, which each backend runs.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use jiff::{SignedDuration, Timestamp};
use project_services::domain::event::NewEvent;
use project_services::domain::id::ServiceId;
use project_services::domain::service::{Desired, ErrorCode, RunId, Service, ServiceError, ServiceKind, ServiceState};
use project_services::domain::term::{ReplicaId, Term};
use project_services::store::{NewService, Page, Reseal, ServiceFilter, Slice, Store, StoreError};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::store_fixture::{Database, create, keyed, micros, new, note, project, published, seal, sealer, service};

macro_rules! contract {
    ($($test:ident,)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    super::$test(super::Database::sqlite()).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    super::$test(super::Database::postgres().await).await;
                }
            )+
        }
    };
}

contract! {
    what_is_written_is_read_back,
    what_is_not_there_is_none_and_no_error,
    a_name_is_taken_until_its_service_is_destroyed,
    a_port_is_taken_until_its_service_is_destroyed,
    a_key_is_taken_for_ever_and_outranks_the_name,
    a_projects_quota_holds_however_many_ask_at_once,
    a_refused_service_leaves_no_trace,
    a_filter_finds_what_it_names,
    a_tally_counts_the_services_of_every_project,
    pages_walk_a_projects_services_both_ways,
    pages_walk_a_services_events_both_ways,
    an_update_of_what_changed_meanwhile_is_stale,
    of_racing_updates_one_wins_each_revision,
    a_reader_of_the_log_never_sees_a_gap,
    an_event_of_no_service_takes_no_place_in_the_log,
    a_destroyed_service_has_no_credentials_and_never_comes_back,
    credentials_are_replaced_only_where_they_are_the_old_ones,
    a_service_and_its_credentials_are_written_together_or_not_at_all,
    a_key_rotation_finds_what_is_left,
    the_installation_is_the_same_for_all_who_ask,
    a_restart_keeps_everything,
    handles_that_open_an_empty_database_together_all_succeed,
    a_call_that_is_dropped_midway_leaves_nothing_behind,
    of_those_who_want_to_reconcile_one_does,
    what_a_deposed_reconciler_writes_is_refused,
}

const ALL: Page<i64> = Page { after: None, before: None, limit: 1000, from_end: false };

fn later(time: Timestamp) -> Timestamp {
    time.checked_add(SignedDuration::from_nanos(1_000_001_001)).unwrap()
}

async fn read(store: &dyn Store, id: ServiceId) -> Service {
    store.service_get(id).await.unwrap().unwrap()
}

/// Destroys a service as the reconciler does, but at once.
async fn destroy(store: &dyn Store, id: ServiceId) -> Service {
    let before = read(store, id).await;
    let after = Service {
        desired: Desired::Destroyed,
        generation: before.generation + 1,
        state: ServiceState::Destroyed,
        operation: None,
        ..before.clone()
    };
    let now = later(before.updated_at);
    let event = NewEvent::of_change(&before, &after, None, now);
    store.service_update(&before, &after, event.as_ref(), now).await.unwrap()
}

async fn sequences(store: &dyn Store, project_id: &str) -> Vec<i64> {
    let events = store.event_list_since(&project(project_id), 0, 10_000).await.unwrap();
    events.iter().map(|event| event.sequence).collect()
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
    assert_eq!(store.port_list().await.unwrap(), [54_321]);
    assert_eq!(store.service_list_names(&project("demo")).await.unwrap(), [service.name.clone()]);
    assert_eq!(store.service_list_active().await.unwrap(), [service.id]);

    let mut after = service.clone();
    let now = later(service.updated_at);
    after.desired = Desired::Stopped;
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
    after.rotating = true;
    after.trace = Some("00-11111111111111111111111111111111-2222222222222222-00".parse().unwrap());
    let event = NewEvent::of_change(&service, &after, Some("ada"), now).unwrap();
    let written = store.service_update(&service, &after, Some(&event), now).await.unwrap();
    assert_eq!(written, Service { revision: 2, updated_at: micros(now), ..after });
    assert_eq!(read(&*store, service.id).await, written);

    let events = store.event_list_since(&project("demo"), 0, 10).await.unwrap();
    assert_eq!(events[0], first);
    assert_eq!((events[1].previous_state, events[1].state), (Some(ServiceState::Pending), ServiceState::Error));
    assert_eq!((&events[1].message, events[1].occurred_at), (&event.message, micros(now)));
    assert_eq!(store.event_list_since(&project("demo"), 1, 10).await.unwrap(), events[1..]);
    assert_eq!(store.event_list_since(&project("demo"), 0, 1).await.unwrap(), events[..1]);
    assert_eq!(store.event_last(&project("demo")).await.unwrap(), 2);

    // Without an event nothing is appended.
    store.service_update(&written, &written, None, now).await.unwrap();
    assert_eq!(store.event_last(&project("demo")).await.unwrap(), 2);
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
    assert_eq!(store.event_last(&nobody.project).await.unwrap(), 0);
    assert!(store.event_list_since(&nobody.project, 0, 10).await.unwrap().is_empty());
    assert!(store.event_list_of_service(nobody.id, ALL).await.unwrap().rows.is_empty());
    assert_eq!(store.service_count(&nobody.project, &ServiceFilter::default()).await.unwrap(), 0);
    let stale = store.service_update(&nobody, &nobody, None, nobody.created_at).await;
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
    assert_eq!(store.port_list().await.unwrap(), [39_999, 40_000]);
    destroy(&*store, first.id).await;
    assert_eq!(store.port_list().await.unwrap(), [39_999]);
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
    assert_eq!(store.event_last(&project("demo")).await.unwrap(), 1);
    create(&*store, &service("demo", "db-2")).await;
    assert_eq!(sequences(&*store, "demo").await, [1, 2]);
}

async fn a_tally_counts_the_services_of_every_project(database: Database) {
    let store = database.connect().await;
    assert!(store.service_tally().await.unwrap().is_empty());
    for service in [service("demo", "a"), service("demo", "b"), service("other", "c")] {
        create(&*store, &service).await;
    }
    let gone = service("demo", "d");
    create(&*store, &gone).await;
    destroy(&*store, gone.id).await;
    let mut tally = store.service_tally().await.unwrap();
    tally.sort();
    let kind = ServiceKind::Postgresql;
    assert_eq!(tally, [(kind, ServiceState::Pending, 3), (kind, ServiceState::Destroyed, 1)]);
}

async fn a_filter_finds_what_it_names(database: Database) {
    let store = database.connect().await;
    let running = service("demo", "a");
    let mut redis = service("demo", "b");
    redis.spec.kind = ServiceKind::Redis;
    let gone = service("demo", "c");
    for service in [&running, &redis, &gone, &service("other", "d")] {
        create(&*store, service).await;
    }
    let before = read(&*store, running.id).await;
    let after = Service { state: ServiceState::Running, ..before.clone() };
    store.service_update(&before, &after, None, later(before.updated_at)).await.unwrap();
    destroy(&*store, gone.id).await;

    let find = async |filter: ServiceFilter| {
        let page = Page { after: None, before: None, limit: 10, from_end: false };
        let found = store.service_list(&project("demo"), &filter, page).await.unwrap();
        let count = store.service_count(&project("demo"), &filter).await.unwrap();
        assert_eq!(count, u64::try_from(found.rows.len()).unwrap());
        found.rows.into_iter().map(|service| service.id).collect::<Vec<_>>()
    };
    let any = ServiceFilter::default();
    assert_eq!(find(any.clone()).await, [running.id, redis.id]);
    assert_eq!(find(ServiceFilter { include_destroyed: true, ..any.clone() }).await, [running.id, redis.id, gone.id]);
    let kinds = |kinds: &[ServiceKind]| ServiceFilter { kinds: Some(kinds.to_vec()), ..any.clone() };
    assert_eq!(find(kinds(&[ServiceKind::Redis])).await, [redis.id]);
    assert_eq!(find(kinds(&[ServiceKind::Redis, ServiceKind::Postgresql])).await, [running.id, redis.id]);
    assert!(find(kinds(&[])).await.is_empty());
    let states = |states: &[ServiceState]| ServiceFilter { states: Some(states.to_vec()), ..any.clone() };
    assert_eq!(find(states(&[ServiceState::Running, ServiceState::Stopped])).await, [running.id]);
    assert!(find(states(&[ServiceState::Destroyed])).await.is_empty());
    let destroyed = ServiceFilter { include_destroyed: true, ..states(&[ServiceState::Destroyed]) };
    assert_eq!(find(destroyed).await, [gone.id]);
    let neither = ServiceFilter { kinds: Some(vec![ServiceKind::Redis]), ..states(&[ServiceState::Running]) };
    assert!(find(neither).await.is_empty());
    let active = store.service_list_active().await.unwrap();
    assert_eq!((active.len(), active.contains(&gone.id)), (3, false));
}

/// Checks what pages of a list answer, given how to read one and the list's positions in order.
async fn check_pages<P: Copy + PartialEq + std::fmt::Debug>(all: &[P], page: impl AsyncFn(Page<P>) -> Slice<P>) {
    for from_end in [false, true] {
        let mut seen = Vec::new();
        let mut at = None;
        loop {
            let (after, before) = if from_end { (None, at) } else { (at, None) };
            let slice = page(Page { after, before, limit: 3, from_end }).await;
            at = if from_end { slice.rows.first().copied() } else { slice.rows.last().copied() };
            if from_end {
                seen.splice(0..0, slice.rows);
            } else {
                seen.extend(slice.rows);
            }
            if !slice.has_more {
                break;
            }
        }
        assert_eq!(seen, all, "from_end: {from_end}");
    }
    let exact = u32::try_from(all.len()).unwrap();
    for (limit, from_end, expected, more) in [
        (exact, false, all, false),
        (exact, true, all, false),
        (2, false, &all[..2], true),
        (2, true, &all[all.len() - 2..], true),
        (0, false, &all[..0], true),
    ] {
        let slice = page(Page { after: None, before: None, limit, from_end }).await;
        assert_eq!((slice.rows.as_slice(), slice.has_more), (expected, more), "{limit} from_end: {from_end}");
    }
    let (after, before) = (Some(all[1]), Some(all[5]));
    let inner = page(Page { after, before, limit: 2, from_end: true }).await;
    assert_eq!((inner.rows.as_slice(), inner.has_more), (&all[3..5], true));
    let inner = page(Page { after, before, limit: 3, from_end: false }).await;
    assert_eq!((inner.rows.as_slice(), inner.has_more), (&all[2..5], false));
}

async fn pages_walk_a_projects_services_both_ways(database: Database) {
    let store = database.connect().await;
    let mut all = Vec::new();
    for number in 0..7 {
        let service = service("demo", &format!("db-{number}"));
        create(&*store, &service).await;
        create(&*store, &self::service("other", &format!("db-{number}"))).await;
        all.push(service.id);
    }
    check_pages(&all, async |page| {
        let slice = store.service_list(&project("demo"), &ServiceFilter::default(), page).await.unwrap();
        Slice { rows: slice.rows.into_iter().map(|service| service.id).collect(), has_more: slice.has_more }
    })
    .await;
}

async fn pages_walk_a_services_events_both_ways(database: Database) {
    let store = database.connect().await;
    let (mine, other) = (service("demo", "mine"), service("demo", "other"));
    create(&*store, &mine).await;
    create(&*store, &other).await;
    let mut all = vec![1];
    for number in 0..6 {
        store.event_append(&other, &note(&other, "other")).await.unwrap();
        all.push(store.event_append(&mine, &note(&mine, &number.to_string())).await.unwrap().sequence);
    }
    check_pages(&all, async |page| {
        let slice = store.event_list_of_service(mine.id, page).await.unwrap();
        assert!(slice.rows.iter().all(|event| event.service == mine.id));
        Slice { rows: slice.rows.into_iter().map(|event| event.sequence).collect(), has_more: slice.has_more }
    })
    .await;
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
        let answer =
            store.service_update(&before, &after, Some(&note(&before, "lost")), later(current.updated_at)).await;
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
                let event = note(&before, &format!("{writer} {}", won.len()));
                match store.service_update(&before, &after, Some(&event), later(before.updated_at)).await {
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
    let first = stores[0].event_last(&project("demo")).await.unwrap();
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
                if last_look && store.event_last(&project("demo")).await.unwrap() == cursor {
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
                store.event_append(&service, &note(&service, &event.to_string())).await.unwrap();
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
    let answer = store.event_append(&nobody, &note(&nobody, "x")).await;
    assert!(matches!(answer, Err(StoreError::Failed(_))), "{answer:?}");
    store.event_append(&service, &note(&service, "x")).await.unwrap();
    assert_eq!(sequences(&*store, "demo").await, [1, 2]);
}

async fn a_destroyed_service_has_no_credentials_and_never_comes_back(database: Database) {
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let sealed = store.sealed_get(service.id).await.unwrap().unwrap();
    let destroyed = destroy(&*store, service.id).await;
    assert_eq!(store.sealed_get(service.id).await.unwrap(), None);
    assert!(!store.sealed_replace(service.id, &sealed, &sealed).await.unwrap());
    assert!(store.sealed_list_other("k2", None, 10).await.unwrap().is_empty());
    for column in ["sealed IS NULL", "sealed_key_id IS NULL", "destroyed_at IS NOT NULL"] {
        let sql = format!("SELECT CASE WHEN {column} THEN 'yes' ELSE 'no' END AS value FROM services");
        assert_eq!(database.texts(&sql).await, [Some("yes".to_owned())], "{column}");
    }
    // It is kept as history, and a later write moves neither its end nor its state.
    let end = "SELECT CAST(destroyed_at AS TEXT) AS value FROM services";
    let ended = database.texts(end).await;
    let now = later(destroyed.updated_at);
    let noted = store.service_update(&destroyed, &destroyed, None, now).await.unwrap();
    assert_eq!(database.texts(end).await, ended);
    let revived = Service { state: ServiceState::Running, ..noted.clone() };
    let answer = store.service_update(&noted, &revived, None, now).await;
    assert!(matches!(answer, Err(StoreError::Failed(_))), "{answer:?}");
    assert_eq!(read(&*store, service.id).await.state, ServiceState::Destroyed);
}

async fn credentials_are_replaced_only_where_they_are_the_old_ones(database: Database) {
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let old = store.sealed_get(service.id).await.unwrap().unwrap();
    let (new, other) = (seal("k2", service.id, "hunter2"), seal("k3", service.id, "hunter2"));
    let (first, second) =
        tokio::join!(store.sealed_replace(service.id, &old, &new), store.sealed_replace(service.id, &old, &other));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first, second, "exactly one replaces what both have read");
    let kept = store.sealed_get(service.id).await.unwrap().unwrap();
    assert_eq!(kept, if first { new } else { other });
    // Neither a revision nor an event.
    assert_eq!(read(&*store, service.id).await.revision, 1);
    assert_eq!(sequences(&*store, "demo").await, [1]);
}

async fn a_service_and_its_credentials_are_written_together_or_not_at_all(database: Database) {
    let store = database.connect().await;
    let before = service("demo", "db");
    create(&*store, &before).await;
    let after = Service { rotating: true, ..before.clone() };
    let (event, now) = (note(&before, "rotating"), later(before.updated_at));
    let old = store.sealed_get(before.id).await.unwrap().unwrap();
    let (new, other) = (seal("k1", before.id, "both"), seal("k1", before.id, "other"));

    // A key rotation came first, and then another write of the row.
    let reseal = Reseal { old: other, new: new.clone() };
    let answer = store.service_reseal(&before, &after, &reseal, Some(&event), now).await;
    assert!(matches!(answer, Err(StoreError::Stale)), "{answer:?}");
    let (reseal, changed) = (Reseal { old: old.clone(), new: new.clone() }, Service { revision: 7, ..before.clone() });
    let answer = store.service_reseal(&changed, &after, &reseal, Some(&event), now).await;
    assert!(matches!(answer, Err(StoreError::Stale)), "{answer:?}");
    let row = read(&*store, before.id).await;
    assert_eq!((row.rotating, row.revision), (false, 1));
    assert_eq!(store.sealed_get(before.id).await.unwrap(), Some(old));
    assert_eq!(sequences(&*store, "demo").await, [1]);

    let written = store.service_reseal(&before, &after, &reseal, Some(&event), now).await.unwrap();
    assert_eq!((written.rotating, written.revision), (true, 2));
    assert_eq!(read(&*store, before.id).await, written);
    assert_eq!(store.sealed_get(before.id).await.unwrap(), Some(new));
    assert_eq!(sequences(&*store, "demo").await, [1, 2]);
}

async fn a_key_rotation_finds_what_is_left(database: Database) {
    let store = database.connect().await;
    let mut all = Vec::new();
    for number in 0..5 {
        let service = service(["demo", "other"][number % 2], &format!("db-{number}"));
        create(&*store, &service).await;
        all.push(service.id);
    }
    let list = async |after| {
        let rows = store.sealed_list_other("k2", after, 2).await.unwrap();
        rows.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(list(None).await, all[..2]);
    assert_eq!(list(Some(all[1])).await, all[2..4]);
    assert_eq!(list(Some(all[4])).await, []);
    assert!(store.sealed_list_other("k1", None, 10).await.unwrap().is_empty());
    for (id, old) in store.sealed_list_other("k2", None, 3).await.unwrap() {
        assert!(store.sealed_replace(id, &old, &seal("k2", id, "hunter2")).await.unwrap());
    }
    assert_eq!(list(None).await, all[3..]);
}

async fn the_installation_is_the_same_for_all_who_ask(database: Database) {
    let stores = [database.connect().await, database.connect().await];
    let mut calls = JoinSet::new();
    for number in 0..16 {
        let store = Arc::clone(&stores[number % 2]);
        calls.spawn(async move { store.installation_id().await.unwrap() });
    }
    let mut ids = calls.join_all().await;
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(database.connect().await.installation_id().await.unwrap(), ids[0]);
}

async fn a_restart_keeps_everything(database: Database) {
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let kept = (
        read(&*store, service.id).await,
        store.sealed_get(service.id).await.unwrap(),
        store.event_list_since(&project("demo"), 0, 10).await.unwrap(),
        store.installation_id().await.unwrap(),
    );
    drop(store);
    let store = database.connect().await;
    let found = (
        read(&*store, service.id).await,
        store.sealed_get(service.id).await.unwrap(),
        store.event_list_since(&project("demo"), 0, 10).await.unwrap(),
        store.installation_id().await.unwrap(),
    );
    assert_eq!(found, kept);
    store.event_append(&service, &note(&service, "x")).await.unwrap();
    assert_eq!(sequences(&*store, "demo").await, [1, 2]);
}

async fn handles_that_open_an_empty_database_together_all_succeed(database: Database) {
    let database = Arc::new(database);
    let mut handles = JoinSet::new();
    for _ in 0..6 {
        let database = Arc::clone(&database);
        handles.spawn(async move { database.connect().await.ping().await.unwrap() });
    }
    handles.join_all().await;
}

/// Polls a future so many times at the most, and drops it.
async fn drop_after<F: Future>(polls: usize, future: F) {
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|context| {
        polled += 1;
        if polled > polls { Poll::Ready(()) } else { future.as_mut().poll(context).map(drop) }
    })
    .await;
}

async fn a_call_that_is_dropped_midway_leaves_nothing_behind(database: Database) {
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let other = database.connect().await;
    for polls in 1..30 {
        drop_after(polls, store.event_append(&service, &note(&service, "dropped"))).await;
        // Whatever it had locked is free again, though nobody has asked for its connection since.
        other.event_append(&service, &note(&service, "kept")).await.unwrap();
    }
    let events = store.event_list_since(&project("demo"), 0, 1000).await.unwrap();
    assert!(events.iter().enumerate().all(|(index, event)| event.sequence == i64::try_from(index).unwrap() + 1));
    assert_eq!(events.iter().filter(|event| event.message == "kept").count(), 29);
}

async fn of_those_who_want_to_reconcile_one_does(database: Database) {
    let store = database.connect().await;
    let free = store.term_current().await.unwrap();
    assert_eq!((free.holder, free.epoch), (None, 0));
    let mut takers = JoinSet::new();
    for _ in 0..8 {
        let store = database.connect().await;
        takers.spawn(async move { store.term_take(&free, ReplicaId(Uuid::now_v7())).await.unwrap() });
    }
    let taken: Vec<Term> = takers.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(store.term_current().await.unwrap(), taken[0]);

    let renewed = store.term_renew(&taken[0]).await.unwrap().unwrap();
    assert_eq!((renewed.epoch, renewed.beat), (1, 1));
    assert_eq!(store.term_renew(&taken[0]).await.unwrap(), None, "what was seen has moved on");
    assert_eq!(store.term_take(&taken[0], ReplicaId(Uuid::now_v7())).await.unwrap(), None);
    let second = store.term_take(&renewed, ReplicaId(Uuid::now_v7())).await.unwrap().unwrap();
    assert_eq!(store.term_renew(&renewed).await.unwrap(), None);
    store.term_release(&renewed).await.unwrap();
    assert_eq!(store.term_current().await.unwrap(), second, "an old holder releases nothing");
    store.term_release(&second).await.unwrap();
    assert_eq!(store.term_current().await.unwrap().holder, None);
}

async fn what_a_deposed_reconciler_writes_is_refused(database: Database) {
    let store = database.connect().await;
    let before = service("demo", "db");
    create(&*store, &before).await;
    let before = read(&*store, before.id).await;
    let after = Service { state: ServiceState::Provisioning, ..before.clone() };
    let now = later(before.updated_at);
    let event = NewEvent::of_change(&before, &after, None, now);

    let free = store.term_current().await.unwrap();
    let first = store.term_take(&free, ReplicaId(Uuid::now_v7())).await.unwrap().unwrap();
    let second = store.term_take(&first, ReplicaId(Uuid::now_v7())).await.unwrap().unwrap();
    let refused = store.service_observe(first.epoch, &before, &after, event.as_ref(), now).await;
    assert!(matches!(refused, Err(StoreError::Deposed)), "{refused:?}");
    let old = store.sealed_get(before.id).await.unwrap().unwrap();
    let new = seal("k1", before.id, "another");
    let refused = store.sealed_promote(first.epoch, before.id, &old, &new).await;
    assert!(matches!(refused, Err(StoreError::Deposed)), "{refused:?}");
    assert_eq!(store.sealed_get(before.id).await.unwrap().unwrap(), old);
    assert_eq!(read(&*store, before.id).await, before);
    assert_eq!(sequences(&*store, "demo").await, [1]);
    assert!(store.sealed_promote(second.epoch, before.id, &old, &new).await.unwrap());
    let written = store.service_observe(second.epoch, &before, &after, event.as_ref(), now).await.unwrap();
    assert_eq!(written.state, ServiceState::Provisioning);
    assert_eq!(sequences(&*store, "demo").await, [1, 2]);
}
