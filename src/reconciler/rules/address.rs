//! Whether those who use the service can reach it.

use super::{Facts, Verdict};
use crate::domain::service::ErrorCode;
use crate::reconciler::steps::Step;

pub(super) fn disconnected(facts: &Facts<'_>) -> Verdict {
    let Some(container) = facts.running().filter(|container| !container.connected) else { return Verdict::Pass };
    match &container.run {
        Some(run) if !facts.evidence.initialised => {
            Verdict::Do(Step::Join(run.clone()), "it is ready but for its project's network")
        }
        _ => Verdict::Do(Step::Connect, "it is not on its project's network"),
    }
}

/// Somebody else has its port. While nobody knows the address yet it can be another one.
pub(super) fn taken(facts: &Facts<'_>) -> Verdict {
    let in_use = facts.attempts.last.as_ref().is_some_and(|failure| failure.code == ErrorCode::PortInUse);
    if in_use && !facts.evidence.initialised && facts.idle().is_some() {
        return Verdict::Do(Step::ChangePort, "its port is taken by something else");
    }
    Verdict::Pass
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::tests::{Case, exited};
    use super::*;
    use crate::domain::observed::PublishedPort;
    use crate::domain::service::Published;
    use crate::reconciler::rules::Failure;

    #[test]
    fn a_port_that_is_taken_is_changed_unless_somebody_may_know_it() {
        let mut case = Case::new().status(exited(128));
        assert_eq!(case.says(taken), Verdict::Pass);
        case.attempts.last = Some(Failure { code: ErrorCode::PortInUse, message: String::new() });
        assert_eq!(case.says(taken), Verdict::Pass, "it ran once");
        case.service.evidence.initialised = false;
        assert!(matches!(case.says(taken), Verdict::Do(Step::ChangePort, _)));
    }

    #[test]
    fn what_is_cut_off_is_connected() {
        let mut case = Case::new();
        assert_eq!(case.says(disconnected), Verdict::Pass);
        case.container().connected = false;
        assert!(matches!(case.says(disconnected), Verdict::Do(Step::Connect, _)));
    }

    #[test]
    fn what_was_ready_beforehand_is_asked_whether_it_answers_as_it_is_connected() {
        let mut case = Case::new();
        (case.container().connected, case.service.evidence.initialised) = (false, false);
        let run = case.container().run.clone().unwrap();
        assert!(matches!(case.says(disconnected), Verdict::Do(Step::Join(joined), _) if joined == run));
    }

    #[test]
    fn an_address_is_known_for_as_long_as_the_engine_says_that_it_is_published() {
        let mut case = Case::new();
        let meant = Published { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 20_000 };
        case.service.address.published = Some(meant);
        assert_eq!(case.plan().after.evidence.published, None);
        case.container().published = vec![PublishedPort { inside: 5432, outside: meant }];
        case.service = case.plan().after;
        assert_eq!(case.service.evidence.published, Some(meant));
        case.container().published = vec![PublishedPort { inside: 1, outside: meant }];
        assert_eq!(case.plan().after.evidence.published, None, "another port of the container");
        case.seen.container = None;
        assert_eq!(case.plan().after.evidence.published, None);
    }

    #[test]
    fn several_endpoints_are_published_one_behind_the_other_or_count_as_not_published() {
        let mut case = Case::new();
        let at = |port| Published { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port };
        let port = |inside, outside| PublishedPort { inside, outside: at(outside) };
        let container = case.container();
        container.published = vec![port(1, 20_000), port(1, 30_000), port(2, 20_001)];
        assert_eq!(container.published(&[1, 2], Some(at(30_000))), Some(at(20_000)));
        assert_eq!(container.published(&[1], Some(at(30_000))), Some(at(30_000)));
        assert_eq!(container.published(&[2, 1], None), None);
    }
}
