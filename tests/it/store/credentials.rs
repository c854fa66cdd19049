//! Sealed credentials, from the first to none.

use jiff::SignedDuration;
use project_services::app::key_ring;
use project_services::crypto::Sealed;
use project_services::domain::service::{ErrorCode, Service, ServiceState};
use project_services::domain::task::{Job, Task, TaskId};
use project_services::store::{Committed, Guard, Reseal, StoreError, Write};
use uuid::Uuid;

use super::fixture::{Database, create, micros, note, seal, service, update};
use super::{destroy, later, read, sequences};

contract! {
    a_destroyed_service_has_no_credentials_and_never_comes_back,
    credentials_are_replaced_only_where_they_are_the_old_ones,
    a_service_its_credentials_and_its_tasks_are_written_together_or_not_at_all,
    a_task_is_open_until_it_has_an_outcome,
    a_key_rotation_finds_what_is_left,
    a_key_ring_that_does_not_fit_is_refused_with_the_ids_of_its_keys,
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
    let noted = update(&*store, &destroyed, &destroyed, None, now).await.unwrap();
    assert_eq!(database.texts(end).await, ended);
    let revived = Service { state: ServiceState::Running, ..noted.clone() };
    let answer = update(&*store, &noted, &revived, None, now).await;
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

async fn a_service_its_credentials_and_its_tasks_are_written_together_or_not_at_all(database: Database) {
    let store = database.connect().await;
    let before = service("demo", "db");
    create(&*store, &before).await;
    let after = Service { generation: 2, ..before.clone() };
    let (event, now) = (note("rotating"), later(before.updated_at));
    let now = micros(now);
    let tasks = [Task::new(TaskId(Uuid::now_v7()), before.id, Job::RotateCredentials, now)];
    let old = store.sealed_get(before.id).await.unwrap().unwrap();
    let (new, other) = (seal("k1", before.id, "both"), seal("k1", before.id, "other"));

    let reseal_with = async |before: &Service, reseal: &Reseal| {
        let parts = Write { service: Some(&after), sealed: Some(reseal), ..Write::new(Guard::Revision(before), now) };
        let parts = Write { tasks: &tasks, ..parts };
        store.commit(Write { event: Some(&event), ..parts }).await
    };

    // A key rotation came first, and then another write of the row.
    let reseal = Reseal { old: other, new: new.clone() };
    let answer = reseal_with(&before, &reseal).await;
    assert!(matches!(answer, Err(StoreError::Stale)), "{answer:?}");
    let (reseal, changed) = (Reseal { old: old.clone(), new: new.clone() }, Service { revision: 7, ..before.clone() });
    let answer = reseal_with(&changed, &reseal).await;
    assert!(matches!(answer, Err(StoreError::Stale)), "{answer:?}");
    let row = read(&*store, before.id).await;
    assert_eq!((row.generation, row.revision), (1, 1));
    assert_eq!(store.task_list_open(before.id).await.unwrap(), []);
    assert_eq!(store.sealed_get(before.id).await.unwrap(), Some(old));
    assert_eq!(sequences(&*store, "demo").await, [1]);

    let Committed { service: written, .. } = reseal_with(&before, &reseal).await.unwrap();
    assert_eq!((written.generation, written.revision), (2, 2));
    assert_eq!(store.task_list_open(before.id).await.unwrap(), tasks);
    assert_eq!(read(&*store, before.id).await, written);
    assert_eq!(store.sealed_get(before.id).await.unwrap(), Some(new));
    assert_eq!(sequences(&*store, "demo").await, [1, 2]);
}

async fn a_task_is_open_until_it_has_an_outcome(database: Database) {
    let store = database.connect().await;
    let services = [service("demo", "db"), service("demo", "cache")];
    for service in &services {
        create(&*store, service).await;
    }
    let now = micros(later(services[0].updated_at));
    let write = async |service: &Service, task: &Task| {
        let parts = Write { tasks: std::slice::from_ref(task), ..Write::new(Guard::Revision(service), now) };
        store.commit(parts).await.unwrap();
    };
    let task = |service: &Service| Task::new(TaskId(Uuid::now_v7()), service.id, Job::RotateCredentials, now);
    let [first, second] = services.each_ref().map(task);
    write(&services[0], &first).await;
    write(&services[1], &second).await;
    let failed = first.failed(ErrorCode::RotationFailed, "no".to_owned(), SignedDuration::from_secs(8), now);
    write(&services[0], &failed).await;
    assert_eq!(store.task_list_open(services[0].id).await.unwrap(), std::slice::from_ref(&failed));
    write(&services[0], &failed.done(now)).await;
    assert_eq!(store.task_list_open(services[0].id).await.unwrap(), []);

    let mut gone = services[1].clone();
    gone.state = ServiceState::Destroyed;
    let event = note("gone");
    let parts = Write { service: Some(&gone), event: Some(&event), ..Write::new(Guard::Revision(&services[1]), now) };
    assert_eq!(store.task_list_open(services[1].id).await.unwrap(), [second]);
    store.commit(parts).await.unwrap();
    assert_eq!(store.task_list_open(services[1].id).await.unwrap(), [], "it is cancelled");
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

async fn a_key_ring_that_does_not_fit_is_refused_with_the_ids_of_its_keys(database: Database) {
    const A: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const B: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    let store = database.connect().await;
    let check =
        async |ring: String| key_ring::check(&*store, &ring.parse().unwrap()).await.map_err(|error| error.to_string());
    assert_eq!(check(format!("any:{A}")).await, Ok(()), "nothing is sealed yet");
    let services = [service("demo", "a"), service("demo", "b"), service("shop", "c")];
    for service in &services {
        create(&*store, service).await;
    }
    let old = store.sealed_get(services[0].id).await.unwrap().unwrap();
    assert!(store.sealed_replace(services[0].id, &old, &seal("k0", services[0].id, "hunter2")).await.unwrap());

    assert_eq!(check(format!("new:{B},k1:{A},k0:{A}")).await, Ok(()));
    for (ring, expected) in [
        (format!("k1:{A}"), vec!["\"k0\" is missing"]),
        (format!("k2:{A}"), vec!["\"k0\" is missing", "\"k1\" is missing"]),
        (format!("k0:{A},k1:{B}"), vec!["\"k1\" is another key"]),
    ] {
        let error = check(ring).await.unwrap_err();
        assert!(expected.iter().all(|part| error.contains(part)) && !error.contains(A), "{error}");
    }
    // One that was altered is no sign of another key.
    let newest = store.sealed_get(services[2].id).await.unwrap().unwrap();
    let mut bytes = newest.as_bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    assert!(store.sealed_replace(services[2].id, &newest, &Sealed::from_bytes(bytes)).await.unwrap());
    assert_eq!(check(format!("k1:{A},k0:{A}")).await, Ok(()));
    // What is destroyed needs no key.
    destroy(&*store, services[0].id).await;
    assert_eq!(check(format!("k1:{A}")).await, Ok(()));
}
