//! What a verdict does to a service: which state, operation and error it has then, and when it is looked at again.

use jiff::Timestamp;

use super::limits::{SILENCE, time_limit, timed_out};
use super::{Attempts, Failing, Failure, LIMIT, Plan, SOON, Verdict, Wait, Why, crash};
use crate::catalog::definition;
use crate::domain::observed::{Health, Observed};
use crate::domain::service::{
    Evidence, Operation, OperationKind, OperationPhase, Power, Service, ServiceError, ServiceState,
};
use crate::domain::storage::Closed;
use crate::domain::task::Task;
use crate::reconciler::steps::Step;

pub(super) struct Outcome<'a> {
    service: &'a Service,
    tasks: &'a [Task],
    /// The operation under way, where it is a task's; then `service` has none.
    of_task: Option<Operation>,
    attempts: &'a Attempts,
    now: Timestamp,
    after: Service,
}

impl<'a> Outcome<'a> {
    pub(super) fn new(
        service: &'a Service,
        tasks: &'a [Task],
        of_task: Option<Operation>,
        attempts: &'a Attempts,
        now: Timestamp,
    ) -> Self {
        Self { service, tasks, of_task, attempts, now, after: service.clone() }
    }

    /// What is proved by now.
    pub(super) fn evidence(&self) -> Evidence {
        self.after.evidence.clone()
    }

    pub(super) fn unseen(mut self, failure: &Failure) -> Plan {
        let again = self.pause().or(Some(self.now + SOON));
        let silent = self.attempts.unseen_since.is_some_and(|since| self.now.duration_since(since) >= SILENCE);
        match self.service.state {
            ServiceState::Pending | ServiceState::Destroying => self.set_error(failure),
            ServiceState::Stopped if self.service.operation.is_some() => self.set_error(failure),
            ServiceState::Running | ServiceState::Provisioning if silent => {
                self.after.state = ServiceState::Error;
                // What has begun is taken up anew when the engine is back; what has not goes on waiting.
                self.after.operation = self.after.operation.filter(|o| o.phase == OperationPhase::Queued);
                self.set_error(failure);
            }
            _ => self.after.operation = self.after.operation.or(self.of_task.take()),
        }
        Plan { after: self.after, step: None, reason: "the engine does not tell", again }
    }

    pub(super) fn engine_answers(&mut self, seen: &Observed) {
        if self.attempts.answered.is_some() {
            self.after.evidence.ready_run.clone_from(&self.attempts.answered);
            self.after.evidence.excused_checks = seen.container.as_ref().map_or(0, |container| container.failed_checks);
        }
        let unavailable = |error: &ServiceError| error.code.is_silence();
        if self.service.state != ServiceState::Error && self.service.error.as_ref().is_some_and(unavailable) {
            self.after.error = None;
        }
    }

    /// What its container was made for and where it is published, as the engine tells.
    pub(super) fn note_container(&mut self, seen: &Observed) {
        if let Some(container) = &seen.container {
            self.after.evidence.made_for = container.tier;
        }
        self.after.evidence.published = seen.container.as_ref().and_then(|container| {
            let offer = definition(self.service.wish.kind).offer.as_ref()?;
            let inside: Vec<_> = offer.endpoints.iter().map(|endpoint| endpoint.port).collect();
            container.published(&inside, self.service.address.published)
        });
    }

    pub(super) fn begin_destroying(&mut self) {
        self.after.state = ServiceState::Destroying;
        if let Some(failure) = &self.attempts.last {
            self.set_error(failure);
        }
    }

    pub(super) fn note_end(&mut self, seen: &Observed) -> bool {
        let evidence = &mut self.after.evidence;
        seen.container.as_ref().is_some_and(|container| crash::note_end(self.service, container, evidence, self.now))
    }

    /// It is where its user sent it; where it runs, `beside` is shown with that.
    pub(super) fn arrive(&mut self, seen: &Observed, beside: Option<Failure>) {
        let run = seen.container.as_ref().and_then(|container| container.run.clone());
        self.after.state = match self.service.wish.power {
            Power::Deleted => ServiceState::Destroyed,
            Power::Off => {
                self.after.evidence.ended_run = run;
                ServiceState::Stopped
            }
            Power::On => {
                self.after.evidence.initialised = true;
                self.after.evidence.ready_run = run;
                let image = seen.container.as_ref().map(|container| container.image.clone());
                self.after.evidence.note_served(image);
                if seen.container.as_ref().is_some_and(|container| container.health == Health::Healthy) {
                    self.after.evidence.excused_checks = 0;
                }
                ServiceState::Running
            }
        };
        self.after.operation = None;
        self.after.error = None;
        if let Some(failure) = beside.filter(|_| self.after.state == ServiceState::Running) {
            self.set_error(&failure);
        }
    }

    /// Takes a verdict on the way to where its user sent it.
    pub(super) fn take(mut self, verdict: Verdict) -> Plan {
        match verdict {
            Verdict::Pass => self.settled("it is where its user sent it"),
            Verdict::Do(step, why) => {
                if step.traits().gives_up
                    && let Some(failure) = self.given_up()
                {
                    return self.give_up(&failure);
                }
                if let Some(until) = self.pause() {
                    return self.rest(why, Some(until));
                }
                if step == Step::CreateContainer {
                    self.forget_container();
                }
                self.begin(&step);
                Plan { after: self.after, step: Some(step), reason: why, again: None }
            }
            Verdict::Wait(Wait { until, under_way }, why) => {
                if let Some(step) = under_way {
                    if let Some(failure) = self.given_up() {
                        return self.give_up(&failure);
                    }
                    self.begin(&step);
                }
                self.rest(why, until)
            }
            Verdict::Fail(Failing { failure, until, then }, why) => {
                self.fail(&failure);
                match then {
                    None => self.rest(why, until),
                    Some(step) => self.act_beside(step, why),
                }
            }
        }
    }

    /// Takes a verdict on what is where its user sent it. It changes nothing of that.
    pub(super) fn take_beside(mut self, verdict: Verdict) -> Plan {
        match verdict {
            Verdict::Do(step, why) => {
                self.show_task(&step);
                self.show_resize(&step);
                match step {
                    Step::Tell => self.after.evidence.telling = Some(self.service.wish.tier.tier),
                    Step::ForbidWrites => {
                        let storage = &mut self.after.evidence.storage;
                        let at_mib = storage.used_mib.unwrap_or_default();
                        storage.closed = Some(Closed { run: None, at_mib });
                    }
                    _ => {}
                }
                self.act_beside(step, why)
            }
            Verdict::Wait(Wait { until, under_way }, why) => {
                under_way.iter().for_each(|step| self.show_task(step));
                self.rest(why, until)
            }
            Verdict::Pass | Verdict::Fail(..) => self.settled("it is where its user sent it"),
        }
    }

    /// What a server was told of its size stays in its volume, from where it is read also where somebody starts its next
    /// container before what belongs to that one's size was put there.
    fn forget_container(&mut self) {
        let wish = &self.after.wish;
        let is_told = definition(wish.kind).offer.as_ref().is_some_and(|offer| offer.can.live_resize.is_some());
        let evidence = &mut self.after.evidence;
        let before = evidence.size().filter(|size| *size != wish.tier.tier).or(evidence.telling);
        (evidence.told, evidence.telling) = (None, before.filter(|_| is_told));
    }

    pub(super) fn settled(self, why: Why) -> Plan {
        self.rest(why, None)
    }

    /// Shows the task that `step` is part of, if it is: as what is under way, or after some failures as what it fails of.
    fn show_task(&mut self, step: &Step) {
        let Some(task) = self.tasks.iter().find(|task| Some(task.id) == step.task()) else { return };
        if let Some(error) = task.shown_error() {
            self.after.error = Some(error.clone());
        } else {
            let begun = self.of_task.take().filter(|operation| operation.kind == task.job.operation());
            let mut operation = begun.unwrap_or_else(|| Operation::queued(task.job.operation(), self.now));
            operation.phase = step.traits().phase;
            self.after.operation = Some(operation);
        }
    }

    /// Shows a change of its size that is under way, and after some failures what it fails of.
    fn show_resize(&mut self, step: &Step) {
        if !matches!(step, Step::Adjust(_) | Step::Tell | Step::GrowStorage) {
            return;
        }
        let failed = self.attempts.last.as_ref().filter(|_| self.attempts.failures >= LIMIT);
        match (failed, &self.service.operation) {
            (Some(failure), _) => self.set_error(failure),
            (None, Some(operation)) if operation.kind == OperationKind::Resize => {
                self.after.operation = Some(Operation { phase: step.traits().phase, ..operation.clone() });
            }
            _ => {}
        }
    }

    /// What it has failed of, where time or patience has run out.
    fn given_up(&self) -> Option<Failure> {
        let operation = self.service.operation.as_ref()?;
        let late = operation.deadline.is_some_and(|deadline| deadline <= self.now);
        let refused = self.attempts.failures >= LIMIT && self.service.state != ServiceState::Error;
        (late || refused).then(|| self.attempts.last.clone().unwrap_or_else(|| timed_out(operation.phase)))
    }

    fn give_up(mut self, failure: &Failure) -> Plan {
        self.fail(failure);
        let again = self.pause().unwrap_or(self.now + SOON);
        self.rest("it was tried for long enough", Some(again))
    }

    /// Until when nothing is to be tried again.
    fn pause(&self) -> Option<Timestamp> {
        self.attempts.pause.and_then(|pause| pause.end(self.now))
    }

    fn act_beside(self, step: Step, why: Why) -> Plan {
        let again = self.pause();
        Plan { after: self.after, step: again.is_none().then_some(step), reason: why, again }
    }

    fn rest(self, why: Why, again: Option<Timestamp>) -> Plan {
        Plan { after: self.after, step: None, reason: why, again }
    }

    fn fail(&mut self, failure: &Failure) {
        self.after.state = ServiceState::Error;
        self.after.operation = None;
        self.set_error(failure);
    }

    fn set_error(&mut self, failure: &Failure) {
        // The stored message may go on with lines from the container's log.
        let known = self.service.error.as_ref().filter(|error| error.code == failure.code);
        self.after.error = Some(match known {
            Some(error) if error.message.starts_with(&failure.message) => error.clone(),
            _ => ServiceError { code: failure.code, message: failure.message.clone(), occurred_at: self.now },
        });
    }

    /// Notes that the operation under way is at `step`; without one, the task's, or what leads to where its user sent it.
    fn begin(&mut self, step: &Step) {
        let phase = step.traits().phase;
        let task = self.tasks.iter().find(|task| Some(task.id) == step.task());
        let kind = task.map_or(
            match self.service.wish.power {
                Power::On => OperationKind::Recover,
                Power::Off => OperationKind::Stop,
                Power::Deleted => OperationKind::Destroy,
            },
            |task| task.job.operation(),
        );
        let mut operation = self.after.operation.take().unwrap_or_else(|| Operation::queued(kind, self.now));
        if operation.phase != phase {
            operation.progress_percent = None;
        }
        operation.phase = phase;
        // Also where there is one: the clock may have been put back since.
        let latest = time_limit(operation.kind).map(|limit| self.now + limit);
        operation.deadline = operation.deadline.into_iter().chain(latest).min();
        let leads_to_running = !matches!(phase, OperationPhase::Stopping | OperationPhase::Removing);
        // What is repaired without being asked stays in ERROR until it runs: no flicker.
        let silent_repair = operation.kind == OperationKind::Recover && self.service.state == ServiceState::Error;
        if leads_to_running && !silent_repair {
            self.after.state = ServiceState::Provisioning;
            self.after.error = None;
        }
        self.after.operation = Some(operation);
    }
}
