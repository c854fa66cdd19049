//! What a service is made of, in the engine's words.

use crate::catalog::build;
use crate::catalog::deployment::Deployment;
use crate::domain::id::{InstanceId, ServiceId};
use crate::domain::pool::PoolMember;
use crate::domain::service::Service;
use crate::engine::Thing;
use crate::engine::thing::{Container, Endpoint, Marks, Place, Volume};

pub(super) fn volume(service: &Service) -> Thing {
    Thing::Volume(Volume {
        instance: service.instance,
        project: Some(service.project.clone()),
        storage_mib: service.wish.tier.storage_mib,
        marks: marks(service),
    })
}

pub(super) fn container(service: &Service, image: String, deployment: Deployment) -> Thing {
    Thing::Container(Box::new(Container {
        instance: service.instance,
        hostname: service.address.hostname.clone(),
        place: Place::Network(service.project.clone()),
        published: service.address.published,
        image,
        deployment,
        build: build(&service.wish),
        marks: marks(service),
        reads: None,
    }))
}

/// The same that nobody reaches.
pub(super) fn isolated(service: &Service, image: String, deployment: Deployment) -> Thing {
    match container(service, image, deployment) {
        Thing::Container(container) => {
            Thing::Container(Box::new(Container { place: Place::Isolated(service.project.clone()), ..*container }))
        }
        other => other,
    }
}

/// The same that has the volume of another instance as well.
pub(super) fn copier(service: &Service, image: String, deployment: Deployment, source: InstanceId) -> Thing {
    match isolated(service, image, deployment) {
        Thing::Container(container) => Thing::Container(Box::new(Container { reads: Some(source), ..*container })),
        other => other,
    }
}

/// What holds the data of an instance that is nobody's yet.
pub(super) fn volume_of_member(member: &PoolMember) -> Thing {
    Thing::Volume(Volume {
        instance: member.id,
        project: None,
        storage_mib: member.tier.storage_mib,
        marks: marks_of_member(member),
    })
}

pub(super) fn container_of_member(member: &PoolMember, image: String, deployment: Deployment) -> Thing {
    Thing::Container(Box::new(Container {
        instance: member.id,
        hostname: format!("{}-{}", member.kind.plain_name(), ServiceId(member.id.0).suffix()),
        place: Place::Unassigned,
        published: member.published,
        image,
        deployment,
        build: build(&member.wish()),
        marks: marks_of_member(member),
        reads: None,
    }))
}

fn marks_of_member(member: &PoolMember) -> Marks {
    vec![("kind", member.kind.to_string()), ("tier", member.tier.tier.to_string())]
}

/// The service's address, for the instance that it is given to.
pub(super) fn endpoint(service: &Service) -> Endpoint {
    Endpoint {
        instance: service.instance,
        project: service.project.clone(),
        hostname: service.address.hostname.clone(),
    }
}

fn marks(service: &Service) -> Marks {
    vec![
        ("service", service.id.to_string()),
        ("name", service.name.to_string()),
        ("kind", service.wish.kind.to_string()),
        ("tier", service.wish.tier.tier.to_string()),
    ]
}
