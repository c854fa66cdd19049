//! Leave for an operation to be executed, which its caller has few of at once.
//!
//! A query or a mutation has it from its beginning to its end. A subscription has it while one of its events is executed
//! and gives it back while it waits for the next: what one caller watches keeps the threads from nobody else.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Part of a request's data; whoever executes requests puts it there.
#[derive(Clone)]
pub struct ExecutionPermit {
    whose: Whose,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

#[derive(Clone)]
enum Whose {
    Caller(Arc<Semaphore>),
    /// That of any of the callers that there are then.
    AnyOf(Arc<dyn Fn() -> Vec<Arc<Semaphore>> + Send + Sync>),
}

impl ExecutionPermit {
    /// One of `of_caller`'s, not had yet.
    pub fn new(of_caller: Arc<Semaphore>) -> Self {
        Self { whose: Whose::Caller(of_caller), held: Arc::default() }
    }

    /// One for what is executed for several callers: that of whoever's turn comes first. None is needed where there are none.
    pub fn of_any(callers: Arc<dyn Fn() -> Vec<Arc<Semaphore>> + Send + Sync>) -> Self {
        Self { whose: Whose::AnyOf(callers), held: Arc::default() }
    }

    /// The caller's, where it is of one.
    pub fn caller(&self) -> Option<&Arc<Semaphore>> {
        match &self.whose {
            Whose::Caller(of_caller) => Some(of_caller),
            Whose::AnyOf(_) => None,
        }
    }

    /// Waits until it may go on; those of one caller come in the order in which they asked.
    pub async fn acquire(&self) {
        if self.held().is_none() {
            // They are never closed.
            let permit = match &self.whose {
                Whose::Caller(of_caller) => Arc::clone(of_caller).acquire_owned().await.ok(),
                Whose::AnyOf(callers) => first_of(callers()).await,
            };
            *self.held() = permit;
        }
    }

    /// Gives it back until it is acquired again.
    pub fn release(&self) {
        *self.held() = None;
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn first_of(callers: Vec<Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
    let mut waiting: FuturesUnordered<_> = callers.into_iter().map(Semaphore::acquire_owned).collect();
    waiting.next().await?.ok()
}
