//! Pages of services.

use std::sync::Arc;

use async_graphql::{Context, Enum, InputObject, Object};

use super::enums::{ServiceKind, ServiceState};
use super::ids::{parse_service_cursor, service_cursor};
use super::list::List;
use super::page::{PageArguments, PageInfo, other_side};
use super::service::Service;
use crate::api::app;
use crate::api::error::{Error, Result};
use crate::api::guard::viewer;
use crate::app::queries::LogCursors;
use crate::domain::id::{ProjectId, ServiceId};
use crate::domain::page::{self, Page};

/// As long as a service's name.
const MAX_NAME_LENGTH: usize = 40;

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
    /// Only services whose names contain this text, whether or not in capitals; at most 40 characters.
    pub search: Option<String>,
}

/// The order of a list of services.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "page::ServiceOrder")]
pub enum ServiceOrder {
    /// The oldest first.
    #[graphql(name = "CREATED_AT_ASC")]
    Created,
    /// The newest first.
    #[graphql(name = "CREATED_AT_DESC")]
    CreatedLast,
    /// By name, from a to z.
    #[graphql(name = "NAME_ASC")]
    Name,
    /// By name, from z to a.
    #[graphql(name = "NAME_DESC")]
    NameLast,
}

/// How many items a list in a filter may have.
pub const MAX_FILTER_ITEMS: usize = 100;

impl ServiceFilter {
    pub fn parse(self, order: Option<ServiceOrder>) -> Result<page::ServiceFilter> {
        let too_many = |field: &str| Error::bad_input(field, format!("It has at most {MAX_FILTER_ITEMS} items."));
        if self.kinds.as_ref().is_some_and(|kinds| kinds.len() > MAX_FILTER_ITEMS) {
            return Err(too_many("kinds"));
        }
        if self.states.as_ref().is_some_and(|states| states.len() > MAX_FILTER_ITEMS) {
            return Err(too_many("states"));
        }
        let name_contains = self.search.as_ref().map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty());
        if name_contains.as_ref().is_some_and(|text| text.chars().count() > MAX_NAME_LENGTH) {
            return Err(Error::bad_input("search", format!("It has at most {MAX_NAME_LENGTH} characters.")));
        }
        let order = order.map(Into::into).unwrap_or_default();
        Ok(page::ServiceFilter { name_contains, order, ..self.into() })
    }
}

impl From<ServiceFilter> for page::ServiceFilter {
    fn from(filter: ServiceFilter) -> Self {
        // Who names the state wants to see it.
        let named = filter.states.as_ref().is_some_and(|states| states.contains(&ServiceState::Destroyed));
        Self {
            kinds: filter.kinds.map(|kinds| kinds.into_iter().map(Into::into).collect()),
            states: filter.states.map(|states| states.into_iter().map(Into::into).collect()),
            include_destroyed: named || filter.include_destroyed.unwrap_or(false),
            ..Self::default()
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
    async fn nodes(&self) -> List<'_, Service> {
        List(&self.services)
    }

    /// The page's services, each with its cursor.
    async fn edges(&self) -> Vec<ServiceEdge> {
        self.services.iter().map(|service| ServiceEdge(Service(Arc::clone(&service.0)))).collect()
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

pub struct ServiceEdge(pub Service);

/// A service and its place in a list.
#[Object]
impl ServiceEdge {
    /// The service's place in the list, to give to `after` or `before`; opaque.
    async fn cursor(&self) -> String {
        service_cursor(self.0.0.id)
    }

    /// The service.
    async fn node(&self) -> &Service {
        &self.0
    }
}
