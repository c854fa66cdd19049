//! How many queries and mutations of one caller are executed at once. The others wait, so that whoever sends a great many
//! keeps nobody else from theirs.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub struct Turns<K> {
    most: usize,
    callers: Mutex<HashMap<K, Arc<Semaphore>>>,
}

/// One execution's, until it is dropped.
#[must_use]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl<K: Eq + Hash> Turns<K> {
    pub fn new(most: usize) -> Self {
        Self { most, callers: Mutex::default() }
    }

    /// Waits until it is `caller`'s turn; those of one caller come in the order in which they asked.
    pub async fn take(&self, caller: K) -> Turn {
        let of_caller = {
            let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(callers.entry(caller).or_insert_with(|| Arc::new(Semaphore::new(self.most))))
        };
        // It is never closed.
        Turn { _permit: of_caller.acquire_owned().await.ok() }
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

    #[test]
    fn who_asks_for_too_much_waits_and_nobody_else_does() {
        let turns = Turns::new(2);
        let [first, _second] = [(); 2].map(|()| turns.take("greedy").now_or_never().expect("a turn"));
        let mut third = Box::pin(turns.take("greedy"));
        let mut fourth = Box::pin(turns.take("greedy"));
        assert!(third.as_mut().now_or_never().is_none());
        assert!(fourth.as_mut().now_or_never().is_none());
        let modest = turns.take("modest").now_or_never();
        assert!(modest.is_some());
        drop(first);
        assert!(fourth.as_mut().now_or_never().is_none(), "the third one came earlier");
        let third = third.now_or_never();
        assert!(third.is_some());
        // Whoever no longer waits keeps no turn.
        drop(fourth);
        drop(third);
        assert!(turns.take("greedy").now_or_never().is_some());
    }

    #[test]
    fn callers_who_are_gone_are_forgotten() {
        let turns = Turns::new(1);
        let held = turns.take(0).now_or_never().expect("a turn");
        let mut waiting = Box::pin(turns.take(0));
        assert!(waiting.as_mut().now_or_never().is_none());
        for caller in 1..100 {
            drop(turns.take(caller).now_or_never());
        }
        turns.forget_idle();
        assert_eq!(turns.callers.lock().unwrap().len(), 1);
        assert!(waiting.as_mut().now_or_never().is_none(), "the turn is still held");
        drop((held, waiting));
        turns.forget_idle();
        assert!(turns.callers.lock().unwrap().is_empty());
    }
}
