//! Containers that end though nobody asked for it.

use jiff::{SignedDuration, Timestamp};

use super::{Facts, Failing, Failure, LIMIT, Pause, Verdict};
use crate::domain::observed::{Container, ContainerStatus};
use crate::domain::service::{ErrorCode, Evidence, OperationPhase, Service};

/// After this long without an unasked end a service counts as stable again.
pub(super) const STABLE: SignedDuration = SignedDuration::from_secs(30);
/// Unasked ends that lie further apart than this are no loop.
const LOOP_WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// How long to leave a container alone that has ended `crashes` times: not at all after the first end, then growing to
/// five minutes.
pub(super) fn pause(crashes: u32) -> SignedDuration {
    match crashes {
        0 | 1 => SignedDuration::ZERO,
        n => SignedDuration::from_secs((1i64 << (n - 2).min(9)).min(300)),
    }
}

/// Takes note of a run that nobody asked to end; tells whether there is one that was not known of. What was ended by hand
/// is no crash: the engine brings back what ends by itself, and leaves what a person stopped or killed.
pub(super) fn note_end(service: &Service, container: &Container, evidence: &mut Evidence, now: Timestamp) -> bool {
    let ended = match container.status {
        ContainerStatus::Exited { .. } | ContainerStatus::Restarting { .. } => container.run.clone(),
        // It ended and was brought back before anybody looked.
        ContainerStatus::Running if evidence.ready_run.is_some() && evidence.ready_run != container.run => {
            evidence.ready_run.clone()
        }
        _ => None,
    };
    let Some(ended) = ended.filter(|run| Some(run) != evidence.ended_run.as_ref()) else { return false };
    // A run that is over is not compared with later ones any more: its end would be counted again.
    if evidence.ready_run.as_ref() == Some(&ended) {
        evidence.ready_run = None;
    }
    evidence.ended_run = Some(ended);
    let by_hand = container.restarts && matches!(container.status, ContainerStatus::Exited { .. });
    if by_hand
        || evidence.storage.halted
        || service.operation.as_ref().is_some_and(|operation| operation.phase == OperationPhase::Stopping)
    {
        return true;
    }
    let recent = evidence.crashed_at.is_some_and(|at| now.duration_since(at) < LOOP_WINDOW);
    evidence.crashes = if recent { evidence.crashes.saturating_add(1) } else { 1 };
    evidence.crashed_at = Some(now);
    true
}

/// It has ended more than once lately.
pub(super) fn looping(facts: &Facts<'_>) -> Verdict {
    let status = facts.container().map(|container| container.status);
    let Some(
        ContainerStatus::Exited { exit_code, out_of_memory } | ContainerStatus::Restarting { exit_code, out_of_memory },
    ) = status
    else {
        return Verdict::Pass;
    };
    let crashes = facts.evidence.crashes;
    let Some(resume) =
        facts.evidence.crashed_at.and_then(|at| Pause { from: at, until: at + pause(crashes) }.end(facts.now))
    else {
        return Verdict::Pass;
    };
    let why = "it ended more than once and is left alone for a while";
    if crashes < LIMIT {
        return Verdict::wait(Some(resume), why);
    }
    let failure = if out_of_memory {
        let memory = facts.service.wish.tier.memory_mib;
        let message = format!("The server inside was ended for want of memory; its tier has {memory} MiB.");
        Failure { code: ErrorCode::OutOfMemory, message }
    } else {
        let message = format!("The server inside ends again and again, the last time with exit code {exit_code}.");
        Failure { code: ErrorCode::CrashLoop, message }
    };
    Verdict::Fail(Failing { failure, until: Some(resume), then: None }, why)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, exited, run_id};
    use super::*;

    fn ended(crashes: u32, since: SignedDuration) -> Case {
        let mut case = Case::new().status(exited(1));
        case.service.evidence.crashes = crashes;
        case.service.evidence.crashed_at = Some(case.now - since);
        case
    }

    #[test]
    fn the_third_end_is_an_error_and_pauses_grow() {
        let at_once = SignedDuration::ZERO;
        assert_eq!(ended(1, at_once).says(looping), Verdict::Pass);
        assert!(matches!(ended(2, at_once).says(looping), Verdict::Wait(..)));
        let case = ended(3, at_once);
        let Verdict::Fail(failing, _) = case.says(looping) else { panic!("it is in error") };
        assert_eq!(failing.failure.code, ErrorCode::CrashLoop);
        assert_eq!(failing.until, Some(case.now + pause(3)));
        assert_eq!(ended(3, pause(3)).says(looping), Verdict::Pass, "it is tried again");
        assert!((1..40).all(|n| pause(n) <= pause(n + 1) && pause(n) <= SignedDuration::from_secs(300)));

        let mut case = ended(3, at_once);
        case.container().status = ContainerStatus::Exited { exit_code: 137, out_of_memory: true };
        let Verdict::Fail(failing, _) = case.says(looping) else { panic!("it is in error") };
        assert_eq!(failing.failure.code, ErrorCode::OutOfMemory);
    }

    #[test]
    fn an_end_counts_once_and_not_when_somebody_brought_it_about() {
        let note = |case: &mut Case| {
            let container = case.seen.container.clone().unwrap();
            let mut evidence = case.service.evidence.clone();
            let anew = note_end(&case.service, &container, &mut evidence, case.now);
            case.service.evidence = evidence;
            (anew, case.service.evidence.crashes)
        };
        assert_eq!(note(&mut Case::new()), (false, 0));
        let restarting = ContainerStatus::Restarting { exit_code: 1, out_of_memory: false };
        let mut case = Case::new().status(restarting);
        assert_eq!(note(&mut case), (true, 1));
        assert_eq!(note(&mut case), (false, 1));
        assert_eq!(note(&mut Case::new().status(exited(137))), (true, 0), "killed by hand");
        // It ended and was brought back before anybody looked.
        let mut case = Case::new();
        case.container().run = run_id("2");
        assert_eq!(note(&mut case), (true, 1));
    }
}
