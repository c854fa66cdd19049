//! Services that are backed up by themselves.

use jiff::{SignedDuration, Timestamp};
use project_services::app::backup_policy::PolicyRequest;
use project_services::domain::backup::{Backup, BackupOrigin, BackupState};
use project_services::domain::lifecycle::ServiceAction;
use project_services::domain::page::{BackupsOf, Page};
use project_services::domain::service::{ServiceKind, ServiceState};
use project_services::store::{Guard, Write};

use super::{CLOCK, World, clock};

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// One that runs, with a policy, and when it is due for the first time.
async fn scheduled(schedule: &str, keep: [i32; 4]) -> (World, Timestamp) {
    let mut world = World::new(ServiceKind::Redis).await;
    assert_eq!(world.settle().await.state, ServiceState::Running);
    let request = PolicyRequest { schedule: Some(schedule.to_owned()), keep, verify: false, point_in_time: false };
    world.app.set_backup_policy(&world.viewer, world.id, &request).await.unwrap();
    let due = world.due().await.unwrap();
    (world, due)
}

impl World {
    async fn due(&self) -> Option<Timestamp> {
        self.service().await.backup_plan.due_at
    }

    /// The service's backups after a round, the newest first.
    async fn backups(&self, at: Timestamp) -> Vec<Backup> {
        CLOCK.set(at);
        self.reconciler.keep_schedules().await;
        let page = Page { after: None, before: None, limit: 100, from_end: false };
        self.store.backup_list(&BackupsOf::Service(self.id), page).await.unwrap().rows
    }

    /// The states of those, after the one that is under way has come to be.
    async fn states(&self, at: Timestamp) -> Vec<BackupState> {
        let backups = self.backups(at).await;
        for open in backups.iter().filter(|backup| backup.state.is_open()) {
            self.put(Backup { state: BackupState::Available, ended_at: Some(at), ..open.clone() }).await;
        }
        backups.iter().map(|backup| backup.state).collect()
    }

    async fn put(&self, backup: Backup) {
        let (service, backups) = (self.service().await, std::slice::from_ref(&backup));
        let write = Write { backups, ..Write::new(Guard::Revision(&service), clock()) };
        self.store.commit(write).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn it_is_backed_up_when_that_is_due_and_once_for_all_that_was_missed() {
    use BackupState::{Available, Pending};
    let (world, due) = scheduled("0 * * * *", [10, 0, 0, 0]).await;
    assert!(due > Timestamp::now() && due < Timestamp::now() + HOUR + HOUR, "{due}");
    assert_eq!(world.states(due - SECOND).await, []);
    let backup = world.backups(due).await.remove(0);
    assert_eq!((backup.state, backup.origin, backup.to_verify), (Pending, BackupOrigin::Scheduled, false));
    assert_eq!(world.events().await.last().unwrap().message, "A backup of redis is due by its schedule.");
    assert_eq!(world.due().await, Some(due + HOUR));
    // One that is under way is waited for.
    assert_eq!(world.states(due + HOUR).await, [Pending]);
    assert_eq!(world.due().await, Some(due + HOUR));
    assert_eq!(world.states(due + HOUR + SECOND).await, [Pending, Available]);
    for late in [SECOND, HOUR - SECOND] {
        assert_eq!(world.states(due + HOUR + late).await, [Available, Available]);
    }
    assert_eq!(world.states(due + DAY).await, [Pending, Available, Available]);
    assert_eq!(world.states(due + DAY + SECOND).await, [Available; 3], "that was one for all");
    assert_eq!(world.due().await, Some(due + DAY + HOUR));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_that_is_stopped_is_backed_up_once_it_runs_again() {
    let (mut world, due) = scheduled("0 * * * *", [10, 0, 0, 0]).await;
    world.app.act(&world.viewer, world.id, ServiceAction::Stop).await.unwrap();
    assert_eq!(world.settle().await.state, ServiceState::Stopped);
    assert_eq!(world.states(due + DAY).await, []);
    assert_eq!(world.due().await, Some(due), "it shows since when");
    world.app.act(&world.viewer, world.id, ServiceAction::Start).await.unwrap();
    assert_eq!(world.settle().await.state, ServiceState::Running);
    assert_eq!(world.states(due + DAY).await, [BackupState::Pending]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_policy_nothing_is_due_any_more() {
    let (world, due) = scheduled("0 * * * *", [10, 0, 0, 0]).await;
    let none = PolicyRequest { schedule: None, keep: [0; 4], verify: true, point_in_time: false };
    world.app.set_backup_policy(&world.viewer, world.id, &none).await.unwrap();
    assert_eq!(world.due().await, None);
    assert_eq!(world.states(due + DAY).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_left_of_a_destroyed_service_goes_day_by_day() {
    use BackupState::{Available, Deleting, Verified};
    let (mut world, first) = scheduled("0 3 * * *", [2, 3, 0, 0]).await;
    for day in 0..5 {
        assert_eq!(world.backups(first + DAY * day).await[0].state, BackupState::Pending);
        world.states(clock()).await;
    }
    let oldest = world.backups(clock()).await.pop().unwrap();
    world.put(Backup { state: Verified, ..oldest }).await;
    world.app.act(&world.viewer, world.id, ServiceAction::Destroy).await.unwrap();
    world.engine.may_remove_data(true);
    assert_eq!(world.settle().await.state, ServiceState::Destroyed);
    let due = world.due().await.unwrap();
    assert_eq!(world.states(due - SECOND).await, [Available, Available, Available, Available, Verified]);
    // By days only, and the one that is verified stays.
    assert_eq!(world.states(first + DAY * 5).await, [Available, Available, Available, Deleting, Verified]);
    assert_eq!(world.states(first + DAY * 6).await, [Available, Available, Deleting, Deleting, Verified]);
    assert_eq!(world.states(first + DAY * 30).await, [Deleting, Deleting, Deleting, Deleting, Verified]);
}
