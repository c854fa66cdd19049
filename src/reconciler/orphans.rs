//! Finds what bears this installation's labels and nobody wants any more, and removes it.
//!
//! The row of a service that is not DESTROYED wants one container and one volume, both named after its instance, and its
//! project's network. Everything else goes, but a volume only if its service's row says DESTROYED. A volume without a row
//! can't be the rest of a crash, for the row is written first: it is there because the store was put back to an earlier
//! state, and then it is the last copy of somebody's data. It is kept, with a warning, for a person to look at.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::Reconciler;
use crate::domain::id::InstanceId;
use crate::domain::service::ServiceState;
use crate::engine::{Owned, OwnedThing, Target};
use crate::store::StoreError;

impl Reconciler {
    /// Removes of what a survey has found what nobody wants and is older than `grace`.
    pub(super) async fn sweep(&self, owned: &[Owned], grace: SignedDuration, now: Timestamp) -> Result<(), StoreError> {
        let old =
            self.not_plainly_wanted(owned, |owned| owned.created_at.is_some_and(|at| now.duration_since(at) >= grace));
        let old = old.await;
        if old.is_empty() {
            return Ok(());
        }
        let checking = self.store.instance_list_checking(&self.node).await?;
        let pool = self.store.pool_list(&self.node).await?;
        let checks = |instance: &InstanceId| checking.iter().any(|checking| checking.id == *instance);
        let waits = |instance: &InstanceId| pool.iter().any(|member| member.id == *instance);
        let containers: HashSet<&str> =
            owned.iter().filter(|o| matches!(o.what, OwnedThing::Container(_))).map(|o| o.name.as_str()).collect();
        for orphan in old {
            // It may check a backup of a service that is destroyed, or wait for somebody to take it.
            if matches!(&orphan.what, OwnedThing::Container(Some(of)) | OwnedThing::Volume(Some(of))
                if checks(of) || waits(of))
            {
                continue;
            }
            // Read after the list was made: what is there was made for a row that is there.
            let unwanted = match &orphan.what {
                OwnedThing::Container(Some(instance)) => {
                    let name = instance.to_string();
                    // One under another name is the service's own until there is one under the right name.
                    !self.is_active(*instance).await? || (orphan.name != name && containers.contains(name.as_str()))
                }
                OwnedThing::Volume(Some(instance)) => {
                    let row = self.store.service_of(*instance).await?;
                    let destroyed = row.as_ref().is_some_and(|row| row.state == ServiceState::Destroyed);
                    let named = orphan.name == instance.to_string();
                    if row.is_none() || !named {
                        tracing::warn!(volume = orphan.name, "No service wants this volume; left for a person");
                    }
                    destroyed && named
                }
                OwnedThing::Network(Some(project)) => {
                    self.engine.network_name(project).is_none_or(|name| orphan.name != name)
                        || self.store.service_list_names(project).await?.is_empty()
                }
                OwnedThing::Container(None) | OwnedThing::Network(None) => true,
                OwnedThing::Volume(None) => {
                    tracing::warn!(volume = orphan.name, "No service wants this volume; left for a person");
                    false
                }
            };
            if unwanted {
                tracing::warn!(what = ?orphan.what, name = orphan.name, "Removing what nobody wants");
                if let Err(error) = self.engine.remove(&Target::Found(orphan.clone())).await {
                    tracing::warn!(name = orphan.name, error = ?error, "It could not be removed; tried again later");
                }
            }
        }
        Ok(())
    }

    /// Those of `owned` that `is_old` lets through, without what the services that are in mind want: nobody has to be asked for
    /// that. They were read before the survey was made, and what has come to be unwanted since is found by the next sweep.
    async fn not_plainly_wanted<'a>(&self, owned: &'a [Owned], is_old: impl Fn(&Owned) -> bool) -> Vec<&'a Owned> {
        let known = self.roster.known().await;
        let instances: HashSet<_> = known.services.values().map(|entry| entry.instance).collect();
        let projects: HashSet<_> = known.services.values().map(|entry| &entry.project).collect();
        let is_wanted = |owned: &Owned| match &owned.what {
            OwnedThing::Container(Some(of)) | OwnedThing::Volume(Some(of)) => {
                instances.contains(of) && owned.name == of.to_string()
            }
            OwnedThing::Network(Some(of)) => {
                projects.contains(of) && self.engine.network_name(of).is_some_and(|name| owned.name == name)
            }
            _ => false,
        };
        owned.iter().filter(|owned| is_old(owned) && !is_wanted(owned)).collect()
    }

    async fn is_active(&self, instance: InstanceId) -> Result<bool, StoreError> {
        let row = self.store.service_of(instance).await?;
        Ok(row.is_some_and(|row| row.state != ServiceState::Destroyed))
    }
}
