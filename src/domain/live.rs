//! What a service's container says and takes, at a moment.

use jiff::Timestamp;

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
