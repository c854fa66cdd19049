//! What the reconciler can do about a service, and in one table all that is particular to each step.

use crate::domain::id::InstanceId;
use crate::domain::limits::Limits;
use crate::domain::service::{OperationPhase, RunId};
use crate::domain::task::TaskId;

/// One step, to be followed by another look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    PullImage,
    CreateStorage,
    CreateContainer,
    Start,
    /// Attach it to its project's network.
    Connect,
    /// The same of one that is ready but for that, while its server is asked whether it answers.
    Join(RunId),
    AwaitReady(RunId),
    /// Have the server inside take the password to be.
    RotateCredentials(TaskId),
    /// Bring it to another version.
    Upgrade(TaskId),
    /// Have it hold what a backup holds.
    Restore(TaskId),
    /// Have its image pulled, and itself made anew where that is another one.
    UpdateImage(TaskId),
    /// Have the server inside take writes again.
    Thaw,
    /// Remove the container of an instance that ran it, and keep the volume.
    Retire(InstanceId),
    /// Remove an instance that it has besides and that nobody wants any more.
    Purge(InstanceId),
    Stop,
    /// Give its container these limits.
    Adjust(Limits),
    /// Give its volume the room of its size.
    GrowStorage,
    /// Tell the server inside its size.
    Tell,
    /// Have the server inside take no more writes, and end those that are under way.
    ForbidWrites,
    /// Have it take writes again.
    AllowWrites,
    /// Remove its container, and a volume that holds nothing yet, to make them anew.
    Replace,
    /// Remove its container, which was made with other settings, to make it anew.
    Refresh,
    /// Remove its container, to make it anew with the kind's own settings.
    Renew,
    /// Have it published on another port, and begin anew.
    ChangePort,
    /// Remove what was begun and holds nothing yet, to begin anew.
    Discard,
    /// Remove it for good.
    Remove,
}

/// What is particular to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// What it is called in logs and metrics.
    pub name: &'static str,
    /// What clients read while it is under way.
    pub phase: OperationPhase,
    pub lane: Lane,
    pub note: Note,
    pub left: Left,
    /// Whether it is given up when the operation's time has run out, or after some failures. What is not is tried for ever.
    pub gives_up: bool,
}

/// What a step takes of what others need as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A call that the engine answers soon. It shares its slots with the looks.
    Quick,
    /// It waits for a server inside, and takes no slot.
    Wait,
    /// It moves much data. Bounded for each node and each project.
    Bulk,
}

/// When a step is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    Before,
    /// The same, but where nothing but the phase changes the store only says whether it would take the note, which follows if it
    /// lasts. What makes something is found by the next look, whoever takes it.
    Checked,
    /// It may be tried while the note of it is still being stored, or before it is where nothing but the phase changes. The store refuses the note of a reconciler whose term is
    /// over, and so keeps it from making what another one has removed, or ending what another one has made. A start of
    /// what is gone fails by itself, and a wait changes nothing; that they are late would be seen by whoever waits.
    Alongside,
}

/// What a step that is under way is left for, besides its own end. The look that follows finds out what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// The engine does not answer any more.
    pub silent: bool,
    /// The service is to be destroyed: a removal does not wait for a shutdown. What makes something is not left for that,
    /// for it might come to be after the removal.
    pub deleted: bool,
    /// Its user wants something else by now.
    pub superseded: bool,
    /// The run that it waits for is over.
    pub ended: bool,
}

const NEVER: Left = Left { silent: false, deleted: false, superseded: false, ended: false };
const SILENT: Left = Left { silent: true, ..NEVER };
const DELETED: Left = Left { deleted: true, ..SILENT };
const SUPERSEDED: Left = Left { superseded: true, ..SILENT };
const ENDED: Left = Left { superseded: true, ended: true, ..NEVER };

impl Step {
    /// The task that it is part of.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::RotateCredentials(task) | Self::Upgrade(task) | Self::UpdateImage(task) | Self::Restore(task) => {
                Some(*task)
            }
            _ => None,
        }
    }

    pub fn traits(&self) -> Traits {
        use Lane::{Bulk, Quick, Wait};
        use Note::{Alongside, Before, Checked};
        use OperationPhase as Phase;
        let (name, phase, lane, note, left, gives_up) = match self {
            Self::PullImage => ("PULL_IMAGE", Phase::PullingImage, Bulk, Before, SUPERSEDED, true),
            Self::CreateStorage => ("CREATE_STORAGE", Phase::CreatingVolume, Quick, Before, SILENT, true),
            Self::CreateContainer => ("CREATE_CONTAINER", Phase::CreatingContainer, Quick, Checked, SILENT, true),
            Self::Start => ("START", Phase::Starting, Quick, Alongside, SILENT, true),
            Self::Connect => ("CONNECT", Phase::Starting, Quick, Checked, SILENT, true),
            Self::Join(_) => ("JOIN", Phase::Starting, Wait, Before, SILENT, true),
            Self::AwaitReady(_) => ("AWAIT_READY", Phase::WaitingForReady, Wait, Alongside, ENDED, true),
            Self::RotateCredentials(_) => {
                ("ROTATE_CREDENTIALS", Phase::ChangingPassword, Wait, Before, SUPERSEDED, false)
            }
            // It looks by itself whether it is to be left, for it has to put right what it has begun.
            Self::Upgrade(_) => ("UPGRADE", Phase::Preparing, Bulk, Before, SUPERSEDED, false),
            Self::Restore(_) => ("RESTORE", Phase::Restoring, Bulk, Before, SUPERSEDED, false),
            Self::UpdateImage(_) => ("UPDATE_IMAGE", Phase::PullingImage, Bulk, Before, SUPERSEDED, false),
            Self::Thaw => ("THAW", Phase::Starting, Wait, Before, SILENT, true),
            Self::Retire(_) => ("RETIRE", Phase::Switching, Wait, Before, SILENT, true),
            Self::Purge(_) => ("PURGE", Phase::Removing, Quick, Before, NEVER, false),
            Self::Adjust(_) => ("ADJUST", Phase::Resizing, Quick, Before, SUPERSEDED, false),
            Self::GrowStorage => ("GROW_STORAGE", Phase::Resizing, Quick, Before, SUPERSEDED, false),
            Self::Tell => ("TELL", Phase::Resizing, Wait, Before, SUPERSEDED, false),
            Self::ForbidWrites => ("FORBID_WRITES", Phase::Resizing, Wait, Before, SUPERSEDED, false),
            Self::AllowWrites => ("ALLOW_WRITES", Phase::Resizing, Wait, Before, SUPERSEDED, false),
            Self::Stop => ("STOP", Phase::Stopping, Wait, Before, DELETED, true),
            Self::Replace => ("REPLACE", Phase::CreatingContainer, Quick, Before, NEVER, true),
            Self::Refresh => ("REFRESH", Phase::CreatingContainer, Quick, Before, NEVER, true),
            Self::Renew => ("RENEW", Phase::Repairing, Quick, Before, NEVER, true),
            Self::ChangePort => ("CHANGE_PORT", Phase::CreatingContainer, Quick, Before, NEVER, true),
            Self::Discard => ("DISCARD", Phase::CreatingVolume, Quick, Before, NEVER, true),
            Self::Remove => ("REMOVE", Phase::Removing, Quick, Before, NEVER, false),
        };
        Traits { name, phase, lane, note, left, gives_up }
    }
}
