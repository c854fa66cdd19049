//! Bytes on their way into an object, a few parts at a time.

use std::fmt::Write as _;
use std::sync::Arc;

use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::error::{BoxError, RepositoryError, Result};

/// Bytes of a part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    pub size: usize,
    /// Of those that come after so many.
    later: (usize, usize),
}

/// S3 takes parts from 5 MiB on, and 10,000 of them: the last ones are larger, so that an object may have 190 GiB.
pub(super) const IN_BUCKET: Parts = Parts { size: 8 << 20, later: (8000, 64 << 20) };
/// A file takes as many as there are, which are held in memory for as little as possible.
pub(super) const IN_DIRECTORY: Parts = Parts { size: 1 << 20, later: (usize::MAX, 1 << 20) };
/// Parts that are under way while the next one is filled.
const CONCURRENCY: usize = 2;

/// An object that is being written, and is not there before [`Upload::complete`]. Dropping it gives it up, as far as the
/// store can be reached by then.
pub(super) struct Upload {
    store: Arc<dyn ObjectStore>,
    path: Path,
    parts: Parts,
    /// None until there is more than one part.
    multipart: Option<Box<dyn MultipartUpload>>,
    under_way: JoinSet<object_store::Result<()>>,
    begun: usize,
    part: Vec<u8>,
    digest: Sha256,
    bytes: u64,
}

/// What was written.
pub(super) struct Stored {
    pub bytes: u64,
    /// In hexadecimal digits.
    pub sha256: String,
}

impl Upload {
    pub fn new(store: Arc<dyn ObjectStore>, path: Path, parts: Parts) -> Self {
        let (under_way, digest) = (JoinSet::new(), Sha256::new());
        Self { store, path, parts, multipart: None, under_way, begun: 0, part: Vec::new(), digest, bytes: 0 }
    }

    /// Takes more; waits where as many parts are under way as may be.
    pub async fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        loop {
            let room = self.part_size() - self.part.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.part.extend_from_slice(now);
            bytes = later;
            // A full part is sent when more comes: what fits one part takes one request, and no part is empty.
            if bytes.is_empty() {
                return Ok(());
            }
            self.send_part().await?;
        }
    }

    /// Has the object there, all at once.
    pub async fn complete(mut self) -> Result<Stored> {
        if self.multipart.is_none() {
            let content = PutPayload::from(std::mem::take(&mut self.part));
            self.store.put(&self.path, content).await?;
        } else {
            self.send_part().await?;
            while let Some(ended) = self.under_way.join_next().await {
                part_ended(ended)?;
            }
            if let Some(multipart) = &mut self.multipart {
                multipart.complete().await?;
            }
            self.multipart = None;
        }
        let mut sha256 = String::with_capacity(64);
        for byte in std::mem::take(&mut self.digest).finalize() {
            // Writing to a text does not fail.
            let _ = write!(sha256, "{byte:02x}");
        }
        Ok(Stored { bytes: self.bytes, sha256 })
    }

    /// Gives it up. What can't be aborted now stays in the store until it is removed there.
    pub async fn abort(mut self) {
        self.under_way.shutdown().await;
        if let Some(mut multipart) = self.multipart.take()
            && let Err(error) = multipart.abort().await
        {
            tracing::warn!(object = %self.path, error = %error, "parts of an upload were left in the repository");
        }
    }

    async fn send_part(&mut self) -> Result<()> {
        if self.multipart.is_none() {
            self.multipart = Some(self.store.put_multipart(&self.path).await?);
        }
        while self.under_way.len() >= CONCURRENCY {
            if let Some(ended) = self.under_way.join_next().await {
                part_ended(ended)?;
            }
        }
        self.begun += 1;
        let next = Vec::with_capacity(self.part_size());
        let part = std::mem::replace(&mut self.part, next);
        if let Some(multipart) = &mut self.multipart {
            self.under_way.spawn(multipart.put_part(PutPayload::from(part)));
        }
        Ok(())
    }

    fn part_size(&self) -> usize {
        let (from, larger) = self.parts.later;
        if self.begun < from { self.parts.size } else { larger }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(mut multipart), Ok(runtime)) = (self.multipart.take(), Handle::try_current()) {
            runtime.spawn(async move { multipart.abort().await });
        }
    }
}

fn part_ended(ended: Result<object_store::Result<()>, tokio::task::JoinError>) -> Result<()> {
    let ended = ended.map_err(|error| RepositoryError::Unavailable(BoxError::from(error)))?;
    Ok(ended?)
}
