//! The image that the container is made from.

use super::{Facts, Verdict};
use crate::reconciler::steps::Step;

pub(super) fn absent(facts: &Facts<'_>) -> Verdict {
    if facts.container().is_none() && !facts.seen.image {
        return Verdict::Do(Step::PullImage, "its image is not there");
    }
    Verdict::Pass
}

#[cfg(test)]
mod tests {
    use super::super::tests::Case;
    use super::*;

    #[test]
    fn an_image_is_pulled_only_for_a_container_that_is_to_be_made() {
        let mut case = Case::fresh();
        assert_eq!(case.says(absent), Verdict::Pass);
        case.seen.image = false;
        assert!(matches!(case.says(absent), Verdict::Do(Step::PullImage, _)));
        case.seen.container = Case::new().seen.container;
        assert_eq!(case.says(absent), Verdict::Pass);
    }
}
