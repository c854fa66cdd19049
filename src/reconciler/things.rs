//! What a service is made of, in the engine's words.

use crate::catalog::build;
use crate::catalog::deployment::Deployment;
use crate::domain::id::InstanceId;
use crate::domain::service::Service;
use crate::engine::Thing;
use crate::engine::thing::{Container, Endpoint, Marks, Volume};

pub(super) fn volume(service: &Service) -> Thing {
    Thing::Volume(Volume {
        instance: service.instance,
        project: service.project.clone(),
        storage_mib: service.wish.tier.storage_mib,
        marks: marks(service),
    })
}

pub(super) fn container(service: &Service, deployment: Deployment) -> Thing {
    Thing::Container(Box::new(Container {
        endpoint: endpoint(service),
        published: service.address.published,
        deployment,
        build: build(&service.wish),
        marks: marks(service),
        is_isolated: false,
        reads: None,
    }))
}

/// The same that nobody reaches.
pub(super) fn isolated(service: &Service, deployment: Deployment) -> Thing {
    match container(service, deployment) {
        Thing::Container(container) => Thing::Container(Box::new(Container { is_isolated: true, ..*container })),
        other => other,
    }
}

/// The same that has the volume of another instance as well.
pub(super) fn copier(service: &Service, deployment: Deployment, source: InstanceId) -> Thing {
    match isolated(service, deployment) {
        Thing::Container(container) => Thing::Container(Box::new(Container { reads: Some(source), ..*container })),
        other => other,
    }
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
