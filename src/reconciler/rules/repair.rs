//! Whether its container is to be made anew, with the kind's own settings.

use super::{Facts, Verdict};
use crate::domain::service::{ErrorCode, OperationKind, OperationPhase};
use crate::reconciler::steps::Step;

/// A repair that has not got to its container yet. What is made from then on is made for it.
pub(super) fn made_anew(facts: &Facts<'_>) -> Verdict {
    let asked = facts.service.operation.as_ref().is_some_and(|operation| {
        let phase = operation.phase;
        operation.kind == OperationKind::Repair
            && matches!(phase, OperationPhase::Queued | OperationPhase::Stopping | OperationPhase::Repairing)
    });
    match facts.container() {
        Some(_) if asked && facts.running().is_some() => Verdict::Do(Step::Stop, "it is to be repaired"),
        Some(_) if asked => Verdict::Do(Step::Renew, "it is to be repaired"),
        _ => Verdict::Pass,
    }
}

/// It runs, and its own user is not let in.
pub(super) fn refused(facts: &Facts<'_>) -> Verdict {
    if facts.running().is_none() || !facts.evidence.refused {
        return Verdict::Pass;
    }
    let message = "The server inside does not let the service's user in with its password: somebody has changed the password, \
        the user, or who may connect. A repair puts that back.";
    Verdict::fail(ErrorCode::CredentialsRefused, message, "its user is refused")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, exited};
    use super::*;
    use crate::domain::observed::ContainerStatus;
    use crate::domain::service::ServiceState;

    #[test]
    fn a_repair_makes_the_container_anew_once() {
        use OperationPhase::{CreatingContainer, Queued, Repairing, Stopping};
        let at = |phase| Case::new().operation(OperationKind::Repair, phase);
        assert_eq!(at(Queued).plan().step, Some(Step::Stop));
        let restarting = ContainerStatus::Restarting { exit_code: 1, out_of_memory: false };
        for phase in [Queued, Stopping, Repairing] {
            for status in [exited(1), restarting, ContainerStatus::Created] {
                assert_eq!(at(phase).status(status).plan().step, Some(Step::Renew), "{phase} {status:?}");
            }
        }
        let mut gone = at(Repairing);
        gone.seen.container = None;
        assert_eq!(gone.plan().step, Some(Step::CreateContainer));
        assert_eq!(at(CreatingContainer).status(ContainerStatus::Created).plan().step, Some(Step::Start));
        let done = at(OperationPhase::WaitingForReady).plan();
        assert_eq!((done.step, done.after.state), (None, ServiceState::Running));
    }

    #[test]
    fn a_server_that_refuses_its_own_user_does_not_run() {
        let mut case = Case::new();
        case.service.evidence.refused = true;
        let after = case.plan().after;
        let code = after.error.map(|error| error.code);
        assert_eq!((after.state, code), (ServiceState::Error, Some(ErrorCode::CredentialsRefused)));
        assert_eq!(case.status(exited(0)).plan().step, Some(Step::Start));
    }
}
