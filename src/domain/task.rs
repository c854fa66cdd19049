//! Work on a service that ends. It is kept until it has an outcome, and taken up anew after a crash. What keeps a service
//! where its user wants it is no task.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::id::{BackupId, ServiceId};
use super::service::{ErrorCode, OperationKind, ServiceError};

/// A task's id: a UUID of version 7, so ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub Uuid);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tsk_{}", self.0.simple())
    }
}

text_enum! {
    /// What a task does.
    pub enum Job {
        RotateCredentials = "ROTATE_CREDENTIALS",
        /// Brings it to another version, with its data, on another instance.
        Upgrade = "UPGRADE",
        /// Has it run from what its image's name means by now.
        UpdateImage = "UPDATE_IMAGE",
        /// Has it hold what a backup holds, on another instance where it has one.
        Restore = "RESTORE",
        /// Has it hold what another service holds.
        Clone = "CLONE",
    } or Unknown
}

impl Job {
    /// Whether it changes what the service runs, of which there is one at a time.
    pub const fn changes_version(self) -> bool {
        matches!(self, Self::Upgrade | Self::UpdateImage | Self::Restore | Self::Clone)
    }

    /// Whether it gives data to a service that has none yet.
    pub const fn fills(self) -> bool {
        matches!(self, Self::Restore | Self::Clone)
    }

    /// What it is shown as while it is under way.
    pub const fn operation(self) -> OperationKind {
        match self {
            Self::RotateCredentials => OperationKind::RotateCredentials,
            Self::Upgrade => OperationKind::Upgrade,
            Self::UpdateImage => OperationKind::UpdateImage,
            Self::Restore => OperationKind::Restore,
            Self::Clone => OperationKind::Clone,
            Self::Unknown => OperationKind::Unknown,
        }
    }
}

text_enum! {
    /// What a task came to.
    pub enum TaskOutcome {
        Done = "DONE",
        /// Its service was destroyed first, or something else was asked for.
        Cancelled = "CANCELLED",
    } or Unknown
}

/// How many failures in a row are shown. The first ones may be passing.
pub const SHOWN_AFTER: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub id: TaskId,
    pub service: ServiceId,
    pub job: Job,
    /// The version that an upgrade leads to.
    pub version: Option<String>,
    /// What a restore restores from.
    pub backup: Option<BackupId>,
    /// The moment that a restore goes on to from its backup; None: it ends with that.
    pub recover_to: Option<Timestamp>,
    /// What a clone has the data of.
    pub source: Option<ServiceId>,
    /// How often it has failed since it was asked for, the last time included.
    pub attempts: u32,
    /// It is not tried again before this.
    pub not_before: Option<Timestamp>,
    /// What the newest try failed of.
    pub error: Option<ServiceError>,
    /// None while it is open.
    pub outcome: Option<TaskOutcome>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Task {
    /// One that was just asked for.
    pub fn new(id: TaskId, service: ServiceId, job: Job, now: Timestamp) -> Self {
        Self {
            id,
            service,
            job,
            version: None,
            backup: None,
            recover_to: None,
            source: None,
            attempts: 0,
            not_before: None,
            error: None,
            outcome: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// The same, to be tried at once as if it had not failed yet.
    pub fn asked_again(&self, now: Timestamp) -> Self {
        Self { attempts: 0, not_before: None, error: None, updated_at: now, ..self.clone() }
    }

    /// The same after a try that failed, to be made again after `pause`.
    pub fn failed(&self, code: ErrorCode, message: String, pause: SignedDuration, now: Timestamp) -> Self {
        let error = ServiceError { code, message, occurred_at: now };
        let attempts = self.attempts.saturating_add(1);
        Self { attempts, not_before: Some(now + pause), error: Some(error), updated_at: now, ..self.clone() }
    }

    /// The same after a try that showed that another one would fail as well.
    pub fn refused(&self, code: ErrorCode, message: String, now: Timestamp) -> Self {
        let failed = self.failed(code, message, SignedDuration::ZERO, now);
        Self { attempts: failed.attempts.max(SHOWN_AFTER), ..failed }
    }

    /// The same once something else is wanted.
    pub fn cancelled(&self, now: Timestamp) -> Self {
        Self { outcome: Some(TaskOutcome::Cancelled), not_before: None, updated_at: now, ..self.clone() }
    }

    pub fn done(&self, now: Timestamp) -> Self {
        Self { outcome: Some(TaskOutcome::Done), not_before: None, error: None, updated_at: now, ..self.clone() }
    }

    /// When it may be tried; None: at once. A clock that was put back ends the pause.
    pub fn resumes_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.not_before.filter(|at| self.updated_at <= now && *at > now)
    }

    /// What it fails of, once that is worth showing.
    pub fn shown_error(&self) -> Option<&ServiceError> {
        self.error.as_ref().filter(|_| self.attempts >= SHOWN_AFTER)
    }
}
