//! Pages of services.

use async_graphql::{Context, InputObject, Object};

use super::enums::{ServiceKind, ServiceState};
use super::ids::{parse_service_cursor, service_cursor};
use super::page::{PageArguments, PageInfo, other_side};
use super::service::Service;
use crate::api::app;
use crate::api::error::Result;
use crate::api::guard::viewer;
use crate::app::queries::LogCursors;
use crate::domain::id::{ProjectId, ServiceId};
use crate::domain::page::{self, Page};

/// Which services to list.
#[derive(InputObject, Default)]
pub struct ServiceFilter {
    /// Only services of these kinds; of every kind when left out.
    pub kinds: Option<Vec<ServiceKind>>,
    /// Only services in these states; in every state when left out.
    pub states: Option<Vec<ServiceState>>,
    /// Whether to list services that are destroyed as well. Those are also listed when `states` names DESTROYED.
    #[graphql(default_with = "Some(false)")]
    pub include_destroyed: Option<bool>,
}

impl From<ServiceFilter> for page::ServiceFilter {
    fn from(filter: ServiceFilter) -> Self {
        // Who names the state wants to see it.
        let named = filter.states.as_ref().is_some_and(|states| states.contains(&ServiceState::Destroyed));
        Self {
            kinds: filter.kinds.map(|kinds| kinds.into_iter().map(Into::into).collect()),
            states: filter.states.map(|states| states.into_iter().map(Into::into).collect()),
            include_destroyed: named || filter.include_destroyed.unwrap_or(false),
        }
    }
}

pub struct ServiceConnection {
    project: ProjectId,
    filter: page::ServiceFilter,
    page: Page<ServiceId>,
    services: Vec<Service>,
    has_more: bool,
    log: LogCursors,
}

impl ServiceConnection {
    pub async fn load(
        ctx: &Context<'_>,
        project: ProjectId,
        filter: page::ServiceFilter,
        arguments: PageArguments,
    ) -> Result<Self> {
        let page = arguments.parse(parse_service_cursor)?;
        let wanted = ["eventCursor", "oldestEventCursor"].iter().any(|field| ctx.look_ahead().field(field).exists());
        let (slice, log) = if wanted {
            app(ctx).services_at(viewer(ctx)?, &project, &filter, page).await?
        } else {
            (app(ctx).services(viewer(ctx)?, &project, &filter, page).await?, LogCursors::default())
        };
        let services = slice.rows.into_iter().map(Service).collect();
        Ok(Self { project, filter, page, services, has_more: slice.has_more, log })
    }
}

/// A page of services.
#[Object]
impl ServiceConnection {
    /// The page's services.
    async fn nodes(&self) -> &[Service] {
        &self.services
    }

    /// The page's services, each with its cursor.
    async fn edges(&self) -> Vec<ServiceEdge<'_>> {
        self.services.iter().map(ServiceEdge).collect()
    }

    /// Where the page lies in the list.
    async fn page_info(&self, ctx: &Context<'_>) -> Result<PageInfo> {
        let (first, last) = (self.services.first().map(|s| s.0.id), self.services.last().map(|s| s.0.id));
        let has_other = match other_side(&self.page, first, last) {
            None => false,
            Some(page) => !app(ctx).services(viewer(ctx)?, &self.project, &self.filter, page).await?.rows.is_empty(),
        };
        Ok(PageInfo::new(&self.page, self.has_more, has_other, (first.map(service_cursor), last.map(service_cursor))))
    }

    /// The newest of the project's events that the page shows the outcome of: page and cursor are of one moment. Give it to
    /// `serviceEvents(after:)`, and no change between this query and the subscription is lost or told twice.
    async fn event_cursor(&self) -> &str {
        &self.log.newest
    }

    /// The oldest cursor that `serviceEvents(after:)` takes at that moment: behind it come all events that are kept. Older
    /// ones fail with CURSOR_EXPIRED; then read the services anew, and go on from their `eventCursor`.
    async fn oldest_event_cursor(&self) -> &str {
        &self.log.oldest
    }

    /// How many services the filter finds in all. Counted only when you ask for it.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<u64> {
        Ok(app(ctx).service_count(viewer(ctx)?, &self.project, &self.filter).await?)
    }
}

pub struct ServiceEdge<'a>(&'a Service);

/// A service and its place in a list.
#[Object]
impl ServiceEdge<'_> {
    /// The service's place in the list, to give to `after` or `before`; opaque.
    async fn cursor(&self) -> String {
        service_cursor(self.0.0.id)
    }

    /// The service.
    async fn node(&self) -> &Service {
        self.0
    }
}
