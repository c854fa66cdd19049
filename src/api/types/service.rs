//! A service.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::backup::BackupConnection;
use super::backup_policy::BackupPolicy;
use super::catalog::TierSpec;
use super::credential::Credential;
use super::date_time::DateTime;
use super::endpoint::{ENDPOINTS, ServiceEndpoint};
use super::enums::{ServiceAction, ServiceKind, ServiceState};
use super::instance::ReplacedInstance;
use super::list::plain;
use super::operation::{Operation, ServiceError};
use super::page::{PageArguments, page_cost};
use super::recovery_window::RecoveryWindow;
use super::service_event_connection::{ServiceEventConnection, Source};
use super::storage::{ServiceStorage, StorageEnforcement};
use crate::api::documents::limits::list_cost;
use crate::api::error::Result;
use crate::api::guard::viewer;
use crate::api::{app, batches};
use crate::app::actions::viewer_actions;
use crate::catalog::definition;
use crate::domain::page::BackupsOf;
use crate::domain::service;

/// How many credentials the kinds have at most.
const CREDENTIALS: usize = 6;
/// How many versions the kinds have at most.
const VERSIONS: usize = 3;

pub struct Service(pub Arc<service::Service>);

impl From<service::Service> for Service {
    fn from(service: service::Service) -> Self {
        Self(Arc::new(service))
    }
}

plain!(Service {
    "id" => shown_id,
    "revision" => revision,
    "projectId" => project_id,
    "name" => name,
    "kind" => kind,
    "version" => version,
    "restartPending" => restart_pending,
    "state" => state,
    "hostname" => hostname,
    "port" => port,
    "externalHost" => external_host,
    "externalPort" => external_port,
    "containerName" => container_name,
    "node" => node,
    "expiresAt" => expires_at,
    "createdAt" => created_at,
    "updatedAt" => updated_at,
});

impl Service {
    fn shown_id(&self, _: &Context<'_>) -> ID {
        self.0.id.to_string().into()
    }
}

/// A managed service of a project.
#[Object]
impl Service {
    /// Identifies the service; opaque.
    pub async fn id(&self, ctx: &Context<'_>) -> ID {
        self.shown_id(ctx)
    }

    /// Counts its changes: of two answers about a service the one of the higher revision is the newer, whatever order they
    /// came in.
    fn revision(&self) -> i64 {
        self.0.revision
    }

    /// The project that it belongs to.
    fn project_id(&self) -> ID {
        self.0.project.to_string().into()
    }

    /// What people call it: 1 to 40 lower-case letters, digits and hyphens. Its own in its project among the services
    /// that are not destroyed.
    fn name(&self) -> &str {
        self.0.name.as_str()
    }

    /// What it is.
    fn kind(&self) -> ServiceKind {
        self.0.wish.kind.into()
    }

    /// The version of what it is, such as "17".
    fn version(&self) -> &str {
        &self.0.wish.version
    }

    /// How large it is.
    async fn tier(&self) -> TierSpec {
        TierSpec(self.0.wish.tier)
    }

    /// What its volume holds, and what it may hold.
    async fn storage(&self) -> ServiceStorage {
        ServiceStorage {
            used_mib: self.0.evidence.storage.used_mib,
            limit_mib: self.0.storage_limit_mib(),
            enforcement: match self.0.evidence.storage.is_walled(self.0.wish.tier.storage_mib) {
                true => StorageEnforcement::Hard,
                false => StorageEnforcement::Guarded,
            },
        }
    }

    /// Whether it runs in another size than `tier`, some of which the server inside, or its volume, takes only when it is started.
    fn restart_pending(&self) -> bool {
        let is_told = definition(self.0.wish.kind).offer.as_ref().is_some_and(|offer| offer.can.live_resize.is_some());
        (!is_told && self.0.is_outgrown()) || self.0.grows_at_start()
    }

    /// What is true of it right now.
    fn state(&self) -> ServiceState {
        self.0.state.into()
    }

    /// What is being done about it; null when it is settled.
    async fn operation(&self) -> Option<Operation> {
        self.0.operation.clone().map(Operation)
    }

    /// Why it is in ERROR, what its operation has to wait for, that it takes no more writes, or why its password could not be
    /// changed or it could not be brought to another version; null otherwise.
    async fn error(&self) -> Option<ServiceError> {
        self.0.error.clone().map(ServiceError)
    }

    /// The host name that containers on the project's network reach it by.
    fn hostname(&self) -> &str {
        &self.0.address.hostname
    }

    /// The TCP port that it listens on at `hostname`.
    fn port(&self) -> u16 {
        // A service exists of offered kinds only.
        definition(self.0.wish.kind).offer.as_ref().map_or(0, |offer| offer.port())
    }

    /// The address that it is also published on, outside the project's network, as the engine tells; null while it is
    /// not: before it is started, while it is stopped, and always where the server publishes nothing or the project's
    /// network has no way out.
    fn external_host(&self) -> Option<String> {
        self.0.evidence.published.map(|published| published.address.to_string())
    }

    /// The TCP port that it is published on at `externalHost`; null while it is not. A start gives it the same one again.
    fn external_port(&self) -> Option<u16> {
        self.0.evidence.published.map(|published| published.port)
    }

    /// Where it listens; the first is the main one, whose are `port` and `externalPort`.
    #[graphql(complexity = "list_cost(ENDPOINTS, child_complexity)")]
    async fn endpoints(&self) -> Vec<ServiceEndpoint> {
        let endpoints = definition(self.0.wish.kind).offer.as_ref().map_or(&[][..], |offer| offer.endpoints);
        let published = self.0.evidence.published;
        let places = endpoints.iter().enumerate();
        places
            .map(|(n, endpoint)| ServiceEndpoint { endpoint, published: published.and_then(|first| first.at(n)) })
            .collect()
    }

    /// What its container and its volume are called on the engine's host, for `docker logs` and the like. It is another name after
    /// an upgrade, a restore into it, or `revertService`.
    fn container_name(&self) -> String {
        self.0.instance.to_string()
    }

    /// The node that it is on, by its name. It never goes to another one by itself.
    fn node(&self) -> &str {
        self.0.node.as_str()
    }

    /// The environment variables to connect with, with the password left out. `revealCredentials` shows it.
    #[graphql(complexity = "list_cost(CREDENTIALS, child_complexity)")]
    async fn credentials(&self, ctx: &Context<'_>) -> Result<Vec<Credential>> {
        let sealed = batches::sealed(ctx, self.0.id).await?;
        let shown = app(ctx).shown_credentials(&self.0, sealed.as_ref());
        Ok(shown.into_iter().map(Credential::Shown).collect())
    }

    /// Exactly which of these actions would be accepted from you now: the buttons to show.
    async fn viewer_actions(&self, ctx: &Context<'_>) -> Result<Vec<ServiceAction>> {
        let is_kept = batches::replaced(ctx, self.0.id).await?.is_some();
        Ok(viewer_actions(viewer(ctx)?, &self.0, is_kept).into_iter().map(ServiceAction::from).collect())
    }

    /// The versions that it can be brought to, newest first; empty where there are none. Their order is that of the catalog.
    #[graphql(complexity = "list_cost(VERSIONS, child_complexity)")]
    async fn upgrades_to(&self) -> &[&'static str] {
        definition(self.0.wish.kind).upgrades(&self.0.wish.version)
    }

    /// What `revertService` goes to: what it was before its last upgrade or restore in place that it did not go back from, or else
    /// what it went back from first. Null where nothing is kept.
    async fn replaced(&self, ctx: &Context<'_>) -> Result<Option<ReplacedInstance>> {
        Ok(batches::replaced(ctx, self.0.id).await?.map(ReplacedInstance))
    }

    /// Its backups, the newest first. Give `first` (and `after`) to page forwards or `last` (and `before`) to page backwards; the
    /// first 20 when neither is given.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn backups(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many from the beginning, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Only backups behind this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only backups ahead of this cursor.")] before: Option<String>,
    ) -> Result<BackupConnection> {
        BackupConnection::load(ctx, BackupsOf::Service(self.0.id), PageArguments { first, after, last, before }).await
    }

    /// When it is backed up by itself, and what is kept of that; null: only when somebody asks for it.
    async fn backup_policy(&self) -> Option<BackupPolicy> {
        BackupPolicy::of(&self.0)
    }

    /// The moments that `restoreService` can bring it back to, with `at`; null where there is none: with a `backupPolicy` whose
    /// `pointInTime` is true, there are some once a backup was taken. Those of a service that is destroyed stay for their days.
    async fn recovery_window(&self, ctx: &Context<'_>) -> Result<Option<RecoveryWindow>> {
        Ok(batches::recovery_window(ctx, self.0.id).await?.map(RecoveryWindow))
    }

    /// Whether it is protected from being destroyed. While it is, `destroyService` is a CONFLICT, and no action to offer.
    async fn deletion_protection(&self) -> bool {
        self.0.lifetime.protected
    }

    /// When it is destroyed by itself, with its data; null: never. An event says so an hour before.
    fn expires_at(&self) -> Option<DateTime> {
        self.0.lifetime.expires_at.map(DateTime)
    }

    /// When it was asked for.
    fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it last changed.
    fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// What happened to it, oldest first. Give `first` (and `after`) to page forwards or `last` (and `before`) to page
    /// backwards; the first 20 when neither is given.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many from the beginning, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Only events behind this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only events ahead of this cursor.")] before: Option<String>,
    ) -> Result<ServiceEventConnection> {
        let of = Source::Service(self.0.project.clone(), self.0.id);
        ServiceEventConnection::load(ctx, of, PageArguments { first, after, last, before }).await
    }
}
