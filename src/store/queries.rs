//! Every query, in one text that is compiled once for each backend: `super` is sqlite.rs or postgres.rs, which say what
//! a connection is and how a transaction begins. Nothing here may depend on which of the two it is.

use std::sync::Arc;

use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures_util::stream::BoxStream;
use tokio::time::timeout;

use super::{Backend, Conn, Db, Lease, judge};
use crate::crypto::Sealed;
use crate::domain::event::{NewEvent, ServiceEvent};
use crate::domain::id::{IdempotencyKey, InstallationId, InstanceId, ProjectId, ServiceId};
use crate::domain::name::ServiceName;
use crate::domain::service::{Service, ServiceKind, ServiceState};
use crate::domain::task::Task;
use crate::domain::term::{ReplicaId, Term};
use crate::store::fault::{CALL_TIMEOUT, Fault};
use crate::store::rows::{EventRow, NewServiceRow, SealedChange, ServiceRow};
use crate::store::schema::{installation, services, store_probes};
use crate::store::trouble::Purpose;
use crate::store::types::{Id, Word};
use crate::store::{
    Committed, LogSpan, NewService, Notice, Page, Result, Retention, ServiceFilter, Slice, Store, StoreError, Terms,
    Write,
};
use crate::telemetry::{metrics, traces};

#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/commit.rs"]
mod commit;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/log.rs"]
mod log;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/retention.rs"]
mod retention;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/tasks.rs"]
mod tasks;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/term.rs"]
mod term;

use commit::commit;
use log::{event_insert, event_list, event_list_of_service, event_list_since, event_span, sequence_take};
use retention::{event_list_overdue, event_trim};
use tasks::task_list_open;
use term::{term_current, term_replace, term_take};

/// Runs one query on a connection of its own.
macro_rules! read {
    ($backend:ident, $query:ident($($argument:expr),*)) => {
        read!($backend, reader, $query($($argument),*))
    };
    ($backend:ident, $lane:ident, $query:ident($($argument:expr),*)) => {
        $backend.noted(within(async {
            let mut lease = $backend.$lane().await?;
            let result = $query(lease.connection(), $($argument),*).await;
            settle(lease, result).await
        })
        .await)
    };
}

/// Runs one query in a transaction of its own that sees what was there when it began and nothing later.
macro_rules! read_at_once {
    ($backend:ident, $query:ident($($argument:expr),*)) => {
        $backend.noted(within(async {
            let mut lease = $backend.reader().await?;
            let result =
                snapshot!(lease.connection(), async |connection| $query(connection, $($argument),*).await).await;
            settle(lease, result).await
        })
        .await)
    };
}

/// Runs one query in a write transaction of its own, for a request, or to record what is the case.
macro_rules! write {
    ($backend:ident, $query:ident($($argument:expr),*)) => {
        write!($backend, Purpose::Request, writer, $query($($argument),*))
    };
    ($backend:ident, $purpose:expr, $query:ident($($argument:expr),*)) => {
        write!($backend, $purpose, writer, $query($($argument),*))
    };
    ($backend:ident, $purpose:expr, $lane:ident, $query:ident($($argument:expr),*)) => {{
        let span = traces::write(stringify!($query));
        let written = within(async {
            let mut lease = $backend.$lane($purpose).await?;
            let result =
                transaction!(lease.connection(), async |connection| $query(connection, $($argument),*).await).await;
            settle(lease, result).await
        });
        let written = $backend.confirmed($purpose, span.around(written).await);
        written.inspect_err(|error| span.failed(&error.to_string()))
    }};
}

impl Backend {
    /// Remembers what a call found out about the database.
    fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(StoreError::Trouble(trouble)) = &outcome {
            self.condition().note(trouble);
        }
        outcome
    }

    /// The same of a write, which is one only if it will be found again.
    fn confirmed<T>(&self, purpose: Purpose, written: Result<T>) -> Result<T> {
        let kept = written.and_then(|value| self.confirm().map(|()| value));
        if kept.is_ok() {
            self.condition().written(purpose);
        }
        self.noted(kept)
    }
}

#[async_trait]
impl Store for Backend {
    async fn ping(&self) -> Result<()> {
        match self.condition().is_proven() {
            true => self.noted(self.admit(Purpose::Request)),
            false => write!(self, probe()),
        }
    }

    async fn installation_id(&self) -> Result<InstallationId> {
        match read!(self, installation_find())? {
            Some(id) => Ok(id),
            None => write!(self, installation_ensure()),
        }
    }

    async fn service_create(&self, new: &NewService, event: &NewEvent) -> Result<ServiceEvent> {
        counted(write!(self, service_create(new, event)), Some(event))
    }

    async fn service_get(&self, id: ServiceId) -> Result<Option<Service>> {
        read!(self, service_get(id))
    }

    async fn service_of(&self, instance: InstanceId) -> Result<Option<Service>> {
        read!(self, service_of(instance))
    }

    async fn service_find_by_key(
        &self,
        project: &ProjectId,
        key: &IdempotencyKey,
    ) -> Result<Option<(Service, String)>> {
        read!(self, service_find_by_key(project, key))
    }

    async fn service_list(
        &self,
        project: &ProjectId,
        filter: &ServiceFilter,
        page: Page<ServiceId>,
    ) -> Result<Slice<Service>> {
        read!(self, service_list(project, filter, page))
    }

    async fn service_list_at(
        &self,
        project: &ProjectId,
        filter: &ServiceFilter,
        page: Page<ServiceId>,
    ) -> Result<(Slice<Service>, LogSpan)> {
        read_at_once!(self, service_list_at(project, filter, page))
    }

    async fn service_count(&self, project: &ProjectId, filter: &ServiceFilter) -> Result<u64> {
        read!(self, service_count(project, filter))
    }

    async fn service_tally(&self) -> Result<Vec<(ServiceKind, ServiceState, u64)>> {
        read!(self, service_tally())
    }

    async fn service_list_active(&self) -> Result<Vec<Service>> {
        read!(self, service_list_active())
    }

    async fn service_list_names(&self, project: &ProjectId) -> Result<Vec<ServiceName>> {
        read!(self, service_list_names(project))
    }

    async fn port_list(&self) -> Result<Vec<u16>> {
        read!(self, port_list())
    }

    async fn commit(&self, write: Write<'_>) -> Result<Committed> {
        counted(write!(self, write.guard.purpose(), commit(write)), write.event)
    }

    async fn task_list_open(&self, service: ServiceId) -> Result<Vec<Task>> {
        read!(self, task_list_open(service))
    }

    async fn sealed_get(&self, id: ServiceId) -> Result<Option<Sealed>> {
        read!(self, sealed_get(id))
    }

    async fn sealed_samples(&self, limit: u32) -> Result<Vec<(String, Vec<(ServiceId, Sealed)>)>> {
        read!(self, sealed_samples(limit))
    }

    async fn sealed_list_other(
        &self,
        key_id: &str,
        after: Option<ServiceId>,
        limit: u32,
    ) -> Result<Vec<(ServiceId, Sealed)>> {
        read!(self, sealed_list_other(key_id, after, limit))
    }

    async fn sealed_replace(&self, id: ServiceId, old: &Sealed, new: &Sealed) -> Result<bool> {
        write!(self, sealed_replace(id, old, new))
    }

    async fn event_list_since(&self, project: &ProjectId, after: i64, limit: u32) -> Result<Vec<ServiceEvent>> {
        read!(self, event_list_since(project, after, limit))
    }

    async fn event_span(&self, project: &ProjectId) -> Result<LogSpan> {
        read!(self, event_span(project))
    }

    async fn event_list_overdue(&self, keep: Retention) -> Result<Vec<ProjectId>> {
        read!(self, event_list_overdue(keep))
    }

    async fn event_trim(&self, project: &ProjectId, keep: Retention, limit: u32) -> Result<u64> {
        write!(self, Purpose::Record, event_trim(project, keep, limit))
    }

    async fn event_list_of_service(&self, service: ServiceId, page: Page<i64>) -> Result<Slice<ServiceEvent>> {
        read!(self, event_list_of_service(service, page))
    }

    async fn event_list(&self, project: &ProjectId, page: Page<i64>) -> Result<Slice<ServiceEvent>> {
        read!(self, event_list(project, page))
    }

    fn reserved(self: Arc<Self>) -> Arc<dyn Store> {
        self.with_reserved()
    }

    fn notices(&self) -> BoxStream<'static, Notice> {
        self.listen()
    }
}

#[async_trait]
impl Terms for Backend {
    async fn term_current(&self) -> Result<Term> {
        read!(self, term_reader, term_current())
    }

    async fn term_take(&self, seen: &Term, holder: ReplicaId) -> Result<Option<Term>> {
        write!(self, Purpose::Record, term_writer, term_take(seen, holder))
    }

    async fn term_renew(&self, term: &Term) -> Result<Option<Term>> {
        write!(self, Purpose::Record, term_writer, term_replace(term, Term { beat: term.beat + 1, ..*term }))
    }

    async fn term_release(&self, term: &Term) -> Result<()> {
        write!(self, Purpose::Record, term_writer, term_replace(term, Term { holder: None, ..*term })).map(|_| ())
    }

    fn is_shared(&self) -> bool {
        super::IS_SHARED
    }
}

type Answer<T> = std::result::Result<T, Fault>;

/// Counts the event of a write that was committed.
fn counted<T>(written: Result<T>, event: Option<&NewEvent>) -> Result<T> {
    if written.is_ok() && event.is_some() {
        metrics::event_written();
    }
    written
}

/// Gives a call up in the end, wherever it waits. Its connection goes with it.
async fn within<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(CALL_TIMEOUT, call).await.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into())))
}

async fn settle<T>(mut lease: Lease, answer: Answer<T>) -> Result<T> {
    match answer {
        Ok(value) => {
            lease.give_back();
            Ok(value)
        }
        Err(fault) => {
            let age = lease.age();
            let error = judge(fault, lease.connection(), age).await;
            if !matches!(error, StoreError::Unavailable(_) | StoreError::Trouble(_)) {
                lease.give_back();
            }
            Err(error)
        }
    }
}

/// Both are one row's: what others write at the same time is not waited for.
async fn probe(connection: &mut Conn) -> Answer<()> {
    let id = Id(uuid::Uuid::now_v7());
    diesel::insert_into(store_probes::table).values(store_probes::id.eq(id)).execute(connection).await?;
    diesel::delete(store_probes::table.find(id)).execute(connection).await?;
    Ok(())
}

async fn installation_find(connection: &mut Conn) -> Answer<Option<InstallationId>> {
    let id = installation::table.select(installation::id).first::<Id>(connection).await.optional()?;
    Ok(id.map(|Id(id)| InstallationId(id)))
}

async fn installation_ensure(connection: &mut Conn) -> Answer<InstallationId> {
    let row = (installation::only_row.eq(1), installation::id.eq(Id(uuid::Uuid::now_v7())));
    diesel::insert_into(installation::table).values(row).on_conflict_do_nothing().execute(connection).await?;
    let Id(id) = installation::table.select(installation::id).first(connection).await?;
    Ok(InstallationId(id))
}

async fn service_create(connection: &mut Conn, new: &NewService, event: &NewEvent) -> Answer<ServiceEvent> {
    let service = &new.service;
    let sequence = sequence_take(connection, &service.project).await?;
    // A request that is repeated while the first is under way takes the same name as well; it has to hear of the key.
    // The project's lock makes this look exact.
    if let Some(idempotency) = &new.idempotency
        && service_find_by_key(connection, &service.project, &idempotency.key).await?.is_some()
    {
        return Err(Fault::Refused(StoreError::KeyUsed));
    }
    // It also keeps the services of two requests from being counted at once.
    if service_count(connection, &service.project, &ServiceFilter::default()).await? >= u64::from(new.quota) {
        return Err(Fault::Refused(StoreError::QuotaReached));
    }
    diesel::insert_into(services::table).values(NewServiceRow::from(new)).execute(connection).await?;
    event_insert(connection, EventRow::new(sequence, None, service, event)).await
}

async fn service_get(connection: &mut Conn, id: ServiceId) -> Answer<Option<Service>> {
    let row = services::table.find(Id(id.0)).select(ServiceRow::as_select()).first(connection).await.optional()?;
    Ok(row.map(Service::from))
}

async fn service_of(connection: &mut Conn, instance: InstanceId) -> Answer<Option<Service>> {
    let of_instance = services::table.filter(services::instance_id.eq(Id(instance.0)));
    let row = of_instance.select(ServiceRow::as_select()).first(connection).await.optional()?;
    Ok(row.map(Service::from))
}

async fn service_find_by_key(
    connection: &mut Conn,
    project: &ProjectId,
    key: &IdempotencyKey,
) -> Answer<Option<(Service, String)>> {
    let found: Option<(ServiceRow, Option<String>)> = services::table
        .filter(services::project_id.eq(project.as_str()))
        .filter(services::idempotency_key.eq(key.as_str()))
        .select((ServiceRow::as_select(), services::idempotency_fingerprint))
        .first(connection)
        .await
        .optional()?;
    Ok(found.map(|(row, fingerprint)| (row.into(), fingerprint.unwrap_or_default())))
}

/// The services of a project that a filter lets through.
fn filtered<'a>(project: &'a ProjectId, filter: &'a ServiceFilter) -> services::BoxedQuery<'a, Db> {
    let mut query = services::table.filter(services::project_id.eq(project.as_str())).into_boxed();
    if let Some(kinds) = &filter.kinds {
        query = query.filter(services::kind.eq_any(kinds.iter().map(|kind| kind.as_str())));
    }
    if let Some(states) = &filter.states {
        query = query.filter(services::state.eq_any(states.iter().map(|state| state.as_str())));
    }
    if let Some(part) = &filter.name_contains {
        let part = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        query = query.filter(services::name.like(format!("%{part}%")).escape('\\'));
    }
    if !filter.include_destroyed {
        query = query.filter(services::destroyed_at.is_null());
    }
    query
}

async fn service_list(
    connection: &mut Conn,
    project: &ProjectId,
    filter: &ServiceFilter,
    page: Page<ServiceId>,
) -> Answer<Slice<Service>> {
    let mut query = filtered(project, filter).select(ServiceRow::as_select()).limit(one_more(page.limit));
    for (cursor, is_ahead) in [(page.after, false), (page.before, true)] {
        let Some(ServiceId(id)) = cursor else { continue };
        let grows = filter.order.is_descending() == is_ahead;
        if !filter.order.is_by_name() {
            query = if grows { query.filter(services::id.gt(Id(id))) } else { query.filter(services::id.lt(Id(id))) };
            continue;
        }
        let name = services::table.find(Id(id)).select(services::name).first::<String>(connection).await.optional()?;
        let Some(name) = name else { return Ok(Slice { rows: Vec::new(), has_more: false }) };
        let same = services::name.eq(name.clone());
        query = if grows {
            query.filter(services::name.gt(name).or(same.and(services::id.gt(Id(id)))))
        } else {
            query.filter(services::name.lt(name).or(same.and(services::id.lt(Id(id)))))
        };
    }
    query = match (filter.order.is_by_name(), filter.order.is_descending() != page.from_end) {
        (false, false) => query.order(services::id.asc()),
        (false, true) => query.order(services::id.desc()),
        (true, false) => query.order((services::name.asc(), services::id.asc())),
        (true, true) => query.order((services::name.desc(), services::id.desc())),
    };
    let rows: Vec<ServiceRow> = query.load(connection).await?;
    Ok(slice(rows, page.limit, page.from_end))
}

async fn service_list_at(
    connection: &mut Conn,
    project: &ProjectId,
    filter: &ServiceFilter,
    page: Page<ServiceId>,
) -> Answer<(Slice<Service>, LogSpan)> {
    let slice = service_list(connection, project, filter, page).await?;
    Ok((slice, event_span(connection, project).await?))
}

async fn service_count(connection: &mut Conn, project: &ProjectId, filter: &ServiceFilter) -> Answer<u64> {
    let count: i64 = filtered(project, filter).count().get_result(connection).await?;
    Ok(count.unsigned_abs())
}

async fn service_tally(connection: &mut Conn) -> Answer<Vec<(ServiceKind, ServiceState, u64)>> {
    let columns = (services::kind, services::state);
    let rows: Vec<(Word<ServiceKind>, Word<ServiceState>, i64)> = services::table
        .group_by(columns)
        .select((services::kind, services::state, diesel::dsl::count_star()))
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(|(kind, state, count)| (kind.value, state.value, count.unsigned_abs())).collect())
}

async fn service_list_active(connection: &mut Conn) -> Answer<Vec<Service>> {
    let active = services::table.filter(services::destroyed_at.is_null());
    let rows: Vec<ServiceRow> = active.select(ServiceRow::as_select()).order(services::id).load(connection).await?;
    Ok(rows.into_iter().map(Service::from).collect())
}

async fn service_list_names(connection: &mut Conn, project: &ProjectId) -> Answer<Vec<ServiceName>> {
    let names: Vec<Word<ServiceName>> = services::table
        .filter(services::project_id.eq(project.as_str()))
        .filter(services::destroyed_at.is_null())
        .select(services::name)
        .order(services::name)
        .load(connection)
        .await?;
    Ok(names.into_iter().map(|name| name.value).collect())
}

async fn port_list(connection: &mut Conn) -> Answer<Vec<u16>> {
    let ports: Vec<i32> = services::table
        .filter(services::destroyed_at.is_null())
        .filter(services::published_port.is_not_null())
        .select(services::published_port.assume_not_null())
        .order(services::published_port)
        .load(connection)
        .await?;
    let ports: std::result::Result<_, _> = ports.into_iter().map(u16::try_from).collect();
    ports.map_err(|error| Fault::Refused(StoreError::Failed(error.into())))
}

async fn sealed_get(connection: &mut Conn, id: ServiceId) -> Answer<Option<Sealed>> {
    let sealed: Option<Option<Vec<u8>>> =
        services::table.find(Id(id.0)).select(services::sealed).first(connection).await.optional()?;
    Ok(sealed.flatten().map(Sealed::from_bytes))
}

async fn sealed_samples(connection: &mut Conn, limit: u32) -> Answer<Vec<(String, Vec<(ServiceId, Sealed)>)>> {
    let keys: Vec<String> = services::table
        .filter(services::sealed_key_id.is_not_null())
        .select(services::sealed_key_id.assume_not_null())
        .distinct()
        .order(services::sealed_key_id.assume_not_null())
        .load(connection)
        .await?;
    let mut samples = Vec::new();
    for key in keys {
        let rows: Vec<(Id, Vec<u8>)> = services::table
            .filter(services::sealed_key_id.eq(&key))
            .filter(services::sealed.is_not_null())
            .select((services::id, services::sealed.assume_not_null()))
            .order(services::id.desc())
            .limit(limit.into())
            .load(connection)
            .await?;
        let sealed = rows.into_iter().map(|(Id(id), sealed)| (ServiceId(id), Sealed::from_bytes(sealed))).collect();
        samples.push((key, sealed));
    }
    Ok(samples)
}

async fn sealed_list_other(
    connection: &mut Conn,
    key_id: &str,
    after: Option<ServiceId>,
    limit: u32,
) -> Answer<Vec<(ServiceId, Sealed)>> {
    let mut query = services::table
        .filter(services::destroyed_at.is_null())
        .filter(services::sealed_key_id.ne(key_id))
        .select((services::id, services::sealed.assume_not_null()))
        .order(services::id)
        .limit(limit.into())
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(services::id.gt(Id(after.0)));
    }
    let rows: Vec<(Id, Vec<u8>)> = query.load(connection).await?;
    Ok(rows.into_iter().map(|(Id(id), sealed)| (ServiceId(id), Sealed::from_bytes(sealed))).collect())
}

async fn sealed_replace(connection: &mut Conn, id: ServiceId, old: &Sealed, new: &Sealed) -> Answer<bool> {
    let written = diesel::update(services::table.find(Id(id.0)))
        .filter(services::sealed.eq(old.as_bytes()))
        .set(SealedChange::from(new))
        .execute(connection)
        .await?;
    Ok(written == 1)
}

/// What to ask for, to learn whether there is more than `limit`.
fn one_more(limit: u32) -> i64 {
    i64::from(limit) + 1
}

/// Makes a page of up to `limit` + 1 rows that come in the order of counting.
fn slice<R, T: From<R>>(mut rows: Vec<R>, limit: u32, from_end: bool) -> Slice<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    if from_end {
        rows.reverse();
    }
    Slice { rows: rows.into_iter().map(T::from).collect(), has_more }
}
