//! What mutations take.

use async_graphql::{ID, InputObject, MaybeUndefined, OneofObject};
use jiff::Timestamp;

use super::date_time::DateTime;
use super::enums::{ResizeApply, ServiceKind, SizeTier};
use super::ids::{parse_backup, parse_project, parse_service};
use crate::api::error::{Error, Result};
use crate::app::backup_policy::PolicyRequest;
use crate::app::clone::CloneRequest;
use crate::app::lifetime::Ending;
use crate::app::provision::ProvisionRequest;
use crate::app::restore::{RestoreFrom, RestoreRequest};
use crate::clock::in_microseconds;
use crate::domain::console::KeyScan;
use crate::domain::id::{IdempotencyKey, ServiceId};
use crate::domain::name::ServiceName;

/// The most keys that a page is asked for.
pub const MAX_KEYS: u32 = 500;

/// What to provision.
#[derive(InputObject)]
pub struct ProvisionServiceInput {
    /// The project that the service is for.
    pub project_id: ID,
    /// A kind that the catalog lists as AVAILABLE.
    pub kind: ServiceKind,
    /// How large the service is.
    #[graphql(default_with = "SizeTier::Dev")]
    pub tier: SizeTier,
    /// One of the catalog's versions of the kind; its default when left out.
    pub version: Option<String>,
    /// 1 to 40 lower-case letters, digits and hyphens, its own in the project. Made from the kind when left out:
    /// "postgresql", "postgresql-2".
    pub name: Option<String>,
    /// Whether it is protected from being destroyed, as by `setDeletionProtection`. A CONFLICT together with `expiresAt`.
    #[graphql(default_with = "Some(false)")]
    pub deletion_protection: Option<bool>,
    /// When it is to be destroyed by itself, with its data, as by `setExpiry`: at least a minute ahead. Never when left out.
    pub expires_at: Option<DateTime>,
    /// 1 to 128 visible ASCII characters of your own making, so that you can send a request again without risk: the
    /// same key and attributes give you the first call's service again; other attributes are a CONFLICT.
    pub idempotency_key: Option<String>,
}

/// Which service.
#[derive(InputObject)]
pub struct ServiceInput {
    /// The service's id.
    pub id: ID,
    /// For `destroyService` only: whether to back it up once more first.
    #[graphql(default_with = "Some(false)")]
    pub final_backup: Option<bool>,
}

/// Which service to repair.
#[derive(InputObject)]
pub struct RepairServiceInput {
    /// The service's id.
    pub id: ID,
}

/// Which size to give to which service, and when.
#[derive(InputObject)]
pub struct ResizeServiceInput {
    /// The service's id.
    pub id: ID,
    /// The size that it is to have.
    pub tier: SizeTier,
    /// When it is to have it.
    #[graphql(default_with = "ResizeApply::Now")]
    pub apply: ResizeApply,
}

/// Which version to bring which service to.
#[derive(InputObject)]
pub struct UpgradeServiceInput {
    /// The service's id.
    pub id: ID,
    /// One of its `upgradesTo`.
    pub version: String,
}

/// Which service is to be what it was before its last upgrade or restore.
#[derive(InputObject)]
pub struct RevertServiceInput {
    /// The service's id.
    pub id: ID,
}

/// Which service to back up.
#[derive(InputObject)]
pub struct CreateBackupInput {
    /// The service's id.
    pub id: ID,
    /// What to remember about it; at most 200 characters.
    pub note: Option<String>,
}

/// When which service is backed up by itself, and how much of that is kept.
#[derive(InputObject)]
pub struct SetBackupPolicyInput {
    /// The service's id.
    pub id: ID,
    /// A cron expression of five fields (minute, hour, day of the month, month, weekday) in UTC, such as `0 3 * * *`, which
    /// comes round at most every 15 minutes. Each service has a moment of its own within the half hour after that. Null: it is
    /// not backed up by itself any more; what is there stays, and the other fields do nothing.
    pub schedule: MaybeUndefined<String>,
    /// How many are kept of the newest, 0 to 1000.
    #[graphql(default_with = "Some(3)")]
    pub keep_last: Option<i32>,
    /// Of how many days the newest is kept, 0 to 1000; days, weeks and months without a backup do not count.
    #[graphql(default_with = "Some(7)")]
    pub keep_daily: Option<i32>,
    /// Of how many weeks the newest is kept, 0 to 1000.
    #[graphql(default_with = "Some(4)")]
    pub keep_weekly: Option<i32>,
    /// Of how many months the newest is kept, 0 to 1000.
    #[graphql(default_with = "Some(0)")]
    pub keep_monthly: Option<i32>,
    /// Whether each is restored once, where nobody reaches it, to see that it can be.
    #[graphql(default_with = "Some(true)")]
    pub verify: Option<bool>,
    /// Whether what is written in between is kept as well, so that any moment of the last days can be brought back: see
    /// `recoveryWindow`. A BAD_USER_INPUT of a kind that can't: PostgreSQL can.
    #[graphql(default_with = "Some(false)")]
    pub point_in_time: Option<bool>,
}

/// Which service to make another one of.
#[derive(InputObject)]
pub struct CloneServiceInput {
    /// The id of the service that is to be cloned; it has to run.
    pub id: ID,
    /// The project that the clone is for; its source's own when left out.
    pub project_id: Option<ID>,
    /// 1 to 40 lower-case letters, digits and hyphens, its own in the project. Made from the kind when left out.
    pub name: Option<String>,
    /// How large it is; as its source when left out.
    pub tier: Option<SizeTier>,
    /// When it is to be destroyed by itself, with its data, as by `setExpiry`. Never when left out.
    pub expires_at: Option<DateTime>,
    /// As with `provisionService`.
    pub idempotency_key: Option<String>,
}

/// Which service to download all of.
#[derive(InputObject)]
pub struct ExportServiceInput {
    /// The service's id.
    pub id: ID,
}

/// Which backup.
#[derive(InputObject)]
pub struct BackupInput {
    /// The backup's id.
    pub backup_id: ID,
}

/// What to restore, and into what.
#[derive(InputObject)]
pub struct RestoreServiceInput {
    /// The backup's id; one that is AVAILABLE or VERIFIED. Or else give `id` and `at`.
    pub backup_id: Option<ID>,
    /// The service whose data of another time it is to be.
    pub id: Option<ID>,
    /// The moment, one of the service's `recoveryWindow`: all that was committed by then, and nothing that was begun after it.
    pub at: Option<DateTime>,
    /// What is to have the data.
    pub into: RestoreTargetInput,
}

/// What is to have the data of a backup.
#[derive(OneofObject)]
pub enum RestoreTargetInput {
    /// A service that is made for it.
    NewService(RestoreNewServiceInput),
    /// True: the service that the backup is of. It goes on as it is until it is restored, and what it was is kept for a while;
    /// `revertService` goes back to that.
    InPlace(bool),
}

/// The service that is made for the data of a backup.
#[derive(InputObject)]
pub struct RestoreNewServiceInput {
    /// The project that it is for; the backup's own when left out.
    pub project_id: Option<ID>,
    /// 1 to 40 lower-case letters, digits and hyphens, its own in the project. Made from the kind when left out.
    pub name: Option<String>,
    /// How large it is; as the service was when left out.
    pub tier: Option<SizeTier>,
    /// As with `provisionService`.
    pub idempotency_key: Option<String>,
}

/// Which service is to run from the newest image of its version.
#[derive(InputObject)]
pub struct UpdateImageInput {
    /// The service's id.
    pub id: ID,
}

/// Whether which service is protected from being destroyed.
#[derive(InputObject)]
pub struct SetDeletionProtectionInput {
    /// The service's id.
    pub id: ID,
    /// Whether it is to be protected.
    pub enabled: bool,
}

/// When which service is to be destroyed by itself.
#[derive(InputObject)]
pub struct SetExpiryInput {
    /// The service's id.
    pub id: ID,
    /// The time, at least a minute ahead; null: never. It can't be left out.
    pub expires_at: MaybeUndefined<DateTime>,
}

/// Which project's services to destroy.
#[derive(InputObject)]
pub struct DestroyProjectInput {
    /// The project.
    pub project_id: ID,
    /// Whether to destroy also those that are protected from that. Not with `finalBackup`.
    #[graphql(default_with = "Some(false)")]
    pub force: Option<bool>,
    /// Whether to back each of them up once more, and to destroy it once that backup is VERIFIED.
    #[graphql(default_with = "Some(false)")]
    pub final_backup: Option<bool>,
}

impl DestroyProjectInput {
    pub fn ending(&self) -> Result<Ending> {
        match (self.force, self.final_backup) {
            (Some(true), Some(true)) => {
                let why = "What is protected is not backed up and destroyed: take that back first.";
                Err(Error::bad_input("force", why))
            }
            (Some(true), _) => Ok(Ending::Forced),
            (_, Some(true)) => Ok(Ending::BackedUp),
            _ => Ok(Ending::Unprotected),
        }
    }
}

/// A statement for a service.
#[derive(InputObject)]
pub struct RunSqlInput {
    /// The service's id.
    pub id: ID,
    /// One statement that reads: SELECT, TABLE, VALUES, WITH, SHOW or EXPLAIN. At most 10 000 characters.
    pub statement: String,
}

/// Which keys to list.
#[derive(InputObject)]
pub struct ScanKeysInput {
    /// The service's id.
    pub id: ID,
    /// The pattern of the keys, as Redis has it: `*` is any text, `?` any byte, `[ab]` one of these, `\` takes from the next
    /// character its meaning. At most 1000 characters.
    #[graphql(name = "match", default_with = "Some(\"*\".to_owned())")]
    pub pattern: Option<String>,
    /// The `nextCursor` of the page before, with the same `match`; left out for the first page.
    pub cursor: Option<String>,
    /// About how many keys to give, 1 to 500: there may be a few more, and fewer or none.
    #[graphql(default_with = "Some(100)")]
    pub first: Option<i32>,
}

/// Which key to read.
#[derive(InputObject)]
pub struct ReadKeyInput {
    /// The service's id.
    pub id: ID,
    /// A `RedisKey.keyBase64`: the key's bytes in base 64.
    pub key_base64: ID,
}

impl ServiceInput {
    /// The service, for all that is not about destroying it.
    pub fn parse(&self) -> Result<ServiceId> {
        if self.final_backup == Some(true) {
            return Err(Error::bad_input("finalBackup", "It is for destroyService only."));
        }
        parse_service("id", &self.id)
    }
}

impl SetBackupPolicyInput {
    pub fn parse(self) -> Result<PolicyRequest> {
        let schedule = match self.schedule {
            MaybeUndefined::Value(schedule) => Some(schedule),
            MaybeUndefined::Null => None,
            MaybeUndefined::Undefined => {
                let message = "Give a schedule, or null to have it not backed up by itself.";
                return Err(Error::bad_input("schedule", message));
            }
        };
        let keep = [self.keep_last, self.keep_daily, self.keep_weekly, self.keep_monthly];
        Ok(PolicyRequest {
            schedule,
            keep: keep.map(Option::unwrap_or_default),
            verify: self.verify.unwrap_or(true),
            point_in_time: self.point_in_time.unwrap_or(false),
        })
    }
}

impl ProvisionServiceInput {
    pub fn parse(self) -> Result<ProvisionRequest> {
        Ok(ProvisionRequest {
            project: parse_project("projectId", &self.project_id)?,
            kind: self.kind.into(),
            tier: self.tier.into(),
            version: self.version,
            name: parse_name(self.name)?,
            idempotency_key: parse_key(self.idempotency_key)?,
            origin: None,
            protected: self.deletion_protection.unwrap_or(false),
            expires_at: self.expires_at.map(|DateTime(at)| in_microseconds(at)),
        })
    }
}

/// What is to be restored, and into what.
pub enum Restore {
    IntoNew(RestoreRequest),
    InPlace(RestoreFrom),
}

impl CloneServiceInput {
    pub fn parse(self) -> Result<CloneRequest> {
        Ok(CloneRequest {
            source: parse_service("id", &self.id)?,
            project: self.project_id.map(|id| parse_project("projectId", &id)).transpose()?,
            name: parse_name(self.name)?,
            tier: self.tier.map(Into::into),
            expires_at: self.expires_at.map(|DateTime(at)| in_microseconds(at)),
            idempotency_key: parse_key(self.idempotency_key)?,
        })
    }
}

impl RestoreServiceInput {
    pub fn parse(self) -> Result<Restore> {
        let from = match (self.backup_id, self.id, self.at) {
            (Some(backup), None, None) => RestoreFrom::Backup(parse_backup("backupId", &backup)?),
            (None, Some(id), Some(DateTime(at))) => RestoreFrom::Moment(parse_service("id", &id)?, in_microseconds(at)),
            _ => return Err(Error::bad_input("backupId", "Give either a backupId, or an id and at.")),
        };
        match self.into {
            RestoreTargetInput::NewService(new) => Ok(Restore::IntoNew(new.parse(from)?)),
            RestoreTargetInput::InPlace(true) => Ok(Restore::InPlace(from)),
            RestoreTargetInput::InPlace(false) => {
                Err(Error::bad_input("inPlace", "Give true to restore in place, or else newService."))
            }
        }
    }
}

impl RestoreNewServiceInput {
    fn parse(self, from: RestoreFrom) -> Result<RestoreRequest> {
        Ok(RestoreRequest {
            from,
            project: self.project_id.map(|id| parse_project("projectId", &id)).transpose()?,
            name: parse_name(self.name)?,
            tier: self.tier.map(Into::into),
            idempotency_key: parse_key(self.idempotency_key)?,
        })
    }
}

fn parse_name(name: Option<String>) -> Result<Option<ServiceName>> {
    name.map(|name| name.parse()).transpose().map_err(|_| {
        Error::bad_input(
            "name",
            "A name is 1 to 40 lower-case letters, digits and hyphens, with a letter or digit at both ends.",
        )
    })
}

fn parse_key(key: Option<String>) -> Result<Option<IdempotencyKey>> {
    key.map(|key| key.parse())
        .transpose()
        .map_err(|_| Error::bad_input("idempotencyKey", "An idempotency key is 1 to 128 visible ASCII characters."))
}

impl SetExpiryInput {
    /// None: never.
    pub fn at(&self) -> Result<Option<Timestamp>> {
        match &self.expires_at {
            MaybeUndefined::Value(DateTime(at)) => Ok(Some(in_microseconds(*at))),
            MaybeUndefined::Null => Ok(None),
            MaybeUndefined::Undefined => {
                Err(Error::bad_input("expiresAt", "Give the time, or null to have it never destroyed by itself."))
            }
        }
    }
}

impl ScanKeysInput {
    pub fn parse(self) -> Result<KeyScan> {
        let cursor = self.cursor.map_or(Ok(0), |cursor| {
            cursor.parse().map_err(|_| Error::bad_input("cursor", "It is no cursor that a page of keys gave."))
        })?;
        let count = match self.first {
            None => 100,
            Some(first) => u32::try_from(first)
                .ok()
                .filter(|first| (1..=MAX_KEYS).contains(first))
                .ok_or_else(|| Error::bad_input("first", format!("It has to be from 1 to {MAX_KEYS}.")))?,
        };
        let pattern = self.pattern.unwrap_or_else(|| "*".to_owned());
        if pattern.chars().count() > 1000 {
            return Err(Error::bad_input("match", "A pattern has at most 1000 characters."));
        }
        Ok(KeyScan { pattern, cursor, count })
    }
}
