//! Finds what bears this installation's labels and nobody wants any more, and removes it.
//!
//! A volume goes only if its service's row says DESTROYED: one without a row can't be the rest of a crash, for the row is
//! written first, so it is kept for a person to look at.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::Reconciler;
use crate::domain::id::ServiceId;
use crate::domain::service::ServiceState;
use crate::engine::{EngineError, Owned, OwnedThing};
use crate::store::StoreError;

/// Why a sweep was broken off; the next one begins anew.
#[derive(Debug, thiserror::Error)]
pub(super) enum SweepError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Reconciler {
    /// Removes what nobody wants and is older than `grace`.
    pub(super) async fn sweep(&self, grace: SignedDuration, now: Timestamp) -> Result<(), SweepError> {
        let old = |owned: &Owned| owned.created_at.is_some_and(|at| now.duration_since(at) >= grace);
        let active: HashSet<ServiceId> = self.store.service_list_active().await?.into_iter().collect();
        for owned in self.engine.list_owned().await?.into_iter().filter(old) {
            match owned.what {
                OwnedThing::Container(service) | OwnedThing::Volume(service) if active.contains(&service) => {}
                OwnedThing::Container(service) | OwnedThing::Volume(service) => {
                    // Read again: it may have been provisioned since the list was made.
                    match self.store.service_get(service).await? {
                        Some(row) if row.state == ServiceState::Destroyed => {
                            tracing::warn!(%service, "Removing what is left of a destroyed service");
                            self.engine.ensure_removed(service).await?;
                        }
                        Some(_) => {}
                        None => tracing::warn!(%service, what = ?owned.what, "No row wants this; left for a person"),
                    }
                }
                OwnedThing::Network(project) => {
                    if self.store.service_list_names(&project).await?.is_empty() {
                        self.engine.ensure_network_removed(&project).await?;
                    }
                }
            }
        }
        Ok(())
    }
}
