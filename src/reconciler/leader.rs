//! One replica at a time reconciles a node: a term in the store, kept alive by beats, taken over when they stop.
//!
//! No clock is compared with another's. Whoever waits takes over when it has seen the term stand still for
//! [`TAKEOVER`] by its own clock; whoever leads steps down when it could not renew for [`PATIENCE`], which is less. What a
//! leader writes carries its term's epoch and is refused once another has begun. On a store of one's own nobody waits for
//! signs of life, so that only another's term ends one's own: a busy machine or a locked file does not.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::node::NodeName;
use crate::domain::term::{ReplicaId, Term};
use crate::store::{self, Terms};

/// Between two signs of life, and between two looks at another's.
const BEAT: Duration = Duration::from_millis(500);
/// The same on a store of one's own, where nobody waits for them.
const IDLE_BEAT: Duration = Duration::from_secs(10);
/// How long a leader goes on after a sign of life was due and could not be shown.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the signs of life have to be missing before another takes over.
const TAKEOVER: Duration = Duration::from_secs(4);

/// Runs `reconcile` in each term of the node that this replica gets, until `shutdown`, or until another server has taken over a store
/// that can't be shared. The token that `reconcile` is given is cancelled at the end of the term; the term ends for good
/// when `reconcile` has returned.
pub(super) async fn lead<R>(
    store: &dyn Terms,
    (node, replica): (&NodeName, ReplicaId),
    shutdown: &CancellationToken,
    mut reconcile: impl FnMut(Term, CancellationToken) -> R,
) where
    R: Future<Output = ()>,
{
    let shared = store.is_shared();
    // On a store of one's own, what held the term before is this server's last run.
    let mut at_once = !shared;
    let mut seen: Option<(Term, Instant)> = None;
    while !shutdown.is_cancelled() {
        match next_term(store, (node, replica), &mut seen, at_once).await {
            Some(term) => {
                at_once = false;
                seen = None;
                let epoch = term.epoch;
                tracing::info!(%node, epoch, "This replica reconciles now");
                let deposed = shutdown.child_token();
                let (last, ()) = tokio::join!(keep(store, term.clone(), &deposed), reconcile(term, deposed.clone()));
                if let Err(error) = store.term_release(&last).await {
                    tracing::debug!(error = ?error, "The term could not be released; it will run out");
                }
                tracing::info!(%node, epoch, "This replica does not reconcile any more");
                if !shared && !shutdown.is_cancelled() {
                    return tracing::error!("Another server uses this database now; only PostgreSQL can be shared");
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
    store: &dyn Terms,
    (node, replica): (&NodeName, ReplicaId),
    seen: &mut Option<(Term, Instant)>,
    at_once: bool,
) -> Option<Term> {
    let current = match store.term_current(node).await {
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
        _ => seen.insert((current.clone(), Instant::now())).1,
    };
    if current.holder.is_some() && !at_once && since.elapsed() < TAKEOVER {
        return None;
    }
    store.term_take(&current, replica).await.ok().flatten()
}

/// Shows signs of life until the term is over, then cancels `deposed`. Gives back the term as it was last written.
async fn keep(store: &dyn Terms, mut term: Term, deposed: &CancellationToken) -> Term {
    let (beat, patience) = if store.is_shared() { (BEAT, Some(PATIENCE)) } else { (IDLE_BEAT, None) };
    let mut renewed_at = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(beat) => {}
            () = deposed.cancelled() => return term,
        }
        let asked_at = Instant::now();
        let given_up_at = patience.map(|patience| renewed_at + beat + patience);
        let renewal = renew(store, &term);
        let renewed = match given_up_at {
            Some(given_up_at) => tokio::time::timeout_at(given_up_at, renewal).await,
            None => Ok(renewal.await),
        };
        match renewed {
            Ok(Ok(Some(renewed))) => (term, renewed_at) = (renewed, asked_at),
            Ok(Ok(None)) | Err(_) => break,
            Ok(Err(_)) if given_up_at.is_some_and(|at| Instant::now() >= at) => break,
            Ok(Err(error)) => tracing::debug!(error = ?error, "The term could not be renewed; it is tried again"),
        }
    }
    tracing::warn!(node = %term.node, epoch = term.epoch, "The term is over: another replica may reconcile");
    deposed.cancel();
    term
}

/// A sign of life; None when the term is over.
async fn renew(store: &dyn Terms, term: &Term) -> store::Result<Option<Term>> {
    if let Some(renewed) = store.term_renew(term).await? {
        return Ok(Some(renewed));
    }
    // One that was given up or failed may have happened after all.
    let current = store.term_current(&term.node).await?;
    Ok((current.holder == term.holder && current.epoch == term.epoch).then_some(current))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use uuid::Uuid;

    use super::*;
    use crate::store::StoreError;

    #[derive(Clone, Copy, PartialEq)]
    enum Mood {
        Answers,
        Refuses,
        Hangs,
    }

    /// A store that may be in trouble.
    struct Troubled {
        shared: bool,
        term: Mutex<Term>,
        mood: Mutex<Mood>,
    }

    impl Troubled {
        fn new(shared: bool) -> Arc<Self> {
            let term = Mutex::new(Term { node: NodeName::default(), holder: None, epoch: 0, beat: 0 });
            Arc::new(Self { shared, term, mood: Mutex::new(Mood::Answers) })
        }

        fn set(&self, mood: Mood) {
            *self.mood.lock().unwrap() = mood;
        }

        fn term(&self) -> Term {
            self.term.lock().unwrap().clone()
        }

        async fn answer(&self) -> store::Result<()> {
            loop {
                let mood = *self.mood.lock().unwrap();
                match mood {
                    Mood::Answers => return Ok(()),
                    Mood::Refuses => return Err(StoreError::Unavailable("the file is locked".into())),
                    Mood::Hangs => tokio::time::sleep(BEAT).await,
                }
            }
        }

        async fn replace(&self, seen: &Term, next: Term) -> store::Result<Option<Term>> {
            self.answer().await?;
            let mut term = self.term.lock().unwrap();
            let is_seen = (term.epoch, term.beat) == (seen.epoch, seen.beat);
            if is_seen {
                *term = next.clone();
            }
            Ok(is_seen.then_some(next))
        }
    }

    #[async_trait]
    impl Terms for Troubled {
        async fn term_current(&self, _: &NodeName) -> store::Result<Term> {
            self.answer().await.map(|()| self.term())
        }

        async fn term_take(&self, seen: &Term, holder: ReplicaId) -> store::Result<Option<Term>> {
            self.replace(seen, Term { holder: Some(holder), epoch: seen.epoch + 1, beat: 0, ..seen.clone() }).await
        }

        async fn term_renew(&self, term: &Term) -> store::Result<Option<Term>> {
            self.replace(term, Term { beat: term.beat + 1, ..term.clone() }).await
        }

        async fn term_release(&self, term: &Term) -> store::Result<()> {
            self.replace(term, Term { holder: None, ..term.clone() }).await.map(|_| ())
        }

        fn is_shared(&self) -> bool {
            self.shared
        }
    }

    #[derive(Debug, PartialEq)]
    enum Told {
        Began(i64),
        Ended(i64),
    }

    fn replica() -> ReplicaId {
        ReplicaId(Uuid::now_v7())
    }

    /// Leads on a store, and tells of its terms.
    fn leading(store: &Arc<Troubled>) -> UnboundedReceiver<Told> {
        let (tell, told) = unbounded_channel();
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let reconcile = |term: Term, deposed: CancellationToken| {
                let tell = tell.clone();
                async move {
                    tell.send(Told::Began(term.epoch)).unwrap();
                    deposed.cancelled().await;
                    tell.send(Told::Ended(term.epoch)).unwrap();
                }
            };
            lead(store.as_ref(), (&NodeName::default(), replica()), &CancellationToken::new(), reconcile).await;
        });
        told
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_store_of_ones_own_only_another_server_ends_a_term() {
        let store = Troubled::new(false);
        let mut told = leading(&store);
        assert_eq!(told.recv().await, Some(Told::Began(1)));
        for trouble in [Mood::Hangs, Mood::Refuses] {
            store.set(trouble);
            tokio::time::sleep(IDLE_BEAT * 60).await;
            let before = store.term().beat;
            store.set(Mood::Answers);
            tokio::time::sleep(IDLE_BEAT * 3).await;
            assert!(store.term().beat > before);
        }
        assert!(told.is_empty());

        let other = store.term_take(&store.term(), replica()).await.unwrap().unwrap();
        assert_eq!(told.recv().await, Some(Told::Ended(1)));
        assert_eq!(told.recv().await, None, "it takes nothing back");
        assert_eq!(store.term(), other);
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_shared_store_a_leader_in_trouble_ends_before_another_begins() {
        for trouble in [Mood::Hangs, Mood::Refuses] {
            let store = Troubled::new(true);
            let mut told = leading(&store);
            assert_eq!(told.recv().await, Some(Told::Began(1)));
            tokio::time::sleep(TAKEOVER * 10).await;
            assert!(told.is_empty());

            store.set(trouble);
            let since = Instant::now();
            assert_eq!(told.recv().await, Some(Told::Ended(1)));
            assert!(since.elapsed() < TAKEOVER - BEAT, "{:?}", since.elapsed());
            store.set(Mood::Answers);
            assert_eq!(told.recv().await, Some(Told::Began(2)));
        }
    }
}
