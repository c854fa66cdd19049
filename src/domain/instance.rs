//! The instances of a service that do not run it: one that is being prepared, and one that it had before.

use jiff::{SignedDuration, Timestamp};

use super::id::{InstanceId, ServiceId};
use super::image::Image;
use super::node::NodeName;
use super::service::Service;

text_enum! {
    /// What an instance that does not run its service is there for.
    pub enum Role {
        /// It is to run the service once it has the data.
        Building = "BUILDING",
        /// It ran the service until that went back, and its container has yet to go.
        Leaving = "LEAVING",
        /// It ran the service, and is kept for a while to go back to.
        Replaced = "REPLACED",
        /// It ran the service until that went back, and is kept for a while to come round to again.
        Reverted = "REVERTED",
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
    /// Where it is.
    pub node: NodeName,
    pub role: Role,
    /// The version that its data is of.
    pub version: String,
    /// The image that served last, and so fits the data.
    pub image: Option<Image>,
    /// Since when it has its role.
    pub since: Timestamp,
    /// When it is removed; None where no time is set for it.
    pub purge_at: Option<Timestamp>,
}

impl Instance {
    /// One that is about to be made for `service`, to run it in `version`.
    pub fn building(id: InstanceId, service: &Service, version: &str, now: Timestamp) -> Self {
        let (node, version) = (service.node.clone(), version.to_owned());
        Self { id, service: service.id, node, role: Role::Building, version, image: None, since: now, purge_at: None }
    }

    /// One that is about to be made, into which a backup of `version` is restored.
    pub fn checking(id: InstanceId, service: &Service, version: &str, now: Timestamp) -> Self {
        let (node, version) = (service.node.clone(), version.to_owned());
        Self { id, service: service.id, node, role: Role::Checking, version, image: None, since: now, purge_at: None }
    }

    /// What runs `service`, as it is once another one does: it is kept for so long, as `role` has it.
    pub fn replaced(service: &Service, role: Role, keep: SignedDuration, now: Timestamp) -> Self {
        Self {
            id: service.instance,
            service: service.id,
            node: service.node.clone(),
            role,
            version: service.wish.version.clone(),
            image: service.evidence.served(),
            since: now,
            purge_at: Some(now.checked_add(keep).unwrap_or(Timestamp::MAX)),
        }
    }

    /// The same in another role.
    pub fn with_role(&self, role: Role) -> Self {
        Self { role, ..self.clone() }
    }

    /// Which of `instances`, the newest first, is gone back to: what was replaced last, and where there is no such what was gone back
    /// from first, so that it comes round to each.
    pub fn gone_back_to(instances: &[Self], now: Timestamp) -> Option<&Self> {
        let kept = || instances.iter().filter(|instance| instance.is_kept(now));
        kept().find(|instance| instance.role == Role::Replaced).or_else(|| kept().next_back())
    }

    /// Whether it can still be gone back to.
    pub fn is_kept(&self, now: Timestamp) -> bool {
        matches!(self.role, Role::Replaced | Role::Reverted | Role::Leaving) && self.purge_at.is_none_or(|at| now < at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::tests::service;
    use crate::domain::service::{Power, ServiceState};

    #[test]
    fn it_goes_back_step_by_step_and_from_the_first_to_the_last_again() {
        let service = service(ServiceState::Running, Power::On);
        let (hour, now) = (SignedDuration::from_hours(1), Timestamp::UNIX_EPOCH);
        let kept = |role, hours: i32| Instance::replaced(&service, role, hour * 10, now + hour * hours);
        let (first, second) = (kept(Role::Replaced, 1), kept(Role::Replaced, 2));
        let left = [kept(Role::Reverted, 4), kept(Role::Reverted, 3)];
        let [newest, older] = left.clone();
        let at = now + hour * 5;
        assert_eq!(Instance::gone_back_to(&[second.clone(), first.clone()], at), Some(&second));
        assert_eq!(Instance::gone_back_to(&[newest.clone(), older.clone(), first.clone()], at), Some(&first));
        assert_eq!(Instance::gone_back_to(&left, at), Some(&older));
        assert_eq!(Instance::gone_back_to(&[newest.clone(), first], now + hour * 12), Some(&newest), "it had its time");
        assert_eq!(Instance::gone_back_to(&[kept(Role::Building, 5), kept(Role::Going, 5)], at), None);
    }
}
