//! What a service took and held over a time.

use async_graphql::{Enum, Object};

use super::date_time::DateTime;
use super::live::mib;
use crate::api::documents::limits::list_cost;
use crate::catalog::connections_limit;
use crate::domain::history::{self, HistoryRange};
use crate::domain::service::Service;

/// How far a history goes back.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "HistoryRange")]
pub enum MetricsRange {
    /// The last hour, minute by minute.
    Hour,
    /// The last six hours, in steps of two minutes.
    SixHours,
    /// The last 24 hours, in steps of five minutes.
    Day,
}

/// How many points the ranges have at most.
const POINTS: usize = 288;

pub struct ServiceMetricsHistory {
    pub service: Service,
    pub history: history::History,
}

/// What a service took and held, step by step, beside what its tier gives now.
#[Object]
impl ServiceMetricsHistory {
    /// How far it goes back.
    async fn range(&self) -> MetricsRange {
        self.history.range.into()
    }

    /// The beginning of the range, whether or not something was measured then.
    async fn from(&self) -> DateTime {
        DateTime(self.history.from)
    }

    /// The end of the range, which is that of the step that is not over yet.
    async fn to(&self) -> DateTime {
        DateTime(self.history.to)
    }

    /// How much time a point stands for, in seconds.
    async fn step_seconds(&self) -> i64 {
        self.history.range.step_seconds()
    }

    /// The steps, oldest first. One in which nothing was measured, such as while the service was stopped, is left out.
    #[graphql(complexity = "list_cost(POINTS, child_complexity)")]
    async fn points(&self) -> Vec<ServiceMetricsPoint> {
        self.history.points.iter().copied().map(ServiceMetricsPoint).collect()
    }

    /// CPU time that the tier gives, in thousandths of a core.
    async fn cpu_limit_millis(&self) -> u32 {
        self.service.wish.tier.cpu_millis
    }

    /// Memory that the tier gives, in MiB.
    async fn memory_limit_mib(&self) -> u32 {
        self.service.wish.tier.memory_mib
    }

    /// What the tier means to hold, in MiB. It is not enforced.
    async fn storage_limit_mib(&self) -> u32 {
        self.service.wish.tier.storage_mib
    }

    /// How many clients the server inside serves at once; null where there is no such limit.
    async fn connections_limit(&self) -> Option<u32> {
        connections_limit(&self.service.wish)
    }
}

pub struct ServiceMetricsPoint(history::Point);

/// What a service took and held in one step.
#[Object]
impl ServiceMetricsPoint {
    /// The beginning of the step.
    async fn measured_at(&self) -> DateTime {
        DateTime(self.0.at)
    }

    /// CPU time that was taken, in thousandths of a core; the mean.
    async fn cpu_millis(&self) -> u32 {
        self.0.cpu_millis
    }

    /// Memory in use, in MiB, without file cache that can be taken back at once; the highest that was measured.
    async fn memory_mib(&self) -> f64 {
        mib(self.0.memory_bytes)
    }

    /// What was on the service's volume, in MiB. It is counted every five minutes, and null in between.
    async fn storage_mib(&self) -> Option<f64> {
        self.0.storage_bytes.map(mib)
    }

    /// Connections of clients; counted with the storage.
    async fn connections(&self) -> Option<u32> {
        self.0.connections
    }
}
