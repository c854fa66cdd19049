//! Pages of events.

use async_graphql::{Context, Object};

use super::page::{PageArguments, PageInfo, other_side};
use super::service_event::ServiceEvent;
use crate::api::error::Result;
use crate::api::guard::viewer;
use crate::api::{app, batches};
use crate::domain::event;
use crate::domain::id::{Cursor, ProjectId, ServiceId};
use crate::domain::page::{Page, Slice};

/// Whose events to list.
pub enum Source {
    Project(ProjectId),
    /// One that the viewer may see, and its project.
    Service(ProjectId, ServiceId),
}

impl Source {
    async fn slice(&self, ctx: &Context<'_>, page: Page<i64>) -> Result<Slice<event::ServiceEvent>> {
        Ok(match self {
            Self::Project(project) => app(ctx).events(viewer(ctx)?, project, page).await?,
            Self::Service(_, service) => batches::events(ctx, *service, page).await?,
        })
    }
}

pub struct ServiceEventConnection {
    of: Source,
    page: Page<i64>,
    events: Vec<ServiceEvent>,
    has_more: bool,
}

impl ServiceEventConnection {
    pub async fn load(ctx: &Context<'_>, of: Source, arguments: PageArguments) -> Result<Self> {
        let (Source::Project(project) | Source::Service(project, _)) = &of;
        let page = arguments.parse(|text| Cursor::decode(project, text).ok())?;
        let slice = of.slice(ctx, page).await?;
        let events = slice.rows.into_iter().map(ServiceEvent::from).collect();
        Ok(Self { of, page, events, has_more: slice.has_more })
    }
}

/// A page of the events of a service or of a project.
#[Object]
impl ServiceEventConnection {
    /// The page's events.
    async fn nodes(&self) -> &[ServiceEvent] {
        &self.events
    }

    /// The page's events, each with its cursor.
    async fn edges(&self) -> Vec<ServiceEventEdge<'_>> {
        self.events.iter().map(ServiceEventEdge).collect()
    }

    /// Where the page lies in the list.
    async fn page_info(&self, ctx: &Context<'_>) -> Result<PageInfo> {
        let (first, last) = (self.events.first(), self.events.last());
        let has_other =
            match other_side(&self.page, first.map(ServiceEvent::sequence), last.map(ServiceEvent::sequence)) {
                None => false,
                Some(page) => !self.of.slice(ctx, page).await?.rows.is_empty(),
            };
        let cursors = (first.map(ServiceEvent::position), last.map(ServiceEvent::position));
        Ok(PageInfo::new(&self.page, self.has_more, has_other, cursors))
    }
}

pub struct ServiceEventEdge<'a>(&'a ServiceEvent);

/// An event and its place in a list.
#[Object]
impl ServiceEventEdge<'_> {
    /// The event's place in the list, the same as its own `cursor`.
    async fn cursor(&self) -> String {
        self.0.position()
    }

    /// The event.
    async fn node(&self) -> &ServiceEvent {
        self.0
    }
}
