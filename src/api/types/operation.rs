//! What is being done about a service, and why it failed.

use async_graphql::Object;

use super::date_time::DateTime;
use super::enums::{OperationKind, OperationPhase};
use crate::domain::service;

pub struct Operation(pub service::Operation);

/// What is being done about a service.
#[Object]
impl Operation {
    /// What is being done.
    async fn kind(&self) -> OperationKind {
        self.0.kind.into()
    }

    /// How far it is. A phase that is over within half a second may be shown late, together with what follows it; in the events each has
    /// its own.
    async fn phase(&self) -> OperationPhase {
        self.0.phase.into()
    }

    /// How much is there, 0 to 100, of an image that is being pulled, and of data that is being copied to another version (an
    /// estimate, by what both take on their volumes); null otherwise.
    async fn progress_percent(&self) -> Option<u8> {
        self.0.progress_percent
    }

    /// When it was begun.
    async fn started_at(&self) -> DateTime {
        DateTime(self.0.started_at)
    }
}

pub struct ServiceError(pub service::ServiceError);

/// Why a service does not do what it should.
#[Object]
impl ServiceError {
    /// For programs, such as `PULL_FAILED`, `START_TIMEOUT`, `OUT_OF_MEMORY`, `PORT_IN_USE`, `NETWORK_POOL_EXHAUSTED`,
    /// `VOLUME_LOST`, `ENGINE_UNAVAILABLE`, `NODE_UNAVAILABLE`, `CREDENTIALS_REFUSED`, `ROTATION_FAILED`, `UPGRADE_FAILED` or `STORAGE_FULL`. More may
    /// come.
    async fn code(&self) -> &str {
        self.0.code.as_str()
    }

    /// For people. It never holds a secret.
    async fn message(&self) -> &str {
        &self.0.message
    }

    /// When it was noticed.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.0.occurred_at)
    }
}
