//! Whether the container runs, and what brings it back.

use super::{Facts, Verdict};
use crate::domain::observed::ContainerStatus;
use crate::domain::service::{OperationKind, OperationPhase};
use crate::reconciler::steps::Step;

/// A restart begins with a stop. What was stopped is seen as ended, with the phase still telling of the stop.
pub(super) fn shut_down_first(facts: &Facts<'_>) -> Verdict {
    let up = facts.container().is_some_and(|container| {
        matches!(container.status, ContainerStatus::Running | ContainerStatus::Restarting { .. })
    });
    let restart = facts.service.operation.as_ref().is_some_and(|operation| {
        matches!(operation.kind, OperationKind::Restart | OperationKind::UpdateImage)
            && matches!(operation.phase, OperationPhase::Queued | OperationPhase::Stopping)
    });
    if up && restart { Verdict::Do(Step::Stop, "it is to be restarted") } else { Verdict::Pass }
}

pub(super) fn coming_back(facts: &Facts<'_>) -> Verdict {
    match facts.container() {
        Some(container) if matches!(container.status, ContainerStatus::Restarting { .. }) => {
            Verdict::under_way(facts.soon(), Step::Start, "the engine is bringing it back")
        }
        _ => Verdict::Pass,
    }
}

pub(super) fn off(facts: &Facts<'_>) -> Verdict {
    match facts.idle().map(|container| container.status) {
        None => Verdict::Pass,
        Some(ContainerStatus::Paused) => Verdict::Do(Step::Start, "its container is paused"),
        Some(_) => Verdict::Do(Step::Start, "its container does not run"),
    }
}

/// It runs, but nothing would start it after its next end.
pub(super) fn not_brought_back(facts: &Facts<'_>) -> Verdict {
    match facts.container() {
        Some(container) if !container.restarts => Verdict::Do(Step::Start, "the engine would not bring it back"),
        _ => Verdict::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, exited};
    use super::*;

    #[test]
    fn a_restart_stops_what_is_up_and_then_starts_it() {
        let queued = Case::new().operation(OperationKind::Restart, OperationPhase::Queued);
        assert!(matches!(queued.says(shut_down_first), Verdict::Do(Step::Stop, _)));
        let stopped = Case::new().status(exited(0)).operation(OperationKind::Restart, OperationPhase::Stopping);
        assert_eq!(stopped.says(shut_down_first), Verdict::Pass);
        assert!(matches!(stopped.says(off), Verdict::Do(Step::Start, _)));
        let starting = Case::new().operation(OperationKind::Restart, OperationPhase::WaitingForReady);
        assert_eq!(starting.says(shut_down_first), Verdict::Pass);
        assert_eq!(Case::new().says(shut_down_first), Verdict::Pass);
    }

    #[test]
    fn what_does_not_run_is_started_unless_the_engine_is_at_it() {
        for status in [ContainerStatus::Created, ContainerStatus::Paused, exited(1)] {
            let case = Case::new().status(status);
            assert_eq!(case.says(coming_back), Verdict::Pass);
            assert!(matches!(case.says(off), Verdict::Do(Step::Start, _)), "{status:?}");
        }
        let restarting = ContainerStatus::Restarting { exit_code: 1, out_of_memory: false };
        let case = Case::new().status(restarting);
        assert!(matches!(case.says(coming_back), Verdict::Wait(..)));
        assert_eq!(Case::new().says(off), Verdict::Pass);
    }

    #[test]
    fn the_engine_is_told_to_bring_back_what_should_run() {
        let mut case = Case::new();
        assert_eq!(case.says(not_brought_back), Verdict::Pass);
        case.container().restarts = false;
        let plan = case.plan();
        assert_eq!((plan.step, &plan.after), (Some(Step::Start), &case.service), "nobody sees it");
    }
}
