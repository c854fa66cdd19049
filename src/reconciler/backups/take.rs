//! A backup is taken: what the server inside gives flows into where backups are kept.

use std::time::Duration;

use async_stream::stream;
use futures_util::StreamExt as _;
use tokio::sync::{mpsc, oneshot, watch};

use super::Trouble;
use crate::catalog::access::Access;
use crate::catalog::backup::{self as ability, facts};
use crate::catalog::definition;
use crate::domain::backup::{Backup, BackupErrorCode, BackupPhase, BackupState};
use crate::domain::event::NewEvent;
use crate::domain::service::{Power, Service, ServiceState};
use crate::engine::{Command, Flow};
use crate::reconciler::Reconciler;
use crate::reconciler::execute::{COMPLAINT, command};
use crate::repository::{ContentKey, Manifest, Object, Secret, Written};

/// How long the data may take to flow.
pub(in crate::reconciler) const FLOWING: Duration = Duration::from_secs(6 * 3600);
/// How many pieces of what flows wait at most; the engine gives them in up to 32 KiB.
pub(in crate::reconciler) const WAITING: usize = 32;
/// How often at most it is noted how much has flowed.
const NOTED: Duration = Duration::from_secs(2);

type Facts = std::collections::BTreeMap<String, String>;

impl Reconciler {
    pub(super) async fn take_backup(&self, backup: &Backup) -> Result<(), Trouble> {
        let _slot = self.lanes.bulk(&backup.project).await;
        let service = self.store.service_get(backup.service).await?.ok_or(Trouble::Left)?;
        let able = able_now(&service)?;
        let access = self.access(&service).await?;
        let object = Object::new(&backup.project, &backup.service_name, backup.service, backup.id, backup.created_at);
        let begun = self
            .write_backup(backup.id, |row| {
                let now = (self.clock)();
                let after = Backup {
                    state: BackupState::Running,
                    phase: Some(BackupPhase::Copying),
                    begun_at: Some(now),
                    object: Some(object.as_str().to_owned()),
                    content_bytes: 0,
                    instance: Some(service.instance),
                    version: service.wish.version.clone(),
                    tier: service.wish.tier,
                    error: None,
                    ..row.clone()
                };
                let event = NewEvent::backup_changed(row, &after, now);
                row.state.is_open().then_some((after, Some(event)))
            })
            .await?
            .ok_or(Trouble::Left)?;

        let key = ContentKey::random().map_err(|_| unrandom())?;
        let (facts, written) = self.flow_out(&begun, &service, (able, &access), &object, &key).await?;
        let ended_at = (self.clock)();
        let what = (able.content, image_of(&service));
        let manifest = self.manifest(&begun, what, facts, written.clone(), ended_at);
        let secret = Secret { key, access: access.to_bytes() };
        self.settings.backups.repository.write_manifest(&manifest, &secret, &self.sealer).await?;
        self.write_backup(backup.id, |row| {
            let after = Backup {
                state: BackupState::Available,
                phase: row.to_verify.then_some(BackupPhase::Queued),
                content_bytes: written.content_bytes,
                stored_bytes: Some(written.stored_bytes),
                ended_at: Some(ended_at),
                attempts: 0,
                not_before: None,
                error: None,
                ..row.clone()
            };
            let event = NewEvent::backup_changed(row, &after, ended_at);
            (row.state == BackupState::Running).then_some((after, Some(event)))
        })
        .await?;
        Ok(())
    }

    /// Has all of it flow to where it is kept, and gives what was told of it.
    async fn flow_out(
        &self,
        backup: &Backup,
        service: &Service,
        (able, access): (&ability::Backup, &Access),
        object: &Object,
        key: &ContentKey,
    ) -> Result<(Facts, Written), Trouble> {
        let command = Command { limit: Some(FLOWING), kept: COMPLAINT, ..command((able.take)(access)) };
        let (pieces, mut flowing) = mpsc::channel(WAITING);
        let (tell, told) = oneshot::channel::<Result<(), String>>();
        let content = stream! {
            while let Some(piece) = flowing.recv().await {
                yield Ok(piece);
            }
            // What has ended is whole only if what gave it says so.
            match told.await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => yield Err(std::io::Error::other(why)),
                Err(_) => yield Err(std::io::Error::other("It was broken off.")),
            }
        };
        let giving = async {
            let flow = Flow { output: Some(pieces), ..Flow::default() };
            let ended = self.engine.pump(service.instance, &command, flow).await;
            let (outcome, facts) = match &ended {
                Ok(ended) => {
                    let (facts, complaint) = facts(&ended.output);
                    (told_of(ended.exit_code, &access.redact(&complaint)), facts)
                }
                Err(error) => (Err(error.to_string()), Facts::new()),
            };
            let _ = tell.send(outcome);
            (ended, facts)
        };
        let (progress, watched) = watch::channel(0);
        let taking = self.settings.backups.repository.write(object, content.boxed(), key, &progress);
        let both = async { tokio::join!(giving, taking) };
        let ((ended, facts), written) = tokio::select! {
            done = both => done,
            left = self.tell_flow(backup, watched) => return Err(left),
        };
        match written {
            Ok(written) => Ok((facts, written)),
            // The engine's own trouble says more than that the content has ended.
            Err(crate::repository::RepositoryError::Content(why)) => match ended {
                Err(error) => Err(error.into()),
                Ok(_) => {
                    let now = self.store.service_get(service.id).await?.ok_or(Trouble::Left)?;
                    able_now(&now)?;
                    let message = format!("The server inside did not give its data: {why}");
                    Err(Trouble::Failed { code: BackupErrorCode::SourceFailed, message, tries: 2 })
                }
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Notes how much has flowed, ever more rarely. Ends where the backup is not wanted any more, or its service is not.
    async fn tell_flow(&self, backup: &Backup, mut flowed: watch::Receiver<u64>) -> Trouble {
        let mut noted = 0;
        loop {
            tokio::time::sleep(NOTED).await;
            // A store that takes nothing would have it wait for what is gone.
            if let Ok(Some(service)) = self.store.service_get(backup.service).await
                && service.wish.power == Power::Deleted
            {
                return destroyed();
            }
            let bytes = *flowed.borrow_and_update();
            let is_worth_it = bytes > noted + noted / 4;
            let written = self
                .write_backup(backup.id, |row| {
                    let after = Backup { content_bytes: bytes, ..row.clone() };
                    let event = NewEvent::backup_changed(row, &after, (self.clock)());
                    (row.state == BackupState::Running && is_worth_it).then_some((after, Some(event)))
                })
                .await;
            match written {
                Ok(Some(_)) => noted = bytes,
                Ok(None) if !is_worth_it => match self.store.backup_get(backup.id).await {
                    Ok(Some(row)) if row.state == BackupState::Running => {}
                    Ok(_) => return Trouble::Left,
                    Err(_) => {}
                },
                Ok(None) => return Trouble::Left,
                // It is no matter of the backup.
                Err(error) => tracing::debug!(error = ?error, "How much has flowed could not be noted"),
            }
        }
    }

    fn manifest(
        &self,
        backup: &Backup,
        (content, image): (&str, Option<String>),
        facts: Facts,
        written: Written,
        ended_at: jiff::Timestamp,
    ) -> Manifest {
        Manifest {
            format: 1,
            backup: backup.id,
            service: backup.service,
            service_name: backup.service_name.to_string(),
            project: backup.project.clone(),
            installation: self.settings.backups.installation,
            kind: backup.kind,
            version: backup.version.clone(),
            tier: backup.tier,
            instance: backup.instance.map(|id| id.0),
            image,
            content: content.to_owned(),
            facts,
            begun_at: backup.begun_at.unwrap_or(backup.created_at),
            ended_at,
            note: backup.note.clone(),
            origin: Some(backup.origin),
            verification: None,
            written,
            object: backup.object.clone().unwrap_or_default(),
        }
    }
}

/// The image that a service runs, as it is to be found best.
fn image_of(service: &Service) -> Option<String> {
    service.evidence.served().map(|image| image.digest.unwrap_or(image.id))
}

/// How a service can be backed up, if it can be now.
pub(in crate::reconciler) fn able_now(service: &Service) -> Result<&'static ability::Backup, Trouble> {
    if service.wish.power == Power::Deleted {
        return Err(destroyed());
    }
    let able = definition(service.wish.kind).offer.as_ref().and_then(|offer| offer.can.backup.as_ref());
    let able = able.ok_or_else(|| {
        Trouble::lasting(BackupErrorCode::SourceFailed, "There is no way to back up a service of this kind.")
    })?;
    match service.state {
        ServiceState::Running if !service.is_changing_version() => Ok(able),
        ServiceState::Stopped | ServiceState::Error => {
            Err(Trouble::lasting(BackupErrorCode::NotRunning, "The service does not run, so it gives no data."))
        }
        _ => Err(Trouble::passing(BackupErrorCode::NotRunning, "The service does not run yet.")),
    }
}

fn destroyed() -> Trouble {
    Trouble::lasting(BackupErrorCode::ServiceDestroyed, "The service was destroyed first.")
}

fn told_of(exit_code: Option<i64>, complaint: &str) -> Result<(), String> {
    match exit_code {
        Some(0) => Ok(()),
        _ if !complaint.is_empty() => Err(complaint.to_owned()),
        Some(code) => Err(format!("it ended with {code}.")),
        None => Err("it was broken off.".to_owned()),
    }
}

fn unrandom() -> Trouble {
    Trouble::passing(BackupErrorCode::EngineUnavailable, "The system's random generator failed.")
}
