//! What runs containers, in verbs about instances that can each be tried again: a name or a label that is there already
//! is adopted, what is gone already is done. It decides nothing, knows no service, and touches only what bears this
//! installation's labels.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::catalog::deployment::{Check, Deployment};
use crate::catalog::inquiry::{Answer, Inquiry};
use crate::domain::id::{InstanceId, ProjectId};
use crate::domain::image::Image;
use crate::domain::limits::Limits;
use crate::domain::live::{Holdings, LogLine, Reading, Usage};
use crate::domain::observed::Observed;
use crate::domain::service::ErrorCode;
use crate::domain::storage::Fill;

pub mod absent;
pub mod command;
pub mod docker;
pub mod fleet;
pub mod survey;
pub mod thing;
pub mod timed;

pub use command::{Command, Ended, Flow};
pub use fleet::{Fleet, Node};
pub use survey::Survey;
pub use thing::{Owned, OwnedThing, Target, Thing};

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

/// Tells what containers say and take, and what the servers inside answer. A stream ends when the container stops, and is an error where there is none.
#[async_trait]
pub trait Instruments: Send + Sync {
    /// The container's output: the last `tail` lines, of those the ones since `since`, and then what comes.
    async fn follow_logs(
        &self,
        instance: InstanceId,
        tail: u32,
        since: Option<Timestamp>,
    ) -> Result<BoxStream<'static, Result<LogLine>>>;

    /// What it takes of CPU and memory, about once a second.
    async fn usage(&self, instance: InstanceId) -> Result<BoxStream<'static, Result<Usage>>>;

    /// What it has taken of CPU and memory up to now.
    async fn read(&self, instance: InstanceId) -> Result<Reading>;

    /// What is in `path` of its file system, and how many clients are connected to `port`.
    async fn holdings(&self, instance: InstanceId, path: &str, port: u16) -> Result<Holdings>;

    /// What measures, whenever it is asked, how full `path` of its file system is. It is a process in the container, which ends
    /// when this is dropped.
    async fn gauge(&self, instance: InstanceId, path: &str) -> Result<Box<dyn Gauge>>;

    /// What asks the server inside by `check`, whenever it is asked itself, whether it answers. It is a process in the container
    /// as well.
    async fn probe(&self, instance: InstanceId, check: &Check) -> Result<Box<dyn Probe>>;

    /// Puts a question to the server inside, by a command in the running container. If this is dropped, the command runs on
    /// until its limit.
    async fn ask(&self, instance: InstanceId, inquiry: Inquiry) -> Result<Answer>;

    /// The same of an answer of any length, whose pieces `output` takes; whoever reads slowly has the command wait. Gives what is
    /// kept of what it said besides.
    async fn listen(&self, instance: InstanceId, inquiry: Inquiry, output: mpsc::Sender<Bytes>) -> Result<Ended>;
}

/// Measures how full a volume is, without a new process of the engine's each time. One that has failed is of no more use.
#[async_trait]
pub trait Gauge: Send {
    async fn fill(&mut self) -> Result<Fill>;
}

/// Tells whether a server answers, likewise.
#[async_trait]
pub trait Probe: Send {
    async fn answers(&mut self) -> Result<bool>;
}

/// What an event of the engine concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    To(InstanceId),
    /// The engine does not say to whom: it may be any.
    ToSome,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub version: String,
    /// Of its host, in MiB.
    pub memory_mib: u64,
    /// The Docker Swarm that it is part of; None where it is part of none.
    pub swarm: Option<Membership>,
}

/// An engine's part in a Docker Swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Of the swarm; only managers tell it.
    pub cluster: Option<String>,
    pub is_manager: bool,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// Where nothing bears its name.
    Absent,
    /// In any case: the name may mean another one by now.
    Always,
}

/// What came of a volume that was to grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grown {
    /// It has room for so much, in MiB.
    To(u64),
    /// It grows when its container is started next.
    AtStart,
}

/// An engine that runs containers.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Answers when the engine does.
    async fn ping(&self) -> Result<()>;

    /// What it is, and what it is part of.
    async fn describe(&self) -> Result<Description>;

    /// Looks at an instance's container and volume, and at `image`, a name or an engine's id, where no container runs.
    async fn look(&self, instance: InstanceId, image: &str) -> Result<Observed>;

    /// Pulls the image of a name; tells the progress in percent. Gives what bears the name then.
    async fn pull(&self, image: &str, when: Pull, progress: watch::Sender<Option<u8>>) -> Result<Image>;

    /// Makes `thing` unless it is there.
    async fn ensure(&self, thing: &Thing) -> Result<()>;

    /// Puts the deployment's files in place and starts the container, or lets it go on if it is paused. From now on
    /// the engine brings it back by itself.
    async fn start(&self, instance: InstanceId, deployment: &Deployment) -> Result<()>;

    /// Shuts the container down, killing it after `grace`. The engine does not bring it back any more.
    async fn stop(&self, instance: InstanceId, grace: Duration) -> Result<()>;

    /// Gives a container these limits, whether or not it runs. Fails where the engine does not take them.
    async fn adjust(&self, instance: InstanceId, limits: &Limits) -> Result<()>;

    /// Gives a volume that has a limit of its own that of a larger size, of `storage_mib`, while it is in use.
    async fn grow(&self, instance: InstanceId, storage_mib: u32) -> Result<Grown>;

    /// Removes `target`, if it is there.
    async fn remove(&self, target: &Target) -> Result<()>;

    /// Runs a command in the running container to its end. If this is dropped, it runs on.
    async fn run(&self, instance: InstanceId, command: &Command) -> Result<Ended>;

    /// The same with data that flows in or out meanwhile, as much as there is. What the command's standard error says is kept. If
    /// this is dropped, the command runs on until its limit.
    async fn pump(&self, instance: InstanceId, command: &Command, flow: Flow) -> Result<Ended>;

    /// Returns once the container's output has `text` in it, or ends.
    async fn await_output(&self, instance: InstanceId, text: &str) -> Result<()>;

    /// The last `lines` lines of the container's output.
    async fn logs(&self, instance: InstanceId, lines: usize) -> Result<Vec<String>>;

    /// What happens on the engine that may concern our instances, as it happens. The stream ends when the connection does;
    /// what happened before it began or after it ended is not in it.
    async fn watch(&self) -> Result<BoxStream<'static, Happening>>;

    /// Everything that bears this installation's labels, in a few calls whatever their number.
    async fn survey(&self) -> Result<Survey>;

    /// The name of the network that a project's services are attached to; None where it can't have one.
    fn network_name(&self, project: &ProjectId) -> Option<String>;
}
