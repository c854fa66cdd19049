//! The rows of backups.

use diesel::prelude::*;
use jiff::Timestamp;

use crate::domain::backup::{Backup, BackupError, BackupOrigin, BackupPhase, BackupState, Verification};
use crate::domain::id::{BackupId, InstanceId, ProjectId, ServiceId};
use crate::domain::name::ServiceName;
use crate::domain::service::{ServiceKind, TierSpec};
use crate::store::schema::backups;
use crate::store::types::{Id, Instant, Json, Word};

#[derive(Queryable, QueryableByName, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = backups, treat_none_as_null = true)]
pub struct BackupRow {
    id: Id,
    service_id: Id,
    project_id: Word<ProjectId>,
    service_name: Word<ServiceName>,
    kind: Word<ServiceKind>,
    version: String,
    tier: Json<TierSpec>,
    origin: Word<BackupOrigin>,
    note: Option<String>,
    state: Word<BackupState>,
    phase: Option<Word<BackupPhase>>,
    content_bytes: i64,
    stored_bytes: Option<i64>,
    object: Option<String>,
    to_verify: bool,
    verification: Option<Json<Verification>>,
    attempts: i32,
    not_before: Option<Instant>,
    error: Option<Json<BackupError>>,
    created_at: Instant,
    begun_at: Option<Instant>,
    ended_at: Option<Instant>,
    updated_at: Instant,
    revision: i64,
    instance_id: Option<Id>,
}

impl BackupRow {
    pub fn service(&self) -> ServiceId {
        ServiceId(self.service_id.0)
    }

    /// What is written at `now` of a backup that was read.
    pub fn written(backup: &Backup, now: Timestamp) -> Self {
        let (backup, bytes) = (backup.clone(), |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX));
        Self {
            id: Id(backup.id.0),
            service_id: Id(backup.service.0),
            project_id: backup.project.into(),
            service_name: backup.service_name.into(),
            kind: backup.kind.into(),
            version: backup.version,
            tier: backup.tier.into(),
            origin: backup.origin.into(),
            note: backup.note,
            state: backup.state.into(),
            phase: backup.phase.map(Into::into),
            content_bytes: bytes(backup.content_bytes),
            stored_bytes: backup.stored_bytes.map(bytes),
            object: backup.object,
            to_verify: backup.to_verify,
            verification: backup.verification.map(Into::into),
            attempts: i32::try_from(backup.attempts).unwrap_or(i32::MAX),
            not_before: backup.not_before.map(Instant::from),
            error: backup.error.map(Into::into),
            created_at: backup.created_at.into(),
            begun_at: backup.begun_at.map(Instant::from),
            ended_at: backup.ended_at.map(Instant::from),
            updated_at: now.into(),
            revision: backup.revision + 1,
            instance_id: backup.instance.map(|id| Id(id.0)),
        }
    }
}

impl From<BackupRow> for Backup {
    fn from(row: BackupRow) -> Self {
        Self {
            id: BackupId(row.id.0),
            service: ServiceId(row.service_id.0),
            project: row.project_id.value,
            service_name: row.service_name.value,
            kind: row.kind.value,
            version: row.version,
            tier: row.tier.value,
            origin: row.origin.value,
            note: row.note,
            state: row.state.value,
            phase: row.phase.map(|word| word.value),
            content_bytes: row.content_bytes.unsigned_abs(),
            stored_bytes: row.stored_bytes.map(i64::unsigned_abs),
            object: row.object,
            to_verify: row.to_verify,
            verification: row.verification.map(|json| json.value),
            attempts: row.attempts.unsigned_abs(),
            not_before: row.not_before.map(Timestamp::from),
            error: row.error.map(|json| json.value),
            created_at: row.created_at.into(),
            begun_at: row.begun_at.map(Timestamp::from),
            ended_at: row.ended_at.map(Timestamp::from),
            updated_at: row.updated_at.into(),
            revision: row.revision,
            instance: row.instance_id.map(|id| InstanceId(id.0)),
        }
    }
}
