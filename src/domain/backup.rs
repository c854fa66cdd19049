//! Backups: what a service held at a moment, kept where its volume is not. A backup outlives its service.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Stored;
use super::id::{BackupId, InstanceId, ProjectId, ServiceId};
use super::name::ServiceName;
use super::service::{Service, ServiceKind, TierSpec};

text_enum! {
    /// What is true of a backup.
    pub enum BackupState {
        Pending = "PENDING",
        Running = "RUNNING",
        /// It is kept as a whole; nobody has restored it yet.
        Available = "AVAILABLE",
        /// It was restored, and all of it was read.
        Verified = "VERIFIED",
        /// It did not come to be, or could not be restored.
        Failed = "FAILED",
        Deleting = "DELETING",
    } or Unknown
}

impl BackupState {
    /// Whether something can be restored from it.
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Available | Self::Verified)
    }

    /// Whether it is yet to come to be.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}

text_enum! {
    /// What is being done about a backup.
    pub enum BackupPhase {
        /// It waits for its turn.
        Queued = "QUEUED",
        /// Its content is on its way to where it is kept.
        Copying = "COPYING",
        /// It is being restored into an instance that nobody can reach.
        Restoring = "RESTORING",
        /// All of what was restored is being read.
        Reading = "READING",
    } or Unknown
}

text_enum! {
    /// Who asked for a backup.
    pub enum BackupOrigin {
        Manual = "MANUAL",
        Scheduled = "SCHEDULED",
        /// Its service is destroyed once it is verified.
        Final = "FINAL",
    } or Unknown
}

text_enum! {
    /// Why a backup failed.
    pub enum BackupErrorCode {
        /// The service was stopped, or does not run.
        NotRunning = "NOT_RUNNING",
        /// The service was destroyed first.
        ServiceDestroyed = "SERVICE_DESTROYED",
        /// The server inside did not give its data.
        SourceFailed = "SOURCE_FAILED",
        /// Where backups are kept does not answer.
        StoreUnavailable = "STORE_UNAVAILABLE",
        /// Where backups are kept has no room left.
        StoreFull = "STORE_FULL",
        /// Where backups are kept refuses.
        StoreRefused = "STORE_REFUSED",
        /// What is kept is gone.
        Missing = "MISSING",
        /// What is kept is not what was written.
        Damaged = "DAMAGED",
        /// No key in the key ring opens it.
        KeyMissing = "KEY_MISSING",
        /// It could not be restored.
        RestoreFailed = "RESTORE_FAILED",
        /// The engine does not answer, or refuses.
        EngineUnavailable = "ENGINE_UNAVAILABLE",
    } or Unknown
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupError {
    pub code: BackupErrorCode,
    /// One or more sentences for a person; never holds a secret.
    pub message: String,
    pub occurred_at: Timestamp,
}

impl Stored for BackupError {
    fn unknown(_: &str) -> Self {
        Self { code: BackupErrorCode::Unknown, message: String::new(), occurred_at: Timestamp::UNIX_EPOCH }
    }

    fn is_known(&self) -> bool {
        self.code.is_known()
    }
}

/// What was read of a backup once it was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    pub verified_at: Timestamp,
    /// What was counted and how it was read, by names for people.
    pub facts: BTreeMap<String, String>,
}

impl Stored for Verification {
    fn unknown(_: &str) -> Self {
        Self::default()
    }
}

/// The most tries of a backup that fails of what may pass.
pub const TRIES: u32 = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    pub id: BackupId,
    pub service: ServiceId,
    pub project: ProjectId,
    /// What the service was called, and was, when it was asked for.
    pub service_name: ServiceName,
    pub kind: ServiceKind,
    pub version: String,
    pub tier: TierSpec,
    /// The instance that it was taken of; None until that was begun, and where it was not noted.
    pub instance: Option<InstanceId>,
    pub origin: BackupOrigin,
    pub note: Option<String>,
    pub state: BackupState,
    pub phase: Option<BackupPhase>,
    /// How much of its content was taken, in bytes.
    pub content_bytes: u64,
    /// What is kept of it, compressed and sealed, in bytes; None until it is whole.
    pub stored_bytes: Option<u64>,
    /// Where it is kept; None until that was begun.
    pub object: Option<String>,
    /// Whether it is to be restored once, to see that it can be.
    pub to_verify: bool,
    pub verification: Option<Verification>,
    /// How often it has failed of what may pass, since it last did not.
    pub attempts: u32,
    /// It is not tried again before this.
    pub not_before: Option<Timestamp>,
    /// Why it failed, or what it has to wait for.
    pub error: Option<BackupError>,
    pub created_at: Timestamp,
    /// When its content began to be taken: it holds all that was committed before.
    pub begun_at: Option<Timestamp>,
    /// When it was whole.
    pub ended_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    /// Counts its writes; one that finds another number than it read is refused.
    pub revision: i64,
}

impl Backup {
    /// One of `service` that was just asked for.
    pub fn new(id: BackupId, service: &Service, origin: BackupOrigin, note: Option<String>, now: Timestamp) -> Self {
        Self {
            id,
            service: service.id,
            project: service.project.clone(),
            service_name: service.name.clone(),
            kind: service.wish.kind,
            version: service.wish.version.clone(),
            tier: service.wish.tier,
            instance: None,
            origin,
            note,
            state: BackupState::Pending,
            phase: Some(BackupPhase::Queued),
            content_bytes: 0,
            stored_bytes: None,
            object: None,
            to_verify: false,
            verification: None,
            attempts: 0,
            not_before: None,
            error: None,
            created_at: now,
            begun_at: None,
            ended_at: None,
            updated_at: now,
            revision: 0,
        }
    }

    /// Whether it is kept as a whole, which one that could not be restored may be.
    pub fn is_kept(&self) -> bool {
        self.state.is_whole() || (self.state == BackupState::Failed && self.ended_at.is_some())
    }

    /// The same, to be restored once by somebody who waits for that.
    pub fn asked_to_verify(&self) -> Self {
        Self { to_verify: true, phase: Some(BackupPhase::Queued), attempts: 0, not_before: None, ..self.clone() }
    }

    /// The same, on its way out.
    pub fn deleting(&self) -> Self {
        let base = Self { to_verify: false, attempts: 0, not_before: None, error: None, ..self.clone() };
        Self { state: BackupState::Deleting, phase: None, ..base }
    }

    /// The same after a try that failed of what may pass, to be made again after `pause`.
    pub fn failed_once(&self, code: BackupErrorCode, message: String, pause: SignedDuration, now: Timestamp) -> Self {
        let error = BackupError { code, message, occurred_at: now };
        let attempts = self.attempts.saturating_add(1);
        let phase = self.phase.map(|_| BackupPhase::Queued);
        Self { attempts, phase, not_before: Some(now + pause), error: Some(error), ..self.clone() }
    }

    /// The same once it has failed for good. Its service then does not end with it.
    pub fn failed(&self, code: BackupErrorCode, message: String, now: Timestamp) -> Self {
        let error = BackupError { code, message, occurred_at: now };
        let origin = match self.origin {
            BackupOrigin::Final => BackupOrigin::Manual,
            origin => origin,
        };
        let base = Self { origin, error: Some(error), not_before: None, to_verify: false, ..self.clone() };
        Self { state: BackupState::Failed, phase: None, ..base }
    }

    /// Whether its service is to be destroyed once it has become `after`.
    pub fn ends_its_service(&self, after: &Self) -> bool {
        after.origin == BackupOrigin::Final
            && after.state == BackupState::Verified
            && self.state != BackupState::Verified
    }

    /// Whether something is to be done about it by the server.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let is_wanted = self.state.is_open() || self.state == BackupState::Deleting || self.to_verify;
        // A clock that was put back ends the pause.
        let waits = self.not_before.is_some_and(|at| self.updated_at <= now && at > now);
        is_wanted && !waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::tests::service;
    use crate::domain::service::{Power, ServiceState};

    #[test]
    fn a_service_ends_with_the_first_verification_of_its_final_backup_and_with_no_other() {
        let service = service(ServiceState::Running, Power::On);
        let of = |origin, state| {
            let id = BackupId(uuid::Uuid::from_u128(1));
            Backup { state, ..Backup::new(id, &service, origin, None, Timestamp::UNIX_EPOCH) }
        };
        let available = of(BackupOrigin::Final, BackupState::Available);
        let verified = of(BackupOrigin::Final, BackupState::Verified);
        assert!(available.ends_its_service(&verified));
        assert!(!verified.ends_its_service(&verified));
        for origin in [BackupOrigin::Manual, BackupOrigin::Scheduled] {
            assert!(!of(origin, BackupState::Available).ends_its_service(&of(origin, BackupState::Verified)));
        }
        let failed = available.failed(BackupErrorCode::RestoreFailed, String::new(), Timestamp::UNIX_EPOCH);
        assert_eq!((failed.state, failed.origin), (BackupState::Failed, BackupOrigin::Manual));
        let later = Backup { state: BackupState::Verified, ..failed.clone() };
        assert!(!failed.ends_its_service(&later), "whoever verifies it by hand destroys nothing");
    }
}
