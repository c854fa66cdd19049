//! How much of what clients send is kept in memory at once: in all, and for each of them.
//!
//! What is kept counts from its first byte until its operation is over. Whoever sends nothing takes nothing, and nobody
//! waits: what is not kept is refused at once, so that the half of one request never waits for the half of another.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::CallerKey;
use crate::api::error::Error;

/// What a caller without a valid token may send at once, in bytes. A query is far smaller.
pub const ANONYMOUS_BODY: usize = 16 << 10;

/// What is as small as this in bytes may also take the last quarter of a share, so that large ones leave room for it.
const SMALL: usize = 16 << 10;

/// When it is worth another try.
pub const RETRY: Duration = Duration::from_secs(1);

/// Less in all would leave too little for one who has no token.
const LEAST: usize = 1 << 20;

/// The memory for requests that are under way.
pub struct BodyBudget {
    /// Bytes of all who are known. Those without a valid token have a quarter as much besides.
    total: usize,
    /// Bytes of one caller.
    share: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    subjects: usize,
    addresses: usize,
    by_caller: HashMap<CallerKey, usize>,
}

/// Why no more is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// This caller has as much under way as one may.
    Share,
    /// All together have.
    Total,
}

impl From<Full> for Error {
    fn from(full: Full) -> Self {
        match full {
            Full::Share => Self::rate_limited("yours", RETRY),
            Full::Total => Self::overloaded(RETRY),
        }
    }
}

/// What is kept of one request, until it is dropped.
pub struct HeldBytes {
    budget: Arc<BodyBudget>,
    caller: CallerKey,
    bytes: usize,
}

impl BodyBudget {
    /// `body` is the largest request: there is room for two in any case, and for a mebibyte.
    pub fn new(total: usize, body: usize) -> Arc<Self> {
        let total = total.max(body.saturating_mul(2)).max(LEAST);
        let share = (total / 4).max(body);
        Arc::new(Self { total, share, held: Mutex::default() })
    }

    /// Nothing yet, of `caller`'s.
    pub fn open(self: &Arc<Self>, caller: CallerKey) -> HeldBytes {
        HeldBytes { budget: Arc::clone(self), caller, bytes: 0 }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn all_like(&mut self, caller: &CallerKey) -> &mut usize {
        match caller {
            CallerKey::Subject(_) => &mut self.subjects,
            CallerKey::Address(_) => &mut self.addresses,
        }
    }
}

impl HeldBytes {
    /// How much is kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// All of it, in other hands; nothing is left here.
    pub fn take(&mut self) -> Self {
        let empty = self.budget.open(self.caller.clone());
        std::mem::replace(self, empty)
    }

    /// Keeps so many bytes more.
    ///
    /// # Errors
    /// When there is no room for them; what was kept is kept on.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let wanted = self.bytes.saturating_add(bytes);
        let part = |whole: usize| if wanted > SMALL { whole / 4 * 3 } else { whole };
        let (total, share) = match &self.caller {
            CallerKey::Subject(_) => (self.budget.total, self.budget.share),
            CallerKey::Address(_) => (self.budget.total / 4, self.budget.share / 4),
        };
        let mut held = self.budget.held();
        let own = held.by_caller.get(&self.caller).copied().unwrap_or(0).saturating_add(bytes);
        if own > share {
            return Err(Full::Share);
        }
        let all = held.all_like(&self.caller);
        if all.saturating_add(bytes) > part(total) {
            return Err(Full::Total);
        }
        *all += bytes;
        held.by_caller.insert(self.caller.clone(), own);
        self.bytes = wanted;
        Ok(())
    }

    /// Keeps `bytes` in the place of what was kept so far.
    ///
    /// # Errors
    /// As [`Self::grow`].
    pub fn replace(&mut self, bytes: usize) -> Result<(), Full> {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.grow(more),
            None => {
                self.shrink(self.bytes - bytes);
                Ok(())
            }
        }
    }

    fn shrink(&mut self, bytes: usize) {
        let mut held = self.budget.held();
        *held.all_like(&self.caller) -= bytes;
        if let Entry::Occupied(mut own) = held.by_caller.entry(self.caller.clone()) {
            *own.get_mut() -= bytes;
            if *own.get() == 0 {
                own.remove();
            }
        }
        drop(held);
        self.bytes -= bytes;
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str) -> CallerKey {
        CallerKey::Subject(name.to_owned())
    }

    #[test]
    fn one_caller_has_a_share_and_leaves_the_others_theirs() {
        let budget = BodyBudget::new(1 << 20, 1000);
        let mut greedy = budget.open(subject("greedy"));
        assert_eq!(greedy.grow(1 << 18), Ok(()));
        assert_eq!(budget.open(subject("greedy")).grow(1), Err(Full::Share));
        assert_eq!(budget.open(subject("modest")).grow(1 << 18), Ok(()));
        drop(greedy);
        assert_eq!(budget.open(subject("greedy")).grow(1 << 18), Ok(()));
        assert!(budget.held().by_caller.is_empty());
    }

    #[test]
    fn large_requests_leave_room_for_small_ones_and_all_for_those_who_are_known() {
        let budget = BodyBudget::new(1 << 20, 1000);
        let hold = |name: &str, bytes: usize| {
            let mut held = budget.open(subject(name));
            held.grow(bytes).map(|()| held)
        };
        let large: Vec<_> = ["a", "b", "c"].map(|name| hold(name, 1 << 18).ok().unwrap()).into();
        assert_eq!(hold("d", 1 << 18).err(), Some(Full::Total));
        let small: Vec<_> = (0..16).map(|_| hold("d", SMALL).ok().unwrap()).collect();
        assert_eq!(hold("e", 1).err(), Some(Full::Total));
        let mut nobody = budget.open(CallerKey::Address([127, 0, 0, 1].into()));
        assert_eq!((nobody.grow(1 << 16), nobody.grow(1)), (Ok(()), Err(Full::Share)));
        drop((large, small));
        assert!(hold("e", 1).is_ok());
    }

    #[test]
    fn what_becomes_smaller_gives_back_the_rest() {
        let budget = BodyBudget::new(1 << 20, 1000);
        let mut held = budget.open(subject("a"));
        held.grow(1000).unwrap();
        held.replace(10).unwrap();
        assert_eq!((budget.held().subjects, held.bytes), (10, 10));
        held.replace(20).unwrap();
        assert_eq!(held.replace(1 << 19), Err(Full::Share));
        assert_eq!(budget.held().by_caller[&subject("a")], 20);
    }
}
