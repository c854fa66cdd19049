//! A service that is to have the data of a backup.

use super::{Facts, Verdict};
use crate::domain::task::Job;
use crate::reconciler::steps::Step;

/// It has no data of its own, and must not get an empty database instead.
pub(super) fn unfilled(facts: &Facts<'_>) -> Verdict {
    let task = facts.tasks.iter().find(|task| task.job == Job::Restore);
    let Some(task) = task.filter(|_| !facts.evidence.initialised) else { return Verdict::Pass };
    if let Some(error) = task.shown_error() {
        return Verdict::fail(error.code, error.message.clone(), "its backup could not be restored");
    }
    match task.resumes_at(facts.now) {
        Some(at) => Verdict::wait(Some(at), "its backup could not be restored yet"),
        None => Verdict::Do(Step::Restore(task.id), "it is to have the data of a backup"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Case;
    use super::*;
    use crate::domain::service::{ErrorCode, Operation, OperationKind, ServiceState, Volume};
    use crate::domain::task::{Task, TaskId};

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
        case.tasks = vec![task];
        case.service.evidence.initialised = true;
        case.seen.volume = Volume::Ours;
        assert_eq!(case.plan().step, Some(Step::CreateContainer), "data that is there is never made anew");
        let mut running = Case::new();
        running.tasks = case.tasks;
        assert_eq!(running.plan().step, None);
    }
}
