//! What a container may take.

use super::service::TierSpec;

/// What a container may take at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub memory_bytes: u64,
    /// Memory and swap together; what is as much as the memory leaves no swap.
    pub memory_and_swap_bytes: u64,
    /// CPU time, in billionths of a core.
    pub cpu_nanos: u64,
    /// Processes and threads.
    pub pids: u32,
}

impl Limits {
    /// Those of a size: no swap beyond its memory.
    pub fn new(tier: &TierSpec, pids: u32) -> Self {
        let cpu_nanos = u64::from(tier.cpu_millis) * 1_000_000;
        Self { memory_bytes: 0, memory_and_swap_bytes: 0, cpu_nanos, pids }.with_memory(tier.memory_mib)
    }

    /// The same with so much memory, in MiB.
    pub fn with_memory(self, mib: u32) -> Self {
        let memory_bytes = u64::from(mib) << 20;
        Self { memory_bytes, memory_and_swap_bytes: memory_bytes, ..self }
    }
}
