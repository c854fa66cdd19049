//! On which node a new service goes. It stays there until somebody moves it.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::node::{NodeName, NodeRecord, Promised};
use super::service::{ServiceKind, TierSpec};

/// How the operator has services spread over nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlacementRules {
    /// Whether a project's services go to different nodes; together where they can if not.
    pub spread: bool,
    /// What the labels of a service's node have to be.
    pub labels: Vec<LabelRule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRule {
    /// None: of every kind.
    pub kind: Option<ServiceKind>,
    pub label: String,
    pub value: String,
}

impl FromStr for PlacementRules {
    type Err = String;

    /// `together` or `spread`, and `KIND:LABEL=VALUE` or `*:LABEL=VALUE`, separated by commas.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut rules = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part {
                "together" => rules.spread = false,
                "spread" => rules.spread = true,
                rule => {
                    let form = || format!("{rule} is neither `together`, `spread` nor KIND:LABEL=VALUE");
                    let (kind, wanted) = rule.split_once(':').ok_or_else(form)?;
                    let (label, value) = wanted.split_once('=').ok_or_else(form)?;
                    let kind = match kind {
                        "*" => None,
                        kind => Some(kind.parse().map_err(|_| format!("{kind} is no kind of service"))?),
                    };
                    rules.labels.push(LabelRule { kind, label: label.to_owned(), value: value.to_owned() });
                }
            }
        }
        Ok(rules)
    }
}

/// A node that a service might go to.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub record: NodeRecord,
    pub labels: BTreeMap<String, String>,
    pub promised: Promised,
    /// How many services of the same project are there.
    pub of_project: u64,
}

/// Why a service goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// Each node is cordoned, does not answer, or lacks a label.
    Nowhere,
    /// The nodes that it might go to have too little of that.
    Lacks(&'static str),
}

impl PlacementRules {
    /// Where a service of `kind` and `tier` goes: of those that have room for it that with the most of its project, or with the
    /// fewest where they are spread, and of several the one of which the least is promised. Where there is but one node, it waits there
    /// for an engine that does not answer.
    ///
    /// # Errors
    /// Why it can't go to any.
    pub fn choose(&self, nodes: &[Candidate], kind: ServiceKind, tier: &TierSpec) -> Result<NodeName, NoPlace> {
        let is_single = nodes.len() == 1;
        let takes = |node: &&Candidate| {
            let wanted = self.labels.iter().filter(|rule| rule.kind.is_none_or(|of| of == kind));
            !node.record.is_cordoned
                && (is_single || node.record.away_since.is_none())
                && wanted.into_iter().all(|rule| node.labels.get(&rule.label) == Some(&rule.value))
        };
        let mut lacks = None;
        let mut fit: Vec<_> = nodes.iter().filter(takes).collect();
        fit.retain(|node| match node.record.capacity.lacks(&node.promised.and(tier)) {
            Some(what) => {
                lacks = lacks.or(Some(what));
                false
            }
            None => true,
        });
        let rank = |node: &&&Candidate| {
            let together = if self.spread { node.of_project } else { u64::MAX - node.of_project };
            (together, node.record.capacity.share(&node.promised), node.promised.services)
        };
        let best = fit.iter().min_by(|one, other| {
            let (one, other) = (rank(one), rank(other));
            one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)).then(one.2.cmp(&other.2))
        });
        best.map(|node| node.record.name.clone()).ok_or(lacks.map_or(NoPlace::Nowhere, NoPlace::Lacks))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::node::Capacity;
    use crate::domain::service::SizeTier;

    const TIER: TierSpec = TierSpec { tier: SizeTier::Dev, memory_mib: 256, cpu_millis: 500, storage_mib: 1024 };

    fn node(name: &str, memory_mib: u64, services: u64) -> Candidate {
        let promised = (0..services).fold(Promised::default(), |promised, _| promised.and(&TIER));
        let capacity = Capacity { memory_mib: Some(memory_mib), ..Capacity::default() };
        let record =
            NodeRecord { name: name.parse().unwrap(), is_cordoned: false, away_since: None, capacity, engine: None };
        Candidate { record, labels: BTreeMap::new(), promised, of_project: 0 }
    }

    fn choose(rules: &str, nodes: &[Candidate]) -> Result<String, NoPlace> {
        let rules: PlacementRules = rules.parse().unwrap();
        rules.choose(nodes, ServiceKind::ALL[0], &TIER).map(|name| name.to_string())
    }

    #[test]
    fn it_goes_where_the_least_is_promised() {
        let nodes = [node("a", 1024, 3), node("b", 4096, 4), node("c", 1024, 2)];
        assert_eq!(choose("", &nodes).unwrap(), "b");
        assert_eq!(choose("", &[node("a", 1024, 4), node("b", 1024, 3)]).unwrap(), "b", "all of it may be promised");
        assert_eq!(choose("", &[node("a", 1024, 4), node("b", 512, 2)]), Err(NoPlace::Lacks("memory")));
    }

    #[test]
    fn a_project_stays_together_unless_it_is_to_be_spread_or_there_is_no_room() {
        let mut nodes = [node("a", 2048, 3), node("b", 2048, 0)];
        nodes[0].of_project = 1;
        assert_eq!(choose("together", &nodes).unwrap(), "a");
        assert_eq!(choose("spread", &nodes).unwrap(), "b");
        nodes[0].record.capacity.memory_mib = Some(1000);
        assert_eq!(choose("together", &nodes).unwrap(), "b");
    }

    #[test]
    fn nothing_goes_to_one_that_is_cordoned_or_away_or_of_other_labels() {
        let mut nodes = [node("a", 1024, 0), node("b", 1024, 1), node("c", 1024, 2)];
        nodes[0].record.is_cordoned = true;
        assert_eq!(choose("", &nodes).unwrap(), "b");
        nodes[1].record.away_since = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(choose("", &nodes).unwrap(), "c");
        let kind = ServiceKind::ALL[0];
        assert_eq!(choose(&format!("{kind}:disk=ssd"), &nodes), Err(NoPlace::Nowhere));
        nodes[2].labels.insert("disk".to_owned(), "ssd".to_owned());
        assert_eq!(choose(&format!("spread,{kind}:disk=ssd"), &nodes).unwrap(), "c");
        assert_eq!(choose("*:disk=hdd", &nodes), Err(NoPlace::Nowhere));
    }

    #[test]
    fn a_single_node_has_it_wait() {
        let mut only = node("local", 1024, 0);
        only.record.away_since = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(choose("", std::slice::from_ref(&only)).unwrap(), "local");
        only.record.is_cordoned = true;
        assert_eq!(choose("", &[only]), Err(NoPlace::Nowhere));
    }

    #[test]
    fn rules_that_mean_nothing_are_refused() {
        for bad in ["apart", "REDIS", "NOTHING:a=b", "REDIS:a"] {
            assert!(bad.parse::<PlacementRules>().is_err(), "{bad}");
        }
    }
}
