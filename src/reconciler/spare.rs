//! What a service has besides what runs it: how that goes.

use super::Reconciler;
use super::execute::Done;
use crate::catalog::definition;
use crate::domain::id::InstanceId;
use crate::domain::instance::{Instance, Role};
use crate::domain::service::Service;
use crate::engine::{EngineError, Target};
use crate::store::{Guard, StoreError, Write};

impl Reconciler {
    /// Removes an instance's container and volume, with all data.
    pub(super) async fn remove_instance(&self, instance: InstanceId) -> Result<(), EngineError> {
        self.engine.remove(&Target::Container(instance)).await?;
        self.engine.remove(&Target::Volume(instance)).await
    }

    /// Writes down that `service` has these instances besides no more.
    pub(super) async fn forget(&self, service: &Service, gone: &[Instance]) -> Result<(), StoreError> {
        if gone.is_empty() {
            return Ok(());
        }
        let guard = Guard::Term { epoch: self.epoch(), read: service };
        self.store.commit(Write { forgotten: gone, ..Write::new(guard, (self.clock)()) }).await.map(|_| ())
    }

    /// Shuts down what ran the service until now, and removes its container. The volume is kept to go back to.
    pub(super) async fn retire(&self, service: &Service, id: InstanceId) -> Done {
        match self.engine.look(id, &self.image(service)).await {
            Ok(seen) if seen.container.is_some() => {
                let grace = definition(service.wish.kind).offer.as_ref().map(|offer| offer.stop_grace);
                if let Err(error) = self.engine.stop(id, grace.unwrap_or_default()).await {
                    return error.into();
                }
            }
            Ok(_) => {}
            Err(error) => return error.into(),
        }
        if let Err(error) = self.engine.remove(&Target::Container(id)).await {
            return error.into();
        }
        self.rewrite(service, id, Role::Reverted).await.map_or_else(Done::StoreFailed, |_| Done::Tried)
    }

    /// Removes an instance that nobody wants any more. That is written down first, so that nobody goes back to it meanwhile.
    pub(super) async fn purge(&self, service: &Service, id: InstanceId) -> Done {
        let going = match self.rewrite(service, id, Role::Going).await {
            Ok(Some(going)) => going,
            Ok(None) => return Done::Tried,
            Err(error) => return Done::StoreFailed(error),
        };
        if let Err(error) = self.remove_instance(id).await {
            return error.into();
        }
        self.forget(service, &[going]).await.map_or_else(Done::StoreFailed, |()| Done::Tried)
    }

    /// Writes an instance's role down, if the service has it besides.
    async fn rewrite(&self, service: &Service, id: InstanceId, role: Role) -> Result<Option<Instance>, StoreError> {
        let instances = self.store.instance_list(service.id).await?;
        let Some(known) = instances.into_iter().find(|instance| instance.id == id) else { return Ok(None) };
        let after = known.with_role(role);
        let guard = Guard::Term { epoch: self.epoch(), read: service };
        let instances = std::slice::from_ref(&after);
        self.store.commit(Write { instances, ..Write::new(guard, (self.clock)()) }).await?;
        Ok(Some(after))
    }
}
