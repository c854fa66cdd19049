//! What lists tell of a node at a glance: much less than a look at each instance, at a price that does not grow with them.

use std::collections::HashMap;

use super::thing::Owned;
use crate::domain::id::{BuildDigest, InstanceId};
use crate::domain::observed::Health;

/// Everything on a node that bears this installation's labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The instances of which something is there under its own name.
    pub instances: HashMap<InstanceId, Sighting>,
    pub owned: Vec<Owned>,
}

/// What is there of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sighting {
    pub container: Option<Glimpse>,
    /// Whether there is a volume that was made for its data.
    pub volume: bool,
}

/// What a list tells of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glimpse {
    pub activity: Activity,
    pub health: Health,
    /// Whether it is on its project's network.
    pub connected: bool,
    /// What it was made from; None where whoever made it did not tell.
    pub build: Option<BuildDigest>,
    /// The engine's id of the image that it runs.
    pub image: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    Running,
    /// It was never started, or has ended.
    AtRest,
    /// It is paused, or about to be something else.
    Between,
}
