//! The rows of what is kept of servers' logs.

use diesel::prelude::*;

use crate::domain::id::{InstanceId, ServiceId};
use crate::domain::log::LogSection;
use crate::store::schema::log_sections;
use crate::store::types::{Id, Instant};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = log_sections)]
pub struct LogSectionRow {
    instance_id: Id,
    first_segment: String,
    service_id: Id,
    last_segment: String,
    since: Instant,
    until: Instant,
    is_open: bool,
    stored_bytes: i64,
}

impl From<&LogSection> for LogSectionRow {
    fn from(section: &LogSection) -> Self {
        Self {
            instance_id: Id(section.instance.0),
            first_segment: section.first.clone(),
            service_id: Id(section.service.0),
            last_segment: section.last.clone(),
            since: section.since.into(),
            until: section.until.into(),
            is_open: section.is_open,
            stored_bytes: i64::try_from(section.stored_bytes).unwrap_or(i64::MAX),
        }
    }
}

impl From<LogSectionRow> for LogSection {
    fn from(row: LogSectionRow) -> Self {
        Self {
            service: ServiceId(row.service_id.0),
            instance: InstanceId(row.instance_id.0),
            first: row.first_segment,
            last: row.last_segment,
            since: row.since.into(),
            until: row.until.into(),
            is_open: row.is_open,
            stored_bytes: row.stored_bytes.unsigned_abs(),
        }
    }
}
