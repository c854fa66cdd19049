//! Work on services that ends, and what runs them.

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use super::{Answer, Conn};
use crate::domain::id::ServiceId;
use crate::domain::task::{Job, Task, TaskOutcome};
use crate::store::rows::TaskRow;
use crate::store::schema::tasks;
use crate::store::types::{Id, Instant};

/// A service's tasks that have not ended, oldest first. What only a newer version of the server can do is left to it.
pub(super) async fn task_list_open(connection: &mut Conn, service: ServiceId) -> Answer<Vec<Task>> {
    let rows: Vec<TaskRow> = tasks::table
        .filter(tasks::service_id.eq(Id(service.0)))
        .filter(tasks::outcome.is_null())
        .filter(tasks::job.eq_any(Job::ALL.iter().map(|job| job.as_str())))
        .select(TaskRow::as_select())
        .order(tasks::id)
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(Task::from).collect())
}

pub(super) async fn tasks_write(connection: &mut Conn, written: &[Task]) -> Answer<()> {
    for task in written {
        diesel::insert_into(tasks::table)
            .values(TaskRow::from(task))
            .on_conflict(tasks::id)
            .do_update()
            .set((
                tasks::attempts.eq(excluded(tasks::attempts)),
                tasks::not_before.eq(excluded(tasks::not_before)),
                tasks::error.eq(excluded(tasks::error)),
                tasks::outcome.eq(excluded(tasks::outcome)),
                tasks::updated_at.eq(excluded(tasks::updated_at)),
                tasks::version.eq(excluded(tasks::version)),
                tasks::backup_id.eq(excluded(tasks::backup_id)),
                tasks::source_id.eq(excluded(tasks::source_id)),
                tasks::recover_to.eq(excluded(tasks::recover_to)),
            ))
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Ends what is open of a service that is no more.
pub(super) async fn tasks_cancel(connection: &mut Conn, service: ServiceId, now: Instant) -> Answer<()> {
    diesel::update(tasks::table)
        .filter(tasks::service_id.eq(Id(service.0)))
        .filter(tasks::outcome.is_null())
        .set((tasks::outcome.eq(TaskOutcome::Cancelled.as_str()), tasks::updated_at.eq(now)))
        .execute(connection)
        .await?;
    Ok(())
}
