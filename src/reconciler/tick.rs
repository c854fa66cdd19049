//! The tick, which makes up for hints that never came. One survey of the node tells of all services, and of those only the rows
//! that have changed are read, so that a tick costs by node and by change, not by service. What a survey does not tell, such as
//! how often a container was started, a look at each service does in its turn.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Reconciler;
use super::roster::Entry;
use crate::domain::id::ServiceId;
use crate::engine::Survey;

/// In how many ticks each service has its turn to be looked at, whatever the survey shows.
const TURNS: usize = 10;
/// How many have it in one tick at most. Of more services each has it less often.
const TURN: usize = 50;

/// Between two surveys that doubts ask for, of which a busy engine may give many.
const DOUBTED: Duration = Duration::from_millis(500);

/// What is looked at besides what is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Besides {
    Nothing,
    /// The services whose turn it is.
    Turn,
    /// All that run, for something may have happened to them that is over.
    Running,
}

impl Reconciler {
    /// What is surveyed goes to `sweep` as well, unless that is at it still.
    pub(super) async fn tick(self: Arc<Self>, sweep: mpsc::Sender<Survey>) {
        let mut interval = self.interval();
        loop {
            let besides = tokio::select! {
                _ = interval.tick() => Besides::Turn,
                () = self.doubts.notified() => Besides::Nothing,
                () = self.inbox.missed() => Besides::Nothing,
            };
            if besides == Besides::Turn {
                self.note_node().await;
            }
            if let Some(survey) = self.wake_differing(besides).await {
                // It comes again with the next one.
                let _ = sweep.try_send(survey);
            }
            if besides == Besides::Nothing {
                tokio::time::sleep(DOUBTED).await;
            }
        }
    }

    /// Wakes the services with something under way or amiss, and those that a survey shows to be otherwise than their rows
    /// say. While the engine is away, only those that have changed. Gives the survey.
    pub async fn wake_differing(&self, besides: Besides) -> Option<Survey> {
        // Rows come first: what is done in between is seen by the survey at worst, and then a look was in vain.
        let changed = match self.roster.refresh(self.store.as_ref(), &self.node).await {
            Ok(changed) => changed,
            Err(error) => {
                tracing::warn!(error = ?error, "The services could not be listed; the next tick tries again");
                return None;
            }
        };
        if self.presence.is_away() {
            self.wake(changed);
            return None;
        }
        let survey = self.engine.survey().await;
        let mut survey =
            survey.inspect_err(|error| tracing::debug!(error = ?error, "The engine could not be surveyed")).ok();
        if let Some(survey) = &mut survey {
            self.probes.tell(&mut survey.instances);
        }
        let mut known = self.roster.known().await;
        let turn = match besides {
            Besides::Turn => known.services.len().div_ceil(TURNS).min(TURN),
            _ => 0,
        };
        let turn = known.turn(turn);
        let services = known.services.iter().filter(|(id, entry)| {
            let is_settled = match &survey {
                Some(survey) => entry.is_settled(survey.instances.get(&entry.instance)),
                None => entry.is_at_rest(),
            };
            let is_unwatched = entry.is_running && !self.watched.has(**id);
            let is_besides = entry.is_running && besides == Besides::Running;
            !is_settled || is_unwatched || is_besides || turn.contains(id)
        });
        let woken = self.wake(services.map(|(id, _)| *id));
        tracing::debug!(woken, "Surveyed the engine");
        survey
    }

    /// Wakes those that show that the engine is away.
    pub(super) async fn wake_minding(&self) {
        if let Err(error) = self.roster.refresh(self.store.as_ref(), &self.node).await {
            tracing::warn!(error = ?error, "The services could not be listed; the next tick tries again");
        }
        let known = self.roster.known().await;
        self.wake(known.services.iter().filter(|(_, entry)| entry.minds_silence).map(|(id, _)| *id));
    }

    /// What `of` tells of the services as they are now. Of none while the engine is away, when nothing is to be had of any.
    pub(super) async fn known<T>(&self, of: impl Fn(&Entry) -> Option<T>) -> Vec<(ServiceId, T)> {
        if self.presence.is_away() {
            return Vec::new();
        }
        if let Err(error) = self.roster.refresh(self.store.as_ref(), &self.node).await {
            tracing::debug!(error = ?error, "The services could not be listed; those are taken that were there");
        }
        let known = self.roster.known().await;
        known.services.iter().filter_map(|(id, entry)| Some((*id, of(entry)?))).collect()
    }

    /// Tells how many there were.
    fn wake(&self, services: impl IntoIterator<Item = ServiceId>) -> usize {
        services.into_iter().map(|service| self.inbox.wake(service)).count()
    }
}
