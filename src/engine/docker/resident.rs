//! A process that stays in a container and answers each line with one. It is asked over its input, and ends with it.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{QUICK, within};
use crate::domain::id::InstanceId;

/// How long it lives, in seconds: one whose input an engine that was killed has left open has to end.
const LIFE: &str = "3600";
/// The longest answer, in bytes.
const ANSWER: usize = 200;

pub(super) struct Resident {
    output: BoxStream<'static, Result<LogOutput, BollardError>>,
    input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Resident {
    /// Begins one, which runs `script` with `arguments`.
    pub(super) async fn open(
        client: &Docker,
        instance: InstanceId,
        script: &str,
        arguments: &[&str],
    ) -> Result<Self, BollardError> {
        let words = ["timeout", "-k", "1", LIFE, "sh", "-c", script, "resident"];
        let options = CreateExecOptions {
            cmd: Some(words.iter().chain(arguments).map(|&word| word.to_owned()).collect()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            ..Default::default()
        };
        let exec = within(QUICK, client.create_exec(&instance.to_string(), options)).await?;
        match within(QUICK, client.start_exec(&exec.id, None)).await? {
            StartExecResults::Attached { output, input } => Ok(Self { output: output.boxed(), input: Box::pin(input) }),
            StartExecResults::Detached => Err(io::Error::other("the engine has not attached a command's input").into()),
        }
    }

    /// Asks it. One that has not answered within `limit` is of no more use.
    pub(super) async fn ask(&mut self, limit: Duration) -> Result<String, BollardError> {
        within(limit, self.answer()).await
    }

    async fn answer(&mut self) -> Result<String, BollardError> {
        self.input.write_all(b"\n").await?;
        self.input.flush().await?;
        let mut answer = Vec::new();
        while let Some(chunk) = self.output.next().await {
            answer.extend_from_slice(&chunk?.into_bytes());
            if answer.ends_with(b"\n") || answer.len() > ANSWER {
                return Ok(String::from_utf8_lossy(&answer).into_owned());
            }
        }
        Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
    }
}
