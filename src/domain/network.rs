//! How the networks of projects are named, and which subnets they get.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;

use super::id::ProjectId;

/// What stands for the project's id.
const PROJECT: &str = "{project}";

/// Names of networks that the engine has a meaning of its own for: the host's network, none at all, or one that all share.
/// <https://docs.docker.com/engine/network/drivers/>
const RESERVED: &[&str] = &["bridge", "default", "docker_gwbridge", "host", "ingress", "none"];

/// With it the engine takes what follows for a container, whose network is then shared.
const CONTAINER: &str = "container:";

/// Why a template names no network that is a project's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    #[error("it must contain {{project}}, for projects must not share a network")]
    Shared,
    #[error("a network of the name {0} would not be the project's own: the engine has another meaning for it")]
    Reserved(String),
}

/// The name of a project's network, in which `{project}` stands for the project's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkTemplate(String);

impl NetworkTemplate {
    /// The name of the project's network.
    pub fn name(&self, project: &ProjectId) -> Result<String, InvalidNetwork> {
        let name = self.0.replace(PROJECT, project.as_str());
        if RESERVED.contains(&name.as_str()) || name.starts_with(CONTAINER) {
            return Err(InvalidNetwork::Reserved(name));
        }
        Ok(name)
    }
}

impl Default for NetworkTemplate {
    fn default() -> Self {
        Self(format!("project-{PROJECT}"))
    }
}

impl FromStr for NetworkTemplate {
    type Err = InvalidNetwork;

    /// Refuses what is wrong for every project. What is wrong for some only is told of their names.
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        if !text.contains(PROJECT) {
            return Err(InvalidNetwork::Shared);
        }
        if text.starts_with(CONTAINER) {
            return Err(InvalidNetwork::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Addresses that networks get their subnets from, all of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPool {
    base: Ipv4Net,
    length: u8,
}

/// Why a pool is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPool {
    #[error("a pool is an IPv4 network and the prefix length of its subnets, such as 10.200.0.0/16,28")]
    Form,
    #[error("a subnet's prefix length is from the network's to 30, and at most {MOST_BITS} more than the network's")]
    Length,
}

/// So many subnets a pool may have, as a power of two: more than an engine could have networks.
const MOST_BITS: u8 = 16;
/// The longest prefix of a subnet that has room for the engine's own address and a container's.
const LONGEST: u8 = 30;

impl AddressPool {
    /// All subnets of `length` in `base`.
    pub fn new(base: Ipv4Net, length: u8) -> Result<Self, InvalidPool> {
        let bits = length.checked_sub(base.prefix_len()).ok_or(InvalidPool::Length)?;
        if bits > MOST_BITS || length > LONGEST {
            return Err(InvalidPool::Length);
        }
        Ok(Self { base: base.trunc(), length })
    }

    /// How many subnets it has.
    pub fn size(&self) -> usize {
        1 << (self.length - self.base.prefix_len())
    }

    /// Its subnets that share no address with any of `taken`, in order.
    pub fn free(&self, taken: &[Ipv4Net]) -> impl Iterator<Item = Ipv4Net> + use<> {
        let taken = ranges(taken);
        // The length is right, so there is no error.
        let subnets = self.base.subnets(self.length).into_iter().flatten();
        subnets.filter(move |subnet| {
            let next = taken.partition_point(|(_, last)| *last < subnet.network());
            taken.get(next).is_none_or(|(first, _)| *first > subnet.broadcast())
        })
    }
}

/// The first and the last address of each stretch of addresses that are in one of `networks`, in order.
fn ranges(networks: &[Ipv4Net]) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let apart = Ipv4Net::aggregate(&networks.to_vec());
    let mut ranges: Vec<_> = apart.iter().map(|network| (network.network(), network.broadcast())).collect();
    ranges.sort_unstable();
    ranges
}

impl FromStr for AddressPool {
    type Err = InvalidPool;

    fn from_str(text: &str) -> Result<Self, InvalidPool> {
        let (base, length) = text.split_once(',').ok_or(InvalidPool::Form)?;
        let base: Ipv4Net = base.trim().parse().map_err(|_| InvalidPool::Form)?;
        Self::new(base, length.trim().parse().map_err(|_| InvalidPool::Form)?)
    }
}

impl fmt::Display for AddressPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.base, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(template: &str, project: &str) -> Result<String, InvalidNetwork> {
        template.parse::<NetworkTemplate>()?.name(&project.parse().unwrap())
    }

    #[test]
    fn a_template_that_is_wrong_for_every_project_is_none() {
        assert_eq!(named("all-in-one", "shop"), Err(InvalidNetwork::Shared));
        assert_eq!(
            named("container:{project}", "shop"),
            Err(InvalidNetwork::Reserved("container:{project}".to_owned()))
        );
        assert_eq!(NetworkTemplate::default().name(&"shop".parse().unwrap()), Ok("project-shop".to_owned()));
    }

    #[test]
    fn a_name_that_the_engine_has_another_meaning_for_is_refused_for_that_project_only() {
        for (template, project) in
            [("{project}", "host"), ("{project}", "none"), ("b{project}e", "ridg"), ("{project}", "default")]
        {
            let refused = named(template, project);
            assert!(matches!(refused, Err(InvalidNetwork::Reserved(_))), "{template} {project}: {refused:?}");
        }
        assert_eq!(named("{project}", "hosts"), Ok("hosts".to_owned()));
        assert_eq!(named("net-{project}", "host"), Ok("net-host".to_owned()));
    }

    fn free(pool: &str, taken: &[&str]) -> Vec<String> {
        let taken: Vec<Ipv4Net> = taken.iter().map(|network| network.parse().unwrap()).collect();
        pool.parse::<AddressPool>().unwrap().free(&taken).map(|subnet| subnet.to_string()).collect()
    }

    #[test]
    fn a_pool_gives_the_subnets_that_nothing_overlaps() {
        let pool = "10.200.0.0/28,30";
        assert_eq!(free(pool, &[]), ["10.200.0.0/30", "10.200.0.4/30", "10.200.0.8/30", "10.200.0.12/30"]);
        assert_eq!(free(pool, &["10.200.0.4/30", "10.200.0.0/30"]), ["10.200.0.8/30", "10.200.0.12/30"]);
        assert_eq!(
            free(pool, &["10.200.0.9/32", "10.200.0.8/31"]),
            ["10.200.0.0/30", "10.200.0.4/30", "10.200.0.12/30"]
        );
        assert_eq!(free(pool, &["10.0.0.0/8"]), [""; 0]);
        assert_eq!(free(pool, &["10.200.0.0/29", "10.200.0.4/30", "0.0.0.0/32"]), ["10.200.0.8/30", "10.200.0.12/30"]);
        assert_eq!(free(pool, &["10.199.255.0/24", "10.200.0.16/28"]).len(), 4);
        assert_eq!("10.200.0.0/16,28".parse::<AddressPool>().unwrap().size(), 4096);
        assert_eq!(free("255.255.255.252/30,30", &[]), ["255.255.255.252/30"]);
    }

    #[test]
    fn what_is_no_pool_is_refused() {
        let parse = |text: &str| text.parse::<AddressPool>();
        for text in ["", "10.200.0.0/16", "10.200.0.0,28", "10.200.0.0/16,x", "fd00::/48,64", "10.200.0.0/16,300"] {
            assert_eq!(parse(text), Err(InvalidPool::Form), "{text}");
        }
        for text in ["10.200.0.0/16,15", "10.200.0.0/16,31", "10.0.0.0/8,25"] {
            assert_eq!(parse(text), Err(InvalidPool::Length), "{text}");
        }
        assert_eq!(parse("10.200.7.1/16, 28").unwrap().to_string(), "10.200.0.0/16,28");
    }
}
