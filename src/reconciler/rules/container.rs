//! Whether there is a container.

use super::{Facts, Verdict};
use crate::domain::observed::ContainerStatus;
use crate::reconciler::steps::Step;

pub(super) fn going(facts: &Facts<'_>) -> Verdict {
    match facts.container() {
        Some(container) if container.status == ContainerStatus::Removing => {
            Verdict::wait(facts.soon(), "its container is being removed")
        }
        _ => Verdict::Pass,
    }
}

pub(super) fn absent(facts: &Facts<'_>) -> Verdict {
    match facts.container() {
        None => Verdict::Do(Step::CreateContainer, "its container is not there"),
        Some(_) => Verdict::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Case;
    use super::*;

    #[test]
    fn one_that_is_being_removed_is_waited_for_and_one_that_is_gone_is_made() {
        assert_eq!(Case::new().says(going), Verdict::Pass);
        let case = Case::new().status(ContainerStatus::Removing);
        assert_eq!(
            case.says(going),
            Verdict::wait(Some(case.now + super::super::SOON), "its container is being removed")
        );
        assert_eq!(case.says(absent), Verdict::Pass);
        assert!(matches!(Case::fresh().says(absent), Verdict::Do(Step::CreateContainer, _)));
    }
}
