//! Giving a service another size.

use super::actions::{ATTEMPTS, busy, too_fast};
use super::console::unanswered;
use super::{App, AppError, Committed, Result, now};
use crate::catalog::{Offer, definition};
use crate::domain::event::NewEvent;
use crate::domain::id::ServiceId;
use crate::domain::lifecycle::{Apply, Privilege, Requested, ServiceAction, resize};
use crate::domain::permission::Principal;
use crate::domain::service::{Service, ServiceState, SizeTier, TierSpec};
use crate::store::{Guard, StoreError, Write};
use crate::telemetry::traces;

impl App {
    /// Gives a service another size, and returns before it has it. One that it has, or is about to have, gives back the service
    /// as it is, and no event. A size that holds less than what is there is refused.
    pub async fn resize(&self, viewer: &Principal, id: ServiceId, size: SizeTier, apply: Apply) -> Result<Committed> {
        let action = ServiceAction::Resize;
        for _ in 0..ATTEMPTS {
            let before = self.permitted(viewer, id, Privilege::Act(action)).await?;
            if !before.understood {
                return Err(AppError::NotUnderstood);
            }
            let Some(offer) = &definition(before.wish.kind).offer else { return Err(AppError::NotFound("service")) };
            if before.is_changing_version() {
                return Err(busy(&before));
            }
            let unknown = || AppError::BadInput { field: "tier", message: "There is no such size.".to_owned() };
            let tier = offer.tier(size).ok_or_else(unknown)?;
            let now = now();
            let mut after = match resize(&before, tier, apply, now).map_err(AppError::InvalidState)? {
                Requested::Unchanged => return Ok(Committed { service: before, event: None }),
                Requested::Changed(after, _) => after,
            };
            self.check_fit(&before, offer, &tier).await?;
            after.trace = traces::here();
            let event = NewEvent::of_change(&before, &after, Some(&viewer.subject), now)
                .unwrap_or_else(|| NewEvent::resized(&after, &viewer.subject, now));
            let guard = Guard::Revision(&before);
            let room = self.capacity_beyond(&before, &after).await?;
            let write =
                Write { service: Some(&after), event: Some(&event), room: room.as_ref(), ..Write::new(guard, now) };
            match self.store.commit(write).await {
                Ok(committed) => return Ok(self.accepted(viewer, action, committed)),
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_fast())
    }

    /// Refuses a smaller size than what is used, with the figures.
    async fn check_fit(&self, service: &Service, offer: &Offer, tier: &TierSpec) -> Result<()> {
        let name = tier.tier.name();
        let refused = |message| Err(AppError::Conflict { field: "tier", message });
        if tier.storage_mib < service.wish.tier.storage_mib {
            let stored = self.stored_mib(service, offer).await?;
            if let Some(stored) = stored.filter(|stored| *stored > u64::from(tier.storage_mib)) {
                let room = tier.storage_mib;
                return refused(format!("{stored} MiB are on its volume, and {name} is meant for {room} MiB."));
            }
        }
        // A server that is started anew makes do with what it is given; one that goes on keeps what it holds.
        let live = offer.can.live_resize.as_ref().filter(|_| service.state == ServiceState::Running);
        if let Some(live) = live.filter(|_| tier.memory_mib < service.wish.tier.memory_mib) {
            let held = self.instruments(service).read(service.instance).await.map_err(unanswered)?.memory_bytes >> 20;
            let room = (live.memory_for_data)(tier);
            if held > u64::from(room) {
                return refused(format!("It holds {held} MiB in memory, and {name} has {room} MiB for data."));
            }
        }
        Ok(())
    }

    /// What is on the service's volume; of one that does not run what was counted last. None where nobody knows.
    async fn stored_mib(&self, service: &Service, offer: &Offer) -> Result<Option<u64>> {
        if service.state == ServiceState::Running {
            let counted = self.instruments(service).holdings(service.instance, offer.data_path, offer.port()).await;
            return Ok(Some(counted.map_err(unanswered)?.storage_bytes >> 20));
        }
        Ok(service.evidence.storage.used_mib)
    }
}
