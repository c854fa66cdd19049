//! How long services are there: protection from being destroyed, an expiry, and the end of a whole project.

use std::sync::Arc;

use jiff::Timestamp;

use super::actions::{ATTEMPTS, too_fast};
use super::backups::has_last_backup;
use super::{App, AppError, Committed, Result, now};
use crate::audit::{self, Object};
use crate::domain::backup::Backup;
use crate::domain::event::NewEvent;
use crate::domain::id::{ProjectId, ServiceId};
use crate::domain::lifecycle::{Privilege, ServiceAction};
use crate::domain::lifetime::Unfit;
use crate::domain::page::{Page, ServiceFilter};
use crate::domain::permission::{Permission, Principal};
use crate::domain::service::{Service, ServiceState};
use crate::store::{Guard, StoreError, Write};

/// Services that are read at once.
const PAGE: u32 = 100;

/// Why a lifetime is not what `field` asks for.
pub(super) fn unfit(why: Unfit, field: &'static str) -> AppError {
    match why {
        Unfit::Protected => AppError::Conflict {
            field,
            message: "What is protected from being destroyed can't have an expiry: take one of the two back first."
                .to_owned(),
        },
        Unfit::Expires(at) => AppError::Conflict {
            field,
            message: format!("It is to be destroyed at {at:.0}: take its expiry back first, with setExpiry."),
        },
        Unfit::TooSoon => {
            AppError::BadInput { field, message: "An expiry has to be at least a minute ahead.".to_owned() }
        }
    }
}

/// How a project's services end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Not where one is protected from that.
    Unprotected,
    /// Whatever is protected.
    Forced,
    /// Each once a last backup of it is verified; not where one is protected, or can't be backed up.
    BackedUp,
}

/// The name of a service that can't be backed up once more now, and why.
fn obstacle<'a>(service: &'a Service, open: &[Backup]) -> Option<(&'a str, &'static str)> {
    if service.state == ServiceState::Destroying {
        return None;
    }
    let why = match has_last_backup(service, open).err()? {
        AppError::NotSupported { .. } => "there is no way to back up its kind",
        AppError::NotUnderstood => "a newer version of the server works on it",
        AppError::InvalidState(invalid) => invalid.state.as_str(),
        _ => "something else is being done to it",
    };
    Some((service.name.as_str(), why))
}

/// Nobody destroys what is protected.
pub(super) fn is_protected(service: &Service) -> AppError {
    let name = &service.name;
    let message = format!(
        "{name} is protected from being destroyed: take that back first, with setDeletionProtection, if it is to go."
    );
    AppError::Conflict { field: "id", message }
}

impl App {
    /// Protects a service from being destroyed, or takes that back. What is so already gives no event.
    pub async fn set_protection(&self, viewer: &Principal, id: ServiceId, enabled: bool) -> Result<Committed> {
        let change = |service: &Service, _| {
            let lifetime = service.lifetime.with_protection(enabled).map_err(|why| unfit(why, "enabled"))?;
            Ok(Service { lifetime, ..service.clone() })
        };
        self.set(viewer, id, Privilege::Protect, change, NewEvent::protection_set).await
    }

    /// Has a service destroyed at a time, or never. What is so already gives no event.
    pub async fn set_expiry(&self, viewer: &Principal, id: ServiceId, at: Option<Timestamp>) -> Result<Committed> {
        let change = |service: &Service, now| {
            let lifetime = service.lifetime.with_expiry(at, now).map_err(|why| unfit(why, "expiresAt"))?;
            Ok(Service { lifetime, ..service.clone() })
        };
        self.set(viewer, id, Privilege::Expire, change, NewEvent::expiry_set).await
    }

    /// Writes what `change` makes of a service that is there, of what nobody has to do anything about at once; no event where
    /// that is nothing new.
    pub(super) async fn set(
        &self,
        viewer: &Principal,
        id: ServiceId,
        what: Privilege,
        change: impl Fn(&Service, Timestamp) -> Result<Service>,
        event: fn(&Service, &str, Timestamp) -> NewEvent,
    ) -> Result<Committed> {
        for _ in 0..ATTEMPTS {
            let before = self.permitted(viewer, id, what).await?;
            if !before.understood {
                return Err(AppError::NotUnderstood);
            }
            if matches!(before.state, ServiceState::Destroying | ServiceState::Destroyed) {
                let message = "It is destroyed, or about to be.".to_owned();
                return Err(AppError::Conflict { field: "id", message });
            }
            let now = now();
            let after = change(&before, now)?;
            if after == before {
                return Ok(Committed { service: before, event: None });
            }
            let event = event(&after, &viewer.subject, now);
            let guard = Guard::Revision(&before);
            let write = Write { service: Some(&after), event: Some(&event), ..Write::new(guard, now) };
            match self.store.commit(write).await {
                Ok(committed) => {
                    self.hints.project_changed(&committed.service.project);
                    self.hints.ask_for_snapshot();
                    audit::accepted(viewer, what.as_str(), Object::Service(id));
                    return Ok(committed);
                }
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_fast())
    }

    /// Destroys all services of a project, one after the other, and gives back those that are not gone yet. Nothing is done
    /// where one stands in the way. Called again, it goes on where it was.
    pub async fn destroy_project(
        &self,
        viewer: &Principal,
        project: &ProjectId,
        ending: Ending,
    ) -> Result<Vec<Service>> {
        viewer.authorize(project, Permission::ProjectDelete).inspect_err(|denied| {
            audit::refused(viewer, "DESTROY_PROJECT", Object::Project(project), denied);
        })?;
        let mut services = self.services_of(project).await?;
        let protected: Vec<_> = services.iter().filter(|service| service.lifetime.protected).collect();
        if ending != Ending::Forced && !protected.is_empty() {
            let names: Vec<_> = protected.iter().map(|service| service.name.as_str()).collect();
            let message = format!(
                "Protected from being destroyed: {}. Take that back, or use force. Nothing was done.",
                names.join(", ")
            );
            return Err(AppError::Conflict { field: "projectId", message });
        }
        if ending == Ending::BackedUp {
            let open = self.store.backup_list_open(None).await?;
            let obstacles = services.iter().filter_map(|service| obstacle(service, &open));
            let named: Vec<_> = obstacles.map(|(name, why)| format!("{name} ({why})")).collect();
            if !named.is_empty() {
                let message = format!(
                    "Can't be backed up now: {}. Start what is stopped, wait for what is under way, or destroy those without. \
                     Nothing was done.",
                    named.join(", ")
                );
                return Err(AppError::Conflict { field: "finalBackup", message });
            }
        }
        audit::accepted(viewer, "DESTROY_PROJECT", Object::Project(project));
        let mut left = None;
        for service in &mut services {
            let asked = match ending {
                Ending::BackedUp if service.state != ServiceState::Destroying => {
                    self.destroy_after_backup(viewer, service.id).await
                }
                _ => self.act_on(viewer, service.id, ServiceAction::Destroy, ending == Ending::Forced).await,
            };
            match asked {
                Ok(committed) => *service = committed.service,
                // The reconciler was faster.
                Err(AppError::InvalidState(_)) => {}
                // The others go all the same.
                Err(error @ AppError::NotUnderstood) => left = Some(error),
                Err(AppError::Conflict { message, .. }) => {
                    return Err(AppError::Conflict { field: "projectId", message });
                }
                Err(error) => return Err(error),
            }
        }
        left.map_or(Ok(services), Err)
    }

    async fn services_of(&self, project: &ProjectId) -> Result<Vec<Service>> {
        let (mut services, mut after) = (Vec::new(), None);
        loop {
            let page = Page { after, before: None, limit: PAGE, from_end: false };
            let found = self.store.service_list(project, &ServiceFilter::default(), page).await?;
            services.extend(found.rows.into_iter().map(Arc::unwrap_or_clone));
            after = services.last().map(|service: &Service| service.id);
            if !found.has_more {
                return Ok(services);
            }
        }
    }
}
