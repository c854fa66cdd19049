//! Whether it has the size that its user wants.
//!
//! Limits of a container change while it runs. What the server inside makes of its size it takes while it runs, where its
//! kind can, or with a container that is made anew at a start.

use super::{Facts, Verdict, storage};
use crate::catalog::{self, definition};
use crate::domain::limits::Limits;
use crate::domain::observed::{Container, ContainerStatus};
use crate::domain::service::{OperationKind, SizeTier};
use crate::reconciler::steps::Step;

/// It is to have its new size at once, which the server inside takes only when it is started.
pub(super) fn shut_down_first(facts: &Facts<'_>) -> Verdict {
    let Some(container) = facts.container() else { return Verdict::Pass };
    let up = matches!(container.status, ContainerStatus::Running | ContainerStatus::Restarting { .. });
    let asked = facts.service.operation.as_ref().is_some_and(|operation| operation.kind == OperationKind::Resize);
    // What ends again and again can't be told anything.
    let told = is_told(facts) && container.status == ContainerStatus::Running;
    if up && asked && !told && is_outgrown(facts, container) {
        return Verdict::Do(Step::Stop, "it is to have another size");
    }
    if asked && storage::grows_at_rest(facts) {
        return Verdict::Do(Step::Stop, "its volume is to have another size");
    }
    Verdict::Pass
}

/// It does not run, and was made for another size.
pub(super) fn outgrown(facts: &Facts<'_>) -> Verdict {
    let Some(container) = facts.idle() else { return Verdict::Pass };
    let is_of_another = match container.status {
        ContainerStatus::Created => made_for_another(facts, container),
        ContainerStatus::Exited { .. } => is_outgrown(facts, container) || made_for_another(facts, container),
        _ => false,
    };
    match is_of_another {
        true => Verdict::Do(Step::Replace, "it was made for another size"),
        false => Verdict::Pass,
    }
}

/// It does not run, and was made with other settings than it would be now: by an earlier version, or by hand. One that was made
/// before that was written on containers is left as it is.
pub(super) fn outdated(facts: &Facts<'_>) -> Verdict {
    // What can't be made anew is worth more as it is.
    let can_be = facts.service.evidence.initialised && facts.seen.image.is_some();
    let Some(container) = facts.idle().filter(|_| can_be) else { return Verdict::Pass };
    let at_rest = matches!(container.status, ContainerStatus::Created | ContainerStatus::Exited { .. });
    match container.build.zip(catalog::build(&facts.service.wish)) {
        Some((made, wanted)) if at_rest && made != wanted => {
            Verdict::Do(Step::Refresh, "it was made with other settings")
        }
        _ => Verdict::Pass,
    }
}

/// Somebody else has changed its limits, or they are those of the size before.
pub(super) fn limits(facts: &Facts<'_>) -> Verdict {
    match facts.running().zip(facts.running().and_then(|container| wanted(facts, container))) {
        Some((container, wanted)) if container.limits != wanted => {
            Verdict::Do(Step::Adjust(wanted), "its limits are not those of its size")
        }
        _ => Verdict::Pass,
    }
}

/// The server inside has yet to hear of its new size.
pub(super) fn untold(facts: &Facts<'_>) -> Verdict {
    match facts.running() {
        Some(container) if is_told(facts) && is_outgrown(facts, container) => {
            Verdict::Do(Step::Tell, "the server inside goes by another size")
        }
        _ => Verdict::Pass,
    }
}

/// The limits that it is to have now. While the server inside may go by another size it keeps the memory that this one needs.
fn wanted(facts: &Facts<'_>, container: &Container) -> Option<Limits> {
    let wish = &facts.service.wish;
    let offer = definition(wish.kind).offer.as_ref()?;
    let memory = |size| offer.tier(size).map(|tier| tier.memory_mib);
    let needed = inside(facts, container).into_iter().flatten().filter_map(memory).max();
    Some(catalog::limits(wish)?.with_memory(needed.unwrap_or_default().max(wish.tier.memory_mib)))
}

/// The size that the server inside goes by, and the one that it may have been told since.
fn inside(facts: &Facts<'_>, container: &Container) -> [Option<SizeTier>; 2] {
    [facts.evidence.told.or(container.tier), facts.evidence.telling]
}

fn is_outgrown(facts: &Facts<'_>, container: &Container) -> bool {
    let is_telling = facts.evidence.telling.is_some();
    is_telling || inside(facts, container)[0].is_some_and(|size| size != facts.service.wish.tier.tier)
}

fn made_for_another(facts: &Facts<'_>, container: &Container) -> bool {
    container.tier.is_some_and(|size| size != facts.service.wish.tier.tier)
}

/// Whether the server inside takes a new size while it runs.
fn is_told(facts: &Facts<'_>) -> bool {
    definition(facts.service.wish.kind).offer.as_ref().is_some_and(|offer| offer.can.live_resize.is_some())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, exited};
    use super::*;
    use crate::domain::id::BuildDigest;
    use crate::domain::service::{ErrorCode, OperationPhase, ServiceKind, ServiceState};
    use crate::reconciler::rules::{Failure, LIMIT};

    /// One that runs, made for the size `made`, and is to have `wish`.
    fn case(kind: ServiceKind, made: SizeTier, wish: SizeTier) -> Case {
        let mut case = Case::new();
        let offer = definition(kind).offer.unwrap();
        case.service.wish.kind = kind;
        case.service.wish.tier = offer.tier(made).unwrap();
        case.container().limits = catalog::limits(&case.service.wish).unwrap();
        case.container().tier = Some(made);
        case.service.wish.tier = offer.tier(wish).unwrap();
        case
    }

    fn memory(verdict: &Verdict) -> Option<u64> {
        match verdict {
            Verdict::Do(Step::Adjust(limits), _) => Some(limits.memory_bytes >> 20),
            _ => None,
        }
    }

    #[test]
    fn limits_that_somebody_changed_are_put_right() {
        let mut case = case(ServiceKind::Postgresql, SizeTier::Dev, SizeTier::Dev);
        assert_eq!(case.says(limits), Verdict::Pass);
        case.container().limits.memory_bytes = 40 << 20;
        assert_eq!(memory(&case.says(limits)), Some(256));
        case.container().limits = catalog::limits(&case.service.wish).unwrap();
        case.container().limits.pids = 0;
        assert!(matches!(case.says(limits), Verdict::Do(Step::Adjust(_), _)));
        assert_eq!(case.status(exited(0)).says(limits), Verdict::Pass, "a start comes first");
    }

    #[test]
    fn what_was_made_with_other_settings_is_made_anew_at_its_next_start() {
        let mut case = case(ServiceKind::Postgresql, SizeTier::Dev, SizeTier::Dev);
        case.container().build = Some(BuildDigest([7; 32]));
        assert_eq!(case.says(outdated), Verdict::Pass, "it runs");
        let mut case = case.status(exited(0));
        assert!(matches!(case.says(outdated), Verdict::Do(Step::Refresh, _)));
        let image = case.seen.image.take();
        assert_eq!(case.says(outdated), Verdict::Pass, "its image is gone");
        case.seen.image = image;
        case.container().build = catalog::build(&case.service.wish);
        assert_eq!(case.says(outdated), Verdict::Pass);
        case.container().build = None;
        assert_eq!(case.says(outdated), Verdict::Pass, "nobody knows");
    }

    #[test]
    fn postgresql_grows_at_once_and_shrinks_with_a_restart() {
        use SizeTier::{Dev, Standard};
        let growing = case(ServiceKind::Postgresql, Dev, Standard);
        assert_eq!(memory(&growing.says(limits)), Some(512));
        assert_eq!((growing.says(untold), growing.says(shut_down_first)), (Verdict::Pass, Verdict::Pass));
        let shrinking = case(ServiceKind::Postgresql, Standard, Dev);
        assert_eq!(memory(&shrinking.says(limits)), Some(512), "CPU time only");
        let now = case(ServiceKind::Postgresql, Standard, Dev).operation(OperationKind::Resize, OperationPhase::Queued);
        assert!(matches!(now.says(shut_down_first), Verdict::Do(Step::Stop, _)));
        let stopped = now.status(exited(0));
        assert_eq!(stopped.says(shut_down_first), Verdict::Pass);
        assert!(matches!(stopped.says(outgrown), Verdict::Do(Step::Replace, _)));
        let again = case(ServiceKind::Postgresql, Dev, Dev).operation(OperationKind::Resize, OperationPhase::Starting);
        assert_eq!(again.says(shut_down_first), Verdict::Pass, "it was made anew");
    }

    #[test]
    fn redis_is_told_between_more_memory_and_less() {
        use SizeTier::{Dev, Standard};
        let mut growing =
            case(ServiceKind::Redis, Dev, Standard).operation(OperationKind::Resize, OperationPhase::Queued);
        assert_eq!(growing.says(shut_down_first), Verdict::Pass, "nobody loses a connection");
        assert_eq!(memory(&growing.says(limits)), Some(256));
        growing.container().limits = catalog::limits(&growing.service.wish).unwrap();
        assert!(matches!(growing.says(untold), Verdict::Do(Step::Tell, _)));
        growing.service.evidence.told = Some(Standard);
        assert_eq!((growing.says(limits), growing.says(untold)), (Verdict::Pass, Verdict::Pass));
        assert!(matches!(growing.status(exited(0)).says(outgrown), Verdict::Do(Step::Replace, _)), "at its next start");

        let mut shrinking = case(ServiceKind::Redis, Standard, Dev);
        assert_eq!(memory(&shrinking.says(limits)), Some(256), "CPU time only");
        shrinking.service.evidence.told = Some(Dev);
        assert_eq!(memory(&shrinking.says(limits)), Some(128));
        // It was told, and is to be as large as its container was made for.
        let mut back = case(ServiceKind::Redis, Dev, Dev);
        back.service.evidence.told = Some(Standard);
        assert!(matches!(back.says(untold), Verdict::Do(Step::Tell, _)));
    }

    #[test]
    fn what_may_have_been_told_is_told_anew_before_memory_is_taken() {
        // It was to grow, was told so or not, and is to be as it was.
        let mut back = case(ServiceKind::Redis, SizeTier::Dev, SizeTier::Dev);
        back.container().limits = back.container().limits.with_memory(256);
        back.service.evidence.telling = Some(SizeTier::Standard);
        assert_eq!(back.says(limits), Verdict::Pass);
        let plan = back.plan();
        assert_eq!((plan.step, plan.after.evidence.telling), (Some(Step::Tell), Some(SizeTier::Dev)));
        back.service.evidence.telling = None;
        assert_eq!(memory(&back.says(limits)), Some(128));
    }

    #[test]
    fn a_size_that_is_refused_again_and_again_is_shown_beside_running() {
        let mut case = case(ServiceKind::Redis, SizeTier::Dev, SizeTier::Standard)
            .operation(OperationKind::Resize, OperationPhase::Queued);
        let plan = case.plan();
        assert!(matches!(plan.step, Some(Step::Adjust(_))));
        assert_eq!(plan.after.operation.map(|operation| operation.phase), Some(OperationPhase::Resizing));
        case.attempts.failures = LIMIT;
        case.attempts.last = Some(Failure { code: ErrorCode::EngineRefused, message: "no".to_owned() });
        let after = case.plan().after;
        assert_eq!((after.state, after.operation), (ServiceState::Running, None));
        assert_eq!(after.error.map(|error| error.code), Some(ErrorCode::EngineRefused));
    }

    #[test]
    fn one_that_ends_again_and_again_is_stopped_to_be_made_anew() {
        let restarting = ContainerStatus::Restarting { exit_code: 137, out_of_memory: true };
        let case = case(ServiceKind::Redis, SizeTier::Dev, SizeTier::Standard)
            .operation(OperationKind::Resize, OperationPhase::Queued)
            .status(restarting);
        assert!(matches!(case.says(shut_down_first), Verdict::Do(Step::Stop, _)));
    }
}
