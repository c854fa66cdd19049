//! Every query, in one text that is compiled once for each backend: `super` is sqlite.rs or postgres.rs, which say what
//! a connection is and how a transaction begins. Nothing here may depend on which of the two it is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use tokio::time::timeout;

use super::{Backend, Conn, Lease, judge};
use crate::crypto::Sealed;
use crate::domain::backup::Backup;
use crate::domain::event::{NewEvent, ServiceEvent};
use crate::domain::id::{BackupId, IdempotencyKey, InstallationId, InstanceId, ProjectId, ServiceId};
use crate::domain::instance::Instance;
use crate::domain::live::UsageRecord;
use crate::domain::log::LogSection;
use crate::domain::name::ServiceName;
use crate::domain::node::{NodeName, NodeRecord, Promised};
use crate::domain::pool::PoolMember;
use crate::domain::service::{Service, ServiceKind, ServiceState};
use crate::domain::task::Task;
use crate::domain::term::{ReplicaId, Term};
use crate::store::fault::{CALL_TIMEOUT, Fault};
use crate::store::trouble::Purpose;
use crate::store::write::OwnedWrite;
use crate::store::{
    BackupsOf, Committed, Copied, LogSpan, NewService, Notice, Page, Result, Retention, ServiceFilter, Slice, Store,
    StoreError, Terms, Write,
};
use crate::telemetry::{metrics, traces};

#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/backups.rs"]
mod backups;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/commit.rs"]
mod commit;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/installation.rs"]
mod installation;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/instances.rs"]
mod instances;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/log.rs"]
mod log;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/nodes.rs"]
mod nodes;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/pool.rs"]
mod pool;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/retention.rs"]
mod retention;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/roster.rs"]
mod roster;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/sealed.rs"]
mod sealed;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/sections.rs"]
mod sections;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/services.rs"]
mod services;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/tasks.rs"]
mod tasks;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/term.rs"]
mod term;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries/usage.rs"]
mod usage;

use backups::{backup_count, backup_get, backup_list, backup_list_all, backup_list_of_services, backup_list_open};
use commit::commit;
use installation::{installation_ensure, installation_find, probe};
use instances::{instance_list, instance_list_checking, instance_list_of};
use log::{event_list, event_list_of_service, event_list_of_services, event_list_since, event_span};
use nodes::{node_cordon, node_list, node_note, promised_list, service_count_by_node};
use pool::{pool_add, pool_find, pool_forget, pool_get, pool_list, pool_note};
use retention::{event_list_overdue, event_trim};
use roster::{service_list_active_of, service_list_revisions};
use sealed::{sealed_get, sealed_list_of, sealed_list_other, sealed_replace, sealed_samples};
use sections::{section_list, section_list_on};
use services::{
    port_list, service_count, service_create, service_find_by_key, service_get, service_list, service_list_active,
    service_list_at, service_list_backup_due, service_list_expiring, service_list_names, service_list_of, service_of,
    service_tally,
};
use tasks::task_list_open;
use term::{term_current, term_replace, term_take};
use usage::{usage_list, usage_record};

/// Runs one query on a connection of its own.
macro_rules! read {
    ($backend:ident, $query:ident($($argument:expr),*)) => {
        read!($backend, reader, $query($($argument),*))
    };
    ($backend:ident, $lane:ident, $query:ident($($argument:expr),*)) => {
        $backend.noted(within(async {
            $backend.reads.fetch_add(1, Ordering::Relaxed);
            let mut lease = $backend.$lane().await?;
            let result = $query(lease.connection(), $($argument),*).await;
            settle(lease, result).await
        })
        .await)
    };
}

/// Runs one query in a transaction of its own that sees what was there when it began and nothing later.
macro_rules! read_at_once {
    ($backend:ident, $query:ident($($argument:expr),*)) => {
        $backend.noted(within(async {
            $backend.reads.fetch_add(1, Ordering::Relaxed);
            let mut lease = $backend.reader().await?;
            let result =
                snapshot!(lease.connection(), async |connection| $query(connection, $($argument),*).await).await;
            settle(lease, result).await
        })
        .await)
    };
}

/// Runs one query in a write transaction, for a request, or to record what is the case. What it is given has to be its own, for it
/// may be run by another thread.
macro_rules! write {
    ($backend:ident, $query:ident($($argument:expr),*)) => {
        write!($backend, Purpose::Request, writer, $query($($argument),*))
    };
    ($backend:ident, $purpose:expr, $query:ident($($argument:expr),*)) => {
        write!($backend, $purpose, writer, $query($($argument),*))
    };
    ($backend:ident, $purpose:expr, $lane:ident, $query:ident($($argument:expr),*)) => {{
        let span = traces::write(stringify!($query));
        let query = async move |connection: &mut Conn| $query(connection, $($argument),*).await;
        let written = within(transaction!($backend, $purpose, $lane, query));
        let written = $backend.confirmed($purpose, span.around(written).await);
        written.inspect_err(|error| span.failed(&error.to_string()))
    }};
}

impl Backend {
    /// Remembers what a call found out about the database.
    fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(StoreError::Trouble(trouble)) = &outcome {
            self.condition().note(trouble);
        }
        outcome
    }

    /// The same of a write, which is one only if it will be found again.
    fn confirmed<T>(&self, purpose: Purpose, written: Result<T>) -> Result<T> {
        let kept = written.and_then(|value| self.confirm().map(|()| value));
        if kept.is_ok() {
            self.condition().written(purpose);
        }
        self.noted(kept)
    }
}

#[async_trait]
impl Store for Backend {
    fn read_count(&self) -> u64 {
        // Queries have a method of that name as well.
        AtomicU64::load(&self.reads, Ordering::Relaxed)
    }

    fn commit_count(&self) -> u64 {
        self.commits()
    }

    async fn ping(&self) -> Result<()> {
        match self.condition().is_proven() {
            true => self.noted(self.admit(Purpose::Request)),
            false => write!(self, probe()),
        }
    }

    async fn installation_id(&self) -> Result<InstallationId> {
        match read!(self, installation_find())? {
            Some(id) => Ok(id),
            None => write!(self, installation_ensure(InstallationId(uuid::Uuid::now_v7()))),
        }
    }

    async fn installation_claim(&self, id: InstallationId) -> Result<InstallationId> {
        write!(self, installation_ensure(id))
    }

    async fn service_create(&self, new: &NewService, event: &NewEvent) -> Result<ServiceEvent> {
        let (creation, told) = (new.clone(), event.clone());
        counted(write!(self, service_create(&creation, &told)), 1)
    }

    async fn service_get(&self, id: ServiceId) -> Result<Option<Service>> {
        read!(self, service_get(id))
    }

    async fn service_list_of(&self, ids: &[ServiceId]) -> Result<Vec<Service>> {
        read!(self, service_list_of(ids))
    }

    async fn service_of(&self, instance: InstanceId) -> Result<Option<Service>> {
        read!(self, service_of(instance))
    }

    async fn service_find_by_key(
        &self,
        project: &ProjectId,
        key: &IdempotencyKey,
    ) -> Result<Option<(Service, String)>> {
        read!(self, service_find_by_key(project, key))
    }

    async fn service_list(
        &self,
        project: &ProjectId,
        filter: &ServiceFilter,
        page: Page<ServiceId>,
    ) -> Result<Slice<Arc<Service>>> {
        read!(self, service_list(&self.kept, project, filter, page))
    }

    async fn service_list_at(
        &self,
        project: &ProjectId,
        filter: &ServiceFilter,
        page: Page<ServiceId>,
    ) -> Result<(Slice<Arc<Service>>, LogSpan)> {
        read_at_once!(self, service_list_at(&self.kept, project, filter, page))
    }

    async fn service_count(&self, project: &ProjectId, filter: &ServiceFilter) -> Result<u64> {
        read!(self, service_count(project, filter))
    }

    async fn service_count_by_node(&self, project: &ProjectId) -> Result<Vec<(NodeName, u64)>> {
        read!(self, service_count_by_node(project))
    }

    async fn service_tally(&self) -> Result<Vec<(ServiceKind, ServiceState, u64)>> {
        read!(self, service_tally())
    }

    async fn service_list_active(&self) -> Result<Vec<Service>> {
        read!(self, service_list_active())
    }

    async fn service_list_revisions(&self, node: &NodeName) -> Result<Vec<(ServiceId, i64)>> {
        read!(self, service_list_revisions(node))
    }

    async fn service_list_active_of(&self, ids: &[ServiceId]) -> Result<Vec<Service>> {
        read!(self, service_list_active_of(ids))
    }

    async fn service_list_expiring(&self, node: &NodeName, end: Timestamp, notice: Timestamp) -> Result<Vec<Service>> {
        read!(self, service_list_expiring(node, end, notice))
    }

    async fn service_list_backup_due(&self, node: &NodeName, now: Timestamp, limit: u32) -> Result<Vec<Service>> {
        read!(self, service_list_backup_due(node, now, limit))
    }

    async fn service_list_names(&self, project: &ProjectId) -> Result<Vec<ServiceName>> {
        read!(self, service_list_names(project))
    }

    async fn node_list(&self) -> Result<Vec<NodeRecord>> {
        read!(self, node_list())
    }

    async fn node_note(&self, seen: &NodeRecord) -> Result<()> {
        let seen = seen.clone();
        write!(self, Purpose::Record, node_note(&seen))
    }

    async fn node_cordon(&self, name: &NodeName, cordoned: bool) -> Result<bool> {
        let name = name.clone();
        write!(self, node_cordon(&name, cordoned))
    }

    async fn promised_list(&self) -> Result<Vec<(NodeName, Promised)>> {
        read!(self, promised_list())
    }

    async fn port_list(&self) -> Result<Vec<(ServiceKind, u16)>> {
        read!(self, port_list())
    }

    async fn pool_list(&self, node: &NodeName) -> Result<Vec<PoolMember>> {
        read!(self, pool_list(node))
    }

    async fn pool_find(&self, node: &NodeName, made_of: &str) -> Result<Option<(PoolMember, Sealed)>> {
        read!(self, pool_find(node, made_of))
    }

    async fn pool_get(&self, id: InstanceId) -> Result<Option<(PoolMember, Sealed)>> {
        read!(self, pool_get(id))
    }

    async fn pool_add(&self, member: &PoolMember, sealed: &Sealed) -> Result<()> {
        let (member, sealed) = (member.clone(), sealed.clone());
        write!(self, Purpose::Record, pool_add(&member, &sealed))
    }

    async fn pool_note(&self, member: &PoolMember) -> Result<bool> {
        let member = member.clone();
        write!(self, Purpose::Record, pool_note(&member))
    }

    async fn pool_forget(&self, node: &NodeName, epoch: i64, id: InstanceId) -> Result<()> {
        let node = node.clone();
        write!(self, Purpose::Record, pool_forget(&node, epoch, id))
    }

    async fn commit(&self, write: Write<'_>) -> Result<Committed> {
        let owned = OwnedWrite::from(write);
        counted(write!(self, write.purpose(), commit(owned.borrowed())), write.event_count())
    }

    async fn task_list_open(&self, service: ServiceId) -> Result<Vec<Task>> {
        read!(self, task_list_open(service))
    }

    async fn instance_list(&self, service: ServiceId) -> Result<Vec<Instance>> {
        read!(self, instance_list(service))
    }

    async fn instance_list_of(&self, services: &[ServiceId]) -> Result<Vec<Instance>> {
        read!(self, instance_list_of(services))
    }

    async fn section_list(&self, services: &[ServiceId]) -> Result<Vec<LogSection>> {
        read!(self, section_list(services))
    }

    async fn section_list_on(&self, node: &NodeName) -> Result<Vec<LogSection>> {
        read!(self, section_list_on(node))
    }

    async fn backup_get(&self, id: BackupId) -> Result<Option<Backup>> {
        read!(self, backup_get(id))
    }

    async fn backup_list(&self, of: &BackupsOf, page: Page<BackupId>) -> Result<Slice<Backup>> {
        read!(self, backup_list(of, page))
    }

    async fn backup_list_of_services(
        &self,
        services: &[ServiceId],
        page: Page<BackupId>,
    ) -> Result<Vec<(ServiceId, Slice<Backup>)>> {
        read!(self, backup_list_of_services(services, page))
    }

    async fn backup_list_all(&self, services: &[ServiceId]) -> Result<Vec<Backup>> {
        read!(self, backup_list_all(services))
    }

    async fn backup_count(&self, of: &BackupsOf) -> Result<u64> {
        read!(self, backup_count(of))
    }

    async fn backup_list_open(&self, node: Option<&NodeName>) -> Result<Vec<Backup>> {
        read!(self, backup_list_open(node))
    }

    async fn instance_list_checking(&self, node: &NodeName) -> Result<Vec<Instance>> {
        read!(self, instance_list_checking(node))
    }

    async fn sealed_get(&self, id: ServiceId) -> Result<Option<Sealed>> {
        read!(self, sealed_get(id))
    }

    async fn sealed_list_of(&self, services: &[ServiceId]) -> Result<Vec<(ServiceId, Sealed)>> {
        read!(self, sealed_list_of(services))
    }

    async fn sealed_samples(&self, limit: u32) -> Result<Vec<(String, Vec<(ServiceId, Sealed)>)>> {
        read!(self, sealed_samples(limit))
    }

    async fn sealed_list_other(
        &self,
        key_id: &str,
        after: Option<ServiceId>,
        limit: u32,
    ) -> Result<Vec<(ServiceId, Sealed)>> {
        read!(self, sealed_list_other(key_id, after, limit))
    }

    async fn sealed_replace(&self, id: ServiceId, old: &Sealed, new: &Sealed) -> Result<bool> {
        let (old, new) = (old.clone(), new.clone());
        write!(self, sealed_replace(id, &old, &new))
    }

    async fn event_list_since(&self, project: &ProjectId, after: i64, limit: u32) -> Result<Vec<ServiceEvent>> {
        read!(self, event_list_since(project, after, limit))
    }

    async fn event_span(&self, project: &ProjectId) -> Result<LogSpan> {
        read!(self, event_span(project))
    }

    async fn event_list_overdue(&self, keep: Retention) -> Result<Vec<ProjectId>> {
        read!(self, event_list_overdue(keep))
    }

    async fn event_trim(&self, project: &ProjectId, keep: Retention, limit: u32) -> Result<u64> {
        let project = project.clone();
        write!(self, Purpose::Record, event_trim(&project, keep, limit))
    }

    async fn event_list_of_service(&self, service: ServiceId, page: Page<i64>) -> Result<Slice<ServiceEvent>> {
        read!(self, event_list_of_service(service, page))
    }

    async fn event_list_of_services(
        &self,
        services: &[ServiceId],
        page: Page<i64>,
    ) -> Result<Vec<(ServiceId, Slice<ServiceEvent>)>> {
        read!(self, event_list_of_services(services, page))
    }

    async fn event_list(&self, project: &ProjectId, page: Page<i64>) -> Result<Slice<ServiceEvent>> {
        read!(self, event_list(project, page))
    }

    async fn usage_record(&self, records: &[UsageRecord]) -> Result<()> {
        let records = records.to_vec();
        write!(self, Purpose::Record, usage_record(&records))
    }

    async fn usage_list(&self, service: ServiceId, since: Timestamp) -> Result<Vec<UsageRecord>> {
        read!(self, usage_list(service, since))
    }

    async fn copy_into(&self, directory: &Path) -> Result<Option<Copied>> {
        self.copy(directory).await
    }

    fn reserved(self: Arc<Self>) -> Arc<dyn Store> {
        self.with_reserved()
    }

    fn notices(&self) -> BoxStream<'static, Notice> {
        self.listen()
    }
}

#[async_trait]
impl Terms for Backend {
    async fn term_current(&self, node: &NodeName) -> Result<Term> {
        read!(self, term_reader, term_current(node))
    }

    async fn term_take(&self, seen: &Term, holder: ReplicaId) -> Result<Option<Term>> {
        let seen = seen.clone();
        write!(self, Purpose::Record, term_writer, term_take(&seen, holder))
    }

    async fn term_renew(&self, term: &Term) -> Result<Option<Term>> {
        let seen = term.clone();
        let next = Term { beat: seen.beat + 1, ..seen.clone() };
        write!(self, Purpose::Record, term_writer, term_replace(&seen, next.clone()))
    }

    async fn term_release(&self, term: &Term) -> Result<()> {
        let seen = term.clone();
        let next = Term { holder: None, ..seen.clone() };
        write!(self, Purpose::Record, term_writer, term_replace(&seen, next.clone())).map(|_| ())
    }

    fn is_shared(&self) -> bool {
        super::IS_SHARED
    }
}

type Answer<T> = std::result::Result<T, Fault>;

/// Counts the events of a write that was committed.
fn counted<T>(written: Result<T>, events: i64) -> Result<T> {
    if written.is_ok() {
        (0..events).for_each(|_| metrics::event_written());
    }
    written
}

/// Gives a call up in the end, wherever it waits. Its connection goes with it.
async fn within<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(CALL_TIMEOUT, call).await.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into())))
}

async fn settle<T>(mut lease: Lease, answer: Answer<T>) -> Result<T> {
    match answer {
        Ok(value) => {
            lease.give_back();
            Ok(value)
        }
        Err(fault) => {
            let age = lease.age();
            let error = judge(fault, lease.connection(), age).await;
            if !matches!(error, StoreError::Unavailable(_) | StoreError::Trouble(_)) {
                lease.give_back();
            }
            Err(error)
        }
    }
}

/// What to ask for, to learn whether there is more than `limit`.
fn one_more(limit: u32) -> i64 {
    i64::from(limit) + 1
}

/// Makes a page of up to `limit` + 1 rows that come in the order of counting.
fn slice<R, T: From<R>>(mut rows: Vec<R>, limit: u32, from_end: bool) -> Slice<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    if from_end {
        rows.reverse();
    }
    Slice { rows: rows.into_iter().map(T::from).collect(), has_more }
}
