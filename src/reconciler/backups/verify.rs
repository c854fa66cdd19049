//! A backup is verified: restored into an instance that nobody reaches, and read as a whole.

use uuid::Uuid;

use super::{FLOWING, Trouble};
use crate::catalog::access::Access;
use crate::catalog::backup::facts;
use crate::catalog::definition;
use crate::domain::backup::{Backup, BackupErrorCode, BackupPhase, BackupState, Verification};
use crate::domain::event::NewEvent;
use crate::domain::id::InstanceId;
use crate::domain::instance::Instance;
use crate::domain::service::{Service, SizeTier, TierSpec};
use crate::engine::Command;
use crate::reconciler::Reconciler;
use crate::reconciler::execute::command;
use crate::reconciler::restore::Content;
use crate::repository::Object;
use crate::store::{Guard, StoreError, Write};

/// How much of what a check tells is kept, in bytes.
const TOLD: usize = 64 << 10;

impl Reconciler {
    pub(super) async fn verify_backup(&self, backup: &Backup) -> Result<(), Trouble> {
        let _slot = self.lanes.bulk(&backup.project).await;
        let service = self.store.service_get(backup.service).await?.ok_or(Trouble::Left)?;
        let id = InstanceId(Uuid::now_v7());
        let checking = Instance::checking(id, &service, &backup.version, (self.clock)());
        self.write_instances(backup, std::slice::from_ref(&checking), &[]).await?;
        let checked = self.check(backup, &service, id).await;
        // Also where it failed; what can't be removed now goes once no backup is being checked.
        match self.remove_instance(id).await {
            Ok(()) => match self.write_instances(backup, &[], &[checking]).await {
                Ok(()) | Err(StoreError::Stale) => {}
                Err(error) => return Err(error.into()),
            },
            Err(error) => tracing::warn!(instance = %id, error = ?error, "What checked a backup could not be removed"),
        }
        let verification = Verification { verified_at: (self.clock)(), facts: checked? };
        self.tell_recovery(backup, &verification).await;
        self.write_backup(backup.id, |row| {
            let now = (self.clock)();
            let after = Backup {
                state: BackupState::Verified,
                phase: None,
                to_verify: false,
                verification: Some(verification.clone()),
                attempts: 0,
                not_before: None,
                error: None,
                ..row.clone()
            };
            let event = NewEvent::backup_changed(row, &after, now);
            row.is_kept().then_some((after, Some(event)))
        })
        .await?;
        Ok(())
    }

    /// Restores it into the instance `id` and has it read; gives what was told.
    async fn check(
        &self,
        backup: &Backup,
        service: &Service,
        id: InstanceId,
    ) -> Result<std::collections::BTreeMap<String, String>, Trouble> {
        let (manifest, secret) = self.manifest_of(backup).await?;
        let access = Access::from_bytes(&secret.access).map_err(|_| {
            Trouble::lasting(BackupErrorCode::Damaged, "Who may connect to it can't be read from its manifest.")
        })?;
        let image = service.evidence.served().filter(|_| service.wish.version == manifest.version);
        let mut new = service.run_by(id, &manifest.version, image);
        new.address.published = None;
        new.wish.tier = checkers_tier(backup);
        self.show(backup, BackupPhase::Restoring).await?;
        self.fetch_beside(&mut new).await?;
        let content = Content::of_backup(&self.settings.backups.repository, (&manifest, &secret)).await?;
        let able = self.bring_in(&new, &access, content, None).await?;
        self.show(backup, BackupPhase::Reading).await?;
        let command = Command { limit: Some(FLOWING), kept: TOLD, ..command((able.check)(&access)) };
        let ended = self.engine.run(id, &command).await?;
        let (facts, said) = facts(&ended.output);
        match ended.exit_code {
            Some(0) => Ok(facts),
            _ => {
                let message = format!("It was restored, and can't be read: {}", access.redact(&said));
                Err(self.not_restored(&new, &ended, message).await)
            }
        }
    }

    /// Has a recovery, which may have nothing but manifests, know of it. Where that can't be written it goes by less.
    async fn tell_recovery(&self, backup: &Backup, verification: &Verification) {
        let Some(object) = backup.object.clone() else { return };
        let object = Object::from_stored(backup.id, object);
        let repository = &self.settings.backups.repository;
        if let Err(error) = repository.write_verification(&object, verification, &self.sealer).await {
            tracing::warn!(backup = %backup.id, error = ?error, "A manifest does not tell that its backup is verified");
        }
    }

    /// Writes down what is being done; ends where the backup is not wanted any more.
    async fn show(&self, backup: &Backup, phase: BackupPhase) -> Result<(), Trouble> {
        let written = self.write_backup(backup.id, |row| {
            let after = Backup { phase: Some(phase), error: None, ..row.clone() };
            let event = NewEvent::backup_changed(row, &after, (self.clock)());
            row.is_kept().then_some((after, Some(event)))
        });
        written.await?.map(|_| ()).ok_or(Trouble::Left)
    }

    async fn write_instances(
        &self,
        backup: &Backup,
        instances: &[Instance],
        forgotten: &[Instance],
    ) -> Result<(), StoreError> {
        for _ in 0..super::WRITES {
            let Some(service) = self.store.service_get(backup.service).await? else { return Ok(()) };
            let guard = Guard::Term { epoch: self.epoch(), read: &service };
            let write = Write { instances, forgotten, ..Write::new(guard, (self.clock)()) };
            match self.store.commit(write).await {
                Err(StoreError::Stale) => {}
                written => return written.map(|_| ()),
            }
        }
        Err(StoreError::Stale)
    }

    /// Removes what backups were being checked with. Not while one is.
    pub(super) async fn clear_checks(&self) {
        let Ok(checking) = self.store.instance_list_checking(&self.node).await else { return };
        for instance in checking {
            let cleared = async {
                self.remove_instance(instance.id).await.map_err(Trouble::from)?;
                let Some(service) = self.store.service_get(instance.service).await? else { return Ok(()) };
                let guard = Guard::Term { epoch: self.epoch(), read: &service };
                let forgotten = std::slice::from_ref(&instance);
                self.store.commit(Write { forgotten, ..Write::new(guard, (self.clock)()) }).await?;
                Ok::<_, Trouble>(())
            };
            if let Err(error) = cleared.await {
                tracing::debug!(instance = %instance.id, error = ?error, "What checked a backup is not removed yet");
            }
        }
    }
}

/// What checks a backup takes no more than the smallest size, unless the data has to fit into its memory.
fn checkers_tier(backup: &Backup) -> TierSpec {
    let offer = definition(backup.kind).offer.as_ref();
    let in_memory = offer.and_then(|offer| offer.can.backup).is_some_and(|able| able.is_in_memory);
    match offer.and_then(|offer| offer.tier(SizeTier::Dev)).filter(|_| !in_memory) {
        Some(smallest) => TierSpec { storage_mib: backup.tier.storage_mib, ..smallest },
        None => backup.tier,
    }
}
