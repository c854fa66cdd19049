//! How a service of a kind is backed up and restored, each by a command in a container. What is taken is a stream; what it is
//! laid out from is that stream, on a volume that holds nothing.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::access::Access;
use super::copy::Copy as CopyOver;
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
    /// version starts with it. Ends by itself once it has all of it, and fails where it has not. Of what was verified it need not
    /// check again what every file holds.
    pub lay_out: fn(version: &str, is_verified: bool) -> Change,
    /// In the same container, once it is laid out: has the image's own program read it as a server of that version does when it starts,
    /// and from then on that lets in whom the access names, and nobody has it take no writes. None where only a server can.
    pub settle: Option<fn(&Access) -> Change>,
    /// In the server that was started with it: from now on it lets in whom the access names, and nobody has it take no writes.
    /// None where its configuration does that.
    pub admit: Option<fn(&Access) -> Change>,
    /// In that server: reads all that it holds, and tells as facts what it read. It may change what it likes.
    pub check: fn(&Access) -> Change,
    /// None where its files can't be copied while it runs.
    pub copy: Option<CopyOver>,
    /// Whether what it holds has to fit into its memory.
    pub is_in_memory: bool,
}

/// The beginning of a script that lays out what comes in. Nobody closes its input, so that says itself where it ends: `pieces` writes
/// the stream, whose parts come each after a line with its length in bytes, up to one of 0. Then `told` has the fact $1, and
/// fails where not all came in. Nothing may read ahead, as `head` does in BusyBox. What goes through `dd` in small blocks flows on
/// while more comes in.
pub const PIECES: &str = r#"set -eu
pieces() {
  while IFS= read -r length && [ "$length" -gt 0 ]; do
    blocks=$((length / 65536)) rest=$((length % 65536))
    [ $blocks = 0 ] || dd bs=65536 count=$blocks iflag=fullblock 2>/dev/null
    [ $rest = 0 ] || dd bs=$rest count=1 iflag=fullblock 2>/dev/null
  done
}
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
pub fn piece_head(length: u64) -> Bytes {
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
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn facts_are_told_from_complaints() {
        let (facts, rest) = facts("fact:tables=2\nwarning: a=b\nfact:rows of a.b.\"c=d\"=7\nbad");
        let expected = [("rows of a.b.\"c=d\"", "7"), ("tables", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!((facts, rest.as_str()), (BTreeMap::from(expected), "warning: a=b\nbad"));
    }

    #[test]
    fn pieces_of_any_length_come_out_as_they_were_and_what_is_not_whole_is_told() {
        let laid_out = |lengths: &[usize], end: &[u8]| {
            let script = [PIECES, "pieces >\"$0\"\ntold mark"].concat();
            let file = tempfile::NamedTempFile::new().unwrap();
            let (mut came, mut content) = (Vec::new(), Vec::new());
            for length in lengths {
                // A piece holds what could be taken for the beginning of another one.
                let piece = b"7\n".repeat(length.div_ceil(2))[..*length].to_vec();
                came.extend_from_slice(&piece_head(*length as u64));
                came.extend_from_slice(&piece);
                content.extend(piece);
            }
            came.extend_from_slice(end);
            let mut command = Command::new("sh");
            let command = command.arg("-c").arg(script).arg(file.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.stderr(Stdio::null()).spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            let giving = std::thread::spawn(move || input.write_all(&came).unwrap());
            let output = child.wait_with_output().unwrap();
            giving.join().unwrap();
            assert_eq!(std::fs::read(file.path()).unwrap(), content, "{lengths:?}");
            (output.status.success(), String::from_utf8(output.stdout).unwrap())
        };
        let facts = BTreeMap::from([("mark".to_owned(), "x=y".to_owned())]);
        for lengths in [&[][..], &[1], &[65535, 65536, 65537], &[200_000, 3, 131_072]] {
            assert_eq!(laid_out(lengths, &piece_end(&facts)), (true, "x=y".to_owned()), "{lengths:?}");
        }
        assert!(!laid_out(&[70_000], b"0\nmark=x\n").0, "its end is missing");
    }
}
