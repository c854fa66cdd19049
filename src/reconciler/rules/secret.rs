//! The password that the server inside takes.

use super::{Facts, Verdict};
use crate::reconciler::steps::Step;

/// That is tried until it does, for nobody knows which one it takes otherwise.
pub(super) fn changing(facts: &Facts<'_>) -> Verdict {
    if facts.service.rotating && !facts.attempts.rotated {
        return Verdict::Do(Step::RotateCredentials, "its password is to be changed");
    }
    Verdict::Pass
}

#[cfg(test)]
mod tests {
    use super::super::tests::Case;
    use super::*;
    use crate::domain::service::{ErrorCode, OperationKind, ServiceState};
    use crate::reconciler::rules::Failure;

    #[test]
    fn it_is_changed_while_it_runs_and_shown_to_be_refused_only_after_some_failures() {
        let mut case = Case::new();
        assert_eq!(case.says(changing), Verdict::Pass);
        case.service.rotating = true;
        let plan = case.plan();
        assert_eq!(plan.step, Some(Step::RotateCredentials));
        assert_eq!((plan.after.state, plan.after.error), (ServiceState::Running, None));
        assert_eq!(plan.after.operation.map(|operation| operation.kind), Some(OperationKind::RotateCredentials));

        case.attempts.last = Some(Failure { code: ErrorCode::RotationFailed, message: "no".to_owned() });
        case.attempts.failures = 3;
        let after = case.plan().after;
        assert_eq!((after.state, after.operation), (ServiceState::Running, None));
        assert_eq!(after.error.map(|error| error.code), Some(ErrorCode::RotationFailed));

        case.attempts.rotated = true;
        let plan = case.plan();
        assert_eq!((plan.step, plan.after.rotating, plan.after.error), (None, false, None));
    }
}
