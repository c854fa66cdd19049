//! Streams that read on in the project's feed whenever a hint says "look". A slow reader holds one page and nothing else.

use std::sync::Arc;

use async_stream::try_stream;
use futures_util::Stream;

use super::feed::Happened;
use super::{App, AppError, Result, visible};
use crate::domain::id::{Cursor, ProjectId, ServiceId};
use crate::domain::permission::Principal;
use crate::domain::service::{Service, ServiceState};

/// Where a stream of events begins.
#[derive(Debug, Clone, Copy)]
pub enum Beginning<'a> {
    /// With what happens from now on.
    Now,
    /// Behind the event of this cursor, as a client gives it.
    After(&'a str),
    /// Behind the event in this place.
    Behind(i64),
}

/// What a stream has to tell.
#[derive(Debug)]
pub enum News<T> {
    /// Something that is to be shown, and its place: an event's sequence or a service's revision.
    Item(T, i64),
    /// All that there is was told, up to this place. It comes before each time that the stream waits.
    CaughtUp(i64),
}

impl App {
    /// Each event of the project from now on, in order; with `beginning`, all that came since that first. Fails where some
    /// of them are not kept any more, at first or for a reader that falls so far behind.
    pub async fn service_events(
        self: &Arc<Self>,
        viewer: &Principal,
        project: ProjectId,
        beginning: Beginning<'_>,
    ) -> Result<impl Stream<Item = Result<News<Happened>>> + use<>> {
        visible(viewer, &project)?;
        let feed = self.feeds.of(&project, &self.hints);
        let mut hints = feed.hints();
        let span = self.store.event_span(&project).await?;
        let mut position = match beginning {
            Beginning::Now => span.last,
            Beginning::Behind(position) => position,
            Beginning::After(text) => Cursor::decode(&project, text)
                .ok()
                .filter(|sequence| *sequence <= span.last)
                .ok_or_else(|| AppError::BadInput {
                    field: "after",
                    message: "It is not a cursor of this project's events.".to_owned(),
                })?,
        };
        if position < span.start() {
            Err(AppError::CursorExpired)?;
        }
        let app = Arc::clone(self);
        Ok(try_stream! {
            loop {
                hints.mark_unchanged();
                loop {
                    let behind = feed.events(&*app.store, position, span.last).await?;
                    if behind.is_empty() {
                        break;
                    }
                    for happened in behind {
                        position = happened.event.sequence;
                        yield News::Item(happened, position);
                    }
                }
                yield News::CaughtUp(position);
                if hints.changed().await.is_err() {
                    return;
                }
            }
        })
    }

    /// The service as it is now and after each change, until it is destroyed; of what was `shown` already, an earlier
    /// revision, only what is newer.
    pub async fn service_changes(
        self: &Arc<Self>,
        viewer: &Principal,
        id: ServiceId,
        shown: Option<i64>,
    ) -> Result<impl Stream<Item = Result<News<Arc<Service>>>> + use<>> {
        let service = self.service(viewer, id).await?.ok_or(AppError::NotFound("service"))?;
        let feed = self.feeds.of(&service.project, &self.hints);
        let mut hints = feed.hints();
        // What came to be in between is looked for as well.
        hints.mark_changed();
        let app = Arc::clone(self);
        let (mut shown, mut latest) = (shown.unwrap_or(i64::MIN), Arc::new(service));
        Ok(try_stream! {
            loop {
                if shown < latest.revision {
                    shown = latest.revision;
                    let destroyed = latest.state == ServiceState::Destroyed;
                    yield News::Item(latest, shown);
                    if destroyed {
                        return;
                    }
                } else {
                    yield News::CaughtUp(shown);
                    if hints.changed().await.is_err() {
                        return;
                    }
                }
                hints.mark_unchanged();
                let Some(now) = feed.service(&*app.store, id).await? else { return };
                latest = now;
            }
        })
    }
}
