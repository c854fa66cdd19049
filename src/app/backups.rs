//! Backups: asked for, listed, verified and deleted.

use std::collections::HashMap;

use uuid::Uuid;

use super::actions::{ATTEMPTS, busy, too_fast};
use super::lifetime::is_protected;
use super::queries::by_page;
use super::{App, AppError, Committed, Result, now, visible};
use crate::audit::{self, Object};
use crate::catalog::definition;
use crate::domain::backup::{Backup, BackupOrigin, BackupState};
use crate::domain::event::{NewEvent, ServiceEvent};
use crate::domain::id::{BackupId, ServiceId};
use crate::domain::lifecycle::{InvalidState, Privilege, ServiceAction};
use crate::domain::page::{Page, Slice};
use crate::domain::permission::Principal;
use crate::domain::service::Service;
use crate::store::{BackupsOf, Guard, StoreError, Write};

/// The longest note, in characters.
pub const MAX_NOTE: usize = 200;

/// A page of a service's backups.
pub type BackupPage = (ServiceId, Page<BackupId>);

/// A backup that was asked for something, and the event of that; None where nothing was written.
pub struct Asked {
    pub backup: Backup,
    pub event: Option<ServiceEvent>,
}

impl App {
    /// Asks for a backup of a running service. One that is under way already is given back, with no event.
    pub async fn create_backup(&self, viewer: &Principal, id: ServiceId, note: Option<String>) -> Result<Asked> {
        let action = ServiceAction::CreateBackup;
        let note = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
        if note.as_ref().is_some_and(|note| note.chars().count() > MAX_NOTE) {
            let message = format!("It has at most {MAX_NOTE} characters.");
            return Err(AppError::BadInput { field: "note", message });
        }
        for _ in 0..ATTEMPTS {
            let service = self.permitted(viewer, id, Privilege::Act(action)).await?;
            able(&service)?;
            if let Some(backup) = self.backup_under_way(id).await? {
                return Ok(Asked { backup, event: None });
            }
            ready(&service)?;
            let now = now();
            let backup = Backup::new(BackupId(Uuid::now_v7()), &service, BackupOrigin::Manual, note.clone(), now);
            let event = NewEvent::backup_requested(&backup, &viewer.subject, now);
            if let Some(asked) = self.ask_for(viewer, (action.as_str(), backup), &event).await? {
                return Ok(asked);
            }
        }
        Err(too_fast())
    }

    /// Has a running service backed up once more, and destroyed once that backup is verified; gives the event of that, or none
    /// where it was asked for before.
    pub async fn destroy_after_backup(&self, viewer: &Principal, id: ServiceId) -> Result<Committed> {
        let action = ServiceAction::Destroy;
        for _ in 0..ATTEMPTS {
            let service = self.permitted(viewer, id, Privilege::Act(action)).await?;
            if has_last_backup(&service, &self.store.backup_list_open(None).await?)? {
                return Ok(Committed { service, event: None });
            }
            let now = now();
            let backup = Backup::new(BackupId(Uuid::now_v7()), &service, BackupOrigin::Final, None, now);
            let backup = Backup { to_verify: true, ..backup };
            let event = NewEvent::final_backup_requested(&backup, &viewer.subject, now);
            if let Some(asked) = self.ask_for(viewer, (action.as_str(), backup), &event).await? {
                return Ok(Committed { service, event: asked.event });
            }
        }
        Err(too_fast())
    }

    /// Has a backup restored once, where nobody reaches it, to see that it can be.
    pub async fn verify_backup(&self, viewer: &Principal, id: BackupId) -> Result<Asked> {
        let privilege = Privilege::VerifyBackup;
        for _ in 0..ATTEMPTS {
            let backup = self.permitted_backup(viewer, id, privilege).await?;
            if backup.to_verify {
                return Ok(Asked { backup, event: None });
            }
            if !backup.is_kept() {
                return Err(not_whole(&backup));
            }
            let event = NewEvent::verification_requested(&backup, &viewer.subject, now());
            let after = backup.asked_to_verify();
            if let Some(asked) = self.ask_for(viewer, (privilege.as_str(), after), &event).await? {
                return Ok(asked);
            }
        }
        Err(too_fast())
    }

    /// Has a backup removed for good, from where it is kept as well.
    pub async fn delete_backup(&self, viewer: &Principal, id: BackupId) -> Result<Asked> {
        let privilege = Privilege::DeleteBackup;
        for _ in 0..ATTEMPTS {
            let backup = self.permitted_backup(viewer, id, privilege).await?;
            if backup.state == BackupState::Deleting {
                return Ok(Asked { backup, event: None });
            }
            let event = NewEvent::backup_deletion_requested(&backup, &viewer.subject, now());
            let after = backup.deleting();
            if let Some(asked) = self.ask_for(viewer, (privilege.as_str(), after), &event).await? {
                return Ok(asked);
            }
        }
        Err(too_fast())
    }

    /// None when it does not exist or is of a project that the viewer does not see.
    pub async fn backup(&self, viewer: &Principal, id: BackupId) -> Result<Option<Backup>> {
        Ok(self.store.backup_get(id).await?.filter(|backup| viewer.sees(&backup.project)))
    }

    /// A page of backups, the newest first. A service is one that the viewer was given.
    pub async fn backups(&self, viewer: &Principal, of: &BackupsOf, page: Page<BackupId>) -> Result<Slice<Backup>> {
        if let BackupsOf::Project(project) = of {
            visible(viewer, project)?;
        }
        Ok(self.store.backup_list(of, page).await?)
    }

    /// Pages of services' backups, with one query for each page that differs. The services are such that the viewer was given; one
    /// without backups may be left out.
    pub async fn backups_of(&self, pages: &[BackupPage]) -> Result<HashMap<BackupPage, Slice<Backup>>> {
        let mut found = HashMap::new();
        for (page, services) in by_page(pages) {
            if let [service] = *services {
                found.insert((service, page), self.store.backup_list(&BackupsOf::Service(service), page).await?);
                continue;
            }
            let slices = self.store.backup_list_of_services(&services, page).await?;
            found.extend(slices.into_iter().map(|(service, slice)| ((service, page), slice)));
        }
        Ok(found)
    }

    /// How many backups there are. A service is one that the viewer was given.
    pub async fn backup_count(&self, viewer: &Principal, of: &BackupsOf) -> Result<u64> {
        if let BackupsOf::Project(project) = of {
            visible(viewer, project)?;
        }
        Ok(self.store.backup_count(of).await?)
    }

    async fn backup_under_way(&self, id: ServiceId) -> Result<Option<Backup>> {
        let open = self.store.backup_list_open(None).await?;
        Ok(open.into_iter().find(|backup| backup.service == id && backup.state.is_open()))
    }

    pub(super) async fn permitted_backup(&self, viewer: &Principal, id: BackupId, what: Privilege) -> Result<Backup> {
        let backup = self.store.backup_get(id).await?.ok_or(AppError::NotFound("backup"))?;
        match self.permitted(viewer, backup.service, what).await {
            Ok(_) => Ok(backup),
            Err(AppError::NotFound(_)) => Err(AppError::NotFound("backup")),
            Err(error) => Err(error),
        }
    }

    /// Writes a backup as it is to be; None where somebody was quicker.
    async fn ask_for(
        &self,
        viewer: &Principal,
        (action, backup): (&'static str, Backup),
        event: &NewEvent,
    ) -> Result<Option<Asked>> {
        let Some(service) = self.store.service_get(backup.service).await? else {
            return Err(AppError::NotFound("service"));
        };
        let backups = std::slice::from_ref(&backup);
        let write = Write { backups, event: Some(event), ..Write::new(Guard::Revision(&service), event.occurred_at) };
        match self.store.commit(write).await {
            Ok(committed) => {
                self.hints.project_changed(&backup.project);
                self.hints.ask_for_backups();
                audit::accepted(viewer, action, Object::Service(backup.service));
                let backup = Backup { revision: backup.revision + 1, ..backup };
                Ok(Some(Asked { backup, event: committed.event }))
            }
            Err(StoreError::Stale) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Refuses a service that can't be backed up, whatever its state.
pub(super) fn able(service: &Service) -> Result<()> {
    let (kind, action) = (definition(service.wish.kind), ServiceAction::CreateBackup);
    if !kind.is_able(action) {
        return Err(AppError::NotSupported { kind: kind.name, action });
    }
    if service.understood { Ok(()) } else { Err(AppError::NotUnderstood) }
}

/// Refuses a service that can't be backed up now.
pub(super) fn ready(service: &Service) -> Result<()> {
    let action = ServiceAction::CreateBackup;
    if !action.is_allowed_in(service.state) {
        return Err(AppError::InvalidState(InvalidState { action, state: service.state }));
    }
    if service.is_changing_version() { Err(busy(service)) } else { Ok(()) }
}

/// Whether a service's last backup, of those that are `open`, is under way; refuses a service that can't have one now.
pub(super) fn has_last_backup(service: &Service, open: &[Backup]) -> Result<bool> {
    able(service)?;
    if service.lifetime.protected {
        return Err(is_protected(service));
    }
    let of_it = || open.iter().filter(|backup| backup.service == service.id);
    if of_it().any(|backup| backup.origin == BackupOrigin::Final && backup.state != BackupState::Deleting) {
        return Ok(true);
    }
    if of_it().any(|backup| backup.state.is_open()) {
        let message = "A backup of it is under way; ask again once that has ended.".to_owned();
        return Err(AppError::Conflict { field: "finalBackup", message });
    }
    ready(service)?;
    Ok(false)
}

pub(super) fn not_whole(backup: &Backup) -> AppError {
    let message = format!("The backup is {}; one that is AVAILABLE or VERIFIED can be restored.", backup.state);
    AppError::Conflict { field: "backupId", message }
}
