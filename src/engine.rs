//! What runs containers, in verbs that can each be tried again: a name or a label that is there already is adopted,
//! what is gone already is done. It decides nothing, and touches only what bears this installation's labels.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::catalog::deployment::{CredentialChange, Deployment};
use crate::domain::id::{ProjectId, ServiceId};
use crate::domain::live::{Holdings, LogLine, Usage};
use crate::domain::service::{ErrorCode, Observed, Service};

pub mod docker;
pub mod timed;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// Why a call to the engine came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nobody took the call: it did not happen.
    #[error("the engine is not reachable")]
    Unavailable(#[source] BoxError),
    /// The call was made and the answer is missing: it may have happened. Only a look can tell.
    #[error("the engine did not answer")]
    Unknown(#[source] BoxError),
    /// The engine said no: it did not happen. The message is for people and holds no secret.
    #[error("the engine refused: {message}")]
    Refused { code: ErrorCode, message: String },
}

/// What waiting for a server to answer came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It answered its health check.
    Ready,
    /// The container ended, or the check gave up.
    NotReady,
}

/// A thing that bears this installation's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    pub what: OwnedThing,
    pub name: String,
    /// None where the engine does not tell.
    pub created_at: Option<Timestamp>,
}

/// What it is, and what its labels say that it is for; None where they don't say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedThing {
    Container(Option<ServiceId>),
    Volume(Option<ServiceId>),
    Network(Option<ProjectId>),
}

/// Tells what containers say and take. A stream ends when the container stops, and is an error where there is none.
#[async_trait]
pub trait Instruments: Send + Sync {
    /// The container's output: the last `tail` lines, of those the ones since `since`, and then what comes.
    async fn follow_logs(
        &self,
        service: ServiceId,
        tail: u32,
        since: Option<Timestamp>,
    ) -> Result<BoxStream<'static, Result<LogLine>>>;

    /// What it takes of CPU and memory, about once a second.
    async fn usage(&self, service: ServiceId) -> Result<BoxStream<'static, Result<Usage>>>;

    /// What is in `path` of its file system, and how many clients are connected to `port`.
    async fn holdings(&self, service: ServiceId, path: &str, port: u16) -> Result<Holdings>;
}

/// An engine that runs containers.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Answers when the engine does.
    async fn ping(&self) -> Result<()>;

    /// Looks at a service's container and volume, and at `image` where there is no container.
    async fn inspect(&self, service: ServiceId, image: &str) -> Result<Observed>;

    /// Pulls `image` unless it is there; tells the progress in percent.
    async fn ensure_image(&self, image: &str, progress: watch::Sender<Option<u8>>) -> Result<()>;

    /// Makes the project's network and the service's volume unless they are there.
    async fn ensure_storage(&self, service: &Service) -> Result<()>;

    /// Makes the service's container unless it is there; does not start it.
    async fn ensure_container(&self, service: &Service, deployment: &Deployment) -> Result<()>;

    /// Puts the deployment's files in place and starts the container, or lets it go on if it is paused. From now on
    /// the engine brings it back by itself.
    async fn ensure_started(&self, service: &Service, deployment: &Deployment) -> Result<()>;

    /// Attaches the container to its project's network, which is made anew if it is gone.
    async fn ensure_connected(&self, service: &Service) -> Result<()>;

    /// Waits until the server in the running container answers `check`. May take long; can be dropped at any time.
    /// With a `hint`, `check` begins when the container's output has it, or a few seconds later: until then it would only
    /// take CPU time from what it waits for.
    async fn await_ready(&self, service: ServiceId, check: &[String], hint: Option<&str>) -> Result<Readiness>;

    /// Has the server in the running container take the passwords of `change`, and no others.
    async fn ensure_credentials(&self, service: ServiceId, change: &CredentialChange) -> Result<()>;

    /// Shuts the container down, killing it after `grace`. The engine does not bring it back any more.
    async fn ensure_stopped(&self, service: ServiceId, grace: Duration) -> Result<()>;

    /// Removes the service's container with its anonymous volumes, and its volume with all data.
    async fn ensure_removed(&self, service: ServiceId) -> Result<()>;

    /// Removes the project's network if this installation made it and nothing is attached to it.
    async fn ensure_network_removed(&self, project: &ProjectId) -> Result<()>;

    /// Everything that bears this installation's labels.
    async fn list_owned(&self) -> Result<Vec<Owned>>;

    /// The name of the network that a project's services are attached to.
    fn network_name(&self, project: &ProjectId) -> String;

    /// Removes one of the things that `list_owned` tells of; not a network that something is attached to.
    async fn ensure_orphan_removed(&self, orphan: &Owned) -> Result<()>;

    /// The services whose containers something happens to, as it happens. The stream ends when the connection does;
    /// what happened before it began or after it ended is not in it.
    async fn watch(&self) -> Result<BoxStream<'static, ServiceId>>;

    /// The last `lines` lines of the container's output.
    async fn logs(&self, service: ServiceId, lines: usize) -> Result<Vec<String>>;
}
