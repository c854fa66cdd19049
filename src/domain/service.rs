//! A service: what its user wants (wish, generation), where it is found (address), and what is known of it (state,
//! operation, error, evidence).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Stored;
use super::backup_policy::BackupPlan;
use super::id::{InstanceId, ProjectId, ServiceId};
use super::image::Image;
use super::lifetime::Lifetime;
use super::name::ServiceName;
use super::node::NodeName;
use super::storage::Storage;
use super::trace::TraceParent;

text_enum! {
    /// A kind of service that the catalog lists.
    pub enum ServiceKind {
        Postgresql = "POSTGRESQL",
        Redis = "REDIS",
        Mysql = "MYSQL",
        Mongodb = "MONGODB",
        Qdrant = "QDRANT",
        ObjectStorage = "OBJECT_STORAGE",
        Minio = "MINIO",
        Mailpit = "MAILPIT",
    } or Unknown
}

impl ServiceKind {
    /// What a service of this kind is called that nobody has named, such as "object-storage".
    pub fn plain_name(self) -> String {
        self.as_str().to_lowercase().replace('_', "-")
    }
}

text_enum! {
    /// How large a service is; what that means depends on its kind.
    pub enum SizeTier {
        Dev = "DEV",
        Standard = "STANDARD",
        Performance = "PERFORMANCE",
    } or Unknown
}

impl SizeTier {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dev => "Dev",
            Self::Standard => "Standard",
            Self::Performance => "Performance",
            Self::Unknown => "Unknown",
        }
    }
}

text_enum! {
    /// Whether its user wants a service to run, stored as the state that it is to come to.
    pub enum Power {
        On = "RUNNING",
        Off = "STOPPED",
        Deleted = "DESTROYED",
    }
}

text_enum! {
    /// What is true of a service's container.
    pub enum ServiceState {
        Pending = "PENDING",
        Provisioning = "PROVISIONING",
        Running = "RUNNING",
        Stopped = "STOPPED",
        Error = "ERROR",
        Destroying = "DESTROYING",
        Destroyed = "DESTROYED",
    } or Unknown
}

text_enum! {
    /// What is being done about a service.
    pub enum OperationKind {
        Provision = "PROVISION",
        Start = "START",
        Stop = "STOP",
        Restart = "RESTART",
        Destroy = "DESTROY",
        Recover = "RECOVER",
        RotateCredentials = "ROTATE_CREDENTIALS",
        Resize = "RESIZE",
        Repair = "REPAIR",
        Upgrade = "UPGRADE",
        Revert = "REVERT",
        UpdateImage = "UPDATE_IMAGE",
        Restore = "RESTORE",
        Clone = "CLONE",
    } or Unknown
}

impl OperationKind {
    /// Whether it is a task, which ends, and is beside what the service does while it runs.
    pub const fn is_task(self) -> bool {
        matches!(self, Self::RotateCredentials | Self::Upgrade | Self::UpdateImage | Self::Restore | Self::Clone)
    }

    /// Whether it changes what the service runs, so that no other change may come between.
    pub const fn changes_version(self) -> bool {
        matches!(self, Self::Upgrade | Self::Revert | Self::UpdateImage | Self::Restore | Self::Clone)
    }
}

text_enum! {
    /// How far an operation is.
    pub enum OperationPhase {
        Queued = "QUEUED",
        PullingImage = "PULLING_IMAGE",
        CreatingVolume = "CREATING_VOLUME",
        CreatingContainer = "CREATING_CONTAINER",
        Starting = "STARTING",
        WaitingForReady = "WAITING_FOR_READY",
        Stopping = "STOPPING",
        Removing = "REMOVING",
        ChangingPassword = "CHANGING_PASSWORD",
        Resizing = "RESIZING",
        Repairing = "REPAIRING",
        Preparing = "PREPARING",
        CopyingData = "COPYING_DATA",
        Comparing = "COMPARING",
        Switching = "SWITCHING",
        /// The data of a backup is being brought into an instance.
        Restoring = "RESTORING",
    } or Unknown
}

text_enum! {
    /// Why a service does not do what it should.
    pub enum ErrorCode {
        /// The image could not be pulled.
        PullFailed = "PULL_FAILED",
        /// The server inside did not answer its health check in time.
        StartTimeout = "START_TIMEOUT",
        /// The container did not stop in time.
        StopTimeout = "STOP_TIMEOUT",
        /// The kernel killed the server inside for want of memory.
        OutOfMemory = "OUT_OF_MEMORY",
        /// The server inside ends again and again.
        CrashLoop = "CRASH_LOOP",
        /// The container runs, but the server inside does not answer its health check.
        Unhealthy = "UNHEALTHY",
        /// The host port that the service is published on is taken by something else.
        PortInUse = "PORT_IN_USE",
        /// No addresses are left for another project's network.
        NetworkPoolExhausted = "NETWORK_POOL_EXHAUSTED",
        /// The volume with the service's data is gone.
        VolumeLost = "VOLUME_LOST",
        /// The engine's host has no disk space left.
        NoSpace = "NO_SPACE",
        /// A container or volume of the service's name exists and is not ours.
        NameTaken = "NAME_TAKEN",
        /// The engine does not answer.
        EngineUnavailable = "ENGINE_UNAVAILABLE",
        /// The engine of the service's node does not answer, while others do their work.
        NodeUnavailable = "NODE_UNAVAILABLE",
        /// The engine answered with a refusal.
        EngineRefused = "ENGINE_REFUSED",
        /// No key in the key ring opens the service's credentials.
        CredentialsUnreadable = "CREDENTIALS_UNREADABLE",
        /// The server inside runs, and does not let the service's user in with its password.
        CredentialsRefused = "CREDENTIALS_REFUSED",
        /// The server inside has not taken the new password.
        RotationFailed = "ROTATION_FAILED",
        /// It holds what its size is meant for, or its host has too little space left, and takes no more writes.
        StorageFull = "STORAGE_FULL",
        /// It could not be brought to another version, and runs in the one that it had.
        UpgradeFailed = "UPGRADE_FAILED",
        /// What a backup holds could not be restored; it is what it was.
        RestoreFailed = "RESTORE_FAILED",
    } or Unknown
}

/// What a size tier gives to a service of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierSpec {
    pub tier: SizeTier,
    /// Hard limit of the container's memory, in MiB; there is no swap beyond it.
    pub memory_mib: u32,
    /// Hard limit of the container's CPU time, in thousandths of a core.
    pub cpu_millis: u32,
    /// What its volume may hold, in MiB.
    pub storage_mib: u32,
}

/// The host address and port that a service's main endpoint is published on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    pub address: IpAddr,
    pub port: u16,
}

impl Published {
    /// Where the endpoint is published that is `place` behind the main one: their ports follow each other. None beyond the last
    /// port that there is.
    pub fn at(self, place: usize) -> Option<Self> {
        let port = self.port.checked_add(u16::try_from(place).ok()?)?;
        Some(Self { port, ..self })
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// What its user wants of a service. Each change of it is one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub kind: ServiceKind,
    /// One of the catalog's versions of the kind, such as "17".
    pub version: String,
    pub tier: TierSpec,
    pub power: Power,
}

/// Where a service is found. It is the service's: whichever container runs it is put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The name on the project's network.
    pub hostname: String,
    /// Where it is meant to be published; where it is, [`Evidence`] tells.
    pub published: Option<Published>,
}

/// What is being done about a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    pub kind: OperationKind,
    pub phase: OperationPhase,
    /// Of an image pull, 0 to 100.
    pub progress_percent: Option<u8>,
    pub started_at: Timestamp,
    /// When it counts as failed. None while it is queued, and for destroying, which never gives up.
    pub deadline: Option<Timestamp>,
}

impl Stored for TierSpec {
    fn unknown(_: &str) -> Self {
        Self { tier: SizeTier::Unknown, memory_mib: 0, cpu_millis: 0, storage_mib: 0 }
    }

    fn is_known(&self) -> bool {
        self.tier.is_known()
    }
}

impl Stored for Power {
    /// Any will do: nobody sees it, and nothing acts on it.
    fn unknown(_: &str) -> Self {
        Self::Off
    }
}

impl Stored for Operation {
    fn unknown(_: &str) -> Self {
        Self { phase: OperationPhase::Unknown, ..Self::queued(OperationKind::Unknown, Timestamp::UNIX_EPOCH) }
    }

    fn is_known(&self) -> bool {
        self.kind.is_known() && self.phase.is_known()
    }
}

impl Stored for ServiceError {
    fn unknown(_: &str) -> Self {
        Self { code: ErrorCode::Unknown, message: String::new(), occurred_at: Timestamp::UNIX_EPOCH }
    }

    fn is_known(&self) -> bool {
        self.code.is_known()
    }
}

impl Stored for Evidence {
    fn unknown(_: &str) -> Self {
        Self::default()
    }
}

impl Operation {
    pub fn queued(kind: OperationKind, now: Timestamp) -> Self {
        Self { kind, phase: OperationPhase::Queued, progress_percent: None, started_at: now, deadline: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceError {
    pub code: ErrorCode,
    /// One or more sentences for a person; never holds a secret.
    pub message: String,
    pub occurred_at: Timestamp,
}

/// One run of a container, from its start to its end: the engine's own text for when it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunId(pub String);

/// What earlier looks at the engine have proved, and a later look can't see any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// It was RUNNING once, so its volume holds data that must never be replaced by an empty one.
    pub initialised: bool,
    /// The run whose server has answered the health check.
    pub ready_run: Option<RunId>,
    /// Failed checks of that run from before it answered. A check that answers takes them away.
    #[serde(default)]
    pub excused_checks: u32,
    /// The newest run whose end was taken note of.
    #[serde(default)]
    pub ended_run: Option<RunId>,
    /// Ends that nobody asked for, since the service was last stable.
    #[serde(default)]
    pub crashes: u32,
    /// When the newest of them was seen.
    #[serde(default)]
    pub crashed_at: Option<Timestamp>,
    /// Where it is published, by what the engine said last.
    #[serde(default)]
    pub published: Option<Published>,
    /// The engine's id of the image that served last, and so fits the data.
    #[serde(default)]
    pub image: Option<String>,
    /// By which a registry has that image.
    #[serde(default)]
    pub image_digest: Option<String>,
    /// The size that its container was made for, by what the engine said last.
    #[serde(default)]
    pub made_for: Option<SizeTier>,
    /// The size that the server inside was told since, while it ran. None: it goes by what its container was made for.
    #[serde(default)]
    pub told: Option<SizeTier>,
    /// The size that it is being told: noted before it is, so that one that was broken off is known to have perhaps come through.
    #[serde(default)]
    pub telling: Option<SizeTier>,
    /// The server inside did not let the service's user in when that was last tried.
    #[serde(default)]
    pub refused: bool,
    /// How full its volume is.
    #[serde(default)]
    pub storage: Storage,
    /// The server inside takes no writes, or perhaps doesn't, for its data is being copied or was: noted before it is told,
    /// until it takes them again.
    #[serde(default)]
    pub frozen: bool,
    /// Its log is wanted, and its container was made before a log could be kept: it is from its next start on.
    #[serde(default)]
    pub log_awaits_start: bool,
}

/// A service as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub id: ServiceId,
    pub project: ProjectId,
    pub name: ServiceName,
    pub wish: Wish,
    pub address: Address,
    /// What runs it.
    pub instance: InstanceId,
    /// Where that is.
    pub node: NodeName,
    /// Counts the user's intents: 1 when provisioned, one more with each action.
    pub generation: i64,
    /// Counts every write of the row; a write that finds another number than it read is refused.
    pub revision: i64,
    pub state: ServiceState,
    pub operation: Option<Operation>,
    pub error: Option<ServiceError>,
    pub evidence: Evidence,
    pub lifetime: Lifetime,
    pub backup_plan: BackupPlan,
    /// False where a newer version of the server has written something about it that this one does not know. It is shown as far
    /// as it is known, and left alone.
    pub understood: bool,
    /// Where what is being done about it, or was last, is to be found in a trace. Nobody decides by it.
    pub trace: Option<TraceParent>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl ErrorCode {
    /// Whether what is known of the service is no more than that its engine does not answer.
    pub fn is_silence(self) -> bool {
        matches!(self, Self::EngineUnavailable | Self::NodeUnavailable)
    }
}

impl Evidence {
    /// The image that served last. What is made anew for the data is made from that one.
    pub fn served(&self) -> Option<Image> {
        let (id, digest) = (self.image.clone()?, self.image_digest.clone());
        Some(Image { id, digest })
    }

    /// Takes note of the image that has served. The digest by which it was had stays its own, whatever else it is called by now.
    pub fn note_served(&mut self, image: Option<Image>) {
        let known = self.image_digest.take().filter(|_| image.as_ref().map(|image| &image.id) == self.image.as_ref());
        let (id, digest) = image.map(|Image { id, digest }| (id, digest)).unzip();
        (self.image, self.image_digest) = (id, known.or(digest.flatten()));
    }

    /// The size that the server inside goes by, as far as that is known.
    pub fn size(&self) -> Option<SizeTier> {
        self.told.or(self.made_for)
    }
}

impl Service {
    /// Whether it runs in another size than it is to have, some of which the server inside takes only when it is started.
    pub fn is_outgrown(&self) -> bool {
        let mut inside = self.evidence.size().into_iter().chain(self.evidence.telling);
        self.state == ServiceState::Running && inside.any(|size| size != self.wish.tier.tier)
    }

    /// What its volume may hold, in MiB.
    pub fn storage_limit_mib(&self) -> u32 {
        self.evidence.storage.limit_mib(self.wish.tier.storage_mib)
    }

    /// Whether its volume is to grow, which it can't before it is started anew.
    pub fn grows_at_start(&self) -> bool {
        let is_cramped = self.evidence.storage.is_cramped(self.wish.tier.storage_mib);
        self.state == ServiceState::Running && is_cramped && self.evidence.storage.grows_after.is_some()
    }

    /// Whether what it runs is being changed.
    pub fn is_changing_version(&self) -> bool {
        self.operation.as_ref().is_some_and(|operation| operation.kind.changes_version())
    }

    /// The same run by another instance, of which nothing is known yet but that it has the data.
    #[must_use]
    pub fn run_by(&self, instance: InstanceId, version: &str, image: Option<Image>) -> Self {
        let mut after = self.clone();
        (after.instance, after.wish.version) = (instance, version.to_owned());
        after.evidence = Evidence { initialised: true, ..Evidence::default() };
        after.evidence.note_served(image);
        after
    }

    /// One that was just accepted, and waits to be provisioned.
    pub fn accepted(
        id: ServiceId,
        (project, name): (ProjectId, ServiceName),
        wish: Wish,
        address: Address,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            project,
            name,
            wish,
            address,
            instance: InstanceId::first_of(id),
            node: NodeName::default(),
            generation: 1,
            revision: 1,
            state: ServiceState::Pending,
            operation: Some(Operation::queued(OperationKind::Provision, now)),
            error: None,
            evidence: Evidence::default(),
            lifetime: Lifetime::default(),
            backup_plan: BackupPlan::default(),
            understood: true,
            trace: None,
            created_at: now,
            updated_at: now,
        }
    }
}
