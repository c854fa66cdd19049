//! Where services are published outside their project's network.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::service::Published;

/// Where services may be published.
#[derive(Debug, Clone)]
pub struct Publishing {
    pub address: IpAddr,
    pub ports: RangeInclusive<u16>,
}

impl Publishing {
    /// The first port from `start` on, around the end of the range, that is not among `taken`; None when all are. Whatever
    /// `start` is, it stands for a port of the range.
    pub fn choose(&self, taken: &[u16], start: u128) -> Option<Published> {
        let (first, last) = (u128::from(*self.ports.start()), u128::from(*self.ports.end()));
        let count = last.saturating_sub(first) + 1;
        (0..count)
            .filter_map(|step| u16::try_from(first + (start % count + step) % count).ok())
            .find(|port| !taken.contains(port))
            .map(|port| Published { address: self.address, port })
    }

    /// The same, from the port behind `port` on.
    pub fn choose_behind(&self, taken: &[u16], port: u16) -> Option<Published> {
        self.choose(taken, u128::from(port.saturating_sub(*self.ports.start())) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_come_to() {
        let publishing = Publishing { address: [127, 0, 0, 1].into(), ports: 20_000..=20_002 };
        let port = |published: Option<Published>| published.map(|published| published.port);
        assert_eq!(port(publishing.choose(&[], 4)), Some(20_001));
        assert_eq!(port(publishing.choose(&[20_001, 20_002], 4)), Some(20_000));
        assert_eq!(port(publishing.choose(&[20_000, 20_001, 20_002], 4)), None);
        let mut port_now = 20_000;
        let next = std::iter::from_fn(|| {
            port_now = port(publishing.choose_behind(&[port_now], port_now))?;
            Some(port_now)
        });
        assert_eq!(next.take(4).collect::<Vec<_>>(), [20_001, 20_002, 20_000, 20_001]);
    }
}
