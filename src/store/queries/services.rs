//! The rows of services, without their credentials.

use std::sync::Arc;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::super::Db;
use super::log::{event_insert, event_span, sequence_take};
use super::nodes::room_hold;
use super::pool::pool_take;
use super::tasks::tasks_write;
use super::{Answer, Conn, one_more, slice};
use crate::domain::event::{NewEvent, ServiceEvent};
use crate::domain::id::{IdempotencyKey, InstanceId, ProjectId, ServiceId};
use crate::domain::name::ServiceName;
use crate::domain::node::NodeName;
use crate::domain::service::{Power, Service, ServiceKind, ServiceState};
use crate::store::fault::Fault;
use crate::store::first::First;
use crate::store::kept::{KeptServices, Version};
use crate::store::rows::{EventRow, NewServiceRow, ServiceRow};
use crate::store::schema::{destroyed_counts, instances, pool_members, services};
use crate::store::types::{Id, Instant, Word};
use crate::store::{LogSpan, NewService, Page, ServiceFilter, Slice, StoreError};

pub(super) async fn service_create(connection: &mut Conn, new: &NewService, event: &NewEvent) -> Answer<ServiceEvent> {
    let service = &new.service;
    let sequence = sequence_take(connection, &service.project, 1).await?;
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
    if let Some(member) = new.member {
        pool_take(connection, member).await?;
    }
    diesel::insert_into(services::table).values(NewServiceRow::from(new)).execute(connection).await?;
    if let Some(capacity) = &new.room {
        room_hold(connection, &service.node, capacity).await?;
    }
    tasks_write(connection, &new.tasks).await?;
    event_insert(connection, EventRow::new(sequence, None, service, event)).await
}

pub(super) async fn service_get(connection: &mut Conn, id: ServiceId) -> Answer<Option<Service>> {
    let rows: Vec<ServiceRow> = rows!(connection, services::table.find(Id(id.0)).select(ServiceRow::as_select()))?;
    Ok(rows.into_iter().next().map(Service::from))
}

pub(super) async fn service_list_of(connection: &mut Conn, ids: &[ServiceId]) -> Answer<Vec<Service>> {
    let of_those = services::table.filter(services::id.eq_any(ids.iter().map(|id| Id(id.0)).collect::<Vec<_>>()));
    let rows: Vec<ServiceRow> = rows!(connection, of_those.select(ServiceRow::as_select()))?;
    Ok(rows.into_iter().map(Service::from).collect())
}

pub(super) async fn service_of(connection: &mut Conn, instance: InstanceId) -> Answer<Option<Service>> {
    let of_instance = services::table.filter(services::instance_id.eq(Id(instance.0)));
    let mut row = of_instance.select(ServiceRow::as_select()).first(connection).await.optional()?;
    if row.is_none() {
        let besides = instances::table.find(Id(instance.0)).inner_join(services::table);
        row = besides.select(ServiceRow::as_select()).first(connection).await.optional()?;
    }
    Ok(row.map(Service::from))
}

pub(super) async fn service_find_by_key(
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
fn filtered(project: &ProjectId, filter: &ServiceFilter) -> services::BoxedQuery<'static, Db> {
    let mut query = services::table.filter(services::project_id.eq(project.as_str().to_owned())).into_boxed();
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

/// Where a page of services lies: the ids of its cursors, with the names that they had in a list by name.
type Bounds = [Option<(ServiceId, Option<String>)>; 2];

async fn bounds(connection: &mut Conn, filter: &ServiceFilter, page: Page<ServiceId>) -> Answer<Option<Bounds>> {
    let mut bounds = [page.after, page.before].map(|cursor| cursor.map(|id| (id, None)));
    if filter.order.is_by_name() {
        for (ServiceId(id), name) in bounds.iter_mut().flatten() {
            *name = services::table.find(Id(*id)).select(services::name).first(connection).await.optional()?;
            if name.is_none() {
                return Ok(None);
            }
        }
    }
    Ok(Some(bounds))
}

/// The rows of a page and those behind it, in its order.
fn paged(
    project: &ProjectId,
    filter: &ServiceFilter,
    page: Page<ServiceId>,
    bounds: &Bounds,
) -> services::BoxedQuery<'static, Db> {
    let mut query = filtered(project, filter);
    for (bound, is_ahead) in bounds.iter().zip([false, true]) {
        let Some((ServiceId(id), name)) = bound else { continue };
        let grows = filter.order.is_descending() == is_ahead;
        let Some(name) = name else {
            query = if grows { query.filter(services::id.gt(Id(*id))) } else { query.filter(services::id.lt(Id(*id))) };
            continue;
        };
        let same = services::name.eq(name.clone());
        query = if grows {
            query.filter(services::name.gt(name.clone()).or(same.and(services::id.gt(Id(*id)))))
        } else {
            query.filter(services::name.lt(name.clone()).or(same.and(services::id.lt(Id(*id)))))
        };
    }
    match (filter.order.is_by_name(), filter.order.is_descending() != page.from_end) {
        (false, false) => query.order(services::id.asc()),
        (false, true) => query.order(services::id.desc()),
        (true, false) => query.order((services::name.asc(), services::id.asc())),
        (true, true) => query.order((services::name.desc(), services::id.desc())),
    }
}

/// What a page shows is of one moment: where a service of it is not kept as it is by now, all of them are read.
pub(super) async fn service_list(
    connection: &mut Conn,
    kept: &KeptServices,
    project: &ProjectId,
    filter: &ServiceFilter,
    page: Page<ServiceId>,
) -> Answer<Slice<Arc<Service>>> {
    let Some(bounds) = bounds(connection, filter, page).await? else {
        return Ok(Slice { rows: Vec::new(), has_more: false });
    };
    let versions = (services::id, services::revision, services::updated_at);
    let query = paged(project, filter, page, &bounds).select(versions);
    let versions: Vec<Version> = rows!(connection, First { query, rows: one_more(page.limit) })?;
    let found = match kept.find(&versions) {
        Some(found) => found,
        None => {
            let query = paged(project, filter, page, &bounds).select(ServiceRow::as_select());
            let rows: Vec<ServiceRow> = rows!(connection, First { query, rows: one_more(page.limit) })?;
            let found: Vec<_> = rows.into_iter().map(|row| Arc::new(Service::from(row))).collect();
            kept.keep(&found);
            found
        }
    };
    Ok(slice(found, page.limit, page.from_end))
}

pub(super) async fn service_list_at(
    connection: &mut Conn,
    kept: &KeptServices,
    project: &ProjectId,
    filter: &ServiceFilter,
    page: Page<ServiceId>,
) -> Answer<(Slice<Arc<Service>>, LogSpan)> {
    let slice = service_list(connection, kept, project, filter, page).await?;
    Ok((slice, event_span(connection, project).await?))
}

pub(super) async fn service_count(connection: &mut Conn, project: &ProjectId, filter: &ServiceFilter) -> Answer<u64> {
    let count: i64 = filtered(project, filter).count().get_result(connection).await?;
    Ok(count.unsigned_abs())
}

/// Of those that are not DESTROYED by the index `services_counted`.
pub(super) async fn service_tally(connection: &mut Conn) -> Answer<Vec<(ServiceKind, ServiceState, u64)>> {
    let columns = (services::kind, services::state);
    let active: Vec<(Word<ServiceKind>, Word<ServiceState>, i64)> = services::table
        .filter(services::destroyed_at.is_null())
        .group_by(columns)
        .select((services::kind, services::state, diesel::dsl::count_star()))
        .load(connection)
        .await?;
    let destroyed: Vec<(Word<ServiceKind>, i64)> = destroyed_counts::table.load(connection).await?;
    let destroyed = destroyed.into_iter().map(|(kind, count)| (kind.value, ServiceState::Destroyed, count));
    let active = active.into_iter().map(|(kind, state, count)| (kind.value, state.value, count));
    Ok(active.chain(destroyed).map(|(kind, state, count)| (kind, state, count.unsigned_abs())).collect())
}

pub(super) async fn service_list_active(connection: &mut Conn) -> Answer<Vec<Service>> {
    let active = services::table.filter(services::destroyed_at.is_null());
    let rows: Vec<ServiceRow> = active.select(ServiceRow::as_select()).order(services::id).load(connection).await?;
    Ok(rows.into_iter().map(Service::from).collect())
}

/// The index `services_expiring` has all that have an expiry.
pub(super) async fn service_list_expiring(
    connection: &mut Conn,
    node: &NodeName,
    end: Timestamp,
    notice: Timestamp,
) -> Answer<Vec<Service>> {
    let is_over = services::expires_at.le(Instant::from(end));
    let is_near = services::expires_at.le(Instant::from(notice)).and(services::expiry_told.eq(false));
    let rows: Vec<ServiceRow> = services::table
        .filter(services::node.eq(node.as_str()))
        .filter(services::destroyed_at.is_null())
        .filter(services::expires_at.le(Instant::from(notice.max(end))))
        .filter(services::desired.ne(Power::Deleted.as_str()))
        .filter(is_over.or(is_near))
        .select(ServiceRow::as_select())
        .order((services::expires_at, services::id))
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(Service::from).collect())
}

/// The index `services_backup_due` has all that have something due.
pub(super) async fn service_list_backup_due(
    connection: &mut Conn,
    node: &NodeName,
    now: Timestamp,
    limit: u32,
) -> Answer<Vec<Service>> {
    let states = [ServiceState::Running, ServiceState::Destroyed].map(ServiceState::as_str);
    let rows: Vec<ServiceRow> = services::table
        .filter(services::node.eq(node.as_str()))
        .filter(services::backup_due_at.le(Instant::from(now)))
        .filter(services::state.eq_any(states))
        .select(ServiceRow::as_select())
        .order((services::backup_due_at, services::id))
        .limit(limit.into())
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(Service::from).collect())
}

pub(super) async fn service_list_names(connection: &mut Conn, project: &ProjectId) -> Answer<Vec<ServiceName>> {
    let names: Vec<Word<ServiceName>> = services::table
        .filter(services::project_id.eq(project.as_str()))
        .filter(services::destroyed_at.is_null())
        .select(services::name)
        .order(services::name)
        .load(connection)
        .await?;
    Ok(names.into_iter().map(|name| name.value).collect())
}

pub(super) async fn port_list(connection: &mut Conn) -> Answer<Vec<(ServiceKind, u16)>> {
    let of_services: Vec<(Word<ServiceKind>, i32)> = services::table
        .filter(services::destroyed_at.is_null())
        .filter(services::published_port.is_not_null())
        .select((services::kind, services::published_port.assume_not_null()))
        .order(services::published_port)
        .load(connection)
        .await?;
    let of_pool: Vec<(Word<ServiceKind>, i32)> = pool_members::table
        .filter(pool_members::published_port.is_not_null())
        .select((pool_members::kind, pool_members::published_port.assume_not_null()))
        .load(connection)
        .await?;
    let held = of_services.into_iter().chain(of_pool);
    let ports: std::result::Result<_, _> =
        held.map(|(kind, port)| u16::try_from(port).map(|port| (kind.value, port))).collect();
    ports.map_err(|error| Fault::Refused(StoreError::Failed(error.into())))
}
