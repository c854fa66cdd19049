//! A command inside a running container.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use secrecy::SecretString;
use tokio::sync::mpsc;

/// A command. Its words can be seen in the container's process list and in the engine; its input can't.
#[derive(Debug, Default)]
pub struct Command {
    pub words: Vec<String>,
    /// None: the container's own.
    pub user: Option<&'static str>,
    pub input: Option<SecretString>,
    /// How much of its output is kept, in bytes.
    pub kept: usize,
    /// How long it may take, in whole seconds: it is ended then, in the container, whoever still waits for it. None: it
    /// ends by itself.
    pub limit: Option<Duration>,
}

/// What flows into a command and out of it, besides its own input. Whoever reads slowly has the command wait.
#[derive(Default)]
pub struct Flow {
    /// Follows the command's input. The command is not told where it ends.
    pub input: Option<BoxStream<'static, Bytes>>,
    /// Takes its standard output, which is kept no longer then.
    pub output: Option<mpsc::Sender<Bytes>>,
}

/// How it ended, and the beginning of what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// None where the engine doesn't tell, such as of a container that ended first.
    pub exit_code: Option<i64>,
    pub output: String,
}
