//! How often one caller may ask.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, InsufficientCapacity, Quota, RateLimiter};

use super::CallerKey;
use crate::api::error::Error;

/// The rates of subjects and addresses.
pub struct Admission {
    subjects: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    /// Of addresses as well, and apart: whoever asks too much must not have the server taken for dead.
    probes: DefaultKeyedRateLimiter<IpAddr>,
}

impl Admission {
    /// Both in root fields a minute; so many may also come at once.
    pub fn new(of_subject: NonZeroU32, of_address: NonZeroU32) -> Self {
        let [subjects, addresses] = [of_subject, of_address].map(Quota::per_minute);
        let [addresses, probes] = [(); 2].map(|()| RateLimiter::keyed(addresses));
        Self { subjects: RateLimiter::keyed(subjects), addresses, probes }
    }

    /// Counts so many at once. Fails with how long to wait when there were too many of late.
    pub fn count(&self, caller: &CallerKey, fields: u32) -> Result<(), Excess> {
        match caller {
            CallerKey::Subject(subject) => count(&self.subjects, subject, fields, "yours"),
            CallerKey::Address(address) => count(&self.addresses, address, fields, "your address"),
        }
    }

    /// Counts a probe.
    pub fn count_probe(&self, address: IpAddr) -> Result<(), Excess> {
        count(&self.probes, &address, 1, "your address")
    }

    /// Forgets those who may again ask as often as if they had never come.
    pub fn forget_idle(&self) {
        self.subjects.retain_recent();
        self.addresses.retain_recent();
        self.probes.retain_recent();
    }

    /// How many are not forgotten.
    #[cfg(test)]
    pub fn known(&self) -> usize {
        self.subjects.len() + self.addresses.len()
    }
}

/// Whoever asks for more at once than a whole minute's has to have all of that.
fn count<K: Hash + Eq + Clone>(
    rates: &DefaultKeyedRateLimiter<K>,
    key: &K,
    fields: u32,
    whose: &'static str,
) -> Result<(), Excess> {
    let Some(fields) = NonZeroU32::new(fields) else { return Ok(()) };
    let counted = rates.check_key_n(key, fields).or_else(|InsufficientCapacity(most)| {
        NonZeroU32::new(most).map_or(Ok(Ok(())), |most| rates.check_key_n(key, most))
    });
    match counted {
        Ok(Err(until)) => Err(Excess { whose, after: until.wait_time_from(DefaultClock::default().now()) }),
        Ok(Ok(())) | Err(_) => Ok(()),
    }
}

/// Too many operations.
pub struct Excess {
    whose: &'static str,
    /// When it is worth another try.
    pub after: Duration,
}

impl From<Excess> for Error {
    fn from(Excess { whose, after }: Excess) -> Self {
        Self::rate_limited(whose, after)
    }
}
