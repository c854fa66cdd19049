//! What is to be ready before anybody asks for it.

use clap::Args;

use super::ConfigError;
use crate::catalog::offering::Offering;
use crate::catalog::{USUAL, definition};
use crate::domain::pool::PoolTarget;
use crate::domain::service::{ServiceKind, SizeTier};

/// Of one entry; more would fill most machines with what nobody uses.
const MOST: u32 = 100;

#[derive(Debug, Args)]
pub struct PoolArgs {
    /// Instances that are kept ready: entries such as `POSTGRESQL:17=2`, `REDIS:7:STANDARD=1-4`, separated by commas. Of two numbers
    /// the second is how many there may be while many are asked for. Each takes the memory of its size.
    /// With --dev one of each kind when left out, until the server ends.
    #[arg(long, env = "WARM_POOL", value_parser = entries)]
    pub warm_pool: Option<Pool>,
}

/// What is to be ready, of each entry.
#[derive(Debug, Clone)]
pub struct Pool(Vec<PoolTarget>);

impl PoolArgs {
    /// What is to be ready of `offering`.
    pub fn targets(&self, dev: bool, offering: &Offering) -> Result<Vec<PoolTarget>, ConfigError> {
        let targets = match &self.warm_pool {
            Some(Pool(targets)) => targets.clone(),
            None if dev => USUAL.iter().filter_map(|definition| one(definition.kind, offering)).collect(),
            None => Vec::new(),
        };
        match targets.iter().find(|target| !offering.offers(target.kind)) {
            Some(PoolTarget { kind, .. }) => {
                Err(ConfigError(format!("WARM_POOL names {kind}, which KINDS does not offer.")))
            }
            None => Ok(targets),
        }
    }
}

/// One of the smallest size, of a kind that is offered.
fn one(kind: ServiceKind, offering: &Offering) -> Option<PoolTarget> {
    let version = offering.offer(kind)?.default_version.to_owned();
    Some(PoolTarget { kind, version, tier: SizeTier::Dev, floor: 1, ceiling: 1 })
}

/// None of a variable that is empty.
fn entries(text: &str) -> Result<Pool, String> {
    Ok(Pool(text.split(',').filter(|entry| !entry.is_empty()).map(entry).collect::<Result<_, _>>()?))
}

fn entry(text: &str) -> Result<PoolTarget, String> {
    let form = || "entries are KIND:VERSION=NUMBER or KIND:VERSION:SIZE=LEAST-MOST".to_owned();
    let (what, numbers) = text.split_once('=').ok_or_else(form)?;
    let mut parts = what.split(':');
    let (kind, version, tier) = (parts.next(), parts.next(), parts.next());
    let (Some(kind), Some(version), None) = (kind, version, parts.next()) else { return Err(form()) };
    let kind = kind.parse::<ServiceKind>().map_err(|_| format!("{kind} is no kind of service"))?;
    let definition = definition(kind);
    let offer = definition.offer.as_ref().ok_or_else(|| format!("{} can't be provisioned yet", definition.name))?;
    if !offer.versions.contains(&version) {
        return Err(format!("{} is offered in the versions {}", definition.name, offer.versions.join(", ")));
    }
    let tier = tier.map_or(Ok(SizeTier::Dev), |tier| {
        tier.parse::<SizeTier>().map_err(|_| format!("{tier} is no size: DEV, STANDARD or PERFORMANCE"))
    })?;
    let (floor, ceiling) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= MOST);
    match number(floor).zip(number(ceiling)) {
        Some((floor, ceiling)) if floor <= ceiling => {
            Ok(PoolTarget { kind, version: version.to_owned(), tier, floor, ceiling })
        }
        _ => Err(format!("{numbers} is no number up to {MOST}, nor two of which the second is no less")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::offering::{Images, Kinds};

    #[test]
    fn an_entry_says_of_what_and_how_many() {
        let target = |kind: &str, version: &str, tier, (floor, ceiling)| {
            let (kind, version) = (kind.parse().unwrap(), version.to_owned());
            PoolTarget { kind, version, tier, floor, ceiling }
        };
        let two = target("POSTGRESQL", "17", SizeTier::Dev, (2, 2));
        let up_to_four = target("REDIS", "7", SizeTier::Standard, (0, 4));
        assert_eq!(entries("POSTGRESQL:17=2,REDIS:7:STANDARD=0-4").unwrap().0, [two, up_to_four]);
        assert_eq!(entries("").unwrap().0, []);
        for text in [
            "POSTGRESQL",
            "POSTGRESQL=1",
            "POSTGRESQL:17",
            "POSTGRESQL:9=1",
            "QDRANT:1=1",
            "X:1=1",
            "REDIS:7:HUGE=1",
            "REDIS:7=",
            "REDIS:7=-1",
            "REDIS:7=3-2",
            "REDIS:7=101",
            "REDIS:7:DEV:1=1",
        ] {
            assert!(entries(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_development_server_has_one_of_the_usual_kinds_unless_it_is_told_otherwise() {
        let count = |warm_pool: Option<&str>, dev| {
            let warm_pool = warm_pool.map(|text| entries(text).unwrap());
            PoolArgs { warm_pool }.targets(dev, &Offering::default()).unwrap().len()
        };
        assert_eq!([count(None, true), count(None, false), count(Some(""), true)], [2, 0, 0]);
        assert_eq!(count(Some("REDIS:7=1"), false), 1);
    }

    #[test]
    fn only_what_is_offered_is_made_ready() {
        let offering = Offering::new(Some(Kinds::parse("-REDIS").unwrap()), Images::default());
        let targets = |warm_pool: Option<&str>| {
            PoolArgs { warm_pool: warm_pool.map(|text| entries(text).unwrap()) }.targets(true, &offering)
        };
        assert!(targets(None).unwrap().iter().all(|target| target.kind.as_str() != "REDIS"));
        assert!(targets(Some("REDIS:7=1")).unwrap_err().to_string().contains("WARM_POOL names REDIS"));
    }
}
