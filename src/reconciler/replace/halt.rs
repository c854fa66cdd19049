//! Why another instance does not take the place of the one that runs a service.

use crate::engine::EngineError;
use crate::reconciler::execute::{Done, failure};
use crate::store::StoreError;

/// Why another instance does not take the place of the one that runs a service.
pub(in crate::reconciler) enum Halt {
    /// Something else is wanted, or the engine does not answer.
    Left,
    Failed(String),
    /// It would fail again.
    Refused(String),
    Store(StoreError),
}

impl Halt {
    /// What a try failed of, if it did, and whether it would fail again.
    pub(in crate::reconciler) fn told(self) -> Option<(String, bool)> {
        match self {
            Self::Failed(why) => Some((why, false)),
            Self::Refused(why) => Some((why, true)),
            Self::Left | Self::Store(_) => None,
        }
    }
}

impl From<EngineError> for Halt {
    fn from(error: EngineError) -> Self {
        Self::Failed(failure(&error).message)
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stale => Self::Left,
            error => Self::Store(error),
        }
    }
}

impl From<Done> for Halt {
    fn from(done: Done) -> Self {
        match done {
            Done::Failed(failure) | Done::Noted(failure) => Self::Failed(failure.message),
            Done::StoreFailed(error) => error.into(),
            Done::Tried | Done::Ready(_) | Done::Finished(_) => Self::Left,
        }
    }
}
