//! How what a server writes of each change is kept beside its backups, and played back onto one of them.
//!
//! The server puts its log into the volume, segment by segment, as far as a share of the storage goes; from there it is collected.
//! What is collected is a stream of segments, each after a line with its name, its size in bytes, and when it was last written
//! to, in seconds since 1970.

use jiff::Timestamp;

use super::access::Access;
use super::deployment::Change;

/// A segment of the log, as it stands before its content in what is collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub name: String,
    pub bytes: u64,
    pub written_at: Timestamp,
}

impl Segment {
    /// Reads the line; None where it is none.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (name, bytes, seconds) = (words.next()?, words.next()?, words.next()?);
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let written_at = Timestamp::from_second(seconds.parse().ok()?).ok()?;
        (is_name && words.next().is_none()).then_some(Self {
            name: name.to_owned(),
            bytes: bytes.parse().ok()?,
            written_at,
        })
    }
}

/// What the server is told at a collection.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// How much of the volume what waits to be collected may take, in MiB. Beyond that it is given up.
    pub share_mib: u32,
    /// Segments that were collected before, and are let go now.
    pub kept: &'a [String],
}

/// The facts that a collection tells.
pub mod facts {
    /// The time before anything else was looked at, in microseconds since 1970.
    pub const NOW: &str = "now";
    /// There where all that was committed before that is in what was collected, now or before.
    pub const UP_TO_DATE: &str = "up to date";
    /// There where segments were given up since what was collected before.
    pub const GIVEN_UP: &str = "given up";
    /// There where the server does not write its log so that it can be collected, before it was started anew.
    pub const AT_NEXT_START: &str = "at next start";
    /// There where more waits than was given.
    pub const MORE: &str = "more";
}

/// The steps.
#[derive(Clone, Copy)]
pub struct Archive {
    /// What the stream is, for who finds one.
    pub content: &'static str,
    /// In the running container: has the server put its log into the volume from now on, lets go what was kept, and writes what
    /// waits to standard output, unbroken. Standard error tells [`facts`].
    pub collect: fn(&Access, Order<'_>) -> Change,
    /// In the running container: has it do so no more.
    pub end: fn(&Access) -> Change,
    /// Whether the segment `next` follows `last`.
    pub follows: fn(last: &str, next: &str) -> bool,
    pub replay: Replay,
}

/// How a backup that was laid out goes on to a later moment. The server is started as ever, but with more arguments, and is fed
/// segments meanwhile; it answers once it is there.
#[derive(Clone, Copy)]
pub struct Replay {
    /// In the container that laid the backup out: prepares for it.
    pub prepare: fn() -> Change,
    /// What the server is started with besides: it is to bring back what was committed up to that moment, or all there is.
    pub arguments: fn(to: Option<Timestamp>) -> Vec<String>,
    /// In the server's container: gives it the stream, as [`super::backup::PIECES`] reads it, as fast as it takes that.
    pub feed: fn() -> Change,
    /// In the server that answers: clears up. Fails where it was to bring back all there is, and has not.
    pub finish: fn(&Access, is_all: bool) -> Change,
    /// What a server says that found nothing committed after the moment.
    pub never_reached: &'static str,
}
