//! What a service says and takes.

use async_graphql::{Enum, Object};

use super::date_time::DateTime;
use crate::domain::live;
use crate::domain::service::TierSpec;

/// Bytes in MiB.
pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// Where a line was written.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "live::LogStream")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error; most servers write their log there.
    Stderr,
}

pub struct LogLine(pub live::LogLine);

/// A line that a service wrote.
#[Object]
impl LogLine {
    /// When it was written.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.0.occurred_at)
    }

    /// Where it was written.
    async fn stream(&self) -> LogStream {
        self.0.stream.into()
    }

    /// The line, without its end. The service's password is left out of it.
    async fn text(&self) -> &str {
        &self.0.text
    }
}

pub struct ServiceMetrics {
    pub measured: live::Measured,
    pub tier: TierSpec,
    pub connections_limit: Option<u32>,
}

/// What a service takes and holds, beside what its tier gives.
#[Object]
impl ServiceMetrics {
    /// When CPU and memory were measured.
    async fn measured_at(&self) -> DateTime {
        DateTime(self.measured.usage.measured_at)
    }

    /// CPU time that was taken in the last second or so, in thousandths of a core.
    async fn cpu_millis(&self) -> u32 {
        self.measured.usage.cpu_millis
    }

    /// CPU time that the tier gives, in thousandths of a core.
    async fn cpu_limit_millis(&self) -> u32 {
        self.tier.cpu_millis
    }

    /// Memory in use, in MiB, without file cache that can be taken back at once.
    async fn memory_mib(&self) -> f64 {
        mib(self.measured.usage.memory_bytes)
    }

    /// Memory that the tier gives, in MiB. A server that needs more is ended.
    async fn memory_limit_mib(&self) -> u32 {
        self.tier.memory_mib
    }

    /// What is on the service's volume, in MiB; counted four times a minute. Null until it was counted.
    async fn storage_mib(&self) -> Option<f64> {
        self.measured.holdings.map(|holdings| mib(holdings.storage_bytes))
    }

    /// What the tier means to hold, in MiB. It is not enforced.
    async fn storage_limit_mib(&self) -> u32 {
        self.tier.storage_mib
    }

    /// Connections of clients; counted with the storage.
    async fn connections(&self) -> Option<u32> {
        self.measured.holdings.map(|holdings| holdings.connections)
    }

    /// How many clients the server inside serves at once; null where there is no such limit.
    async fn connections_limit(&self) -> Option<u32> {
        self.connections_limit
    }
}
