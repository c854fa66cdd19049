//! Rows, and what they are in the domain. They never leave the store, and only the ones that are about credentials hold
//! ciphertext.

use diesel::prelude::*;
use jiff::Timestamp;

use super::schema::{service_events, services, tasks};
use super::types::{Id, Instant, Json, Word};
use super::{Idempotency, NewService};
use crate::crypto::Sealed;
use crate::domain::event::{NewEvent, ServiceEvent};
use crate::domain::id::{ProjectId, ServiceId};
use crate::domain::name::ServiceName;
use crate::domain::service::{
    Desired, Evidence, Operation, Service, ServiceError, ServiceKind, ServiceSpec, ServiceState,
};
use crate::domain::task::{Job, Task, TaskId, TaskOutcome};
use crate::domain::trace::TraceParent;

/// A service without its credentials.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = services)]
pub struct ServiceRow {
    id: Id,
    project_id: Word<ProjectId>,
    name: Word<ServiceName>,
    spec: Json<ServiceSpec>,
    desired: Word<Desired>,
    generation: i64,
    revision: i64,
    state: Word<ServiceState>,
    operation: Option<Json<Operation>>,
    error: Option<Json<ServiceError>>,
    evidence: Json<Evidence>,
    traceparent: Option<Word<TraceParent>>,
    created_at: Instant,
    updated_at: Instant,
}

impl From<&Service> for ServiceRow {
    fn from(service: &Service) -> Self {
        let service = service.clone();
        Self {
            id: Id(service.id.0),
            project_id: Word(service.project),
            name: Word(service.name),
            spec: Json(service.spec),
            desired: Word(service.desired),
            generation: service.generation,
            revision: service.revision,
            state: Word(service.state),
            operation: service.operation.map(Json),
            error: service.error.map(Json),
            evidence: Json(service.evidence),
            traceparent: service.trace.map(Word),
            created_at: service.created_at.into(),
            updated_at: service.updated_at.into(),
        }
    }
}

impl From<ServiceRow> for Service {
    fn from(row: ServiceRow) -> Self {
        Self {
            id: ServiceId(row.id.0),
            project: row.project_id.0,
            name: row.name.0,
            spec: row.spec.0,
            desired: row.desired.0,
            generation: row.generation,
            revision: row.revision,
            state: row.state.0,
            operation: row.operation.map(|json| json.0),
            error: row.error.map(|json| json.0),
            evidence: row.evidence.0,
            trace: row.traceparent.map(|word| word.0),
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
    published_port: Option<i32>,
    #[diesel(embed)]
    sealed: SealedChange<'a>,
    idempotency_key: Option<&'a str>,
    idempotency_fingerprint: Option<&'a str>,
}

impl<'a> From<&'a NewService> for NewServiceRow<'a> {
    fn from(new: &'a NewService) -> Self {
        let spec = &new.service.spec;
        let (key, fingerprint) = new
            .idempotency
            .as_ref()
            .map(|Idempotency { key, fingerprint }| (key.as_str(), fingerprint.as_str()))
            .unzip();
        Self {
            service: ServiceRow::from(&new.service),
            kind: Word(spec.kind),
            published_port: spec.published.map(|published| published.port.into()),
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
    spec: Json<ServiceSpec>,
    published_port: Option<i32>,
    desired: Word<Desired>,
    generation: i64,
    state: Word<ServiceState>,
    operation: Option<Json<Operation>>,
    error: Option<Json<ServiceError>>,
    evidence: Json<Evidence>,
    traceparent: Option<Word<TraceParent>>,
    updated_at: Instant,
}

impl ServiceChange {
    pub fn new(after: &Service, now: Instant) -> Self {
        let after = after.clone();
        Self {
            published_port: after.spec.published.map(|published| published.port.into()),
            spec: Json(after.spec),
            desired: Word(after.desired),
            generation: after.generation,
            state: Word(after.state),
            operation: after.operation.map(Json),
            error: after.error.map(Json),
            evidence: Json(after.evidence),
            traceparent: after.trace.map(Word),
            updated_at: now,
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

#[derive(Queryable, Selectable, Insertable)]
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
}

impl EventRow {
    /// `service` as it is after what happened, and the state that it was in before; None where there was none.
    pub fn new(sequence: i64, previous_state: Option<ServiceState>, service: &Service, event: &NewEvent) -> Self {
        let (service, event) = (service.clone(), event.clone());
        Self {
            project_id: Word(service.project),
            sequence,
            service_id: Id(service.id.0),
            previous_state: previous_state.map(Word),
            state: Word(service.state),
            operation: service.operation.map(Json),
            message: event.message,
            actor: event.actor,
            occurred_at: event.occurred_at.into(),
        }
    }
}

impl From<EventRow> for ServiceEvent {
    fn from(row: EventRow) -> Self {
        Self {
            project: row.project_id.0,
            sequence: row.sequence,
            service: ServiceId(row.service_id.0),
            previous_state: row.previous_state.map(|word| word.0),
            state: row.state.0,
            operation: row.operation.map(|json| json.0),
            message: row.message,
            actor: row.actor,
            occurred_at: row.occurred_at.into(),
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
}

impl From<&Task> for TaskRow {
    fn from(task: &Task) -> Self {
        Self {
            id: Id(task.id.0),
            service_id: Id(task.service.0),
            job: Word(task.job),
            attempts: i32::try_from(task.attempts).unwrap_or(i32::MAX),
            not_before: task.not_before.map(Instant::from),
            error: task.error.clone().map(Json),
            outcome: task.outcome.map(Word),
            created_at: task.created_at.into(),
            updated_at: task.updated_at.into(),
        }
    }
}

impl From<TaskRow> for Task {
    fn from(row: TaskRow) -> Self {
        Self {
            id: TaskId(row.id.0),
            service: ServiceId(row.service_id.0),
            job: row.job.0,
            attempts: row.attempts.unsigned_abs(),
            not_before: row.not_before.map(Timestamp::from),
            error: row.error.map(|json| json.0),
            outcome: row.outcome.map(|word| word.0),
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        }
    }
}
