//! The moments that a service can be brought back to.

use async_graphql::Object;

use super::date_time::DateTime;
use crate::domain::log::{self, Span};

pub struct RecoveryWindow(pub log::RecoveryWindow);

/// The moments that a service can be brought back to. It moves on while the service runs: what is committed can be brought back
/// within a minute.
#[Object]
impl RecoveryWindow {
    /// The first of them.
    async fn earliest(&self) -> DateTime {
        DateTime(self.0.earliest())
    }

    /// The last of them. Where it stays behind for more than a minute, what is written waits in the service's storage: the server or
    /// the place where backups are kept is away, or the service does not run.
    async fn latest(&self) -> DateTime {
        DateTime(self.0.latest())
    }

    /// What is missing in between: more was written than could wait, or the service ran on as another instance, up to its next
    /// backup.
    async fn gaps(&self) -> Vec<RecoveryGap> {
        self.0.gaps().map(RecoveryGap).collect()
    }
}

pub struct RecoveryGap(Span);

/// Moments that a service can't be brought back to, between others.
#[Object]
impl RecoveryGap {
    /// The last moment before it.
    async fn from(&self) -> DateTime {
        DateTime(self.0.from)
    }

    /// The first moment behind it.
    async fn to(&self) -> DateTime {
        DateTime(self.0.to)
    }
}
