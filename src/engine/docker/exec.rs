//! A command inside a running container.

use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use secrecy::ExposeSecret;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::{QUICK, events, within};
use crate::domain::id::InstanceId;
use crate::engine::{Command, Ended, Flow};

/// How much longer than its limit a command is waited for, which it is ended at.
const ENDING: Duration = Duration::from_secs(5);
/// How long after its container is told to end what flows out of a command is still waited for.
const LET_GO: Duration = Duration::from_secs(1);

/// What a command wrote, apart and as it came together, each up to as many bytes as were to be kept.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// None where the engine doesn't tell, such as of a container that ended first.
    pub exit_code: Option<i64>,
    pub both: Vec<u8>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Runs a command to its end, or to that of its limit: timeout(1) of the image ends it then. If this is dropped, it runs on
/// until then.
pub(super) async fn run(client: &Docker, instance: InstanceId, command: &Command) -> Result<Ended, BollardError> {
    let said = said(client, instance, command).await?;
    let output = String::from_utf8_lossy(&said.both).trim().to_owned();
    Ok(Ended { exit_code: said.exit_code, output })
}

/// The same with all that it wrote, byte by byte.
pub(super) async fn said(client: &Docker, instance: InstanceId, command: &Command) -> Result<Said, BollardError> {
    flowing(client, instance, command, Flow::default()).await
}

/// The same with data that flows in and out; what is kept is what the command said of it.
pub(super) async fn pump(
    client: &Docker,
    instance: InstanceId,
    command: &Command,
    flow: Flow,
) -> Result<Ended, BollardError> {
    let said = flowing(client, instance, command, flow).await?;
    let output = String::from_utf8_lossy(&said.both).trim().to_owned();
    Ok(Ended { exit_code: said.exit_code, output })
}

async fn flowing(client: &Docker, instance: InstanceId, command: &Command, flow: Flow) -> Result<Said, BollardError> {
    let Some(limit) = command.limit else {
        return run_on(client, instance, command, command.words.clone(), flow).await;
    };
    let mut words = ["timeout", "-k", "1", &limit.as_secs().to_string()].map(str::to_owned).to_vec();
    words.extend(command.words.iter().cloned());
    within(limit + ENDING, run_on(client, instance, command, words, flow)).await
}

async fn run_on(
    client: &Docker,
    instance: InstanceId,
    command: &Command,
    words: Vec<String>,
    flow: Flow,
) -> Result<Said, BollardError> {
    let options = CreateExecOptions {
        cmd: Some(words),
        user: command.user.map(str::to_owned),
        attach_stdin: Some(command.input.is_some() || flow.input.is_some()),
        // Unattached, the start returns early and the exit code comes late.
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..Default::default()
    };
    let exec = within(QUICK, client.create_exec(&instance.to_string(), options)).await?;
    let mut said = Said::default();
    if let StartExecResults::Attached { output, mut input } = within(QUICK, client.start_exec(&exec.id, None)).await? {
        let feeding = async {
            if let Some(text) = &command.input {
                // One that ends without reading all of it says why by its exit code.
                let _ = input.write_all(text.expose_secret().as_bytes()).await;
                let _ = input.flush().await;
            }
            let mut chunks = flow.input.unwrap_or_else(|| futures_util::stream::empty().boxed());
            while let Some(chunk) = chunks.next().await {
                if input.write_all(&chunk).await.is_err() {
                    break;
                }
            }
            let _ = input.flush().await;
            // The input stays open: where it is closed some engines end the output as well.
            std::future::pending::<()>().await;
        };
        // What flows elsewhere goes no faster than it is taken there, and as long as it is not the engine can't end the container:
        // after a while it gives up, and leaves the container's place in its network behind.
        let goes_elsewhere = flow.output.is_some();
        let given_up = async {
            events::told_to_end(client, instance).await;
            tokio::time::sleep(LET_GO).await;
        };
        let hearing = hear(output, command.kept, flow.output);
        tokio::select! {
            heard = hearing => said = heard,
            () = feeding => {}
            () = given_up, if goes_elsewhere => {}
        }
    }
    // The exit code may come a moment after the end of the output.
    for _ in 0..100 {
        let exec = within(QUICK, client.inspect_exec(&exec.id)).await?;
        if exec.running != Some(true) {
            return Ok(Said { exit_code: exec.exit_code, ..said });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(said)
}

/// Takes in what a command says until it says no more, of which each part is `kept` up to so many bytes. Where its standard
/// output is wanted elsewhere it goes there instead, for as long as somebody takes it.
async fn hear(
    mut output: impl Stream<Item = Result<LogOutput, BollardError>> + Unpin,
    kept: usize,
    elsewhere: Option<mpsc::Sender<Bytes>>,
) -> Said {
    let mut said = Said::default();
    let keep = |part: &mut Vec<u8>, chunk: &[u8]| part.extend_from_slice(&chunk[..chunk.len().min(kept - part.len())]);
    while let Some(Ok(chunk)) = output.next().await {
        let is_error = matches!(chunk, LogOutput::StdErr { .. });
        let chunk = chunk.into_bytes();
        match &elsewhere {
            Some(wanted) if !is_error => {
                if wanted.send(chunk).await.is_err() {
                    break;
                }
            }
            _ => {
                keep(&mut said.both, &chunk);
                keep(if is_error { &mut said.stderr } else { &mut said.stdout }, &chunk);
            }
        }
    }
    said
}
