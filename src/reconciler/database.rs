//! The sidecar's own database is kept where backups are, every now and then, so that a machine that is lost takes what its
//! server knew with it for a while only. A database server has ways of its own, and is left to those.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Reconciler;
use crate::repository::{RepositoryError, Snapshot};
use crate::store::StoreError;
use crate::telemetry::metrics;

/// How many snapshots are kept, each the newest of an interval: two days' worth, if that is an hour.
const KEPT: usize = 48;
/// The part of an interval after which another one may be taken because something was written: a minute of an hour.
const SOON: u32 = 60;
/// How soon one that failed is tried again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));
/// What is taken because its time has come.
const SCHEDULED: &str = "SCHEDULED";
/// What is taken because of what was written since.
const CHANGED: &str = Snapshot::CHANGED;

/// How the sidecar's own database is kept.
#[derive(Debug, Clone)]
pub struct OwnBackups {
    /// Where it is copied to on its way.
    pub directory: PathBuf,
    /// How long after the newest snapshot another one is due.
    pub interval: Duration,
}

#[derive(Debug, thiserror::Error)]
enum Unkept {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// Whether a snapshot was taken, and how long it is until another one is due.
struct Round {
    taken: bool,
    wait: Duration,
}

impl Reconciler {
    /// Never ends, so that the term's other parts are watched on.
    pub(super) async fn keep_database(self: Arc<Self>) {
        let mut pause = PAUSES.0;
        // Of what was written before this term nobody knows whether it is kept.
        let mut has_changed = true;
        loop {
            match self.keep_database_if_due(has_changed).await {
                Ok(Some(Round { taken, wait })) => {
                    pause = PAUSES.0;
                    has_changed &= !taken;
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.inbox.snapshot_asked_for(), if !has_changed => has_changed = true,
                    }
                }
                Ok(None) => return std::future::pending().await,
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "The sidecar's own database could not be backed up; that is tried again");
                    metrics::backup("BACK_UP_DATABASE", outcome(&error));
                    tokio::time::sleep(pause).await;
                    pause = PAUSES.1.min(pause * 2);
                }
            }
        }
    }

    /// None where there is nothing to copy.
    async fn keep_database_if_due(&self, has_changed: bool) -> Result<Option<Round>, Unkept> {
        let (backups, now) = (&self.settings.backups, (self.clock)());
        let (repository, installation, own) = (&backups.repository, backups.installation, &backups.own);
        if self.store.is_shared() {
            return Ok(None);
        }
        let pause = if has_changed { own.interval / SOON } else { own.interval };
        let newest = repository.newest_snapshot(installation).await?;
        if let Some(newest) = newest {
            metrics::database_backup(newest);
            if let Some(wait) = until_due(newest, pause, now) {
                return Ok(Some(Round { taken: false, wait }));
            }
        }
        let is_time = newest.is_none_or(|newest| until_due(newest, own.interval, now).is_none());
        let Some(copy) = self.store.copy_into(&own.directory).await? else { return Ok(None) };
        let of = (installation, if is_time { SCHEDULED } else { CHANGED });
        let kept = repository.write_snapshot(copy.path().to_owned(), of, now, &self.sealer).await?;
        drop(copy);
        metrics::backup("BACK_UP_DATABASE", "OK");
        metrics::database_backup(kept.taken_at);
        tracing::debug!(object = kept.object, bytes = kept.written.stored_bytes, "The sidecar's own database is kept");
        repository.trim_snapshots(installation, (KEPT, own.interval), now).await?;
        Ok(Some(Round { taken: true, wait: own.interval }))
    }
}

/// None: at once, as where the clock was put back.
fn until_due(newest: Timestamp, interval: Duration, now: Timestamp) -> Option<Duration> {
    let age = now.duration_since(newest);
    let left = SignedDuration::try_from(interval).ok()? - age;
    Duration::try_from(left).ok().filter(|left| !left.is_zero() && *left <= interval)
}

/// What it is called in metrics.
fn outcome(error: &Unkept) -> &'static str {
    match error {
        Unkept::Store(_) => "UNAVAILABLE",
        Unkept::Repository(RepositoryError::Unavailable(_)) => "STORE_UNAVAILABLE",
        Unkept::Repository(RepositoryError::Full(_)) => "STORE_FULL",
        Unkept::Repository(RepositoryError::Content(_)) => "SOURCE_FAILED",
        Unkept::Repository(_) => "STORE_REFUSED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_is_due_an_interval_after_the_newest_and_a_clock_that_was_put_back_holds_up_nothing() {
        let now: Timestamp = "2026-03-04T05:06:07Z".parse().unwrap();
        let hour = Duration::from_secs(3600);
        let ago = |seconds: i64| now - SignedDuration::from_secs(seconds);
        assert_eq!(until_due(ago(600), hour, now), Some(Duration::from_secs(3000)));
        assert_eq!(until_due(ago(0), hour, now), Some(hour));
        for seconds in [3600, 7200, -5] {
            assert_eq!(until_due(ago(seconds), hour, now), None, "{seconds}");
        }
    }
}
