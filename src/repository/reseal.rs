//! Manifests sealed anew, for a rotation of keys.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload};

use super::error::{RepositoryError, Result};
use super::manifest::{self, Unreadable};
use super::{Object, Repository, damaged, document};
use crate::crypto::Sealer;

/// What became of the manifests that there are.
#[derive(Debug, Default)]
pub struct Resealed {
    /// Those that are sealed with the ring's first key from now on.
    pub resealed: u64,
    /// Those that are left as they are, by name, and why: no key opens them, or they are of a format that is not known.
    pub unreadable: Vec<(String, RepositoryError)>,
}

impl Repository {
    /// Seals each manifest anew that is sealed with another key than the ring's first, and puts it in the place of the old
    /// one: whoever reads meanwhile finds either. It may be broken off at any point, and be done again.
    ///
    /// # Errors
    /// Where the repository does not answer or refuses. What was sealed anew until then stays so.
    pub async fn reseal(&self, sealer: &Sealer) -> Result<Resealed> {
        let mut resealed = Resealed::default();
        let names: Vec<_> = self.store.list(None).map_ok(|meta| meta.location).try_collect().await?;
        let contents: HashSet<_> = names.iter().filter(|name| name.as_ref().ends_with(Object::CONTENT)).collect();
        for name in names.iter().filter(|name| name.as_ref().ends_with(Object::MANIFEST)) {
            let content = Object::content_beside(name);
            let read = match document(&self.store, name).await {
                Ok(read) => manifest::resealed(&read, sealer),
                // It was removed meanwhile.
                Err(RepositoryError::Missing(_)) => continue,
                Err(error @ RepositoryError::Damaged { .. }) => {
                    resealed.unreadable.push((name.to_string(), error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let anew = match read {
                Ok(Some(anew)) => anew,
                Ok(None) => continue,
                Err(Unreadable::Key(error)) => {
                    resealed.unreadable.push((name.to_string(), RepositoryError::Key(error)));
                    continue;
                }
                Err(Unreadable::Form(why)) => {
                    resealed.unreadable.push((name.to_string(), damaged(name, why)));
                    continue;
                }
            };
            self.store.put(name, PutPayload::from(anew)).await?;
            // A backup that was removed between the two would be back with nothing but its manifest.
            let was_there = content.as_ref().is_some_and(|content| contents.contains(content));
            if let Some(content) = content.filter(|_| was_there)
                && let Err(RepositoryError::Missing(_)) = self.store.head(&content).await.map_err(RepositoryError::from)
            {
                let store = Arc::clone(&self.store);
                match store.delete(name).await.map_err(RepositoryError::from) {
                    Ok(()) | Err(RepositoryError::Missing(_)) => continue,
                    Err(error) => return Err(error),
                }
            }
            resealed.resealed += 1;
        }
        Ok(resealed)
    }
}
