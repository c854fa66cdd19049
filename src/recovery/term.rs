//! Whether a server works on the database, and that none begins to meanwhile without being noticed.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::RecoveryError;
use crate::domain::node::NodeName;
use crate::domain::term::{ReplicaId, Term};
use crate::store::Store;

/// Longer than a server is silent whose database is a file: it shows a sign of life every 10 seconds.
const SILENCE: Duration = Duration::from_secs(13);
/// The same where the database is shared, and signs of life come twice a second.
const SHARED_SILENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Begins a term of the node once whoever held the last one has shown no sign of life for long enough. One that `nobody` can hold, for the
/// database is new in its place, is not waited for.
///
/// # Errors
/// `Serving` where there was one.
pub(super) async fn take(store: &dyn Store, node: &NodeName, nobody: bool) -> Result<Term, RecoveryError> {
    let seen = store.term_current(node).await?;
    if seen.holder.is_some() && !nobody {
        let silence = if store.is_shared() { SHARED_SILENCE } else { SILENCE };
        let begun = Instant::now();
        while begun.elapsed() < silence {
            tokio::time::sleep(LOOK).await;
            if store.term_current(node).await? != seen {
                return Err(RecoveryError::Serving);
            }
        }
    }
    let taken = store.term_take(&seen, ReplicaId(Uuid::now_v7())).await?;
    taken.ok_or(RecoveryError::Serving)
}
