//! The volume: data that was there once is never replaced by an empty volume.

use super::{Facts, Failing, Verdict};
use crate::catalog::deployment::DATA_GONE;
use crate::domain::observed::{ContainerStatus, Volume};
use crate::domain::service::ErrorCode;
use crate::reconciler::steps::Step;

const LOST: &str = "The volume with the service's data is gone. It is not replaced by an empty one.";

/// A full disk or an engine that is killed can leave a volume without labels behind. Nobody has used it yet.
pub(super) fn half_made(facts: &Facts<'_>) -> Verdict {
    if facts.seen.volume == Volume::Stray && !facts.service.evidence.initialised {
        return Verdict::Do(Step::Discard, "its volume was made without labels");
    }
    Verdict::Pass
}

pub(super) fn lost(facts: &Facts<'_>) -> Verdict {
    if facts.service.evidence.initialised && facts.seen.volume != Volume::Ours && facts.running().is_none() {
        return Verdict::fail(ErrorCode::VolumeLost, LOST, "its volume is gone");
    }
    Verdict::Pass
}

/// The volume is there, and what was in it is not. The engine must not try it again and again.
pub(super) fn emptied(facts: &Facts<'_>) -> Verdict {
    let Some(container) = facts.idle() else { return Verdict::Pass };
    // How it ended tells nothing any more once it was stopped for it.
    let known = facts.settled_error() == Some(ErrorCode::VolumeLost);
    // With an operation under way the end is an old one: its user has it tried again.
    let told = ends_with(container.status, DATA_GONE) && (facts.ended_anew || facts.service.operation.is_none());
    if !known && !told {
        return Verdict::Pass;
    }
    let Verdict::Fail(failing, why) = Verdict::fail(ErrorCode::VolumeLost, LOST, "its data is gone") else {
        return Verdict::Pass;
    };
    Verdict::Fail(Failing { then: container.restarts.then_some(Step::Stop), ..failing }, why)
}

fn ends_with(status: ContainerStatus, code: i64) -> bool {
    matches!(status, ContainerStatus::Exited { exit_code, .. } | ContainerStatus::Restarting { exit_code, .. }
        if exit_code == code)
}

pub(super) fn foreign(facts: &Facts<'_>) -> Verdict {
    if facts.running().is_some() || !matches!(facts.seen.volume, Volume::Stray | Volume::Foreign) {
        return Verdict::Pass;
    }
    let message = format!("A volume named {} exists that this installation did not make.", facts.service.id);
    Verdict::fail(ErrorCode::NameTaken, message, "its volume is somebody else's")
}

/// Also where there is a container: the engine would make an empty one without our labels by itself.
pub(super) fn absent(facts: &Facts<'_>) -> Verdict {
    if facts.running().is_none() && facts.seen.volume == Volume::Absent {
        return Verdict::Do(Step::CreateStorage, "its volume is not there yet");
    }
    Verdict::Pass
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, exited};
    use super::*;

    #[test]
    fn a_volume_that_held_data_is_never_made_anew() {
        for (volume, initialised, status, fails) in [
            (Volume::Absent, true, exited(0), true),
            (Volume::Stray, true, exited(0), true),
            (Volume::Foreign, true, exited(0), true),
            (Volume::Ours, true, exited(0), false),
            (Volume::Absent, false, exited(0), false),
            (Volume::Absent, true, ContainerStatus::Running, false),
        ] {
            let mut case = Case::new().status(status);
            (case.seen.volume, case.service.evidence.initialised) = (volume, initialised);
            let verdict = case.says(lost);
            assert_eq!(matches!(verdict, Verdict::Fail(..)), fails, "{volume:?} {initialised} {status:?}: {verdict:?}");
        }
    }

    #[test]
    fn data_that_is_gone_is_told_once_and_the_engine_leaves_it_alone() {
        let mut case = Case::new().status(exited(DATA_GONE));
        let Verdict::Fail(failing, _) = case.says(emptied) else { panic!("it is in error") };
        assert_eq!((failing.failure.code, failing.then), (ErrorCode::VolumeLost, Some(Step::Stop)));
        case.container().restarts = false;
        let Verdict::Fail(failing, _) = case.says(emptied) else { panic!("it is in error") };
        assert_eq!(failing.then, None);
        case.service.operation = Case::fresh().service.operation;
        assert_eq!(case.says(emptied), Verdict::Pass, "its user has it tried again");
        case.ended_anew = true;
        assert!(matches!(case.says(emptied), Verdict::Fail(..)));
    }

    #[test]
    fn a_volume_of_somebody_else_is_not_used_and_one_that_nobody_used_is_discarded() {
        let mut case = Case::fresh();
        for (volume, rule, expected) in [
            (Volume::Stray, half_made as super::super::Rule, true),
            (Volume::Foreign, half_made, false),
            (Volume::Foreign, foreign, true),
            (Volume::Ours, foreign, false),
            (Volume::Absent, absent, true),
            (Volume::Ours, absent, false),
        ] {
            case.seen.volume = volume;
            assert_eq!(case.says(rule) != Verdict::Pass, expected, "{volume:?}");
        }
    }
}
