//! Whether those who use the service can reach it.

use super::{Facts, Verdict};
use crate::reconciler::steps::Step;

pub(super) fn disconnected(facts: &Facts<'_>) -> Verdict {
    match facts.running() {
        Some(container) if !container.connected => Verdict::Do(Step::Connect, "it is not on its project's network"),
        _ => Verdict::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Case;
    use super::*;

    #[test]
    fn what_is_cut_off_is_connected() {
        let mut case = Case::new();
        assert_eq!(case.says(disconnected), Verdict::Pass);
        case.container().connected = false;
        assert!(matches!(case.says(disconnected), Verdict::Do(Step::Connect, _)));
    }
}
