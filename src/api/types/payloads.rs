//! What mutations answer.

use async_graphql::SimpleObject;

use super::backup::Backup;
use super::console::{RedisKey, RedisValue, SqlResult};
use super::credential::Credential;
use super::date_time::DateTime;
use super::inputs::MAX_KEYS;
use super::service::Service;
use super::service_event::ServiceEvent;
use crate::api::documents::limits::list_cost;

/// As how many services those of a project count in a document's cost: as many as it may have by default.
const SERVICES: usize = 100;

/// The answer of `provisionService`.
#[derive(SimpleObject)]
pub struct ProvisionServicePayload {
    /// The service, in PENDING; or, under an idempotency key that was used before, as it is now.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `startService`.
#[derive(SimpleObject)]
pub struct StartServicePayload {
    /// The service, with its start under way.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `stopService`.
#[derive(SimpleObject)]
pub struct StopServicePayload {
    /// The service, with its stop under way.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `restartService`.
#[derive(SimpleObject)]
pub struct RestartServicePayload {
    /// The service, with its restart under way.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `destroyService`.
#[derive(SimpleObject)]
pub struct DestroyServicePayload {
    /// The service, in DESTROYING.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `revealCredentials`.
#[derive(SimpleObject)]
pub struct RevealCredentialsPayload {
    /// The service. Its own credentials stay masked.
    pub service: Service,
    /// The event that tells of it.
    pub event: Option<ServiceEvent>,
    /// The environment variables to connect with, in clear.
    pub credentials: Vec<Credential>,
}

/// The answer of `rotateCredentials`.
#[derive(SimpleObject)]
pub struct RotateCredentialsPayload {
    /// The service, with the change of its password under way.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `resizeService`.
#[derive(SimpleObject)]
pub struct ResizeServicePayload {
    /// The service, whose `tier` is the new size.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it has that size.
    pub event: Option<ServiceEvent>,
}

/// The answer of `repairService`.
#[derive(SimpleObject)]
pub struct RepairServicePayload {
    /// The service, with its repair under way.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `upgradeService`.
#[derive(SimpleObject)]
pub struct UpgradeServicePayload {
    /// The service, with its upgrade under way. Its `version` is the new one once it runs in that.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `revertService`.
#[derive(SimpleObject)]
pub struct RevertServicePayload {
    /// The service, on its way back.
    pub service: Service,
    /// The event that it wrote. Its message says what was written since the upgrade, as far as that can be told.
    pub event: Option<ServiceEvent>,
}

/// The answer of `updateImage`.
#[derive(SimpleObject)]
pub struct UpdateImagePayload {
    /// The service, with the pull of its image under way.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `createBackup`.
#[derive(SimpleObject)]
pub struct CreateBackupPayload {
    /// The backup, in PENDING; or the one that is under way.
    pub backup: Backup,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `verifyBackup`.
#[derive(SimpleObject)]
pub struct VerifyBackupPayload {
    /// The backup, with its verification under way.
    pub backup: Backup,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `deleteBackup`.
#[derive(SimpleObject)]
pub struct DeleteBackupPayload {
    /// The backup, in DELETING.
    pub backup: Backup,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `restoreService`.
#[derive(SimpleObject)]
pub struct RestoreServicePayload {
    /// The service that is to have what the backup holds: a new one in PENDING, or the one that the backup is of.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `cloneService`.
#[derive(SimpleObject)]
pub struct CloneServicePayload {
    /// The new service, in PENDING.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was asked for before.
    pub event: Option<ServiceEvent>,
}

/// The answer of `setDeletionProtection`.
#[derive(SimpleObject)]
pub struct SetDeletionProtectionPayload {
    /// The service, protected or not.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was so already.
    pub event: Option<ServiceEvent>,
}

/// The answer of `exportService`.
#[derive(SimpleObject)]
pub struct ExportServicePayload {
    /// The service.
    pub service: Service,
    /// Where to download it, from the server that you ask: `/exports/…`. Whoever has the link can, and needs no token.
    pub path: String,
    /// Until when the download can be begun, a minute from now.
    pub expires_at: DateTime,
    /// The event that it wrote.
    pub event: Option<ServiceEvent>,
}

/// The answer of `setBackupPolicy`.
#[derive(SimpleObject)]
pub struct SetBackupPolicyPayload {
    /// The service, with its policy.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was so already.
    pub event: Option<ServiceEvent>,
}

/// The answer of `setExpiry`.
#[derive(SimpleObject)]
pub struct SetExpiryPayload {
    /// The service, with its expiry.
    pub service: Service,
    /// The event that it wrote; null where nothing was written, because it was so already.
    pub event: Option<ServiceEvent>,
}

/// The answer of `destroyProject`.
#[derive(SimpleObject)]
pub struct DestroyProjectPayload {
    /// The project's services that were not destroyed before, the oldest first; empty where there are none. They are in DESTROYING,
    /// and with `finalBackup` what they were until their backup is VERIFIED.
    #[graphql(complexity = "list_cost(SERVICES, child_complexity)")]
    pub services: Vec<Service>,
}

/// The answer of `runSql`.
#[derive(SimpleObject)]
pub struct RunSqlPayload {
    /// The service.
    pub service: Service,
    /// What the statement gave.
    pub result: Option<SqlResult>,
}

/// The answer of `scanKeys`.
#[derive(SimpleObject)]
pub struct ScanKeysPayload {
    /// The service.
    pub service: Service,
    /// The keys, in no order. A page may hold a few more than `first`, and fewer or none though others follow; a key may come
    /// again on a later page.
    #[graphql(complexity = "list_cost(MAX_KEYS as usize, child_complexity)")]
    pub keys: Vec<RedisKey>,
    /// Where to go on; null where this was the last page.
    pub next_cursor: Option<String>,
    /// How many keys there are in all, whatever `match` is.
    pub total: i32,
}

/// The answer of `readKey`.
#[derive(SimpleObject)]
pub struct ReadKeyPayload {
    /// The service.
    pub service: Service,
    /// The value; null where the key is gone.
    pub value: Option<RedisValue>,
}
