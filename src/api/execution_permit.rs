//! Leave for an operation to be executed, which its caller has few of at once.
//!
//! A query or a mutation has it from its beginning to its end. A subscription has it while one of its events is executed
//! and gives it back while it waits for the next: what one caller watches keeps the threads from nobody else.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Part of a request's data; whoever executes requests puts it there.
#[derive(Clone)]
pub struct ExecutionPermit {
    of_caller: Arc<Semaphore>,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl ExecutionPermit {
    /// One of `of_caller`'s, not had yet.
    pub fn new(of_caller: Arc<Semaphore>) -> Self {
        Self { of_caller, held: Arc::default() }
    }

    /// Waits until it may go on; those of one caller come in the order in which they asked.
    pub async fn acquire(&self) {
        if self.held().is_none() {
            // It is never closed.
            let permit = Arc::clone(&self.of_caller).acquire_owned().await.ok();
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
