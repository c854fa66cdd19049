//! What is kept of servers' logs.

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use super::{Answer, Conn};
use crate::domain::id::ServiceId;
use crate::domain::log::LogSection;
use crate::domain::node::NodeName;
use crate::store::rows::log::LogSectionRow;
use crate::store::schema::{log_sections, services};
use crate::store::types::Id;

/// Those of a service, in the order of time.
pub(super) async fn section_list(connection: &mut Conn, services: &[ServiceId]) -> Answer<Vec<LogSection>> {
    let rows: Vec<LogSectionRow> = log_sections::table
        .filter(log_sections::service_id.eq_any(services.iter().map(|service| Id(service.0))))
        .select(LogSectionRow::as_select())
        .order((log_sections::service_id, log_sections::since, log_sections::first_segment))
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(LogSection::from).collect())
}

/// Those of all services on a node.
pub(super) async fn section_list_on(connection: &mut Conn, node: &NodeName) -> Answer<Vec<LogSection>> {
    let there = services::table.filter(services::node.eq(node.as_str())).select(services::id);
    let rows: Vec<LogSectionRow> = log_sections::table
        .filter(log_sections::service_id.eq_any(there))
        .select(LogSectionRow::as_select())
        .order((log_sections::service_id, log_sections::since, log_sections::first_segment))
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(LogSection::from).collect())
}

pub(super) async fn sections_write(connection: &mut Conn, written: &[LogSection]) -> Answer<()> {
    for section in written {
        diesel::insert_into(log_sections::table)
            .values(LogSectionRow::from(section))
            .on_conflict((log_sections::instance_id, log_sections::first_segment))
            .do_update()
            .set((
                log_sections::last_segment.eq(excluded(log_sections::last_segment)),
                log_sections::since.eq(excluded(log_sections::since)),
                log_sections::until.eq(excluded(log_sections::until)),
                log_sections::is_open.eq(excluded(log_sections::is_open)),
                log_sections::stored_bytes.eq(excluded(log_sections::stored_bytes)),
            ))
            .execute(connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn sections_forget(connection: &mut Conn, forgotten: &[LogSection]) -> Answer<()> {
    for section in forgotten {
        let row = log_sections::table.find((Id(section.instance.0), section.first.as_str()));
        diesel::delete(row).execute(connection).await?;
    }
    Ok(())
}
