//! Manifests written anew, for a rotation of keys and for what is only known later.

use std::collections::HashSet;

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload};

use super::error::{RepositoryError, Result};
use super::manifest::{self, Unreadable};
use super::{Object, Repository, damaged, document, unreadable};
use crate::crypto::Sealer;
use crate::domain::backup::Verification;

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
            let content = content.filter(|content| contents.contains(content));
            resealed.resealed += u64::from(self.put_anew(name, content.as_ref(), anew).await?);
        }
        Ok(resealed)
    }

    /// Writes into the manifest of a backup what was read of its content: whoever reads meanwhile finds either.
    ///
    /// # Errors
    /// As [`Repository::read_manifest`]; the manifest is as it was then.
    pub async fn write_verification(
        &self,
        object: &Object,
        verification: &Verification,
        sealer: &Sealer,
    ) -> Result<()> {
        let name = object.manifest();
        let read = document(&self.store, &name).await?;
        let anew = manifest::verified(&read, verification, sealer).map_err(|error| unreadable(object, error))?;
        self.put_anew(&name, Some(&object.content()), anew).await.map(|_| ())
    }

    /// Puts a manifest in the place of the one that was read, whose `content` was there; false where that is gone.
    async fn put_anew(&self, name: &Path, content: Option<&Path>, anew: Vec<u8>) -> Result<bool> {
        self.store.put(name, PutPayload::from(anew)).await?;
        // A backup that was removed between the two would be back with nothing but its manifest.
        if let Some(content) = content
            && let Err(RepositoryError::Missing(_)) = self.store.head(content).await.map_err(RepositoryError::from)
        {
            return match self.store.delete(name).await.map_err(RepositoryError::from) {
                Ok(()) | Err(RepositoryError::Missing(_)) => Ok(false),
                Err(error) => Err(error),
            };
        }
        Ok(true)
    }
}
