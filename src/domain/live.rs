//! What a service's container says and takes, at a moment.

use jiff::Timestamp;

use super::id::ServiceId;

text_enum! {
    /// Where a container wrote a line.
    pub enum LogStream {
        Stdout = "STDOUT",
        Stderr = "STDERR",
    }
}

/// A line of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub occurred_at: Timestamp,
    pub stream: LogStream,
    /// Without its end of line.
    pub text: String,
}

/// What a container takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub measured_at: Timestamp,
    /// In thousandths of a core, since the last measurement.
    pub cpu_millis: u32,
    /// Without what the kernel can take back at once (the file cache that is not in use).
    pub memory_bytes: u64,
}

/// What the engine has counted of a container up to a moment, by its own clock: when it is read here depends on what else
/// is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub at: Timestamp,
    /// CPU time since the container was started.
    pub cpu_nanos: u64,
    /// Without what the kernel can take back at once.
    pub memory_bytes: u64,
}

impl Reading {
    /// What was taken between the two. None where no time has passed, such as when the engine's clock was put back.
    pub fn since(self, before: Self) -> Option<Usage> {
        let nanos = u128::try_from(self.at.duration_since(before.at).as_nanos()).ok().filter(|nanos| *nanos > 0)?;
        // A container that was started anew in between counts from the beginning.
        let taken = self.cpu_nanos.checked_sub(before.cpu_nanos).unwrap_or(self.cpu_nanos);
        let cpu_millis = u32::try_from(u128::from(taken) * 1000 / nanos).unwrap_or(u32::MAX);
        Some(Usage { measured_at: self.at, cpu_millis, memory_bytes: self.memory_bytes })
    }
}

/// What a service holds, by the last count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    /// On its volume.
    pub storage_bytes: u64,
    /// TCP connections of clients.
    pub connections: u32,
}

/// What a service takes and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    pub usage: Usage,
    /// None until it was counted for the first time.
    pub holdings: Option<Holdings>,
}

/// What a service took and held in one minute, as it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageRecord {
    pub service: ServiceId,
    /// The beginning of the minute.
    pub minute: Timestamp,
    /// In thousandths of a core, the mean.
    pub cpu_millis: u32,
    pub memory_bytes: u64,
    /// None in minutes in which it was not counted.
    pub holdings: Option<Holdings>,
}
