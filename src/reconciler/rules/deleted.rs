//! A service that is to be destroyed.

use super::{Facts, Verdict};
use crate::domain::observed::Volume;
use crate::domain::service::OperationPhase;
use crate::reconciler::steps::Step;

/// Also where nothing of it is there a removal is tried once: the project's network may be left.
pub(super) fn there(facts: &Facts<'_>) -> Verdict {
    let tried = facts.service.operation.as_ref().is_some_and(|operation| operation.phase == OperationPhase::Removing);
    let gone = facts.container().is_none() && matches!(facts.seen.volume, Volume::Absent | Volume::Foreign);
    if tried && gone && facts.instances.is_empty() {
        Verdict::Pass
    } else {
        Verdict::Do(Step::Remove, "it is to be destroyed")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Case;
    use super::*;
    use crate::domain::service::OperationKind;

    #[test]
    fn it_is_removed_until_nothing_of_ours_is_left() {
        let mut case = Case::fresh().operation(OperationKind::Destroy, OperationPhase::Queued);
        assert!(matches!(case.says(there), Verdict::Do(Step::Remove, _)));
        case = case.operation(OperationKind::Destroy, OperationPhase::Removing);
        for (volume, passes) in
            [(Volume::Absent, true), (Volume::Foreign, true), (Volume::Ours, false), (Volume::Stray, false)]
        {
            case.seen.volume = volume;
            assert_eq!(case.says(there) == Verdict::Pass, passes, "{volume:?}");
        }
    }
}
