//! Brings every service to where its user sent it. Level-triggered: it gets no word of what changed, it looks. Hints cut
//! latency, the periodic tick gives correctness, and one path serves the happy case, the retry and the recovery after a
//! crash.
//!
//! A look: load the row, inspect the engine, decide by the `rules`, note what is about to be tried, try at most one of
//! the `steps`, look again until there is nothing to do. It never answers a request and never decides who may do what.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::catalog::offering::Offering;
use crate::catalog::policy::Policy;
use crate::clock::now;
use crate::crypto::Sealer;
use crate::domain::address::Publishing;
use crate::domain::id::{InstallationId, InstanceId, ServiceId};
use crate::domain::node::{Capacity, NodeName};
use crate::domain::pool::PoolTarget;
use crate::domain::storage::Reserve;
use crate::domain::term::{ReplicaId, Term};
use crate::engine::{Engine, EngineError, Happening, Instruments, Node, Survey};
use crate::hints::{Hints, Inbox};
use crate::repository::Repository;
use crate::store::Store;
use crate::telemetry::metrics;

mod backups;
mod database;
mod execute;
mod expiry;
mod image;
mod lanes;
mod leader;
mod log;
mod login;
mod look;
mod node;
mod note;
mod orphans;
mod passing;
mod pool;
mod presence;
mod probes;
mod queue;
mod replace;
mod resize;
mod restore;
mod retention;
mod roster;
mod rules;
mod spare;
mod steps;
mod storage;
mod things;
mod tick;
mod upgrade;
mod usage;

pub use database::OwnBackups;
use lanes::Lanes;
pub use look::{Looked, Memory};
use presence::Presence;
use probes::Probes;
use queue::Queue;
pub use retention::EventRetention;
use roster::Roster;
use storage::Watched;
pub use tick::Besides;

/// How often the engine is asked whether it is there, and how long it may take to answer. One that hangs, or is behind a
/// broken line, does not end its event stream.
const ALIVE: Duration = Duration::from_secs(5);

/// Where backups go, and from where.
#[derive(Debug, Clone)]
pub struct BackupSettings {
    pub repository: Repository,
    pub installation: InstallationId,
    pub own: OwnBackups,
    /// How many days back any moment can be brought back, where a service's log is kept.
    pub recovery_days: u32,
}

/// How a reconciler works.
#[derive(Debug, Clone)]
pub struct ReconcilerSettings {
    /// How many looks and quick calls to the engine are made at once.
    pub concurrency: usize,
    /// How often every service is looked at, whatever the engine's events say.
    pub interval: Duration,
    /// How old a thing that nobody wants must be before it is removed.
    pub orphan_grace: SignedDuration,
    /// How long what a service was before an upgrade is kept.
    pub keep_replaced: SignedDuration,
    /// Where a service may go whose port turns out to be somebody else's.
    pub publishing: Option<Publishing>,
    pub retention: EventRetention,
    /// What services leave of the engine's disk.
    pub host_reserve: Reserve,
    /// Whether `make images` is at hand for what can't be pulled, as where the server is developed.
    pub builds_images: bool,
    /// What the users of services may be.
    pub policy: Policy,
    /// Where their images come from.
    pub offering: Offering,
    /// What the operator says that its node may be promised in all.
    pub capacity: Capacity,
    /// Whether there are other nodes.
    pub has_neighbours: bool,
    /// Whether it sees to what belongs to no node as well: what is kept of events, and the server's own database.
    pub keeps_house: bool,
    /// What is to be ready before anybody asks for it.
    pub pool: Vec<PoolTarget>,
    pub backups: BackupSettings,
}

pub struct Reconciler {
    store: Arc<dyn Store>,
    /// The one that it reconciles.
    node: NodeName,
    engine: Arc<dyn Engine>,
    instruments: Arc<dyn Instruments>,
    sealer: Arc<Sealer>,
    hints: Arc<Hints>,
    inbox: Arc<Inbox>,
    settings: ReconcilerSettings,
    lanes: Lanes,
    watched: Watched,
    probes: Probes,
    roster: Roster,
    presence: Presence,
    /// What is seen of the node is written down in the order in which it is seen.
    noting: Mutex<()>,
    /// Asks for a survey ahead of the tick.
    doubts: Notify,
    clock: fn() -> Timestamp,
    /// Of the term that this process reconciles in, or last did. Writes of another term are refused by the store.
    epoch: AtomicI64,
}

impl Reconciler {
    pub fn new(
        store: Arc<dyn Store>,
        node: Node,
        sealer: Arc<Sealer>,
        hints: Arc<Hints>,
        settings: ReconcilerSettings,
    ) -> Self {
        let Node { name: node, engine, instruments, .. } = node;
        Self {
            store,
            node,
            engine,
            instruments,
            sealer,
            inbox: hints.inbox(),
            hints,
            lanes: Lanes::new(settings.concurrency),
            settings,
            watched: Watched::default(),
            probes: Probes::default(),
            roster: Roster::default(),
            presence: Presence::default(),
            noting: Mutex::new(()),
            doubts: Notify::new(),
            clock: now,
            epoch: AtomicI64::new(0),
        }
    }

    /// The same with another clock, for tests that step through time.
    pub fn with_clock(self, clock: fn() -> Timestamp) -> Self {
        Self { clock, ..self }
    }

    /// What it is told from outside, and by itself.
    pub fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Reconciles until `shutdown`, whenever it is this process's turn; ends before that when another server has taken over a
    /// store that can't be shared.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let replica = ReplicaId(Uuid::now_v7());
        leader::lead(self.store.as_ref(), (&self.node, replica), &shutdown, |term, deposed| {
            Arc::clone(&self).reconcile(term, deposed)
        })
        .await;
    }

    /// Reconciles until `deposed`. Actions that are under way then are broken off; the next term takes them up. Panics
    /// when any part of it does, for the others without it would leave services to what was true before.
    async fn reconcile(self: Arc<Self>, term: Term, deposed: CancellationToken) {
        self.epoch.store(term.epoch, Ordering::Relaxed);
        let mut tasks = JoinSet::new();
        let (surveys, surveyed) = mpsc::channel(1);
        tasks.spawn(Arc::clone(&self).follow_engine());
        tasks.spawn(Arc::clone(&self).tick(surveys));
        tasks.spawn(Arc::clone(&self).sweep_for_orphans(surveyed));
        tasks.spawn(Arc::clone(&self).watch_expiry());
        tasks.spawn(Arc::clone(&self).record_usage());
        tasks.spawn(Arc::clone(&self).watch_storage());
        tasks.spawn(Arc::clone(&self).ask_servers());
        tasks.spawn(Arc::clone(&self).check_logins());
        tasks.spawn(Arc::clone(&self).see_to_backups());
        tasks.spawn(Arc::clone(&self).trim_kept_logs());
        if self.settings.keeps_house {
            tasks.spawn(Arc::clone(&self).trim_logs());
            tasks.spawn(Arc::clone(&self).keep_database());
        }
        tasks.spawn(Arc::clone(&self).keep_pool());
        tasks.spawn(self.dispatch());
        tokio::select! {
            () = deposed.cancelled() => tasks.shutdown().await,
            Some(Err(error)) = tasks.join_next() => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }

    /// Wakes services that something happens to. After each connection all that run are looked at, and what a survey shows to
    /// be otherwise, for what happened before it is not in the stream. It asks for all whether an engine that was lost is back.
    async fn follow_engine(self: Arc<Self>) {
        // What an earlier term knew may not be so any more.
        self.presence.found();
        loop {
            let asked_at = (self.clock)();
            match self.engine.watch().await {
                Ok(mut happenings) => {
                    tracing::info!("Following the engine's events");
                    self.presence.found();
                    self.wake_differing(Besides::Running).await;
                    self.note_node().await;
                    let mut silence = std::pin::pin!(self.engine_silent());
                    loop {
                        tokio::select! {
                            happening = happenings.next() => match happening {
                                Some(Happening::To(instance)) => self.wake_owner(instance).await,
                                Some(Happening::ToSome) => self.doubts.notify_one(),
                                None => break,
                            },
                            () = &mut silence => break,
                        }
                    }
                    tracing::warn!("The engine's event stream ended, or the engine does not answer");
                }
                Err(error) => {
                    tracing::debug!(error = ?error, "The engine's events can't be followed");
                    // One that refuses is there.
                    let is_lost = !matches!(error, EngineError::Refused { .. });
                    if is_lost && self.presence.lost(asked_at, self.silence(&error)) {
                        tracing::warn!(node = %self.node, "The engine does not answer");
                        self.wake_minding().await;
                        self.note_node().await;
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Wakes the service that `instance` runs; where the store does not tell which, a survey has to.
    async fn wake_owner(&self, instance: InstanceId) {
        match self.store.service_of(instance).await {
            Ok(Some(service)) if service.node == self.node => self.inbox.wake(service.id),
            // It was there before it was brought to another node.
            Ok(Some(service)) => self.hints.wake(service.id),
            Ok(None) => {}
            Err(_) => self.doubts.notify_one(),
        }
    }

    /// Returns once the engine does not answer any more.
    async fn engine_silent(&self) {
        loop {
            tokio::time::sleep(ALIVE).await;
            if !matches!(tokio::time::timeout(ALIVE, self.engine.ping()).await, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// Apart from the tick, which must not wait for removals.
    async fn sweep_for_orphans(self: Arc<Self>, mut surveyed: mpsc::Receiver<Survey>) {
        while let Some(survey) = surveyed.recv().await {
            if let Err(error) = self.sweep(&survey.owned, self.settings.orphan_grace, (self.clock)()).await {
                tracing::debug!(error = ?error, "The sweep for orphans was broken off");
            }
        }
        // The tick never ends before the term does.
        std::future::pending().await
    }

    fn interval(&self) -> tokio::time::Interval {
        let mut interval = tokio::time::interval(self.settings.interval);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    }

    async fn dispatch(self: Arc<Self>) {
        let mut queue = Queue::new();
        let mut memories: HashMap<ServiceId, Memory> = HashMap::new();
        let mut looks = JoinSet::new();
        let mut looked_at = HashMap::new();
        loop {
            metrics::queue_length(queue.waiting());
            self.lanes.note_looks(queue.waiting() + looks.len());
            tokio::select! {
                slot = self.lanes.quick(), if queue.waiting() > 0 => {
                    let Some((service, interrupt)) = queue.pop() else { continue };
                    let (reconciler, memory) = (Arc::clone(&self), memories.remove(&service));
                    let task = looks.spawn(async move { reconciler.look_in(slot, service, memory, &interrupt).await });
                    looked_at.insert(task.id(), service);
                }
                services = self.inbox.woken() => services.into_iter().for_each(|service| queue.push(service)),
                () = queue.timer() => {}
                Some(ended) = looks.join_next_with_id() => {
                    let (id, looked) = match ended {
                        Ok((id, looked)) => (id, looked),
                        Err(error) => {
                            tracing::error!(%error, "A look at a service panicked");
                            (error.id(), Looked { memory: None, again: Some(Duration::from_secs(5)) })
                        }
                    };
                    if let Some(service) = looked_at.remove(&id) {
                        memories.extend(looked.memory.map(|memory| (service, memory)));
                        queue.done(service, looked.again);
                    }
                }
            }
        }
    }

    fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Relaxed)
    }
}
