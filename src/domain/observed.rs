//! What a look at the engine finds of a service: its container and its volume.

use super::id::BuildDigest;
use super::image::Image;
use super::limits::Limits;
use super::service::{Published, RunId, SizeTier};

/// What a look at the engine found of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    pub container: Option<Container>,
    pub volume: Volume,
    /// The engine's id of the image that a container would be made from now; None where it is not there. Looked up only where
    /// no container runs.
    pub image: Option<String>,
}

/// A container that bears our labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub status: ContainerStatus,
    /// The newest run; None when it was never started.
    pub run: Option<RunId>,
    pub health: Health,
    /// Checks that have failed in a row.
    pub failed_checks: u32,
    /// Whether the engine brings it back by itself.
    pub restarts: bool,
    /// Whether it is on its project's network, where its users are.
    pub connected: bool,
    /// Where the engine publishes its ports now. That need not be where it was told to: on a network without a way out it
    /// publishes nothing.
    pub published: Vec<PublishedPort>,
    /// What it may take.
    pub limits: Limits,
    /// The size that it was made for; None where whoever made it did not tell.
    pub tier: Option<SizeTier>,
    /// What it was made from; None where whoever made it did not tell.
    pub build: Option<BuildDigest>,
    /// The image that it runs, whatever bears the image's name by now.
    pub image: Image,
}

impl Container {
    /// Where the first of its ports `inside` is published, with the others behind it; where `meant` to be, if there is a choice.
    pub fn published(&self, inside: &[u16], meant: Option<Published>) -> Option<Published> {
        let is_there = |inside, outside| self.published.contains(&PublishedPort { inside, outside });
        let follow = |first: Published| {
            inside.iter().enumerate().all(|(n, port)| first.at(n).is_some_and(|at| is_there(*port, at)))
        };
        let main = self.published.iter().filter(|port| Some(&port.inside) == inside.first());
        let mut whole = main.map(|port| port.outside).filter(|outside| follow(*outside));
        let first = whole.clone().next();
        whole.find(|outside| Some(*outside) == meant).or(first)
    }
}

/// A TCP port of a container that can be reached on the engine's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedPort {
    pub inside: u16,
    pub outside: Published,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerStatus {
    Created,
    Running,
    Paused,
    /// It ended and the engine is about to start it again.
    Restarting {
        exit_code: i64,
        out_of_memory: bool,
    },
    Exited {
        exit_code: i64,
        out_of_memory: bool,
    },
    /// The engine is removing it, or failed to.
    Removing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Starting,
    Healthy,
    Unhealthy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volume {
    Absent,
    /// It bears our labels.
    Ours,
    /// It is empty, and the engine's: made by itself in place of one that was gone, or broken off as it made ours.
    Stray,
    /// Somebody else made it.
    Foreign,
}
