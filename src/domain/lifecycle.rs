//! Which action is allowed where, and what a request changes. What the engine shows changes is `reconciler::plan`'s.

use jiff::Timestamp;

use super::permission::Permission;
use super::service::{Operation, OperationKind, Power, Service, ServiceState, TierSpec};
use super::task::{Job, Task, TaskId};

mod version;

pub use version::{NotNow, change_version, revert};

text_enum! {
    /// What a viewer can do to a service.
    pub enum ServiceAction {
        Start = "START",
        Stop = "STOP",
        Restart = "RESTART",
        Destroy = "DESTROY",
        RevealCredentials = "REVEAL_CREDENTIALS",
        RotateCredentials = "ROTATE_CREDENTIALS",
        Resize = "RESIZE",
        Repair = "REPAIR",
        Upgrade = "UPGRADE",
        Revert = "REVERT",
        UpdateImage = "UPDATE_IMAGE",
        RunSql = "RUN_SQL",
        BrowseKeys = "BROWSE_KEYS",
        CreateBackup = "CREATE_BACKUP",
        /// To have what a backup of it holds take the place of what it has.
        Restore = "RESTORE",
    }
}

/// What a viewer may ask for about a service, beyond looking at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    Act(ServiceAction),
    ReadLogs,
    VerifyBackup,
    RestoreBackup,
    DeleteBackup,
    /// To make another one of it.
    Clone,
    /// To download all that it holds.
    Export,
    SetBackupPolicy,
    /// To protect it from being destroyed, or to take that back.
    Protect,
    /// To say when it is destroyed.
    Expire,
}

impl Privilege {
    pub const fn permission(self) -> Permission {
        match self {
            Self::Act(action) => action.permission(),
            Self::ReadLogs
            | Self::VerifyBackup
            | Self::RestoreBackup
            | Self::SetBackupPolicy
            | Self::Export
            | Self::Clone
            | Self::Protect
            | Self::Expire => Permission::ProjectSettings,
            Self::DeleteBackup => Permission::ProjectDelete,
        }
    }

    /// What the audit trail calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Act(action) => action.as_str(),
            Self::ReadLogs => "READ_LOGS",
            Self::VerifyBackup => "VERIFY_BACKUP",
            Self::RestoreBackup => "RESTORE_BACKUP",
            Self::DeleteBackup => "DELETE_BACKUP",
            Self::SetBackupPolicy => "SET_BACKUP_POLICY",
            Self::Export => "EXPORT",
            Self::Clone => "CLONE",
            Self::Protect => "SET_DELETION_PROTECTION",
            Self::Expire => "SET_EXPIRY",
        }
    }
}

impl ServiceAction {
    pub const fn permission(self) -> Permission {
        match self {
            Self::Destroy | Self::Restore => Permission::ProjectDelete,
            Self::Start
            | Self::Stop
            | Self::Restart
            | Self::RevealCredentials
            | Self::RotateCredentials
            | Self::Resize
            | Self::Repair
            | Self::Upgrade
            | Self::Revert
            | Self::UpdateImage
            | Self::RunSql
            | Self::BrowseKeys
            | Self::CreateBackup => Permission::ProjectSettings,
        }
    }

    /// The states in which the action is accepted.
    pub const fn allowed_in(self) -> &'static [ServiceState] {
        use ServiceState::{Error, Pending, Provisioning, Running, Stopped};
        match self {
            Self::Start => &[Stopped, Error],
            Self::Stop => &[Running, Error, Provisioning],
            Self::Restart | Self::Repair | Self::UpdateImage | Self::Restore => &[Running, Error],
            Self::RotateCredentials | Self::RunSql | Self::BrowseKeys | Self::Upgrade | Self::CreateBackup => {
                &[Running]
            }
            Self::Resize | Self::Revert => &[Running, Stopped, Error],
            Self::Destroy | Self::RevealCredentials => &[Pending, Provisioning, Running, Stopped, Error],
        }
    }

    pub fn is_allowed_in(self, state: ServiceState) -> bool {
        self.allowed_in().contains(&state)
    }

    const fn operation(self) -> Option<OperationKind> {
        match self {
            Self::Start => Some(OperationKind::Start),
            Self::Stop => Some(OperationKind::Stop),
            Self::Restart => Some(OperationKind::Restart),
            Self::Destroy => Some(OperationKind::Destroy),
            Self::RotateCredentials => Some(OperationKind::RotateCredentials),
            Self::Resize => Some(OperationKind::Resize),
            Self::Repair => Some(OperationKind::Repair),
            Self::Upgrade => Some(OperationKind::Upgrade),
            Self::Revert => Some(OperationKind::Revert),
            Self::UpdateImage => Some(OperationKind::UpdateImage),
            Self::Restore => Some(OperationKind::Restore),
            Self::RevealCredentials | Self::RunSql | Self::BrowseKeys | Self::CreateBackup => None,
        }
    }

    /// Whether it is accepted while what the service runs is being changed. What ends a service's run, or the service, ends
    /// that as well.
    pub const fn is_allowed_during_upgrade(self) -> bool {
        matches!(self, Self::Start | Self::Stop | Self::Restart | Self::Destroy | Self::RevealCredentials)
    }

    /// The task that it asks for.
    pub const fn job(self) -> Option<Job> {
        match self {
            Self::RotateCredentials => Some(Job::RotateCredentials),
            Self::Upgrade => Some(Job::Upgrade),
            Self::UpdateImage => Some(Job::UpdateImage),
            Self::Restore => Some(Job::Restore),
            Self::Revert
            | Self::Start
            | Self::Stop
            | Self::Restart
            | Self::Destroy
            | Self::RevealCredentials
            | Self::Resize
            | Self::Repair
            | Self::RunSql
            | Self::BrowseKeys
            | Self::CreateBackup => None,
        }
    }

    const fn power(self) -> Option<Power> {
        match self {
            Self::Start | Self::Restart | Self::Repair => Some(Power::On),
            Self::Stop => Some(Power::Off),
            Self::Destroy => Some(Power::Deleted),
            Self::RevealCredentials
            | Self::RotateCredentials
            | Self::Resize
            | Self::Upgrade
            | Self::Revert
            | Self::UpdateImage
            | Self::RunSql
            | Self::BrowseKeys
            | Self::CreateBackup
            | Self::Restore => None,
        }
    }
}

/// The action is not allowed in the state that the service is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidState {
    pub action: ServiceAction,
    pub state: ServiceState,
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requested {
    /// The service as it has to be stored, with a new generation, and its tasks of which that is another: the one that it was
    /// asked for comes last.
    Changed(Box<Service>, Vec<Task>),
    /// The same action is under way, or the action changes nothing.
    Unchanged,
}

/// Decides what `action` does at `now` to `service`, of which `open` are the tasks that have not ended. A task that it asks
/// for is one of those, or else gets the id `new`.
pub fn request(
    service: &Service,
    open: &[Task],
    action: ServiceAction,
    new: TaskId,
    now: Timestamp,
) -> Result<Requested, InvalidState> {
    if is_under_way(service, open, action) {
        return Ok(Requested::Unchanged);
    }
    if !action.is_allowed_in(service.state) {
        return Err(InvalidState { action, state: service.state });
    }
    let Some(kind) = action.operation() else { return Ok(Requested::Unchanged) };
    let mut after = service.clone();
    after.generation += 1;
    if let Some(job) = action.job() {
        let known = open.iter().find(|task| task.job == job);
        let task = known.map_or_else(|| Task::new(new, service.id, job, now), |task| task.asked_again(now));
        // It leads to no other state, so it waits for what is under way.
        after.operation = after.operation.or_else(|| Some(Operation::queued(kind, now)));
        after.error = None;
        return Ok(Requested::Changed(Box::new(after), vec![task]));
    }
    let Some(power) = action.power() else { return Ok(Requested::Unchanged) };
    after.wish.power = power;
    after.operation = Some(Operation::queued(kind, now));
    after.evidence.crashes = 0;
    if power == Power::On {
        after.evidence.storage = service.evidence.storage.opened(service.storage_limit_mib(), now);
        after.evidence.refused = false;
    }
    if power == Power::Deleted {
        after.state = ServiceState::Destroying;
        after.lifetime.protected = false;
        after.error = None;
    }
    // It goes on with what it runs; what it does not have yet it has still to get.
    let is_needed = |task: &Task| task.job.fills() && !service.evidence.initialised;
    let ended = |task: &Task| if is_needed(task) { task.asked_again(now) } else { task.cancelled(now) };
    let tasks = open.iter().filter(|task| task.job.changes_version()).map(ended);
    Ok(Requested::Changed(Box::new(after), tasks.collect()))
}

text_enum! {
    /// When a new size comes into effect.
    pub enum Apply {
        /// At once, by a restart where the server inside takes it only then.
        Now = "NOW",
        /// What needs a restart waits for the next one; all else at once.
        AtNextRestart = "AT_NEXT_RESTART",
    }
}

/// Decides what giving `service` the size `tier` does at `now`.
pub fn resize(service: &Service, tier: TierSpec, apply: Apply, now: Timestamp) -> Result<Requested, InvalidState> {
    let action = ServiceAction::Resize;
    // One that was put off can be asked for at once.
    let waits = apply == Apply::Now && (service.is_outgrown() || service.grows_at_start());
    if service.wish.tier == tier && !waits {
        return Ok(Requested::Unchanged);
    }
    if !action.is_allowed_in(service.state) {
        return Err(InvalidState { action, state: service.state });
    }
    let mut after = service.clone();
    after.generation += 1;
    after.wish.tier = tier;
    after.evidence.crashes = 0;
    after.evidence.storage = service.evidence.storage.refitted(service.evidence.storage.limit_mib(tier.storage_mib));
    // One that is stopped is started in its new size, and so is one whose restart is under way.
    let is_free = service.operation.as_ref().is_none_or(|operation| operation.kind.is_task());
    if apply == Apply::Now && service.wish.power == Power::On && is_free {
        after.operation = Some(Operation::queued(OperationKind::Resize, now));
    }
    Ok(Requested::Changed(Box::new(after), Vec::new()))
}

/// A task that fails can be asked for again, to have it tried at once. That of a service which is to be destroyed has come
/// to its end.
fn is_under_way(service: &Service, open: &[Task], action: ServiceAction) -> bool {
    if let Some(job) = action.job() {
        let task = open.iter().find(|task| task.job == job);
        return task.is_some_and(|task| task.shown_error().is_none()) && service.wish.power != Power::Deleted;
    }
    let kind = service.operation.as_ref().map(|operation| operation.kind);
    kind.is_some() && kind == action.operation()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::id::InstanceId;
    use crate::domain::lifetime::Lifetime;
    use crate::domain::service::{Address, ErrorCode, Evidence, ServiceKind, SizeTier, TierSpec, Wish};
    use crate::domain::task::SHOWN_AFTER;

    const NEW: TaskId = TaskId(uuid::Uuid::from_u128(7));

    /// A PostgreSQL service in `state`, with nothing under way.
    pub(crate) fn service(state: ServiceState, power: Power) -> Service {
        Service {
            id: crate::domain::id::ServiceId(uuid::Uuid::from_u128(1)),
            project: "demo".parse().unwrap(),
            name: "postgresql".parse().unwrap(),
            lifetime: Lifetime::default(),
            backup_plan: Default::default(),
            understood: true,
            wish: Wish {
                kind: ServiceKind::Postgresql,
                version: "17".to_owned(),
                tier: TierSpec { tier: SizeTier::Dev, memory_mib: 256, cpu_millis: 500, storage_mib: 1024 },
                power,
            },
            address: Address { hostname: "postgresql-00000001".to_owned(), published: None },
            instance: InstanceId(uuid::Uuid::from_u128(1)),
            node: Default::default(),
            generation: 1,
            revision: 1,
            state,
            operation: None,
            error: None,
            evidence: Evidence::default(),
            trace: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_action_is_accepted_in_its_states_and_nowhere_else() {
        use ServiceState as S;
        let table: &[(ServiceAction, &[S])] = &[
            (ServiceAction::Start, &[S::Stopped, S::Error]),
            (ServiceAction::Stop, &[S::Running, S::Error, S::Provisioning]),
            (ServiceAction::Restart, &[S::Running, S::Error]),
            (ServiceAction::Repair, &[S::Running, S::Error]),
            (ServiceAction::Destroy, &[S::Pending, S::Provisioning, S::Running, S::Stopped, S::Error]),
            (ServiceAction::RotateCredentials, &[S::Running]),
        ];
        for &(action, allowed) in table {
            for &state in S::ALL {
                let outcome = request(&service(state, Power::On), &[], action, NEW, Timestamp::UNIX_EPOCH);
                if allowed.contains(&state) {
                    let Ok(Requested::Changed(after, task)) = outcome else {
                        panic!("{action} in {state}: {outcome:?}")
                    };
                    assert_eq!((after.generation, task.first().map(|task| task.job)), (2, action.job()));
                    assert_eq!(after.wish.power, action.power().unwrap_or(Power::On));
                } else {
                    assert_eq!(outcome, Err(InvalidState { action, state }));
                }
            }
        }
    }

    #[test]
    fn a_new_size_is_taken_at_once_or_waits_and_one_that_is_there_changes_nothing() {
        let now = Timestamp::UNIX_EPOCH;
        let running = service(ServiceState::Running, Power::On);
        let larger = TierSpec { tier: SizeTier::Standard, memory_mib: 512, ..running.wish.tier };
        assert_eq!(resize(&running, running.wish.tier, Apply::Now, now), Ok(Requested::Unchanged));
        for (apply, power, state, kind) in [
            (Apply::Now, Power::On, ServiceState::Running, Some(OperationKind::Resize)),
            (Apply::Now, Power::On, ServiceState::Error, Some(OperationKind::Resize)),
            (Apply::Now, Power::Off, ServiceState::Stopped, None),
            (Apply::AtNextRestart, Power::On, ServiceState::Running, None),
        ] {
            let before = service(state, power);
            let Ok(Requested::Changed(after, _)) = resize(&before, larger, apply, now) else { panic!("{state}") };
            assert_eq!((after.wish.tier, after.generation, after.state), (larger, 2, state));
            assert_eq!(after.operation.map(|operation| operation.kind), kind);
        }
        let mut restarting = service(ServiceState::Running, Power::On);
        restarting.operation = Some(Operation::queued(OperationKind::Restart, now));
        let Ok(Requested::Changed(after, _)) = resize(&restarting, larger, Apply::Now, now) else {
            panic!("it is accepted")
        };
        assert_eq!(after.operation, restarting.operation, "a restart that was asked for is not lost");
        let mut waiting = service(ServiceState::Running, Power::On);
        waiting.evidence.made_for = Some(SizeTier::Standard);
        let same = waiting.wish.tier;
        assert_eq!(resize(&waiting, same, Apply::AtNextRestart, now), Ok(Requested::Unchanged));
        let Ok(Requested::Changed(after, _)) = resize(&waiting, same, Apply::Now, now) else { panic!("it waits") };
        assert_eq!(after.operation, Some(Operation::queued(OperationKind::Resize, now)));
        for state in [ServiceState::Provisioning, ServiceState::Destroying, ServiceState::Pending] {
            let invalid = InvalidState { action: ServiceAction::Resize, state };
            assert_eq!(resize(&service(state, Power::On), larger, Apply::Now, now), Err(invalid));
        }
    }

    #[test]
    fn repeating_an_action_under_way_changes_nothing_and_another_one_takes_over() {
        let now = Timestamp::UNIX_EPOCH;
        let mut stopping = service(ServiceState::Running, Power::Off);
        stopping.operation = Some(Operation::queued(OperationKind::Stop, now));
        assert_eq!(request(&stopping, &[], ServiceAction::Stop, NEW, now), Ok(Requested::Unchanged));
        let Ok(Requested::Changed(after, _)) = request(&stopping, &[], ServiceAction::Restart, NEW, now) else {
            panic!("a restart takes over from a stop")
        };
        assert_eq!(after.wish.power, Power::On);

        let mut destroying = service(ServiceState::Destroying, Power::Deleted);
        destroying.operation = Some(Operation::queued(OperationKind::Destroy, now));
        assert_eq!(request(&destroying, &[], ServiceAction::Destroy, NEW, now), Ok(Requested::Unchanged));
        assert!(request(&destroying, &[], ServiceAction::Start, NEW, now).is_err());
    }

    #[test]
    fn what_a_service_has_yet_to_get_from_a_backup_is_never_given_up_for_an_empty_one() {
        let now = Timestamp::UNIX_EPOCH;
        let mut failed = service(ServiceState::Error, Power::On);
        let restore = Task::new(NEW, failed.id, Job::Restore, now);
        let open = [restore.refused(ErrorCode::RestoreFailed, "no".to_owned(), now)];
        for action in [ServiceAction::Start, ServiceAction::Stop, ServiceAction::Restart] {
            let Ok(Requested::Changed(_, tasks)) = request(&failed, &open, action, NEW, now) else {
                panic!("{action} is accepted")
            };
            assert_eq!(tasks, std::slice::from_ref(&restore), "{action}: it is tried again");
        }
        failed.evidence.initialised = true;
        let Ok(Requested::Changed(_, tasks)) = request(&failed, &open, ServiceAction::Restart, NEW, now) else {
            panic!("it is accepted")
        };
        assert_eq!(tasks, [open[0].cancelled(now)], "what has data goes on with that");
    }

    #[test]
    fn a_task_waits_for_what_is_under_way_and_is_asked_for_anew_only_when_it_failed() {
        let now = Timestamp::UNIX_EPOCH;
        let rotate =
            |service: &Service, open: &[Task]| request(service, open, ServiceAction::RotateCredentials, NEW, now);
        let mut stopping = service(ServiceState::Running, Power::Off);
        stopping.operation = Some(Operation::queued(OperationKind::Stop, now));
        let Ok(Requested::Changed(after, _)) = rotate(&stopping, &[]) else { panic!("it is accepted") };
        assert_eq!((after.wish.power, &after.operation), (Power::Off, &stopping.operation));

        let running = service(ServiceState::Running, Power::On);
        let Ok(Requested::Changed(rotating, mut open)) = rotate(&running, &[]) else { panic!("it is accepted") };
        assert_eq!(rotating.operation, Some(Operation::queued(OperationKind::RotateCredentials, now)));
        assert_eq!(open, [Task::new(NEW, running.id, Job::RotateCredentials, now)]);
        assert_eq!(rotate(&rotating, &open), Ok(Requested::Unchanged));
        let Ok(Requested::Changed(destroyed, _)) = request(&rotating, &open, ServiceAction::Destroy, NEW, now) else {
            panic!("it is accepted")
        };
        let invalid = InvalidState { action: ServiceAction::RotateCredentials, state: ServiceState::Destroying };
        assert_eq!(rotate(&destroyed, &open), Err(invalid));

        for _ in 0..SHOWN_AFTER {
            assert_eq!(rotate(&rotating, &open), Ok(Requested::Unchanged));
            let pause = jiff::SignedDuration::from_secs(60);
            open = vec![open[0].failed(ErrorCode::RotationFailed, "no".to_owned(), pause, now)];
        }
        let Ok(Requested::Changed(again, tasks)) = rotate(&rotating, &open) else { panic!("it is tried again") };
        let [task] = &tasks[..] else { panic!("{tasks:?}") };
        assert_eq!((again.error, again.generation), (None, rotating.generation + 1));
        assert_eq!((task.id, task.attempts, task.not_before), (open[0].id, 0, None));
    }
}
