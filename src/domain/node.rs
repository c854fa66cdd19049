//! The nodes on which instances run, each with an engine of its own.

use std::fmt;
use std::str::FromStr;

use super::Stored;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        for good in ["local", "a", "node-1", &"n".repeat(63)] {
            assert_eq!(good.parse::<NodeName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "Node", "a.b", "a b", &"n".repeat(64)] {
            assert_eq!(bad.parse::<NodeName>(), Err(InvalidNodeName), "{bad}");
        }
    }
}
