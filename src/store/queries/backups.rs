//! Backups of services.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::super::Db;
use super::{Answer, Conn, one_more, slice};
use crate::domain::backup::Backup;
use crate::domain::id::{BackupId, ServiceId};
use crate::store::fault::Fault;
use crate::store::rows::backup::BackupRow;
use crate::store::schema::backups;
use crate::store::types::Id;
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

/// All of a service, the newest first.
pub(super) async fn backup_list_all(connection: &mut Conn, service: ServiceId) -> Answer<Vec<Backup>> {
    let rows: Vec<BackupRow> = backups::table
        .filter(backups::service_id.eq(Id(service.0)))
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

/// Those about which something is to be done, the oldest first.
pub(super) async fn backup_list_open(connection: &mut Conn) -> Answer<Vec<Backup>> {
    // The text of the index `backups_open`, which neither database takes for states that come as parameters.
    let is_open = sql::<Bool>("(to_verify OR state IN ('PENDING', 'RUNNING', 'DELETING'))");
    let rows: Vec<BackupRow> =
        backups::table.filter(is_open).select(BackupRow::as_select()).order(backups::id).load(connection).await?;
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
