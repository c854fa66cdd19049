//! How a service of a kind is backed up and restored, each by a command in a container. What is taken is a stream; what it is
//! laid out from is that stream, on a volume that holds nothing.

use std::collections::BTreeMap;

use super::access::Access;
use super::deployment::Change;

/// What begins a line by which a command tells a fact, as `fact:name=value`.
const FACT: &str = "fact:";

/// The steps.
#[derive(Clone, Copy)]
pub struct Backup {
    /// What the stream is, for who finds one.
    pub content: &'static str,
    /// In the running container: writes all that the server holds, as of a moment in between, to standard output. Standard error
    /// tells facts that a restore wants to know, and what went wrong.
    pub take: fn(&Access) -> Change,
    /// In a container of the same image that does nothing: lays out what comes in, so that a server starts with it. Ends by
    /// itself once it has all of it.
    pub lay_out: fn(&Layout<'_>) -> Change,
    /// In the server that was started with it: from now on it lets in whom the access names, and nobody has it take no writes.
    /// None where its configuration does that.
    pub admit: Option<fn(&Access) -> Change>,
    /// In that server: reads all that it holds, and tells as facts what it read. It may change what it likes.
    pub check: fn(&Access) -> Change,
    /// Whether what it holds has to fit into its memory.
    pub is_in_memory: bool,
}

/// What is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout<'a> {
    pub version: &'a str,
    /// How long the stream is, in bytes.
    pub content_bytes: u64,
    /// What was told when it was taken.
    pub facts: &'a BTreeMap<String, String>,
}

/// The facts in what a command said, and the rest of it.
pub fn facts(said: &str) -> (BTreeMap<String, String>, String) {
    let mut rest = Vec::new();
    let mut facts = BTreeMap::new();
    for line in said.lines() {
        // A name may have anything in it, a value has not.
        match line.strip_prefix(FACT).and_then(|fact| fact.rsplit_once('=')) {
            Some((name, value)) => _ = facts.insert(name.to_owned(), value.to_owned()),
            None => rest.push(line),
        }
    }
    (facts, rest.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_told_from_complaints() {
        let (facts, rest) = facts("fact:tables=2\nwarning: a=b\nfact:rows of a.b.\"c=d\"=7\nbad");
        let expected = [("rows of a.b.\"c=d\"", "7"), ("tables", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!((facts, rest.as_str()), (BTreeMap::from(expected), "warning: a=b\nbad"));
    }
}
