//! Whether it has room for what is written, by what was measured of it.

use super::{Facts, Failing, Failure, Verdict};
use crate::catalog::definition;
use crate::domain::observed::ContainerStatus;
use crate::domain::service::{ErrorCode, RunId};
use crate::domain::storage::Full;
use crate::reconciler::steps::Step;

/// It took much more than its size is meant for, though it was told to take nothing any more.
pub(super) fn halted(facts: &Facts<'_>) -> Verdict {
    if !facts.evidence.storage.is_stopped(facts.now) {
        return Verdict::Pass;
    }
    let up = facts.container().is_some_and(|container| {
        let status = container.status;
        matches!(status, ContainerStatus::Running | ContainerStatus::Restarting { .. } | ContainerStatus::Paused)
    });
    let message =
        "It went on growing with its storage full, and was stopped; its data is kept. A start lets it run for ten \
        minutes, to be cleaned up; a larger size makes room where its volume can grow."
            .to_owned();
    let failure = Failure { code: ErrorCode::StorageFull, message };
    Verdict::Fail(Failing { failure, until: None, then: up.then_some(Step::Stop) }, "it is overfull")
}

/// What is shown while it runs and takes no more writes.
pub(super) fn shown(facts: &Facts<'_>) -> Option<Failure> {
    let size = facts.service.storage_limit_mib();
    let message = match facts.evidence.storage.full? {
        Full::Size => {
            format!("It holds the {size} MiB that its size has, and takes no more writes until there is room.")
        }
        Full::Host | Full::Unknown => {
            "Its host has too little space left. It was growing, and takes no more writes until there is room."
                .to_owned()
        }
    };
    Some(Failure { code: ErrorCode::StorageFull, message })
}

/// Its volume has a limit of its own, which is that of a smaller size.
pub(super) fn cramped(facts: &Facts<'_>) -> Verdict {
    let storage = &facts.evidence.storage;
    let waits = |run: &Option<RunId>| run.is_some() && *run == storage.grows_after;
    match facts.running() {
        Some(container) if storage.is_cramped(facts.service.wish.tier.storage_mib) && !waits(&container.run) => {
            Verdict::Do(Step::GrowStorage, "its volume is for a smaller size")
        }
        _ => Verdict::Pass,
    }
}

/// Whether its volume has to be at rest to become as large as it is to be.
pub(super) fn grows_at_rest(facts: &Facts<'_>) -> bool {
    let storage = &facts.evidence.storage;
    let run = facts.running().and_then(|container| container.run.as_ref());
    run.is_some() && run == storage.grows_after.as_ref() && storage.is_cramped(facts.service.wish.tier.storage_mib)
}

/// The server inside takes writes though it is full, or takes none though it has room.
pub(super) fn writes(facts: &Facts<'_>) -> Verdict {
    let storage = &facts.evidence.storage;
    let able =
        definition(facts.service.wish.kind).offer.as_ref().is_some_and(|offer| offer.can.storage_guard.is_some());
    let Some(container) = facts.running().filter(|_| able) else { return Verdict::Pass };
    let taken = storage.closed.as_ref().is_some_and(|closed| closed.run.is_some() && closed.run == container.run);
    match (storage.full, &storage.closed) {
        (Some(_), _) if !taken => Verdict::Do(Step::ForbidWrites, "its storage is full"),
        (None, Some(_)) => Verdict::Do(Step::AllowWrites, "its storage has room again"),
        _ => Verdict::Pass,
    }
}

/// It is being cleaned up, for a while.
pub(super) fn cleaned_up(facts: &Facts<'_>) -> Verdict {
    match facts.evidence.storage.cleanup {
        Some(cleanup) => Verdict::wait(Some(cleanup.until), "it may be cleaned up until then"),
        None => Verdict::Pass,
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::super::tests::{Case, exited, run_id};
    use super::*;
    use crate::domain::service::{OperationKind, OperationPhase, ServiceState};
    use crate::domain::storage::{Closed, Storage};

    fn full() -> Storage {
        Storage { used_mib: Some(1024), full: Some(Full::Size), ..Storage::default() }
    }

    fn code(case: &Case) -> Option<ErrorCode> {
        case.plan().after.error.map(|error| error.code)
    }

    #[test]
    fn what_is_full_runs_on_and_is_told_to_take_no_more_once_a_run() {
        let mut case = Case::new();
        case.service.evidence.storage = full();
        let plan = case.plan();
        assert_eq!(plan.step, Some(Step::ForbidWrites));
        assert_eq!((plan.after.state, code(&case)), (ServiceState::Running, Some(ErrorCode::StorageFull)));
        // Noted before, for one that is killed on the way may have told it.
        assert_eq!(plan.after.evidence.storage.closed, Some(Closed { run: None, at_mib: 1024 }));
        case.service.evidence.storage.closed = Some(Closed { run: run_id("1"), at_mib: 1024 });
        assert_eq!((case.plan().step, code(&case)), (None, Some(ErrorCode::StorageFull)));
        case.service.evidence.storage.closed = Some(Closed { run: run_id("0"), at_mib: 1024 });
        assert_eq!(case.plan().step, Some(Step::ForbidWrites), "it was started anew");
    }

    #[test]
    fn a_volume_that_is_too_small_grows_or_waits_for_the_next_start() {
        let mut case = Case::new();
        let size = u64::from(case.service.wish.tier.storage_mib);
        case.service.evidence.storage.own_mib = Some(size * 6 / 5);
        assert_eq!(case.plan().step, None);
        case.service.evidence.storage.own_mib = Some(size / 2);
        assert_eq!(case.plan().step, Some(Step::GrowStorage));
        case.service.evidence.storage.grows_after = run_id("1");
        assert_eq!((case.plan().step, case.plan().after.state), (None, ServiceState::Running));
        let asked = case.operation(OperationKind::Resize, OperationPhase::Queued);
        assert_eq!(asked.plan().step, Some(Step::Stop), "it was to be done at once");
        let mut started = asked;
        started.service.evidence.storage.grows_after = run_id("0");
        assert_eq!(started.plan().step, Some(Step::GrowStorage), "it may not have grown then");
    }

    #[test]
    fn what_may_have_been_told_is_told_otherwise_once_there_is_room() {
        for run in [None, run_id("1"), run_id("0")] {
            let mut case = Case::new();
            case.service.evidence.storage.closed = Some(Closed { run, at_mib: 1024 });
            assert_eq!((case.plan().step, code(&case)), (Some(Step::AllowWrites), None));
        }
    }

    #[test]
    fn what_is_overfull_is_stopped_and_stays_so_until_somebody_starts_it_to_clean_up() {
        let mut case = Case::new();
        case.service.evidence.storage = Storage { halted: true, used_mib: Some(1150), ..full() };
        let plan = case.plan();
        assert_eq!(
            (plan.step, plan.after.state, code(&case)),
            (Some(Step::Stop), ServiceState::Error, Some(ErrorCode::StorageFull))
        );
        let mut case = case.status(exited(0));
        case.container().restarts = false;
        case.service = case.plan().after;
        let plan = case.plan();
        assert_eq!((plan.step, plan.after.state, plan.after.evidence.crashes), (None, ServiceState::Error, 0));

        case.service.evidence.storage = case.service.evidence.storage.opened(1024, case.now);
        let mut case = case.operation(OperationKind::Start, OperationPhase::Queued);
        assert_eq!(case.plan().step, Some(Step::Start));
        case = case.status(ContainerStatus::Running);
        case.container().restarts = true;
        case.service.evidence.ready_run = run_id("1");
        case.service.evidence.storage.closed = Some(Closed { run: run_id("1"), at_mib: 1150 });
        let plan = case.plan();
        let until = case.service.evidence.storage.cleanup.unwrap().until;
        assert_eq!((plan.step, plan.after.state, plan.again), (None, ServiceState::Running, Some(until)));
        assert_eq!(until, case.now + SignedDuration::from_mins(10));
        case.now = until;
        assert_eq!(case.plan().step, Some(Step::Stop));
    }
}
