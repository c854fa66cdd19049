//! Why a backup could not be seen to.

use crate::domain::backup::{BackupErrorCode, TRIES};
use crate::engine::EngineError;
use crate::reconciler::execute::{Done, failure};
use crate::store::StoreError;

/// Why a backup could not be seen to.
#[derive(Debug)]
pub(in crate::reconciler) enum Trouble {
    /// Something else is wanted by now.
    Left,
    Store(StoreError),
    /// It is tried so many times in all.
    Failed {
        code: BackupErrorCode,
        message: String,
        tries: u32,
    },
}

impl Trouble {
    /// One that would come again.
    pub(in crate::reconciler) fn lasting(code: BackupErrorCode, message: impl Into<String>) -> Self {
        Self::Failed { code, message: message.into(), tries: 1 }
    }

    /// One that may pass.
    pub(in crate::reconciler) fn passing(code: BackupErrorCode, message: impl Into<String>) -> Self {
        Self::Failed { code, message: message.into(), tries: TRIES }
    }

    /// What it is called in metrics.
    pub(in crate::reconciler) fn outcome(&self) -> &'static str {
        match self {
            Self::Left => "LEFT",
            Self::Store(_) => "UNAVAILABLE",
            Self::Failed { code, .. } => code.as_str(),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        Self::passing(BackupErrorCode::EngineUnavailable, failure(&error).message)
    }
}

impl From<Done> for Trouble {
    fn from(done: Done) -> Self {
        match done {
            Done::Failed(failure) | Done::Noted(failure) => Self::lasting(BackupErrorCode::KeyMissing, failure.message),
            Done::StoreFailed(error) => Self::Store(error),
            Done::Tried | Done::Ready(_) | Done::Finished(_) => Self::Left,
        }
    }
}
