//! Whether the server inside answers.

use super::crash::{STABLE, pause};
use super::{Facts, LIMIT, Pause, SOON, Verdict};
use crate::catalog::deployment::UNHEALTHY_AFTER;
use crate::domain::observed::{Container, Health};
use crate::domain::service::{ErrorCode, ServiceState};
use crate::reconciler::steps::Step;

/// The more often it has ended, the longer it has to run before that counts.
pub(super) fn unstable(facts: &Facts<'_>) -> Verdict {
    let loops = facts.evidence.crashes >= LIMIT && facts.service.state == ServiceState::Error;
    let trial = STABLE.max(pause(facts.evidence.crashes));
    let stable_at = facts.evidence.crashed_at.and_then(|at| Pause { from: at, until: at + trial }.end(facts.now));
    match (facts.running(), stable_at) {
        (Some(container), Some(at)) if loops && answers(facts, container) => {
            Verdict::wait(Some(at), "it runs, but may end again")
        }
        _ => Verdict::Pass,
    }
}

/// It answered in this run, and does not any more.
pub(super) fn silent(facts: &Facts<'_>) -> Verdict {
    match facts.running() {
        Some(container) if answered(facts, container) && !answers(facts, container) => Verdict::fail(
            ErrorCode::Unhealthy,
            "The container runs, but the server inside does not answer its health check.",
            "it runs and does not answer",
        ),
        _ => Verdict::Pass,
    }
}

/// It has not answered in this run yet.
pub(super) fn waiting(facts: &Facts<'_>) -> Verdict {
    let Some(container) = facts.running().filter(|container| !answers(facts, container)) else { return Verdict::Pass };
    match &container.run {
        // The engine's own health check will tell. It may be of another run than the one that was given up.
        _ if facts.settled_error() == Some(ErrorCode::StartTimeout) && facts.service.state == ServiceState::Error => {
            Verdict::wait(Some(facts.now + SOON * 5), "it runs and has not answered yet")
        }
        None => Verdict::wait(facts.soon(), "its container has just been started"),
        Some(run) => Verdict::Do(Step::AwaitReady(run.clone()), "it has not answered yet"),
    }
}

fn answered(facts: &Facts<'_>, container: &Container) -> bool {
    container.run.is_some() && container.run == facts.evidence.ready_run
}

fn answers(facts: &Facts<'_>, container: &Container) -> bool {
    match container.health {
        Health::Healthy => true,
        // Nobody has asked it since this process began: then what was known before that holds.
        Health::Starting => answered(facts, container) && facts.settled_error() != Some(ErrorCode::Unhealthy),
        Health::Unhealthy => answered(facts, container) && is_excused(facts, container),
    }
}

/// The engine's verdict is older than the answer: too few of its checks have failed since.
fn is_excused(facts: &Facts<'_>, container: &Container) -> bool {
    let since = container.failed_checks.checked_sub(facts.evidence.excused_checks);
    since.is_some_and(|failed| failed < UNHEALTHY_AFTER)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::super::tests::{Case, run_id};
    use super::*;
    use crate::domain::service::ServiceError;

    #[test]
    fn it_runs_only_once_it_has_answered_in_this_run() {
        for (run, health, passes, fails) in [
            ("1", Health::Healthy, true, false),
            ("1", Health::Starting, true, false),
            ("1", Health::Unhealthy, false, true),
            ("2", Health::Healthy, true, false),
            ("2", Health::Starting, false, false),
            ("2", Health::Unhealthy, false, false),
        ] {
            let mut case = Case::new();
            (case.container().run, case.container().health) = (run_id(run), health);
            case.container().failed_checks = if health == Health::Unhealthy { UNHEALTHY_AFTER } else { 0 };
            let verdicts = (case.says(silent), case.says(waiting));
            assert_eq!(matches!(verdicts.0, Verdict::Fail(..)), fails, "{run} {health:?}");
            assert_eq!(verdicts.0 == Verdict::Pass && verdicts.1 == Verdict::Pass, passes, "{run} {health:?}");
        }
    }

    #[test]
    fn an_answer_outweighs_what_the_engine_found_before_it() {
        let mut case = Case::fresh();
        case.seen = Case::new().seen;
        (case.container().health, case.container().failed_checks) = (Health::Unhealthy, 5);
        case.attempts.answered = run_id("1");
        let mut look = |failed_checks, health| {
            (case.container().health, case.container().failed_checks) = (health, failed_checks);
            case.service = case.plan().after;
            case.attempts.answered = None;
            case.service.state
        };
        assert_eq!(look(5, Health::Unhealthy), ServiceState::Running);
        assert_eq!(look(6, Health::Unhealthy), ServiceState::Running, "it may have begun before the answer");
        assert_eq!(look(7, Health::Unhealthy), ServiceState::Error);
        assert_eq!(look(0, Health::Healthy), ServiceState::Running);
        assert_eq!(look(5, Health::Unhealthy), ServiceState::Error, "nothing is excused twice");
    }

    #[test]
    fn what_took_too_long_is_left_to_the_engine_s_health_check() {
        let mut case = Case::new();
        (case.container().run, case.container().health) = (run_id("2"), Health::Starting);
        assert!(matches!(case.says(waiting), Verdict::Do(Step::AwaitReady(_), _)));
        case.service.state = ServiceState::Error;
        let code = ErrorCode::StartTimeout;
        case.service.error = Some(ServiceError { code, message: String::new(), occurred_at: case.now });
        assert!(matches!(case.says(waiting), Verdict::Wait(..)));
    }

    #[test]
    fn what_has_looped_has_to_run_for_a_while() {
        let mut case = Case::new();
        case.service.evidence.crashes = LIMIT;
        case.service.evidence.crashed_at = Some(case.now - SignedDuration::from_secs(1));
        assert_eq!(case.says(unstable), Verdict::Pass);
        case.service.state = ServiceState::Error;
        assert!(matches!(case.says(unstable), Verdict::Wait(..)));
        case.now += STABLE;
        assert_eq!(case.says(unstable), Verdict::Pass);
    }
}
