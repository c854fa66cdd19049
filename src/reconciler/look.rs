//! One service, looked at until there is nothing to do for now.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tracing::Instrument as _;

use super::Reconciler;
use super::execute::Done;
use super::lanes::Slot;
use super::passing::{Passing, only_goes_on};
use super::rules::{Attempts, Belongings, Failure, Look, Pause, Plan, decide};
use super::steps::{Lane, Note, Step};
use crate::domain::id::ServiceId;
use crate::domain::service::{Service, ServiceState};
use crate::domain::task::Task;
use crate::store::StoreError;
use crate::telemetry::metrics;
use crate::telemetry::traces::{self, Span};

/// Steps in one look before it makes room for others; a provisioning takes seven.
const STEPS: u32 = 32;

/// What is kept of a service between looks. Losing it costs a pause, never correctness.
pub struct Memory {
    generation: i64,
    attempts: Attempts,
    passing: Passing,
}

impl Memory {
    fn new(generation: i64) -> Self {
        Self { generation, attempts: Attempts::default(), passing: Passing::default() }
    }

    fn note_failure(&mut self, failure: Failure, now: Timestamp) {
        self.attempts.failures = self.attempts.failures.saturating_add(1);
        self.attempts.last = Some(failure);
        self.attempts.pause = Some(Pause { from: now, until: now + pause_after(self.attempts.failures) });
    }

    /// An engine that is away is asked again soon: it is not the service's fault, and the answer is waited for.
    fn note_unseen(&mut self, now: Timestamp) {
        self.attempts.unseen_since.get_or_insert(now);
        self.attempts.pause = None;
    }
}

/// How long to wait after so many failures: from half a second to five minutes, with some chance in it.
pub(super) fn pause_after(failures: u32) -> SignedDuration {
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(300))
        .with_jitter()
        .without_max_times()
        .build();
    // After some more doublings it does not grow any more.
    let pause = pauses.nth(usize::try_from(failures.saturating_sub(1).min(12)).unwrap_or_default());
    pause.and_then(|pause| SignedDuration::try_from(pause).ok()).unwrap_or(SignedDuration::from_mins(5))
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
    /// Looks at one service until there is nothing to do for now. May be dropped at any point; the next look takes up
    /// what was under way.
    pub async fn look(&self, id: ServiceId, memory: Option<Memory>, interrupt: &Notify) -> Looked {
        self.look_in(self.lanes.quick().await, id, memory, interrupt).await
    }

    pub(super) async fn look_in(
        &self,
        mut slot: Slot,
        id: ServiceId,
        mut memory: Option<Memory>,
        interrupt: &Notify,
    ) -> Looked {
        for _ in 0..STEPS {
            slot.take().await;
            let service = match self.store.service_get(id).await {
                Ok(Some(service)) if !service.understood => {
                    tracing::warn!(service = %id, "What a newer version has written about a service is left alone");
                    return Looked { memory: None, again: None };
                }
                Ok(Some(service)) if service.state != ServiceState::Destroyed && service.node == self.node => service,
                Ok(_) => return Looked { memory: None, again: None },
                Err(error) => return self.store_failed(id, memory, &error),
            };
            let known = memory.take().filter(|memory| memory.generation == service.generation);
            let mut known = known.unwrap_or_else(|| Memory::new(service.generation));
            if known.passing.settle(&service) {
                self.hints.project_changed(&service.project);
            }
            match self.step(service, &mut known, &mut slot, interrupt).await {
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

    /// One look and at most one step.
    async fn step(
        &self,
        service: Service,
        memory: &mut Memory,
        slot: &mut Slot,
        interrupt: &Notify,
    ) -> Result<Next, StoreError> {
        let asked_at = (self.clock)();
        let away = self.presence.away();
        let look = match &away {
            Some(away) => {
                memory.note_unseen(away.since);
                Look::Unseen(away.failure.clone())
            }
            None => match slot.briefly(self.engine.look(service.instance, &self.image(&service))).await {
                Ok(mut observed) => {
                    memory.attempts.unseen_since = None;
                    self.probes.see(service.instance, Some(service.id), &mut observed);
                    self.watched.see(&service, &observed);
                    Look::Seen(observed)
                }
                Err(error) => {
                    tracing::debug!(service = %service.id, error = ?error, "The engine does not tell of a service");
                    memory.note_unseen(asked_at);
                    Look::Unseen(self.silence(&error))
                }
            },
        };
        let tasks = self.store.task_list_open(service.id).await?;
        let instances = self.store.instance_list(service.id).await?;
        let has = Belongings { tasks: &tasks, instances: &instances };
        let mut plan = decide(&service, has, &look, &memory.attempts, (self.clock)());
        if let Some(away) = away {
            // Once the engine is back, all that show this are looked at.
            plan.again = away.counts_at((self.clock)());
        }
        tracing::debug!(service = %service.id, step = ?plan.step, reason = plan.reason, "Looked at a service");
        let span = traced(&service, &mut plan, asked_at);
        let log_span = span.log_span();
        let next = span.around(self.take((service, &tasks), plan, memory, slot, interrupt)).instrument(log_span).await;
        next.inspect_err(|error| match error {
            StoreError::Stale => span.overtaken(),
            _ => span.failed(&error.to_string()),
        })
    }

    /// Writes down what a look came to, and does what it calls for.
    async fn take(
        &self,
        (service, tasks): (Service, &[Task]),
        plan: Plan,
        memory: &mut Memory,
        slot: &mut Slot,
        interrupt: &Notify,
    ) -> Result<Next, StoreError> {
        let Some(step) = plan.step else {
            self.write(service, plan.after, memory.passing.take()).await?;
            memory.attempts.answered = None;
            if plan.again.is_none() {
                memory.attempts = Attempts::default();
            }
            return Ok(Next::Rest(plan.again));
        };
        let traits = step.traits();
        let passing = &mut memory.passing;
        let (service, done) = match traits.note {
            Note::Alongside | Note::Checked if only_goes_on(&service, &plan.after) => {
                self.pass(service, plan.after, &step, passing, (slot, interrupt)).await?
            }
            Note::Alongside => {
                let after = plan.after.clone();
                let doing = self.execute_in(slot, &after, &step, interrupt);
                let (written, done) = tokio::join!(self.write(service, plan.after, passing.take()), doing);
                (written?, done)
            }
            Note::Before | Note::Checked => {
                let service = self.write_in_term(service, plan.after, passing.take()).await?;
                let done = self.execute_in(slot, &service, &step, interrupt).await;
                (service, done)
            }
        };
        memory.attempts.answered = None;
        metrics::action(traits.name, plan.reason, done.outcome());
        traces::outcome(done.outcome());
        let task = tasks.iter().find(|task| Some(task.id) == step.task());
        match (done, task) {
            (Done::Tried, _) => memory.attempts.last = None,
            (Done::Noted(failure), _) => {
                tracing::warn!(service = %service.id, ?step, code = %failure.code, why = failure.message,
                    "A step on a service failed");
            }
            (Done::Ready(run), _) => {
                self.probes.note_answer(service.instance, &run);
                memory.attempts = Attempts { answered: Some(run), ..Attempts::default() };
            }
            (Done::Finished(event), Some(task)) => self.finish(&service, task, &event).await?,
            (Done::Finished(_), None) => {}
            (Done::Failed(failure), task) => {
                tracing::warn!(service = %service.id, ?step, code = %failure.code, why = failure.message,
                    "A step on a service failed");
                match task {
                    Some(task) => self.note_failure(&service, task, failure).await?,
                    None => memory.note_failure(failure, (self.clock)()),
                }
            }
            (Done::StoreFailed(error), _) => return Err(error),
        }
        Ok(Next::LookAgain)
    }

    /// Writes down that a task's step failed.
    async fn note_failure(&self, service: &Service, task: &Task, failure: Failure) -> Result<(), StoreError> {
        let pause = pause_after(task.attempts.saturating_add(1));
        self.write_task(service, &task.failed(failure.code, failure.message, pause, (self.clock)())).await
    }

    /// Does a step in its lane.
    pub(super) async fn execute_in(&self, slot: &mut Slot, service: &Service, step: &Step, interrupt: &Notify) -> Done {
        let doing = self.execute(service, step, interrupt);
        match step.traits().lane {
            Lane::Quick => slot.briefly(doing).await,
            Lane::Wait | Lane::Bulk => {
                slot.give_back();
                doing.await
            }
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
    if plan.step.is_none() && plan.after == *service {
        return Span::none();
    }
    let unasked = service.operation.is_none();
    let action = plan.step.as_ref().map(|step| step.traits().name);
    let span = traces::Step { service, looked_at, action, reason: plan.reason, unasked }.begin();
    if let Some(place) = span.place()
        && plan.after.operation.is_some()
        && (unasked || service.trace.is_none())
    {
        plan.after.trace = Some(place);
    }
    span
}
