//! Seals credentials, and the keys of backups, with AES-256-GCM under a ring of keys. It stores nothing and logs nothing.
//!
//! # Layout of a sealed value
//!
//! | bytes | content |
//! |---|---|
//! | 1 | format, now 1 |
//! | 1 | length of the key's id, 1 to 32 |
//! | that many | the key's id, in ASCII |
//! | 12 | nonce, random for every sealing (NIST SP 800-38D, section 8.2.2) |
//! | rest | ciphertext and its 16-byte tag |
//!
//! The associated data says what a value belongs to, so that it does not open where it is moved to: for a service's row
//! the service's id (16 bytes), else what the caller gives, which has to be of another length.

use std::fmt;
use std::str::FromStr;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::domain::id::ServiceId;

const FORMAT: u8 = 1;
const NONCE_LENGTH: usize = 12;

/// A sealed value, in the layout of this module's documentation.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Takes bytes that a store kept; whether they open is found out when they are opened.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The id of the key that it was sealed with; empty when the bytes are no sealed value.
    pub fn key_id(&self) -> &str {
        self.parts().map_or("", |(id, ..)| id)
    }

    fn parts(&self) -> Option<(&str, &[u8], &[u8])> {
        let [FORMAT, length, rest @ ..] = self.0.as_slice() else { return None };
        let (id, rest) = rest.split_at_checked(usize::from(*length))?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LENGTH)?;
        Some((std::str::from_utf8(id).ok()?, nonce, ciphertext))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes with key {:?})", self.0.len(), self.key_id())
    }
}

/// Why a value could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    #[error("no key with the id {0:?} is in the key ring")]
    UnknownKey(String),
    #[error("the sealed value does not open: it was altered, moved, or sealed with another key of the same id")]
    Refused,
    #[error("the bytes are no sealed value")]
    Malformed,
    #[error("the system's random generator failed")]
    NoRandomness,
}

/// Why a text is no key ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyRing {
    #[error("it holds no key")]
    Empty,
    #[error("entry {0} is not of the form id:base64")]
    Form(usize),
    #[error("the id of entry {0} is not 1 to 32 letters, digits, '-' or '_'")]
    Id(usize),
    #[error("the key of entry {0} is not 32 bytes in base64")]
    Key(usize),
    #[error("two entries have the id {0:?}")]
    Duplicate(String),
}

/// The key ring: the first key seals, every key opens.
pub struct Sealer {
    keys: Vec<(String, Aes256Gcm)>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

impl FromStr for Sealer {
    type Err = InvalidKeyRing;

    /// Reads one or more `id:base64` entries, separated by commas or white space.
    fn from_str(text: &str) -> Result<Self, InvalidKeyRing> {
        let mut keys: Vec<(String, Aes256Gcm)> = Vec::new();
        let entries = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
        for (index, entry) in entries.enumerate() {
            let number = index + 1;
            let (id, encoded) = entry.split_once(':').ok_or(InvalidKeyRing::Form(number))?;
            let valid_id =
                (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !valid_id {
                return Err(InvalidKeyRing::Id(number));
            }
            if keys.iter().any(|(known, _)| known == id) {
                return Err(InvalidKeyRing::Duplicate(id.to_owned()));
            }
            let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| InvalidKeyRing::Key(number))?);
            let key: &Key<Aes256Gcm> = bytes.as_slice().try_into().map_err(|_| InvalidKeyRing::Key(number))?;
            keys.push((id.to_owned(), Aes256Gcm::new(key)));
        }
        if keys.is_empty() { Err(InvalidKeyRing::Empty) } else { Ok(Self { keys }) }
    }
}

impl Sealer {
    /// The id of the key that seals.
    pub fn primary_key_id(&self) -> &str {
        &self.keys[0].0
    }

    /// Seals `clear` for the row of `service`.
    pub fn seal(&self, service: ServiceId, clear: &[u8]) -> Result<Sealed, CryptoError> {
        self.seal_with(service.0.as_bytes(), clear)
    }

    /// Opens what was sealed for the row of `service`.
    pub fn open(&self, service: ServiceId, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.open_with(service.0.as_bytes(), sealed)
    }

    /// Seals `clear` for what `associated` tells; see this module's documentation.
    pub fn seal_with(&self, associated: &[u8], clear: &[u8]) -> Result<Sealed, CryptoError> {
        let (id, cipher) = &self.keys[0];
        let mut nonce = [0; NONCE_LENGTH];
        getrandom::fill(&mut nonce).map_err(|_| CryptoError::NoRandomness)?;
        let payload = Payload { msg: clear, aad: associated };
        let ciphertext = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| CryptoError::Refused)?;
        let length = u8::try_from(id.len()).map_err(|_| CryptoError::Malformed)?;
        Ok(Sealed([&[FORMAT, length], id.as_bytes(), &nonce, &ciphertext].concat()))
    }

    /// Opens what was sealed with the same `associated`.
    pub fn open_with(&self, associated: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let (id, nonce, ciphertext) = sealed.parts().ok_or(CryptoError::Malformed)?;
        let (_, cipher) =
            self.keys.iter().find(|(known, _)| known == id).ok_or_else(|| CryptoError::UnknownKey(id.to_owned()))?;
        let nonce: [u8; NONCE_LENGTH] = nonce.try_into().map_err(|_| CryptoError::Malformed)?;
        let payload = Payload { msg: ciphertext, aad: associated };
        cipher.decrypt(&Nonce::from(nonce), payload).map(Zeroizing::new).map_err(|_| CryptoError::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring(ids: &[(&str, u8)]) -> Sealer {
        let entries: Vec<_> = ids.iter().map(|(id, byte)| format!("{id}:{}", STANDARD.encode([*byte; 32]))).collect();
        entries.join(",").parse().unwrap()
    }

    fn id(n: u128) -> ServiceId {
        ServiceId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn a_value_opens_in_its_own_row_only_and_with_its_own_key_only() {
        let sealer = ring(&[("a", 1)]);
        let sealed = sealer.seal(id(1), b"secret").unwrap();
        assert_eq!(sealer.open(id(1), &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(sealer.open(id(2), &sealed), Err(CryptoError::Refused));
        assert_eq!(ring(&[("a", 2)]).open(id(1), &sealed), Err(CryptoError::Refused));
        assert_eq!(ring(&[("b", 1)]).open(id(1), &sealed), Err(CryptoError::UnknownKey("a".to_owned())));
    }

    #[test]
    fn a_value_opens_for_what_it_was_sealed_for_only() {
        let sealer = ring(&[("a", 1)]);
        let sealed = sealer.seal_with(b"a manifest", b"secret").unwrap();
        assert_eq!(sealer.open_with(b"a manifest", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(sealer.open_with(b"another", &sealed), Err(CryptoError::Refused));
        assert_eq!(sealer.open(id(1), &sealed), Err(CryptoError::Refused));
        let of_a_row = sealer.seal(id(1), b"secret").unwrap();
        assert_eq!(sealer.open_with(id(1).0.as_bytes(), &of_a_row).unwrap().as_slice(), b"secret");
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let sealed = ring(&[("old", 1)]).seal(id(1), b"secret").unwrap();
        let both = ring(&[("new", 2), ("old", 1)]);
        assert_eq!(both.open(id(1), &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(both.seal(id(1), b"secret").unwrap().key_id(), "new");
    }

    #[test]
    fn two_sealings_of_one_value_differ() {
        let sealer = ring(&[("a", 1)]);
        assert_ne!(sealer.seal(id(1), b"secret").unwrap(), sealer.seal(id(1), b"secret").unwrap());
    }

    #[test]
    fn a_bad_key_ring_is_refused_with_the_entry_that_is_wrong() {
        let good = STANDARD.encode([1; 32]);
        let parse = |text: &str| text.parse::<Sealer>().map(|_| ()).unwrap_err();
        assert_eq!(parse(" , "), InvalidKeyRing::Empty);
        assert_eq!(parse("nokey"), InvalidKeyRing::Form(1));
        assert_eq!(parse(&format!("a:{good},b c:{good}")), InvalidKeyRing::Form(2));
        assert_eq!(parse(&format!(":{good}")), InvalidKeyRing::Id(1));
        assert_eq!(parse("a:c2hvcnQ="), InvalidKeyRing::Key(1));
        assert_eq!(parse(&format!("a:{good},a:{good}")), InvalidKeyRing::Duplicate("a".to_owned()));
    }

    proptest! {
        #[test]
        fn an_altered_value_never_opens(at in 0usize..64, bit in 0u8..8) {
            let sealer = ring(&[("a", 1)]);
            let mut bytes = sealer.seal(id(1), b"a secret of some length").unwrap().as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(sealer.open(id(1), &Sealed::from_bytes(bytes)).is_err());
        }
    }
}
