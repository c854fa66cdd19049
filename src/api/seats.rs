//! How many subscriptions there are at once: of each subject, and in all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::{Code, Error, Result};
use super::limits::Limits;
use crate::telemetry::metrics::OpenSubscription;

pub struct Seats {
    most: usize,
    most_of_a_subject: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_subject: HashMap<String, usize>,
}

/// A subscription's, free again when it is dropped.
pub struct Seat {
    seats: Arc<Seats>,
    subject: String,
    _open: OpenSubscription,
}

impl Seats {
    pub fn new(limits: &Limits) -> Self {
        let Limits { subscriptions: most, subscriptions_per_subject: most_of_a_subject, .. } = *limits;
        Self { most, most_of_a_subject, taken: Mutex::default() }
    }

    /// A seat for a subscription to `field`.
    pub fn take(self: &Arc<Self>, subject: &str, field: &'static str) -> Result<Seat> {
        let mut taken = self.taken();
        if taken.all >= self.most {
            return Err(refusal("subscriptions", self.most, "on this server"));
        }
        let own = taken.by_subject.entry(subject.to_owned()).or_default();
        if *own >= self.most_of_a_subject {
            return Err(refusal("subscriptionsPerSubject", self.most_of_a_subject, "of yours"));
        }
        *own += 1;
        taken.all += 1;
        Ok(Seat { seats: Arc::clone(self), subject: subject.to_owned(), _open: OpenSubscription::new(field) })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(limit: &str, most: usize, whose: &str) -> Error {
    Error::new(Code::RateLimited, format!("There are {most} subscriptions {whose}, which is the most."))
        .with("limit", limit)
        .with("maximum", most)
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.all -= 1;
        if let Entry::Occupied(mut own) = taken.by_subject.entry(std::mem::take(&mut self.subject)) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}
