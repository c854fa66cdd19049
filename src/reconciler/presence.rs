//! Whether the engine answers. One asks for all: while it is away nobody else does, and a look goes by this.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::rules::{Failure, SILENCE};

/// An engine that does not answer.
#[derive(Debug)]
pub(super) struct Away {
    /// When the first question was put that it left unanswered.
    pub since: Timestamp,
    pub failure: Failure,
}

#[derive(Default)]
pub(super) struct Presence(watch::Sender<Option<Arc<Away>>>);

impl Presence {
    /// None where it answers, as far as is known.
    pub(super) fn away(&self) -> Option<Arc<Away>> {
        self.0.borrow().clone()
    }

    pub(super) fn is_away(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Notes that it left unanswered what it was asked at `since`; tells whether that is news.
    pub(super) fn lost(&self, since: Timestamp, failure: Failure) -> bool {
        self.0.send_if_modified(|away| {
            let is_new = away.is_none();
            away.get_or_insert_with(|| Arc::new(Away { since, failure }));
            is_new
        })
    }

    /// Notes that it answers.
    pub(super) fn found(&self) {
        self.0.send_if_modified(|away| away.take().is_some());
    }

    /// Returns once it answers, as far as is known.
    pub(super) async fn there(&self) {
        // The sender lives as long as this.
        let _ = self.0.subscribe().wait_for(Option::is_none).await;
    }
}

impl Away {
    /// When it will have been away for so long that what was RUNNING does not count as known; None where it has. Where the
    /// clock was put back since, it has.
    pub(super) fn counts_at(&self, now: Timestamp) -> Option<Timestamp> {
        let at = self.since.checked_add(SILENCE).unwrap_or(Timestamp::MAX);
        (self.since <= now && now < at).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::domain::service::ErrorCode;

    #[test]
    fn it_is_away_since_the_first_question_that_it_left_unanswered() {
        let presence = Presence::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let failure = || Failure { code: ErrorCode::EngineUnavailable, message: String::new() };
        assert_eq!(presence.there().now_or_never(), Some(()));
        assert!(presence.lost(at(100), failure()));
        assert!(!presence.lost(at(105), failure()));
        assert_eq!(presence.there().now_or_never(), None);
        let away = presence.away().unwrap();
        assert_eq!(away.counts_at(at(105)), Some(at(110)));
        assert_eq!((away.counts_at(at(110)), away.counts_at(at(99))), (None, None));
        presence.found();
        assert!(!presence.is_away());
        assert_eq!(presence.there().now_or_never(), Some(()));
    }
}
