//! How a service of a kind is brought to another version: its data goes over to another instance, which is made beside the
//! one that runs it. Each step is a command in one of the two containers that can be repeated.

use super::access::Access;
use super::deployment::Change;
use super::inquiry::{Answer, Inquiry};
use super::policy::Policy;
use crate::domain::service::Wish;

/// What a command exits with where the data can't go over as it is, however often that is tried. What it says then is for
/// the service's user to read.
pub const REFUSED: i64 = 65;

/// What goes over, and from where.
#[derive(Clone, Copy)]
pub struct Transfer<'a> {
    /// Of the service as it is.
    pub wish: &'a Wish,
    pub access: &'a Access,
    pub policy: &'a Policy,
    /// The host name by which the new instance finds the old one.
    pub from: &'a str,
    /// What [`Upgrade::freeze`] said.
    pub mark: &'a str,
}

/// The steps, in their order.
#[derive(Clone, Copy)]
pub struct Upgrade {
    /// In the new one: whether all will fit, before anything is done to the old one.
    pub check: fn(&Transfer<'_>) -> Change,
    /// In the old one: from now on it takes no writes. Says what tells later whether there were any all the same.
    pub freeze: fn(&Transfer<'_>) -> Change,
    /// In the new one: takes over all data. It takes as long as it takes.
    pub copy: fn(&Transfer<'_>) -> Change,
    /// In the new one: fails where it does not hold what the old one holds.
    pub compare: fn(&Transfer<'_>) -> Change,
    /// In the old one: from now on nobody is let in until it is stopped; fails where something was written since it was
    /// frozen.
    pub close: fn(&Transfer<'_>) -> Change,
    /// In the old one: it is as before. Does nothing to one that is.
    pub thaw: fn(&Transfer<'_>) -> Change,
    /// What was written to a service since it was brought to its version.
    pub written: Written,
}

/// A question, and how its answer is read: a clause such as "3 rows were inserted".
#[derive(Clone, Copy)]
pub struct Written {
    pub ask: fn(&Access) -> Inquiry,
    pub read: fn(&Answer) -> Option<String>,
}
