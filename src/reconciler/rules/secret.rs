//! The password that the server inside takes.

use super::{Facts, Verdict};
use crate::domain::task::Job;
use crate::reconciler::steps::Step;

/// That is tried until it does, for nobody knows which one it takes otherwise.
pub(super) fn changing(facts: &Facts<'_>) -> Verdict {
    const WHY: &str = "its password is to be changed";
    let Some(task) = facts.tasks.iter().find(|task| task.job == Job::RotateCredentials) else { return Verdict::Pass };
    match task.resumes_at(facts.now) {
        Some(at) => Verdict::under_way(Some(at), Step::RotateCredentials(task.id), WHY),
        None => Verdict::Do(Step::RotateCredentials(task.id), WHY),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::super::tests::Case;
    use super::*;
    use crate::domain::service::{ErrorCode, OperationKind, ServiceState};
    use crate::domain::task::{SHOWN_AFTER, Task, TaskId};

    #[test]
    fn it_is_changed_while_it_runs_and_shown_to_be_refused_only_after_some_failures() {
        let mut case = Case::new();
        assert_eq!(case.says(changing), Verdict::Pass);
        let id = TaskId(uuid::Uuid::from_u128(1));
        case.tasks = vec![Task::new(id, case.service.id, Job::RotateCredentials, case.now)];
        let plan = case.plan();
        assert_eq!(plan.step, Some(Step::RotateCredentials(id)));
        assert_eq!((plan.after.state, plan.after.error), (ServiceState::Running, None));
        assert_eq!(plan.after.operation.map(|operation| operation.kind), Some(OperationKind::RotateCredentials));

        let pause = SignedDuration::from_secs(8);
        for _ in 0..SHOWN_AFTER {
            assert!(case.plan().after.operation.is_some());
            case.tasks[0] = case.tasks[0].failed(ErrorCode::RotationFailed, "no".to_owned(), pause, case.now);
        }
        let plan = case.plan();
        assert_eq!((plan.step, plan.again), (None, Some(case.now + pause)));
        assert_eq!((plan.after.state, plan.after.operation), (ServiceState::Running, None));
        assert_eq!(plan.after.error.map(|error| error.code), Some(ErrorCode::RotationFailed));
        case.now += pause;
        assert_eq!(case.plan().step, Some(Step::RotateCredentials(id)), "it is tried until it is done");
    }
}
