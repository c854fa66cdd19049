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
    use crate::domain::service::{Published, PublishedPort};
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn what_is_cut_off_is_connected() {
        let mut case = Case::new();
        assert_eq!(case.says(disconnected), Verdict::Pass);
        case.container().connected = false;
        assert!(matches!(case.says(disconnected), Verdict::Do(Step::Connect, _)));
    }

    #[test]
    fn an_address_is_known_for_as_long_as_the_engine_says_that_it_is_published() {
        let mut case = Case::new();
        let meant = Published { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 20_000 };
        case.service.spec.published = Some(meant);
        assert_eq!(case.plan().after.evidence.published, None);
        case.container().published = vec![PublishedPort { inside: 5432, outside: meant }];
        case.service = case.plan().after;
        assert_eq!(case.service.evidence.published, Some(meant));
        case.container().published = vec![PublishedPort { inside: 1, outside: meant }];
        assert_eq!(case.plan().after.evidence.published, None, "another port of the container");
        case.seen.container = None;
        assert_eq!(case.plan().after.evidence.published, None);
    }
}
