//! The ids of all that is a node: a service's own, and for others what they are ahead of what they are called.

use async_graphql::ID;

use super::ids::parse_service;
use crate::api::error::{Error, Result};
use crate::catalog;
use crate::domain::id::{ProjectId, ServiceId};
use crate::domain::service::ServiceKind;

const PROJECT: &str = "project:";
const KIND: &str = "kind:";

pub enum NodeId {
    Service(ServiceId),
    Project(ProjectId),
    Kind(&'static catalog::Definition),
}

pub fn of_project(project: &ProjectId) -> ID {
    format!("{PROJECT}{project}").into()
}

pub fn of_kind(kind: ServiceKind) -> ID {
    format!("{KIND}{kind}").into()
}

pub fn parse(id: &ID) -> Result<NodeId> {
    if let Some(project) = id.strip_prefix(PROJECT) {
        return project.parse().map(NodeId::Project).map_err(|_| unknown());
    }
    if let Some(kind) = id.strip_prefix(KIND) {
        let mut definitions = catalog::ALL.iter().copied();
        return definitions.find(|definition| definition.kind.as_str() == kind).map(NodeId::Kind).ok_or_else(unknown);
    }
    parse_service("id", id).map(NodeId::Service).map_err(|_| unknown())
}

fn unknown() -> Error {
    Error::bad_input("id", "It is not the id of an object.")
}
