//! What a service of a kind holds, in a form that its users' own tools read.

use super::access::Access;
use super::deployment::Change;

/// How it is taken of a running service.
#[derive(Clone, Copy)]
pub struct Dump {
    /// What a file of it is called at its end.
    pub extension: &'static str,
    /// In the running container: writes it to standard output, as of a moment in between. Standard error tells what went wrong.
    pub take: fn(&Access) -> Change,
}
