//! The image that a service runs from: which one that is, how it comes to the engine, and how another one takes its place.
//!
//! What has served fits the data, and what its name has come to mean since may not: another distribution sorts text otherwise,
//! another major version can't read the files. So what is made anew is made from the very image that has served, until somebody
//! asks for what the name means by now.

use jiff::Timestamp;
use tokio::sync::watch;

use super::Reconciler;
use super::execute::{Done, failure};
use crate::domain::event::NewEvent;
use crate::domain::image::Image;
use crate::domain::service::{ErrorCode, Operation, OperationKind, OperationPhase, Service, ServiceState};
use crate::domain::task::TaskId;
use crate::engine::{EngineError, Pull};
use crate::store::{StoreError, Write};

/// How often at most the progress of a pull is written down, in milliseconds.
const PROGRESS_INTERVAL: i64 = 1000;

impl Reconciler {
    /// What a container of the service is made from: the image that has served, by the engine's id, or else the one that its version
    /// is offered by.
    pub(super) fn image(&self, service: &Service) -> String {
        service.evidence.image.clone().unwrap_or_else(|| self.offered_image(service))
    }

    fn offered_image(&self, service: &Service) -> String {
        self.settings.offering.image(service.wish.kind, &service.wish.version)
    }

    /// Has that image on the engine, and gives it as the engine knows it.
    async fn fetch(&self, service: &Service, progress: watch::Sender<Option<u8>>) -> Result<Image, EngineError> {
        let pull = async |name: &str| self.engine.pull(name, Pull::Absent, progress.clone()).await;
        let offered = self.offered_image(service);
        let Some(Image { id, digest }) = service.evidence.served() else { return pull(&offered).await };
        match (pull(&id).await, digest) {
            (Err(EngineError::Refused { code: ErrorCode::PullFailed, .. }), Some(digest)) => pull(&digest).await,
            (Err(EngineError::Refused { code: code @ ErrorCode::PullFailed, .. }), None) => {
                let message = format!(
                    "The image that it ran from, {id}, is gone from the engine, and came from no registry. Load it again, or \
                     have updateImage take what {offered} is now."
                );
                Err(EngineError::Refused { code, message })
            }
            (fetched, _) => fetched,
        }
    }

    /// Has the image of an instance that is made beside a service on the engine. Where the one that has served can't be had any more,
    /// that is the one which its version is offered by: what is made of a backup or of another service is read before it serves.
    pub(super) async fn fetch_beside(&self, new: &mut Service) -> Result<(), EngineError> {
        let fetched = match self.fetch(new, watch::channel(None).0).await {
            Err(EngineError::Refused { code: ErrorCode::PullFailed, message }) if new.evidence.image.is_some() => {
                tracing::warn!(service = %new.id, why = message, "An instance is made from another image than its data was of");
                new.evidence.note_served(None);
                self.fetch(new, watch::channel(None).0).await.map(|_| None)
            }
            fetched => fetched.map(Some),
        };
        let served = fetched?.filter(|_| new.evidence.image.is_some());
        new.evidence.note_served(served);
        Ok(())
    }

    /// Pulls what a container of the service is made from. An engine that had to be given the image anew may know it by another id.
    pub(super) async fn pull(&self, service: &Service) -> Done {
        let (sender, mut progress) = watch::channel(None);
        let mut fetching = std::pin::pin!(self.fetch(service, sender));
        let mut service = service.clone();
        let mut written_at = Timestamp::UNIX_EPOCH;
        let fetched = loop {
            tokio::select! {
                fetched = &mut fetching => break fetched,
                Ok(()) = progress.changed() => {
                    let now = (self.clock)();
                    if now.as_millisecond() - written_at.as_millisecond() < PROGRESS_INTERVAL {
                        continue;
                    }
                    written_at = now;
                    let percent = *progress.borrow_and_update();
                    match self.note_progress(&service, percent, now).await {
                        Ok(noted) => service = noted,
                        Err(StoreError::Stale) => return Done::Tried,
                        Err(error) => return Done::StoreFailed(error),
                    }
                }
            }
        };
        match fetched {
            Ok(image) if service.evidence.image.as_ref().is_some_and(|known| *known != image.id) => {
                let mut after = service.clone();
                after.evidence.note_served(Some(image));
                self.observe(&service, &after, None, (self.clock)())
                    .await
                    .map_or_else(Done::StoreFailed, |_| Done::Tried)
            }
            Ok(_) => Done::Tried,
            Err(error) => {
                let mut failure = failure(&error);
                if failure.code == ErrorCode::PullFailed && self.settings.builds_images {
                    let kind = service.wish.kind.as_str().to_lowercase();
                    failure
                        .message
                        .push_str(&format!(". Without a registry, `make images KINDS={kind}` builds a stand-in"));
                }
                Done::Failed(failure)
            }
        }
    }

    pub(super) async fn note_progress(
        &self,
        service: &Service,
        percent: Option<u8>,
        now: Timestamp,
    ) -> Result<Service, StoreError> {
        let mut after = service.clone();
        if let Some(operation) = &mut after.operation {
            operation.progress_percent = percent;
        }
        let event = NewEvent::of_change(service, &after, None, now);
        let noted = self.observe(service, &after, event.as_ref(), now).await?;
        self.hints.project_changed(&service.project);
        Ok(noted)
    }

    /// Pulls the image that the service's version is offered by, and has the service made anew from it where that is another one.
    /// Where it can't be pulled, one that bears the name already and is another will do.
    pub(super) async fn update_image(&self, service: &Service, task: TaskId) -> Done {
        let name = self.offered_image(service);
        let pull = async |when| self.engine.pull(&name, when, watch::channel(None).0).await;
        let newest = match pull(Pull::Always).await {
            Ok(image) => image,
            Err(error) => match pull(Pull::Absent).await {
                Ok(image) if Some(&image.id) != service.evidence.image.as_ref() => image,
                _ => return error.into(),
            },
        };
        let open = match self.store.task_list_open(service.id).await {
            Ok(open) => open,
            Err(error) => return Done::StoreFailed(error),
        };
        let Some(task) = open.into_iter().find(|open| open.id == task) else { return Done::Tried };
        let now = (self.clock)();
        let mut after = service.clone();
        let event = if service.evidence.image.as_ref() == Some(&newest.id) {
            (after.operation, after.error) = (None, None);
            // It may come from another registry by now.
            after.evidence.image_digest = newest.digest.or(after.evidence.image_digest);
            NewEvent::image_current(service, now)
        } else {
            after.evidence.note_served(None);
            after.state = ServiceState::Provisioning;
            let begun = after.operation.take().unwrap_or_else(|| Operation::queued(OperationKind::UpdateImage, now));
            after.operation = Some(Operation { phase: OperationPhase::Stopping, ..begun });
            NewEvent::image_pulled(service, now)
        };
        let tasks = &[task.done(now)];
        let write =
            Write { service: Some(&after), tasks, event: Some(&event), ..Write::new(self.term_of(service), now) };
        match self.store.commit(write).await {
            Ok(_) => {
                self.hints.project_changed(&service.project);
                Done::Tried
            }
            Err(error) => Done::StoreFailed(error),
        }
    }
}
