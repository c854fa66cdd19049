//! Asks the server inside whether it answers, by a process in its container that stays.

use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error as BollardError;

use super::failure;
use super::resident::Resident;
use crate::catalog::deployment::{CHECK_LIMIT, Check};
use crate::domain::id::InstanceId;
use crate::engine::{EngineError, Probe, Result};

/// How long an answer is waited for; for longer than a check takes, also where it gets little CPU time.
const PATIENCE: Duration = Duration::from_secs(6);
const _: () = assert!(CHECK_LIMIT.as_secs() < PATIENCE.as_secs());

/// Answers each line with whether a condition holds: $2 where there is a bash, else $1. What that reads is not the script's own
/// input.
const SCRIPT: &str = r#"ask='while read -r _; do
  if eval "$1" </dev/null >/dev/null 2>&1; then echo yes; else echo no; fi
done'
if command -v bash >/dev/null; then exec bash -c "$ask" probe "$2"; else exec sh -c "$ask" probe "$1"; fi"#;

/// What asks; None once it did not answer in time, for its answer may still come.
struct DockerProbe(Option<Resident>);

pub(super) async fn open(
    client: &Docker,
    instance: InstanceId,
    check: &Check,
) -> Result<impl Probe + use<>, BollardError> {
    Ok(DockerProbe(Some(Resident::open(client, instance, SCRIPT, &[&check.by_client, &check.by_bash]).await?)))
}

#[async_trait]
impl Probe for DockerProbe {
    async fn answers(&mut self) -> Result<bool> {
        let ended = || EngineError::Unknown("the check is broken off".into());
        let Some(resident) = &mut self.0 else { return Err(ended()) };
        match resident.ask(PATIENCE).await {
            Ok(answer) if answer == "yes\n" => Ok(true),
            Ok(answer) if answer == "no\n" => Ok(false),
            Ok(_) => Err(ended()),
            Err(BollardError::RequestTimeoutError) => {
                self.0 = None;
                Ok(false)
            }
            Err(error) => Err(failure(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    /// What two lines are answered with where a client finds that nobody answers, and bash the opposite.
    fn told(path: &Path) -> String {
        let mut asking = Command::new("/bin/sh");
        asking.args(["-c", SCRIPT, "resident", "false", "read -r _ || true"]).env("PATH", path);
        let mut asking = asking.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        asking.stdin.take().unwrap().write_all(b"\n\n").unwrap();
        String::from_utf8(asking.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn bash_asks_where_it_is_there_and_a_client_where_it_is_not() {
        let programs = tempfile::tempdir().unwrap();
        symlink("/bin/sh", programs.path().join("sh")).unwrap();
        assert_eq!(told(programs.path()), "no\nno\n");
        symlink("/bin/bash", programs.path().join("bash")).unwrap();
        assert_eq!(told(programs.path()), "yes\nyes\n");
    }
}
