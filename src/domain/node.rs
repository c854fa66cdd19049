//! The nodes on which instances run, each with an engine of its own.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::Stored;
use super::service::TierSpec;

/// A node's name: a DNS label (RFC 1123) of 1 to 63 lower-case letters, digits and inner hyphens. What an instance is bound to, so
/// that no node of another name ever runs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node's name is 1 to 63 lower-case letters, digits and hyphens, and starts and ends with a letter or digit")]
pub struct InvalidNodeName;

impl NodeName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for NodeName {
    /// That of the one engine of an installation that names none, and so of all that was made before nodes had names.
    fn default() -> Self {
        Self("local".to_owned())
    }
}

impl Stored for NodeName {
    /// A newer version may allow others.
    fn unknown(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeName {
    type Err = InvalidNodeName;

    fn from_str(text: &str) -> Result<Self, InvalidNodeName> {
        let bytes = text.as_bytes();
        let letter = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let valid = bytes.len() <= 63
            && bytes.first().is_some_and(letter)
            && bytes.last().is_some_and(letter)
            && bytes.iter().all(|b| letter(b) || *b == b'-');
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidNodeName) }
    }
}

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    pub name: NodeName,
    /// Whether nothing new is placed on it.
    pub is_cordoned: bool,
    /// Since when its engine does not answer.
    pub away_since: Option<Timestamp>,
    pub capacity: Capacity,
    /// The version of its engine, once that has answered.
    pub engine: Option<String>,
}

impl NodeRecord {
    /// One of which nothing is known yet.
    pub fn unseen(name: NodeName, capacity: Capacity) -> Self {
        Self { name, is_cordoned: false, away_since: None, capacity, engine: None }
    }
}

/// How much services on a node may be promised in all: the sum of their sizes. None is no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Capacity {
    pub memory_mib: Option<u64>,
    /// Thousandths of a core.
    pub cpu_millis: Option<u64>,
    pub storage_mib: Option<u64>,
}

/// What services on a node are promised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Promised {
    pub services: u64,
    pub memory_mib: u64,
    /// Thousandths of a core.
    pub cpu_millis: u64,
    pub storage_mib: u64,
}

impl Promised {
    /// The same with one more of that size.
    #[must_use]
    pub fn and(self, tier: &TierSpec) -> Self {
        Self {
            services: self.services + 1,
            memory_mib: self.memory_mib + u64::from(tier.memory_mib),
            cpu_millis: self.cpu_millis + u64::from(tier.cpu_millis),
            storage_mib: self.storage_mib + u64::from(tier.storage_mib),
        }
    }
}

impl Capacity {
    pub fn is_bounded(&self) -> bool {
        self.memory_mib.is_some() || self.cpu_millis.is_some() || self.storage_mib.is_some()
    }

    /// What it has too little of for so much, in words.
    pub fn lacks(&self, promised: &Promised) -> Option<&'static str> {
        let over = |most: Option<u64>, is: u64| most.is_some_and(|most| is > most);
        match () {
            () if over(self.memory_mib, promised.memory_mib) => Some("memory"),
            () if over(self.cpu_millis, promised.cpu_millis) => Some("CPU"),
            () if over(self.storage_mib, promised.storage_mib) => Some("storage"),
            () => None,
        }
    }

    /// Which part of it is promised, of what it has least of: 0 to 1, and 0 of what has no bound.
    pub fn share(&self, promised: &Promised) -> f64 {
        let of = |most: Option<u64>, is: u64| most.map_or(0.0, |most| is as f64 / most.max(1) as f64);
        of(self.memory_mib, promised.memory_mib)
            .max(of(self.cpu_millis, promised.cpu_millis))
            .max(of(self.storage_mib, promised.storage_mib))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::service::SizeTier;

    #[test]
    fn a_name_is_a_dns_label() {
        for good in ["local", "a", "node-1", &"n".repeat(63)] {
            assert_eq!(good.parse::<NodeName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "Node", "a.b", "a b", &"n".repeat(64)] {
            assert_eq!(bad.parse::<NodeName>(), Err(InvalidNodeName), "{bad}");
        }
    }

    #[test]
    fn a_node_lacks_what_is_promised_beyond_its_capacity() {
        let capacity = Capacity { memory_mib: Some(1024), cpu_millis: Some(1000), storage_mib: None };
        let tier = TierSpec { tier: SizeTier::Dev, memory_mib: 512, cpu_millis: 500, storage_mib: 1 << 30 };
        let one = Promised::default().and(&tier);
        assert_eq!((capacity.lacks(&one), capacity.share(&one)), (None, 0.5));
        let two = one.and(&tier);
        assert_eq!((capacity.lacks(&two), two.services), (None, 2), "all of it may be promised");
        assert_eq!(capacity.lacks(&two.and(&tier)), Some("memory"));
        let busy = TierSpec { memory_mib: 1, ..tier };
        assert_eq!(capacity.lacks(&one.and(&busy).and(&busy)), Some("CPU"));
        assert_eq!(Capacity::default().lacks(&two), None);
    }
}
