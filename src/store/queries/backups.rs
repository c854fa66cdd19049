//! Backups of services.

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use uuid::Uuid;

use super::super::Db;
use super::{Answer, Conn, one_more, slice};
use crate::domain::backup::Backup;
use crate::domain::id::{BackupId, ServiceId};
use crate::domain::node::NodeName;
use crate::store::fault::Fault;
use crate::store::rows::backup::BackupRow;
use crate::store::schema::{backups, services};
use crate::store::types::{Id, sql};
use crate::store::{BackupsOf, Page, Slice, StoreError};

pub(super) async fn backup_get(connection: &mut Conn, id: BackupId) -> Answer<Option<Backup>> {
    let row = backups::table.find(Id(id.0)).select(BackupRow::as_select()).first(connection).await.optional()?;
    Ok(row.map(Backup::from))
}

fn those_of<'a>(of: &'a BackupsOf) -> backups::BoxedQuery<'a, Db> {
    match of {
        BackupsOf::Service(service) => backups::table.filter(backups::service_id.eq(Id(service.0))).into_boxed(),
        BackupsOf::Project(project) => backups::table.filter(backups::project_id.eq(project.as_str())).into_boxed(),
    }
}

/// The newest first.
pub(super) async fn backup_list(connection: &mut Conn, of: &BackupsOf, page: Page<BackupId>) -> Answer<Slice<Backup>> {
    let mut query = those_of(of).select(BackupRow::as_select()).limit(one_more(page.limit));
    if let Some(after) = page.after {
        query = query.filter(backups::id.lt(Id(after.0)));
    }
    if let Some(before) = page.before {
        query = query.filter(backups::id.gt(Id(before.0)));
    }
    query = if page.from_end { query.order(backups::id.asc()) } else { query.order(backups::id.desc()) };
    let rows: Vec<BackupRow> = query.load(connection).await?;
    Ok(slice(rows, page.limit, page.from_end))
}

/// The same page of each of several services. One without backups may be left out.
pub(super) async fn backup_list_of_services(
    connection: &mut Conn,
    services: &[ServiceId],
    page: Page<BackupId>,
) -> Answer<Vec<(ServiceId, Slice<Backup>)>> {
    // As with events, but that the newest are the first.
    let (order, within, no_end) = if page.from_end { ("ASC", "<=", Uuid::max()) } else { ("DESC", ">=", Uuid::nil()) };
    let ids: Vec<String> = (5..5 + services.len()).map(|place| format!("${place}")).collect();
    let mut query = diesel::sql_query(format!(
        "SELECT backup.* FROM services AS service JOIN backups AS backup ON backup.service_id = service.id \
         WHERE backup.id < $1 AND backup.id > $2 AND backup.id {within} COALESCE(( \
             SELECT beyond.id FROM backups AS beyond WHERE beyond.service_id = service.id \
             AND beyond.id < $1 AND beyond.id > $2 ORDER BY beyond.id {order} LIMIT 1 OFFSET $3 \
         ), $4) AND service.id IN ({ids}) ORDER BY backup.id {order}",
        ids = ids.join(", "),
    ))
    .into_boxed::<Db>()
    .bind::<sql::Uuid, _>(Id(page.after.map_or(Uuid::max(), |BackupId(id)| id)))
    .bind::<sql::Uuid, _>(Id(page.before.map_or(Uuid::nil(), |BackupId(id)| id)))
    .bind::<BigInt, _>(i64::from(page.limit))
    .bind::<sql::Uuid, _>(Id(no_end));
    for service in services {
        query = query.bind::<sql::Uuid, _>(Id(service.0));
    }
    let mut of_each: HashMap<ServiceId, Vec<BackupRow>> = HashMap::new();
    let rows: Vec<BackupRow> = query.load(connection).await?;
    for row in rows {
        of_each.entry(row.service()).or_default().push(row);
    }
    Ok(of_each.into_iter().map(|(service, rows)| (service, slice(rows, page.limit, page.from_end))).collect())
}

/// All of a service, the newest first.
pub(super) async fn backup_list_all(connection: &mut Conn, services: &[ServiceId]) -> Answer<Vec<Backup>> {
    let rows: Vec<BackupRow> = backups::table
        .filter(backups::service_id.eq_any(services.iter().map(|service| Id(service.0))))
        .select(BackupRow::as_select())
        .order(backups::id.desc())
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(Backup::from).collect())
}

pub(super) async fn backup_count(connection: &mut Conn, of: &BackupsOf) -> Answer<u64> {
    let count: i64 = those_of(of).count().get_result(connection).await?;
    Ok(count.unsigned_abs())
}

/// Those about which something is to be done, the oldest first; of all services, or of those on a node.
pub(super) async fn backup_list_open(connection: &mut Conn, node: Option<&NodeName>) -> Answer<Vec<Backup>> {
    // The text of the index `backups_open`, which neither database takes for states that come as parameters.
    let is_open = sql::<Bool>("(to_verify OR state IN ('PENDING', 'RUNNING', 'DELETING'))");
    let mut open = backups::table.filter(is_open).select(BackupRow::as_select()).order(backups::id).into_boxed::<Db>();
    if let Some(node) = node {
        let there = services::table.filter(services::node.eq(node.as_str())).select(services::id);
        open = open.filter(backups::service_id.eq_any(there));
    }
    let rows: Vec<BackupRow> = open.load(connection).await?;
    Ok(rows.into_iter().map(Backup::from).collect())
}

/// Writes backups that nobody has written since they were read, and new ones.
pub(super) async fn backups_write(connection: &mut Conn, written: &[Backup], now: Timestamp) -> Answer<()> {
    for backup in written {
        let row = BackupRow::written(backup, now);
        let count = match backup.revision {
            0 => diesel::insert_into(backups::table).values(row).execute(connection).await?,
            read => {
                let same = backups::table.find(Id(backup.id.0)).filter(backups::revision.eq(read));
                diesel::update(same).set(row).execute(connection).await?
            }
        };
        if count != 1 {
            return Err(Fault::Refused(StoreError::Stale));
        }
    }
    Ok(())
}

/// Forgets a backup that nobody has written since it was read.
pub(super) async fn backups_forget(connection: &mut Conn, forgotten: Option<&Backup>) -> Answer<()> {
    let Some(backup) = forgotten else { return Ok(()) };
    let same = backups::table.find(Id(backup.id.0)).filter(backups::revision.eq(backup.revision));
    match diesel::delete(same).execute(connection).await? {
        1 => Ok(()),
        _ => Err(Fault::Refused(StoreError::Stale)),
    }
}
