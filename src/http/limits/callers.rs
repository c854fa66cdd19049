//! How many queries and mutations of one caller are executed at once. The others wait, so that whoever sends a great many
//! keeps nobody else from theirs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::CallerKey;

pub struct CallerConcurrency {
    most: usize,
    callers: Mutex<HashMap<CallerKey, Arc<Semaphore>>>,
}

/// One execution's, until it is dropped.
#[must_use]
pub struct ExecutionPermit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl CallerConcurrency {
    pub fn new(most: usize) -> Self {
        Self { most, callers: Mutex::default() }
    }

    /// Waits until it is `caller`'s turn; those of one caller come in the order in which they asked.
    pub async fn acquire(&self, caller: CallerKey) -> ExecutionPermit {
        let of_caller = {
            let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(callers.entry(caller).or_insert_with(|| Arc::new(Semaphore::new(self.most))))
        };
        // It is never closed.
        ExecutionPermit { _permit: of_caller.acquire_owned().await.ok() }
    }

    /// Forgets callers who neither have a turn nor wait for one.
    pub fn forget_idle(&self) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.retain(|_, of_caller| Arc::strong_count(of_caller) > 1);
        callers.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn subject(name: &str) -> CallerKey {
        CallerKey::Subject(name.to_owned())
    }

    #[test]
    fn who_asks_for_too_much_waits_and_nobody_else_does() {
        let callers = CallerConcurrency::new(2);
        let [first, _second] = [(); 2].map(|()| callers.acquire(subject("greedy")).now_or_never().expect("a turn"));
        let mut third = Box::pin(callers.acquire(subject("greedy")));
        let mut fourth = Box::pin(callers.acquire(subject("greedy")));
        assert!(third.as_mut().now_or_never().is_none());
        assert!(fourth.as_mut().now_or_never().is_none());
        let modest = callers.acquire(subject("modest")).now_or_never();
        assert!(modest.is_some());
        drop(first);
        assert!(fourth.as_mut().now_or_never().is_none(), "the third one came earlier");
        let third = third.now_or_never();
        assert!(third.is_some());
        // Whoever no longer waits keeps no turn.
        drop(fourth);
        drop(third);
        assert!(callers.acquire(subject("greedy")).now_or_never().is_some());
    }

    #[test]
    fn callers_who_are_gone_are_forgotten() {
        let callers = CallerConcurrency::new(1);
        let held = callers.acquire(subject("0")).now_or_never().expect("a turn");
        let mut waiting = Box::pin(callers.acquire(subject("0")));
        assert!(waiting.as_mut().now_or_never().is_none());
        for caller in 1..100 {
            drop(callers.acquire(subject(&caller.to_string())).now_or_never());
        }
        callers.forget_idle();
        assert_eq!(callers.callers.lock().unwrap().len(), 1);
        assert!(waiting.as_mut().now_or_never().is_none(), "the turn is still held");
        drop((held, waiting));
        callers.forget_idle();
        assert!(callers.callers.lock().unwrap().is_empty());
    }
}
