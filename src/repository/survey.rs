//! Everything that is kept, at a glance: for who has nothing else.

use std::collections::HashMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::ObjectStore as _;
use object_store::path::Path;
use serde::de::DeserializeOwned;

use super::error::{RepositoryError, Result};
use super::log::{Listed, LogFolder};
use super::manifest::{self, Manifest, Unreadable};
use super::secret::Secret;
use super::snapshot::Snapshot;
use super::{LIST_CONCURRENCY, Object, Repository, document};
use crate::crypto::{CryptoError, Sealer};

/// A manifest, and what can be said of it without reading its content.
#[derive(Debug)]
pub struct Found<T> {
    pub manifest: T,
    /// What is sealed in it. Where it does not open, the manifest may have been altered.
    pub secret: Result<Secret, CryptoError>,
    /// Whether its content is there, as long as it was written.
    pub is_whole: bool,
}

/// Everything that is kept, each in the order of names.
#[derive(Debug, Default)]
pub struct Kept {
    pub backups: Vec<Found<Manifest>>,
    pub snapshots: Vec<Found<Snapshot>>,
    /// Parts of logs whose content is there.
    pub logs: Vec<Listed>,
    /// Names of what should be a manifest, and is none that is known here.
    pub unreadable: Vec<String>,
}

enum Read {
    Backup(Box<Found<Manifest>>),
    Snapshot(Box<Found<Snapshot>>),
    Unreadable(String),
    Gone,
}

impl Repository {
    /// Looks at every manifest, and opens it if the key ring does.
    ///
    /// # Errors
    /// Where the repository does not answer or refuses. What is wrong with a single manifest is no error.
    pub async fn survey(&self, sealer: &Sealer) -> Result<Kept> {
        let sizes: HashMap<Path, u64> =
            self.store.list(None).map_ok(|meta| (meta.location, meta.size)).try_collect().await?;
        let mut names: Vec<_> = sizes.keys().filter(|name| is_looked_at(name)).collect();
        names.sort();
        let reads = stream::iter(names).map(|name| self.look_at(name, &sizes, sealer));
        let is_there = |part: &Listed| sizes.contains_key(&part.content());
        let logs = sizes.keys().filter(|name| LogFolder::has(name)).filter_map(Listed::parse).filter(is_there);
        let mut kept = Kept { logs: logs.collect(), ..Kept::default() };
        kept.logs.sort_by(|one, other| one.name().cmp(other.name()));
        let mut reads = std::pin::pin!(reads.buffered(LIST_CONCURRENCY));
        while let Some(read) = reads.try_next().await? {
            match read {
                Read::Backup(found) => kept.backups.push(*found),
                Read::Snapshot(found) => kept.snapshots.push(*found),
                Read::Unreadable(name) => kept.unreadable.push(name),
                Read::Gone => {}
            }
        }
        Ok(kept)
    }

    async fn look_at(&self, name: &Path, sizes: &HashMap<Path, u64>, sealer: &Sealer) -> Result<Read> {
        let read = match document(&self.store, name).await {
            Ok(read) => read,
            Err(RepositoryError::Missing(_)) => return Ok(Read::Gone),
            Err(RepositoryError::Damaged { .. }) => return Ok(Read::Unreadable(name.to_string())),
            Err(error) => return Err(error),
        };
        let stored = Object::content_beside(name).and_then(|content| sizes.get(&content)).copied();
        // One that was moved is of no use where it is.
        let is_here = |object: &str| Path::from(format!("{object}{}", Object::MANIFEST)) == *name;
        if let Some(mut found) = opened::<Manifest>(&read, sealer).filter(|found| is_here(&found.manifest.object)) {
            found.is_whole = stored == Some(found.manifest.written.stored_bytes);
            return Ok(Read::Backup(Box::new(found)));
        }
        if let Some(mut found) = opened::<Snapshot>(&read, sealer).filter(|found| is_here(&found.manifest.object)) {
            found.is_whole = stored == Some(found.manifest.written.stored_bytes);
            return Ok(Read::Snapshot(Box::new(found)));
        }
        Ok(Read::Unreadable(name.to_string()))
    }
}

/// Parts of logs are many, and their names tell what they hold.
fn is_looked_at(name: &Path) -> bool {
    name.as_ref().ends_with(Object::MANIFEST) && !LogFolder::has(name)
}

fn opened<T: DeserializeOwned>(document: &[u8], sealer: &Sealer) -> Option<Found<T>> {
    let manifest = manifest::unopened::<T>(document).ok()?;
    let secret = match manifest::opened::<T>(document, sealer) {
        Ok((_, secret)) => Ok(secret),
        Err(Unreadable::Key(error)) => Err(error),
        Err(Unreadable::Form(_)) => return None,
    };
    Some(Found { manifest, secret, is_whole: false })
}
