//! A command inside a running container.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;

use super::{QUICK, within};
use crate::domain::id::ServiceId;

/// A command. Its words can be seen in the container's process list and in the engine; its input can't.
pub(super) struct Command<'a> {
    pub words: &'a [String],
    /// None: the container's own.
    pub user: Option<&'a str>,
    pub input: Option<&'a SecretString>,
    /// How much of its output is kept, in bytes.
    pub kept: usize,
}

/// How it ended, and the beginning of what it said.
pub(super) struct Ended {
    /// None where the engine doesn't tell, such as of a container that ended first.
    pub exit_code: Option<i64>,
    pub output: String,
}

/// Runs a command to its end, which may take long. If this is dropped, it runs on.
pub(super) async fn run(client: &Docker, service: ServiceId, command: Command<'_>) -> Result<Ended, BollardError> {
    let options = CreateExecOptions {
        cmd: Some(command.words.to_vec()),
        user: command.user.map(str::to_owned),
        attach_stdin: Some(command.input.is_some()),
        // Unattached, the start returns early and the exit code comes late.
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..Default::default()
    };
    let exec = within(QUICK, client.create_exec(&service.to_string(), options)).await?;
    let mut said = Vec::new();
    if let StartExecResults::Attached { mut output, mut input } =
        within(QUICK, client.start_exec(&exec.id, None)).await?
    {
        if let Some(text) = command.input {
            // One that ends without reading all of it says why by its exit code.
            let _ = input.write_all(text.expose_secret().as_bytes()).await;
            let _ = input.flush().await;
        }
        while let Some(Ok(chunk)) = output.next().await {
            let chunk = chunk.into_bytes();
            said.extend_from_slice(&chunk[..chunk.len().min(command.kept - said.len())]);
        }
    }
    let output = String::from_utf8_lossy(&said).trim().to_owned();
    // The exit code may come a moment after the end of the output.
    for _ in 0..100 {
        let exec = within(QUICK, client.inspect_exec(&exec.id)).await?;
        if exec.running != Some(true) {
            return Ok(Ended { exit_code: exec.exit_code, output });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(Ended { exit_code: None, output })
}
