//! What each kind of service is: versions, tiers, credentials, and the container that runs it. One file a kind.
//!
//! Pure: it says what should be there and never looks at what is. The rest of the crate knows a kind by its
//! [`Definition`] only. A new kind is a new file and a row in the list.

use std::time::Duration;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::domain::id::BuildDigest;
use crate::domain::lifecycle::ServiceAction;
use crate::domain::service::{ServiceKind, SizeTier, TierSpec, Wish};

pub mod access;
pub mod deployment;
pub mod ending;
pub mod inquiry;
mod mailpit;
mod minio;
mod mongodb;
mod mysql;
mod postgresql;
mod qdrant;
mod redis;

use access::{Access, Seed};
use deployment::{CredentialChange, Deployment};
use inquiry::{KeyBrowser, SqlConsole};

/// Makes of one list both the catalog and the way from a kind to its definition, which without a row does not compile.
macro_rules! kinds {
    ($($kind:ident => $file:ident,)+) => {
        /// Every kind, in the order in which the catalog shows them.
        pub static ALL: &[&Definition] = &[$(&$file::DEFINITION,)+];

        /// The definition of `kind`.
        pub fn definition(kind: ServiceKind) -> &'static Definition {
            match kind {
                $(ServiceKind::$kind => &$file::DEFINITION,)+
                ServiceKind::Unknown => &UNKNOWN,
            }
        }
    };
}

kinds! {
    Postgresql => postgresql,
    Redis => redis,
    Mysql => mysql,
    Mongodb => mongodb,
    Qdrant => qdrant,
    Minio => minio,
    Mailpit => mailpit,
}

/// What is known of a kind that only a newer version of the server offers. It is in no list.
static UNKNOWN: Definition = Definition {
    kind: ServiceKind::Unknown,
    name: "Unknown",
    description: "",
    image: "",
    credential_keys: &[],
    offer: None,
};

/// A kind of service as the catalog knows it.
#[derive(Clone, Copy)]
pub struct Definition {
    pub kind: ServiceKind,
    pub name: &'static str,
    pub description: &'static str,
    /// The name of the official image.
    pub image: &'static str,
    /// The environment variables that a service of this kind generates, in the order in which they are shown.
    pub credential_keys: &'static [&'static str],
    /// None while the kind is announced only.
    pub offer: Option<Offer>,
}

/// What makes a kind available.
#[derive(Clone, Copy)]
pub struct Offer {
    /// Newest first; the first is the default.
    pub versions: &'static [&'static str],
    /// One of each size, smallest first.
    pub tiers: [TierSpec; 3],
    /// The TCP port that the server inside listens on.
    pub port: u16,
    /// Where in the container the volume with its data is.
    pub data_path: &'static str,
    /// How long a clean shutdown may take before the engine kills it.
    pub stop_grace: Duration,
    /// Makes a new service's access from random bytes.
    pub access: fn(&Seed) -> Access,
    /// The credentials of a service, in the order of `credential_keys`.
    pub credentials: fn(&Access, host: &str) -> Vec<Credential>,
    /// The container that runs a service.
    pub deployment: fn(&Wish, &Access) -> Deployment,
    /// What has a running server take the passwords of an access; None where the kind can't change them while it runs.
    pub live_rotation: Option<fn(&Wish, &Access) -> CredentialChange>,
    /// None where the kind speaks no SQL.
    pub sql: Option<SqlConsole>,
    /// None where the kind has no keys.
    pub keys: Option<KeyBrowser>,
}

/// An environment variable that an application connects with.
#[derive(Debug, Clone)]
pub struct Credential {
    pub key: &'static str,
    pub value: SecretString,
}

impl Definition {
    /// The image of a version, as the registries name it.
    pub fn image(&self, version: &str) -> String {
        format!("{}:{version}", self.image)
    }

    /// Whether `action` can be done to a service of this kind in any state.
    pub fn is_able(&self, action: ServiceAction) -> bool {
        let can = |able: fn(&Offer) -> bool, otherwise| self.offer.as_ref().map_or(otherwise, able);
        match action {
            ServiceAction::RotateCredentials => can(|offer| offer.live_rotation.is_some(), true),
            ServiceAction::RunSql => can(|offer| offer.sql.is_some(), false),
            ServiceAction::BrowseKeys => can(|offer| offer.keys.is_some(), false),
            ServiceAction::Start
            | ServiceAction::Stop
            | ServiceAction::Restart
            | ServiceAction::Destroy
            | ServiceAction::RevealCredentials => true,
        }
    }
}

impl Offer {
    pub fn default_version(&self) -> &'static str {
        self.versions[0]
    }

    pub fn tier(&self, tier: SizeTier) -> Option<TierSpec> {
        self.tiers.iter().find(|offered| offered.tier == tier).copied()
    }
}

/// What a container for `wish` is made from, as a digest; None where its kind is not offered. It is that of a container which
/// admits nobody in particular, so it tells no secret and needs none.
pub fn build(wish: &Wish) -> Option<BuildDigest> {
    let offer = definition(wish.kind).offer.as_ref()?;
    let nobody = (offer.access)(&Seed([0; Seed::LENGTH]));
    Some((offer.deployment)(wish, &nobody).digest())
}

const fn tiers(dev: [u32; 3], standard: [u32; 3], performance: [u32; 3]) -> [TierSpec; 3] {
    const fn tier(tier: SizeTier, [memory_mib, cpu_millis, storage_mib]: [u32; 3]) -> TierSpec {
        TierSpec { tier, memory_mib, cpu_millis, storage_mib }
    }
    [tier(SizeTier::Dev, dev), tier(SizeTier::Standard, standard), tier(SizeTier::Performance, performance)]
}

fn credential(key: &'static str, value: impl Into<String>) -> Credential {
    let value = Zeroizing::new(value.into());
    Credential { key, value: SecretString::from(value.as_str()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::service::Power;

    #[test]
    fn every_kind_is_listed_once_and_under_its_own_definition() {
        let listed: Vec<_> = ALL.iter().map(|definition| definition.kind).collect();
        assert_eq!(listed, ServiceKind::ALL);
        for &kind in ServiceKind::ALL {
            assert_eq!(definition(kind).kind, kind);
        }
    }

    #[test]
    fn a_kind_offers_what_it_is_able_to_do_and_no_more() {
        let able = postgresql::DEFINITION;
        let offer = able.offer.map(|offer| Offer { live_rotation: None, sql: None, ..offer });
        let unable = Definition { offer, ..able };
        for &action in ServiceAction::ALL {
            let is_ability = matches!(action, ServiceAction::RotateCredentials | ServiceAction::RunSql);
            assert_eq!(able.is_able(action), action != ServiceAction::BrowseKeys, "{action}");
            assert_eq!(unable.is_able(action), able.is_able(action) && !is_ability, "{action}");
        }
        assert!(redis::DEFINITION.is_able(ServiceAction::BrowseKeys));
        assert!(!redis::DEFINITION.is_able(ServiceAction::RunSql));
    }

    #[test]
    fn credentials_come_under_the_keys_that_the_catalog_announces() {
        for definition in ALL {
            assert!(!definition.credential_keys.is_empty() && !definition.description.is_empty());
            let Some(offer) = &definition.offer else { continue };
            let access = (offer.access)(&Seed([7; Seed::LENGTH]));
            let keys: Vec<_> = (offer.credentials)(&access, "host").iter().map(|c| c.key).collect();
            assert_eq!(keys, definition.credential_keys);
        }
    }

    #[test]
    fn a_build_is_the_same_until_something_of_it_changes() {
        for definition in ALL {
            let Some(offer) = &definition.offer else { continue };
            let of = |version: &str, size: SizeTier| Wish {
                kind: definition.kind,
                version: version.to_owned(),
                tier: offer.tier(size).unwrap(),
                power: Power::On,
            };
            let (default, dev) = (offer.default_version(), SizeTier::Dev);
            let first = build(&of(default, dev)).unwrap();
            assert_eq!(build(&of(default, dev)), Some(first));
            let off = Wish { power: Power::Off, ..of(default, dev) };
            assert_eq!(build(&off), Some(first), "one that is off has what it had");
            assert_ne!(build(&of(default, SizeTier::Standard)), Some(first));
            assert_ne!(build(&of(offer.versions[1], dev)), Some(first));
        }
    }
}
