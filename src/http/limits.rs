//! What clients may take of the wire: how many may be connected, how often each may ask, how much is done at once for one.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ipnet::IpNet;

use self::bodies::BodyBudget;
use crate::api::{ExecutionPermit, Identity};

mod bodies;
mod callers;
mod connections;
pub mod inbound;
mod rates;

pub use bodies::{ANONYMOUS_BODY, Full, HeldBytes, RETRY};
pub use callers::CallerConcurrency;
pub use connections::{ConnectionLimit, ConnectionSlot};
pub use rates::{Admission, Excess};

/// After so many requests those who came long ago are forgotten, so that many addresses take little memory.
const FORGET_EVERY: u32 = 4096;

/// What the wire takes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest request body and the largest WebSocket message, in bytes.
    pub body: usize,
    /// Bytes of requests and WebSocket messages that are kept at once, from their first byte to the end of their
    /// execution; those without a valid token have a quarter as much besides.
    pub buffered_bodies: usize,
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
    /// Root fields of operations a minute of a subject; so many may also come at once.
    pub subject_rate: NonZeroU32,
    /// The same of an address, of those without a valid token.
    pub address_rate: NonZeroU32,
    /// Operations of one subject, or without a valid token of one address, that are executed at once. A subscription is
    /// while an event of it is.
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
            buffered_bodies: 64 << 20,
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

/// Keeps to [`Limits`]: one for all that a server serves.
pub struct Limiter {
    limits: Limits,
    admission: Admission,
    callers: CallerConcurrency,
    bodies: Arc<BodyBudget>,
    counted: AtomicU32,
    pub(super) connections: Arc<ConnectionLimit>,
    pub(super) websockets: Arc<ConnectionLimit>,
}

impl Limiter {
    pub fn new(limits: Limits) -> Self {
        Self {
            admission: Admission::new(limits.subject_rate, limits.address_rate),
            callers: CallerConcurrency::new(limits.executions),
            bodies: BodyBudget::new(limits.buffered_bodies, limits.body),
            counted: AtomicU32::new(0),
            connections: ConnectionLimit::new(limits.connections),
            websockets: ConnectionLimit::new(limits.websockets),
            limits,
        }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts so many root fields, or other things that are asked for. Fails with how long to wait when there were too many
    /// of late.
    pub fn count(&self, identity: &Identity, address: IpAddr, fields: u32) -> Result<(), Excess> {
        self.forget_now_and_then();
        self.admission.count(&CallerKey::of(identity, address), fields)
    }

    /// Counts a probe of an address.
    pub fn count_probe(&self, address: IpAddr) -> Result<(), Excess> {
        self.forget_now_and_then();
        self.admission.count_probe(network(address))
    }

    /// How large a request may be, in bytes.
    pub fn body(&self, identity: &Identity) -> usize {
        match identity {
            Identity::Known(_) => self.limits.body,
            Identity::Anonymous(_) => self.limits.body.min(ANONYMOUS_BODY),
        }
    }

    /// Memory for a request, of which nothing is there yet.
    pub fn hold(&self, identity: &Identity, address: IpAddr) -> HeldBytes {
        self.bodies.open(CallerKey::of(identity, address))
    }

    fn forget_now_and_then(&self) {
        if self.counted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.admission.forget_idle();
            self.callers.forget_idle();
        }
    }

    /// Leave to execute an operation, to be waited for.
    pub fn execution(&self, identity: &Identity, address: IpAddr) -> ExecutionPermit {
        self.callers.permit(CallerKey::of(identity, address))
    }
}

/// Whose an operation is: a subject's or, without a valid token, an address's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CallerKey {
    Subject(String),
    Address(IpAddr),
}

impl CallerKey {
    fn of(identity: &Identity, address: IpAddr) -> Self {
        match identity {
            Identity::Known(principal) => Self::Subject(principal.subject.clone()),
            Identity::Anonymous(_) => Self::Address(network(address)),
        }
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
        let limiter = Limiter::new(Limits { address_rate: NonZeroU32::MAX, ..Limits::default() });
        for n in 0..3 * FORGET_EVERY {
            let nobody = Identity::Anonymous(String::new());
            assert!(limiter.count(&nobody, IpAddr::V4(n.into()), 1).is_ok());
        }
        let known = limiter.admission.known();
        assert!(known <= FORGET_EVERY as usize, "{known}");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let same = ["2001:db8::1", "2001:db8::ffff:1:2:3"].map(|address| network(address.parse().unwrap()));
        assert_eq!(same[0], same[1]);
        assert_ne!(same[0], network("2001:db8:0:1::1".parse().unwrap()));
    }
}
