//! The sidecar's own database, kept beside the backups of services in the same form: a sealed content, and then a manifest in
//! which its key is sealed under the key ring.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use async_stream::try_stream;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
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
use super::{Object, Repository, document, unreadable};
use crate::crypto::Sealer;
use crate::domain::id::{BackupId, InstallationId};

/// What snapshots are below. A project may be called so, too: its services' folders have a hyphen in their names, which
/// an installation's id has not.
pub(super) const FOLDER: &str = "sidecar";
/// What the content of a snapshot is.
const CONTENT: &str = "sqlite-database";
/// Bytes of the file that are read at once.
const PIECE: u64 = 256 << 10;
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
    /// Why it was taken, such as `SCHEDULED` or `BEFORE_MIGRATION`.
    pub reason: String,
    /// The version of the server that took it.
    pub server: String,
    pub written: Written,
    /// Where its content is, as that of a [`super::Manifest`].
    pub object: String,
}

impl Snapshot {
    /// Where it is.
    pub fn object(&self) -> Object {
        Object::from_stored(self.snapshot, self.object.clone())
    }
}

impl Object {
    /// A snapshot's place: `sidecar/{installation}/{time}-{id}`.
    fn of_snapshot(installation: InstallationId, snapshot: BackupId, taken_at: Timestamp) -> Self {
        let time = taken_at.strftime("%Y-%m-%dT%H-%M-%SZ");
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
        let written = self.write(&object, pieces(file), &secret.key, &watch::channel(0).0).await?;
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

    /// Removes the snapshots of an installation but for the newest `keep`, and what was left behind by writings that were
    /// broken off. Says how many snapshots it removed.
    pub async fn trim_snapshots(&self, installation: InstallationId, keep: usize, now: Timestamp) -> Result<usize> {
        let (manifests, contents) = self.of_installation(installation).await?;
        let old = &manifests[..manifests.len().saturating_sub(keep)];
        for meta in old {
            if let Some(path) = meta.location.as_ref().strip_suffix(Object::MANIFEST) {
                self.remove(&Object::from_stored(BackupId(Uuid::nil()), path.to_owned())).await?;
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
        Ok(old.len())
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

/// What is in a file, from its beginning to its end.
fn pieces(file: PathBuf) -> BoxStream<'static, io::Result<Bytes>> {
    let pieces = try_stream! {
        let mut file = blocking(move || File::open(file)).await?;
        loop {
            let (read_on, piece) = blocking(move || {
                let mut piece = Vec::new();
                (&file).take(PIECE).read_to_end(&mut piece)?;
                Ok((file, piece))
            })
            .await?;
            file = read_on;
            if piece.is_empty() {
                break;
            }
            yield Bytes::from(piece);
        }
    };
    pieces.boxed()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
