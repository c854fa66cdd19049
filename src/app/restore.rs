//! Restores: of a backup, or of a moment that a backup and what was written after it bring back.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::actions::{ATTEMPTS, too_fast};
use super::backups::not_whole;
use super::provision::{Origin, OriginOf, ProvisionRequest};
use super::{App, AppError, Committed, Result, now};
use crate::catalog::access::Access;
use crate::catalog::definition;
use crate::domain::backup::Backup;
use crate::domain::event::NewEvent;
use crate::domain::id::{BackupId, IdempotencyKey, ProjectId, ServiceId};
use crate::domain::lifecycle::{Privilege, ServiceAction};
use crate::domain::log::{RecoveryWindow, Span, source_of};
use crate::domain::name::ServiceName;
use crate::domain::permission::Principal;
use crate::domain::service::{Power, SizeTier};
use crate::domain::task::{Job, Task, TaskId};
use crate::repository::{self, Manifest, RepositoryError, Secret};

/// What is restored.
#[derive(Debug, Clone, Copy)]
pub enum RestoreFrom {
    Backup(BackupId),
    /// What the service held then.
    Moment(ServiceId, Timestamp),
}

/// What a restore makes a new service of.
#[derive(Debug, Clone)]
pub struct RestoreRequest {
    pub from: RestoreFrom,
    /// None: that of what is restored.
    pub project: Option<ProjectId>,
    /// None: made from the kind.
    pub name: Option<ServiceName>,
    /// None: that of what is restored.
    pub tier: Option<SizeTier>,
    pub idempotency_key: Option<IdempotencyKey>,
}

impl App {
    /// Has what is restored take the place of what its service has, and returns before it does. One that is being restored
    /// to the same already is given back as it is, with no event.
    pub async fn restore_in_place(&self, viewer: &Principal, from: RestoreFrom) -> Result<Committed> {
        let action = ServiceAction::Restore;
        for _ in 0..ATTEMPTS {
            let (backup, recover_to) = self.source_of(viewer, from, Privilege::Act(action)).await?;
            let before = self.permitted(viewer, backup.service, Privilege::Act(action)).await?;
            if !before.understood {
                return Err(AppError::NotUnderstood);
            }
            if before.wish.power == Power::Deleted {
                let message = format!("{} is destroyed: restore the backup into a new service.", before.name);
                return Err(AppError::Conflict { field: "into", message });
            }
            let kind = definition(before.wish.kind);
            if !kind.is_able(action) {
                return Err(AppError::NotSupported { kind: kind.name, action });
            }
            if !kind.offer.as_ref().is_some_and(|offer| offer.versions.contains(&backup.version.as_str())) {
                let message = format!("The backup is of version {}, which is not offered any more.", backup.version);
                return Err(AppError::Conflict { field: "backupId", message });
            }
            self.manifest_of(&backup).await?;
            check_fit(&backup, before.wish.tier.storage_mib, "backupId")?;
            let now = now();
            let task = Task::new(TaskId(Uuid::now_v7()), before.id, Job::Restore, now);
            let task = Task { backup: Some(backup.id), recover_to, ..task };
            let event = NewEvent::restore_requested(&before, (&backup, recover_to), &viewer.subject, now);
            if let Some(committed) = self.have_changed(viewer, &before, action, task, &event).await? {
                return Ok(committed);
            }
        }
        Err(too_fast())
    }

    /// Accepts a new service that is to have what a backup holds.
    pub async fn restore_into_new(&self, viewer: &Principal, request: RestoreRequest) -> Result<Committed> {
        let (backup, recover_to) = self.source_of(viewer, request.from, Privilege::RestoreBackup).await?;
        let size = request.tier.unwrap_or(backup.tier.tier);
        let offer = definition(backup.kind).offer.as_ref();
        let spec = offer.and_then(|offer| offer.tier(size)).unwrap_or(backup.tier);
        let (manifest, secret) = self.manifest_of(&backup).await?;
        check_fit(&backup, spec.storage_mib, "tier")?;
        let names = Access::from_bytes(&secret.access).map_err(|error| AppError::Internal(error.into()))?;
        let provision = ProvisionRequest {
            project: request.project.unwrap_or_else(|| backup.project.clone()),
            kind: backup.kind,
            tier: size,
            version: Some(manifest.version),
            name: request.name,
            idempotency_key: request.idempotency_key,
            origin: Some(Origin { of: OriginOf::Backup(backup.id, recover_to), names }),
            protected: false,
            expires_at: None,
        };
        self.provision(viewer, provision).await
    }

    /// The moments that each of the services can be brought back to; those that have none are left out.
    pub async fn recovery_windows(&self, services: &[ServiceId]) -> Result<HashMap<ServiceId, RecoveryWindow>> {
        let mut sections: HashMap<_, Vec<_>> = HashMap::new();
        for section in self.store.section_list(services).await? {
            sections.entry(section.service).or_default().push(section);
        }
        let kept: Vec<_> = sections.keys().copied().collect();
        let mut backups: HashMap<_, Vec<_>> = HashMap::new();
        if !kept.is_empty() {
            for backup in self.store.backup_list_all(&kept).await? {
                backups.entry(backup.service).or_default().push(backup);
            }
        }
        let (days, now) = (self.terms.recovery_days, now());
        let window = |(id, sections): (ServiceId, Vec<_>)| {
            let backups = backups.remove(&id).unwrap_or_default();
            Some((id, RecoveryWindow::new(&sections, &backups, days, now)?))
        };
        Ok(sections.into_iter().filter_map(window).collect())
    }

    /// The backup that a restore begins with, and the moment that it goes on to.
    async fn source_of(
        &self,
        viewer: &Principal,
        from: RestoreFrom,
        what: Privilege,
    ) -> Result<(Backup, Option<Timestamp>)> {
        let (id, at) = match from {
            RestoreFrom::Backup(id) => return Ok((self.permitted_backup(viewer, id, what).await?, None)),
            RestoreFrom::Moment(id, at) => (id, at),
        };
        let service = self.permitted(viewer, id, what).await?;
        let sections = self.store.section_list(&[id]).await?;
        let backups = self.store.backup_list_all(&[id]).await?;
        let window = RecoveryWindow::new(&sections, &backups, self.terms.recovery_days, now());
        let Some(window) = window else {
            let message =
                format!("What {} writes is not kept, or not yet: only its backups can be restored.", service.name);
            return Err(AppError::BadInput { field: "at", message });
        };
        let is_within = window.earliest() <= at && at <= window.latest();
        match source_of(&sections, &backups, at).filter(|_| is_within) {
            Some((_, backup)) => Ok((backup.clone(), Some(at))),
            None => Err(AppError::BadInput { field: "at", message: told(&window) }),
        }
    }

    /// What is written beside the content of a backup that is whole.
    async fn manifest_of(&self, backup: &Backup) -> Result<(Manifest, Secret)> {
        let object = backup.object.clone().filter(|_| backup.state.is_whole()).ok_or_else(|| not_whole(backup))?;
        let object = repository::Object::from_stored(backup.id, object);
        self.terms.repository.read_manifest(&object, &self.sealer).await.map_err(unreadable)
    }
}

/// Refuses a backup that holds more than a size is meant for.
fn check_fit(backup: &Backup, storage_mib: u32, field: &'static str) -> Result<()> {
    if backup.content_bytes <= u64::from(storage_mib) << 20 {
        return Ok(());
    }
    let needed = backup.content_bytes.div_ceil(1 << 20);
    let message = format!("What the backup holds needs {needed} MiB, and the size has {storage_mib} MiB.");
    Err(AppError::Conflict { field, message })
}

/// Which moments there are.
fn told(window: &RecoveryWindow) -> String {
    let gaps =
        window.gaps().map(|Span { from, to }| format!(" It can't be brought back to any between {from} and {to}."));
    let gaps: String = gaps.collect();
    format!("It can be brought back to any moment from {} to {}.{gaps}", window.earliest(), window.latest())
}

/// Why what is kept of a backup can't be read, for who wants to restore it.
fn unreadable(error: RepositoryError) -> AppError {
    let conflict = |message: String| AppError::Conflict { field: "backupId", message };
    match error {
        RepositoryError::Missing(object) => conflict(format!("{object} is not where backups are kept any more.")),
        RepositoryError::Damaged { object, why } => conflict(format!("{object} can't be used: {why}.")),
        RepositoryError::Key(error) => conflict(format!("The backup's key does not open: {error}.")),
        other => {
            AppError::Unanswered { why: "where backups are kept does not answer".to_owned(), cause: Some(other.into()) }
        }
    }
}
