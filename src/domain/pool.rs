//! Instances that are ready before anybody asks for them: made, started and answering, on no network, and nobody's. What is
//! provisioned takes one, where one of the kind, version and size is there.

use jiff::Timestamp;

use super::id::InstanceId;
use super::node::NodeName;
use super::service::{Power, Published, ServiceKind, SizeTier, TierSpec, Wish};

text_enum! {
    /// How far an instance of the pool has come.
    pub enum MemberState {
        /// It is being made, or what was made of it was left.
        Making = "MAKING",
        /// It answered, and waits to be taken.
        Ready = "READY",
        /// Nobody is to take it any more: it is being removed.
        Going = "GOING",
    } or Unknown
}

/// An instance of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolMember {
    pub id: InstanceId,
    /// Where it is.
    pub node: NodeName,
    pub kind: ServiceKind,
    pub version: String,
    pub tier: TierSpec,
    /// What it was made from; only what would be made from the same can take it.
    pub made_of: String,
    /// Where whatever takes it is published.
    pub published: Option<Published>,
    pub state: MemberState,
    /// The reconciler's term in which it was last seen to be ready. Nobody takes it in another one: a store that was put back
    /// to an earlier state may name what somebody has taken since.
    pub seen_in: i64,
    /// Since when it has its state.
    pub since: Timestamp,
}

impl PoolMember {
    /// What whoever takes it has.
    pub fn wish(&self) -> Wish {
        Wish { kind: self.kind, version: self.version.clone(), tier: self.tier, power: Power::On }
    }
}

/// How many of a kind, a version and a size the operator wants to be ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolTarget {
    pub kind: ServiceKind,
    pub version: String,
    pub tier: SizeTier,
    /// However few are asked for.
    pub floor: u32,
    /// However many are.
    pub ceiling: u32,
}

impl PoolTarget {
    /// How many are to be ready where so many were taken of late.
    pub fn wanted(&self, taken: u32) -> u32 {
        taken.clamp(self.floor, self.ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_ready_as_were_taken_of_late_between_a_floor_and_a_ceiling() {
        let (kind, version, tier) = (ServiceKind::ALL[0], "7".to_owned(), SizeTier::Dev);
        let target = PoolTarget { kind, version, tier, floor: 1, ceiling: 3 };
        assert_eq!([0, 1, 2, 9].map(|taken| target.wanted(taken)), [1, 1, 2, 3]);
    }
}
