//! Taking old events away.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::{Answer, Conn};
use crate::domain::id::ProjectId;
use crate::store::Retention;
use crate::store::schema::{projects, service_events};
use crate::store::types::{Instant, Word};

/// Finds each by its oldest event, by the tables' primary keys.
pub(super) async fn event_list_overdue(connection: &mut Conn, keep: Retention) -> Answer<Vec<ProjectId>> {
    let oldest =
        service_events::project_id.eq(projects::project_id).and(service_events::sequence.eq(projects::first_sequence));
    let too_many = (projects::last_sequence - projects::first_sequence).ge(i64::from(keep.newest));
    let overdue: Vec<Word<ProjectId>> = projects::table
        .inner_join(service_events::table.on(oldest))
        .filter(too_many.or(service_events::occurred_at.lt(Instant::from(keep.since))))
        .select(projects::project_id)
        .order(projects::project_id)
        .load(connection)
        .await?;
    Ok(overdue.into_iter().map(|project| project.value).collect())
}

/// Nobody appends to the log meanwhile, for this locks the project's row as well.
pub(super) async fn event_trim(connection: &mut Conn, project: &ProjectId, keep: Retention, limit: u32) -> Answer<u64> {
    let span = projects::table.find(project.as_str()).select((projects::first_sequence, projects::last_sequence));
    let span: Option<(i64, i64)> = lock!(span, for_no_key_update).first(connection).await.optional()?;
    let Some((first, last)) = span else { return Ok(0) };
    let oldest: Vec<(i64, Instant)> = service_events::table
        .filter(service_events::project_id.eq(project.as_str()))
        .filter(service_events::sequence.ge(first))
        .select((service_events::sequence, service_events::occurred_at))
        .order(service_events::sequence)
        .limit(limit.into())
        .load(connection)
        .await?;
    let is_kept = |(sequence, at): &(i64, Instant)| {
        *sequence > last - i64::from(keep.newest) && Timestamp::from(*at) >= keep.since
    };
    let Some((newest_gone, _)) = oldest.into_iter().take_while(|event| !is_kept(event)).last() else { return Ok(0) };
    // By the primary key, and for each event by the index of its service's.
    diesel::sql_query(
        "DELETE FROM service_events WHERE project_id = $1 AND sequence <= $2 AND ( \
             EXISTS (SELECT 1 FROM service_events AS newer \
                 WHERE newer.service_id = service_events.service_id AND newer.sequence > service_events.sequence) \
             OR EXISTS (SELECT 1 FROM services \
                 WHERE services.id = service_events.service_id AND services.destroyed_at IS NOT NULL))",
    )
    .bind::<Text, _>(project.as_str())
    .bind::<BigInt, _>(newest_gone)
    .execute(connection)
    .await?;
    diesel::update(projects::table.find(project.as_str()))
        .set(projects::first_sequence.eq(newest_gone + 1))
        .execute(connection)
        .await?;
    Ok((newest_gone + 1 - first).unsigned_abs())
}
