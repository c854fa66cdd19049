//! A service that is to be stopped.

use super::{Facts, Verdict};
use crate::domain::observed::ContainerStatus;
use crate::reconciler::steps::Step;

/// It runs, or the engine would bring it back.
pub(super) fn on(facts: &Facts<'_>) -> Verdict {
    let Some(container) = facts.container() else { return Verdict::Pass };
    match container.status {
        ContainerStatus::Created | ContainerStatus::Exited { .. } if !container.restarts => Verdict::Pass,
        _ => Verdict::Do(Step::Stop, "it is to be stopped"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, exited};
    use super::*;

    #[test]
    fn it_is_stopped_until_it_stays_so() {
        for (status, restarts, stays) in [
            (exited(0), false, true),
            (ContainerStatus::Created, false, true),
            (exited(0), true, false),
            (ContainerStatus::Paused, false, false),
            (ContainerStatus::Running, false, false),
        ] {
            let mut case = Case::new().status(status);
            case.container().restarts = restarts;
            assert_eq!(case.says(on) == Verdict::Pass, stays, "{status:?} {restarts}");
        }
        assert_eq!(Case::fresh().says(on), Verdict::Pass);
    }
}
