//! Tells how far a copy is, by what is on the new volume of what is on the old one.

use std::time::Duration;

use super::{COPYING, Upgrading};
use crate::reconciler::Reconciler;
use crate::reconciler::replace::{Halt, Moving};

/// How often the new volume is measured.
const MEASURED: Duration = Duration::from_secs(1);

impl Reconciler {
    /// Has the new instance copy the data.
    pub(super) async fn copy(&self, upgrading: &Upgrading<'_>) -> Result<String, Halt> {
        let moving = &upgrading.moving;
        let copying = self.instruct(upgrading, moving.new.instance, upgrading.upgrade.copy, COPYING);
        tokio::select! {
            copied = self.unless_left(moving, copying) => copied,
            never = self.tell_progress(moving) => never,
        }
    }

    /// Whatever fails is tried again, and is no matter of the copy.
    async fn tell_progress<T>(&self, moving: &Moving<'_>) -> T {
        let (id, offer) = (moving.service.id, moving.offer);
        loop {
            tokio::time::sleep(MEASURED).await;
            let held = self.instruments.holdings(moving.new.instance, offer.data_path, offer.port()).await;
            let (Ok(held), Ok(Some(row))) = (held, self.store.service_get(id).await) else { continue };
            let all = row.evidence.storage.used_mib.unwrap_or_default().max(1);
            // What is loaded may need more space than what was dumped, and is not all of it then.
            let percent = u8::try_from((held.storage_bytes >> 20) * 100 / all).map_or(99, |percent| percent.min(99));
            let shown = row.operation.as_ref().and_then(|operation| operation.progress_percent);
            if row.generation == moving.service.generation && shown.is_none_or(|shown| shown < percent) {
                let _ = self.note_progress(&row, Some(percent), (self.clock)()).await;
            }
        }
    }
}
