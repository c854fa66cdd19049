//! What the reconciler can do about a service.

use crate::domain::service::RunId;

/// One step, to be followed by another look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    PullImage,
    CreateStorage,
    CreateContainer,
    Start,
    /// Attach it to its project's network.
    Connect,
    AwaitReady(RunId),
    /// Have the server inside take the password to be.
    RotateCredentials,
    Stop,
    Remove,
}

impl Action {
    /// What it is called in logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PullImage => "PULL_IMAGE",
            Self::CreateStorage => "CREATE_STORAGE",
            Self::CreateContainer => "CREATE_CONTAINER",
            Self::Start => "START",
            Self::Connect => "CONNECT",
            Self::AwaitReady(_) => "AWAIT_READY",
            Self::Stop => "STOP",
            Self::Remove => "REMOVE",
            Self::RotateCredentials => "ROTATE_CREDENTIALS",
        }
    }

    /// Whether it may be tried while the note of it is still being stored. The store refuses the note of a reconciler whose
    /// term is over, and so keeps it from making what another one has removed, or ending what another one has made. A start
    /// of what is gone fails by itself, and a wait changes nothing; that they are late would be seen by whoever waits.
    pub fn may_precede_its_note(&self) -> bool {
        matches!(self, Self::Start | Self::AwaitReady(_))
    }
}
