//! Who may come in, how often, and how many at once.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;

use super::crowd::Crowd;
use super::turns::{Turn, Turns};
use crate::api::Identity;
use crate::api::error::Error;

/// After so many requests those who came long ago are forgotten, so that many addresses take little memory.
const FORGET_EVERY: u32 = 4096;

/// What the wire takes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest request body and the largest WebSocket message, in bytes.
    pub body: usize,
    /// Requests in one body.
    pub batch: usize,
    /// For a request to come in, and again for it to be executed; subscriptions go on.
    pub request_time: Duration,
    /// How long a connection may be without a request.
    pub idle_time: Duration,
    /// Connections at once, those left out that became WebSockets.
    pub connections: usize,
    /// WebSockets at once.
    pub websockets: usize,
    /// Operations a minute of a subject; so many may also come at once.
    pub subject_rate: NonZeroU32,
    /// The same of an address, of those without a valid token.
    pub address_rate: NonZeroU32,
    /// Queries and mutations of one subject, or without a valid token of one address, that are executed at once.
    pub executions: usize,
    /// Proxies that are believed when they say where a request comes from.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether browsers get GraphiQL.
    pub graphiql: bool,
    /// Whether the dashboard asks for a token where no page embeds it.
    pub token_field: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 1 << 20,
            batch: 1,
            request_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(75),
            connections: 4096,
            websockets: 2048,
            subject_rate: const { NonZeroU32::new(6000).unwrap() },
            address_rate: const { NonZeroU32::new(600).unwrap() },
            executions: 4,
            trusted_proxies: Vec::new(),
            graphiql: true,
            token_field: true,
        }
    }
}

/// Keeps to [`Limits`].
pub struct Admission {
    limits: Limits,
    subjects: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    turns_of_subjects: Turns<String>,
    turns_of_addresses: Turns<IpAddr>,
    counted: AtomicU32,
    pub(super) connections: Arc<Crowd>,
    pub(super) websockets: Arc<Crowd>,
}

impl Admission {
    pub fn new(limits: Limits) -> Self {
        Self {
            subjects: RateLimiter::keyed(Quota::per_minute(limits.subject_rate)),
            addresses: RateLimiter::keyed(Quota::per_minute(limits.address_rate)),
            turns_of_subjects: Turns::new(limits.executions),
            turns_of_addresses: Turns::new(limits.executions),
            counted: AtomicU32::new(0),
            connections: Crowd::new(limits.connections),
            websockets: Crowd::new(limits.websockets),
            limits,
        }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts an operation. Fails with how long to wait when there were too many of late.
    pub fn count(&self, identity: &Identity, address: IpAddr) -> Result<(), Excess> {
        if self.counted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.subjects.retain_recent();
            self.addresses.retain_recent();
            self.turns_of_subjects.forget_idle();
            self.turns_of_addresses.forget_idle();
        }
        let (counted, whose) = match identity {
            Identity::Known(principal) => (self.subjects.check_key(&principal.subject), "yours"),
            Identity::Anonymous(_) => (self.addresses.check_key(&network(address)), "your address"),
        };
        counted.map_err(|until| Excess { whose, after: until.wait_time_from(DefaultClock::default().now()) })
    }

    /// Waits until a query or a mutation may be executed.
    pub async fn turn(&self, identity: &Identity, address: IpAddr) -> Turn {
        match identity {
            Identity::Known(principal) => self.turns_of_subjects.take(principal.subject.clone()).await,
            Identity::Anonymous(_) => self.turns_of_addresses.take(network(address)).await,
        }
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

/// What counts as one address: whoever has an IPv6 address has all of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_come_once_are_forgotten() {
        let admission = Admission::new(Limits { address_rate: NonZeroU32::MAX, ..Limits::default() });
        for n in 0..3 * FORGET_EVERY {
            let nobody = Identity::Anonymous(String::new());
            assert!(admission.count(&nobody, IpAddr::V4(n.into())).is_ok());
        }
        assert!(admission.addresses.len() <= FORGET_EVERY as usize, "{}", admission.addresses.len());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let same = ["2001:db8::1", "2001:db8::ffff:1:2:3"].map(|address| network(address.parse().unwrap()));
        assert_eq!(same[0], same[1]);
        assert_ne!(same[0], network("2001:db8:0:1::1".parse().unwrap()));
    }
}
