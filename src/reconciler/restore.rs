//! What a backup holds is brought into an instance that nobody reaches, where it is read once to see that it can be. Until that is
//! done nothing of the instance serves anybody; a try that was broken off is thrown away.
//!
//! The instance is that of a service which has no data yet, or else another one: never is it one that was used.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::backups::{FLOWING, Trouble, able_now};
use super::execute::{COMPLAINT, Done, command};
use super::look::pause_after;
use super::rules::Failure;
use super::steps::Step;
use super::{Reconciler, things};
use crate::catalog::access::Access;
use crate::catalog::backup::Backup as Ability;
use crate::catalog::definition;
use crate::catalog::deployment::Deployment;
use crate::domain::backup::{Backup, BackupErrorCode, BackupState};
use crate::domain::event::NewEvent;
use crate::domain::image::Image;
use crate::domain::observed::ContainerStatus;
use crate::domain::service::{ErrorCode, Operation, OperationPhase, Service};
use crate::domain::task::{Job, Task, TaskId};
use crate::engine::{Command, Ended, Flow, Target};
use crate::repository::{Manifest, Object, Secret};
use crate::store::{Guard, StoreError, Write};

mod bring;
mod content;
mod copy;
mod in_place;
mod replay;

pub(super) use content::Content;

/// What a service has its data of.
enum Origin {
    /// Up to a later moment than its own, if one is given.
    Backup(Box<Backup>, Option<Timestamp>),
    Service(Box<Service>),
}

/// What has come of an instance that was given data.
struct Filled {
    /// It was read with this one.
    image: Image,
    /// Whether it was copied from volume to volume.
    by_files: bool,
}

impl Origin {
    /// How much there is, in bytes, as far as that is known.
    fn bytes(&self) -> u64 {
        match self {
            Self::Backup(backup, _) => backup.content_bytes,
            Self::Service(source) => source.evidence.storage.used_mib.unwrap_or_default() << 20,
        }
    }
}

/// How long a server may take to read what was laid out for it.
const READY: Duration = Duration::from_secs(30 * 60);
/// The exit code of what was killed.
const KILLED: i64 = 128 + 9;
/// How many of the last lines of a server's output are told of one that does not start.
const LINES: usize = 20;

impl Reconciler {
    /// What is written beside a backup's content, which opens it.
    pub(super) async fn manifest_of(&self, backup: &Backup) -> Result<(Manifest, Secret), Trouble> {
        let object = backup.object.clone().ok_or(Trouble::Left)?;
        let object = Object::from_stored(backup.id, object);
        Ok(self.settings.backups.repository.read_manifest(&object, &self.sealer).await?)
    }

    /// What comes of a restore that fails. Where what it is restored into was killed or is gone, that says nothing of the backup,
    /// and it is tried again.
    pub(super) async fn unrestorable(&self, new: &Service, message: String) -> Trouble {
        let seen = self.engine.look(new.instance, &self.image(new)).await;
        let status = seen.map(|seen| seen.container.map(|container| container.status));
        match status {
            Err(error) => error.into(),
            Ok(None | Some(ContainerStatus::Exited { exit_code: KILLED, out_of_memory: false })) => {
                let message = "What it was being restored into was killed.";
                Trouble::passing(BackupErrorCode::EngineUnavailable, message)
            }
            Ok(_) => Trouble::lasting(BackupErrorCode::RestoreFailed, message),
        }
    }

    /// The same where a command there has ended so. One that was killed may have been so with its container, of which the
    /// engine tells only a moment later.
    pub(super) async fn not_restored(&self, new: &Service, ended: &Ended, message: String) -> Trouble {
        let was_killed = matches!(ended.exit_code, None | Some(KILLED));
        match self.unrestorable(new, message).await {
            Trouble::Failed { code, message, .. } if was_killed => Trouble::passing(code, message),
            trouble => trouble,
        }
    }

    /// Restores a backup into a service: into its own instance where that has no data yet, and beside it where it has.
    pub(super) async fn restore(&self, service: &Service, task: TaskId, interrupt: &Notify) -> Done {
        let open = match self.store.task_list_open(service.id).await {
            Ok(open) => open,
            Err(error) => return Done::StoreFailed(error),
        };
        let Some(task) = open.into_iter().find(|open| open.id == task) else { return Done::Tried };
        if service.evidence.initialised && task.job == Job::Restore {
            return self.restore_in_place(service, task, interrupt).await;
        }
        let step = Step::Restore(task.id);
        let restored = {
            let mut restoring = std::pin::pin!(self.restore_new(service, &task));
            loop {
                tokio::select! {
                    restored = &mut restoring => break restored,
                    () = interrupt.notified() => {
                        if self.is_left(service, &step, step.traits().left).await {
                            break Err(Trouble::Left);
                        }
                    }
                }
            }
        };
        match restored {
            Ok(()) | Err(Trouble::Left) => Done::Tried,
            Err(Trouble::Store(error)) => Done::StoreFailed(error),
            Err(Trouble::Failed { message, tries, .. }) => self.note_unrestored(service, &task, &message, tries).await,
        }
    }

    async fn restore_new(&self, service: &Service, task: &Task) -> Result<(), Trouble> {
        if service.evidence.initialised {
            return Err(Trouble::lasting(BackupErrorCode::RestoreFailed, "It has data of its own."));
        }
        let _slot = self.lanes.bulk(&service.project).await;
        let access = self.access(service).await?;
        let mut new = service.clone();
        new.evidence.initialised = true;
        if task.job == Job::Clone {
            // What was broken off may hold on to the volume of a source that is gone by now.
            self.engine.remove(&Target::Container(new.instance)).await?;
        }
        let origin = self.origin_of(task).await?;
        new.evidence.note_served(self.image_of(&origin, &new.wish.version).await?);
        self.fetch_beside(&mut new).await?;
        let (progress, flowed) = watch::channel(0);
        let filled = tokio::select! {
            filled = self.fill(&new, &access, &origin, &progress) => filled,
            never = self.tell_restored(service, flowed, origin.bytes()) => never,
        };
        if let (Err(Trouble::Failed { .. }), Origin::Service(source)) = (&filled, &origin) {
            // What is wrong with the source says more than that its data has ended.
            able_now(&self.store.service_get(source.id).await?.ok_or(Trouble::Left)?)?;
        }
        self.note_restored(service, task, &origin, filled?).await
    }

    /// Has the instance of `new` hold what `origin` does, and leaves its volume alone there.
    async fn fill(
        &self,
        new: &Service,
        access: &Access,
        origin: &Origin,
        progress: &watch::Sender<u64>,
    ) -> Result<Filled, Trouble> {
        let content = match origin {
            Origin::Backup(backup, to) => self.content_of(backup, *to).await?,
            Origin::Service(source) => {
                if let Some(image) = self.copied(new, access, source, progress).await? {
                    return Ok(Filled { image, by_files: true });
                }
                let able = able_now(source)?;
                Content::of_service(&self.engine, source, self.access(source).await?, able)
            }
        };
        Ok(Filled { image: self.bring_to_rest(new, access, content, progress).await?, by_files: false })
    }

    /// What a service without data is given.
    async fn origin_of(&self, task: &Task) -> Result<Origin, Trouble> {
        if let Some(id) = task.source {
            let gone = || Trouble::lasting(BackupErrorCode::ServiceDestroyed, "What it is to be a clone of is gone.");
            let source = self.store.service_get(id).await?.ok_or_else(gone)?;
            able_now(&source)?;
            return Ok(Origin::Service(Box::new(source)));
        }
        let gone = || Trouble::lasting(BackupErrorCode::Missing, "The backup is not there any more.");
        let id = task.backup.ok_or_else(gone)?;
        let backup = self.store.backup_get(id).await?.filter(|backup| backup.state.is_whole()).ok_or_else(gone)?;
        Ok(Origin::Backup(Box::new(backup), task.recover_to))
    }

    /// The image that what is to be had was written by, as far as that is known: that of the service which wrote it.
    async fn image_of(&self, origin: &Origin, version: &str) -> Result<Option<Image>, Trouble> {
        let source = match origin {
            Origin::Service(source) => Some((**source).clone()),
            Origin::Backup(backup, _) => self.store.service_get(backup.service).await?,
        };
        Ok(source.filter(|source| source.wish.version == version).and_then(|source| source.evidence.served()))
    }

    /// What a backup holds, and what it goes on with to a later moment.
    async fn content_of(&self, backup: &Backup, recover_to: Option<Timestamp>) -> Result<Content, Trouble> {
        let (manifest, secret) = self.manifest_of(backup).await?;
        let mut content = Content::of_backup(&self.settings.backups.repository, (&manifest, &secret)).await?;
        content.is_verified = backup.state == BackupState::Verified;
        if let Some(to) = recover_to {
            content.replay = Some(Box::new(self.replay_of(backup, to).await?));
        }
        Ok(content)
    }

    /// From here on the service has data, which is never made anew.
    async fn note_restored(
        &self,
        service: &Service,
        task: &Task,
        origin: &Origin,
        filled: Filled,
    ) -> Result<(), Trouble> {
        for _ in 0..super::backups::WRITES {
            let row = self.store.service_get(service.id).await?.ok_or(Trouble::Left)?;
            if row.generation != service.generation {
                return Err(Trouble::Left);
            }
            let now = (self.clock)();
            let mut after = row.clone();
            after.evidence.initialised = true;
            after.evidence.note_served(Some(filled.image.clone()));
            let begun = after.operation.take().unwrap_or_else(|| Operation::queued(task.job.operation(), now));
            after.operation = Some(Operation {
                phase: OperationPhase::CreatingContainer,
                progress_percent: None,
                deadline: None,
                ..begun
            });
            let event = match origin {
                Origin::Backup(backup, to) => NewEvent::restored(&row, (backup, *to), now),
                Origin::Service(source) => NewEvent::cloned(&row, source, filled.by_files, now),
            };
            let guard = Guard::Term { epoch: self.epoch(), read: &row };
            let tasks = &[task.done(now)];
            let write = Write { service: Some(&after), tasks, event: Some(&event), ..Write::new(guard, now) };
            match self.store.commit(write).await {
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    self.hints.project_changed(&service.project);
                    return Ok(());
                }
            }
        }
        Err(StoreError::Stale.into())
    }

    async fn note_unrestored(&self, service: &Service, task: &Task, why: &str, tries: u32) -> Done {
        let now = (self.clock)();
        let what = if task.job == Job::Clone { "cloned" } else { "restored" };
        let message = format!("It could not be {what}: {why}");
        let failure = Failure { code: ErrorCode::RestoreFailed, message };
        let (code, message) = (failure.code, failure.message.clone());
        let task = match tries {
            1 => task.refused(code, message, now),
            _ => task.failed(code, message, pause_after(task.attempts.saturating_add(1)), now),
        };
        let row = match self.store.service_get(service.id).await {
            Ok(Some(row)) => row,
            Ok(None) => return Done::Tried,
            Err(error) => return Done::StoreFailed(error),
        };
        let guard = Guard::Term { epoch: self.epoch(), read: &row };
        match self.store.commit(Write { tasks: &[task], ..Write::new(guard, now) }).await {
            Ok(_) => Done::Noted(failure),
            Err(error) => Done::StoreFailed(error),
        }
    }

    /// Shows how much of it is there, once a second.
    async fn tell_restored<T>(&self, service: &Service, flowed: watch::Receiver<u64>, all: u64) -> T {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let Ok(Some(row)) = self.store.service_get(service.id).await else { continue };
            let percent = u8::try_from(*flowed.borrow() * 100 / all.max(1)).map_or(99, |percent| percent.min(99));
            let shown = row.operation.as_ref().and_then(|operation| operation.progress_percent);
            if row.generation == service.generation && shown.is_none_or(|shown| shown < percent) {
                let _ = self.note_progress(&row, Some(percent), (self.clock)()).await;
            }
        }
    }
}
