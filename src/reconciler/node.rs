//! What is written down of the node that is reconciled, for those who place services and who look at it.

use super::Reconciler;
use super::execute::failure;
use super::rules::Failure;
use crate::domain::node::{Capacity, NodeRecord};
use crate::domain::service::ErrorCode;
use crate::engine::EngineError;

impl Reconciler {
    /// Writes down whether its engine answers, and what that says of itself. Where it can't be written, or another replica writes what
    /// it saw before, the next tick does it.
    pub(super) async fn note_node(&self) {
        let _one_at_a_time = self.noting.lock().await;
        let described = match self.presence.is_away() {
            false => self.engine.describe().await.ok(),
            true => None,
        };
        // It may have been lost meanwhile.
        let away_since = self.presence.away().map(|away| away.since);
        let known = match self.store.node_list().await {
            Ok(nodes) => nodes.into_iter().find(|node| node.name == self.node),
            Err(_) => None,
        };
        let before = known.unwrap_or_else(|| NodeRecord::unseen(self.node.clone(), self.settings.capacity));
        let engine = described.as_ref().map(|described| described.version.clone());
        let seen = NodeRecord {
            away_since,
            capacity: described.map_or(before.capacity, |described| self.capacity(described.memory_mib)),
            engine: engine.or(before.engine.clone()),
            ..before.clone()
        };
        if seen == before && seen.engine.is_some() {
            return;
        }
        if let Err(error) = self.store.node_note(&seen).await {
            tracing::warn!(error = ?error, "What is seen of the node could not be written");
        }
    }

    /// What is shown of services while their engine does not tell of them. Where there are others, it says which.
    pub(super) fn silence(&self, error: &EngineError) -> Failure {
        match failure(error) {
            Failure { code: ErrorCode::EngineUnavailable, .. } if self.settings.has_neighbours => Failure {
                code: ErrorCode::NodeUnavailable,
                message: format!("The node {} does not answer; it is tried again. Its data stays there.", self.node),
            },
            failure => failure,
        }
    }

    /// What the operator gives, and else the memory that its host has, where there are other nodes for what it has no room for.
    fn capacity(&self, memory_mib: u64) -> Capacity {
        let given = self.settings.capacity;
        match given.memory_mib {
            None if self.settings.has_neighbours => Capacity { memory_mib: Some(memory_mib), ..given },
            _ => given,
        }
    }
}
