//! How a service of a kind is backed up and restored, each by a command in a container. What is taken is a stream; what it is
//! laid out from is that stream, on a volume that holds nothing.

use std::collections::BTreeMap;

use bytes::Bytes;

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
    /// In a container of the same image that does nothing: lays out what comes in as [`PIECES`] reads it, so that a server of that
    /// version starts with it. Ends by itself once it has all of it, and fails where it has not.
    pub lay_out: fn(version: &str) -> Change,
    /// In the server that was started with it: from now on it lets in whom the access names, and nobody has it take no writes.
    /// None where its configuration does that.
    pub admit: Option<fn(&Access) -> Change>,
    /// In that server: reads all that it holds, and tells as facts what it read. It may change what it likes.
    pub check: fn(&Access) -> Change,
    /// Whether what it holds has to fit into its memory.
    pub is_in_memory: bool,
}

/// The beginning of a script that lays out what comes in. Nobody closes its input, so that says itself where it ends: `pieces` writes
/// the stream, whose parts come each after a line with its length in bytes, up to one of 0. Then `told` has the fact $1, and
/// fails where not all came in. Nothing may read ahead, as `head` does in BusyBox.
pub const PIECES: &str = r#"set -eu
pieces() { while IFS= read -r length && [ "$length" -gt 0 ]; do dd bs="$length" count=1 iflag=fullblock 2>/dev/null; done; }
told() {
  value=
  while IFS= read -r fact; do
    case $fact in
      "$1="*) value=${fact#*=} ;;
      whole) printf '%s' "$value"; return 0 ;;
    esac
  done
  echo 'It is not whole.' >&2
  return 1
}
"#;

/// What goes before a part of the stream that has so many bytes.
pub fn piece_head(length: usize) -> Bytes {
    format!("{length}\n").into()
}

/// What goes behind all of it.
pub fn piece_end(facts: &BTreeMap<String, String>) -> Bytes {
    let mut text = "0\n".to_owned();
    for (name, value) in facts.iter().filter(|(name, value)| !name.contains(['=', '\n']) && !value.contains('\n')) {
        text.push_str(&format!("{name}={value}\n"));
    }
    text.push_str("whole\n");
    text.into()
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
