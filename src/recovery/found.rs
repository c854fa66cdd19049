//! What there is to bring back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::RecoveryError;
use super::log::{find_logs, reach};
use crate::crypto::{CryptoError, Sealer};
use crate::domain::id::{InstallationId, InstanceId, ServiceId};
use crate::domain::log::LogSection;
use crate::repository::{Found, Kept, Manifest, Repository, Snapshot};

/// How many snapshots of a database are listed.
const LISTED: usize = 3;

/// Everything that is kept of all installations.
#[derive(Debug)]
pub struct Findings {
    pub installations: Vec<Installation>,
    /// Names of what is no manifest that is known here.
    pub unreadable: Vec<String>,
}

/// What is kept of one.
#[derive(Debug)]
pub struct Installation {
    pub id: InstallationId,
    /// The newest first.
    pub snapshots: Vec<Found<Snapshot>>,
    /// Each service's, the newest first. Never empty.
    pub services: BTreeMap<ServiceId, Vec<Found<Manifest>>>,
    /// What is kept of their logs, of those that have any.
    pub logs: BTreeMap<ServiceId, Vec<LogSection>>,
}

/// Looks at everything that is kept, and changes nothing.
pub async fn find(repository: &Repository, sealer: &Sealer) -> Result<Findings, RecoveryError> {
    let Kept { backups, snapshots, logs, mut unreadable } = repository.survey(sealer).await?;
    let backed = backups.iter().map(|found| found.manifest.installation.0);
    let ids: BTreeSet<_> = backed.chain(snapshots.iter().map(|found| found.manifest.installation.0)).collect();
    let new = |id| Installation {
        id: InstallationId(id),
        snapshots: Vec::new(),
        services: BTreeMap::new(),
        logs: BTreeMap::new(),
    };
    let mut installations: BTreeMap<_, _> = ids.into_iter().map(|id| (id, new(id))).collect();
    for found in snapshots {
        if let Some(of) = installations.get_mut(&found.manifest.installation.0) {
            of.snapshots.push(found);
        }
    }
    for found in backups {
        if let Some(of) = installations.get_mut(&found.manifest.installation.0) {
            of.services.entry(found.manifest.service).or_default().push(found);
        }
    }
    for installation in installations.values_mut() {
        installation.snapshots.sort_by_key(|found| std::cmp::Reverse(found.manifest.taken_at));
        for backups in installation.services.values_mut() {
            backups.sort_by_key(|found| std::cmp::Reverse((found.manifest.begun_at, found.manifest.backup)));
        }
    }
    let mut installations: Vec<_> = installations.into_values().collect();
    find_logs((repository, sealer), logs, &mut installations, &mut unreadable).await?;
    Ok(Findings { installations, unreadable })
}

impl Findings {
    /// The installation that is wanted, or the only one.
    pub fn choose(self, wanted: Option<InstallationId>) -> Result<Installation, RecoveryError> {
        let all = self.installations.iter().map(|one| one.id.to_string()).collect::<Vec<_>>();
        let mut fitting = self.installations.into_iter().filter(|one| wanted.is_none_or(|wanted| one.id == wanted));
        match (fitting.next(), fitting.next(), wanted) {
            (Some(only), None, _) => Ok(only),
            (Some(_), Some(_), _) => Err(RecoveryError::Several(all.join(", "))),
            (None, _, Some(wanted)) if !all.is_empty() => Err(RecoveryError::NotThere(wanted)),
            (None, ..) => Err(RecoveryError::Nothing),
        }
    }
}

impl Installation {
    /// Whether the key ring opens what is wanted first: the newest snapshot, and each service's newest backup. With
    /// `skip_unreadable` it is enough that anything opens.
    pub fn check_keys(&self, skip_unreadable: bool) -> Result<(), RecoveryError> {
        let newest = self.snapshots.first().map(|found| (&found.manifest.object, &found.secret));
        let each = self.services.values().filter_map(|backups| {
            let newest = backups.iter().find(|found| found.is_whole)?;
            Some((&newest.manifest.object, &newest.secret))
        });
        let closed = |(object, secret): (&String, &Result<_, CryptoError>)| {
            secret.as_ref().err().map(|why| (object.clone(), why.clone()))
        };
        let closed: Vec<_> = newest.into_iter().chain(each).filter_map(closed).collect();
        let backups = self.services.values().flatten().map(|found| found.secret.is_ok());
        let opens_any = self.snapshots.iter().map(|found| found.secret.is_ok()).chain(backups).any(|opens| opens);
        if closed.is_empty() || (skip_unreadable && opens_any) {
            return Ok(());
        }
        Err(RecoveryError::Keys(closed, opens_any))
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.installations.is_empty() {
            writeln!(f, "There is no backup of any installation.")?;
        }
        self.installations.iter().try_for_each(|installation| installation.fmt(f))?;
        self.unreadable.iter().try_for_each(|name| writeln!(f, "No manifest that is known here: {name}"))
    }
}

impl fmt::Display for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Installation {}", self.id)?;
        match self.snapshots.len() {
            0 => writeln!(f, "  No snapshot of the server's database; services are known by their backups alone.")?,
            count => writeln!(f, "  Snapshots of the server's database: {count}, the newest")?,
        }
        for Found { manifest, secret, is_whole } in self.snapshots.iter().take(LISTED) {
            let (at, size) = (manifest.taken_at, size(manifest.written.stored_bytes));
            writeln!(f, "    {at:.0}  {size}  {}", told(secret, *is_whole))?;
        }
        let mut services: Vec<_> = self.services.iter().collect();
        services.sort_by(|(_, one), (_, other)| {
            let of = |backups: &[Found<Manifest>]| {
                backups.first().map(|found| (found.manifest.project.clone(), found.manifest.service_name.clone()))
            };
            of(one).cmp(&of(other))
        });
        let mut project = None;
        for (id, backups) in services {
            let Some(Found { manifest, secret, is_whole }) = backups.first() else { continue };
            if project.replace(&manifest.project) != Some(&manifest.project) {
                writeln!(f, "  Project {}", manifest.project)?;
            }
            let (name, kind, version, at) =
                (&manifest.service_name, manifest.kind, &manifest.version, manifest.begun_at);
            let (count, size) = (backups.len(), size(manifest.written.stored_bytes));
            let told = told(secret, *is_whole);
            let verified = match &manifest.verification {
                Some(verification) => format!("verified {:.0}", verification.verified_at),
                None => "not known to be verified".to_owned(),
            };
            writeln!(f, "    {name}  {kind} {version}  {id}")?;
            writeln!(f, "      backups: {count}, the newest of {at:.0}  {size}  {told}; {verified}")?;
            let (instance, time) = (manifest.instance.map(InstanceId), (at, manifest.ended_at));
            if let Some(until) = self.logs.get(id).and_then(|sections| reach(sections, instance, time)) {
                writeln!(f, "      what was written after that is kept, up to {until:.0}")?;
            }
        }
        Ok(())
    }
}

fn told<T>(secret: &Result<T, CryptoError>, is_whole: bool) -> String {
    match (secret, is_whole) {
        (Ok(_), true) => "opens".to_owned(),
        (Ok(_), false) => "opens, but its content is truncated or gone".to_owned(),
        (Err(why), _) => format!("does not open: {why}"),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{} MiB", bytes.div_ceil(1 << 20)),
    }
}
