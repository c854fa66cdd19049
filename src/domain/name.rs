//! Names of services.

use std::fmt;
use std::str::FromStr;

/// The longest name, in characters: what is left of a DNS label (63, RFC 1035 section 2.3.4) for a suffix.
pub const MAX_LENGTH: usize = 40;

/// A service's name: a DNS label (RFC 1123) of 1 to 40 lower-case letters, digits and inner hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name is 1 to 40 lower-case letters, digits and hyphens, and starts and ends with a letter or digit")]
pub struct InvalidName;

impl super::Stored for ServiceName {
    /// A newer version may allow others.
    fn unknown(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl ServiceName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `base` itself for the first, `base-2` for the second and so on.
    pub fn numbered(base: &Self, number: u32) -> Self {
        if number <= 1 { base.clone() } else { Self(format!("{base}-{number}")) }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServiceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bytes = text.as_bytes();
        let letter = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let valid = bytes.len() <= MAX_LENGTH
            && bytes.first().is_some_and(letter)
            && bytes.last().is_some_and(letter)
            && bytes.iter().all(|b| letter(b) || *b == b'-');
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidName) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label_of_at_most_forty_characters() {
        for text in ["a", "7", "my-db", "a--b", &"x".repeat(40)] {
            assert_eq!(text.parse::<ServiceName>().unwrap().as_str(), text);
        }
        for text in ["", "-a", "a-", "A", "a_b", "a.b", "ä", "a b", &"x".repeat(41)] {
            assert_eq!(text.parse::<ServiceName>(), Err(InvalidName), "{text}");
        }
    }

    #[test]
    fn the_second_of_a_kind_is_numbered() {
        let base: ServiceName = "redis".parse().unwrap();
        assert_eq!(ServiceName::numbered(&base, 1).as_str(), "redis");
        assert_eq!(ServiceName::numbered(&base, 2).as_str(), "redis-2");
    }
}
