//! Which replica reconciles, and for how long.

use uuid::Uuid;

use super::node::NodeName;

/// A process that serves; made anew at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaId(pub Uuid);

/// A replica's right to reconcile a node. Time is not in it, for replicas' clocks differ: whoever sees neither `epoch` nor
/// `beat` change for long enough, by a clock of its own, may take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub node: NodeName,
    /// None: nobody reconciles, and anybody may begin at once.
    pub holder: Option<ReplicaId>,
    /// Counts the node's terms.
    pub epoch: i64,
    /// Counts the holder's signs of life.
    pub beat: i64,
}
