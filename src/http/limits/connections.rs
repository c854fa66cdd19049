//! How many may be connected at once. When there are too many, who came longest ago and asks for nothing makes room:
//! connections that never speak or speak too slowly can't keep others out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

pub struct ConnectionLimit {
    most: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    count: usize,
    /// For the numbers of slots, which grow.
    next: u64,
    /// Those who ask for nothing, longest first.
    idle: BTreeMap<u64, CancellationToken>,
}

/// One connection's, until it is dropped. It is idle at first.
pub struct ConnectionSlot {
    limit: Arc<ConnectionLimit>,
    /// Locked only while the limit is.
    usage: Mutex<Usage>,
    evicted: CancellationToken,
}

struct Usage {
    /// Where it stands among the idle, unless it is in use.
    number: u64,
    /// How many keep it from being closed.
    uses: usize,
}

/// Keeps a connection from being closed for another, until each of them is dropped.
pub struct InUse(Arc<ConnectionSlot>);

impl ConnectionLimit {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// None when all are in use.
    pub fn admit(self: &Arc<Self>) -> Option<Arc<ConnectionSlot>> {
        let mut open = self.open();
        if open.count >= self.most {
            let (_, longest) = open.idle.pop_first()?;
            longest.cancel();
        }
        open.count += 1;
        let evicted = CancellationToken::new();
        let number = open.park(evicted.clone());
        let usage = Mutex::new(Usage { number, uses: 0 });
        Some(Arc::new(ConnectionSlot { limit: Arc::clone(self), usage, evicted }))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn park(&mut self, evicted: CancellationToken) -> u64 {
        self.next += 1;
        self.idle.insert(self.next, evicted);
        self.next
    }
}

impl ConnectionSlot {
    pub fn in_use(self: &Arc<Self>) -> InUse {
        let mut open = self.limit.open();
        let mut usage = self.usage();
        usage.uses += 1;
        open.idle.remove(&usage.number);
        drop((usage, open));
        InUse(Arc::clone(self))
    }

    /// Until another connection needs the slot.
    pub async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut open = self.0.limit.open();
        let mut usage = self.0.usage();
        usage.uses -= 1;
        if usage.uses == 0 {
            usage.number = open.park(self.0.evicted.clone());
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut open = self.limit.open();
        open.idle.remove(&self.usage().number);
        open.count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_evicted(slot: &ConnectionSlot) -> bool {
        slot.evicted.is_cancelled()
    }

    #[test]
    fn who_is_idle_longest_makes_room() {
        let limit = ConnectionLimit::new(3);
        let [first, second, third] = std::array::from_fn(|_| limit.admit().unwrap());
        let busy = first.in_use();
        let fourth = limit.admit().unwrap();
        assert_eq!([&first, &second, &third, &fourth].map(|slot| is_evicted(slot)), [false, true, false, false]);
        drop(second);
        // It is idle since now, and the third one since it came.
        drop(busy);
        let fifth = limit.admit().unwrap();
        assert_eq!([&first, &third, &fourth, &fifth].map(|slot| is_evicted(slot)), [false, true, false, false]);
    }

    #[test]
    fn where_all_are_busy_nobody_else_comes_in() {
        let limit = ConnectionLimit::new(2);
        let slots = [limit.admit().unwrap(), limit.admit().unwrap()];
        let busy = slots.each_ref().map(ConnectionSlot::in_use);
        assert!(limit.admit().is_none());
        drop(slots[0].in_use());
        assert!(limit.admit().is_none(), "the first one is busy with something else");
        drop((busy, slots));
        assert!(limit.admit().is_some_and(|slot| !is_evicted(&slot)));
        let open = limit.open();
        assert_eq!((open.count, open.idle.len()), (0, 0));
    }
}
