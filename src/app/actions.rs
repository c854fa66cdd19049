//! Actions on a service that is there.

use super::{App, AppError, Result, new_seed, now};
use crate::audit::{self, Object};
use crate::catalog::access::Access;
use crate::catalog::{Credential, definition};
use crate::crypto::Sealed;
use crate::domain::event::NewEvent;
use crate::domain::id::ServiceId;
use crate::domain::lifecycle::{InvalidState, Privilege, Requested, ServiceAction, request};
use crate::domain::permission::{Denied, Principal};
use crate::domain::service::Service;
use crate::store::{Reseal, StoreError};
use crate::telemetry::traces;

/// How often a write may lose against a concurrent one before the caller is told.
const ATTEMPTS: u32 = 100;

impl App {
    /// Starts, stops, restarts, destroys or rotates the credentials: writes what is wanted, and returns before it is done.
    /// Repeating an action that is under way gives back the service as it is.
    pub async fn act(&self, viewer: &Principal, id: ServiceId, action: ServiceAction) -> Result<Service> {
        for _ in 0..ATTEMPTS {
            let before = self.permitted(viewer, id, Privilege::Act(action)).await?;
            let kind = definition(before.spec.kind);
            if !kind.is_able(action) {
                return Err(AppError::NotSupported { kind: kind.name, action });
            }
            let now = now();
            let mut after = match request(&before, action, now).map_err(AppError::InvalidState)? {
                Requested::Unchanged => return Ok(before),
                Requested::Changed(after) => after,
            };
            after.trace = traces::here();
            let written = if action == ServiceAction::RotateCredentials {
                // Nothing is left to rotate of what was destroyed in between; then the next look at it says so.
                let Some(reseal) = self.with_next_password(id).await? else { continue };
                let event = NewEvent::rotation_requested(&after, &viewer.subject, now);
                self.store.service_reseal(&before, &after, &reseal, Some(&event), now).await
            } else {
                let event = NewEvent::of_change(&before, &after, Some(&viewer.subject), now);
                self.store.service_update(&before, &after, event.as_ref(), now).await
            };
            match written {
                Ok(service) => {
                    self.hints.project_changed(&service.project);
                    self.hints.wake(id);
                    audit::accepted(viewer, action, Object::Service(id));
                    return Ok(service);
                }
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AppError::Conflict("The service changes too fast; try again.".to_owned()))
    }

    /// The credentials in clear. That they were revealed, and to whom, is an event.
    pub async fn reveal(&self, viewer: &Principal, id: ServiceId) -> Result<(Service, Vec<Credential>)> {
        let action = ServiceAction::RevealCredentials;
        let service = self.permitted(viewer, id, Privilege::Act(action)).await?;
        let invalid = AppError::InvalidState(InvalidState { action, state: service.state });
        if !action.is_allowed_in(service.state) {
            return Err(invalid);
        }
        let access = self.access(id).await?.ok_or(invalid)?;
        let Some(offer) = &definition(service.spec.kind).offer else { return Err(AppError::NotFound("service")) };
        let event = NewEvent::credentials_revealed(&service, &viewer.subject, now());
        self.store.event_append(&service, &event).await?;
        self.hints.project_changed(&service.project);
        audit::accepted(viewer, action, Object::Service(id));
        Ok((service.clone(), (offer.credentials)(&access, &service.spec.hostname)))
    }

    /// The sealed credentials, and the same with a password to be.
    async fn with_next_password(&self, id: ServiceId) -> Result<Option<Reseal>> {
        let Some(old) = self.store.sealed_get(id).await? else { return Ok(None) };
        let access = self.opened(id, &old)?.with_next(&new_seed()?);
        Ok(Some(Reseal { new: self.sealer.seal(id, &access.to_bytes())?, old }))
    }

    /// What lets clients in; None once the service is destroyed.
    pub(super) async fn access(&self, id: ServiceId) -> Result<Option<Access>> {
        let Some(sealed) = self.store.sealed_get(id).await? else { return Ok(None) };
        self.opened(id, &sealed).map(Some)
    }

    fn opened(&self, id: ServiceId, sealed: &Sealed) -> Result<Access> {
        Access::from_bytes(&self.sealer.open(id, sealed)?).map_err(|error| AppError::Internal(Box::new(error)))
    }

    /// The service, where the viewer may ask for `what` about it.
    pub(super) async fn permitted(&self, viewer: &Principal, id: ServiceId, what: Privilege) -> Result<Service> {
        let service = self.store.service_get(id).await?.ok_or(AppError::NotFound("service"))?;
        let Err(denied) = viewer.authorize(&service.project, what.permission()) else { return Ok(service) };
        audit::refused(viewer, what.as_str(), Object::Service(id), denied);
        match denied {
            Denied::NotVisible => Err(AppError::NotFound("service")),
            Denied::Missing(permission) => {
                let event = NewEvent::refused(&service, what, &viewer.subject, now());
                self.store.event_append(&service, &event).await?;
                self.hints.project_changed(&service.project);
                Err(AppError::Forbidden(permission))
            }
        }
    }
}

/// What `viewer` may do to `service` now: what its state allows and its kind is able to do.
pub fn viewer_actions(viewer: &Principal, service: &Service) -> Vec<ServiceAction> {
    ServiceAction::ALL
        .iter()
        .copied()
        .filter(|action| action.is_allowed_in(service.state) && definition(service.spec.kind).is_able(*action))
        .filter(|action| viewer.authorize(&service.project, action.permission()).is_ok())
        .collect()
}
