//! The end of a service that was to be backed up once more first.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::event::NewEvent;
use crate::domain::lifecycle::{Requested, ServiceAction, request};
use crate::domain::lifetime::Lifetime;
use crate::domain::service::Service;
use crate::domain::task::{Task, TaskId};
use crate::reconciler::Reconciler;
use crate::store::StoreError;
use crate::telemetry::traces;

/// What is written with the verification of a service's final backup.
pub(super) struct End {
    /// None where it stays.
    pub service: Option<Box<Service>>,
    pub tasks: Vec<Task>,
    pub event: NewEvent,
}

impl Reconciler {
    /// The end of a service whose final backup is verified; None where it is on its end already.
    pub(super) async fn end_of(&self, service: &Service, now: Timestamp) -> Result<Option<End>, StoreError> {
        let why = match service {
            Service { lifetime: Lifetime { protected: true, .. }, .. } => Some("it is protected from being destroyed"),
            // What the backup holds is not what it is going to have.
            service if service.is_changing_version() => Some("what it runs is being changed"),
            service if !service.understood => Some("a newer version of the server works on it"),
            _ => None,
        };
        if let Some(why) = why {
            let event = NewEvent::kept_after_backup(service, why, now);
            return Ok(Some(End { service: None, tasks: Vec::new(), event }));
        }
        let open = self.store.task_list_open(service.id).await?;
        let requested = request(service, &open, ServiceAction::Destroy, TaskId(Uuid::now_v7()), now);
        let Ok(Requested::Changed(mut after, tasks)) = requested else { return Ok(None) };
        after.trace = traces::here();
        let event = NewEvent::destroyed_after_backup(service, now);
        Ok(Some(End { service: Some(after), tasks, event }))
    }
}
