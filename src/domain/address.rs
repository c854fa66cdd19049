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
    /// The first of `count` ports in a row that are not among `taken`, searched from the place `start` on, around the end of the
    /// range; None when there are none. Whatever `start` is, it stands for a port of the range.
    pub fn choose(&self, taken: &[u16], start: u128, count: usize) -> Option<Published> {
        let (first, last) = (u128::from(*self.ports.start()), u128::from(*self.ports.end()));
        let ports = last.saturating_sub(first) + 1;
        let is_free = |port: u16| {
            (0..count).all(|n| {
                let next = Published { address: self.address, port }.at(n).map(|published| published.port);
                next.is_some_and(|port| self.ports.contains(&port) && !taken.contains(&port))
            })
        };
        (0..ports)
            .filter_map(|step| u16::try_from(first + (start % ports + step) % ports).ok())
            .find(|port| is_free(*port))
            .map(|port| Published { address: self.address, port })
    }

    /// The place behind `port`.
    pub fn place_behind(&self, port: u16) -> u128 {
        u128::from(port.saturating_sub(*self.ports.start())) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_come_to() {
        let publishing = Publishing { address: [127, 0, 0, 1].into(), ports: 20_000..=20_002 };
        let port = |published: Option<Published>| published.map(|published| published.port);
        assert_eq!(port(publishing.choose(&[], 4, 1)), Some(20_001));
        assert_eq!(port(publishing.choose(&[20_001, 20_002], 4, 1)), Some(20_000));
        assert_eq!(port(publishing.choose(&[20_000, 20_001, 20_002], 4, 1)), None);
        let mut port_now = 20_000;
        let next = std::iter::from_fn(|| {
            port_now = port(publishing.choose(&[port_now], publishing.place_behind(port_now), 1))?;
            Some(port_now)
        });
        assert_eq!(next.take(4).collect::<Vec<_>>(), [20_001, 20_002, 20_000, 20_001]);
    }

    #[test]
    fn ports_that_follow_each_other_are_all_free() {
        let publishing = Publishing { address: [127, 0, 0, 1].into(), ports: 20_000..=20_004 };
        let two = |taken: &[u16], start| publishing.choose(taken, start, 2).map(|published| published.port);
        assert_eq!(two(&[], 4), Some(20_000), "the last of the range has none behind it");
        assert_eq!(two(&[20_001], 0), Some(20_002));
        assert_eq!(two(&[20_001, 20_003], 0), None);
        let all = Publishing { ports: 65_535..=65_535, ..publishing };
        assert_eq!(all.choose(&[], 0, 2), None);
    }
}
