//! What operators see of the machines that services run on.

use async_graphql::{InputObject, SimpleObject};

use super::date_time::DateTime;
use super::enums::NodeState;
use crate::api::error::{Error, Result};
use crate::app::nodes::NodeView;
use crate::domain::node::{Capacity, NodeName, Promised};

/// A machine that services run on, with a Docker Engine of its own.
#[derive(SimpleObject)]
pub struct ClusterNode {
    /// What the operator calls it, which stays. A service is bound to the node of this name: no other one ever starts it.
    name: String,
    /// Whether its engine answers.
    state: NodeState,
    /// Since when that does not; null while it does.
    away_since: Option<DateTime>,
    /// Whether nothing new is placed on it, as by `cordonNode`. What is there stays and runs.
    cordoned: bool,
    /// What the operator says of it, to place services by.
    labels: Vec<NodeLabel>,
    /// How much services there may be promised in all.
    capacity: NodeCapacity,
    /// How much of that the sizes of the services there promise, whether they run or are stopped.
    promised: NodePromises,
    /// The version of its engine; null until that has answered once.
    engine_version: Option<String>,
}

/// A label of a node.
#[derive(SimpleObject)]
pub struct NodeLabel {
    /// What it tells.
    name: String,
    /// What it is there.
    value: String,
}

/// How much services of a node may be promised in all; null is as much as anybody asks for.
#[derive(SimpleObject)]
pub struct NodeCapacity {
    /// Memory in MiB.
    memory_mib: Option<u64>,
    /// Thousandths of a core.
    cpu_millis: Option<u64>,
    /// Storage in MiB.
    storage_mib: Option<u64>,
}

/// What services of a node are promised by their sizes.
#[derive(SimpleObject)]
pub struct NodePromises {
    /// How many services there are that are not destroyed.
    services: u64,
    /// Memory in MiB.
    memory_mib: u64,
    /// Thousandths of a core.
    cpu_millis: u64,
    /// Storage in MiB.
    storage_mib: u64,
}

impl From<NodeView> for ClusterNode {
    fn from(NodeView { record, labels, promised }: NodeView) -> Self {
        let Capacity { memory_mib, cpu_millis, storage_mib } = record.capacity;
        let Promised { services, memory_mib: memory, cpu_millis: cpu, storage_mib: storage } = promised;
        let state = match (&record.engine, record.away_since) {
            (_, Some(_)) => NodeState::Away,
            (None, None) => NodeState::Unknown,
            (Some(_), None) => NodeState::Ready,
        };
        Self {
            name: record.name.to_string(),
            state,
            away_since: record.away_since.map(DateTime),
            cordoned: record.is_cordoned,
            labels: labels.into_iter().map(|(name, value)| NodeLabel { name, value }).collect(),
            capacity: NodeCapacity { memory_mib, cpu_millis, storage_mib },
            promised: NodePromises { services, memory_mib: memory, cpu_millis: cpu, storage_mib: storage },
            engine_version: record.engine,
        }
    }
}

/// Which node.
#[derive(InputObject)]
pub struct NodeInput {
    /// Its name.
    pub name: String,
}

impl NodeInput {
    pub fn parse(&self) -> Result<NodeName> {
        self.name.parse().map_err(|error| Error::bad_input("name", format!("{error}.")))
    }
}

/// The answer of `cordonNode`.
#[derive(SimpleObject)]
pub struct CordonNodePayload {
    /// The node, on which nothing new is placed.
    pub node: ClusterNode,
}

/// The answer of `uncordonNode`.
#[derive(SimpleObject)]
pub struct UncordonNodePayload {
    /// The node, on which new services are placed again.
    pub node: ClusterNode,
}
