//! The use cases: what a query, a mutation or a subscription does, in domain words.
//!
//! Every one takes the viewer and checks what they may do. A mutation writes what is wanted, in one transaction, and
//! wakes the reconciler. Of the engine only its [`Instruments`] are known here, to read logs and measurements and to ask
//! servers what they hold.

use std::sync::Arc;

use jiff::SignedDuration;

use crate::audit::{self, Object};
use crate::catalog::access::Seed;
use crate::catalog::offering::Offering;
use crate::catalog::policy::Policy;
use crate::clock::now;
use crate::crypto::{CryptoError, Sealer};
use crate::domain::address::Publishing;
use crate::domain::backup_policy::BackupPolicy;
use crate::domain::id::ProjectId;
use crate::domain::lifecycle::{InvalidState, ServiceAction};
use crate::domain::network::NetworkTemplate;
use crate::domain::permission::{Denied, Permission, Principal};
use crate::domain::placement::PlacementRules;
use crate::domain::service::Service;
use crate::engine::{Fleet, Instruments};
use crate::hints::Hints;
use crate::repository::Repository;
use crate::store::{BoxError, Store, StoreError};

pub use crate::crypto::Sealed;
pub use crate::store::Committed;

pub mod actions;
pub mod backup_policy;
pub mod backups;
pub mod clone;
pub mod console;
pub mod export;
pub mod feed;
pub mod key_ring;
pub mod key_rotation;
pub mod lifetime;
pub mod live;
pub mod nodes;
pub mod provision;
pub mod queries;
pub mod resize;
pub mod restore;
pub mod subscriptions;
pub mod upgrade;

/// Why a use case did not do what was asked. Display is for operators; what a client reads is `api::error`'s.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// It does not exist, as far as the viewer can tell.
    #[error("{0} not found")]
    NotFound(&'static str),
    #[error("the permission {0} is missing")]
    Forbidden(Permission),
    /// `field` is the input field or argument that is wrong.
    #[error("bad input in {field}: {message}")]
    BadInput { field: &'static str, message: String },
    #[error("{} is not allowed in {}", .0.action, .0.state)]
    InvalidState(InvalidState),
    /// No service of the kind of that name can do it, whatever its state.
    #[error("{kind} does not support {action}")]
    NotSupported { kind: &'static str, action: ServiceAction },
    /// A newer version of the server has written something about the service that this one does not know.
    #[error("what a newer version has written is left alone")]
    NotUnderstood,
    /// `field` is the input field or argument that asks for what can't be had.
    #[error("conflict in {field}: {message}")]
    Conflict { field: &'static str, message: String },
    /// The project has `most` services.
    #[error("the project has its {most} services")]
    QuotaExceeded { most: u32 },
    /// No node that a service might go to has enough of that, a word such as "memory".
    #[error("no node has enough {what}")]
    NoRoom { what: &'static str },
    /// Each node is cordoned, does not answer, or is none for that.
    #[error("no node takes new services")]
    NoNode,
    /// Events behind the cursor are not kept any more.
    #[error("the cursor is older than the log")]
    CursorExpired,
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The store takes no changes until its operator has acted. `why` is a clause about it that clients may read.
    #[error("the store is out of order")]
    OutOfOrder {
        why: &'static str,
        #[source]
        cause: BoxError,
    },
    /// What is asked of the server inside a service can't be answered now. `why` is a clause for clients to read.
    #[error("the server inside can't be asked")]
    Unanswered {
        why: String,
        #[source]
        cause: Option<BoxError>,
    },
    /// As many questions are put to `whose` servers as may be at once.
    #[error("{most} questions at once are put to {whose}")]
    Crowded { whose: &'static str, most: usize },
    #[error("others hold what this needs")]
    Busy(#[source] BoxError),
    #[error("unexpected failure")]
    Internal(#[source] BoxError),
}

pub type Result<T, E = AppError> = std::result::Result<T, E>;

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(source) => Self::Unavailable(source),
            StoreError::Trouble(trouble) => Self::OutOfOrder { why: trouble.clause(), cause: trouble.into() },
            StoreError::NotUnderstood => Self::NotUnderstood,
            StoreError::NoRoom(what) => Self::NoRoom { what },
            StoreError::Expired => Self::CursorExpired,
            StoreError::Busy(source) => Self::Busy(source),
            other => Self::Internal(Box::new(other)),
        }
    }
}

impl From<CryptoError> for AppError {
    fn from(error: CryptoError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<Denied> for AppError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotVisible => Self::NotFound("project"),
            Denied::Missing(permission) => Self::Forbidden(permission),
        }
    }
}

/// What new services get.
#[derive(Debug, Clone)]
pub struct Terms {
    pub networks: NetworkTemplate,
    /// None leaves them reachable on their project's network only.
    pub publishing: Option<Publishing>,
    /// How many services that are not destroyed a project may have.
    pub services_per_project: u32,
    /// How long what a service was before an upgrade is kept.
    pub keep_replaced: SignedDuration,
    /// When and how new services of kinds that can be are backed up by themselves; None: not.
    pub backup_policy: Option<BackupPolicy>,
    /// How many days back any moment can be brought back, where a service's log is kept.
    pub recovery_days: u32,
    /// Where backups are kept.
    pub repository: Repository,
    /// What the users of services may be.
    pub policy: Policy,
    /// Which kinds they may be of.
    pub offering: Offering,
    /// On which nodes they go.
    pub placement: PlacementRules,
    /// Whether some instances are ready before anybody asks for them.
    pub has_pool: bool,
}

/// Everything that the use cases need.
pub struct App {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    hints: Arc<Hints>,
    fleet: Fleet,
    terms: Terms,
    feeds: feed::Feeds,
    gauges: live::Gauges,
    consoles: console::Consoles,
    exports: console::Consoles,
}

impl App {
    pub fn new(store: Arc<dyn Store>, sealer: Arc<Sealer>, hints: Arc<Hints>, fleet: Fleet, terms: Terms) -> Self {
        let (feeds, gauges, consoles, exports) = Default::default();
        Self { store, sealer, hints, fleet, terms, feeds, gauges, consoles, exports }
    }

    /// What tells of the node that a service is on.
    fn instruments(&self, service: &Service) -> Arc<dyn Instruments> {
        self.fleet.node(&service.node).instruments
    }

    /// How many services that are not destroyed a project may have.
    pub fn services_per_project(&self) -> u32 {
        self.terms.services_per_project
    }

    /// What can be provisioned.
    pub fn offering(&self) -> &Offering {
        &self.terms.offering
    }
}

fn visible(viewer: &Principal, project: &ProjectId) -> Result<()> {
    if viewer.sees(project) {
        return Ok(());
    }
    audit::refused(viewer, "READ", Object::Project(project), Denied::NotVisible);
    Err(AppError::NotFound("project"))
}

fn new_seed() -> Result<Seed> {
    Seed::random().map_err(|error| AppError::Internal(Box::new(error)))
}
