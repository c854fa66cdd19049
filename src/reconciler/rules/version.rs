//! Which version it is of, and from which image it runs.

use super::{Facts, Verdict};
use crate::domain::task::{Job, Task};
use crate::reconciler::steps::Step;

/// It takes no writes, or perhaps doesn't, for an upgrade that was broken off. One that goes on freezes it anew in its time.
pub(super) fn frozen(facts: &Facts<'_>) -> Verdict {
    if facts.evidence.frozen && facts.running().is_some() {
        return Verdict::Do(Step::Thaw, "it takes no writes, and its data is not being copied");
    }
    Verdict::Pass
}

/// One that failed for good is shown until something else is asked for.
pub(super) fn changing(facts: &Facts<'_>) -> Verdict {
    const WHY: &str = "what it runs is to be changed";
    let is_here = |task: &&Task| task.job.changes_version() && task.job != Job::Clone;
    let Some(task) = facts.tasks.iter().find(is_here) else { return Verdict::Pass };
    let step = match task.job {
        Job::UpdateImage => Step::UpdateImage(task.id),
        Job::Restore => Step::Restore(task.id),
        _ => Step::Upgrade(task.id),
    };
    match task.resumes_at(facts.now) {
        _ if task.shown_error().is_some() => Verdict::under_way(None, step, WHY),
        Some(at) => Verdict::under_way(Some(at), step, WHY),
        None => Verdict::Do(step, WHY),
    }
}

/// It does not run, and is to run from what its image's name means by now: what it ran from may be why, or be gone.
pub(super) fn image_first(facts: &Facts<'_>) -> Verdict {
    let asked = |task: &&Task| task.job == Job::UpdateImage && task.shown_error().is_none();
    match facts.tasks.iter().find(asked) {
        Some(task) if facts.running().is_none() && task.resumes_at(facts.now).is_none() => {
            Verdict::Do(Step::UpdateImage(task.id), "its image is to be another one")
        }
        _ => Verdict::Pass,
    }
}

/// What has another instance take the place of the one that runs it, and goes on or is to.
pub(super) fn replacing<'a>(facts: &Facts<'a>) -> Option<&'a Task> {
    let replaces = |task: &&Task| matches!(task.job, Job::Upgrade | Job::Restore);
    facts.tasks.iter().filter(replaces).find(|task| task.shown_error().is_none())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::super::tests::{Case, exited};
    use super::*;
    use crate::domain::service::{ErrorCode, Operation, OperationKind, OperationPhase, ServiceState};
    use crate::domain::task::{SHOWN_AFTER, TaskId};

    fn case(job: Job) -> Case {
        let mut case = Case::new();
        case.tasks = vec![Task::new(TaskId(uuid::Uuid::from_u128(1)), case.service.id, job, case.now)];
        case
    }

    #[test]
    fn it_is_changed_while_it_runs_and_given_up_after_some_failures() {
        for (job, step) in [
            (Job::Upgrade, Step::Upgrade as fn(TaskId) -> Step),
            (Job::UpdateImage, Step::UpdateImage as fn(TaskId) -> Step),
            (Job::Restore, Step::Restore as fn(TaskId) -> Step),
        ] {
            let mut case = case(job);
            let pause = SignedDuration::from_secs(1);
            for attempt in 0..SHOWN_AFTER {
                let plan = case.plan();
                assert_eq!(plan.step, Some(step(case.tasks[0].id)), "{attempt}");
                assert_eq!(plan.after.operation.map(|operation| operation.kind), Some(job.operation()));
                case.tasks[0] = case.tasks[0].failed(ErrorCode::UpgradeFailed, "no".to_owned(), pause, case.now);
                assert_eq!(case.plan().step, None, "it rests");
                case.now += pause;
            }
            let plan = case.plan();
            assert_eq!((plan.step, plan.again, plan.after.state), (None, None, ServiceState::Running));
            assert_eq!(plan.after.error.map(|error| error.code), Some(ErrorCode::UpgradeFailed));
            assert_eq!(plan.after.operation, None);
        }
        let mut refused = case(Job::Upgrade);
        refused.tasks[0] = refused.tasks[0].refused(ErrorCode::UpgradeFailed, "no".to_owned(), refused.now);
        assert_eq!(refused.plan().step, None, "it is not tried again");
    }

    #[test]
    fn what_does_not_run_is_given_its_newer_image_before_it_is_started() {
        let mut case = case(Job::UpdateImage).status(exited(1));
        let step = Some(Step::UpdateImage(case.tasks[0].id));
        assert_eq!(case.plan().step, step);
        (case.seen.container, case.seen.image) = (None, None);
        assert_eq!(case.plan().step, step, "what it ran from is gone");
        let pause = SignedDuration::from_secs(1);
        case.tasks[0] = case.tasks[0].failed(ErrorCode::PullFailed, "no".to_owned(), pause, case.now);
        assert_eq!(case.plan().step, Some(Step::PullImage), "it rests");
    }

    #[test]
    fn one_that_takes_no_writes_is_not_as_it_should_be() {
        let mut case = case(Job::Upgrade);
        case.service.evidence.frozen = true;
        let plan = case.plan();
        assert_eq!((plan.step, plan.after.state), (Some(Step::Thaw), ServiceState::Provisioning));
        case.tasks.clear();
        assert_eq!(case.plan().step, Some(Step::Thaw));
    }

    #[test]
    fn once_it_is_switched_its_upgrade_leads_to_running() {
        let mut case = Case::fresh();
        case.service.evidence.initialised = true;
        case.seen.volume = crate::domain::observed::Volume::Ours;
        let switching =
            Operation { phase: OperationPhase::Switching, ..Operation::queued(OperationKind::Upgrade, case.now) };
        (case.service.state, case.service.operation) = (ServiceState::Provisioning, Some(switching));
        let plan = case.plan();
        assert_eq!(plan.step, Some(Step::CreateContainer));
        let operation = plan.after.operation.unwrap();
        assert_eq!((operation.kind, operation.phase), (OperationKind::Upgrade, OperationPhase::CreatingContainer));
        assert!(operation.deadline.is_some());
    }
}
