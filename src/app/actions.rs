//! Actions on a service that is there.

use std::collections::HashMap;

use uuid::Uuid;

use super::lifetime::is_protected;
use super::{App, AppError, Committed, Result, new_seed, now};
use crate::audit::{self, Object};
use crate::catalog::access::Access;
use crate::catalog::{Credential, Shown, definition, shown};
use crate::crypto::Sealed;
use crate::domain::event::NewEvent;
use crate::domain::id::ServiceId;
use crate::domain::lifecycle::{InvalidState, Privilege, Requested, ServiceAction, request};
use crate::domain::permission::{Denied, Principal};
use crate::domain::service::{OperationKind, Service};
use crate::domain::task::{Job, TaskId};
use crate::store::{Guard, Reseal, StoreError, Write};
use crate::telemetry::traces;

/// How often a write may lose against a concurrent one before the caller is told.
pub(super) const ATTEMPTS: u32 = 100;

pub(super) fn too_fast() -> AppError {
    AppError::Conflict { field: "id", message: "The service changes too fast; try again.".to_owned() }
}

/// What the service runs is being changed, and nothing else may be meanwhile.
pub(super) fn busy(service: &Service) -> AppError {
    let doing = service.operation.as_ref().map_or("", |operation| match operation.kind {
        OperationKind::Upgrade => " It is being brought to another version; a stop or a restart ends that.",
        OperationKind::Restore => " It is being given the data of a backup.",
        OperationKind::Clone => " It is being given the data of another service.",
        OperationKind::UpdateImage => " It is being given a newer image; a stop or a restart ends that.",
        _ => "",
    });
    AppError::Conflict { field: "id", message: format!("Something else is being done to the service.{doing}") }
}

impl App {
    /// Starts, stops, restarts, destroys or rotates the credentials: writes what is wanted, and returns before it is done.
    /// Repeating an action that is under way gives back the service as it is, and no event.
    pub async fn act(&self, viewer: &Principal, id: ServiceId, action: ServiceAction) -> Result<Committed> {
        self.act_on(viewer, id, action, false).await
    }

    /// The same, and by `force` destroys also what is protected from that.
    pub(super) async fn act_on(
        &self,
        viewer: &Principal,
        id: ServiceId,
        action: ServiceAction,
        force: bool,
    ) -> Result<Committed> {
        for _ in 0..ATTEMPTS {
            let before = self.permitted(viewer, id, Privilege::Act(action)).await?;
            let kind = definition(before.wish.kind);
            if !kind.is_able(action) {
                return Err(AppError::NotSupported { kind: kind.name, action });
            }
            if !before.understood {
                return Err(AppError::NotUnderstood);
            }
            if action == ServiceAction::Destroy && before.lifetime.protected && !force {
                return Err(is_protected(&before));
            }
            let now = now();
            let open = self.store.task_list_open(id).await?;
            let new = TaskId(Uuid::now_v7());
            if before.is_changing_version() && !action.is_allowed_during_upgrade() {
                return Err(busy(&before));
            }
            let (mut after, tasks) = match request(&before, &open, action, new, now).map_err(AppError::InvalidState)? {
                Requested::Unchanged => return Ok(Committed { service: before, event: None }),
                Requested::Changed(after, tasks) => (after, tasks),
            };
            after.trace = traces::here();
            let rotates = action.job() == Some(Job::RotateCredentials);
            let reseal = match rotates {
                true => match self.with_next_password(id).await? {
                    Some(reseal) => Some(reseal),
                    // Nothing is left to change of what was destroyed in between; then the next look at it says so.
                    None => continue,
                },
                false => None,
            };
            let event = match rotates {
                true => Some(NewEvent::rotation_requested(&after, &viewer.subject, now)),
                false => NewEvent::of_change(&before, &after, Some(&viewer.subject), now),
            };
            let write = Write {
                service: Some(&after),
                sealed: reseal.as_ref(),
                tasks: &tasks,
                event: event.as_ref(),
                ..Write::new(Guard::Revision(&before), now)
            };
            match self.store.commit(write).await {
                Ok(committed) => return Ok(self.accepted(viewer, action, committed)),
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_fast())
    }

    /// Tells all who wait for what was accepted.
    pub(super) fn accepted(&self, viewer: &Principal, action: ServiceAction, committed: Committed) -> Committed {
        let Service { id, project, .. } = &committed.service;
        self.hints.project_changed(project);
        self.hints.wake(*id);
        self.hints.ask_for_snapshot();
        audit::accepted(viewer, action, Object::Service(*id));
        committed
    }

    /// The credentials in clear. That they were revealed, and to whom, is an event.
    pub async fn reveal(&self, viewer: &Principal, id: ServiceId) -> Result<(Committed, Vec<Credential>)> {
        let action = ServiceAction::RevealCredentials;
        let invalid = |state| AppError::InvalidState(InvalidState { action, state });
        for _ in 0..ATTEMPTS {
            let read = self.permitted(viewer, id, Privilege::Act(action)).await?;
            if !read.understood {
                return Err(AppError::NotUnderstood);
            }
            if !action.is_allowed_in(read.state) {
                return Err(invalid(read.state));
            }
            // Destroyed in between: then the next look at it says so.
            let Some(access) = self.access(id).await? else { continue };
            let Some(offer) = &definition(read.wish.kind).offer else { return Err(AppError::NotFound("service")) };
            let now = now();
            let event = NewEvent::credentials_revealed(&read, &viewer.subject, now);
            let guard = Guard::State { read: &read, one_of: action.allowed_in() };
            let committed = match self.store.commit(Write { event: Some(&event), ..Write::new(guard, now) }).await {
                Ok(committed) => committed,
                Err(StoreError::InvalidState(state)) => return Err(invalid(state)),
                Err(error) => return Err(error.into()),
            };
            self.hints.project_changed(&committed.service.project);
            audit::accepted(viewer, action, Object::Service(id));
            let credentials = (offer.credentials)(&access, &committed.service.address.hostname);
            return Ok((committed, credentials));
        }
        Err(too_fast())
    }

    /// The credentials with their password left out, for everybody who sees the service.
    /// `sealed` is what [`Self::sealed_of`] found of it.
    pub fn shown_credentials(&self, service: &Service, sealed: Option<&Sealed>) -> Vec<Shown> {
        // What can't be opened is shown by its keys; that it can't is the service's own error.
        let access = sealed.and_then(|sealed| self.opened(service.id, sealed).ok());
        shown(service.wish.kind, access.as_ref(), &service.address.hostname)
    }

    /// Services' credentials as they are stored; those of destroyed ones are left out.
    pub async fn sealed_of(&self, services: &[ServiceId]) -> Result<HashMap<ServiceId, Sealed>> {
        Ok(self.store.sealed_list_of(services).await?.into_iter().collect())
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

    /// The service, where the viewer may ask for `what` about it. That they may not is told to the audit trail only: whoever
    /// is refused must not be able to write into a log that others read.
    pub(super) async fn permitted(&self, viewer: &Principal, id: ServiceId, what: Privilege) -> Result<Service> {
        let service = self.store.service_get(id).await?.ok_or(AppError::NotFound("service"))?;
        let Err(denied) = viewer.authorize(&service.project, what.permission()) else { return Ok(service) };
        audit::refused(viewer, what.as_str(), Object::Service(id), denied);
        Err(match denied {
            Denied::NotVisible => AppError::NotFound("service"),
            Denied::Missing(permission) => AppError::Forbidden(permission),
        })
    }
}

/// What `viewer` may do to `service` now: what its state allows and its kind is able to do. `is_kept` tells whether there is
/// something to go back to.
pub fn viewer_actions(viewer: &Principal, service: &Service, is_kept: bool) -> Vec<ServiceAction> {
    let kind = definition(service.wish.kind);
    let fits = |action| match action {
        ServiceAction::Upgrade => !kind.upgrades(&service.wish.version).is_empty() && service.operation.is_none(),
        ServiceAction::Revert => is_kept && service.operation.is_none(),
        ServiceAction::UpdateImage | ServiceAction::Restore => action.is_free(service),
        ServiceAction::Destroy => !service.lifetime.protected,
        action => action.is_allowed_during_upgrade() || !service.is_changing_version(),
    };
    ServiceAction::ALL
        .iter()
        .copied()
        .filter(|action| action.is_allowed_in(service.state) && kind.is_able(*action))
        .filter(|action| fits(*action))
        .filter(|action| viewer.authorize(&service.project, action.permission()).is_ok())
        .collect()
}
