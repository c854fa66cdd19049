//! What can be provisioned.

use async_graphql::{Context, Enum, ID, Object};

use super::endpoint::{CatalogEndpoint, ENDPOINTS};
use super::enums::{ServiceKind, SizeTier};
use super::node_id;
use crate::api::app;
use crate::api::documents::limits::list_cost;
use crate::catalog::{self, Definition, Offer, offering};
use crate::domain::service;

/// How many sizes an offer has.
const TIERS: usize = 3;

/// Whether a kind of service can be provisioned.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It can.
    Available,
    /// It is announced and can't be provisioned yet.
    ComingSoon,
    /// The operator does not offer it here. Services of this kind that are there go on as ever.
    Withdrawn,
}

impl Availability {
    pub fn of(ctx: &Context<'_>, definition: &Definition) -> Self {
        match app(ctx).offering().availability(definition) {
            offering::Availability::Offered => Self::Available,
            offering::Availability::ComingSoon => Self::ComingSoon,
            offering::Availability::Withdrawn => Self::Withdrawn,
        }
    }
}

pub struct CatalogEntry(pub &'static Definition);

impl CatalogEntry {
    /// None while it is coming soon.
    fn offer(&self, ctx: &Context<'_>) -> Option<&'static Offer> {
        self.0.offer.as_ref().filter(|_| Availability::of(ctx, self.0) != Availability::ComingSoon)
    }
}

/// A kind of service: what to show before one is provisioned.
#[Object]
impl CatalogEntry {
    /// Identifies the entry among all objects; opaque.
    pub async fn id(&self) -> ID {
        node_id::of_kind(self.0.kind)
    }

    /// What to give to `provisionService`.
    async fn kind(&self) -> ServiceKind {
        self.0.kind.into()
    }

    /// How the kind is called, such as "PostgreSQL".
    async fn name(&self) -> &str {
        self.0.name
    }

    /// One sentence on what it is good for.
    async fn description(&self) -> &str {
        self.0.description
    }

    /// Whether it can be provisioned.
    async fn availability(&self, ctx: &Context<'_>) -> Availability {
        Availability::of(ctx, self.0)
    }

    /// The versions on offer, newest first. Empty while it is coming soon.
    async fn versions(&self, ctx: &Context<'_>) -> &[&str] {
        self.offer(ctx).map_or(&[], |offer| offer.versions)
    }

    /// The version that is taken when none is asked for. Null while it is coming soon.
    async fn default_version(&self, ctx: &Context<'_>) -> Option<&str> {
        self.offer(ctx).map(|offer| offer.default_version)
    }

    /// The sizes on offer, smallest first. Empty while it is coming soon.
    #[graphql(complexity = "list_cost(TIERS, child_complexity)")]
    async fn tiers(&self, ctx: &Context<'_>) -> Vec<TierSpec> {
        self.offer(ctx).iter().flat_map(|offer| offer.tiers).map(TierSpec).collect()
    }

    /// Whether a service of this kind takes a new size while it runs, so that `resizeService` ends no connection. False while
    /// it is coming soon.
    async fn resizes_live(&self, ctx: &Context<'_>) -> bool {
        self.offer(ctx).is_some_and(|offer| offer.can.live_resize.is_some())
    }

    /// Where a service of this kind listens; the first is the main one. Empty while it is coming soon.
    #[graphql(complexity = "list_cost(ENDPOINTS, child_complexity)")]
    async fn endpoints(&self, ctx: &Context<'_>) -> Vec<CatalogEndpoint> {
        self.offer(ctx).iter().flat_map(|offer| offer.endpoints).map(CatalogEndpoint).collect()
    }

    /// What services of this kind can do besides what all can. Empty while it is coming soon.
    async fn abilities(&self, ctx: &Context<'_>) -> Vec<ServiceAbility> {
        self.offer(ctx).iter().flat_map(|offer| offer.abilities()).map(ServiceAbility::from).collect()
    }

    /// The environment variables that a service of this kind generates.
    async fn credential_keys(&self) -> &[&str] {
        self.0.credential_keys
    }
}

/// What a kind of service may be able to do.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "catalog::Ability")]
pub enum ServiceAbility {
    /// `rotateCredentials` ends no connection.
    LiveRotation,
    /// `rotateCredentials` starts the server inside anew, which ends connections.
    RotationByRestart,
    /// `resizeService` ends no connection.
    LiveResize,
    /// When its storage is full it goes on to be read and to delete. Without this it is stopped then.
    StorageGuard,
    /// `upgradeService` brings it to another version.
    Upgrade,
    /// It can be backed up, restored and cloned.
    Backup,
    /// It can be restored to any moment.
    PointInTime,
    /// `exportService` gives what it holds in the form of its own tools.
    Export,
    /// `runSql` reads its tables.
    Sql,
    /// `scanKeys` and `readKey` show what it holds.
    Keys,
}

pub struct TierSpec(pub service::TierSpec);

/// What a size tier gives to a service of one kind.
#[Object]
impl TierSpec {
    /// What to give to `provisionService`.
    async fn tier(&self) -> SizeTier {
        self.0.tier.into()
    }

    /// How the tier is called, such as "Dev".
    async fn name(&self) -> &str {
        self.0.tier.name()
    }

    /// The memory it can use at most, in MiB (2^20 bytes).
    async fn memory_mib(&self) -> u32 {
        self.0.memory_mib
    }

    /// The CPU time it can use at most, in cores.
    async fn cpus(&self) -> f64 {
        f64::from(self.0.cpu_millis) / 1000.0
    }

    /// What its volume may hold, in MiB (2^20 bytes).
    async fn storage_mib(&self) -> u32 {
        self.0.storage_mib
    }
}
