//! Measures a volume by a process in the container that is asked over its input, and ends with it.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{QUICK, failure, within};
use crate::domain::id::InstanceId;
use crate::domain::storage::{Fill, Own};
use crate::engine::{EngineError, Gauge, Result};

/// How long one measurement may take.
const MEASURING: Duration = Duration::from_secs(120);
/// How long the process lives, in seconds: one whose input an engine that was killed has left open has to end.
const LIFE: &str = "3600";
/// The longest answer, in bytes.
const ANSWER: usize = 200;

/// Answers each line with one: free and all blocks of the disk, a block's size in bytes, and what is in the directory $1 in KiB.
/// Of what comes and goes while it is counted `du` complains, and counts the rest.
const SCRIPT: &str = r#"while read -r _; do
  echo "$(stat -f -c '%a %b %S' "$1") $(du -sk "$1" 2>/dev/null)"
done"#;

struct DockerGauge {
    output: BoxStream<'static, std::result::Result<LogOutput, BollardError>>,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Why nothing else takes from the disk that it measures.
    own: Option<Own>,
}

pub(super) async fn open(
    client: &Docker,
    instance: InstanceId,
    path: &str,
    own: Option<Own>,
) -> Result<impl Gauge + use<>, BollardError> {
    let words = ["timeout", "-k", "1", LIFE, "sh", "-c", SCRIPT, "gauge", path].map(str::to_owned).to_vec();
    let options = CreateExecOptions {
        cmd: Some(words),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        ..Default::default()
    };
    let exec = within(QUICK, client.create_exec(&instance.to_string(), options)).await?;
    match within(QUICK, client.start_exec(&exec.id, None)).await? {
        StartExecResults::Attached { output, input } => {
            Ok(DockerGauge { output: output.boxed(), input: Box::pin(input), own })
        }
        StartExecResults::Detached => Err(io::Error::other("the engine has not attached a command's input").into()),
    }
}

impl DockerGauge {
    async fn answer(&mut self) -> std::result::Result<String, BollardError> {
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

#[async_trait]
impl Gauge for DockerGauge {
    async fn fill(&mut self) -> Result<Fill> {
        let answer = within(MEASURING, self.answer()).await.map_err(failure)?;
        let fill = read(&answer).ok_or_else(|| EngineError::Unknown("the container told no size".into()))?;
        Ok(Fill { own: self.own, ..fill })
    }
}

fn read(answer: &str) -> Option<Fill> {
    let mut words = answer.split_whitespace().map(|word| word.parse::<u64>().ok());
    let mut word = || words.next().flatten();
    let (free, all, block, used) = (word()?, word()?, word()?, word()?);
    let bytes = |blocks: u64| blocks.saturating_mul(block);
    Some(Fill { used: used.saturating_mul(1024), free: bytes(free), disk: bytes(all), own: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_what_is_used_and_what_is_left() {
        let fill = Fill { used: 38608 << 10, free: 14162974 * 4096, disk: 66053021 * 4096, own: None };
        assert_eq!(read("14162974 66053021 4096 38608\t/var/lib/postgresql/data\n"), Some(fill));
        assert_eq!(read("14162974 66053021 4096 \n"), None);
        assert_eq!(read("\n"), None);
    }
}
