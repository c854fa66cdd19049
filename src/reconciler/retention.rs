//! The end of the logs: events that are older, or more, than is kept are taken away, a few at a time and apart from all
//! that somebody waits for.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::MissedTickBehavior;

use super::Reconciler;
use crate::store::{Retention, StoreError};

/// Between two looks at the logs.
const INTERVAL: Duration = Duration::from_secs(60);
/// How many events go in one transaction, while nobody else can write into that project's log, and how long everybody else
/// has the store in between.
const BATCH: u32 = 500;
const PAUSE: Duration = Duration::from_millis(50);

/// How much of each project's log is kept.
#[derive(Debug, Clone, Copy)]
pub struct EventRetention {
    /// Of a project's events so many, the newest.
    pub newest: u32,
    /// And of those the ones that are no older.
    pub age: SignedDuration,
}

impl Reconciler {
    pub(super) async fn trim_logs(self: Arc<Self>) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let EventRetention { newest, age } = self.settings.retention;
            // What can't be reckoned back to is kept.
            let Ok(since) = (self.clock)().checked_sub(age) else { continue };
            if let Err(error) = self.trim_once(Retention { newest, since }).await {
                tracing::debug!(error = ?error, "The logs could not be looked at; the next round tries again");
            }
        }
    }

    async fn trim_once(&self, keep: Retention) -> Result<(), StoreError> {
        for project in self.store.event_list_overdue(keep).await? {
            loop {
                match self.store.event_trim(&project, keep, BATCH).await {
                    Ok(0) => break,
                    Ok(gone) => tracing::debug!(%project, gone, "Old events were taken away"),
                    Err(error) => {
                        tracing::debug!(%project, error = ?error, "A log could not be trimmed; the next round tries again");
                        break;
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }
}
