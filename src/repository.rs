//! Where backups are kept: a directory, or a bucket of S3's, Google's or Azure's kind.
//!
//! A backup is two files: its content, streamed in as it comes, compressed and sealed under a key of its own (`seal` has the
//! layout); and then its manifest, in which that key is sealed under the key ring. What has a manifest is whole. A content is
//! never as a whole in memory, and never on a disk on its way.
//!
//! Nothing here knows what a content is, when a backup is due, or which ones the store's rows tell of.
//!
//! What is left in a bucket of S3's or Google's kind by an upload that was broken off, with the server that did it, can't be
//! seen from here: such buckets want a rule that ends incomplete multipart uploads after some days.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::crypto::Sealer;
use crate::domain::id::BackupId;

mod connect;
mod error;
mod file;
mod log;
mod manifest;
mod object;
mod open;
mod reseal;
mod seal;
mod secret;
mod snapshot;
mod staged;
mod survey;
mod upload;
mod url;

pub use error::{BoxError, RepositoryError, Result};
pub use log::{Ends, Listed, LogFolder, LogPart, NewLogPart};
pub use manifest::{Manifest, Written};
pub use object::Object;
pub use reseal::Resealed;
pub use secret::{ContentKey, Secret};
pub use snapshot::Snapshot;
pub use survey::{Found, Kept};
pub use url::{InvalidRepositoryUrl, RepositoryUrl};

use manifest::Unreadable;
use seal::{Opening, Sealing};
use upload::Upload;
use url::Target;

/// Bytes of a content that are compressed and sealed before others have their turn: about a millisecond's work.
const TURN: usize = 256 << 10;
/// Pieces of a content, of 128 KiB at most, that are opened before somebody takes them.
const AHEAD: usize = 8;
/// The largest manifest, in bytes.
const MAX_MANIFEST: u64 = 1 << 20;
/// Manifests that are read at once for a list.
const LIST_CONCURRENCY: usize = 8;
/// For a ping.
const PING_PATIENCE: Duration = Duration::from_secs(20);
/// What a ping writes. All have it in common: it means nothing, and whoever comes second finds it gone.
const PING: &str = "ping";

/// Where backups are kept. Clones are the same repository.
#[derive(Clone, Debug)]
pub struct Repository {
    store: Arc<dyn ObjectStore>,
    /// Where it is a directory.
    directory: Option<PathBuf>,
}

impl Repository {
    /// `options` are variables by which object_store is set up, such as AWS_ACCESS_KEY_ID; those that it does not know are
    /// ignored. A directory is made, for its owner only, where it is not there; a bucket is not asked for anything.
    ///
    /// # Errors
    /// Where the directory can't be made, or the options miss or contradict something.
    pub fn open(url: &RepositoryUrl, options: &[(String, String)]) -> Result<Self> {
        match url.target() {
            Target::Directory(path) => Ok(Self { store: open::directory(path)?, directory: Some(path.clone()) }),
            Target::Bucket { cloud, bucket, prefix } => {
                // A store that can't be set up is not one that does not answer.
                let store = open::bucket(*cloud, bucket, prefix, options);
                let store = store.map_err(|error| RepositoryError::Refused(error.into()))?;
                Ok(Self { store, directory: None })
            }
        }
    }

    /// Streams `content` into `object`, and tells by `progress` how many bytes of it were read so far. The object is there
    /// when this has ended well, in place of one that was there before, and not before that. Until then at most some 10 MiB
    /// are in memory, and for a bucket 40 MiB (200 MiB from the 64th GiB on); where the store is slow, the content waits.
    ///
    /// # Errors
    /// An error of `content` is [`RepositoryError::Content`]. Whatever went wrong, and where this is dropped, what was sent
    /// is given up; [`Repository::remove`] removes what that may have left.
    pub async fn write(
        &self,
        object: &Object,
        content: BoxStream<'static, std::io::Result<Bytes>>,
        key: &ContentKey,
        progress: &watch::Sender<u64>,
    ) -> Result<Written> {
        let parts = if self.directory.is_some() { upload::IN_DIRECTORY } else { upload::IN_BUCKET };
        let mut upload = Upload::new(Arc::clone(&self.store), object.content(), parts);
        match fill(&mut upload, object.backup, content, key, progress).await {
            Ok(content_bytes) => {
                let stored = upload.complete().await?;
                Ok(Written { content_bytes, stored_bytes: stored.bytes, sha256: stored.sha256 })
            }
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    /// The content again, as it was.
    ///
    /// # Errors
    /// The stream ends with [`RepositoryError::Damaged`] where the object is truncated, altered or another one, or was
    /// sealed with another key, and never with less than all of the content. What came before the error is true.
    pub async fn read(&self, object: &Object, key: &ContentKey) -> Result<BoxStream<'static, Result<Bytes>>> {
        let path = object.content();
        let name = path.to_string();
        let damaged = move |why| RepositoryError::Damaged { object: name.clone(), why };
        let mut opening = Opening::new(key, object.backup).map_err(&damaged)?;
        let found = self.store.get(&path).await?;
        let mut stored = match found.payload {
            // By itself it would be read a few KiB at a time.
            GetResultPayload::File(file, _) => file::pieces(file).map_err(RepositoryError::from).boxed(),
            GetResultPayload::Stream(stream) => stream.map_err(move |error| interrupted(error, &path)).boxed(),
        };
        let content = try_stream! {
            while let Some(sealed) = stored.next().await {
                for turn in sealed?.chunks(TURN) {
                    opening.push(turn);
                    while let Some(content) = opening.next().map_err(&damaged)? {
                        yield content;
                        tokio::task::yield_now().await;
                    }
                }
            }
            opening.last().map_err(&damaged)?;
            while let Some(content) = opening.remaining().map_err(&damaged)? {
                yield content;
                tokio::task::yield_now().await;
            }
        };
        Ok(ahead(content.boxed()))
    }

    /// Writes `manifest` beside its content, which has to be there, and removes what earlier tries have left beside both.
    ///
    /// # Errors
    /// [`RepositoryError::Missing`] and [`RepositoryError::Damaged`] where the content is not there, or not as long as it
    /// was when it was written.
    pub async fn write_manifest(&self, manifest: &Manifest, secret: &Secret, sealer: &Sealer) -> Result<()> {
        let object = Object::from_stored(manifest.backup, manifest.object.clone());
        let document = manifest::sealed(manifest, secret, sealer).map_err(|error| unreadable(&object, error))?;
        let stored = self.store.head(&object.content()).await?;
        if stored.size != manifest.written.stored_bytes {
            return Err(damaged(&object.content(), "it is not as long as what was written"));
        }
        self.store.put(&object.manifest(), PutPayload::from(document)).await?;
        for path in [object.manifest(), object.content()] {
            self.remove_staged(&path).await?;
        }
        Ok(())
    }

    async fn remove_staged(&self, path: &Path) -> Result<()> {
        match &self.directory {
            Some(directory) => staged::remove(directory.clone(), path.to_string()).await,
            None => Ok(()),
        }
    }

    /// # Errors
    /// [`RepositoryError::Missing`] where there is no manifest: then the content, if any, is not whole.
    /// [`RepositoryError::Key`] where it was altered, too.
    pub async fn read_manifest(&self, object: &Object, sealer: &Sealer) -> Result<(Manifest, Secret)> {
        let document = document(&self.store, &object.manifest()).await?;
        let (manifest, secret) =
            manifest::opened::<Manifest>(&document, sealer).map_err(|error| unreadable(object, error))?;
        if manifest.backup != object.backup || manifest.object != object.as_str() {
            return Err(damaged(&object.manifest(), "it is another backup's"));
        }
        Ok((manifest, secret))
    }

    /// Every manifest that is there, in the order of names. None is opened: they may have been altered. What is no manifest,
    /// or one of another format, is left out.
    pub async fn list(&self) -> BoxStream<'static, Result<Manifest>> {
        let names = self.store.list(None).try_filter_map(|meta| async move {
            let is_manifest = meta.location.as_ref().ends_with(Object::MANIFEST) && !LogFolder::has(&meta.location);
            Ok(is_manifest.then_some(meta.location))
        });
        let mut names: Vec<Path> = match names.try_collect().await {
            Ok(names) => names,
            Err(error) => return stream::once(async { Err(error.into()) }).boxed(),
        };
        names.sort();
        let store = Arc::clone(&self.store);
        let manifests = stream::iter(names).map(move |name| {
            let store = Arc::clone(&store);
            async move {
                match document(&store, &name).await {
                    Ok(document) => Ok(manifest::unopened(&document).ok()),
                    // It was removed meanwhile, or is too large for one.
                    Err(RepositoryError::Missing(_) | RepositoryError::Damaged { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        });
        manifests.buffered(LIST_CONCURRENCY).try_filter_map(|manifest| async { Ok(manifest) }).boxed()
    }

    /// Removes a backup, the manifest first, and what was left by a writing that was broken off. What is gone already is
    /// removed.
    pub async fn remove(&self, object: &Object) -> Result<()> {
        for path in [object.manifest(), object.content()] {
            match self.store.delete(&path).await.map_err(RepositoryError::from) {
                Ok(()) | Err(RepositoryError::Missing(_)) => {}
                Err(error) => return Err(error),
            }
            self.remove_staged(&path).await?;
        }
        Ok(())
    }

    /// Answers when the repository takes changes: writes a small object and removes it.
    pub async fn ping(&self) -> Result<()> {
        let path = Path::from(PING);
        let pinged = timeout(PING_PATIENCE, async {
            self.store.put(&path, PutPayload::from_static(b"ping")).await?;
            match self.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(RepositoryError::from(error)),
            }
        });
        pinged.await.unwrap_or_else(|late| Err(RepositoryError::Unavailable(late.into())))
    }
}

/// Has all of `content` in `upload`, sealed, and says how long it was.
async fn fill(
    upload: &mut Upload,
    backup: BackupId,
    mut content: BoxStream<'static, std::io::Result<Bytes>>,
    key: &ContentKey,
    progress: &watch::Sender<u64>,
) -> Result<u64> {
    let (mut sealing, mut sealed) = Sealing::begin(key, backup).map_err(RepositoryError::Key)?;
    let mut content_bytes = 0;
    while let Some(read) = content.next().await {
        let read = read.map_err(RepositoryError::Content)?;
        for turn in read.chunks(TURN) {
            sealing.push(turn, &mut sealed).map_err(RepositoryError::Content)?;
            upload.push(&sealed).await?;
            sealed.clear();
            tokio::task::yield_now().await;
        }
        content_bytes += read.len() as u64;
        progress.send_replace(content_bytes);
    }
    sealing.finish(&mut sealed).map_err(RepositoryError::Content)?;
    upload.push(&sealed).await?;
    Ok(content_bytes)
}

/// The same content, of which some is opened while what came before it flows on.
fn ahead(mut content: BoxStream<'static, Result<Bytes>>) -> BoxStream<'static, Result<Bytes>> {
    let (pieces, mut opened) = mpsc::channel(AHEAD);
    let opening = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(piece) = content.next().await {
            if pieces.send(piece).await.is_err() {
                return;
            }
        }
    }));
    let content = try_stream! {
        while let Some(piece) = opened.recv().await {
            yield piece?;
        }
        // One that panicked has not come to the end.
        opening.await.map_err(|error| RepositoryError::Unavailable(error.into()))?;
    };
    content.boxed()
}

/// Why the object of that path was not read to its end.
fn interrupted(error: object_store::Error, path: &Path) -> RepositoryError {
    match error::status_of(&error) {
        // It ends before where it was to be read on from.
        Some(416) => damaged(path, "it is shorter than it was"),
        _ => error.into(),
    }
}

async fn document(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<Bytes> {
    let found = store.get(path).await?;
    if found.meta.size > MAX_MANIFEST {
        return Err(damaged(path, "it is too large for a manifest"));
    }
    Ok(found.bytes().await?)
}

fn damaged(path: &Path, why: &'static str) -> RepositoryError {
    RepositoryError::Damaged { object: path.to_string(), why }
}

fn unreadable(object: &Object, error: Unreadable) -> RepositoryError {
    match error {
        Unreadable::Form(why) => damaged(&object.manifest(), why),
        Unreadable::Key(error) => RepositoryError::Key(error),
    }
}

#[cfg(test)]
mod tests;
