//! The instances of a service that do not run it: one that is being prepared, and one that it had before.

use jiff::{SignedDuration, Timestamp};

use super::id::{InstanceId, ServiceId};
use super::service::Service;

text_enum! {
    /// What an instance that does not run its service is there for.
    pub enum Role {
        /// It is to run the service once it has the data.
        Building = "BUILDING",
        /// It ran the service until now, and its container has yet to go.
        Leaving = "LEAVING",
        /// It ran the service, and is kept for a while to go back to.
        Replaced = "REPLACED",
        /// A backup is restored into it, to see that it can be. It serves nobody, and goes with that.
        Checking = "CHECKING",
        /// Nobody wants it any more: it is being removed, and nobody can go back to it.
        Going = "GOING",
    } or Unknown
}

/// An instance that does not run its service. The one that does stands in the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub id: InstanceId,
    pub service: ServiceId,
    pub role: Role,
    /// The version that its data is of.
    pub version: String,
    /// The engine's id of the image that served last, and so fits the data.
    pub image: Option<String>,
    /// Since when it has its role.
    pub since: Timestamp,
    /// When it is removed; None where no time is set for it.
    pub purge_at: Option<Timestamp>,
}

impl Instance {
    /// One that is about to be made for `service`, to run it in `version`.
    pub fn building(id: InstanceId, service: &Service, version: &str, now: Timestamp) -> Self {
        let (service, version) = (service.id, version.to_owned());
        Self { id, service, role: Role::Building, version, image: None, since: now, purge_at: None }
    }

    /// One that is about to be made, into which a backup of `version` is restored.
    pub fn checking(id: InstanceId, service: ServiceId, version: &str, now: Timestamp) -> Self {
        let version = version.to_owned();
        Self { id, service, role: Role::Checking, version, image: None, since: now, purge_at: None }
    }

    /// What runs `service`, as it is once another one does: it is kept for so long, as `role` has it.
    pub fn replaced(service: &Service, role: Role, keep: SignedDuration, now: Timestamp) -> Self {
        Self {
            id: service.instance,
            service: service.id,
            role,
            version: service.wish.version.clone(),
            image: service.evidence.image.clone(),
            since: now,
            purge_at: Some(now.checked_add(keep).unwrap_or(Timestamp::MAX)),
        }
    }

    /// The same in another role.
    pub fn with_role(&self, role: Role) -> Self {
        Self { role, ..self.clone() }
    }

    /// Whether it can still be gone back to.
    pub fn is_kept(&self, now: Timestamp) -> bool {
        matches!(self.role, Role::Replaced | Role::Leaving) && self.purge_at.is_none_or(|at| now < at)
    }
}
