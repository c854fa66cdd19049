//! What services took and held, minute by minute.

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::{Answer, Conn};
use crate::domain::id::ServiceId;
use crate::domain::live::UsageRecord;
use crate::store::rows::UsageRow;
use crate::store::schema::{service_usage, services};
use crate::store::types::{Id, Instant};

/// The services are locked, so that nothing is left of one that is destroyed at the same time.
pub(super) async fn usage_record(connection: &mut Conn, records: &[UsageRecord]) -> Answer<()> {
    let ids: Vec<Id> = records.iter().map(|record| Id(record.service.0)).collect();
    let living = services::table
        .filter(services::id.eq_any(&ids))
        .filter(services::destroyed_at.is_null())
        .select(services::id)
        .order(services::id);
    let living: Vec<Id> = lock!(living, for_share).load(connection).await?;
    for record in records.iter().filter(|record| living.contains(&Id(record.service.0))) {
        diesel::insert_into(service_usage::table)
            .values(UsageRow::from(record))
            .on_conflict((service_usage::service_id, service_usage::slot))
            .do_update()
            .set((
                service_usage::minute.eq(excluded(service_usage::minute)),
                service_usage::cpu_millis.eq(excluded(service_usage::cpu_millis)),
                service_usage::memory_bytes.eq(excluded(service_usage::memory_bytes)),
                service_usage::storage_bytes.eq(excluded(service_usage::storage_bytes)),
                service_usage::connections.eq(excluded(service_usage::connections)),
            ))
            .execute(connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn usage_list(
    connection: &mut Conn,
    service: ServiceId,
    since: Timestamp,
) -> Answer<Vec<UsageRecord>> {
    let rows: Vec<UsageRow> = service_usage::table
        .filter(service_usage::service_id.eq(Id(service.0)))
        .filter(service_usage::minute.ge(Instant::from(since)))
        .select(UsageRow::as_select())
        .order(service_usage::minute)
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(UsageRecord::from).collect())
}

/// Forgets what a service that is no more took.
pub(super) async fn usage_forget(connection: &mut Conn, service: ServiceId) -> Answer<()> {
    let of_it = service_usage::table.filter(service_usage::service_id.eq(Id(service.0)));
    diesel::delete(of_it).execute(connection).await?;
    Ok(())
}
