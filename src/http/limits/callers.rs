//! How many operations of one caller are executed at once. The others wait, so that whoever sends a great many
//! keeps nobody else from theirs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::CallerKey;
use crate::api::ExecutionPermit;

pub struct CallerConcurrency {
    most: usize,
    callers: Mutex<HashMap<CallerKey, Arc<Semaphore>>>,
}

impl CallerConcurrency {
    pub fn new(most: usize) -> Self {
        Self { most, callers: Mutex::default() }
    }

    /// Leave for one operation of `caller`'s, to be waited for.
    pub fn permit(&self, caller: CallerKey) -> ExecutionPermit {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let of_caller = callers.entry(caller).or_insert_with(|| Arc::new(Semaphore::new(self.most)));
        ExecutionPermit::new(Arc::clone(of_caller))
    }

    /// Forgets callers of whom no operation is under way.
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
        let [first, second, third, fourth] = [(); 4].map(|()| callers.permit(subject("greedy")));
        assert!(first.acquire().now_or_never().is_some() && second.acquire().now_or_never().is_some());
        let mut waiting = Box::pin(third.acquire());
        let mut later = Box::pin(fourth.acquire());
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(later.as_mut().now_or_never().is_none());
        assert!(callers.permit(subject("modest")).acquire().now_or_never().is_some());
        drop(first);
        assert!(later.as_mut().now_or_never().is_none(), "the third one came earlier");
        assert!(waiting.now_or_never().is_some());
        // Whoever no longer waits keeps nothing.
        drop(later);
        third.release();
        assert!(callers.permit(subject("greedy")).acquire().now_or_never().is_some());
    }

    #[test]
    fn what_waits_for_its_next_event_gives_way_and_has_to_wait_again() {
        let callers = CallerConcurrency::new(1);
        let [watching, asking] = [(); 2].map(|()| callers.permit(subject("ada")));
        assert!(watching.acquire().now_or_never().is_some());
        assert!(watching.acquire().now_or_never().is_some(), "it has it already");
        assert!(asking.acquire().now_or_never().is_none());
        watching.release();
        assert!(asking.acquire().now_or_never().is_some());
        assert!(watching.acquire().now_or_never().is_none());
    }

    #[test]
    fn callers_who_are_gone_are_forgotten() {
        let callers = CallerConcurrency::new(1);
        let watching = callers.permit(subject("0"));
        for caller in 1..100 {
            drop(callers.permit(subject(&caller.to_string())));
        }
        callers.forget_idle();
        assert_eq!(callers.callers.lock().unwrap().len(), 1, "it may go on at any time");
        drop(watching);
        callers.forget_idle();
        assert!(callers.callers.lock().unwrap().is_empty());
    }
}
