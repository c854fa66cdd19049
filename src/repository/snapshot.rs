//! The sidecar's own database, kept beside the backups of services in the same form: a sealed content, and then a manifest in
//! which its key is sealed under the key ring.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutPayload};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::error::{RepositoryError, Result};
use super::manifest::{self, FORMAT, Written, installation, shown};
use super::secret::{ContentKey, Secret};
use super::{Object, Repository, document, file, unreadable};
use crate::crypto::Sealer;
use crate::domain::id::{BackupId, InstallationId};

/// What snapshots are below. A project may be called so, too: its services' folders have a hyphen in their names, which
/// an installation's id has not.
pub(super) const FOLDER: &str = "sidecar";
/// What the content of a snapshot is.
const CONTENT: &str = "sqlite-database";
/// How the name of a snapshot begins.
const TIME: &str = "%Y-%m-%dT%H-%M-%SZ";
/// How many of the newest stay, however soon after one another they were taken.
const NEWEST: usize = 5;
/// What has no manifest after so long was left behind by a writing that was broken off.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(24);

/// The sidecar's database as it was at a moment, for who has nothing else.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// As that of a [`super::Manifest`].
    pub format: u32,
    #[serde(with = "shown")]
    pub snapshot: BackupId,
    #[serde(with = "installation")]
    pub installation: InstallationId,
    /// What the content is, such as `sqlite-database`.
    pub content: String,
    pub taken_at: Timestamp,
    /// Why it was taken: `SCHEDULED`, `BEFORE_MIGRATION`, or [`Snapshot::CHANGED`].
    pub reason: String,
    /// The version of the server that took it.
    pub server: String,
    pub written: Written,
    /// Where its content is, as that of a [`super::Manifest`].
    pub object: String,
}

impl Snapshot {
    /// The reason of one that was taken between two scheduled ones, because of what was written.
    pub const CHANGED: &str = "CHANGED";

    /// Where it is.
    pub fn object(&self) -> Object {
        Object::from_stored(self.snapshot, self.object.clone())
    }
}

impl Object {
    /// A snapshot's place: `sidecar/{installation}/{time}-{id}`.
    fn of_snapshot(installation: InstallationId, snapshot: BackupId, taken_at: Timestamp) -> Self {
        let time = taken_at.strftime(TIME);
        Self::from_stored(snapshot, format!("{FOLDER}/{installation}/{time}-{snapshot}"))
    }
}

impl Repository {
    /// Keeps `file`, a copy of the database of `installation` as of `taken_at`.
    ///
    /// # Errors
    /// As [`Repository::write`]; what was written is removed then, as far as that can be done.
    pub async fn write_snapshot(
        &self,
        file: PathBuf,
        (installation, reason): (InstallationId, &str),
        taken_at: Timestamp,
        sealer: &Sealer,
    ) -> Result<Snapshot> {
        let snapshot = BackupId(Uuid::now_v7());
        let object = Object::of_snapshot(installation, snapshot, taken_at);
        let secret = Secret { key: ContentKey::random().map_err(RepositoryError::Key)?, access: Zeroizing::default() };
        let file = file::opened(file).await.map_err(RepositoryError::Content)?;
        let written = self.write(&object, file::pieces(file), &secret.key, &watch::channel(0).0).await?;
        let manifest = Snapshot {
            format: FORMAT,
            snapshot,
            installation,
            content: CONTENT.to_owned(),
            taken_at,
            reason: reason.to_owned(),
            server: env!("CARGO_PKG_VERSION").to_owned(),
            written,
            object: object.as_str().to_owned(),
        };
        let document = manifest::sealed(&manifest, &secret, sealer).map_err(|error| unreadable(&object, error))?;
        if let Err(error) = self.store.put(&object.manifest(), PutPayload::from(document)).await {
            let _ = self.remove(&object).await;
            return Err(error.into());
        }
        Ok(manifest)
    }

    /// When the newest snapshot of an installation was taken, by what its manifest says; None where there is none.
    pub async fn newest_snapshot(&self, installation: InstallationId) -> Result<Option<Timestamp>> {
        let (manifests, _) = self.of_installation(installation).await?;
        for meta in manifests.iter().rev() {
            match document(&self.store, &meta.location).await {
                Ok(read) => match manifest::unopened::<Snapshot>(&read) {
                    Ok(snapshot) => return Ok(Some(snapshot.taken_at)),
                    Err(_) => continue,
                },
                Err(RepositoryError::Missing(_) | RepositoryError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Removes the snapshots of an installation that are not to be kept, and what was left behind by writings that were
    /// broken off. Says how many snapshots it removed.
    ///
    /// Of the newest `intervals` that have one, each keeps its newest and what was not taken because of a change; so do the
    /// newest of all. Whatever is older goes.
    pub async fn trim_snapshots(
        &self,
        installation: InstallationId,
        (intervals, length): (usize, Duration),
        now: Timestamp,
    ) -> Result<usize> {
        let (manifests, contents) = self.of_installation(installation).await?;
        let (mut seen, mut last, mut removed) = (0, None, 0);
        for (place, meta) in manifests.iter().rev().enumerate() {
            // Whatever else is there is none of ours.
            let Some(taken_at) = taken_at(&meta.location) else { continue };
            let interval = taken_at.as_second().div_euclid(i64::try_from(length.as_secs()).unwrap_or(i64::MAX).max(1));
            let is_its_newest = last.replace(interval) != Some(interval);
            seen += usize::from(is_its_newest);
            let stays =
                seen <= intervals && (is_its_newest || place < NEWEST || !self.is_of_change(&meta.location).await?);
            if let Some(path) = meta.location.as_ref().strip_suffix(Object::MANIFEST).filter(|_| !stays) {
                self.remove(&Object::from_stored(BackupId(Uuid::nil()), path.to_owned())).await?;
                removed += 1;
            }
        }
        let whole: Vec<Path> = manifests.iter().filter_map(|meta| Object::content_beside(&meta.location)).collect();
        let is_left = |meta: &&ObjectMeta| {
            let modified = Timestamp::from_second(meta.last_modified.timestamp()).unwrap_or(now);
            now.duration_since(modified) > GIVEN_UP && !whole.contains(&meta.location)
        };
        for meta in contents.iter().filter(is_left) {
            if let Some(path) = meta.location.as_ref().strip_suffix(Object::CONTENT) {
                self.remove(&Object::from_stored(BackupId(Uuid::nil()), path.to_owned())).await?;
            }
        }
        Ok(removed)
    }

    async fn is_of_change(&self, manifest: &Path) -> Result<bool> {
        match document(&self.store, manifest).await {
            Ok(read) => Ok(manifest::unopened::<Snapshot>(&read).is_ok_and(|read| read.reason == Snapshot::CHANGED)),
            Err(RepositoryError::Missing(_) | RepositoryError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Manifests and contents of an installation's snapshots, the oldest first: their names begin with their times.
    async fn of_installation(&self, installation: InstallationId) -> Result<(Vec<ObjectMeta>, Vec<ObjectMeta>)> {
        let folder = Path::from(format!("{FOLDER}/{installation}"));
        let mut found: Vec<ObjectMeta> = self.store.list(Some(&folder)).try_collect().await?;
        found.sort_by(|one, other| one.location.cmp(&other.location));
        let of = |end: &str| found.iter().filter(|meta| meta.location.as_ref().ends_with(end)).cloned().collect();
        Ok((of(Object::MANIFEST), of(Object::CONTENT)))
    }
}

/// When a snapshot was taken, by its name.
fn taken_at(manifest: &Path) -> Option<Timestamp> {
    // A time has 20 characters.
    let time = manifest.filename()?.get(..20)?;
    Offset::UTC.to_timestamp(DateTime::strptime(TIME, time).ok()?).ok()
}
