//! How often one caller may ask.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::CallerKey;
use crate::api::error::Error;

/// The rates of subjects and addresses.
pub struct Admission {
    subjects: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
}

impl Admission {
    /// Both in operations a minute; so many may also come at once.
    pub fn new(of_subject: NonZeroU32, of_address: NonZeroU32) -> Self {
        let [subjects, addresses] = [of_subject, of_address].map(Quota::per_minute);
        Self { subjects: RateLimiter::keyed(subjects), addresses: RateLimiter::keyed(addresses) }
    }

    /// Counts an operation. Fails with how long to wait when there were too many of late.
    pub fn count(&self, caller: &CallerKey) -> Result<(), Excess> {
        let (counted, whose) = match caller {
            CallerKey::Subject(subject) => (self.subjects.check_key(subject), "yours"),
            CallerKey::Address(address) => (self.addresses.check_key(address), "your address"),
        };
        counted.map_err(|until| Excess { whose, after: until.wait_time_from(DefaultClock::default().now()) })
    }

    /// Forgets those who may again ask as often as if they had never come.
    pub fn forget_idle(&self) {
        self.subjects.retain_recent();
        self.addresses.retain_recent();
    }

    /// How many are not forgotten.
    #[cfg(test)]
    pub fn known(&self) -> usize {
        self.subjects.len() + self.addresses.len()
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
