//! The nodes: which there are, how much of them is promised, and where what is new goes.

use std::collections::{BTreeMap, HashMap};

use super::{App, AppError, Result};
use crate::audit::{self, Object};
use crate::domain::id::ProjectId;
use crate::domain::node::{Capacity, NodeName, NodeRecord, Promised};
use crate::domain::permission::{Denied, Permission, Principal};
use crate::domain::placement::{Candidate, NoPlace};
use crate::domain::service::{Service, Wish};

/// A node as operators see it.
#[derive(Debug, Clone)]
pub struct NodeView {
    pub record: NodeRecord,
    pub labels: BTreeMap<String, String>,
    pub promised: Promised,
}

impl App {
    /// Every node, in the order of their names. Needs the permission for nodes.
    pub async fn nodes(&self, viewer: &Principal) -> Result<Vec<NodeView>> {
        operator(viewer, "READ_NODES")?;
        self.all_nodes().await
    }

    /// Has nothing new placed on a node, or something again; what is there stays. Needs the permission for nodes.
    pub async fn cordon(&self, viewer: &Principal, name: &NodeName, cordoned: bool) -> Result<NodeView> {
        let action = if cordoned { "CORDON_NODE" } else { "UNCORDON_NODE" };
        operator(viewer, action)?;
        if !self.store.node_cordon(name, cordoned).await? {
            return Err(AppError::NotFound("node"));
        }
        audit::accepted(viewer, action, Object::Node(name));
        let nodes = self.all_nodes().await?;
        nodes.into_iter().find(|node| node.record.name == *name).ok_or(AppError::NotFound("node"))
    }

    async fn all_nodes(&self) -> Result<Vec<NodeView>> {
        let records = self.store.node_list().await?;
        let mut promised: HashMap<_, _> = self.store.promised_list().await?.into_iter().collect();
        let view = |record: NodeRecord| {
            let promised = promised.remove(&record.name);
            // One that is not named any more is of interest while there is something on it.
            let promised = promised.or_else(|| self.fleet.names(&record.name).then(Promised::default))?;
            Some(NodeView { labels: self.fleet.node(&record.name).labels, promised, record })
        };
        Ok(records.into_iter().filter_map(view).collect())
    }

    /// What may be promised on a service's node in all, where a change promises it more and that has a bound.
    pub(super) async fn capacity_beyond(&self, before: &Service, after: &Service) -> Result<Option<Capacity>> {
        let (is, was) = (after.wish.tier, before.wish.tier);
        if is.memory_mib <= was.memory_mib && is.cpu_millis <= was.cpu_millis && is.storage_mib <= was.storage_mib {
            return Ok(None);
        }
        let node = self.store.node_list().await?.into_iter().find(|node| node.name == before.node);
        Ok(node.map(|node| node.capacity).filter(Capacity::is_bounded))
    }

    /// Where a new service goes, and what may be promised there in all, where that has a bound. One that is to be given what another
    /// one holds goes where that is, `beside` it: its data does not leave the node.
    pub(super) async fn place(
        &self,
        project: &ProjectId,
        wish: &Wish,
        beside: Option<&NodeName>,
    ) -> Result<(NodeName, Option<Capacity>)> {
        let records = self.store.node_list().await?;
        let is_single = self.fleet.nodes().len() == 1;
        let mut candidates: Vec<_> = self
            .fleet
            .nodes()
            .filter(|node| beside.is_none_or(|beside| node.name == *beside))
            .map(|node| {
                let known = records.iter().find(|record| record.name == node.name).cloned();
                let record = known.unwrap_or_else(|| NodeRecord::unseen(node.name.clone(), node.capacity));
                Candidate { record, labels: node.labels.clone(), promised: Promised::default(), of_project: 0 }
            })
            .collect();
        if candidates.iter().any(|candidate| candidate.record.capacity.is_bounded()) || !is_single {
            let promised: HashMap<_, _> = self.store.promised_list().await?.into_iter().collect();
            let of_project: HashMap<_, _> = self.store.service_count_by_node(project).await?.into_iter().collect();
            for candidate in &mut candidates {
                let name = &candidate.record.name;
                candidate.promised = promised.get(name).copied().unwrap_or_default();
                candidate.of_project = of_project.get(name).copied().unwrap_or_default();
            }
        }
        let chosen = self.terms.placement.choose(&candidates, wish.kind, &wish.tier);
        let name = chosen.map_err(|why| match why {
            NoPlace::Nowhere => AppError::NoNode,
            NoPlace::Lacks(what) => AppError::NoRoom { what },
        })?;
        let capacity = candidates.iter().find(|candidate| candidate.record.name == name);
        let capacity = capacity.map(|candidate| candidate.record.capacity).filter(Capacity::is_bounded);
        Ok((name, capacity))
    }
}

fn operator(viewer: &Principal, action: &'static str) -> Result<()> {
    if viewer.has(Permission::PlatformNodes) {
        return Ok(());
    }
    let denied = Denied::Missing(Permission::PlatformNodes);
    audit::refused(viewer, action, Object::Nodes, denied);
    Err(denied.into())
}
