//! The audit trail: what was done, by whom, and who was refused.
//!
//! It is the log's lines of one target, so that they can be kept apart. The request's span gives each its request id and
//! the client's address. What was done to a service is an event of it as well; a refusal is not, for who may change nothing
//! must not write into what others read.

use std::fmt::Display;

use crate::domain::id::{ProjectId, ServiceId};
use crate::domain::permission::Principal;

/// What the audit trail's lines bear instead of a module's name.
pub const TARGET: &str = "audit";

/// What an action was about.
#[derive(Debug, Clone, Copy)]
pub enum Object<'a> {
    Project(&'a ProjectId),
    Service(ServiceId),
}

impl Object<'_> {
    fn project(&self) -> Option<&str> {
        match self {
            Self::Project(project) => Some(project.as_str()),
            Self::Service(_) => None,
        }
    }

    fn service(&self) -> Option<String> {
        match self {
            Self::Project(_) => None,
            Self::Service(service) => Some(service.to_string()),
        }
    }
}

/// A viewer did something, or asked for it with success.
pub fn accepted(viewer: &Principal, action: impl Display, object: Object<'_>) {
    let (project, service) = (object.project(), object.service());
    tracing::info!(target: TARGET, subject = viewer.subject, %action, project, service, "Accepted");
}

/// A viewer may not do what they asked for.
pub fn refused(viewer: &Principal, action: impl Display, object: Object<'_>, why: impl Display) {
    let (project, service) = (object.project(), object.service());
    tracing::warn!(target: TARGET, subject = viewer.subject, %action, project, service, %why, "Refused");
}

/// A request was refused whoever sent it, such as one without a good token.
pub fn request_refused(why: &str) {
    tracing::warn!(target: TARGET, why, "Refused");
}

/// The manifests of backups were sealed with another key, on the operator's command.
pub fn manifests_rotated(key: &str, resealed: u64, unreadable: u64) {
    tracing::info!(target: TARGET, action = "ROTATE_MANIFEST_KEYS", key, resealed, unreadable, "Accepted");
}

/// The stored credentials were sealed with another key, on the operator's command.
pub fn keys_rotated(key: &str, resealed: u64, unreadable: u64) {
    tracing::info!(target: TARGET, action = "ROTATE_KEYS", key, resealed, unreadable, "Accepted");
}
