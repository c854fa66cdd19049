//! What is counted and timed, for Prometheus. The names and labels stand here; who counts says what.

use std::time::Duration;

use jiff::Timestamp;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::domain::service::{ServiceKind, ServiceState};

const REQUESTS: &str = "project_services_requests_total";
const REQUEST_SECONDS: &str = "project_services_request_seconds";
const SUBSCRIPTIONS: &str = "project_services_subscriptions";
const SHARED_EXECUTIONS: &str = "project_services_shared_executions_total";
const SHARED_DELIVERIES: &str = "project_services_shared_deliveries_total";
const EVENTS: &str = "project_services_events_total";
const ACTIONS: &str = "project_services_reconcile_actions_total";
const BACKUPS: &str = "project_services_backup_actions_total";
const DATABASE_BACKUP: &str = "project_services_database_backup_timestamp_seconds";
const QUEUE: &str = "project_services_reconcile_queue";
const ENGINE_SECONDS: &str = "project_services_engine_call_seconds";
const NETWORKS_LEFT: &str = "project_services_networks_left";
const SERVICES: &str = "project_services_services";
const POOL: &str = "project_services_pool_instances";
const POOL_MEMORY: &str = "project_services_pool_memory_bytes";
const PROVISIONS: &str = "project_services_provisions_total";

/// Upper bounds in seconds: from an answer out of memory to a stop that waits for a database's shutdown.
const BUCKETS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How often what was timed is put into its buckets. Until then each time is kept by itself, and nobody may be reading.
const UPKEEP: Duration = Duration::from_secs(5);

/// Begins to count, for the whole process; what has been counted is read from the handle.
pub fn init() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS)?
        .install_recorder()?;
    describe_counter!(
        REQUESTS,
        "Root fields that were answered, or subscriptions that have ended, by field and error code."
    );
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "Time to answer a query or mutation with the field in it.");
    describe_gauge!(SUBSCRIPTIONS, "Subscriptions that are open, by field.");
    describe_counter!(SHARED_EXECUTIONS, "Answers to subscriptions that were executed for all who want the same.");
    describe_counter!(SHARED_DELIVERIES, "How many subscribers were told them.");
    describe_counter!(EVENTS, "Events that were written to projects' logs.");
    describe_counter!(ACTIONS, "Actions of the reconciler, by action, reason and outcome.");
    describe_counter!(
        BACKUPS,
        "Backups that were taken, verified or deleted, the server's own among them, by action and outcome."
    );
    describe_gauge!(
        DATABASE_BACKUP,
        Unit::Seconds,
        "When the newest backup of the server's own database was taken, since 1970."
    );
    describe_gauge!(QUEUE, "Services that wait for the reconciler to look at them.");
    describe_histogram!(ENGINE_SECONDS, Unit::Seconds, "Time of a call to the engine, by call and outcome.");
    describe_gauge!(NETWORKS_LEFT, "Networks of further projects that there are addresses for.");
    describe_gauge!(SERVICES, "Services by kind and state.");
    describe_gauge!(POOL, "Instances that are ready before anybody asks for them, by kind and version.");
    describe_gauge!(POOL_MEMORY, Unit::Bytes, "Memory that these may take.");
    describe_counter!(
        PROVISIONS,
        "Services that were accepted, by kind and whether an instance of the pool runs them."
    );
    let kept = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            kept.run_upkeep();
        }
    });
    Ok(handle)
}

/// A root field was answered, with OK or the code of an error; a subscription takes no time.
pub fn request(field: &str, code: &str, took: Option<Duration>) {
    counter!(REQUESTS, "field" => field.to_owned(), "code" => code.to_owned()).increment(1);
    if let Some(took) = took {
        histogram!(REQUEST_SECONDS, "field" => field.to_owned()).record(took);
    }
}

/// A subscription that is open until this is dropped.
pub struct OpenSubscription(&'static str);

impl OpenSubscription {
    pub fn new(field: &'static str) -> Self {
        gauge!(SUBSCRIPTIONS, "field" => field).increment(1.0);
        Self(field)
    }
}

impl Drop for OpenSubscription {
    fn drop(&mut self) {
        gauge!(SUBSCRIPTIONS, "field" => self.0).decrement(1.0);
    }
}

/// One answer was executed for so many subscribers.
pub fn answer_shared(subscribers: usize) {
    counter!(SHARED_EXECUTIONS).increment(1);
    counter!(SHARED_DELIVERIES).increment(subscribers as u64);
}

/// An event was committed.
pub fn event_written() {
    counter!(EVENTS).increment(1);
}

/// The reconciler tried an action.
pub fn action(action: &'static str, reason: &'static str, outcome: &'static str) {
    counter!(ACTIONS, "action" => action, "reason" => reason, "outcome" => outcome).increment(1);
}

/// A backup was taken, verified or deleted, or that was tried.
pub fn backup(action: &'static str, outcome: &'static str) {
    counter!(BACKUPS, "action" => action, "outcome" => outcome).increment(1);
}

/// The newest backup of the server's own database is of then.
pub fn database_backup(taken_at: Timestamp) {
    gauge!(DATABASE_BACKUP).set(taken_at.as_second() as f64);
}

/// So many services wait for a look.
pub fn queue_length(waiting: usize) {
    gauge!(QUEUE).set(waiting as f64);
}

/// A call to the engine came back.
pub fn engine_call(call: &'static str, outcome: &'static str, took: Duration) {
    histogram!(ENGINE_SECONDS, "call" => call, "outcome" => outcome).record(took);
}

/// There are addresses for so many networks more.
pub fn networks_left(left: usize) {
    gauge!(NETWORKS_LEFT).set(left as f64);
}

/// So many are ready before anybody asks for them.
pub fn pool_instances(kind: ServiceKind, version: &str, count: usize) {
    gauge!(POOL, "kind" => kind.as_str(), "version" => version.to_owned()).set(count as f64);
}

/// All of them may take so much memory, in bytes.
pub fn pool_memory(bytes: u64) {
    gauge!(POOL_MEMORY).set(bytes as f64);
}

/// A service of that kind was accepted.
pub fn provision(kind: ServiceKind, is_warm: bool) {
    counter!(PROVISIONS, "kind" => kind.as_str(), "warm" => if is_warm { "true" } else { "false" }).increment(1);
}

/// So many services of each kind are in each state; of the others there are none.
pub fn services(tally: &[(ServiceKind, ServiceState, u64)]) {
    for (&kind, &state) in
        ServiceKind::ALL.iter().flat_map(|kind| ServiceState::ALL.iter().map(move |state| (kind, state)))
    {
        let count = tally.iter().find(|(of, in_state, _)| (*of, *in_state) == (kind, state)).map_or(0, |(.., n)| *n);
        gauge!(SERVICES, "kind" => kind.as_str(), "state" => state.as_str()).set(count as f64);
    }
}
