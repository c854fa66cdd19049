//! What services take, written down once a minute, so that the last day can be looked at.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::MissedTickBehavior;

use super::Reconciler;
use crate::catalog::definition;
use crate::domain::history::minute_of;
use crate::domain::id::{InstanceId, ServiceId};
use crate::domain::live::{Holdings, Reading, UsageRecord};
use crate::domain::service::ServiceKind;

const INTERVAL: Duration = Duration::from_secs(60);
/// What is held takes a process in the container to count: each so many minutes, and at once of what was not counted yet.
const COUNTED_EACH: i64 = 5;
/// How many services are measured at once.
const AT_ONCE: usize = 4;
/// How many are recorded in one transaction, for which nobody else can write into their rows.
const BATCH: usize = 100;
/// What was taken is told by two readings. Of a container that is measured for the first time they are so far apart.
const FIRST: Duration = Duration::from_secs(1);

/// The last reading of each container.
type Readings = Mutex<HashMap<InstanceId, Reading>>;

impl Reconciler {
    pub(super) async fn record_usage(self: Arc<Self>) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let readings = Readings::default();
        loop {
            interval.tick().await;
            self.record_once(&readings).await;
        }
    }

    async fn record_once(&self, readings: &Readings) {
        let services = self.known(|entry| entry.is_running.then_some((entry.instance, entry.kind))).await;
        let instances: HashSet<_> = services.iter().map(|(_, (instance, _))| *instance).collect();
        readings.lock().unwrap_or_else(PoisonError::into_inner).retain(|instance, _| instances.contains(instance));
        let measured = stream::iter(services).map(|service| self.measured(service, readings));
        let measured: Vec<_> = measured.buffer_unordered(AT_ONCE).collect().await;
        let records: Vec<_> = measured.into_iter().flatten().collect();
        for records in records.chunks(BATCH) {
            if let Err(error) = self.store.usage_record(records).await {
                tracing::debug!(error = ?error, "What services take could not be recorded; the next minute is tried again");
            }
        }
    }

    /// None where the engine does not tell, such as of a container that has stopped in between.
    async fn measured(
        &self,
        (service, (instance, kind)): (ServiceId, (InstanceId, ServiceKind)),
        readings: &Readings,
    ) -> Option<UsageRecord> {
        let before = readings.lock().unwrap_or_else(PoisonError::into_inner).get(&instance).copied();
        let is_new = before.is_none();
        let before = match before {
            Some(before) => before,
            None => {
                let first = self.instruments.read(instance).await.ok()?;
                tokio::time::sleep(FIRST).await;
                first
            }
        };
        let reading = self.instruments.read(instance).await.ok()?;
        readings.lock().unwrap_or_else(PoisonError::into_inner).insert(instance, reading);
        let usage = reading.since(before)?;
        let minute = minute_of((self.clock)());
        let holdings = match is_new || is_counted_in(minute) {
            true => self.count(instance, kind).await,
            false => None,
        };
        let (cpu_millis, memory_bytes) = (usage.cpu_millis, usage.memory_bytes);
        Some(UsageRecord { service, minute, cpu_millis, memory_bytes, holdings })
    }

    async fn count(&self, instance: InstanceId, kind: ServiceKind) -> Option<Holdings> {
        let offer = definition(kind).offer.as_ref()?;
        self.instruments.holdings(instance, offer.data_path, offer.port()).await.ok()
    }
}

fn is_counted_in(minute: Timestamp) -> bool {
    minute.as_second().div_euclid(60).rem_euclid(COUNTED_EACH) == 0
}
