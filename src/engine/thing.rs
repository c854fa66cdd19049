//! What is to be there, what is to go, and what is found.

use jiff::Timestamp;

use crate::catalog::deployment::Deployment;
use crate::domain::id::{BuildDigest, InstanceId, ProjectId};
use crate::domain::service::Published;

/// What is to be there.
#[derive(Debug)]
pub enum Thing {
    /// A project's network.
    Network(ProjectId),
    Volume(Volume),
    /// Made, but not started; with its project's network, where it has that and that is not there yet.
    Container(Box<Container>),
    Endpoint(Endpoint),
}

/// What is written on a container or a volume for people and their tools, as the last part of a label's key and its value.
pub type Marks = Vec<(&'static str, String)>;

/// What holds an instance's data.
#[derive(Debug)]
pub struct Volume {
    pub instance: InstanceId,
    /// None where it is nobody's yet.
    pub project: Option<ProjectId>,
    /// Size that it is meant to have, in MiB.
    pub storage_mib: u32,
    pub marks: Marks,
}

/// What an instance runs in.
#[derive(Debug)]
pub struct Container {
    pub instance: InstanceId,
    /// What it is called on its project's network, and inside.
    pub hostname: String,
    pub place: Place,
    /// Where its main endpoint is published, if it is; the others are on the ports behind.
    pub published: Option<Published>,
    /// What it is made from: a name, or an engine's id.
    pub image: String,
    pub deployment: Deployment,
    /// Borne by the container from then on, so that what it was made from can be compared.
    pub build: Option<BuildDigest>,
    pub marks: Marks,
    /// An instance whose volume it has as well, at [`SOURCE`](crate::catalog::copy::SOURCE), and can only read.
    pub reads: Option<InstanceId>,
}

/// Who can reach a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Whoever is on its project's network, and on the host where it is published.
    Network(ProjectId),
    /// Nobody, ever: it has no network, and is not published.
    Isolated(ProjectId),
    /// Nobody until it is given an [`Endpoint`], and is published with that.
    Unassigned,
}

impl Place {
    /// None where it is nobody's yet.
    pub fn project(&self) -> Option<&ProjectId> {
        match self {
            Self::Network(project) | Self::Isolated(project) => Some(project),
            Self::Unassigned => None,
        }
    }
}

/// An instance's place on its project's network, which is made as well where it is not there.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub instance: InstanceId,
    pub project: ProjectId,
    /// The name by which others on the network find it.
    pub hostname: String,
}

/// What is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An instance's container, with its anonymous volumes.
    Container(InstanceId),
    /// An instance's volume, with all data.
    Volume(InstanceId),
    /// An instance's container that does not run, and the volume at `data_path` in it if that holds nothing but what a start
    /// puts there.
    Unused { instance: InstanceId, data_path: &'static str },
    /// A project's network, if this installation made it and nothing is attached to it.
    Network(ProjectId),
    /// Something that was found; not a network that something is attached to.
    Found(Owned),
}

/// A thing that bears this installation's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    pub what: OwnedThing,
    pub name: String,
    /// None where the engine does not tell.
    pub created_at: Option<Timestamp>,
}

/// What it is, and what its labels say that it is for; None where they don't say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedThing {
    Container(Option<InstanceId>),
    Volume(Option<InstanceId>),
    Network(Option<ProjectId>),
}
