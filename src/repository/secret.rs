//! What a backup's manifest keeps sealed.

use std::fmt;

use zeroize::Zeroizing;

use crate::crypto::CryptoError;

const KEY_LENGTH: usize = 32;

/// What one backup's content is sealed with, and nothing else is.
#[derive(Clone)]
pub struct ContentKey(Zeroizing<[u8; KEY_LENGTH]>);

/// What a restore needs besides the content.
#[derive(Clone)]
pub struct Secret {
    pub key: ContentKey,
    /// How the restored service is entered, in the form of the one who wrote it.
    pub access: Zeroizing<Vec<u8>>,
}

impl ContentKey {
    pub fn random() -> Result<Self, CryptoError> {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| CryptoError::NoRandomness)?;
        Ok(Self(bytes))
    }

    pub(super) fn expose(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }
}

impl Secret {
    /// The key, then the access.
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // At its full length at once: growing would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_LENGTH + self.access.len()));
        bytes.extend_from_slice(self.key.expose());
        bytes.extend_from_slice(&self.access);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (key, access) = bytes.split_first_chunk::<KEY_LENGTH>()?;
        Some(Self { key: ContentKey(Zeroizing::new(*key)), access: Zeroizing::new(access.to_vec()) })
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_reads_back_and_shows_nothing() {
        let secret =
            Secret { key: ContentKey(Zeroizing::new([7; 32])), access: Zeroizing::new(b"ada:s3cret".to_vec()) };
        let read = Secret::from_bytes(&secret.to_bytes()).unwrap();
        assert_eq!((read.key.expose(), read.access.as_slice()), (&[7; 32], &b"ada:s3cret"[..]));
        assert_eq!(format!("{secret:?} {:?}", secret.key), "Secret ContentKey");
        assert!(Secret::from_bytes(&[7; 31]).is_none());
    }

    #[test]
    fn two_keys_differ() {
        assert_ne!(ContentKey::random().unwrap().expose(), ContentKey::random().unwrap().expose());
    }
}
