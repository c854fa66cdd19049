//! What survives: services, their sealed credentials and the event log, on SQLite or PostgreSQL.
//!
//! Each method is one transaction: it happened entirely or not at all. The store decides nothing about a service's life
//! and knows no engine. Rows never leave it.

mod copied;
mod fault;
mod first;
mod incoming;
mod inventory;
mod kept;
mod listen;
mod postgres;
mod rows;
mod schema;
mod sqlite;
mod trouble;
mod types;
mod url;
mod write;

use std::path::Path;
use std::sync::Arc;

use crate::crypto::Sealed;
use crate::domain::backup::Backup;
use crate::domain::event::{NewEvent, ServiceEvent};
use crate::domain::id::{BackupId, IdempotencyKey, InstallationId, InstanceId, ProjectId, ServiceId};
use crate::domain::instance::Instance;
use crate::domain::live::UsageRecord;
use crate::domain::log::LogSection;
use crate::domain::name::ServiceName;
use crate::domain::node::{Capacity, NodeName, NodeRecord, Promised};
use crate::domain::pool::PoolMember;
use crate::domain::service::{Service, ServiceKind, ServiceState};
use crate::domain::task::Task;
use crate::domain::term::{ReplicaId, Term};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use jiff::Timestamp;

pub use crate::domain::event::LogSpan;
pub use crate::domain::page::{BackupsOf, Page, ServiceFilter, Slice};

pub use copied::{Copied, CopiedBefore};
pub use incoming::Incoming;
pub use trouble::Trouble;
pub use url::{InvalidStoreUrl, StoreUrl};
pub use write::{Committed, Guard, Passed, Reseal, Write};

/// Opens the store and brings its tables up to date; replicas and processes may do so at the same time. `ca_file` holds
/// the authorities (PEM) that may have signed the certificate of a PostgreSQL server, in place of the system's.
///
/// Fails with `Unavailable` when the database can't be reached, with `NotOurs` when it is no installation or not a whole one,
/// and with `Failed` when it refuses or the CA file is bad.
pub async fn connect(url: &StoreUrl, ca_file: Option<&Path>) -> Result<Arc<dyn Store>> {
    match url.target() {
        url::Target::Sqlite(path) => Ok(Arc::new(sqlite::Backend::connect(path).await?)),
        url::Target::Postgres(config) => {
            Ok(Arc::new(postgres::Backend::connect(config, ca_file, url.to_string()).await?))
        }
    }
}

/// Copies a SQLite database that is there and whose tables [`connect`] would bring up to date; None for any other.
///
/// # Errors
/// `Failed` where it is to be copied and can't be.
pub async fn copy_before_migration(url: &StoreUrl) -> Result<Option<CopiedBefore>> {
    let url::Target::Sqlite(path) = url.target() else { return Ok(None) };
    let path = std::path::absolute(path).map_err(|error| StoreError::Unavailable(error.into()))?;
    let copied = tokio::task::spawn_blocking(move || sqlite::copy_before(&path));
    copied.await.map_err(|error| StoreError::Failed(error.into()))?
}

/// Why a store call did not do what it should. Unless said otherwise, nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row is another one than the caller read: read again and decide again.
    #[error("the service was changed in the meantime")]
    Stale,
    /// The service is in this state, in which the change must not happen.
    #[error("the service is {0}")]
    InvalidState(ServiceState),
    /// A newer version of the server has written something about the service that this one does not know.
    #[error("a newer version has written what this one does not know")]
    NotUnderstood,
    /// The reconciler's term is over: another replica reconciles.
    #[error("the reconciler's term is over")]
    Deposed,
    #[error("another service of the project has this name")]
    NameTaken,
    #[error("another service is published on this port")]
    PortTaken,
    /// Somebody else has taken the instance of the pool, or it is not to be taken any more.
    #[error("the instance of the pool is taken")]
    Taken,
    /// The project has as many services as it may have.
    #[error("the project's quota of services is used up")]
    QuotaReached,
    /// The node has too little of that, a word such as "memory".
    #[error("the node has too little {0}")]
    NoRoom(&'static str),
    /// The idempotency key was used; whoever used it has committed.
    #[error("the idempotency key was used before")]
    KeyUsed,
    /// Some of the events that were asked for are not kept any more.
    #[error("the log does not reach back so far")]
    Expired,
    /// The database can't be reached or refuses for now; a commit may have happened.
    #[error("the database is unavailable")]
    Unavailable(#[source] BoxError),
    /// The database takes no changes until its operator has acted. Where it was found after the write, that is lost.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// What is there is no installation, or not a whole one. Says what to do about it.
    #[error("{0}")]
    NotOurs(String),
    /// Others hold what the call needs for too long; nothing was written. Try again.
    #[error("the database waited too long for others")]
    Busy(#[source] BoxError),
    #[error("the database call failed")]
    Failed(#[source] BoxError),
}

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A service to be, with its sealed credentials and, where the client gave one, its idempotency key.
#[derive(Debug, Clone)]
pub struct NewService {
    pub service: Service,
    pub sealed: Sealed,
    /// What is to be done about it from the beginning.
    pub tasks: Vec<Task>,
    /// The instance of the pool that it takes, which is the one that runs it.
    pub member: Option<InstanceId>,
    pub idempotency: Option<Idempotency>,
    /// How many services that are not DESTROYED the project may have, this one included.
    pub quota: u32,
    /// What its node may be promised in all.
    pub room: Option<Capacity>,
}

/// An idempotency key and a digest of the attributes it was used with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    pub key: IdempotencyKey,
    pub fingerprint: String,
}

/// Which events of a project are kept: those that meet both.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// So many, the newest.
    pub newest: u32,
    /// None from before.
    pub since: Timestamp,
}

/// Which replica reconciles which node; see [`Store`] for what holds of all calls.
#[async_trait]
pub trait Terms: Send + Sync {
    /// Who reconciles a node now.
    async fn term_current(&self, node: &NodeName) -> Result<Term>;

    /// Begins a term of `holder` if the row still is `seen`; None when it is another one by now.
    async fn term_take(&self, seen: &Term, holder: ReplicaId) -> Result<Option<Term>>;

    /// A sign of life of the term's holder; None when the term is over.
    async fn term_renew(&self, term: &Term) -> Result<Option<Term>>;

    /// Ends the term, so that another may begin at once. Nothing happens if it is over already.
    async fn term_release(&self, term: &Term) -> Result<()>;

    /// Whether other replicas use the store at the same time, on the same footing.
    fn is_shared(&self) -> bool;
}

/// Where services and events are kept. All methods may be called at once from any number of tasks and processes, and a
/// call that is dropped leaves nothing locked; a write that is dropped may have happened. Each call ends within about ten
/// seconds. Times are kept to the microsecond, and what is finer is cut off; in JSON columns (operation, error, evidence)
/// they are kept as they are.
#[async_trait]
pub trait Store: Terms {
    /// How many calls have read since the store was opened, for what it tells of what a request costs.
    fn read_count(&self) -> u64;

    /// How many transactions that write were committed since the store was opened. Writes that wait at the same time may share
    /// one.
    fn commit_count(&self) -> u64;

    /// Answers when the database takes changes: something is written, and taken back, unless something was written anyway
    /// within the last seconds.
    async fn ping(&self) -> Result<()>;

    /// The id of this store's installation; made at the first call, the same ever after.
    async fn installation_id(&self) -> Result<InstallationId>;

    /// The same, but that a store without one gets `id`: that of an installation whose things there are already.
    async fn installation_claim(&self, id: InstallationId) -> Result<InstallationId>;

    /// Writes a new service with its first event. Fails with `NameTaken`, `PortTaken`, `QuotaReached`, `NoRoom` or `KeyUsed`,
    /// and with the last where others hold as well, so that a request which is repeated meanwhile learns of the first.
    async fn service_create(&self, new: &NewService, event: &NewEvent) -> Result<ServiceEvent>;

    async fn service_get(&self, id: ServiceId) -> Result<Option<Service>>;

    /// Those of the services that there are, in any order.
    async fn service_list_of(&self, ids: &[ServiceId]) -> Result<Vec<Service>>;

    /// The service that `instance` runs or ran, or that has it besides.
    async fn service_of(&self, instance: InstanceId) -> Result<Option<Service>>;

    /// The service that was created under `key`, with the fingerprint it was created with.
    async fn service_find_by_key(&self, project: &ProjectId, key: &IdempotencyKey)
    -> Result<Option<(Service, String)>>;

    /// A page of a project's services in the filter's order; the order of ids is that of creation.
    async fn service_list(
        &self,
        project: &ProjectId,
        filter: &ServiceFilter,
        page: Page<ServiceId>,
    ) -> Result<Slice<Arc<Service>>>;

    /// The same, and how much of the project's log there was at the moment of which the page tells.
    async fn service_list_at(
        &self,
        project: &ProjectId,
        filter: &ServiceFilter,
        page: Page<ServiceId>,
    ) -> Result<(Slice<Arc<Service>>, LogSpan)>;

    /// How many services a filter finds, whatever the page.
    async fn service_count(&self, project: &ProjectId, filter: &ServiceFilter) -> Result<u64>;

    /// How many services of a project that are not DESTROYED there are on each node that has any.
    async fn service_count_by_node(&self, project: &ProjectId) -> Result<Vec<(NodeName, u64)>>;

    /// How many services there are of each kind in each state, of every project.
    async fn service_tally(&self) -> Result<Vec<(ServiceKind, ServiceState, u64)>>;

    /// All services that are not DESTROYED, of every project.
    async fn service_list_active(&self) -> Result<Vec<Service>>;

    /// Of all services on a node that are not DESTROYED, of every project, the revision, which is another one after each write.
    async fn service_list_revisions(&self, node: &NodeName) -> Result<Vec<(ServiceId, i64)>>;

    /// Those of `ids` that are not DESTROYED, in any order. Up to a thousand at once.
    async fn service_list_active_of(&self, ids: &[ServiceId]) -> Result<Vec<Service>>;

    /// The services on a node that are to go on and whose expiry has come by `end`, or comes by `notice` and was not told of; the soonest
    /// first.
    async fn service_list_expiring(&self, node: &NodeName, end: Timestamp, notice: Timestamp) -> Result<Vec<Service>>;

    /// The services on a node whose backup plan has something due by `now`, of those that run or are DESTROYED; what is due longest first,
    /// at most `limit` of them.
    async fn service_list_backup_due(&self, node: &NodeName, now: Timestamp, limit: u32) -> Result<Vec<Service>>;

    /// The names of a project's services that are not DESTROYED.
    async fn service_list_names(&self, project: &ProjectId) -> Result<Vec<ServiceName>>;

    /// The nodes that were ever reconciled, in the order of their names.
    async fn node_list(&self) -> Result<Vec<NodeRecord>>;

    /// Writes what is seen of a node. Whether it is cordoned stays as it was said last.
    async fn node_note(&self, seen: &NodeRecord) -> Result<()>;

    /// Has nothing new placed on a node, or something again; false where there is none of that name.
    async fn node_cordon(&self, name: &NodeName, cordoned: bool) -> Result<bool>;

    /// What services that are not DESTROYED are promised, of each node that has any.
    async fn promised_list(&self) -> Result<Vec<(NodeName, Promised)>>;

    /// The host ports on which services that are not DESTROYED are published.
    async fn port_list(&self) -> Result<Vec<(ServiceKind, u16)>>;

    /// The instances of a node's pool, whatever has come of them, those that have had their state longest first.
    async fn pool_list(&self, node: &NodeName) -> Result<Vec<PoolMember>>;

    /// An instance of a node's pool that was made from that, is ready and was seen to be in the current term, with who may connect
    /// to it, sealed for its own id.
    async fn pool_find(&self, node: &NodeName, made_of: &str) -> Result<Option<(PoolMember, Sealed)>>;

    /// An instance of the pool, likewise with who may connect to it; None where somebody has taken it.
    async fn pool_get(&self, id: InstanceId) -> Result<Option<(PoolMember, Sealed)>>;

    /// Writes a new instance of the pool, in the term that it is seen in. Fails with `PortTaken`, and with `Deposed` in
    /// another term.
    async fn pool_add(&self, member: &PoolMember, sealed: &Sealed) -> Result<()>;

    /// Writes the state of an instance of the pool, in the term that it is seen in; false where it is not in the pool any
    /// more. Fails with `Deposed` in another term.
    async fn pool_note(&self, member: &PoolMember) -> Result<bool>;

    /// Takes an instance off a node's pool that nobody has taken. Fails with `Deposed` in another term than that of `epoch`.
    async fn pool_forget(&self, node: &NodeName, epoch: i64, id: InstanceId) -> Result<()>;

    /// Changes a service, which is there already, and what belongs to it. Fails with `Stale` when the service or its sealed
    /// credentials are not those that were read, with `NotUnderstood` where it would overwrite what a newer version has
    /// written, with `InvalidState` and `Deposed` where the guard says so, and with `Failed`
    /// when the service was DESTROYED and is to be something else.
    async fn commit(&self, write: Write<'_>) -> Result<Committed>;

    /// A service's tasks that have not ended, oldest first.
    async fn task_list_open(&self, service: ServiceId) -> Result<Vec<Task>>;

    /// The instances that a service has besides the one that runs it, those first whose role is the newest.
    async fn instance_list(&self, service: ServiceId) -> Result<Vec<Instance>>;

    /// The same of several services.
    async fn instance_list_of(&self, services: &[ServiceId]) -> Result<Vec<Instance>>;

    /// Those on a node that check a backup, of all services.
    async fn instance_list_checking(&self, node: &NodeName) -> Result<Vec<Instance>>;

    /// The sections that are kept of the logs of several services, of each in the order of time.
    async fn section_list(&self, services: &[ServiceId]) -> Result<Vec<LogSection>>;

    /// The same of every service on a node.
    async fn section_list_on(&self, node: &NodeName) -> Result<Vec<LogSection>>;

    async fn backup_get(&self, id: BackupId) -> Result<Option<Backup>>;

    /// A page of backups, the newest first.
    async fn backup_list(&self, of: &BackupsOf, page: Page<BackupId>) -> Result<Slice<Backup>>;

    /// The same page of each of several services; those without backups may be left out.
    async fn backup_list_of_services(
        &self,
        services: &[ServiceId],
        page: Page<BackupId>,
    ) -> Result<Vec<(ServiceId, Slice<Backup>)>>;

    /// All backups of several services, the newest first.
    async fn backup_list_all(&self, services: &[ServiceId]) -> Result<Vec<Backup>>;

    async fn backup_count(&self, of: &BackupsOf) -> Result<u64>;

    /// The backups about which something is to be done, the oldest first; of all services, or of those on a node.
    async fn backup_list_open(&self, node: Option<&NodeName>) -> Result<Vec<Backup>>;

    /// The sealed credentials; None once the service is DESTROYED, or if there is none of that id.
    async fn sealed_get(&self, id: ServiceId) -> Result<Option<Sealed>>;

    /// The same of several services; those without are left out.
    async fn sealed_list_of(&self, services: &[ServiceId]) -> Result<Vec<(ServiceId, Sealed)>>;

    /// Every key that credentials of services are sealed with, by id, each with up to `limit` of them, the newest first.
    async fn sealed_samples(&self, limit: u32) -> Result<Vec<(String, Vec<(ServiceId, Sealed)>)>>;

    /// Up to `limit` services whose credentials are sealed with another key than `key_id`, by id, behind `after`.
    async fn sealed_list_other(
        &self,
        key_id: &str,
        after: Option<ServiceId>,
        limit: u32,
    ) -> Result<Vec<(ServiceId, Sealed)>>;

    /// For a rotation of keys: puts `new` in the place of `old`, which opens to the same; false when `old` is not there any
    /// more. Neither revision nor event.
    async fn sealed_replace(&self, id: ServiceId, old: &Sealed, new: &Sealed) -> Result<bool>;

    /// Up to `limit` events of a project with a sequence above `after`, in order and without a gap. 0 is the beginning. Fails
    /// with `Expired` when some of them are not kept any more.
    async fn event_list_since(&self, project: &ProjectId, after: i64, limit: u32) -> Result<Vec<ServiceEvent>>;

    /// How much of a project's log there is.
    async fn event_span(&self, project: &ProjectId) -> Result<LogSpan>;

    /// The projects whose logs hold more than is to be kept.
    async fn event_list_overdue(&self, keep: Retention) -> Result<Vec<ProjectId>>;

    /// Takes up to `limit` events off the beginning of a project's log, as far as they are not to be kept, and gives back how
    /// many places it begins later now. The newest event of a service that is not DESTROYED stays in any case.
    async fn event_trim(&self, project: &ProjectId, keep: Retention, limit: u32) -> Result<u64>;

    /// A page of a project's events, in order, as far as they are kept.
    async fn event_list(&self, project: &ProjectId, page: Page<i64>) -> Result<Slice<ServiceEvent>>;

    /// A page of one service's events, in order.
    async fn event_list_of_service(&self, service: ServiceId, page: Page<i64>) -> Result<Slice<ServiceEvent>>;

    /// The same page of each of several services; those without events may be left out.
    async fn event_list_of_services(
        &self,
        services: &[ServiceId],
        page: Page<i64>,
    ) -> Result<Vec<(ServiceId, Slice<ServiceEvent>)>>;

    /// Records what services took in a minute. Of each the last day is kept, and nothing of one that is DESTROYED.
    async fn usage_record(&self, records: &[UsageRecord]) -> Result<()>;

    /// What a service took since the beginning of a minute, in the order of time.
    async fn usage_list(&self, service: ServiceId, since: Timestamp) -> Result<Vec<UsageRecord>>;

    /// Copies all that the database holds, as of one moment, into a file in `directory`, which is made where it is not there;
    /// nobody else is to make copies in it. None where the database is a server's, which has ways of its own. It takes as
    /// long as it takes; others read and write meanwhile.
    async fn copy_into(&self, directory: &Path) -> Result<Option<Copied>>;

    /// The same store for one who works for all projects, such as the reconciler: by way of connections that nobody else
    /// takes, however many wait.
    fn reserved(self: Arc<Self>) -> Arc<dyn Store>;

    /// What other replicas change, as it is committed. It never ends, and may miss something: a connection that was lost
    /// is made anew, and `Connected` then says that there may be more.
    fn notices(&self) -> BoxStream<'static, Notice>;
}

/// Word of a change that any replica made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// From now on changes are told, as far as they can be; what came before may have been missed.
    Connected,
    Changed {
        project: ProjectId,
        service: ServiceId,
    },
}
