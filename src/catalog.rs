//! What each kind of service is: versions, tiers, credentials, and the container that runs it. One file a kind.
//!
//! Pure: it says what should be there and never looks at what is. The rest of the crate knows a kind by its
//! [`Definition`] only. A new kind is a new file and a row in the list.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::domain::address::Publishing;
use crate::domain::id::BuildDigest;
use crate::domain::lifecycle::ServiceAction;
use crate::domain::limits::Limits;
use crate::domain::service::{Published, ServiceKind, SizeTier, TierSpec, Wish};

pub mod access;
pub mod archive;
pub mod backup;
pub mod copy;
pub mod deployment;
pub mod dump;
pub mod ending;
mod http;
pub mod inquiry;
mod mailpit;
mod minio;
mod mongodb;
mod mysql;
mod object_storage;
pub mod offering;
pub mod policy;
mod postgresql;
mod qdrant;
mod redis;
mod s3;
mod script;
pub mod upgrade;

use access::{Access, MASK, Seed};
use archive::Archive;
use backup::Backup;
use deployment::{Change, Deployment, File};
use dump::Dump;
use inquiry::{KeyBrowser, SqlConsole};
use policy::Policy;
use upgrade::Upgrade;

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
    ObjectStorage => object_storage,
    Minio => minio,
    Mailpit => mailpit,
}

/// The kinds that are asked for most, which a development server has ready.
pub static USUAL: &[&Definition] = &[&postgresql::DEFINITION, &redis::DEFINITION];

/// What is known of a kind that only a newer version of the server offers. It is in no list.
static UNKNOWN: Definition = Definition {
    kind: ServiceKind::Unknown,
    name: "Unknown",
    description: "",
    image: "",
    credential_keys: &[],
    offer: None,
    is_announced: true,
};

/// A kind of service as the catalog knows it.
#[derive(Clone, Copy)]
pub struct Definition {
    pub kind: ServiceKind,
    pub name: &'static str,
    pub description: &'static str,
    /// The name of the official image, with what tags have before the version, if anything.
    pub image: &'static str,
    /// The environment variables that a service of this kind generates, in the order in which they are shown.
    pub credential_keys: &'static [&'static str],
    /// None while nothing here can run it.
    pub offer: Option<Offer>,
    /// Whether it is announced only, unless the operator offers it: nobody has seen it working yet.
    pub is_announced: bool,
}

/// What it takes to run a kind.
#[derive(Clone, Copy)]
pub struct Offer {
    /// Newest first.
    pub versions: &'static [&'static str],
    /// One of them, which is taken where none is asked for.
    pub default_version: &'static str,
    /// One of each size, smallest first.
    pub tiers: [TierSpec; 3],
    /// Where the server inside listens; the first is the main one, which a service is known by.
    pub endpoints: &'static [Endpoint],
    /// How many clients a service of a size serves at once; None where it does not count them.
    pub connections: Option<fn(&TierSpec) -> u32>,
    /// Where in the container the volume with its data is, in whatever version, or a link to that.
    pub data_path: &'static str,
    /// How long a clean shutdown may take before the engine kills it.
    pub stop_grace: Duration,
    /// Makes a new service's access from random bytes.
    pub access: fn(&Seed) -> Access,
    /// The credentials of a service, in the order of `credential_keys`.
    pub credentials: fn(&Access, host: &str) -> Vec<Credential>,
    /// The container that runs a service.
    pub deployment: fn(&Wish, &Access, &Policy) -> Deployment,
    /// What logs in to a running server as an application would. It exits with 0, or with [`deployment::REFUSED`] where the server
    /// says that this user must not come in, or otherwise where there is no telling.
    pub login: fn(&Wish, &Access) -> Change,
    pub can: Abilities,
}

/// What a kind can do besides what all can.
#[derive(Clone, Copy)]
pub struct Abilities {
    /// A file by which a container that is made anew puts back what locks a service's user out; None where a start does that
    /// anyway.
    pub repair: Option<fn(&Access, &Policy) -> File>,
    /// None where the kind can't change its passwords.
    pub rotation: Option<Rotation>,
    /// None where the server inside takes a new size only when it is started.
    pub live_resize: Option<LiveResize>,
    /// None where the server inside can't be kept from writing while it runs: it is stopped then.
    pub storage_guard: Option<StorageGuard>,
    /// None where the kind speaks no SQL.
    pub sql: Option<SqlConsole>,
    /// None where the kind has no keys.
    pub keys: Option<KeyBrowser>,
    /// None where its data can't go over to another version.
    pub upgrade: Option<Upgrade>,
    /// None where there is no way to have it backed up.
    pub backup: Option<Backup>,
    /// How its users get what it holds in a form of their own tools'.
    pub dump: Option<Dump>,
    /// None where nothing but a backup can be brought back.
    pub archive: Option<Archive>,
}

impl Abilities {
    pub const NONE: Self = Self {
        repair: None,
        rotation: None,
        live_resize: None,
        storage_guard: None,
        sql: None,
        keys: None,
        upgrade: None,
        backup: None,
        dump: None,
        archive: None,
    };
}

/// What a kind may be able to do besides what all are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    LiveRotation,
    RotationByRestart,
    LiveResize,
    StorageGuard,
    Upgrade,
    Backup,
    PointInTime,
    Export,
    Sql,
    Keys,
}

/// A TCP port that the server inside listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Its own among those of its kind.
    pub name: &'static str,
    pub port: u16,
    /// What is spoken there, as the scheme of a URL.
    pub protocol: &'static str,
}

/// How a kind changes its passwords.
#[derive(Clone, Copy)]
pub struct Rotation {
    /// What has a running server take the passwords of an access, and no others.
    pub change: fn(&Wish, &Access) -> Change,
    /// Whether nobody loses a connection by it. Otherwise the server inside begins anew, in the container that it has.
    pub is_live: bool,
}

/// How a kind takes a new size while it runs.
#[derive(Clone, Copy)]
pub struct LiveResize {
    /// What has a running server take the size of a wish.
    pub change: fn(&Wish, &Access) -> Change,
    /// How much memory a size has for data, in MiB: a server with more does not fit into it.
    pub memory_for_data: fn(&TierSpec) -> u32,
}

/// How a kind is kept from taking more storage while it runs. What deletes can go on.
#[derive(Clone, Copy)]
pub struct StorageGuard {
    /// What has a running server take no more writes, and ends those who are at it. What it does by itself to need less is begun.
    pub forbid: fn(&Wish, &Access) -> Change,
    /// What has it take writes again.
    pub allow: fn(&Wish, &Access) -> Change,
}

/// An environment variable that an application connects with.
#[derive(Debug, Clone)]
pub struct Credential {
    pub key: &'static str,
    pub value: SecretString,
}

impl Definition {
    /// The official image of a version.
    pub fn image(&self, version: &str) -> String {
        let (repository, _) = self.image.split_once(':').unwrap_or((self.image, ""));
        format!("{repository}:{}", self.tag(version))
    }

    /// How the images of a version are tagged.
    pub fn tag(&self, version: &str) -> String {
        let (_, before) = self.image.split_once(':').unwrap_or_default();
        format!("{before}{version}")
    }

    /// The versions that a service of `version` can be brought to, newest first.
    pub fn upgrades(&self, version: &str) -> &'static [&'static str] {
        let Some(offer) = self.offer.as_ref().filter(|offer| offer.can.upgrade.is_some()) else { return &[] };
        let place = offer.versions.iter().position(|offered| *offered == version);
        &offer.versions[..place.unwrap_or_default()]
    }

    /// Whether `action` can be done to a service of this kind in any state.
    pub fn is_able(&self, action: ServiceAction) -> bool {
        let can =
            |able: fn(&Abilities) -> bool, otherwise| self.offer.as_ref().map_or(otherwise, |offer| able(&offer.can));
        match action {
            ServiceAction::RotateCredentials => can(|can| can.rotation.is_some(), true),
            ServiceAction::RunSql => can(|can| can.sql.is_some(), false),
            ServiceAction::BrowseKeys => can(|can| can.keys.is_some(), false),
            ServiceAction::CreateBackup | ServiceAction::Restore => can(|can| can.backup.is_some(), false),
            ServiceAction::Upgrade | ServiceAction::Revert => can(|can| can.upgrade.is_some(), false),
            ServiceAction::Start
            | ServiceAction::Stop
            | ServiceAction::Restart
            | ServiceAction::Destroy
            | ServiceAction::RevealCredentials
            | ServiceAction::Resize
            | ServiceAction::UpdateImage
            | ServiceAction::Repair => true,
        }
    }
}

impl Offer {
    /// What services can do besides what all can.
    pub fn abilities(&self) -> Vec<Ability> {
        let has = [
            (Ability::LiveRotation, self.can.rotation.is_some_and(|rotation| rotation.is_live)),
            (Ability::RotationByRestart, self.can.rotation.is_some_and(|rotation| !rotation.is_live)),
            (Ability::LiveResize, self.can.live_resize.is_some()),
            (Ability::StorageGuard, self.can.storage_guard.is_some()),
            (Ability::Upgrade, self.can.upgrade.is_some()),
            (Ability::Backup, self.can.backup.is_some()),
            (Ability::PointInTime, self.can.archive.is_some()),
            (Ability::Export, self.can.dump.is_some()),
            (Ability::Sql, self.can.sql.is_some()),
            (Ability::Keys, self.can.keys.is_some()),
        ];
        has.into_iter().filter_map(|(ability, has)| has.then_some(ability)).collect()
    }

    /// The port of the main endpoint.
    pub fn port(&self) -> u16 {
        self.endpoints[0].port
    }

    /// None where no such size is offered.
    pub fn tier(&self, tier: SizeTier) -> Option<TierSpec> {
        self.tiers.iter().find(|offered| offered.tier == tier).copied()
    }
}

/// How many clients a service serves at once; None where there is no telling.
pub fn connections_limit(wish: &Wish) -> Option<u32> {
    Some(definition(wish.kind).offer.as_ref()?.connections?(&wish.tier))
}

/// Where a service of `kind` can be published whose search begins at the place `start`; None where no ports are left. `held` are the
/// kinds of what is published with the ports of their main endpoints: the others' follow. Who is quicker has the main one for
/// sure; that one of the others is taken shows when the container is started.
pub fn free_port(
    publishing: &Publishing,
    kind: ServiceKind,
    held: &[(ServiceKind, u16)],
    start: u128,
) -> Option<Published> {
    let count = |kind| definition(kind).offer.as_ref().map_or(1, |offer| offer.endpoints.len());
    let taken: Vec<_> = held
        .iter()
        .flat_map(|&(kind, port)| (0..count(kind)).filter_map(move |n| port.checked_add(u16::try_from(n).ok()?)))
        .collect();
    publishing.choose(&taken, start, count(kind))
}

/// What a container for `wish` is made from, as a digest; None where its kind is not offered. It is that of a container which
/// admits nobody in particular, so it tells no secret and needs none, and under no policy, which is heard inside only.
pub fn build(wish: &Wish) -> Option<BuildDigest> {
    blueprint(wish).map(|(digest, _)| digest)
}

/// What all containers for one wish have in common. It is kept, for what is made of passwords, of which nothing is in it, takes
/// milliseconds by design.
fn blueprint(wish: &Wish) -> Option<(BuildDigest, Limits)> {
    static KEPT: Mutex<BTreeMap<String, (BuildDigest, Limits)>> = Mutex::new(BTreeMap::new());
    let definition = definition(wish.kind);
    let offer = definition.offer.as_ref()?;
    let key = format!("{} {} {:?}", wish.kind, wish.version, wish.tier);
    if let Some(kept) = KEPT.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Some(*kept);
    }
    let nobody = (offer.access)(&Seed([0; Seed::LENGTH]));
    let deployment = (offer.deployment)(wish, &nobody, &Policy::default());
    let made = (deployment.digest(&definition.image(&wish.version)), deployment.limits());
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).insert(key, made);
    Some(made)
}

/// What an instance that is ready beforehand is made from, whatever takes it: two that differ in it can't stand for each other.
/// `image` is the name of what it runs, `published` the address that services are published on. None where its kind is not
/// offered.
pub fn made_of(wish: &Wish, image: &str, policy: &Policy, published: Option<IpAddr>) -> Option<String> {
    let Policy { superuser, extensions } = policy;
    let extensions: Vec<_> = extensions.iter().map(policy::Extension::as_str).collect();
    let published = published.map(|address| address.to_string()).unwrap_or_default();
    Some(format!("{} {image} {superuser} {} {published}", build(wish)?, extensions.join(",")))
}

/// An environment variable as it is shown to who has not asked for its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub key: &'static str,
    /// With the mask in the place of the password, if there is one in it.
    pub value: String,
    pub is_secret: bool,
}

/// The credentials of a service that lets `access` in; of what can't be known but the keys.
pub fn shown(kind: ServiceKind, access: Option<&Access>, host: &str) -> Vec<Shown> {
    let definition = definition(kind);
    let Some((offer, access)) = definition.offer.as_ref().zip(access) else {
        let unknown = |&key| Shown { key, value: MASK.to_owned(), is_secret: true };
        return definition.credential_keys.iter().map(unknown).collect();
    };
    let (masked, real) = ((offer.credentials)(&access.masked(), host), (offer.credentials)(access, host));
    let is_same =
        |(masked, real): &(Credential, Credential)| masked.value.expose_secret() == real.value.expose_secret();
    let pairs = masked.into_iter().zip(real);
    let shown = pairs.map(|pair| Shown {
        key: pair.0.key,
        value: pair.0.value.expose_secret().to_owned(),
        is_secret: !is_same(&pair),
    });
    shown.collect()
}

/// What a container for `wish` may take; None where its kind is not offered.
pub fn limits(wish: &Wish) -> Option<Limits> {
    blueprint(wish).map(|(_, limits)| limits)
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
    use crate::domain::name::ServiceName;
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
        let offer =
            able.offer.map(|offer| Offer { can: Abilities { rotation: None, sql: None, ..offer.can }, ..offer });
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
            assert!(definition.kind.plain_name().parse::<ServiceName>().is_ok());
            let Some(offer) = &definition.offer else { continue };
            let access = (offer.access)(&Seed([7; Seed::LENGTH]));
            let keys: Vec<_> = (offer.credentials)(&access, "host").iter().map(|c| c.key).collect();
            assert_eq!(keys, definition.credential_keys);
        }
    }

    #[test]
    fn of_what_is_shown_only_the_password_is_masked() {
        for definition in ALL {
            let access = definition.offer.as_ref().map(|offer| (offer.access)(&Seed([7; Seed::LENGTH])));
            let shown = shown(definition.kind, access.as_ref(), "host");
            let keys: Vec<_> = shown.iter().map(|shown| shown.key).collect();
            assert_eq!(keys, definition.credential_keys);
            for shown in shown {
                assert_eq!(shown.is_secret, shown.value.contains(MASK), "{shown:?}");
                let Some((offer, access)) = definition.offer.as_ref().zip(access.as_ref()) else { continue };
                let password = access.password.expose_secret();
                let real = (offer.credentials)(access, "host").into_iter().find(|real| real.key == shown.key).unwrap();
                assert_eq!(shown.is_secret, real.value.expose_secret().contains(password), "{}", shown.key);
                assert!(!shown.value.contains(password));
            }
        }
        let access = Access::with_password(&Seed([7; Seed::LENGTH]));
        let url = &shown(ServiceKind::Redis, Some(&access), "host")[0];
        assert_eq!((url.key, url.value.as_str()), ("REDIS_URL", "redis://:••••••••@host:6379"));
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
            let (default, dev) = (offer.default_version, SizeTier::Dev);
            let first = build(&of(default, dev)).unwrap();
            assert_eq!(build(&of(default, dev)), Some(first));
            let off = Wish { power: Power::Off, ..of(default, dev) };
            assert_eq!(build(&off), Some(first), "one that is off has what it had");
            assert_ne!(build(&of(default, SizeTier::Standard)), Some(first));
            for version in offer.versions.iter().filter(|version| **version != default) {
                assert_ne!(build(&of(version, dev)), Some(first));
            }
        }
    }
}
