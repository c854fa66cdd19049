//! How long things may take, and how long they are left alone.

use jiff::SignedDuration;

use super::Failure;
use crate::domain::service::{ErrorCode, OperationKind, OperationPhase};

/// How long an engine may be silent before what was RUNNING no longer counts as known.
pub(in crate::reconciler) const SILENCE: SignedDuration = SignedDuration::from_secs(10);

/// How long an operation may take once it has begun. Destroying never gives up, and a rotation is given up by the number of
/// its failures.
pub(super) fn time_limit(kind: OperationKind) -> Option<SignedDuration> {
    match kind {
        // A pull of several hundred megabytes on a slow line is in it.
        OperationKind::Provision => Some(SignedDuration::from_mins(15)),
        OperationKind::Start
        | OperationKind::Restart
        | OperationKind::Resize
        | OperationKind::Repair
        | OperationKind::Recover => Some(SignedDuration::from_mins(5)),
        // Of what is left once the data is there.
        OperationKind::Upgrade
        | OperationKind::Revert
        | OperationKind::UpdateImage
        | OperationKind::Restore
        | OperationKind::Clone => Some(SignedDuration::from_mins(5)),
        OperationKind::Stop => Some(SignedDuration::from_mins(3)),
        OperationKind::Destroy | OperationKind::RotateCredentials | OperationKind::Unknown => None,
    }
}

/// What an operation has failed of whose time ran out in `phase`, where no step of it has.
pub(super) fn timed_out(phase: OperationPhase) -> Failure {
    let (code, message) = match phase {
        OperationPhase::PullingImage => (ErrorCode::PullFailed, "The image was not pulled in time."),
        OperationPhase::Stopping => (ErrorCode::StopTimeout, "The container did not stop in time."),
        _ => (ErrorCode::StartTimeout, "The server inside did not answer its health check in time."),
    };
    Failure { code, message: message.to_owned() }
}
