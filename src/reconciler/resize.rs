//! A new size, or other settings, for what is there.

use super::Reconciler;
use super::execute::Done;
use crate::catalog::definition;
use crate::domain::event::NewEvent;
use crate::domain::limits::Limits;
use crate::domain::service::{OperationKind, Service};
use crate::engine::Target;
use crate::store::{Guard, Write};

impl Reconciler {
    /// Gives its container these limits. Where nobody has asked for another size, somebody else had changed them, which is an
    /// event.
    pub(super) async fn adjust(&self, service: &Service, limits: &Limits) -> Done {
        if let Err(error) = self.engine.adjust(service.instance, limits).await {
            return error.into();
        }
        let asked = service.operation.as_ref().is_some_and(|operation| operation.kind == OperationKind::Resize);
        if asked || service.evidence.size() != Some(service.wish.tier.tier) {
            return Done::Tried;
        }
        self.tell_of(service, &NewEvent::limits_restored(service, (self.clock)())).await
    }

    /// Removes a container that was made with other settings. Another one is made with those that it is to have.
    pub(super) async fn refresh(&self, service: &Service) -> Done {
        if let Err(error) = self.engine.remove(&Target::Container(service.instance)).await {
            return error.into();
        }
        self.tell_of(service, &NewEvent::made_anew(service, (self.clock)())).await
    }

    async fn tell_of(&self, service: &Service, event: &NewEvent) -> Done {
        let guard = Guard::Term { epoch: self.epoch(), read: service };
        match self.store.commit(Write { event: Some(event), ..Write::new(guard, (self.clock)()) }).await {
            Ok(_) => {
                self.hints.project_changed(&service.project);
                Done::Tried
            }
            Err(error) => Done::StoreFailed(error),
        }
    }

    /// Tells the server inside its size, and writes down that it goes by it.
    pub(super) async fn tell_size(&self, service: &Service) -> Done {
        let Some(resize) = definition(service.wish.kind).offer.as_ref().and_then(|offer| offer.can.live_resize) else {
            return Done::Tried;
        };
        if let Err(done) = self.tell(service, resize.change, "The server inside has not taken its new size yet").await {
            return done;
        }
        let mut after = service.clone();
        (after.evidence.told, after.evidence.telling) = (Some(service.wish.tier.tier), None);
        after.evidence.storage.forget_told();
        self.observe(service, &after, None, (self.clock)()).await.map_or_else(Done::StoreFailed, |_| Done::Tried)
    }
}
