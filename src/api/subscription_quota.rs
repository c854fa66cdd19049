//! How many subscriptions there are at once: of each subject, and in all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Limits;
use super::error::{Code, Error, Result};
use crate::telemetry::metrics::OpenSubscription;

pub struct SubscriptionQuota {
    most: usize,
    most_of_a_subject: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_subject: HashMap<String, usize>,
}

/// A subscription's leave to be open, given back when it is dropped.
pub struct SubscriptionPermit {
    quota: Arc<SubscriptionQuota>,
    subject: String,
    _open: OpenSubscription,
}

impl SubscriptionQuota {
    pub fn new(limits: &Limits) -> Self {
        let Limits { subscriptions: most, subscriptions_per_subject: most_of_a_subject, .. } = *limits;
        Self { most, most_of_a_subject, taken: Mutex::default() }
    }

    /// Leave for a subscription to `field`.
    pub fn acquire(self: &Arc<Self>, subject: &str, field: &'static str) -> Result<SubscriptionPermit> {
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
        Ok(SubscriptionPermit {
            quota: Arc::clone(self),
            subject: subject.to_owned(),
            _open: OpenSubscription::new(field),
        })
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

impl Drop for SubscriptionPermit {
    fn drop(&mut self) {
        let mut taken = self.quota.taken();
        taken.all -= 1;
        if let Entry::Occupied(mut own) = taken.by_subject.entry(std::mem::take(&mut self.subject)) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}
