//! Rows, and what they are in the domain. They never leave the store, and only the ones that are about credentials hold
//! ciphertext.

pub mod backup;
pub mod log;
pub mod node;
pub mod pool;

use diesel::prelude::*;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::schema::{instances, service_events, service_usage, services, tasks};
use super::types::{Id, Instant, Json, Word};
use super::{Idempotency, NewService};
use crate::crypto::Sealed;
use crate::domain::Stored;
use crate::domain::backup_policy::{BackupPlan, BackupPolicy};
use crate::domain::event::{NewEvent, ServiceEvent};
use crate::domain::history::KEPT_MINUTES;
use crate::domain::id::{BackupId, InstanceId, ProjectId, ServiceId};
use crate::domain::image::Image;
use crate::domain::instance::{Instance, Role};
use crate::domain::lifetime::Lifetime;
use crate::domain::live::{Holdings, UsageRecord};
use crate::domain::name::ServiceName;
use crate::domain::node::NodeName;
use crate::domain::service::{
    Address, Evidence, Operation, Power, Published, Service, ServiceError, ServiceKind, ServiceState, TierSpec, Wish,
};
use crate::domain::task::{Job, Task, TaskId, TaskOutcome};

/// How a wish and an address are kept; the wish's power has a column of its own.
#[derive(Debug, Serialize, Deserialize)]
pub struct Spec {
    kind: ServiceKind,
    version: String,
    tier: TierSpec,
    hostname: String,
    published: Option<Published>,
}

impl Spec {
    fn new(wish: Wish, address: Address) -> Self {
        let (Wish { kind, version, tier, .. }, Address { hostname, published }) = (wish, address);
        Self { kind, version, tier, hostname, published }
    }

    fn parts(self, power: Power) -> (Wish, Address) {
        let Self { kind, version, tier, hostname, published } = self;
        (Wish { kind, version, tier, power }, Address { hostname, published })
    }
}

impl Stored for Spec {
    fn unknown(text: &str) -> Self {
        let tier = TierSpec::unknown(text);
        Self { kind: Stored::unknown(text), version: String::new(), tier, hostname: String::new(), published: None }
    }

    fn is_known(&self) -> bool {
        self.kind.is_known() && self.tier.is_known()
    }
}

/// A service without its credentials.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = services)]
pub struct ServiceRow {
    id: Id,
    project_id: Word<ProjectId>,
    name: Word<ServiceName>,
    spec: Json<Spec>,
    desired: Word<Power>,
    instance_id: Id,
    generation: i64,
    revision: i64,
    state: Word<ServiceState>,
    operation: Option<Json<Operation>>,
    error: Option<Json<ServiceError>>,
    evidence: Json<Evidence>,
    traceparent: Option<String>,
    created_at: Instant,
    updated_at: Instant,
    protected: bool,
    expires_at: Option<Instant>,
    expiry_told: bool,
    backup_policy: Option<Json<BackupPolicy>>,
    backup_due_at: Option<Instant>,
    node: Word<NodeName>,
}

impl From<&Service> for ServiceRow {
    fn from(service: &Service) -> Self {
        let service = service.clone();
        Self {
            id: Id(service.id.0),
            project_id: service.project.into(),
            name: service.name.into(),
            desired: service.wish.power.into(),
            instance_id: Id(service.instance.0),
            spec: Spec::new(service.wish, service.address).into(),
            generation: service.generation,
            revision: service.revision,
            state: service.state.into(),
            operation: service.operation.map(Into::into),
            error: service.error.map(Into::into),
            evidence: service.evidence.into(),
            traceparent: service.trace.map(|trace| trace.to_string()),
            created_at: service.created_at.into(),
            updated_at: service.updated_at.into(),
            protected: service.lifetime.protected,
            expires_at: service.lifetime.expires_at.map(Instant::from),
            expiry_told: service.lifetime.told,
            backup_policy: service.backup_plan.policy.map(Into::into),
            backup_due_at: service.backup_plan.due_at.map(Instant::from),
            node: service.node.into(),
        }
    }
}

impl From<ServiceRow> for Service {
    fn from(row: ServiceRow) -> Self {
        let understood = row.project_id.known
            && row.name.known
            && row.spec.known
            && row.desired.known
            && row.state.known
            && row.operation.as_ref().is_none_or(|json| json.known)
            && row.error.as_ref().is_none_or(|json| json.known)
            && row.evidence.known
            && row.node.known
            && row.backup_policy.as_ref().is_none_or(|json| json.known);
        let (wish, address) = row.spec.value.parts(row.desired.value);
        let expires_at = row.expires_at.map(Timestamp::from);
        Self {
            id: ServiceId(row.id.0),
            project: row.project_id.value,
            name: row.name.value,
            wish,
            address,
            instance: InstanceId(row.instance_id.0),
            node: row.node.value,
            generation: row.generation,
            revision: row.revision,
            state: row.state.value,
            operation: row.operation.map(|json| json.value),
            error: row.error.map(|json| json.value),
            evidence: row.evidence.value,
            lifetime: Lifetime { protected: row.protected, expires_at, told: row.expiry_told },
            backup_plan: BackupPlan {
                policy: row.backup_policy.map(|json| json.value),
                due_at: row.backup_due_at.map(Timestamp::from),
            },
            understood,
            // Nobody decides by it.
            trace: row.traceparent.and_then(|text| text.parse().ok()),
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        }
    }
}

/// A service that is about to be written for the first time.
#[derive(Insertable)]
#[diesel(table_name = services)]
pub struct NewServiceRow<'a> {
    #[diesel(embed)]
    service: ServiceRow,
    kind: Word<ServiceKind>,
    #[diesel(embed)]
    promised: PromisedChange,
    published_port: Option<i32>,
    #[diesel(embed)]
    sealed: SealedChange<'a>,
    idempotency_key: Option<&'a str>,
    idempotency_fingerprint: Option<&'a str>,
}

impl<'a> From<&'a NewService> for NewServiceRow<'a> {
    fn from(new: &'a NewService) -> Self {
        let Service { wish, address, .. } = &new.service;
        let (key, fingerprint) = new
            .idempotency
            .as_ref()
            .map(|Idempotency { key, fingerprint }| (key.as_str(), fingerprint.as_str()))
            .unzip();
        Self {
            service: ServiceRow::from(&new.service),
            kind: wish.kind.into(),
            promised: PromisedChange::of(&wish.tier),
            published_port: address.published.map(|published| published.port.into()),
            sealed: SealedChange::from(&new.sealed),
            idempotency_key: key,
            idempotency_fingerprint: fingerprint,
        }
    }
}

/// What an update writes besides the revision.
#[derive(AsChangeset)]
#[diesel(table_name = services, treat_none_as_null = true)]
pub struct ServiceChange {
    spec: Json<Spec>,
    published_port: Option<i32>,
    desired: Word<Power>,
    instance_id: Id,
    generation: i64,
    state: Word<ServiceState>,
    operation: Option<Json<Operation>>,
    error: Option<Json<ServiceError>>,
    evidence: Json<Evidence>,
    traceparent: Option<String>,
    updated_at: Instant,
    protected: bool,
    expires_at: Option<Instant>,
    expiry_told: bool,
    backup_policy: Option<Json<BackupPolicy>>,
    backup_due_at: Option<Instant>,
    node: Word<NodeName>,
}

impl ServiceChange {
    pub fn new(after: &Service, now: Instant) -> Self {
        let after = after.clone();
        Self {
            published_port: after.address.published.map(|published| published.port.into()),
            desired: after.wish.power.into(),
            instance_id: Id(after.instance.0),
            spec: Spec::new(after.wish, after.address).into(),
            generation: after.generation,
            state: after.state.into(),
            operation: after.operation.map(Into::into),
            error: after.error.map(Into::into),
            evidence: after.evidence.into(),
            traceparent: after.trace.map(|trace| trace.to_string()),
            updated_at: now,
            protected: after.lifetime.protected,
            expires_at: after.lifetime.expires_at.map(Instant::from),
            expiry_told: after.lifetime.told,
            backup_policy: after.backup_plan.policy.map(Into::into),
            backup_due_at: after.backup_plan.due_at.map(Instant::from),
            node: after.node.into(),
        }
    }
}

/// What its size promises a service, to be summed up.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = services)]
pub struct PromisedChange {
    memory_mib: i64,
    cpu_millis: i64,
    storage_mib: i64,
}

impl PromisedChange {
    pub fn of(tier: &TierSpec) -> Self {
        Self {
            memory_mib: tier.memory_mib.into(),
            cpu_millis: tier.cpu_millis.into(),
            storage_mib: tier.storage_mib.into(),
        }
    }
}

/// What becoming DESTROYED writes as well: the ciphertext goes, and the name and the port are free again.
#[derive(AsChangeset)]
#[diesel(table_name = services, treat_none_as_null = true)]
pub struct Tombstone {
    destroyed_at: Instant,
    sealed: Option<Vec<u8>>,
    sealed_key_id: Option<String>,
}

impl Tombstone {
    pub fn new(now: Instant) -> Self {
        Self { destroyed_at: now, sealed: None, sealed_key_id: None }
    }
}

/// The columns of a sealed value.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = services)]
pub struct SealedChange<'a> {
    sealed: &'a [u8],
    sealed_key_id: &'a str,
}

impl<'a> From<&'a Sealed> for SealedChange<'a> {
    fn from(sealed: &'a Sealed) -> Self {
        Self { sealed: sealed.as_bytes(), sealed_key_id: sealed.key_id() }
    }
}

#[derive(Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = service_events)]
pub struct EventRow {
    project_id: Word<ProjectId>,
    sequence: i64,
    service_id: Id,
    previous_state: Option<Word<ServiceState>>,
    state: Word<ServiceState>,
    operation: Option<Json<Operation>>,
    message: String,
    actor: Option<String>,
    occurred_at: Instant,
    revision: Option<i64>,
}

impl EventRow {
    pub fn service(&self) -> ServiceId {
        ServiceId(self.service_id.0)
    }

    /// `service` as it is after what happened, and the state that it was in before; None where there was none.
    pub fn new(sequence: i64, previous_state: Option<ServiceState>, service: &Service, event: &NewEvent) -> Self {
        let (service, event) = (service.clone(), event.clone());
        Self {
            project_id: service.project.into(),
            sequence,
            service_id: Id(service.id.0),
            previous_state: previous_state.map(Into::into),
            state: service.state.into(),
            operation: service.operation.map(Into::into),
            message: event.message,
            actor: event.actor,
            occurred_at: event.occurred_at.into(),
            revision: Some(service.revision),
        }
    }
}

impl From<EventRow> for ServiceEvent {
    fn from(row: EventRow) -> Self {
        Self {
            project: row.project_id.value,
            sequence: row.sequence,
            service: ServiceId(row.service_id.0),
            previous_state: row.previous_state.map(|word| word.value),
            state: row.state.value,
            operation: row.operation.map(|json| json.value),
            message: row.message,
            actor: row.actor,
            occurred_at: row.occurred_at.into(),
            revision: row.revision,
        }
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = tasks)]
pub struct TaskRow {
    id: Id,
    service_id: Id,
    job: Word<Job>,
    attempts: i32,
    not_before: Option<Instant>,
    error: Option<Json<ServiceError>>,
    outcome: Option<Word<TaskOutcome>>,
    created_at: Instant,
    updated_at: Instant,
    version: Option<String>,
    backup_id: Option<Id>,
    source_id: Option<Id>,
    recover_to: Option<Instant>,
}

impl From<&Task> for TaskRow {
    fn from(task: &Task) -> Self {
        Self {
            id: Id(task.id.0),
            service_id: Id(task.service.0),
            job: task.job.into(),
            attempts: i32::try_from(task.attempts).unwrap_or(i32::MAX),
            not_before: task.not_before.map(Instant::from),
            error: task.error.clone().map(Into::into),
            outcome: task.outcome.map(Into::into),
            created_at: task.created_at.into(),
            updated_at: task.updated_at.into(),
            version: task.version.clone(),
            backup_id: task.backup.map(|backup| Id(backup.0)),
            source_id: task.source.map(|source| Id(source.0)),
            recover_to: task.recover_to.map(Instant::from),
        }
    }
}

impl From<TaskRow> for Task {
    fn from(row: TaskRow) -> Self {
        Self {
            id: TaskId(row.id.0),
            service: ServiceId(row.service_id.0),
            job: row.job.value,
            attempts: row.attempts.unsigned_abs(),
            not_before: row.not_before.map(Timestamp::from),
            error: row.error.map(|json| json.value),
            outcome: row.outcome.map(|word| word.value),
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
            version: row.version,
            backup: row.backup_id.map(|id| BackupId(id.0)),
            source: row.source_id.map(|id| ServiceId(id.0)),
            recover_to: row.recover_to.map(Timestamp::from),
        }
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = instances)]
pub struct InstanceRow {
    id: Id,
    service_id: Id,
    role: Word<Role>,
    version: String,
    image: Option<String>,
    since: Instant,
    purge_at: Option<Instant>,
    image_digest: Option<String>,
    node: Word<NodeName>,
}

impl From<&Instance> for InstanceRow {
    fn from(instance: &Instance) -> Self {
        Self {
            id: Id(instance.id.0),
            service_id: Id(instance.service.0),
            role: instance.role.into(),
            version: instance.version.clone(),
            image: instance.image.as_ref().map(|image| image.id.clone()),
            since: instance.since.into(),
            purge_at: instance.purge_at.map(Instant::from),
            image_digest: instance.image.as_ref().and_then(|image| image.digest.clone()),
            node: instance.node.clone().into(),
        }
    }
}

impl From<InstanceRow> for Instance {
    fn from(row: InstanceRow) -> Self {
        Self {
            id: InstanceId(row.id.0),
            service: ServiceId(row.service_id.0),
            node: row.node.value,
            role: row.role.value,
            version: row.version,
            image: row.image.map(|id| Image { id, digest: row.image_digest }),
            since: row.since.into(),
            purge_at: row.purge_at.map(Timestamp::from),
        }
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = service_usage)]
pub struct UsageRow {
    service_id: Id,
    slot: i32,
    minute: Instant,
    cpu_millis: i64,
    memory_bytes: i64,
    storage_bytes: Option<i64>,
    connections: Option<i64>,
}

impl From<&UsageRecord> for UsageRow {
    fn from(record: &UsageRecord) -> Self {
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let slot = record.minute.as_second().div_euclid(60).rem_euclid(KEPT_MINUTES);
        Self {
            service_id: Id(record.service.0),
            slot: i32::try_from(slot).unwrap_or_default(),
            minute: record.minute.into(),
            cpu_millis: record.cpu_millis.into(),
            memory_bytes: bytes(record.memory_bytes),
            storage_bytes: record.holdings.map(|holdings| bytes(holdings.storage_bytes)),
            connections: record.holdings.map(|holdings| holdings.connections.into()),
        }
    }
}

impl From<UsageRow> for UsageRecord {
    fn from(row: UsageRow) -> Self {
        let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        let holdings = row.storage_bytes.zip(row.connections).map(|(bytes, connections)| Holdings {
            storage_bytes: bytes.unsigned_abs(),
            connections: count(connections),
        });
        Self {
            service: ServiceId(row.service_id.0),
            minute: row.minute.into(),
            cpu_millis: count(row.cpu_millis),
            memory_bytes: row.memory_bytes.unsigned_abs(),
            holdings,
        }
    }
}
