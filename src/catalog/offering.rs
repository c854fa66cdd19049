//! What of the catalog the operator offers, and from where its images come. A kind that is not offered can't be provisioned;
//! services of it that are there go on as ever.

use std::collections::HashMap;

use super::{ALL, Definition, Offer, definition};
use crate::domain::image::{ImageName, Which};
use crate::domain::service::ServiceKind;

/// How the variables begin that say where images come from.
pub const IMAGE: &str = "IMAGE_";

/// The operator's word, the same for all services of a server.
#[derive(Debug, Clone, Default)]
pub struct Offering {
    kinds: Kinds,
    images: Images,
}

/// Which kinds are offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kinds(Vec<ServiceKind>);

/// Where images come from that don't come from where they officially do: of all versions of a kind, or of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images(HashMap<(ServiceKind, Option<&'static str>), ImageName>);

/// Whether a kind can be provisioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    Offered,
    /// It is announced.
    ComingSoon,
    /// The operator does not offer it.
    Withdrawn,
}

impl Offering {
    pub fn new(kinds: Option<Kinds>, images: Images) -> Self {
        Self { kinds: kinds.unwrap_or_default(), images }
    }

    pub fn availability(&self, definition: &Definition) -> Availability {
        match self.offers(definition.kind) {
            true => Availability::Offered,
            false if definition.is_announced => Availability::ComingSoon,
            false => Availability::Withdrawn,
        }
    }

    pub fn offers(&self, kind: ServiceKind) -> bool {
        self.kinds.0.contains(&kind)
    }

    /// What new services of `kind` are; None where it can't be provisioned.
    pub fn offer(&self, kind: ServiceKind) -> Option<&'static Offer> {
        definition(kind).offer.as_ref().filter(|_| self.offers(kind))
    }

    /// The name of the image that a version runs from.
    pub fn image(&self, kind: ServiceKind, version: &str) -> String {
        let of = |version| self.images.0.get(&(kind, version));
        let known = definition(kind).offer.as_ref().and_then(|offer| offer.versions.iter().find(|v| **v == version));
        let Some(named) = known.and_then(|version| of(Some(version))).or_else(|| of(None)) else {
            return definition(kind).image(version);
        };
        let tag = || Which::Tag(definition(kind).tag(version));
        ImageName { which: named.which.clone().or_else(|| Some(tag())), ..named.clone() }.to_string()
    }
}

impl Default for Kinds {
    /// What nobody has to ask for.
    fn default() -> Self {
        let offered = ALL.iter().filter(|definition| definition.offer.is_some() && !definition.is_announced);
        Self(offered.map(|definition| definition.kind).collect())
    }
}

impl Kinds {
    /// Those of a list, or where each has a sign what is offered anyway with these and without those.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries: Vec<_> = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
        let signed = entries.iter().filter(|entry| entry.starts_with(['+', '-'])).count();
        if signed != 0 && signed != entries.len() {
            return Err("kinds are either listed, or each has a + or a - before it".to_owned());
        }
        let mut kinds = if signed == 0 && !entries.is_empty() { Vec::new() } else { Self::default().0 };
        let mut named = Vec::new();
        for entry in entries {
            let kind = kind(entry.trim_start_matches(['+', '-']))?;
            if named.contains(&kind) {
                return Err(format!("{kind} is named twice"));
            }
            named.push(kind);
            kinds.retain(|known| *known != kind);
            if !entry.starts_with('-') {
                can_run(kind)?;
                kinds.push(kind);
            }
        }
        Ok(Self(kinds))
    }
}

impl Images {
    /// What variables say, which all begin with [`IMAGE`]. Those without a value say nothing.
    pub fn parse(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        let mut images = HashMap::new();
        for (variable, value) in variables.into_iter().filter(|(_, value)| !value.is_empty()) {
            let (kind, version) = meant(&variable)?;
            can_run(kind).map_err(|why| format!("{variable} can't be used: {why}"))?;
            let name: ImageName = value.parse().map_err(|why| format!("{variable} can't be used: {why}"))?;
            if version.is_none() && name.which.is_some() {
                let one = variable_of(kind, definition(kind).offer.as_ref().map(|offer| offer.default_version));
                return Err(format!(
                    "{variable} says where all versions are, so it has neither a tag nor a digest. {one} and its like say it of one"
                ));
            }
            images.insert((kind, version), name);
        }
        Ok(Self(images))
    }
}

fn kind(text: &str) -> Result<ServiceKind, String> {
    text.parse().map_err(|_| {
        let known: Vec<_> = ServiceKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("{text} is no kind of service; those are {}", known.join(", "))
    })
}

/// Refuses what is announced and has nothing yet that runs it.
fn can_run(kind: ServiceKind) -> Result<(), String> {
    match definition(kind).offer {
        Some(_) => Ok(()),
        None => Err(format!("{kind} is announced only, and can't be run by this version of the server")),
    }
}

/// What a variable is about: a kind, or one of its versions.
fn meant(variable: &str) -> Result<(ServiceKind, Option<&'static str>), String> {
    let versions = |definition: &Definition| definition.offer.as_ref().map(|offer| offer.versions).unwrap_or_default();
    let all = ALL.iter().flat_map(|definition| {
        let each = versions(definition).iter().map(|version| (definition.kind, Some(*version)));
        [(definition.kind, None)].into_iter().chain(each)
    });
    let mut known = all.map(|(kind, version)| (variable_of(kind, version), (kind, version)));
    known.find(|(name, _)| name == variable).map(|(_, meant)| meant).ok_or_else(|| {
        format!("{variable} names no kind of service, and no version of one: IMAGE_REDIS and IMAGE_REDIS_7 would")
    })
}

/// The dots of a version are no part of a variable's name in a shell.
fn variable_of(kind: ServiceKind, version: Option<&str>) -> String {
    let version = version.map(|version| format!("_{}", version.replace(['.', '-'], "_").to_ascii_uppercase()));
    format!("{IMAGE}{kind}{}", version.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn kinds(text: &str) -> Result<Vec<ServiceKind>, String> {
        Kinds::parse(text).map(|kinds| kinds.0)
    }

    fn images(given: &[(&str, &str)]) -> Result<Offering, String> {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Images::parse(given).map(|images| Offering::new(None, images))
    }

    #[test]
    fn kinds_are_listed_or_added_to_what_is_offered_anyway_and_taken_from_it() {
        let default = Kinds::default().0;
        let [postgresql, redis] = ["POSTGRESQL", "REDIS"].map(|text| text.parse::<ServiceKind>().unwrap());
        assert!(default.starts_with(&[postgresql, redis]));
        let without = |kind| default.iter().copied().filter(|known| *known != kind).collect::<Vec<_>>();
        assert_eq!(kinds(""), Ok(default.clone()));
        assert_eq!(kinds("REDIS"), Ok(vec![redis]));
        assert_eq!(kinds("REDIS, POSTGRESQL"), Ok(vec![redis, postgresql]));
        assert_eq!(kinds("-REDIS"), Ok(without(redis)));
        let mut again = without(redis);
        again.push(redis);
        assert_eq!(kinds("+REDIS"), Ok(again));
        for (text, why) in [
            ("REDIS,-POSTGRESQL", "either listed, or each"),
            ("ORACLE", "ORACLE is no kind of service; those are POSTGRESQL, "),
            ("-ORACLE", "ORACLE is no kind"),
            ("redis", "redis is no kind"),
            ("UNKNOWN", "UNKNOWN is no kind"),
            ("REDIS,REDIS", "named twice"),
            ("+REDIS,-REDIS", "named twice"),
            ("+", " is no kind"),
        ] {
            assert!(kinds(text).unwrap_err().contains(why), "{text}: {:?}", kinds(text));
        }
    }

    #[test]
    fn what_nothing_here_can_run_is_not_offered_by_a_word() {
        let Some(announced) = ALL.iter().find(|definition| definition.offer.is_none()) else { return };
        let kind = announced.kind;
        for text in [kind.to_string(), format!("+{kind}")] {
            let refused = kinds(&text).unwrap_err();
            assert!(refused.contains(&format!("{kind} is announced only")), "{refused}");
        }
        assert_eq!(kinds(&format!("-{kind}")), kinds(""), "it is not offered anyway");
        assert!(images(&[(&format!("IMAGE_{kind}"), "a")]).unwrap_err().contains("announced only"));
        assert_eq!(Offering::default().availability(announced), Availability::ComingSoon);
    }

    #[test]
    fn what_the_operator_does_not_offer_is_withdrawn() {
        let offering = Offering::new(Some(Kinds::parse("-REDIS").unwrap()), Images::default());
        let of = |kind: &str| offering.availability(definition(kind.parse().unwrap()));
        assert_eq!([of("REDIS"), of("POSTGRESQL")], [Availability::Withdrawn, Availability::Offered]);
        assert!(offering.offer("REDIS".parse().unwrap()).is_none());
    }

    #[test]
    fn images_come_from_where_the_operator_says() {
        let redis = "REDIS".parse().unwrap();
        let of = |given: &[(&str, &str)]| ["7", "6"].map(|version| images(given).unwrap().image(redis, version));
        let there = ("IMAGE_REDIS", "registry.example:5000/redis");
        assert_eq!(of(&[]), ["redis:7", "redis:6"]);
        assert_eq!(of(&[there]), ["registry.example:5000/redis:7", "registry.example:5000/redis:6"]);
        assert_eq!(of(&[("IMAGE_REDIS", "")]), ["redis:7", "redis:6"]);
        let pinned = format!("mirror.example/redis@{DIGEST}");
        assert_eq!(of(&[there, ("IMAGE_REDIS_7", &pinned)]), [&pinned, "registry.example:5000/redis:6"]);
        let both = format!("mirror.example/redis:7@{DIGEST}");
        assert_eq!(of(&[("IMAGE_REDIS_7", &both)]), [&pinned, "redis:6"]);
        assert_eq!(of(&[("IMAGE_REDIS_6", "redis:6-alpine")]), ["redis:7", "redis:6-alpine"]);
        assert_eq!(of(&[("IMAGE_REDIS_6", "mirror.example/redis")]), ["redis:7", "mirror.example/redis:6"]);
    }

    #[test]
    fn an_image_of_nothing_known_is_refused() {
        for (variable, value, why) in [
            ("IMAGE_ORACLE", "oracle", "IMAGE_ORACLE names no kind"),
            ("IMAGE_REDIS_5", "redis", "IMAGE_REDIS_5 names no kind of service, and no version"),
            ("IMAGE_", "redis", "IMAGE_ names no kind"),
            ("IMAGE_REDIS", "https://registry.example/redis", "IMAGE_REDIS can't be used: an image is called"),
            ("IMAGE_REDIS", "redis:7", "IMAGE_REDIS_7 and its like"),
            ("IMAGE_REDIS", &format!("redis@{DIGEST}"), "IMAGE_REDIS_7 and its like"),
        ] {
            let refused = images(&[(variable, value)]).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
        assert_eq!(variable_of(ServiceKind::Mysql, Some("9.7")), "IMAGE_MYSQL_9_7");
    }
}
