//! What somebody reads of what a service holds.

/// What a statement gave, at most its first rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub columns: Vec<String>,
    /// As many cells each as there are columns; None is SQL's NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Whether there were more rows, or more bytes.
    pub is_truncated: bool,
    /// How long the server inside took, in milliseconds.
    pub duration_millis: u32,
}

/// Any bytes.
pub type KeyName = Vec<u8>;

/// Which keys to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyScan {
    /// A pattern of the kind's own.
    pub pattern: String,
    /// Where to go on; 0 at the beginning.
    pub cursor: u64,
    /// About how many keys are wanted.
    pub count: u32,
}

/// Keys by name only, where to go on, and how many keys there are in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyNames {
    pub names: Vec<KeyName>,
    /// None where these were the last.
    pub next: Option<u64>,
    pub total: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub name: KeyName,
    /// What kind of value it has, in the server's own word.
    pub kind: String,
    /// None where it has no end.
    pub ttl_millis: Option<u64>,
    /// With its value; an estimate.
    pub memory_bytes: Option<u64>,
}

/// Keys, where to go on, and how many there are in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPage {
    pub keys: Vec<Key>,
    /// None where these were the last.
    pub next: Option<u64>,
    pub total: u64,
}

/// A key with the beginning of its value.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyValue {
    pub key: Key,
    /// Bytes of a string, items of everything else.
    pub length: u64,
    pub entries: Vec<KeyEntry>,
    /// Whether there are more entries, or more bytes of one.
    pub is_truncated: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct KeyEntry {
    pub field: Option<String>,
    pub value: String,
    pub score: Option<f64>,
}

/// Bytes for people to read: text as it is, and what is none as "\x" and two hexadecimal digits a byte.
pub fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_it_is_and_other_bytes_are_told_apart() {
        assert_eq!(readable("ä\n\0\\x".as_bytes()), "ä\n\0\\x");
        assert_eq!(readable(b"a\xff\xfe\xc3\xa4b\xc3"), "a\\xff\\xfe\u{e4}b\\xc3");
    }
}
