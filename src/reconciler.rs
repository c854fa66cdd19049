//! Brings every service to where its user sent it. Level-triggered: it gets no word of what changed, it looks. Hints cut
//! latency, the periodic tick gives correctness, and one path serves the happy case, the retry and the recovery after a
//! crash.
//!
//! A look: load the row, inspect the engine, [`plan()`], note what is about to be tried, try at most one action, look again
//! until the plan is empty. A start, and the wait for it, begin while the note is being written. It never answers a
//! request and never decides who may do what.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::crypto::Sealer;
use crate::domain::event::NewEvent;
use crate::domain::id::ServiceId;
use crate::domain::service::{ErrorCode, Service, ServiceState};
use crate::domain::term::{ReplicaId, Term};
use crate::engine::Engine;
use crate::events::Hints;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics;
use crate::telemetry::traces::{self, Span, Step};

mod execute;
mod leader;
mod orphans;
pub mod plan;
mod queue;

use execute::{Done, failure, image};
use plan::{Action, Attempts, Failure, Look, Plan, plan};
use queue::Queue;

/// Steps in one look before it makes room for others; a provisioning takes seven.
const STEPS: u32 = 32;
/// How often the engine is asked whether it is there, and how long it may take to answer. One that hangs, or is behind a
/// broken line, does not end its event stream.
const ALIVE: Duration = Duration::from_secs(5);
/// Lines of a container's log that an error shows.
const LOG_LINES: usize = 10;
/// The longest excerpt of a log in an error, in characters.
const LOG_LENGTH: usize = 1500;

/// How the reconciler works.
#[derive(Debug, Clone)]
pub struct ReconcilerSettings {
    /// How many services are worked on at once.
    pub concurrency: usize,
    /// How often every service is looked at, whatever the engine's events say.
    pub interval: Duration,
    /// How old a thing that nobody wants must be before it is removed.
    pub orphan_grace: SignedDuration,
}

pub struct Reconciler {
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    sealer: Arc<Sealer>,
    hints: Arc<Hints>,
    settings: ReconcilerSettings,
    clock: fn() -> Timestamp,
    /// Of the term that this process reconciles in, or last did. Writes of another term are refused by the store.
    epoch: AtomicI64,
}

/// What is kept of a service between looks. Losing it costs a pause, never correctness.
pub struct Memory {
    generation: i64,
    attempts: Attempts,
    pauses: ExponentialBackoff,
}

impl Memory {
    fn new(generation: i64) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(Duration::from_secs(300))
            .with_jitter()
            .without_max_times()
            .build();
        Self { generation, attempts: Attempts::default(), pauses }
    }

    fn note_failure(&mut self, failure: Failure, now: Timestamp) {
        let pause = self.pauses.next().unwrap_or(Duration::from_secs(300));
        self.attempts.failures = self.attempts.failures.saturating_add(1);
        self.attempts.last = Some(failure);
        self.attempts.not_before = SignedDuration::try_from(pause).ok().map(|pause| now + pause);
    }

    /// An engine that is away is asked again soon: it is not the service's fault, and the answer is waited for.
    fn note_unseen(&mut self, now: Timestamp) {
        self.attempts.unseen_since.get_or_insert(now);
        self.attempts.not_before = None;
    }
}

/// What a look came to.
pub struct Looked {
    /// Kept only where there is something to remember.
    pub memory: Option<Memory>,
    /// When to look again even if nobody asks for it.
    pub again: Option<Duration>,
}

/// What follows a step.
enum Next {
    LookAgain,
    /// Nothing is to be done before this time, if there is one, or before somebody asks.
    Rest(Option<Timestamp>),
}

impl Reconciler {
    pub fn new(
        store: Arc<dyn Store>,
        engine: Arc<dyn Engine>,
        sealer: Arc<Sealer>,
        hints: Arc<Hints>,
        settings: ReconcilerSettings,
    ) -> Self {
        Self { store, engine, sealer, hints, settings, clock: now, epoch: AtomicI64::new(0) }
    }

    /// The same with another clock, for tests that step through time.
    pub fn with_clock(self, clock: fn() -> Timestamp) -> Self {
        Self { clock, ..self }
    }

    /// Reconciles until `shutdown`, whenever it is this process's turn; ends before that when another server has taken over a
    /// store that can't be shared.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let replica = ReplicaId(Uuid::now_v7());
        leader::lead(self.store.as_ref(), replica, &shutdown, |term, deposed| {
            Arc::clone(&self).reconcile(term, deposed)
        })
        .await;
    }

    /// Reconciles until `deposed`. Actions that are under way then are broken off; the next term takes them up. Panics
    /// when any part of it does, for the others without it would leave services to what was true before.
    async fn reconcile(self: Arc<Self>, term: Term, deposed: CancellationToken) {
        self.epoch.store(term.epoch, Ordering::Relaxed);
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&self).follow_engine());
        tasks.spawn(Arc::clone(&self).tick());
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

    /// Wakes services that something happens to. After each connection everything is looked at, for what happened
    /// before it is not in the stream.
    async fn follow_engine(self: Arc<Self>) {
        loop {
            match self.engine.watch().await {
                Ok(mut services) => {
                    tracing::info!("Following the engine's events");
                    self.wake_all().await;
                    let mut silence = std::pin::pin!(self.engine_silent());
                    loop {
                        tokio::select! {
                            service = services.next() => match service {
                                Some(service) => self.hints.wake(service),
                                None => break,
                            },
                            () = &mut silence => break,
                        }
                    }
                    tracing::warn!("The engine's event stream ended, or the engine does not answer");
                    self.wake_all().await;
                }
                Err(error) => tracing::debug!(error = ?error, "The engine's events can't be followed"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
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

    async fn tick(self: Arc<Self>) {
        let mut interval = tokio::time::interval(self.settings.interval);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.wake_all().await;
            if let Err(error) = self.sweep(self.settings.orphan_grace, (self.clock)()).await {
                tracing::debug!(error = ?error, "The sweep for orphans was broken off");
            }
        }
    }

    async fn wake_all(&self) {
        match self.store.service_list_active().await {
            Ok(services) => services.into_iter().for_each(|service| self.hints.wake(service)),
            Err(error) => tracing::warn!(error = ?error, "The services could not be listed; the next tick tries again"),
        }
    }

    async fn dispatch(self: Arc<Self>) {
        let mut queue = Queue::new(self.settings.concurrency);
        let mut memories: HashMap<ServiceId, Memory> = HashMap::new();
        let mut looks = JoinSet::new();
        let mut looked_at = HashMap::new();
        loop {
            while let Some((service, interrupt)) = queue.pop() {
                let (reconciler, memory) = (Arc::clone(&self), memories.remove(&service));
                let task = looks.spawn(async move { reconciler.look(service, memory, &interrupt).await });
                looked_at.insert(task.id(), service);
            }
            metrics::queue_length(queue.waiting());
            tokio::select! {
                services = self.hints.woken() => services.into_iter().for_each(|service| queue.push(service)),
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

    /// Looks at one service until there is nothing to do for now. May be dropped at any point; the next look takes up
    /// what was under way.
    pub async fn look(&self, id: ServiceId, memory: Option<Memory>, interrupt: &Notify) -> Looked {
        let mut memory = memory;
        for _ in 0..STEPS {
            let service = match self.store.service_get(id).await {
                Ok(Some(service)) if service.state != ServiceState::Destroyed => service,
                Ok(_) => return Looked { memory: None, again: None },
                Err(error) => return self.store_failed(id, memory, &error),
            };
            let known = memory.take().filter(|memory| memory.generation == service.generation);
            let mut known = known.unwrap_or_else(|| Memory::new(service.generation));
            match self.step(service, &mut known, interrupt).await {
                Ok(Next::Rest(again)) => {
                    let nothing_to_remember = known.attempts == Attempts::default();
                    let again = again.map(|at| at.duration_since((self.clock)()).try_into().unwrap_or_default());
                    return Looked { memory: (!nothing_to_remember).then_some(known), again };
                }
                Ok(Next::LookAgain) | Err(StoreError::Stale) => memory = Some(known),
                Err(error) => return self.store_failed(id, Some(known), &error),
            }
        }
        Looked { memory, again: Some(Duration::from_millis(100)) }
    }

    /// One look and at most one action.
    async fn step(&self, service: Service, memory: &mut Memory, interrupt: &Notify) -> Result<Next, StoreError> {
        let asked_at = (self.clock)();
        let look = match self.engine.inspect(service.id, &image(&service)).await {
            Ok(observed) => {
                memory.attempts.unseen_since = None;
                Look::Seen(observed)
            }
            Err(error) => {
                tracing::debug!(service = %service.id, error = ?error, "The engine does not tell of a service");
                memory.note_unseen(asked_at);
                Look::Unseen(failure(&error))
            }
        };
        let mut plan = plan(&service, &look, &memory.attempts, (self.clock)());
        tracing::debug!(service = %service.id, action = ?plan.action, reason = plan.reason, "Looked at a service");
        let span = traced(&service, &mut plan, asked_at);
        let log_span = span.log_span();
        let next = span.around(self.take(service, plan, memory, interrupt)).instrument(log_span).await;
        next.inspect_err(|error| span.failed(&error.to_string()))
    }

    /// Writes down what a look came to, and does what it calls for.
    async fn take(
        &self,
        service: Service,
        plan: Plan,
        memory: &mut Memory,
        interrupt: &Notify,
    ) -> Result<Next, StoreError> {
        let Some(action) = plan.action else {
            self.write(service, plan.after).await?;
            (memory.attempts.answered, memory.attempts.rotated) = (None, false);
            if plan.again.is_none() {
                memory.attempts = Attempts::default();
            }
            return Ok(Next::Rest(plan.again));
        };
        let (service, done) = if action.may_precede_its_note() {
            let after = plan.after.clone();
            let (written, done) =
                tokio::join!(self.write(service, plan.after), self.execute(&after, &action, interrupt));
            (written?, done)
        } else {
            let service = self.write_in_term(service, plan.after).await?;
            let done = self.execute(&service, &action, interrupt).await;
            (service, done)
        };
        (memory.attempts.answered, memory.attempts.rotated) = (None, false);
        metrics::action(action.name(), plan.reason, done.outcome());
        traces::outcome(done.outcome());
        match done {
            Done::Tried => memory.attempts.last = None,
            Done::Ready(run) => memory.attempts = Attempts { answered: Some(run), ..Attempts::default() },
            Done::Rotated => memory.attempts = Attempts { rotated: true, ..Attempts::default() },
            Done::Failed(failure) => {
                tracing::warn!(service = %service.id, ?action, code = %failure.code, why = failure.message,
                    "An action on a service failed");
                memory.note_failure(failure, (self.clock)());
            }
            Done::StoreFailed(error) => return Err(error),
        }
        Ok(Next::LookAgain)
    }

    /// Like [`write`](Self::write), and fails with `Deposed` also where there is nothing new to write.
    async fn write_in_term(&self, before: Service, after: Service) -> Result<Service, StoreError> {
        if after == before && self.store.term_current().await?.epoch != self.epoch() {
            return Err(StoreError::Deposed);
        }
        self.write(before, after).await
    }

    /// Writes down what is known now, with its event, and tells those who wait for it.
    async fn write(&self, before: Service, mut after: Service) -> Result<Service, StoreError> {
        if after == before {
            return Ok(before);
        }
        if after.error != before.error {
            self.add_log(&mut after).await;
        }
        let now = (self.clock)();
        let event = NewEvent::of_change(&before, &after, None, now);
        let written = self.observe(&before, &after, event.as_ref(), now).await?;
        if event.is_some() {
            self.hints.project_changed(&written.project);
        }
        if written.state != before.state {
            traces::state(written.state.as_str());
            tracing::info!(service = %written.id, project = %written.project, from = %before.state,
                to = %written.state, code = written.error.as_ref().map(|error| error.code.as_str()),
                "A service changed its state");
        }
        Ok(written)
    }

    async fn observe(
        &self,
        before: &Service,
        after: &Service,
        event: Option<&NewEvent>,
        now: Timestamp,
    ) -> Result<Service, StoreError> {
        self.store.service_observe(self.epoch(), before, after, event, now).await
    }

    fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Adds the end of the container's log to an error that it may explain.
    async fn add_log(&self, service: &mut Service) {
        let Some(error) = &mut service.error else { return };
        if !matches!(error.code, ErrorCode::CrashLoop | ErrorCode::StartTimeout | ErrorCode::OutOfMemory) {
            return;
        }
        let Ok(lines) = self.engine.logs(service.id, LOG_LINES).await else { return };
        let mut excerpt = lines.join("\n");
        if let Some((start, _)) = excerpt.char_indices().rev().nth(LOG_LENGTH) {
            excerpt.drain(..start);
        }
        let id = service.id;
        match self.access(service).await {
            Ok(access) if !excerpt.is_empty() => {
                let excerpt = access.redact(&excerpt);
                if let Some(error) = &mut service.error {
                    error.message.push_str(" The last lines of its log:\n");
                    error.message.push_str(&excerpt);
                }
            }
            // Without the secrets there is no telling what to leave out.
            _ => tracing::debug!(service = %id, "No log excerpt for the error"),
        }
    }

    fn store_failed(&self, service: ServiceId, memory: Option<Memory>, error: &StoreError) -> Looked {
        tracing::warn!(%service, error = ?error, "The store failed; the service is looked at again");
        Looked { memory, again: Some(Duration::from_secs(1)) }
    }
}

/// The step that a plan is, as part of a trace; nothing where it neither does nor notes anything. What begins without
/// having been asked for is a trace of its own, in which its later steps are found.
fn traced(service: &Service, plan: &mut Plan, looked_at: Timestamp) -> Span {
    if plan.action.is_none() && plan.after == *service {
        return Span::none();
    }
    let unasked = service.operation.is_none();
    let action = plan.action.as_ref().map(Action::name);
    let span = Step { service, looked_at, action, reason: plan.reason, unasked }.begin();
    if let Some(place) = span.place()
        && plan.after.operation.is_some()
        && (unasked || service.trace.is_none())
    {
        plan.after.trace = Some(place);
    }
    span
}

/// The time, in the microseconds that both databases keep.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}
