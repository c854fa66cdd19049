//! What services have besides what runs them.

use jiff::SignedDuration;
use project_services::domain::id::InstanceId;
use project_services::domain::image::Image;
use project_services::domain::instance::{Instance, Role};
use project_services::domain::service::{Service, ServiceState};
use project_services::domain::task::{Job, Task, TaskId};
use project_services::store::{Guard, Store, StoreError, Write};
use uuid::Uuid;

use super::fixture::{Database, create, micros, note, service};
use super::{later, read};

contract! {
    an_instance_is_its_service_s_whether_it_runs_it_or_not,
    a_service_changes_its_instance_in_one_write_or_not_at_all,
}

fn building(service: &Service) -> Instance {
    Instance::building(InstanceId(Uuid::now_v7()), service, "17", micros(later(service.created_at)))
}

async fn write(store: &dyn Store, service: &Service, instances: &[Instance], forgotten: &[Instance]) {
    let guard = Guard::Revision(service);
    let write = Write { instances, forgotten, ..Write::new(guard, later(service.updated_at)) };
    store.commit(write).await.unwrap();
}

async fn an_instance_is_its_service_s_whether_it_runs_it_or_not(database: Database) {
    let store = database.connect().await;
    let (mine, other) = (service("demo", "mine"), service("demo", "other"));
    create(&*store, &mine).await;
    create(&*store, &other).await;
    let mine = read(&*store, mine.id).await;
    let keep = SignedDuration::from_hours(1);
    let replaced = Instance {
        id: InstanceId(Uuid::now_v7()),
        image: Some(Image { id: "sha256:1".to_owned(), digest: Some("redis@sha256:2".to_owned()) }),
        ..Instance::replaced(&mine, Role::Leaving, keep, micros(mine.created_at))
    };
    let building = building(&mine);
    write(&*store, &mine, &[replaced.clone(), building.clone()], &[]).await;
    assert_eq!(store.instance_list(mine.id).await.unwrap(), [building.clone(), replaced.clone()], "the newest first");
    assert_eq!(store.instance_list(other.id).await.unwrap(), []);
    for instance in [mine.instance, replaced.id, building.id] {
        assert_eq!(store.service_of(instance).await.unwrap().map(|service| service.id), Some(mine.id));
    }
    assert_eq!(store.service_of(InstanceId(Uuid::now_v7())).await.unwrap(), None);

    let kept = replaced.with_role(Role::Replaced);
    write(&*store, &mine, std::slice::from_ref(&kept), std::slice::from_ref(&building)).await;
    assert_eq!(store.instance_list(mine.id).await.unwrap().first(), Some(&kept));
    assert!(kept.is_kept(mine.created_at) && !kept.is_kept(mine.created_at + keep));
    assert_eq!(store.service_of(building.id).await.unwrap(), None);
}

async fn a_service_changes_its_instance_in_one_write_or_not_at_all(database: Database) {
    let store = database.connect().await;
    let before = service("demo", "db");
    create(&*store, &before).await;
    let before = read(&*store, before.id).await;
    let building = building(&before);
    let asked = Task {
        version: Some("17".to_owned()),
        ..Task::new(TaskId(Uuid::now_v7()), before.id, Job::Upgrade, micros(before.created_at))
    };
    let guard = Guard::Revision(&before);
    let now = later(before.updated_at);
    let (tasks, instances) = (std::slice::from_ref(&asked), std::slice::from_ref(&building));
    store.commit(Write { tasks, instances, ..Write::new(guard, now) }).await.unwrap();
    assert_eq!(store.task_list_open(before.id).await.unwrap().first(), Some(&asked));

    let after = Service { state: ServiceState::Provisioning, ..before.run_by(building.id, "17", None) };
    let replaced = Instance::replaced(&before, Role::Replaced, SignedDuration::from_hours(1), micros(now));
    let done = [asked.done(micros(now))];
    let event = note("switched");
    let switch = Write {
        service: Some(&after),
        event: Some(&event),
        tasks: &done,
        instances: std::slice::from_ref(&replaced),
        forgotten: std::slice::from_ref(&building),
        ..Write::new(guard, now)
    };
    // Somebody has given it another role since it was read.
    let answer = store.commit(Write { forgotten: &[building.with_role(Role::Going)], ..switch }).await;
    assert!(matches!(answer, Err(StoreError::Stale)), "{answer:?}");
    assert_eq!(read(&*store, before.id).await, before);
    assert_eq!(store.instance_list(before.id).await.unwrap().first(), Some(&building));

    store.commit(switch).await.unwrap();
    let written = read(&*store, before.id).await;
    assert_eq!((written.instance, written.wish.version.as_str()), (building.id, "17"));
    assert_eq!(store.instance_list(before.id).await.unwrap(), [replaced]);
    assert_eq!(store.task_list_open(before.id).await.unwrap(), []);
}
