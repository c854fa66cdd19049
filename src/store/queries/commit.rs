//! The one write of what is there: a guard and its parts.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::backups::{backups_forget, backups_write};
use super::instances::{instances_forget, instances_write};
use super::log::{event_insert, sequence_take};
use super::nodes::room_hold;
use super::sections::{sections_forget, sections_write};
use super::tasks::{tasks_cancel, tasks_write};
use super::term::term_hold;
use super::usage::usage_forget;
use super::{Answer, Conn, sealed_replace};
use crate::domain::service::{Service, ServiceState};
use crate::store::fault::Fault;
use crate::store::rows::{EventRow, PromisedChange, ServiceChange, ServiceRow, Tombstone};
use crate::store::schema::services;
use crate::store::types::{Id, Instant};
use crate::store::{Committed, Guard, StoreError, Write};

/// Locks are taken in one order by all who write: the project's row, the service's, the term's. The project's comes before
/// the service's as in `service_create`, which may wait for a name that this write frees; the term's comes last, so that
/// who waits for one of the others holds up nobody's term.
pub(super) async fn commit(connection: &mut Conn, write: Write<'_>) -> Answer<Committed> {
    let read = write.guard.read();
    let count = write.event_count();
    let last = match count {
        0 => 0,
        _ => sequence_take(connection, &read.project, count).await?,
    };
    let before = locked(connection, &write).await?;
    let after = match write.service {
        Some(after) => overwrite(connection, &before, after, &write).await?,
        None => before.clone(),
    };
    if let Some(reseal) = write.sealed
        && !sealed_replace(connection, after.id, &reseal.old, &reseal.new).await?
    {
        return Err(Fault::Refused(StoreError::Stale));
    }
    tasks_write(connection, write.tasks).await?;
    instances_forget(connection, write.forgotten).await?;
    instances_write(connection, write.instances).await?;
    backups_forget(connection, write.lost).await?;
    backups_write(connection, write.backups, write.now).await?;
    sections_forget(connection, write.sections_lost).await?;
    sections_write(connection, write.sections).await?;
    if after.state == ServiceState::Destroyed {
        tasks_cancel(connection, after.id, write.now.into()).await?;
        usage_forget(connection, after.id).await?;
    }
    for (passed, n) in write.passed.iter().zip(1..) {
        let (operation, revision) = (Some(passed.operation.clone()), before.revision + n);
        let shown = Service { operation, revision, ..before.clone() };
        let row = EventRow::new(last - count + n, Some(before.state), &shown, &passed.event);
        event_insert(connection, row).await?;
    }
    let mut event = None;
    if let Some(new) = write.event {
        event = Some(event_insert(connection, EventRow::new(last, Some(before.state), &after, new)).await?);
    }
    if let Some(capacity) = write.room {
        room_hold(connection, &after.node, capacity).await?;
    }
    if let Guard::Term { epoch, .. } = write.guard {
        term_hold(connection, &before.node, epoch).await?;
    }
    Ok(Committed { service: after, event })
}

/// The row as it is, locked until the transaction ends, if the guard lets the write through.
async fn locked(connection: &mut Conn, write: &Write<'_>) -> Answer<Service> {
    let read = write.guard.read();
    let row = services::table.find(Id(read.id.0)).select(ServiceRow::as_select());
    let row: Option<ServiceRow> = lock!(row, for_no_key_update).first(connection).await.optional()?;
    let Some(now) = row.map(Service::from) else { return Err(Fault::Refused(StoreError::Stale)) };
    if !now.understood {
        return Err(Fault::Refused(StoreError::NotUnderstood));
    }
    let is_read = (now.generation, now.revision) == (read.generation, read.revision);
    match write.guard {
        Guard::State { one_of, .. } if !one_of.contains(&now.state) => {
            Err(Fault::Refused(StoreError::InvalidState(now.state)))
        }
        Guard::State { .. } if write.service.is_none() => Ok(now),
        _ if is_read => Ok(now),
        _ => Err(Fault::Refused(StoreError::Stale)),
    }
}

/// Each of its events is of a revision of its own, so that who has seen a later one knows.
async fn overwrite(connection: &mut Conn, before: &Service, after: &Service, write: &Write<'_>) -> Answer<Service> {
    let now: Instant = write.now.into();
    let dies = before.state != ServiceState::Destroyed && after.state == ServiceState::Destroyed;
    let row: ServiceRow = diesel::update(services::table.find(Id(before.id.0)))
        .set((
            ServiceChange::new(after, now),
            PromisedChange::of(&after.wish.tier),
            services::revision.eq(services::revision + write.event_count().max(1)),
            dies.then(|| Tombstone::new(now)),
        ))
        .returning(ServiceRow::as_returning())
        .get_result(connection)
        .await?;
    Ok(row.into())
}
