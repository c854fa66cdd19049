//! One replica at a time reconciles: a term in the store, kept alive by beats, taken over when they stop.
//!
//! No clock is compared with another's. Whoever waits takes over when it has seen the term stand still for
//! [`TAKEOVER`] by its own clock; whoever leads steps down when it could not renew for [`PATIENCE`], which is less. What a
//! leader writes carries its term's epoch and is refused once another has begun.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::term::{ReplicaId, Term};
use crate::store::Store;

/// Between two signs of life, and between two looks at another's.
const BEAT: Duration = Duration::from_millis(500);
/// The same on a store of one's own, where nobody waits for them.
const IDLE_BEAT: Duration = Duration::from_secs(10);
/// How long a leader goes on after a sign of life was due and could not be shown.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the signs of life have to be missing before another takes over.
const TAKEOVER: Duration = Duration::from_secs(4);

/// Runs `reconcile` in each term that this replica gets, until `shutdown`. The token that `reconcile` is given is
/// cancelled at the end of the term; the term ends for good when `reconcile` has returned.
pub(super) async fn lead<R>(
    store: &dyn Store,
    replica: ReplicaId,
    shutdown: &CancellationToken,
    mut reconcile: impl FnMut(Term, CancellationToken) -> R,
) where
    R: Future<Output = ()>,
{
    let shared = store.is_shared();
    let beat = if shared { BEAT } else { IDLE_BEAT };
    // On a store of one's own, what held the term before is this server's last run.
    let mut at_once = !shared;
    let mut seen: Option<(Term, Instant)> = None;
    while !shutdown.is_cancelled() {
        match next_term(store, replica, &mut seen, at_once).await {
            Some(term) => {
                at_once = false;
                seen = None;
                tracing::info!(epoch = term.epoch, "This replica reconciles now");
                let deposed = shutdown.child_token();
                let (last, ()) = tokio::join!(keep(store, term, beat, &deposed), reconcile(term, deposed.clone()));
                if let Err(error) = store.term_release(&last).await {
                    tracing::debug!(error = ?error, "The term could not be released; it will run out");
                }
                tracing::info!(epoch = term.epoch, "This replica does not reconcile any more");
                if !shared && !shutdown.is_cancelled() {
                    tracing::error!("Another server has taken over this database; only PostgreSQL can be shared");
                    return shutdown.cancelled().await;
                }
            }
            None => {
                tokio::select! {
                    () = tokio::time::sleep(BEAT) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        }
    }
}

/// Begins a term, if nobody holds one or its holder shows no sign of life.
async fn next_term(
    store: &dyn Store,
    replica: ReplicaId,
    seen: &mut Option<(Term, Instant)>,
    at_once: bool,
) -> Option<Term> {
    let current = match store.term_current().await {
        Ok(current) => current,
        Err(error) => {
            tracing::debug!(error = ?error, "Who reconciles can't be read");
            // What was not seen in the meantime may have been a sign of life.
            *seen = None;
            return None;
        }
    };
    let since = match seen {
        Some((term, since)) if *term == current => *since,
        _ => seen.insert((current, Instant::now())).1,
    };
    if current.holder.is_some() && !at_once && since.elapsed() < TAKEOVER {
        return None;
    }
    store.term_take(&current, replica).await.ok().flatten()
}

/// Shows signs of life until the term is over, then cancels `deposed`. Gives back the term as it was last written.
async fn keep(store: &dyn Store, mut term: Term, beat: Duration, deposed: &CancellationToken) -> Term {
    let mut renewed_at = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(beat) => {}
            () = deposed.cancelled() => return term,
        }
        let asked_at = Instant::now();
        let given_up_at = renewed_at + beat + PATIENCE;
        match tokio::time::timeout_at(given_up_at, store.term_renew(&term)).await {
            Ok(Ok(Some(renewed))) => (term, renewed_at) = (renewed, asked_at),
            Ok(Ok(None)) => {
                // A renewal that was given up may have happened after all.
                match store.term_current().await {
                    Ok(current) if current.holder == term.holder && current.epoch == term.epoch => term = current,
                    _ => break,
                }
            }
            Ok(Err(error)) if Instant::now() < given_up_at => {
                tracing::debug!(error = ?error, "The term could not be renewed; it is tried again");
            }
            Ok(Err(_)) | Err(_) => break,
        }
    }
    tracing::warn!(epoch = term.epoch, "The term is over: another replica may reconcile");
    deposed.cancel();
    term
}
