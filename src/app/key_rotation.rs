//! Rotation of encryption keys: every row, and every manifest of a backup, is sealed anew with the key ring's first key.

use crate::crypto::{CryptoError, Sealer};
use crate::repository::{self, Repository};
use crate::store::{Store, StoreError};

/// How many rows are read at once.
const PAGE: u32 = 100;

/// What a rotation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Rows or manifests that are now sealed with the first key.
    pub resealed: u64,
    /// Those that no key of the ring opens; they are left as they are.
    pub unreadable: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyRotationError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// Seals every row anew that is sealed with another key than the first. Each row is one compare-and-set, so it may run
/// beside the server, be broken off at any point, and be run again.
pub async fn rotate(store: &dyn Store, sealer: &Sealer) -> Result<Rotated, KeyRotationError> {
    let mut rotated = Rotated::default();
    let mut position = None;
    loop {
        let rows = store.sealed_list_other(sealer.primary_key_id(), position, PAGE).await?;
        let Some((last, _)) = rows.last() else { return Ok(rotated) };
        position = Some(*last);
        for (service, old) in &rows {
            let clear = match sealer.open(*service, old) {
                Ok(clear) => clear,
                Err(error) => {
                    tracing::error!(%service, key = old.key_id(), %error, "Sealed credentials do not open");
                    rotated.unreadable += 1;
                    continue;
                }
            };
            // Lost to a concurrent rotation or to a destroy: then there is nothing left to do.
            if store.sealed_replace(*service, old, &sealer.seal(*service, &clear)?).await? {
                rotated.resealed += 1;
            }
        }
    }
}

/// The same of the manifests of backups. It may run beside the server, too, once that seals with the first key.
pub async fn rotate_manifests(repository: &Repository, sealer: &Sealer) -> repository::Result<Rotated> {
    let done = repository.reseal(sealer).await?;
    for (manifest, error) in &done.unreadable {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(manifest, %error, cause, "A backup's manifest does not open");
    }
    let unreadable = u64::try_from(done.unreadable.len()).unwrap_or(u64::MAX);
    Ok(Rotated { resealed: done.resealed, unreadable })
}
