//! Phases that follow each other within moments: what lasts no longer shares the commit of what comes after it. Their events are
//! as they would be otherwise, and up to half a second later.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Reconciler;
use super::execute::Done;
use super::lanes::Slot;
use super::steps::{Note, Step};
use crate::domain::event::NewEvent;
use crate::domain::service::{Evidence, Operation, Service};
use crate::store::{Passed, StoreError};

/// When it is to be noted; the store may take as long to find company for that.
const LATE: Duration = Duration::from_millis(250);

/// The phases of a service that are not noted yet, oldest first. Losing them costs their events, as it does where the server
/// ends before it could note them.
#[derive(Debug, Default)]
pub(super) struct Passing {
    phases: Vec<Passed>,
    /// When the first of them began.
    since: Option<Instant>,
}

impl Passing {
    /// What `before` is shown as, once they are noted.
    fn last(&self, before: &Service) -> Service {
        let operation = self.phases.last().map(|passed| passed.operation.clone());
        Service { operation: operation.or_else(|| before.operation.clone()), ..before.clone() }
    }

    fn push(&mut self, before: &Service, after: &Service, now: Timestamp) {
        self.since.get_or_insert_with(Instant::now);
        let event = NewEvent::of_change(&self.last(before), after, None, now);
        if let Some((event, operation)) = event.zip(after.operation.clone()) {
            self.phases.push(Passed { operation, event });
        }
    }

    /// Waits until they have to be noted.
    async fn late(&self) {
        match self.since {
            Some(since) => tokio::time::sleep_until(since + LATE).await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn take(&mut self) -> Vec<Passed> {
        std::mem::take(self).phases
    }

    /// Forgets what is noted, and tells whether something is: a note that was left may have been stored all the same.
    pub(super) fn settle(&mut self, row: &Service) -> bool {
        let is_at = |passed: &Passed| row.operation.as_ref() == Some(&passed.operation);
        let Some(noted) = self.phases.iter().rposition(is_at) else { return false };
        self.phases.drain(..=noted);
        self.since.take_if(|_| self.phases.is_empty());
        true
    }
}

/// Whether a service only goes from one phase to the next, beside what any look at its container tells again.
pub(super) fn only_goes_on(before: &Service, after: &Service) -> bool {
    let Some((was, is)) = before.operation.as_ref().zip(after.operation.as_ref()) else { return false };
    let (made_for, published) = (after.evidence.made_for, after.evidence.published);
    let (phase, progress_percent) = (is.phase, is.progress_percent);
    let gone_on = Service {
        operation: Some(Operation { phase, progress_percent, ..was.clone() }),
        evidence: Evidence { made_for, published, ..before.evidence.clone() },
        ..before.clone()
    };
    gone_on == *after
}

impl Reconciler {
    /// Does a step of which `service` only goes on to `after`. It is noted once it lasts, or has failed.
    pub(super) async fn pass(
        &self,
        service: Service,
        after: Service,
        step: &Step,
        passing: &mut Passing,
        (slot, interrupt): (&mut Slot, &tokio::sync::Notify),
    ) -> Result<(Service, Done), StoreError> {
        if step.traits().note != Note::Alongside {
            self.check_in_term(&service).await?;
        }
        passing.push(&service, &after, (self.clock)());
        let shown = after.clone();
        let doing = self.execute_in(slot, &shown, step, interrupt);
        let mut doing = std::pin::pin!(doing);
        let done = tokio::select! {
            done = &mut doing => Some(done),
            () = passing.late() => None,
        };
        let has_failed = |done: &Done| matches!(done, Done::Failed(_) | Done::Noted(_));
        if let Some(done) = done {
            return match has_failed(&done) {
                true => Ok((self.write(service, after, passing.take()).await?, done)),
                false => Ok((service, done)),
            };
        }
        let phases = passing.phases.clone();
        let mut noting = std::pin::pin!(self.write(service.clone(), after, phases));
        let (written, done) = tokio::select! {
            // A step that was begun is not left for a note that is refused.
            written = &mut noting => {
                let done = doing.await;
                (written?, done)
            }
            // Nobody waits for the note of what is over.
            done = &mut doing => match has_failed(&done) {
                true => (noting.await?, done),
                false => return Ok((service, done)),
            },
        };
        passing.take();
        Ok((written, done))
    }

    /// What a write would find out before it writes.
    async fn check_in_term(&self, service: &Service) -> Result<(), StoreError> {
        let row = self.store.service_get(service.id).await?;
        if row.is_none_or(|row| row.revision != service.revision) {
            return Err(StoreError::Stale);
        }
        match self.store.term_current(&self.node).await?.epoch == self.epoch() {
            true => Ok(()),
            false => Err(StoreError::Deposed),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::domain::lifecycle::tests::service;
    use crate::domain::service::{OperationKind, OperationPhase, Power, ServiceState};

    #[test]
    fn what_was_stored_of_a_note_that_was_left_is_told_no_second_time() {
        use OperationPhase::{CreatingContainer, CreatingVolume, Starting, WaitingForReady};
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
        let at = |phase| {
            let mut service = service(ServiceState::Provisioning, Power::On);
            service.operation = Some(Operation { phase, ..Operation::queued(OperationKind::Provision, now) });
            service
        };
        let row = at(CreatingVolume);
        let mut passing = Passing::default();
        for phase in [CreatingContainer, Starting, WaitingForReady] {
            passing.push(&row, &at(phase), now);
        }
        // Once more of what it is at is nothing new.
        passing.push(&row, &at(WaitingForReady), now);
        assert!(!passing.settle(&row), "nothing of it is stored");
        assert!(passing.settle(&at(Starting)));
        let left: Vec<_> = passing.phases.iter().map(|passed| passed.operation.phase).collect();
        assert_eq!((left, passing.since.is_some()), (vec![WaitingForReady], true));
        assert!(passing.settle(&at(WaitingForReady)));
        assert!(passing.phases.is_empty() && passing.since.is_none());
    }
}
