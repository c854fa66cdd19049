//! What a service was before.

use async_graphql::Object;

use super::date_time::DateTime;
use crate::domain::instance::Instance;

pub struct ReplacedInstance(pub Instance);

/// What a service was before its last upgrade, or before it last went back. It does not run; its data is as it was then.
#[Object]
impl ReplacedInstance {
    /// The version that it was of.
    async fn version(&self) -> &str {
        &self.0.version
    }

    /// Since when something else takes its place.
    async fn replaced_at(&self) -> DateTime {
        DateTime(self.0.since)
    }

    /// When it is removed for good.
    async fn kept_until(&self) -> DateTime {
        DateTime(self.0.purge_at.unwrap_or(self.0.since))
    }
}
