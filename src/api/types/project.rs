//! A project, as far as its services go.

use async_graphql::{Context, ID, Object, SimpleObject};

use super::node_id;
use super::page::{PageArguments, page_cost};
use super::service_connection::{ServiceConnection, ServiceFilter, ServiceOrder};
use super::service_event_connection::{ServiceEventConnection, Source};
use crate::api::app;
use crate::api::error::Result;
use crate::api::guard::viewer;
use crate::domain::id::ProjectId;
use crate::domain::page;

pub struct Project(pub ProjectId);

/// A project that you see. The platform knows it; here it has its services, and may have none yet.
#[Object]
impl Project {
    /// Identifies the project among all objects; opaque, and not what arguments named `projectId` take.
    pub async fn id(&self) -> ID {
        node_id::of_project(&self.0)
    }

    /// The platform's id of the project, to give to `projectId`.
    async fn project_id(&self) -> ID {
        self.0.as_str().into()
    }

    /// Its services, as `Query.services` gives them.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "Relay's four, and what to list")]
    async fn services(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them; all that are not destroyed when left out.")] filter: Option<ServiceFilter>,
        #[graphql(desc = "In which order; the oldest first when left out.")] order_by: Option<ServiceOrder>,
        #[graphql(desc = "At most so many from the beginning, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Only services behind this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only services ahead of this cursor.")] before: Option<String>,
    ) -> Result<ServiceConnection> {
        let page = PageArguments { first, after, last, before };
        ServiceConnection::load(ctx, self.0.clone(), filter.unwrap_or_default().parse(order_by)?, page).await
    }

    /// What happened in it, oldest first, as far as it is kept. Give `first` (and `after`) to page forwards or `last` (and
    /// `before`) to page backwards; the first 20 when neither is given.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many from the beginning, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Only events behind this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only events ahead of this cursor.")] before: Option<String>,
    ) -> Result<ServiceEventConnection> {
        let page = PageArguments { first, after, last, before };
        ServiceEventConnection::load(ctx, Source::Project(self.0.clone()), page).await
    }

    /// How much it has of what it may have.
    async fn usage(&self, ctx: &Context<'_>) -> Result<ProjectUsage> {
        let services = app(ctx).service_count(viewer(ctx)?, &self.0, &page::ServiceFilter::default()).await?;
        Ok(ProjectUsage { services, services_maximum: app(ctx).services_per_project() })
    }
}

/// How much a project has of what it may have.
#[derive(SimpleObject)]
pub struct ProjectUsage {
    /// Services that are not destroyed.
    services: u64,
    /// How many of them there may be; one more is QUOTA_EXCEEDED.
    services_maximum: u32,
}
