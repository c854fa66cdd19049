//! Which services to look at, and when: each at most once at a time, later ones by timer. How many at once is for the
//! [lanes](super::lanes) to say.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use crate::domain::id::ServiceId;

/// A queue of services without doubles.
pub(super) struct Queue {
    ready: VecDeque<ServiceId>,
    waiting: HashSet<ServiceId>,
    running: HashMap<ServiceId, Running>,
    timers: DelayQueue<ServiceId>,
    keys: HashMap<ServiceId, Key>,
}

struct Running {
    /// Somebody asked for a look since this one began.
    asked_again: bool,
    interrupt: Arc<Notify>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            waiting: HashSet::new(),
            running: HashMap::new(),
            timers: DelayQueue::new(),
            keys: HashMap::new(),
        }
    }

    /// Asks for a look. One that is under way is told, and followed by another.
    pub(super) fn push(&mut self, service: ServiceId) {
        if let Some(running) = self.running.get_mut(&service) {
            running.asked_again = true;
            running.interrupt.notify_one();
        } else if self.waiting.insert(service) {
            self.cancel_timer(service);
            self.ready.push_back(service);
        }
    }

    /// The next service to look at, with what tells when somebody asks for a look in the meantime.
    pub(super) fn pop(&mut self) -> Option<(ServiceId, Arc<Notify>)> {
        let service = self.ready.pop_front()?;
        self.waiting.remove(&service);
        let interrupt = Arc::new(Notify::new());
        self.running.insert(service, Running { asked_again: false, interrupt: Arc::clone(&interrupt) });
        Some((service, interrupt))
    }

    /// How many services wait for a look.
    pub(super) fn waiting(&self) -> usize {
        self.ready.len()
    }

    /// Notes that a look is over, and when the next one is due.
    pub(super) fn done(&mut self, service: ServiceId, again: Option<Duration>) {
        let asked_again = self.running.remove(&service).is_some_and(|running| running.asked_again);
        if asked_again {
            self.push(service);
        } else if let Some(delay) = again {
            self.cancel_timer(service);
            self.keys.insert(service, self.timers.insert(service, delay));
        }
    }

    /// Waits for the next timer and queues its service; never returns while there is none.
    pub(super) async fn timer(&mut self) {
        match self.timers.next().await {
            Some(expired) => {
                let service = expired.into_inner();
                self.keys.remove(&service);
                self.push(service);
            }
            None => std::future::pending().await,
        }
    }

    fn cancel_timer(&mut self, service: ServiceId) {
        if let Some(key) = self.keys.remove(&service) {
            self.timers.try_remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> ServiceId {
        ServiceId(uuid::Uuid::from_u128(n))
    }

    #[tokio::test]
    async fn a_service_is_looked_at_once_at_a_time_and_once_more_when_asked_meanwhile() {
        let mut queue = Queue::new();
        queue.push(id(1));
        queue.push(id(1));
        let (service, interrupt) = queue.pop().unwrap();
        assert_eq!(service, id(1));
        assert!(queue.pop().is_none());
        queue.push(id(1));
        interrupt.notified().await;
        queue.done(id(1), None);
        assert_eq!(queue.pop().map(|(service, _)| service), Some(id(1)));
        queue.done(id(1), None);
        assert!(queue.pop().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_brings_a_service_back_unless_it_was_looked_at_before() {
        let mut queue = Queue::new();
        queue.push(id(1));
        queue.pop().unwrap();
        queue.done(id(1), Some(Duration::from_secs(5)));
        queue.timer().await;
        assert_eq!(queue.pop().map(|(service, _)| service), Some(id(1)));
        queue.done(id(1), Some(Duration::from_secs(5)));
        queue.push(id(1));
        queue.pop().unwrap();
        queue.done(id(1), None);
        assert!(tokio::time::timeout(Duration::from_secs(60), queue.timer()).await.is_err());
    }
}
