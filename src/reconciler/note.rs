//! What the reconciler writes down of a service, with its event, and tells those who wait for it.

use jiff::Timestamp;

use super::Reconciler;
use crate::catalog::ending::cause;
use crate::domain::event::NewEvent;
use crate::domain::service::{ErrorCode, Service, ServiceError, ServiceState};
use crate::domain::task::Task;
use crate::store::{Guard, Passed, StoreError, Write};
use crate::telemetry::traces;

/// Lines of a container's log that an error shows.
const LOG_LINES: usize = 10;
/// The longest excerpt of a log in an error, in characters.
const LOG_LENGTH: usize = 1500;

impl Reconciler {
    /// Like [`write`](Self::write), and fails with `Deposed` also where there is nothing new to write.
    pub(super) async fn write_in_term(
        &self,
        before: Service,
        after: Service,
        passed: Vec<Passed>,
    ) -> Result<Service, StoreError> {
        if after == before && passed.is_empty() && self.store.term_current(&self.node).await?.epoch != self.epoch() {
            return Err(StoreError::Deposed);
        }
        self.write(before, after, passed).await
    }

    /// Writes down what is known now and what it was at until then, with their events, and tells those who wait for it.
    pub(super) async fn write(
        &self,
        before: Service,
        mut after: Service,
        passed: Vec<Passed>,
    ) -> Result<Service, StoreError> {
        let mut shown = before.clone();
        if let Some(last) = passed.last() {
            shown.operation = Some(last.operation.clone());
            // What nothing came of is at its last phase still.
            if after.operation == before.operation {
                after.operation.clone_from(&shown.operation);
            }
        }
        if after.evidence.initialised && !before.evidence.initialised {
            self.watched.add_first(&mut after);
        }
        if after == before {
            return Ok(before);
        }
        if after.error != before.error {
            self.add_log(&mut after).await;
            keep_known_cause(&before, &mut after);
            if after == before {
                return Ok(before);
            }
        }
        let now = (self.clock)();
        let event = NewEvent::of_change(&shown, &after, None, now);
        let guard = Guard::Term { epoch: self.epoch(), read: &before };
        // What it is at comes with what it passed.
        let is_patient = event.is_none() && !passed.is_empty();
        let (service, event) = (Some(&after), event.as_ref());
        let write = Write { service, passed: &passed, event, is_patient, ..Write::new(guard, now) };
        let written = self.store.commit(write).await?.service;
        if event.is_some() || !passed.is_empty() {
            self.hints.project_changed(&written.project);
        }
        if written.state != before.state {
            // That it has data, or has none any more, is what a recovery goes by.
            if matches!(written.state, ServiceState::Running | ServiceState::Destroyed) {
                self.hints.ask_for_snapshot();
            }
            traces::state(written.state.as_str());
            tracing::info!(service = %written.id, project = %written.project, from = %before.state,
                to = %written.state, code = written.error.as_ref().map(|error| error.code.as_str()),
                "A service changed its state");
        }
        Ok(written)
    }

    pub(super) async fn observe(
        &self,
        before: &Service,
        after: &Service,
        event: Option<&NewEvent>,
        now: Timestamp,
    ) -> Result<Service, StoreError> {
        let guard = Guard::Term { epoch: self.epoch(), read: before };
        let write = Write { service: Some(after), event, ..Write::new(guard, now) };
        Ok(self.store.commit(write).await?.service)
    }

    /// Writes down that a task is done, with its event.
    pub(super) async fn finish(&self, before: &Service, task: &Task, event: &NewEvent) -> Result<(), StoreError> {
        let now = (self.clock)();
        let mut after = before.clone();
        after.operation.take_if(|operation| operation.kind == task.job.operation());
        after.error.take_if(|error| Some(&*error) == task.error.as_ref());
        let guard = Guard::Term { epoch: self.epoch(), read: before };
        let tasks = &[task.done(now)];
        let write = Write { service: Some(&after), tasks, event: Some(event), ..Write::new(guard, now) };
        self.store.commit(write).await?;
        self.hints.project_changed(&before.project);
        Ok(())
    }

    pub(super) async fn write_task(&self, service: &Service, task: &Task) -> Result<(), StoreError> {
        let guard = Guard::Term { epoch: self.epoch(), read: service };
        let tasks = std::slice::from_ref(task);
        self.store.commit(Write { tasks, ..Write::new(guard, (self.clock)()) }).await.map(|_| ())
    }

    /// Adds the end of the container's log to an error that it may explain. Where it tells the cause, that is the error.
    async fn add_log(&self, service: &mut Service) {
        let Some(error) = &mut service.error else { return };
        if !matches!(error.code, ErrorCode::CrashLoop | ErrorCode::StartTimeout | ErrorCode::OutOfMemory) {
            return;
        }
        let Ok(lines) = self.engine.logs(service.instance, LOG_LINES).await else { return };
        // What goes on may have got over what its log tells.
        if error.code == ErrorCode::CrashLoop
            && let Some((code, message)) = cause(&lines.join("\n"))
        {
            (error.code, error.message) = (code, message.to_owned());
        }
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
}

/// The rules know nothing of a cause that the log told: they tell a crash loop again at each look, with newer lines of the
/// log. It is the same error for as long as the cause is the same.
fn keep_known_cause(before: &Service, after: &mut Service) {
    let (Some(known), Some(error)) = (&before.error, &mut after.error) else { return };
    let sentence = |error: &ServiceError| error.message.lines().next().map(str::to_owned);
    if error.code == ErrorCode::NoSpace && known.code == error.code && sentence(known) == sentence(error) {
        error.clone_from(known);
    }
}
