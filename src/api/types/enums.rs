//! The domain's enums as the schema shows them.

use async_graphql::Enum;

use crate::domain::lifecycle;
use crate::domain::service;

/// A kind of service.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "service::ServiceKind")]
pub enum ServiceKind {
    /// The relational database PostgreSQL.
    Postgresql,
    /// The in-memory data store Redis.
    Redis,
    /// The relational database MySQL.
    Mysql,
    /// The document database MongoDB.
    Mongodb,
    /// The vector database Qdrant; coming soon.
    Qdrant,
    /// S3-compatible storage for files.
    ObjectStorage,
    /// The S3-compatible object store MinIO, in its last release.
    Minio,
    /// The mail catcher Mailpit.
    Mailpit,
    /// What a newer version of the server has written and this one does not know, while both run. Show it, offer no action,
    /// and ask again; it can't be asked for.
    Unknown,
}

/// Whether a node's engine answers.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It answers.
    Ready,
    /// It does not answer. Services there are in ERROR with NODE_UNAVAILABLE, and are never made anew elsewhere.
    Away,
    /// It was not asked yet.
    Unknown,
}

/// How large a service is. What a tier means for a kind stands in the catalog.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "service::SizeTier")]
pub enum SizeTier {
    /// The smallest, for previews and development.
    Dev,
    /// For ordinary load.
    Standard,
    /// For load tests and large data.
    Performance,
    /// What a newer version of the server has written and this one does not know, while both run. Show it, offer no action,
    /// and ask again; it can't be asked for.
    Unknown,
}

/// What is true of a service right now. What is being done about it is its `operation`.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "service::ServiceState")]
pub enum ServiceState {
    /// Accepted and durable; nothing was done yet.
    Pending,
    /// On its way to RUNNING, also after a start, a restart or a recovery.
    Provisioning,
    /// The server inside answers its health check on its port.
    Running,
    /// Stopped on request; its data is kept.
    Stopped,
    /// Not serving, and not expected to recover by itself at once; `error` says why.
    Error,
    /// Being removed, for as long as that takes.
    Destroying,
    /// Container and data are gone. The service stays visible as history.
    Destroyed,
    /// What a newer version of the server has written and this one does not know, while both run. Show it, offer no action,
    /// and ask again; it can't be asked for.
    Unknown,
}

/// What is being done about a service.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "service::OperationKind")]
pub enum OperationKind {
    /// It is being created.
    Provision,
    /// It is being started.
    Start,
    /// It is being shut down.
    Stop,
    /// It is being stopped and started again.
    Restart,
    /// It is being removed with its data.
    Destroy,
    /// It is being repaired after something happened to its container.
    Recover,
    /// Its password is being changed while it runs.
    RotateCredentials,
    /// It is being given another size.
    Resize,
    /// Its container is being made anew, with its own settings, user and password.
    Repair,
    /// It is being brought to another version. It runs in the one that it has until SWITCHING.
    Upgrade,
    /// It goes back to what it was before its last upgrade.
    Revert,
    /// It is being restarted from what its image's name means by now.
    UpdateImage,
    /// It is being given what a backup holds.
    Restore,
    /// It is being given what another service holds.
    Clone,
    /// What a newer version of the server has written and this one does not know, while both run. Show it, offer no action,
    /// and ask again; it can't be asked for.
    Unknown,
}

/// How far an operation is.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "service::OperationPhase")]
pub enum OperationPhase {
    /// It waits for its turn.
    Queued,
    /// The image is being pulled; `progressPercent` says how much of it is there.
    PullingImage,
    /// The volume for the data is being created.
    CreatingVolume,
    /// The container is being created.
    CreatingContainer,
    /// The container is being started.
    Starting,
    /// The container runs; the server inside has yet to answer its health check.
    WaitingForReady,
    /// The server inside is being shut down.
    Stopping,
    /// Container and volume are being removed.
    Removing,
    /// The server inside is being told the new password. From here on `revealCredentials` gives the old one or the new
    /// one; the new one for sure once the operation is over.
    ChangingPassword,
    /// The limits of the container, or what the server inside makes of them, are being changed while it runs.
    Resizing,
    /// The container is being removed, to be made anew with the service's own settings.
    Repairing,
    /// An instance of the new version is being made beside the service, and asked whether all will fit. Nothing is done to the
    /// service yet.
    Preparing,
    /// The data is being copied. The service answers and takes no writes: what it refuses was not written.
    CopyingData,
    /// What the copy holds is being counted and compared with what the service holds.
    Comparing,
    /// The service is being shut down, to run on with the copy under the same host name, port and password. The phases of a start
    /// follow.
    Switching,
    /// What a backup holds is being brought into an instance, which is then started once by itself. `progressPercent` says how much
    /// of it is there.
    Restoring,
    /// What a newer version of the server has written and this one does not know, while both run. Show it, offer no action,
    /// and ask again; it can't be asked for.
    Unknown,
}

/// Something that a viewer can do to a service: a button.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "lifecycle::ServiceAction")]
pub enum ServiceAction {
    /// `startService`
    Start,
    /// `stopService`
    Stop,
    /// `restartService`
    Restart,
    /// `destroyService`
    Destroy,
    /// `revealCredentials`
    RevealCredentials,
    /// `rotateCredentials`
    RotateCredentials,
    /// `resizeService`
    Resize,
    /// `repairService`
    Repair,
    /// `upgradeService`; only where there is a later version, see `Service.upgradesTo`.
    Upgrade,
    /// `revertService`; only while what it was before is kept, see `Service.replaced`.
    Revert,
    /// `updateImage`
    UpdateImage,
    /// `runSql`; only with kinds that speak SQL.
    RunSql,
    /// `scanKeys` and `readKey`; only with kinds that hold keys.
    BrowseKeys,
    /// `createBackup`
    CreateBackup,
    /// `restoreService` in place, from an AVAILABLE or VERIFIED one of its `backups`.
    Restore,
}

/// When a new size comes into effect.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "lifecycle::Apply")]
pub enum ResizeApply {
    /// At once: by a restart, where the kind takes a size only then; see `CatalogEntry.resizesLive`.
    Now,
    /// CPU time, and memory that grows, at once; what needs a restart waits for the next one. Nobody loses a connection, and
    /// `restartPending` is true until then.
    AtNextRestart,
}
