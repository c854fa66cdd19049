//! Why an upgrade does not go on.

use crate::engine::EngineError;
use crate::reconciler::execute::{Done, failure};
use crate::store::StoreError;

/// Why an upgrade does not go on.
pub(super) enum Halt {
    /// Something else is wanted, or the engine does not answer.
    Left,
    Failed(String),
    /// It would fail again.
    Refused(String),
    Store(StoreError),
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
