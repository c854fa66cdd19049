//! How full a service's volume is.

use async_graphql::{Enum, SimpleObject};

/// What keeps a service's volume within its size.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum StorageEnforcement {
    /// It is measured. With 80 and 90 % an event tells so; at 100 % the server inside takes no more writes (`error` is
    /// STORAGE_FULL beside RUNNING) until it holds less than 95 %. One that goes on growing all the same is stopped (ERROR,
    /// STORAGE_FULL) and keeps its data; it is started again where its end makes room, and otherwise by `startService`.
    Guarded,
    /// It is measured as well, and beyond that its file system holds a quarter more than `limitMib` and not a byte beyond, whatever
    /// is written. The server's own start and end have that quarter.
    Hard,
}

/// What a service's volume holds, and what it may hold.
#[derive(SimpleObject)]
pub struct ServiceStorage {
    /// What it holds, in MiB, to within a hundredth of `limitMib`, as it was measured last; null until it was. For a figure that
    /// is live see `serviceMetrics`.
    pub used_mib: Option<u64>,
    /// What it may hold, in MiB: that of its size, or less while a volume with a limit of its own has yet to grow
    /// (`restartPending`), or can't (`error` says so beside RUNNING).
    pub limit_mib: u32,
    /// What keeps it within that.
    pub enforcement: StorageEnforcement,
}
