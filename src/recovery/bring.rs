//! What every service is to be, once the database knows all of them.

use jiff::Timestamp;
use uuid::Uuid;

use super::import::whole;
use super::log::{reach, together};
use super::report::{Fate, Report, Restored};
use super::{Brought, Installation, RecoveryError, term};
use crate::clock::now;
use crate::crypto::Sealer;
use crate::domain::address::Publishing;
use crate::domain::backup::Backup;
use crate::domain::event::NewEvent;
use crate::domain::id::InstanceId;
use crate::domain::log::LogSection;
use crate::domain::node::NodeName;
use crate::domain::service::{Evidence, Operation, OperationKind, Power, Service, ServiceState};
use crate::domain::task::{Job, Task, TaskId};
use crate::engine::Survey;
use crate::store::{Guard, Store, StoreError, Write};

/// What an installation is brought back with.
pub struct Recovery<'a> {
    pub store: &'a dyn Store,
    pub sealer: &'a Sealer,
    pub installation: &'a Installation,
    /// What is on the engine of the installation's.
    pub survey: &'a Survey,
    /// Which node that is. What the database knows to be on others is left alone.
    pub node: NodeName,
    /// Where services are published that only their backups know of.
    pub publishing: Option<Publishing>,
    /// Whether what is kept of logs is left out.
    pub backup_only: bool,
    epoch: i64,
}

impl<'a> Recovery<'a> {
    pub fn new(
        store: &'a dyn Store,
        sealer: &'a Sealer,
        installation: &'a Installation,
        survey: &'a Survey,
        publishing: Option<Publishing>,
    ) -> Self {
        Self {
            store,
            sealer,
            installation,
            survey,
            node: NodeName::default(),
            publishing,
            backup_only: false,
            epoch: 0,
        }
    }
}

/// Brings it back into a database that is open. `skipped` is what could not be used up to now.
///
/// # Errors
/// `Serving` where a server works on the database, or begins to meanwhile; what was written until then stays.
pub async fn bring_back(
    mut recovery: Recovery<'_>,
    database: Brought,
    mut skipped: Vec<String>,
) -> Result<Report, RecoveryError> {
    let wanted = recovery.installation.id;
    let is = recovery.store.installation_claim(wanted).await?;
    if is != wanted {
        return Err(RecoveryError::AnotherInstallation { is, wanted });
    }
    let term = term::take(recovery.store, &recovery.node, database != Brought::WasThere).await?;
    recovery.epoch = term.epoch;
    let done = async {
        let imported = recovery.import(&mut skipped).await?;
        let mut services = Vec::new();
        for service in recovery.store.service_list_active().await? {
            if service.node != recovery.node {
                skipped.push(format!("{} {}: it is on the node {}", service.project, service.name, service.node));
            } else if service.wish.power != Power::Deleted {
                let fate = recovery.see_to(&service).await?;
                services.push((service, fate));
            }
        }
        services.sort_by(|(one, _), (other, _)| {
            (&one.project, &one.name.as_str()).cmp(&(&other.project, &other.name.as_str()))
        });
        Ok(Report { database, imported: (imported.services, imported.backups), services, skipped })
    }
    .await;
    // One that is not released is waited for by the next one only.
    if let Err(error) = recovery.store.term_release(&term).await {
        tracing::debug!(error = ?error, "The term could not be released");
    }
    done
}

impl Recovery<'_> {
    pub(super) fn guard<'b>(&self, read: &'b Service) -> Guard<'b> {
        Guard::Term { epoch: self.epoch, read }
    }

    pub(super) async fn commit(&self, write: Write<'_>) -> Result<(), RecoveryError> {
        match self.store.commit(write).await {
            Ok(_) => Ok(()),
            // Nobody but a server writes.
            Err(StoreError::Deposed | StoreError::Stale) => Err(RecoveryError::Serving),
            Err(error) => Err(error.into()),
        }
    }

    async fn see_to(&self, service: &Service) -> Result<Fate, RecoveryError> {
        if self.survey.instances.get(&service.instance).is_some_and(|seen| seen.volume) {
            return Ok(Fate::IsThere);
        }
        if !service.understood {
            return Ok(Fate::NotUnderstood);
        }
        let open = self.store.task_list_open(service.id).await?;
        let source = self.source_of(service).await?;
        if !service.evidence.initialised
            && let Some(task) = open.iter().find(|task| task.job == Job::Restore)
            && let Some(id) = task.backup
            && let Some(backup) = self.store.backup_get(id).await?.filter(|backup| backup.state.is_whole())
            && source.as_ref().is_none_or(|(newest, to, _)| newest.id != id || *to == task.recover_to)
        {
            return Ok(fate(service, &backup, task.recover_to));
        }
        match source {
            Some((backup, to, sections)) => {
                self.have_restored(service, (&backup, to), &sections, &open).await?;
                Ok(fate(service, &backup, to))
            }
            None if service.evidence.initialised => Ok(Fate::Lost),
            None => Ok(Fate::Empty),
        }
    }

    /// The newest backup, and the last moment that what is kept of the log goes on to from it, if it is to; with what is known of the
    /// log by now.
    async fn source_of(
        &self,
        service: &Service,
    ) -> Result<Option<(Backup, Option<Timestamp>, Vec<LogSection>)>, RecoveryError> {
        let Some(backup) = self.newest(service).await? else { return Ok(None) };
        let kept = self.installation.logs.get(&service.id).map_or(&[][..], Vec::as_slice);
        let sections = together(kept, &self.store.section_list(&[service.id]).await?);
        let time = backup.begun_at.zip(backup.ended_at);
        let reached = time.and_then(|time| reach(&sections, backup.instance, time));
        Ok(Some((backup, reached.filter(|_| !self.backup_only), sections)))
    }

    /// The newest backup that is whole where backups are kept, and not known to be bad.
    async fn newest(&self, service: &Service) -> Result<Option<Backup>, RecoveryError> {
        let Some(backups) = self.installation.services.get(&service.id) else { return Ok(None) };
        for (manifest, _) in whole(backups) {
            let row = self.store.backup_get(manifest.backup).await?;
            if let Some(row) = row.filter(|row| row.state.is_whole()) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Has the next server restore `backup`, up to `to`, into the service, which has nothing now, in the version that the backup is of.
    async fn have_restored(
        &self,
        service: &Service,
        (backup, to): (&Backup, Option<Timestamp>),
        sections: &[LogSection],
        open: &[Task],
    ) -> Result<(), RecoveryError> {
        let now = now();
        let mut after = service.clone();
        after.generation += 1;
        // What the lost one has written is kept by its name: what this one writes is another log.
        after.instance = InstanceId(Uuid::now_v7());
        after.wish.version.clone_from(&backup.version);
        (after.evidence, after.error) = (Evidence::default(), None);
        let image = service.evidence.served().filter(|_| service.wish.version == backup.version);
        after.evidence.note_served(image);
        (after.state, after.operation) = match service.wish.power {
            Power::On => (ServiceState::Pending, Some(Operation::queued(OperationKind::Restore, now))),
            Power::Off | Power::Deleted => (ServiceState::Stopped, None),
        };
        let task = Task::new(TaskId(Uuid::now_v7()), service.id, Job::Restore, now);
        // What was to be changed of what it ran is gone with that.
        let over = open.iter().filter(|task| task.job.changes_version()).map(|task| task.cancelled(now));
        let tasks: Vec<_> = over.chain([Task { backup: Some(backup.id), recover_to: to, ..task }]).collect();
        let event = NewEvent::to_be_recovered(service, (backup, to), now);
        let write = Write {
            service: Some(&after),
            tasks: &tasks,
            sections,
            event: Some(&event),
            ..Write::new(self.guard(service), now)
        };
        self.commit(write).await
    }
}

fn fate(service: &Service, backup: &Backup, to: Option<Timestamp>) -> Fate {
    let to = Restored { backup: backup.begun_at.unwrap_or(backup.created_at), to };
    if service.wish.power == Power::On { Fate::Restored(to) } else { Fate::RestoredAtStart(to) }
}
