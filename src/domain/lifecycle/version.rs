//! What changes what a service runs: its version, its image, or the data that it has.

use jiff::Timestamp;

use super::{InvalidState, Requested, ServiceAction};
use crate::domain::instance::Instance;
use crate::domain::service::{Operation, OperationKind, Power, Service, ServiceState};
use crate::domain::task::{Job, Task};

impl ServiceAction {
    /// Whether nothing is under way that an action which changes what a service runs would have to wait for.
    pub fn is_free(self, service: &Service) -> bool {
        let gives_way = |kind| self == Self::Restore && kind == OperationKind::Recover;
        service.operation.as_ref().is_none_or(|operation| gives_way(operation.kind))
    }
}

/// Decides what `wanted`, which changes what a service runs, does at `now` to `service`: it takes the place of what failed. A
/// repair that nobody asked for gives way to a restore, which mends what the repair would.
pub fn change_version(service: &Service, open: &[Task], wanted: Task, now: Timestamp) -> Result<Requested, NotNow> {
    let what = |task: &Task| (task.job, task.version.clone(), task.backup);
    let known = open.iter().find(|task| what(task) == what(&wanted));
    if known.is_some_and(|task| task.shown_error().is_none()) && service.wish.power != Power::Deleted {
        return Ok(Requested::Unchanged);
    }
    let action = match wanted.job {
        Job::UpdateImage => ServiceAction::UpdateImage,
        Job::Restore => ServiceAction::Restore,
        _ => ServiceAction::Upgrade,
    };
    if !action.is_allowed_in(service.state) {
        return Err(NotNow::State(InvalidState { action, state: service.state }));
    }
    if !action.is_free(service) {
        return Err(NotNow::Busy);
    }
    let mut after = service.clone();
    after.generation += 1;
    after.operation = Some(Operation::queued(wanted.job.operation(), now));
    // One in error is that until it is worked on.
    after.error.take_if(|_| service.state == ServiceState::Running);
    if action == ServiceAction::Restore {
        after.wish.power = Power::On;
    }
    let failed = open.iter().filter(|task| task.job.changes_version()).map(|task| task.cancelled(now));
    Ok(Requested::Changed(Box::new(after), failed.chain([wanted]).collect()))
}

/// Decides what going back to `replaced` does at `now` to `service`, of which `open` are the tasks that have not ended.
pub fn revert(service: &Service, open: &[Task], replaced: &Instance, now: Timestamp) -> Result<Requested, NotNow> {
    let action = ServiceAction::Revert;
    if !action.is_allowed_in(service.state) {
        return Err(NotNow::State(InvalidState { action, state: service.state }));
    }
    if service.operation.is_some() {
        return Err(NotNow::Busy);
    }
    let mut after = service.run_by(replaced.id, &replaced.version, replaced.image.clone());
    after.generation += 1;
    after.evidence.frozen = true;
    after.error = None;
    if service.wish.power == Power::On {
        (after.state, after.operation) =
            (ServiceState::Provisioning, Some(Operation::queued(OperationKind::Revert, now)));
    }
    let failed = open.iter().filter(|task| task.job.changes_version()).map(|task| task.cancelled(now));
    Ok(Requested::Changed(Box::new(after), failed.collect()))
}

/// Why what a service runs is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotNow {
    State(InvalidState),
    /// Something else is under way.
    Busy,
}

#[cfg(test)]
mod tests {
    use super::super::tests::service;
    use super::*;
    use crate::domain::id::BackupId;
    use crate::domain::service::ErrorCode;
    use crate::domain::task::TaskId;

    const NEW: TaskId = TaskId(uuid::Uuid::from_u128(7));

    #[test]
    fn a_restore_in_place_waits_for_nothing_but_what_somebody_asked_for() {
        use ServiceState as S;
        let now = Timestamp::UNIX_EPOCH;
        let of = |n| Some(BackupId(uuid::Uuid::from_u128(n)));
        let wanted = |n| Task { backup: of(n), ..Task::new(NEW, service(S::Running, Power::On).id, Job::Restore, now) };
        for &state in S::ALL {
            let asked = change_version(&service(state, Power::On), &[], wanted(1), now);
            assert_eq!(asked.is_ok(), matches!(state, S::Running | S::Error), "{state}: {asked:?}");
        }
        let mut lost = service(S::Error, Power::Off);
        lost.operation = Some(Operation::queued(OperationKind::Recover, now));
        let Ok(Requested::Changed(after, tasks)) = change_version(&lost, &[], wanted(1), now) else {
            panic!("a repair gives way")
        };
        assert_eq!((after.wish.power, after.state, after.generation), (Power::On, S::Error, 2));
        assert_eq!((after.operation.unwrap().kind, &tasks[..]), (OperationKind::Restore, &[wanted(1)][..]));
        lost.operation = Some(Operation::queued(OperationKind::Start, now));
        assert_eq!(change_version(&lost, &[], wanted(1), now), Err(NotNow::Busy));
        let mut restoring = service(S::Provisioning, Power::On);
        restoring.operation = Some(Operation::queued(OperationKind::Restore, now));
        assert_eq!(change_version(&restoring, &[wanted(1)], wanted(1), now), Ok(Requested::Unchanged));
        restoring.state = S::Running;
        assert_eq!(change_version(&restoring, &[wanted(1)], wanted(2), now), Err(NotNow::Busy));
        restoring.operation = None;
        let failed = wanted(1).refused(ErrorCode::RestoreFailed, "no".to_owned(), now);
        let Ok(Requested::Changed(_, tasks)) =
            change_version(&restoring, std::slice::from_ref(&failed), wanted(2), now)
        else {
            panic!("another one takes its place")
        };
        assert_eq!(tasks, [failed.cancelled(now), wanted(2)]);
    }
}
