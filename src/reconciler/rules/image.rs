//! The image that the container is made from.

use super::{Facts, Verdict};
use crate::domain::service::OperationKind;
use crate::reconciler::steps::Step;

pub(super) fn absent(facts: &Facts<'_>) -> Verdict {
    if facts.container().is_none() && facts.seen.image.is_none() {
        return Verdict::Do(Step::PullImage, "its image is not there");
    }
    Verdict::Pass
}

/// Its container was made from something that has never served and no longer bears the image's name: a tag that was wrong,
/// and was put right. What has served fits the data, and is kept whatever the tag means by now.
pub(super) fn wrong(facts: &Facts<'_>) -> Verdict {
    let (Some(container), Some(image)) = (facts.idle(), &facts.seen.image) else { return Verdict::Pass };
    let served = facts.evidence.image.as_ref() == Some(&container.image.id);
    // One of an earlier version that was there before anybody took note may have served.
    let mut ended = container.run.is_none() || facts.evidence.crashes > 0;
    // It is to run from what the name means now. What has served until then was forgotten for that.
    let operation = facts.service.operation.as_ref();
    ended |= operation.is_some_and(|operation| operation.kind == OperationKind::UpdateImage);
    if !served && ended && container.image.id != *image {
        return Verdict::Do(Step::Replace, "its image bears its name no more, and has never served");
    }
    Verdict::Pass
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, exited};
    use super::*;
    use crate::domain::observed::ContainerStatus;

    #[test]
    fn an_image_is_pulled_only_for_a_container_that_is_to_be_made() {
        let mut case = Case::fresh();
        assert_eq!(case.says(absent), Verdict::Pass);
        case.seen.image = None;
        assert!(matches!(case.says(absent), Verdict::Do(Step::PullImage, _)));
        case.seen.container = Case::new().seen.container;
        assert_eq!(case.says(absent), Verdict::Pass);
    }

    #[test]
    fn what_never_served_is_made_anew_from_the_image_that_bears_the_name_now() {
        let (same, another) = (Case::new().seen.image, Some("sha256:2".to_owned()));
        let restarting = ContainerStatus::Restarting { exit_code: 1, out_of_memory: false };
        for (status, crashes, bears_name, served, replaced) in [
            (exited(1), 3, &another, &None, true),
            (exited(1), 3, &another, &another, true),
            (restarting, 1, &another, &None, true),
            (exited(1), 3, &another, &same, false),
            (exited(1), 3, &same, &None, false),
            (exited(1), 3, &None, &None, false),
            (exited(0), 0, &another, &None, false),
            (ContainerStatus::Running, 3, &another, &None, false),
        ] {
            let mut case = Case::new().status(status);
            case.service.evidence.crashes = crashes;
            (case.seen.image, case.service.evidence.image) = (bears_name.clone(), served.clone());
            let verdict = case.says(wrong);
            assert_eq!(matches!(verdict, Verdict::Do(Step::Replace, _)), replaced, "{status:?} {crashes}: {verdict:?}");
        }
        let mut never_began = Case::new().status(ContainerStatus::Created);
        (never_began.container().run, never_began.service.evidence.image) = (None, None);
        never_began.seen.image = another;
        assert!(matches!(never_began.says(wrong), Verdict::Do(Step::Replace, _)));
    }
}
