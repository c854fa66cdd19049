//! A service that is to have the data of a backup.

use jiff::Timestamp;

use super::{Attempts, Facts, Failing, Failure, Rule, Verdict, container, first, power, storage};
use crate::domain::observed::{Observed, Volume};
use crate::domain::service::{OperationKind, Service, ServiceState};
use crate::domain::task::{Job, Task};
use crate::reconciler::steps::Step;

const AT_REST: &str = "its backup could not be restored yet";

/// It has no data of its own, and must not get an empty database instead.
pub(super) fn unfilled(facts: &Facts<'_>) -> Verdict {
    let filling = facts.tasks.iter().find(|task| task.job.fills());
    let Some(task) = filling.filter(|_| !facts.evidence.initialised) else { return Verdict::Pass };
    if let Some(error) = task.shown_error() {
        let failure = Failure { code: error.code, message: error.message.clone() };
        let then = is_half_cloned(facts).then_some(Step::Remove);
        return Verdict::Fail(Failing { failure, until: None, then }, "its backup could not be restored");
    }
    match task.resumes_at(facts.now) {
        Some(at) => Verdict::wait(Some(at), AT_REST),
        None => Verdict::Do(Step::Restore(task.id), "it is to have the data of a backup"),
    }
}

/// It is to be stopped, and was to be a clone.
pub(super) fn half_cloned(facts: &Facts<'_>) -> Verdict {
    match is_half_cloned(facts) {
        true => Verdict::Do(Step::Remove, "what it was being given its data in is begun anew"),
        false => Verdict::Pass,
    }
}

/// Something is left of a clone that has no data yet. It may hold on to the volume of its source.
fn is_half_cloned(facts: &Facts<'_>) -> bool {
    let is_clone = facts.tasks.iter().any(|task| task.job == Job::Clone);
    let is_begun = facts.container().is_some() || matches!(facts.seen.volume, Volume::Ours | Volume::Stray);
    is_clone && is_begun && !facts.evidence.initialised
}

/// It is in error, and what a backup of it holds is to take the place of what it has: that comes before what it is in error of.
/// One that runs is restored beside that. What an engine that was away has left is seen to first, for all may be well.
pub(super) fn in_place(facts: &Facts<'_>) -> Verdict {
    let asked = facts.service.operation.as_ref().is_some_and(|operation| operation.kind == OperationKind::Restore);
    let failed =
        facts.service.state == ServiceState::Error && facts.settled_error().is_some_and(|code| !code.is_silence());
    let task = task(facts).filter(|task| facts.evidence.initialised && task.shown_error().is_none());
    let Some(task) = task.filter(|_| (asked || failed) && !has_to_stop(facts)) else { return Verdict::Pass };
    match task.resumes_at(facts.now) {
        Some(at) => Verdict::wait(Some(at), AT_REST),
        None => Verdict::Do(Step::Restore(task.id), "what a backup holds is to take the place of what it has"),
    }
}

/// Whether what runs `service` until it is restored needs something that can't wait for that.
pub fn holds_up(service: &Service, seen: &Observed, now: Timestamp) -> bool {
    const MEANWHILE: &[Rule] = &[power::coming_back, container::absent, power::off, storage::writes];
    let facts = Facts {
        service,
        tasks: &[],
        instances: &[],
        seen,
        attempts: &Attempts::default(),
        evidence: &service.evidence,
        ended_anew: false,
        now,
    };
    let runs = service.state == ServiceState::Running;
    has_to_stop(&facts) || (runs && matches!(first(MEANWHILE, &facts), Verdict::Do(..)))
}

fn task<'a>(facts: &Facts<'a>) -> Option<&'a Task> {
    facts.tasks.iter().find(|task| task.job == Job::Restore)
}

/// It takes ever more of its host, and nothing but a stop keeps it from that.
fn has_to_stop(facts: &Facts<'_>) -> bool {
    matches!(storage::halted(facts), Verdict::Fail(Failing { then: Some(_), .. }, _))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, exited};
    use super::*;
    use crate::domain::observed::ContainerStatus;
    use crate::domain::service::{ErrorCode, Operation, OperationPhase, Power, ServiceError};
    use crate::domain::storage::Full;
    use crate::domain::task::TaskId;

    #[test]
    fn nothing_is_begun_before_the_data_is_there_and_all_is_once_it_is() {
        let mut case = Case::fresh();
        case.service.operation = Some(Operation::queued(OperationKind::Restore, case.now));
        let task = Task::new(TaskId(uuid::Uuid::from_u128(1)), case.service.id, Job::Restore, case.now);
        case.tasks = vec![task.clone()];
        for volume in [Volume::Absent, Volume::Ours, Volume::Stray] {
            case.seen.volume = volume;
            assert_eq!(case.plan().step, Some(Step::Restore(task.id)), "{volume:?}");
        }
        case.tasks = vec![task.failed(ErrorCode::RestoreFailed, "no".to_owned(), super::super::SOON, case.now)];
        let plan = case.plan();
        assert_eq!((plan.step, plan.again), (None, Some(case.now + super::super::SOON)), "it rests");
        case.tasks = vec![task.refused(ErrorCode::RestoreFailed, "no".to_owned(), case.now)];
        let plan = case.plan();
        assert_eq!((plan.step, plan.after.state), (None, ServiceState::Error));
        assert_eq!(plan.after.error.map(|error| error.code), Some(ErrorCode::RestoreFailed));
        case.tasks[0].job = Job::Clone;
        let plan = case.plan();
        assert_eq!((plan.step, plan.after.state), (Some(Step::Remove), ServiceState::Error), "nothing is held on to");
        case.seen.volume = Volume::Absent;
        assert_eq!(case.plan().step, None);
        case.tasks.clear();
        case.service.evidence.initialised = true;
        case.seen.volume = Volume::Ours;
        assert_eq!(case.plan().step, Some(Step::CreateContainer));
    }

    #[test]
    fn what_is_left_of_a_clone_goes_when_it_is_stopped() {
        let mut case = Case::new();
        assert_eq!(case.says(half_cloned), Verdict::Pass);
        case.tasks = vec![Task::new(TaskId(uuid::Uuid::from_u128(1)), case.service.id, Job::Clone, case.now)];
        assert_eq!(case.says(half_cloned), Verdict::Pass, "it has data of its own");
        case.service.evidence.initialised = false;
        case.service.wish.power = Power::Off;
        let plan = case.plan();
        assert_eq!(plan.step, Some(Step::Remove));
        assert_ne!(plan.after.state, ServiceState::Provisioning);
        case.seen.container = None;
        assert!(matches!(case.says(half_cloned), Verdict::Do(Step::Remove, _)), "the volume was still in use");
        case.seen.volume = Volume::Absent;
        assert_eq!(case.says(half_cloned), Verdict::Pass);
    }

    /// One that is to be restored in place, in ERROR with its volume lost.
    fn lost() -> Case {
        let mut case = Case::new();
        (case.seen.container, case.seen.volume) = (None, Volume::Absent);
        case.service = case.plan().after;
        assert_eq!(case.service.error.as_ref().map(|error| error.code), Some(ErrorCode::VolumeLost));
        case.tasks = vec![Task::new(TaskId(uuid::Uuid::from_u128(1)), case.service.id, Job::Restore, case.now)];
        case
    }

    #[test]
    fn what_is_in_error_is_restored_before_anything_else_and_in_error_again_where_that_fails() {
        let mut case = lost();
        let step = Some(Step::Restore(case.tasks[0].id));
        let asked = Some(Operation::queued(OperationKind::Restore, case.now));
        for operation in [None, asked] {
            case.service.operation = operation;
            let plan = case.plan();
            let operation = plan.after.operation.unwrap();
            assert_eq!((plan.step, plan.after.state), (step.clone(), ServiceState::Provisioning));
            assert_eq!((operation.kind, operation.phase), (OperationKind::Restore, OperationPhase::Restoring));
        }
        case.service = case.plan().after;
        assert_eq!(case.plan().step, step, "it is begun anew, however long ago that was");
        case.now += jiff::SignedDuration::from_hours(1);
        assert_eq!(case.plan().step, step);
        let pause = super::super::SOON;
        case.tasks = vec![case.tasks[0].failed(ErrorCode::RestoreFailed, "no".to_owned(), pause, case.now)];
        let plan = case.plan();
        assert_eq!((plan.step, plan.again), (None, Some(case.now + pause)), "it rests");
        case.tasks = vec![case.tasks[0].refused(ErrorCode::RestoreFailed, "no".to_owned(), case.now)];
        let plan = case.plan();
        assert_eq!((plan.step, plan.after.state), (None, ServiceState::Error));
        assert_eq!(plan.after.error.map(|error| error.code), Some(ErrorCode::VolumeLost));
    }

    #[test]
    fn what_runs_goes_on_while_it_is_restored_and_is_brought_back_first_where_it_does_not() {
        let mut case = Case::new();
        case.tasks = lost().tasks;
        let step = Some(Step::Restore(case.tasks[0].id));
        let plan = case.plan();
        let shown = plan.after.operation.map(|operation| (operation.kind, operation.phase));
        assert_eq!((plan.step, plan.after.state), (step, ServiceState::Running));
        assert_eq!(shown, Some((OperationKind::Restore, OperationPhase::Restoring)));
        assert!(!holds_up(&case.service, &case.seen, case.now));
        let mut down = case.status(exited(137));
        assert_eq!(down.plan().step, Some(Step::Start));
        assert!(holds_up(&down.service, &down.seen, down.now));
        down.container().status = ContainerStatus::Restarting { exit_code: 1, out_of_memory: false };
        assert!(!holds_up(&down.service, &down.seen, down.now), "the engine brings it back by itself");
        let mut silent = down.status(exited(0));
        silent.service.state = ServiceState::Error;
        let code = ErrorCode::EngineUnavailable;
        silent.service.error = Some(ServiceError { code, message: String::new(), occurred_at: silent.now });
        assert_eq!(silent.plan().step, Some(Step::Start), "all may be well once it runs");
    }

    #[test]
    fn what_grows_too_much_is_told_or_stopped_before_it_is_restored() {
        let mut case = Case::new();
        case.tasks = lost().tasks;
        case.service.evidence.storage.full = Some(Full::Size);
        assert_eq!(case.plan().step, Some(Step::ForbidWrites));
        assert!(holds_up(&case.service, &case.seen, case.now));
        case.service.evidence.storage.halted = true;
        let plan = case.plan();
        assert_eq!((plan.step, plan.after.state), (Some(Step::Stop), ServiceState::Error));
        assert!(holds_up(&case.service, &case.seen, case.now));
        let mut stopped = case.status(exited(0));
        stopped.service = plan.after;
        assert!(!holds_up(&stopped.service, &stopped.seen, stopped.now));
        assert_eq!(stopped.plan().step, Some(Step::Restore(stopped.tasks[0].id)));
    }
}
