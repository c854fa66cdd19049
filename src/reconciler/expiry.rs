//! The end of services whose expiry has come, as if they had been destroyed, and word of it an hour ahead. What came due while
//! no server ran is done at its first round.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::Reconciler;
use crate::domain::event::NewEvent;
use crate::domain::lifecycle::{Requested, ServiceAction, request};
use crate::domain::lifetime::{Due, NOTICE};
use crate::domain::service::Service;
use crate::domain::task::TaskId;
use crate::store::{Guard, StoreError, Write};
use crate::telemetry::traces;

/// Between two rounds, and so the latest that an expiry is noticed.
const INTERVAL: Duration = Duration::from_secs(3);

impl Reconciler {
    pub(super) async fn watch_expiry(self: Arc<Self>) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.end_expired().await;
        }
    }

    /// Does what is due. What fails, or was changed meanwhile, comes up again in the next round.
    pub async fn end_expired(&self) {
        let now = (self.clock)();
        let notice = now.checked_add(NOTICE).unwrap_or(Timestamp::MAX);
        let due = self.store.service_list_expiring(&self.node, now, notice).await.unwrap_or_else(|error| {
            tracing::debug!(error = ?error, "Expiries could not be looked at; the next round tries again");
            Vec::new()
        });
        for service in due.into_iter().filter(|service| service.understood) {
            if let Err(error) = self.expire(&service, now).await {
                tracing::debug!(service = %service.id, error = ?error, "An expiry has to wait for the next round");
            }
        }
    }

    async fn expire(&self, service: &Service, now: Timestamp) -> Result<(), StoreError> {
        let (after, tasks, event) = match service.lifetime.due(now) {
            None => return Ok(()),
            Some(Due::Notice(at)) => {
                let mut after = service.clone();
                after.lifetime.told = true;
                (after, Vec::new(), NewEvent::expiry_near(service, at, now))
            }
            Some(Due::End) => {
                let open = self.store.task_list_open(service.id).await?;
                let new = TaskId(Uuid::now_v7());
                let Ok(Requested::Changed(mut after, tasks)) =
                    request(service, &open, ServiceAction::Destroy, new, now)
                else {
                    return Ok(());
                };
                after.trace = traces::here();
                (*after, tasks, NewEvent::expired(service, now))
            }
        };
        let guard = Guard::Term { epoch: self.epoch(), read: service };
        let write = Write { service: Some(&after), tasks: &tasks, event: Some(&event), ..Write::new(guard, now) };
        let written = self.store.commit(write).await?.service;
        tracing::info!(service = %written.id, project = %written.project, state = %written.state, "{}", event.message);
        self.hints.project_changed(&written.project);
        self.inbox.wake(written.id);
        Ok(())
    }
}
