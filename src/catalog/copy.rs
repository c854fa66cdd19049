//! How what a running server holds is copied from its volume to another one, file by file, while it serves on. None of it passes
//! the sidecar, and a file system that can share what two files have in common copies nothing at all.

use super::access::Access;
use super::deployment::Change;

/// Where a container that copies finds the volume that it copies from, which it can only read.
pub const SOURCE: &str = "/source";

/// How a line begins that [`Copy::hold`] says once files can be copied, and once they need not be as they are any more. What
/// follows in the second one is told to [`Copy::finish`].
pub const HELD: &str = "held";
pub const RELEASED: &str = "released";

/// The steps. Whatever fails, the data is still there to be had as a stream.
#[derive(Clone, Copy)]
pub struct Copy {
    /// In the running server: says [`HELD`] once all that it holds can be had from its files. It ends with its input, and then
    /// nothing of it is left.
    pub hold: fn(&Access) -> Change,
    /// What it is told once the files are copied, whereupon it says [`RELEASED`]. What it keeps beside them stays until it ends.
    pub release: &'static str,
    /// In a container of the same image that does nothing and has both volumes: copies the files while they are held.
    pub copy: fn(version: &str) -> Change,
    /// In the same, once they are released: brings in the rest, and leaves what a server of that version starts with, which the
    /// image's own program has read to see that it can. From then on that lets in whom the access names, and nobody has it take no writes.
    pub finish: fn(&Access, version: &str, told: &str) -> Change,
}
