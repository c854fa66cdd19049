//! Whether the key ring is the one that the stored credentials are sealed with, asked before anything is done with it.

use crate::crypto::{CryptoError, Sealer};
use crate::store::{Store, StoreError};

/// How many credentials of a key are tried. A single one may not open because it was altered, which is no sign of another
/// key.
const SAMPLES: u32 = 3;

/// Why the ring can't be used. It names keys by their ids.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "ENCRYPTION_KEYS does not fit this database: {0}. Nothing was changed. Give the keys that the database was used \
         with; under --dev they are in encryption.keys beside it"
    )]
    Unfit(String),
}

/// Checks that every key that credentials are sealed with is in the ring, and is the same key.
pub async fn check(store: &dyn Store, sealer: &Sealer) -> Result<(), KeyRingError> {
    let mut wrong = Vec::new();
    for (key, samples) in store.sealed_samples(SAMPLES).await? {
        let outcomes: Vec<_> = samples.iter().map(|(service, sealed)| sealer.open(*service, sealed)).collect();
        // None at all are left of a key that has just gone out of use.
        if outcomes.is_empty() || outcomes.iter().any(Result::is_ok) {
            continue;
        }
        let is_missing = outcomes.iter().any(|outcome| matches!(outcome, Err(CryptoError::UnknownKey(_))));
        let how = if is_missing { "is missing" } else { "is another key of that id" };
        wrong.push(format!("the key {key:?} {how}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(KeyRingError::Unfit(wrong.join("; "))) }
}
