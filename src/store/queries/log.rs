//! The log of events of each project.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;

use super::super::{Db, notify};
use super::{Answer, Conn, one_more, slice};
use crate::domain::event::{LogSpan, ServiceEvent};
use crate::domain::id::{ProjectId, ServiceId};
use crate::store::fault::Fault;
use crate::store::rows::EventRow;
use crate::store::schema::{projects, service_events};
use crate::store::types::{Id, sql};
use crate::store::{Page, Slice, StoreError};

/// Takes the next `count` places in a project's log, and gives the last of them. The row stays locked until the transaction ends, so
/// whoever takes the place behind it commits later, and a place whose transaction fails is given to the next.
pub(super) async fn sequence_take(connection: &mut Conn, project: &ProjectId, count: i64) -> Answer<i64> {
    let sequence = diesel::insert_into(projects::table)
        .values((projects::project_id.eq(project.as_str()), projects::last_sequence.eq(count)))
        .on_conflict(projects::project_id)
        .do_update()
        .set(projects::last_sequence.eq(projects::last_sequence + count))
        .returning(projects::last_sequence)
        .get_result(connection)
        .await?;
    Ok(sequence)
}

/// Writes an event in the place that this transaction took.
pub(super) async fn event_insert(connection: &mut Conn, row: EventRow) -> Answer<ServiceEvent> {
    diesel::insert_into(service_events::table).values(&row).execute(connection).await?;
    let event = ServiceEvent::from(row);
    notify(connection, &event.project, event.service).await?;
    Ok(event)
}

pub(super) async fn event_list_since(
    connection: &mut Conn,
    project: &ProjectId,
    after: i64,
    limit: u32,
) -> Answer<Vec<ServiceEvent>> {
    let query = service_events::table
        .filter(service_events::project_id.eq(project.as_str().to_owned()))
        .filter(service_events::sequence.gt(after))
        .select(EventRow::as_select())
        .order(service_events::sequence)
        .limit(limit.into());
    let rows: Vec<EventRow> = rows!(connection, query)?;
    let events: Vec<ServiceEvent> = rows.into_iter().map(ServiceEvent::from).collect();
    // The log has no gap but where it was trimmed.
    if events.iter().zip(after + 1..).any(|(event, place)| event.sequence != place) {
        return Err(Fault::Refused(StoreError::Expired));
    }
    Ok(events)
}

pub(super) async fn event_span(connection: &mut Conn, project: &ProjectId) -> Answer<LogSpan> {
    let columns = (projects::first_sequence, projects::last_sequence);
    let span = projects::table.find(project.as_str()).select(columns).first(connection).await.optional()?;
    let (first, last) = span.unwrap_or((1, 0));
    Ok(LogSpan { first, last })
}

pub(super) async fn event_list(
    connection: &mut Conn,
    project: &ProjectId,
    page: Page<i64>,
) -> Answer<Slice<ServiceEvent>> {
    let of_project = service_events::table.filter(service_events::project_id.eq(project.as_str().to_owned()));
    events(connection, of_project.into_boxed(), page).await
}

pub(super) async fn event_list_of_service(
    connection: &mut Conn,
    service: ServiceId,
    page: Page<i64>,
) -> Answer<Slice<ServiceEvent>> {
    events(connection, service_events::table.filter(service_events::service_id.eq(Id(service.0))).into_boxed(), page)
        .await
}

/// The same page of each of several services. One without events may be left out.
pub(super) async fn event_list_of_services(
    connection: &mut Conn,
    services: &[ServiceId],
    page: Page<i64>,
) -> Answer<Vec<(ServiceId, Slice<ServiceEvent>)>> {
    // The place of the first event beyond the page ends it, so that no more than that is read of a long log. PostgreSQL counts
    // parameters by their numbers, SQLite by where each stands first.
    let (order, within, no_end) = if page.from_end { ("DESC", ">=", 0) } else { ("ASC", "<=", i64::MAX) };
    let ids: Vec<String> = (4..4 + services.len()).map(|place| format!("${place}")).collect();
    let mut query = diesel::sql_query(format!(
        "SELECT event.* FROM services AS service JOIN service_events AS event ON event.service_id = service.id \
         WHERE event.sequence > $1 AND event.sequence < $2 \
         AND event.sequence {within} COALESCE(( \
             SELECT beyond.sequence FROM service_events AS beyond WHERE beyond.service_id = service.id \
             AND beyond.sequence > $1 AND beyond.sequence < $2 ORDER BY beyond.sequence {order} LIMIT 1 OFFSET $3 \
         ), {no_end}) AND service.id IN ({ids}) ORDER BY event.sequence {order}",
        ids = ids.join(", "),
    ))
    .into_boxed::<Db>()
    .bind::<BigInt, _>(page.after.unwrap_or(0))
    .bind::<BigInt, _>(page.before.unwrap_or(i64::MAX))
    .bind::<BigInt, _>(i64::from(page.limit));
    for service in services {
        query = query.bind::<sql::Uuid, _>(Id(service.0));
    }
    let mut of_each: HashMap<ServiceId, Vec<EventRow>> = HashMap::new();
    let rows: Vec<EventRow> = query.load(connection).await?;
    for row in rows {
        of_each.entry(row.service()).or_default().push(row);
    }
    Ok(of_each.into_iter().map(|(service, rows)| (service, slice(rows, page.limit, page.from_end))).collect())
}

async fn events(
    connection: &mut Conn,
    of: service_events::BoxedQuery<'static, Db>,
    page: Page<i64>,
) -> Answer<Slice<ServiceEvent>> {
    let mut query = of.select(EventRow::as_select()).limit(one_more(page.limit));
    if let Some(after) = page.after {
        query = query.filter(service_events::sequence.gt(after));
    }
    if let Some(before) = page.before {
        query = query.filter(service_events::sequence.lt(before));
    }
    let place = service_events::sequence;
    query = if page.from_end { query.order(place.desc()) } else { query.order(place.asc()) };
    let rows: Vec<EventRow> = rows!(connection, query)?;
    Ok(slice(rows, page.limit, page.from_end))
}
