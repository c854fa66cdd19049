//! Backups: each is seen to by a task of its own, beside whatever its service does. Its row says what is wanted; what was broken
//! off is begun anew, for what was written of it is put in the place of what is there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Reconciler;
use super::look::pause_after;
use crate::domain::backup::{Backup, BackupErrorCode, BackupOrigin, BackupState, TRIES};
use crate::domain::event::NewEvent;
use crate::domain::id::BackupId;
use crate::repository::{Object, RepositoryError};
use crate::store::{Guard, StoreError, Write};
use crate::telemetry::metrics;

mod ending;
mod schedule;
mod take;
mod trouble;
mod verify;

pub(super) use take::{FLOWING, WAITING, able_now};
pub(super) use trouble::Trouble;

/// How often backups are looked at, whether or not somebody asks for it.
const INTERVAL: Duration = Duration::from_secs(5);
/// How often a write is tried that another one was ahead of.
pub(super) const WRITES: u32 = 20;

impl Reconciler {
    pub(super) async fn see_to_backups(self: Arc<Self>) {
        let mut under_way = JoinSet::new();
        let mut tasks: HashMap<tokio::task::Id, BackupId> = HashMap::new();
        loop {
            // What checks nothing now was left behind, by an earlier term or where it could not be removed then.
            if tasks.is_empty() {
                self.clear_checks().await;
            }
            self.keep_schedules().await;
            let busy: HashSet<BackupId> = tasks.values().copied().collect();
            for backup in self.due_backups().await.into_iter().filter(|backup| !busy.contains(&backup.id)) {
                let (reconciler, id) = (Arc::clone(&self), backup.id);
                let task = under_way.spawn(async move { reconciler.see_to(backup).await });
                tasks.insert(task.id(), id);
            }
            tokio::select! {
                () = self.inbox.backup_asked_for() => {}
                () = tokio::time::sleep(INTERVAL) => {}
                Some(ended) = under_way.join_next_with_id() => {
                    let id = match ended {
                        Ok((id, ())) => id,
                        Err(error) => {
                            tracing::error!(%error, "What sees to a backup panicked");
                            error.id()
                        }
                    };
                    tasks.remove(&id);
                }
            }
        }
    }

    async fn due_backups(&self) -> Vec<Backup> {
        let now = (self.clock)();
        match self.store.backup_list_open(Some(&self.node)).await {
            Ok(open) => open.into_iter().filter(|backup| backup.is_due(now)).collect(),
            Err(error) => {
                tracing::debug!(error = ?error, "The backups could not be listed; the next round tries again");
                Vec::new()
            }
        }
    }

    async fn see_to(&self, backup: Backup) {
        let (action, done) = match backup.state {
            BackupState::Pending | BackupState::Running => ("TAKE_BACKUP", self.take_backup(&backup).await),
            BackupState::Deleting => ("DELETE_BACKUP", self.delete_backup(&backup).await),
            _ => ("VERIFY_BACKUP", self.verify_backup(&backup).await),
        };
        let outcome = done.as_ref().map_or_else(Trouble::outcome, |()| "OK");
        metrics::backup(action, outcome);
        let Err(trouble) = done else {
            let is_done = action == "VERIFY_BACKUP" || !backup.to_verify;
            if backup.origin == BackupOrigin::Scheduled
                && backup.state != BackupState::Deleting
                && is_done
                && let Err(error) = self.let_go(backup.service, (self.clock)()).await
            {
                tracing::debug!(service = %backup.service, error = ?error, "What its policy keeps no longer has to wait");
            }
            return;
        };
        tracing::warn!(backup = %backup.id, action, why = ?trouble, "A backup could not be seen to");
        if let Err(error) = self.note_trouble(backup.id, trouble).await {
            tracing::warn!(backup = %backup.id, error = ?error, "That could not be noted; it is tried again");
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Removes what is kept of it, and then the backup.
    async fn delete_backup(&self, backup: &Backup) -> Result<(), Trouble> {
        if let Some(object) = &backup.object {
            self.settings.backups.repository.remove(&Object::from_stored(backup.id, object.clone())).await?;
        }
        for _ in 0..WRITES {
            let (Some(row), Some(service)) =
                (self.store.backup_get(backup.id).await?, self.store.service_get(backup.service).await?)
            else {
                return Ok(());
            };
            let now = (self.clock)();
            let event = NewEvent::backup_deleted(&row, now);
            let guard = Guard::Term { epoch: self.epoch(), read: &service };
            match self.store.commit(Write { lost: Some(&row), event: Some(&event), ..Write::new(guard, now) }).await {
                Err(StoreError::Stale) => {}
                written => {
                    self.hints.project_changed(&backup.project);
                    return written.map(|_| ()).map_err(Trouble::from);
                }
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Writes what `change` makes of a backup as it is now, with the event of it; nothing where that is None.
    async fn write_backup(
        &self,
        id: BackupId,
        change: impl Fn(&Backup) -> Option<(Backup, Option<NewEvent>)> + Send + Sync,
    ) -> Result<Option<Backup>, StoreError> {
        for _ in 0..WRITES {
            let Some(row) = self.store.backup_get(id).await? else { return Ok(None) };
            let Some((after, event)) = change(&row) else { return Ok(None) };
            let Some(service) = self.store.service_get(row.service).await? else { return Ok(None) };
            let now = (self.clock)();
            let end = match row.ends_its_service(&after) {
                true => self.end_of(&service, now).await?,
                false => None,
            };
            let (event, ended, tasks) = match &end {
                Some(end) => (Some(&end.event), end.service.as_deref(), end.tasks.as_slice()),
                None => (event.as_ref(), None, [].as_slice()),
            };
            let guard = Guard::Term { epoch: self.epoch(), read: &service };
            let backups = std::slice::from_ref(&after);
            let write = Write { service: ended, tasks, backups, event, ..Write::new(guard, now) };
            match self.store.commit(write).await {
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    self.hints.project_changed(&row.project);
                    if ended.is_some() {
                        self.inbox.wake(service.id);
                    }
                    return Ok(Some(Backup { revision: row.revision + 1, ..after }));
                }
            }
        }
        Err(StoreError::Stale)
    }

    /// What passes is tried again after a while, for some time. A removal is tried for ever.
    async fn note_trouble(&self, id: BackupId, trouble: Trouble) -> Result<(), StoreError> {
        let (code, message, tries) = match trouble {
            Trouble::Left => return Ok(()),
            Trouble::Store(error) => return Err(error),
            Trouble::Failed { code, message, tries } => (code, message, tries),
        };
        self.write_backup(id, |row| {
            let now = (self.clock)();
            let goes_on = row.attempts + 1 < tries || row.state == BackupState::Deleting;
            let after = match row.state {
                _ if goes_on => {
                    // From some seconds to some minutes.
                    let pause = pause_after(row.attempts.saturating_add(4));
                    row.failed_once(code, message.clone(), pause, now)
                }
                // It is still whole as far as anybody knows.
                state if row.is_kept() && !tells_of_loss(code) => {
                    let failed = row.failed(code, message.clone(), now);
                    Backup { state, ..failed }
                }
                _ => row.failed(code, message.clone(), now),
            };
            let event = NewEvent::backup_changed(row, &after, now);
            Some((after, Some(event)))
        })
        .await
        .map(|_| ())
    }
}

/// Whether what a verification failed of says that the backup can't be restored.
fn tells_of_loss(code: BackupErrorCode) -> bool {
    matches!(code, BackupErrorCode::Damaged | BackupErrorCode::Missing | BackupErrorCode::RestoreFailed)
}

impl From<RepositoryError> for Trouble {
    fn from(error: RepositoryError) -> Self {
        use BackupErrorCode as Code;
        let failed = |code, message: String, tries| Self::Failed { code, message, tries };
        match error {
            RepositoryError::Unavailable(_) => {
                failed(Code::StoreUnavailable, "Where backups are kept does not answer.".to_owned(), TRIES)
            }
            RepositoryError::Full(_) => {
                failed(Code::StoreFull, "Where backups are kept has no room left.".to_owned(), TRIES)
            }
            RepositoryError::Refused(error) => {
                tracing::warn!(error = ?error, "Where backups are kept refuses");
                failed(Code::StoreRefused, "Where backups are kept refuses; its operator has to act.".to_owned(), 1)
            }
            RepositoryError::Missing(object) => failed(Code::Missing, format!("{object} is not there any more."), 1),
            RepositoryError::Damaged { object, why } => failed(Code::Damaged, format!("{object}: {why}."), 1),
            RepositoryError::Key(error) => failed(Code::KeyMissing, format!("Its key does not open: {error}."), 1),
            RepositoryError::Content(error) => failed(Code::SourceFailed, error.to_string(), 2),
        }
    }
}
