//! The nodes of an installation, each with its engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::absent::Absent;
use super::{Engine, Instruments};
use crate::domain::node::{Capacity, NodeName};

/// An engine, and the name under which what is on it is kept in mind.
#[derive(Clone)]
pub struct Node {
    pub name: NodeName,
    pub engine: Arc<dyn Engine>,
    pub instruments: Arc<dyn Instruments>,
    /// What the operator says of it.
    pub labels: BTreeMap<String, String>,
    pub capacity: Capacity,
}

impl Node {
    /// One of which the operator says nothing else.
    pub fn new(name: NodeName, engine: Arc<dyn Engine>, instruments: Arc<dyn Instruments>) -> Self {
        Self { name, engine, instruments, labels: BTreeMap::new(), capacity: Capacity::default() }
    }

    /// One that is away for good.
    pub fn absent(name: NodeName) -> Self {
        Self::new(name, Arc::new(Absent), Arc::new(Absent))
    }
}

/// Which nodes there are. It never changes while the server runs.
#[derive(Clone)]
pub struct Fleet(Arc<BTreeMap<NodeName, Node>>);

impl Fleet {
    pub fn new(nodes: impl IntoIterator<Item = Node>) -> Self {
        Self(Arc::new(nodes.into_iter().map(|node| (node.name.clone(), node)).collect()))
    }

    /// In the order of their names.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node> {
        self.0.values()
    }

    /// Whether it is among them.
    pub fn names(&self, name: &NodeName) -> bool {
        self.0.contains_key(name)
    }

    /// One that is not among them is away.
    pub fn node(&self, name: &NodeName) -> Node {
        self.0.get(name).cloned().unwrap_or_else(|| Node::absent(name.clone()))
    }
}
