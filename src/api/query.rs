//! Reading.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::app;
use super::documents::limits::list_cost;
use super::error::{Code, Result};
use super::guard::{Authenticated, viewer};
use super::types::Node;
use super::types::backup::{Backup, BackupConnection};
use super::types::catalog::{Availability, CatalogEntry};
use super::types::cluster_node::ClusterNode;
use super::types::enums::ServiceKind;
use super::types::history::{MetricsRange, ServiceMetricsHistory};
use super::types::ids::{parse_backup, parse_project, parse_service};
use super::types::limits::Limits;
use super::types::node_id::{self, NodeId};
use super::types::page::{PageArguments, page_cost};
use super::types::project::Project;
use super::types::service::Service;
use super::types::service_connection::{ServiceConnection, ServiceFilter, ServiceOrder};
use super::types::viewer::Viewer;
use crate::catalog;
use crate::domain::page::BackupsOf;

/// As how many nodes those that there are count in a document's cost.
const NODES: usize = 20;

pub struct Query;

/// What can be read. Every field needs a token; only introspection works without one.
#[Object(guard = "Authenticated")]
impl Query {
    /// The object with this id, for clients that keep a normalised cache: a service, a project or an entry of the catalog.
    /// Null when there is none, or when it is not yours to see.
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "An object's id.")] id: ID) -> Result<Option<Node>> {
        let viewer = viewer(ctx)?;
        Ok(match node_id::parse(&id)? {
            NodeId::Service(id) => app(ctx).service(viewer, id).await?.map(|service| Node::Service(service.into())),
            NodeId::Project(id) => app(ctx).sees(viewer, &id).then_some(Node::Project(Project(id))),
            NodeId::Kind(definition) => Some(Node::CatalogEntry(CatalogEntry(definition))),
        })
    }

    /// A project, with its services, its events and how much it has of what it may have. Null when it is not yours to see.
    async fn project(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The platform's id of the project.")] project_id: ID,
    ) -> Result<Option<Project>> {
        let project = parse_project("projectId", &project_id)?;
        Ok(app(ctx).sees(viewer(ctx)?, &project).then_some(Project(project)))
    }

    /// The machines that services run on, in the order of their names. Needs the permission `platform:nodes`.
    #[graphql(complexity = "list_cost(NODES, child_complexity)")]
    async fn nodes(&self, ctx: &Context<'_>) -> Result<Vec<ClusterNode>> {
        Ok(app(ctx).nodes(viewer(ctx)?).await?.into_iter().map(ClusterNode::from).collect())
    }

    /// What you may ask for at most.
    async fn limits(&self, ctx: &Context<'_>) -> Limits {
        Limits::new(ctx.data_unchecked::<Arc<super::Limits>>(), app(ctx).services_per_project())
    }

    /// The codes that errors have, for clients that decide by them.
    async fn error_codes(&self) -> &[Code] {
        Code::ALL
    }

    /// Who you are, as your token says.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer> {
        viewer(ctx).cloned().map(Viewer)
    }

    /// The kinds of services that there are, those to come included, in the order in which to show them.
    #[graphql(complexity = "list_cost(catalog::ALL.len(), child_complexity)")]
    async fn service_catalog(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only kinds with this availability; all of them when left out.")] availability: Option<
            Availability,
        >,
    ) -> Vec<CatalogEntry> {
        let entries = catalog::ALL.iter().copied().map(CatalogEntry);
        entries.filter(|entry| availability.is_none_or(|wanted| wanted == Availability::of(ctx, entry.0))).collect()
    }

    /// One kind of service.
    async fn catalog_entry(&self, #[graphql(desc = "The kind to describe.")] kind: ServiceKind) -> CatalogEntry {
        CatalogEntry(catalog::definition(kind.into()))
    }

    /// A service. Null when it does not exist, or when it is not yours to see.
    async fn service(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service's id.")] id: ID,
    ) -> Result<Option<Service>> {
        let id = parse_service("id", &id)?;
        Ok(app(ctx).service(viewer(ctx)?, id).await?.map(Service::from))
    }

    /// What a service took and held up to now; the server remembers a day. Null when the service does not exist, or when it is
    /// not yours to see.
    async fn service_metrics_history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service's id.")] id: ID,
        #[graphql(desc = "How far to go back.", default_with = "MetricsRange::Hour")] range: MetricsRange,
    ) -> Result<Option<ServiceMetricsHistory>> {
        let id = parse_service("id", &id)?;
        let found = app(ctx).service_history(viewer(ctx)?, id, range.into()).await?;
        Ok(found.map(|(service, history)| ServiceMetricsHistory { service, history }))
    }

    /// A backup. Null when it does not exist, or when it is not yours to see.
    async fn backup(&self, ctx: &Context<'_>, #[graphql(desc = "The backup's id.")] id: ID) -> Result<Option<Backup>> {
        let id = parse_backup("id", &id)?;
        Ok(app(ctx).backup(viewer(ctx)?, id).await?.map(Backup))
    }

    /// The backups of a project's services, those of destroyed ones included, the newest first. Give `first` (and `after`) to page
    /// forwards or `last` (and `before`) to page backwards; the first 20 when neither is given.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn backups(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The project whose backups to list.")] project_id: ID,
        #[graphql(desc = "At most so many from the beginning, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Only backups behind this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only backups ahead of this cursor.")] before: Option<String>,
    ) -> Result<BackupConnection> {
        let project = parse_project("projectId", &project_id)?;
        BackupConnection::load(ctx, BackupsOf::Project(project), PageArguments { first, after, last, before }).await
    }

    /// A project's services, oldest first unless `orderBy` says otherwise. Give `first` (and `after`) to page forwards or `last` (and `before`) to page
    /// backwards; the first 20 when neither is given.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "Relay's four, and what to list")]
    async fn services(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The project whose services to list.")] project_id: ID,
        #[graphql(desc = "Which of them; all that are not destroyed when left out.")] filter: Option<ServiceFilter>,
        #[graphql(desc = "In which order; the oldest first when left out.")] order_by: Option<ServiceOrder>,
        #[graphql(desc = "At most so many from the beginning, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Only services behind this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only services ahead of this cursor.")] before: Option<String>,
    ) -> Result<ServiceConnection> {
        let project = parse_project("projectId", &project_id)?;
        let page = PageArguments { first, after, last, before };
        ServiceConnection::load(ctx, project, filter.unwrap_or_default().parse(order_by)?, page).await
    }
}
