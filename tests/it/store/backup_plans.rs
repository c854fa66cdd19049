//! When services are backed up by themselves.

use jiff::{SignedDuration, Timestamp};
use project_services::domain::backup_policy::{BackupPlan, BackupPolicy, Keep, Schedule};
use project_services::domain::id::ServiceId;
use project_services::domain::node::NodeName;
use project_services::domain::service::{Service, ServiceState};

use super::fixture::{Database, create, micros, service, update};
use super::{destroy, later, read};

contract! {
    a_backup_plan_is_kept_and_changed,
    what_is_due_is_found_of_what_runs_or_is_destroyed,
}

pub fn plan(due_at: Option<Timestamp>) -> BackupPlan {
    let schedule = Schedule::parse("0 3 * * *", Timestamp::UNIX_EPOCH).unwrap();
    let keep = Keep { last: 1, daily: 2, weekly: 3, monthly: 4 };
    BackupPlan { policy: Some(BackupPolicy { schedule, keep, verify: true, point_in_time: true }), due_at }
}

async fn a_backup_plan_is_kept_and_changed(database: Database) {
    let store = database.connect().await;
    let at = Timestamp::from_nanosecond(1_795_446_000_123_456_789).unwrap();
    let service = Service { backup_plan: plan(Some(at)), ..service("demo", "db") };
    create(&*store, &service).await;
    let mut before = read(&*store, service.id).await;
    assert_eq!(before.backup_plan, plan(Some(micros(at))));
    for backup_plan in [plan(None), BackupPlan::default(), plan(Some(micros(at)))] {
        let after = Service { backup_plan: backup_plan.clone(), ..before.clone() };
        let written = update(&*store, &before, &after, None, later(before.updated_at)).await.unwrap();
        assert_eq!(written.backup_plan, backup_plan);
        before = read(&*store, service.id).await;
        assert_eq!(before, written);
    }
}

async fn what_is_due_is_found_of_what_runs_or_is_destroyed(database: Database) {
    let store = database.connect().await;
    let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
    let put = async |name: &str, state: ServiceState, due_at: Option<i64>| {
        let due_at = due_at.map(|seconds| now + SignedDuration::from_secs(seconds));
        let service = Service { state, backup_plan: plan(due_at), ..service("demo", name) };
        create(&*store, &service).await;
        service.id
    };
    let late = put("late", ServiceState::Running, Some(-60)).await;
    let due = put("due", ServiceState::Running, Some(0)).await;
    put("early", ServiceState::Running, Some(1)).await;
    put("never", ServiceState::Running, None).await;
    put("stopped", ServiceState::Stopped, Some(-60)).await;
    let gone = put("gone", ServiceState::Running, Some(-3600)).await;
    destroy(&*store, gone).await;
    let found = async |limit| {
        let found = store.service_list_backup_due(&NodeName::default(), now, limit).await.unwrap();
        found.into_iter().map(|service| service.id).collect::<Vec<ServiceId>>()
    };
    assert_eq!(found(10).await, [gone, late, due], "what is due longest first");
    assert_eq!(found(1).await, [gone]);
}
