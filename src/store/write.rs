//! The one way in which what is kept of a service changes: a guard and its parts, in one transaction.

use jiff::Timestamp;

use super::trouble::Purpose;
use crate::crypto::Sealed;
use crate::domain::backup::Backup;
use crate::domain::event::{NewEvent, ServiceEvent};
use crate::domain::instance::Instance;
use crate::domain::log::LogSection;
use crate::domain::node::Capacity;
use crate::domain::service::{Operation, Service, ServiceState};
use crate::domain::task::Task;

/// A change: what has to hold for it, and what is written then. All of it happens or nothing.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    pub guard: Guard<'a>,
    /// Whether it may wait a quarter of a second for another write to share a commit with, where the store can do that.
    pub is_patient: bool,
    /// When it happens. Becomes the service's `updated_at`, where it is written.
    pub now: Timestamp,
    /// The service as it is to be. It differs from the one that was read in wish, address, instance, generation, state, operation, error,
    /// evidence, lifetime, backup plan and trace only; revision and updated_at are the store's to set. One that becomes DESTROYED loses
    /// its sealed credentials.
    pub service: Option<&'a Service>,
    /// What the service's node may be promised in all, where the service is to be promised more; `NoRoom` where that is too much.
    pub room: Option<&'a Capacity>,
    /// Sealed credentials in the place of others.
    pub sealed: Option<&'a Reseal>,
    /// Tasks as they are to be, new ones among them. What is still open of a service that becomes DESTROYED is cancelled.
    pub tasks: &'a [Task],
    /// Instances besides the one that runs the service as they are to be, new ones among them.
    pub instances: &'a [Instance],
    /// Those that the service does not have besides any more: they are gone, or one of them runs it. They have to have the
    /// roles in which they were read.
    pub forgotten: &'a [Instance],
    /// Backups of the service as they are to be, new ones among them. Nobody must have written them since they were read.
    pub backups: &'a [Backup],
    /// One that is not there any more.
    pub lost: Option<&'a Backup>,
    /// Sections of its log as they are to be, new ones among them.
    pub sections: &'a [LogSection],
    /// Those that are not kept any more.
    pub sections_lost: &'a [LogSection],
    /// What the service was at since it was read, with its events, in the order in which it was.
    pub passed: &'a [Passed],
    /// What the log tells of it. The states and the operation that the event shows are those of the row, before and after
    /// this write.
    pub event: Option<&'a NewEvent>,
}

impl<'a> Write<'a> {
    /// A change without any part yet.
    pub fn new(guard: Guard<'a>, now: Timestamp) -> Self {
        Self {
            guard,
            is_patient: false,
            now,
            service: None,
            room: None,
            sealed: None,
            tasks: &[],
            instances: &[],
            forgotten: &[],
            backups: &[],
            lost: None,
            sections: &[],
            sections_lost: &[],
            passed: &[],
            event: None,
        }
    }

    /// In its term the reconciler writes what it saw, or is about to do for it.
    pub(super) fn purpose(&self) -> Purpose {
        match self.guard {
            Guard::Term { .. } if self.is_patient => Purpose::Note,
            Guard::Term { .. } => Purpose::Record,
            Guard::Revision(_) | Guard::State { .. } => Purpose::Request,
        }
    }

    pub(super) fn event_count(&self) -> i64 {
        let passed = i64::try_from(self.passed.len()).unwrap_or(i64::MAX);
        passed.saturating_add(i64::from(self.event.is_some()))
    }
}

/// What has to hold of a service for a change to happen. It is checked in the change's transaction, on the locked row.
#[derive(Debug, Clone, Copy)]
pub enum Guard<'a> {
    /// It is the one that was read: nobody has written it since.
    Revision(&'a Service),
    /// The same, and the reconciler's term is the one of `epoch`; until the change is written nobody can begin another.
    Term { epoch: i64, read: &'a Service },
    /// It is in one of these states, whoever has written it since it was read. A change that writes the service needs that
    /// nobody has, all the same.
    State { read: &'a Service, one_of: &'a [ServiceState] },
}

impl<'a> Guard<'a> {
    pub(super) fn read(&self) -> &'a Service {
        match self {
            Self::Revision(read) | Self::Term { read, .. } | Self::State { read, .. } => read,
        }
    }
}

/// Sealed credentials that were read, and what is to take their place.
#[derive(Debug, Clone)]
pub struct Reseal {
    pub old: Sealed,
    pub new: Sealed,
}

/// What a service was at without that having been written: its state, and all but the operation, are as before the write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    pub operation: Operation,
    pub event: NewEvent,
}

/// What a change came to.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The service as it is now.
    pub service: Service,
    /// The change's event, in its place in the log.
    pub event: Option<ServiceEvent>,
}

/// A write with parts of its own, for a thread that outlives who asks for it.
pub(super) struct OwnedWrite {
    guard: OwnedGuard,
    read: Service,
    is_patient: bool,
    now: Timestamp,
    service: Option<Service>,
    room: Option<Capacity>,
    sealed: Option<Reseal>,
    tasks: Vec<Task>,
    instances: Vec<Instance>,
    forgotten: Vec<Instance>,
    backups: Vec<Backup>,
    lost: Option<Backup>,
    sections: Vec<LogSection>,
    sections_lost: Vec<LogSection>,
    passed: Vec<Passed>,
    event: Option<NewEvent>,
}

enum OwnedGuard {
    Revision,
    Term { epoch: i64 },
    State { one_of: Vec<ServiceState> },
}

impl From<Write<'_>> for OwnedWrite {
    fn from(write: Write<'_>) -> Self {
        Self {
            guard: match write.guard {
                Guard::Revision(_) => OwnedGuard::Revision,
                Guard::Term { epoch, .. } => OwnedGuard::Term { epoch },
                Guard::State { one_of, .. } => OwnedGuard::State { one_of: one_of.to_vec() },
            },
            read: write.guard.read().clone(),
            is_patient: write.is_patient,
            now: write.now,
            service: write.service.cloned(),
            room: write.room.copied(),
            sealed: write.sealed.cloned(),
            tasks: write.tasks.to_vec(),
            instances: write.instances.to_vec(),
            forgotten: write.forgotten.to_vec(),
            backups: write.backups.to_vec(),
            lost: write.lost.cloned(),
            sections: write.sections.to_vec(),
            sections_lost: write.sections_lost.to_vec(),
            passed: write.passed.to_vec(),
            event: write.event.cloned(),
        }
    }
}

impl OwnedWrite {
    pub fn borrowed(&self) -> Write<'_> {
        let read = &self.read;
        Write {
            guard: match &self.guard {
                OwnedGuard::Revision => Guard::Revision(read),
                OwnedGuard::Term { epoch } => Guard::Term { epoch: *epoch, read },
                OwnedGuard::State { one_of } => Guard::State { read, one_of },
            },
            is_patient: self.is_patient,
            now: self.now,
            service: self.service.as_ref(),
            room: self.room.as_ref(),
            sealed: self.sealed.as_ref(),
            tasks: &self.tasks,
            instances: &self.instances,
            forgotten: &self.forgotten,
            backups: &self.backups,
            lost: self.lost.as_ref(),
            sections: &self.sections,
            sections_lost: &self.sections_lost,
            passed: &self.passed,
            event: self.event.as_ref(),
        }
    }
}
