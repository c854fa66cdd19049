//! Measures a volume by a process in the container that stays.

use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error as BollardError;

use super::failure;
use super::resident::Resident;
use crate::domain::id::InstanceId;
use crate::domain::storage::{Fill, Own};
use crate::engine::{EngineError, Gauge, Result};

/// How long one measurement may take.
const MEASURING: Duration = Duration::from_secs(120);

/// Answers each line with one: free and all blocks of the disk, a block's size in bytes, and what is in the directory $1 in KiB.
/// Of what comes and goes while it is counted `du` complains, and counts the rest.
const SCRIPT: &str = r#"while read -r _; do
  echo "$(stat -f -c '%a %b %S' "$1") $(du -skH "$1" 2>/dev/null)"
done"#;

struct DockerGauge {
    resident: Resident,
    /// Why nothing else takes from the disk that it measures.
    own: Option<Own>,
}

pub(super) async fn open(
    client: &Docker,
    instance: InstanceId,
    path: &str,
    own: Option<Own>,
) -> Result<impl Gauge + use<>, BollardError> {
    let resident = Resident::open(client, instance, SCRIPT, &[path]).await?;
    Ok(DockerGauge { resident, own })
}

#[async_trait]
impl Gauge for DockerGauge {
    async fn fill(&mut self) -> Result<Fill> {
        let answer = self.resident.ask(MEASURING).await.map_err(failure)?;
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
