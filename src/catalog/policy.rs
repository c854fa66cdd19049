//! What the operator lets the users of services be.

use std::str::FromStr;

/// The operator's word, the same for all services of a server. A service hears it when its data is first laid out, and of its
/// user's rights also when it is brought to another version or repaired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether PostgreSQL's users are superusers.
    pub superuser: bool,
    /// What PostgreSQL's users have besides the extensions that any owner of a database can create.
    pub extensions: Vec<Extension>,
}

/// The name of an extension of PostgreSQL: nothing in it needs escaping in SQL or a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension(String);

impl Extension {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, thiserror::Error)]
#[error("an extension's name is a lower-case letter and up to 62 more lower-case letters, digits, `_` and `-`")]
pub struct NoExtension;

impl FromStr for Extension {
    type Err = NoExtension;

    fn from_str(text: &str) -> Result<Self, NoExtension> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        let begins = text.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
        // As long as an identifier may be (PostgreSQL manual, "Identifiers and Key Words").
        if begins && text.len() <= 63 && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoExtension)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_a_plain_name() {
        for name in ["hstore", "uuid-ossp", "pg_stat_statements", "h3"] {
            assert_eq!(name.parse::<Extension>().unwrap().as_str(), name);
        }
        let long = "x".repeat(64);
        for name in ["", "PostGIS", "a b", "a;b", "a'b", "a\"b", "-a", "1a", "ä", &long] {
            assert!(name.parse::<Extension>().is_err(), "{name}");
        }
    }
}
