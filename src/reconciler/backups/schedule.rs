//! Backups that policies ask for, and the end of those that they keep no longer.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::domain::backup::{Backup, BackupOrigin, BackupState};
use crate::domain::backup_policy::{BackupPlan, expired};
use crate::domain::event::NewEvent;
use crate::domain::id::{BackupId, ServiceId};
use crate::domain::service::{Service, ServiceState};
use crate::reconciler::Reconciler;
use crate::store::{Guard, StoreError, Write};

/// How many services are seen to in one round.
const ROUND: u32 = 100;
/// How often the backups of a destroyed service are looked through.
const DAY: SignedDuration = SignedDuration::from_hours(24);

impl Reconciler {
    /// Asks for the backups that are due. What was due while no server ran, or the service did not, is taken once.
    pub async fn keep_schedules(&self) {
        let now = (self.clock)();
        let due = self.store.service_list_backup_due(&self.node, now, ROUND).await.unwrap_or_else(|error| {
            tracing::debug!(error = ?error, "What is due could not be listed; the next round tries again");
            Vec::new()
        });
        for service in due.into_iter().filter(|service| service.understood) {
            let kept = match service.state {
                ServiceState::Destroyed => self.look_through(&service, now).await,
                _ => self.take_by_schedule(&service, now).await,
            };
            match kept {
                // Somebody was quicker, or a backup of it is under way: the next round finds out.
                Ok(()) | Err(StoreError::Stale) => {}
                Err(error) => tracing::debug!(service = %service.id, error = ?error, "A backup has to wait"),
            }
        }
    }

    async fn take_by_schedule(&self, service: &Service, now: Timestamp) -> Result<(), StoreError> {
        let Some(policy) = &service.backup_plan.policy else { return self.plan(service, None, now).await };
        if service.is_changing_version() {
            return Ok(());
        }
        let id = BackupId(Uuid::now_v7());
        let asked = Backup::new(id, service, BackupOrigin::Scheduled, None, now);
        let backup = Backup { to_verify: policy.verify, ..asked };
        let event = NewEvent::backup_due(&backup, now);
        let after = Service { backup_plan: service.backup_plan.begun(service.id, now), ..service.clone() };
        let guard = Guard::Term { epoch: self.epoch(), read: service };
        let backups = std::slice::from_ref(&backup);
        let write = Write { service: Some(&after), backups, event: Some(&event), ..Write::new(guard, now) };
        self.store.commit(write).await?;
        self.hints.project_changed(&service.project);
        Ok(())
    }

    /// What is left of a destroyed service goes with its time.
    async fn look_through(&self, service: &Service, now: Timestamp) -> Result<(), StoreError> {
        self.let_go(service.id, now).await?;
        let is_left = self.scheduled_of(service.id).await?.len() > 1;
        self.plan(service, is_left.then(|| now + DAY), now).await
    }

    pub(in crate::reconciler) async fn plan(
        &self,
        service: &Service,
        due_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let backup_plan = BackupPlan { due_at, ..service.backup_plan.clone() };
        let after = Service { backup_plan, ..service.clone() };
        let guard = Guard::Term { epoch: self.epoch(), read: service };
        self.store.commit(Write { service: Some(&after), ..Write::new(guard, now) }).await.map(|_| ())
    }

    /// Has those of a service's backups removed that its policy keeps no longer.
    pub(super) async fn let_go(&self, id: ServiceId, now: Timestamp) -> Result<(), StoreError> {
        let Some(service) = self.store.service_get(id).await? else { return Ok(()) };
        let Some(policy) = service.backup_plan.policy.as_ref().filter(|_| service.understood) else { return Ok(()) };
        let backups = self.scheduled_of(id).await?;
        for backup in expired(policy.keep, &backups, service.state == ServiceState::Destroyed, now) {
            let written = self.write_backup(backup, |row| {
                let event = NewEvent::backup_expired(row, now);
                let is_idle = (row.state.is_whole() || row.state == BackupState::Failed) && !row.to_verify;
                is_idle.then(|| (row.deleting(), Some(event)))
            });
            written.await?;
        }
        Ok(())
    }

    async fn scheduled_of(&self, id: ServiceId) -> Result<Vec<Backup>, StoreError> {
        let all = self.store.backup_list_all(&[id]).await?;
        Ok(all.into_iter().filter(|backup| backup.origin == BackupOrigin::Scheduled).collect())
    }
}
