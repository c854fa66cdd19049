//! Streams that read on in the store whenever a hint says "look". A slow reader holds one page and nothing else.

use std::sync::Arc;

use async_stream::try_stream;
use futures_util::Stream;

use super::{App, AppError, Result, visible};
use crate::domain::event::ServiceEvent;
use crate::domain::id::{Cursor, ProjectId, ServiceId};
use crate::domain::permission::Principal;
use crate::domain::service::{Service, ServiceState};

/// How many events are read at once.
const PAGE: u32 = 100;

impl App {
    /// Each event of the project from now on, in order; with `after`, all that came since that cursor first. Fails where some
    /// of them are not kept any more, at first or for a reader that falls so far behind.
    pub async fn service_events(
        self: &Arc<Self>,
        viewer: &Principal,
        project: ProjectId,
        after: Option<&str>,
    ) -> Result<impl Stream<Item = Result<ServiceEvent>> + use<>> {
        visible(viewer, &project)?;
        let mut hints = self.hints.subscribe(&project);
        let span = self.store.event_span(&project).await?;
        let mut position = match after {
            None => span.last,
            Some(text) => {
                Cursor::decode(&project, text).ok().filter(|sequence| *sequence <= span.last).ok_or_else(|| {
                    AppError::BadInput {
                        field: "after",
                        message: "It is not a cursor of this project's events.".to_owned(),
                    }
                })?
            }
        };
        if position < span.start() {
            Err(AppError::CursorExpired)?;
        }
        let app = Arc::clone(self);
        Ok(try_stream! {
            loop {
                hints.mark_unchanged();
                loop {
                    let events = app.store.event_list_since(&project, position, PAGE).await?;
                    if events.is_empty() {
                        break;
                    }
                    for event in events {
                        position = event.sequence;
                        yield event;
                    }
                }
                if hints.changed().await.is_err() {
                    return;
                }
            }
        })
    }

    /// The service as it is now and after each change, until it is destroyed.
    pub async fn service_changes(
        self: &Arc<Self>,
        viewer: &Principal,
        id: ServiceId,
    ) -> Result<impl Stream<Item = Result<Service>> + use<>> {
        let service = self.service(viewer, id).await?.ok_or(AppError::NotFound("service"))?;
        let mut hints = self.hints.subscribe(&service.project);
        let app = Arc::clone(self);
        Ok(try_stream! {
            let mut shown = None;
            loop {
                hints.mark_unchanged();
                let Some(service) = app.store.service_get(id).await? else { return };
                if shown != Some(service.revision) {
                    shown = Some(service.revision);
                    let destroyed = service.state == ServiceState::Destroyed;
                    yield service;
                    if destroyed {
                        return;
                    }
                }
                if hints.changed().await.is_err() {
                    return;
                }
            }
        })
    }
}
