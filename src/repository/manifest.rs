//! What is written beside a content when it is whole.
//!
//! A manifest is a JSON object of two members: `manifest`, which people may read, and `secret`, the base64 of what
//! [`Sealer`] made of the key (32 bytes) and the access. The sealing is for the SHA-256 of the bytes of `manifest` as they
//! stand there, so that the secret opens beside them only, also where a newer version has written more into them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::secret::Secret;
use crate::crypto::{CryptoError, Sealed, Sealer};
use crate::domain::backup::{BackupOrigin, Verification};
use crate::domain::id::{BackupId, InstallationId, ProjectId, ServiceId};
use crate::domain::service::{ServiceKind, TierSpec};

/// The format that is written, and the newest that is read.
pub(super) const FORMAT: u32 = 1;

/// What a backup is, for a restore that has nothing else.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Now 1. Another one means something else; members that are added and can be ignored don't change it.
    pub format: u32,
    #[serde(with = "shown")]
    pub backup: BackupId,
    #[serde(with = "shown")]
    pub service: ServiceId,
    pub service_name: String,
    pub project: ProjectId,
    #[serde(with = "installation")]
    pub installation: InstallationId,
    pub kind: ServiceKind,
    pub version: String,
    pub tier: TierSpec,
    /// The instance that it was taken of; none in those of versions that did not write it.
    #[serde(default)]
    pub instance: Option<Uuid>,
    /// The image that the service ran, by which a registry has it, `NAME@sha256:…`, or else by its engine's own name for it; none
    /// where that is not known, or where an earlier version has written it.
    #[serde(default)]
    pub image: Option<String>,
    /// What the content is, such as `postgresql-base-tar`.
    pub content: String,
    /// What the kind wants to know at a restore.
    pub facts: BTreeMap<String, String>,
    pub begun_at: Timestamp,
    pub ended_at: Timestamp,
    pub note: Option<String>,
    /// Who asked for it; None where an earlier version has written it.
    #[serde(default)]
    pub origin: Option<BackupOrigin>,
    /// What was read of it once it was restored, written in when that was done; None where it was not, or where an earlier
    /// version did.
    #[serde(default)]
    pub verification: Option<Verification>,
    pub written: Written,
    /// Where its content is; see [`super::Object`].
    pub object: String,
}

/// What of a content is in the repository.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the content itself.
    pub content_bytes: u64,
    /// Bytes of the object.
    pub stored_bytes: u64,
    /// Of the object, in hexadecimal digits.
    pub sha256: String,
}

#[derive(Serialize, Deserialize)]
struct Document {
    manifest: Box<RawValue>,
    secret: String,
}

/// Why a document gives no secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Form(&'static str),
    Key(CryptoError),
}

const ANOTHER_FORMAT: &str = "its manifest is none, or one of another format";
const UNWRITABLE: &str = "its manifest can't be written";

/// The document of a manifest.
pub(super) fn sealed(manifest: &impl Serialize, secret: &Secret, sealer: &Sealer) -> Result<Vec<u8>, Unreadable> {
    let failed = |_| Unreadable::Form(UNWRITABLE);
    let manifest = serde_json::to_string_pretty(manifest).and_then(RawValue::from_string).map_err(failed)?;
    let sealed = sealer.seal_with(&associated(&manifest), &secret.to_bytes()).map_err(Unreadable::Key)?;
    let document = Document { manifest, secret: STANDARD.encode(sealed.as_bytes()) };
    serde_json::to_vec(&document).map_err(failed)
}

/// The manifest of a document, which may have been altered.
pub(super) fn unopened<T: DeserializeOwned>(document: &[u8]) -> Result<T, Unreadable> {
    read(document).map(|(manifest, _)| manifest)
}

/// The manifest of a document, and what is sealed in it.
pub(super) fn opened<T: DeserializeOwned>(document: &[u8], sealer: &Sealer) -> Result<(T, Secret), Unreadable> {
    let (manifest, document) = read(document)?;
    let secret = sealer.open_with(&associated(&document.manifest), &document.sealed()?);
    let secret = secret.map_err(Unreadable::Key)?;
    let secret = Secret::from_bytes(&secret).ok_or(Unreadable::Form(ANOTHER_FORMAT))?;
    Ok((manifest, secret))
}

/// The same document with its secret sealed under the ring's first key; None where it is already. Its manifest stays as it
/// stands there, whatever it says.
pub(super) fn resealed(document: &[u8], sealer: &Sealer) -> Result<Option<Vec<u8>>, Unreadable> {
    let document = formatted(document)?;
    let (sealed, associated) = (document.sealed()?, associated(&document.manifest));
    let secret = sealer.open_with(&associated, &sealed).map_err(Unreadable::Key)?;
    if sealed.key_id() == sealer.primary_key_id() {
        return Ok(None);
    }
    let sealed = sealer.seal_with(&associated, &secret).map_err(Unreadable::Key)?;
    let anew = Document { secret: STANDARD.encode(sealed.as_bytes()), ..document };
    serde_json::to_vec(&anew).map(Some).map_err(|_| Unreadable::Form(UNWRITABLE))
}

/// The same document with what was read of its content, and with all else that it says.
pub(super) fn verified(document: &[u8], verification: &Verification, sealer: &Sealer) -> Result<Vec<u8>, Unreadable> {
    let document = formatted(document)?;
    let secret = sealer.open_with(&associated(&document.manifest), &document.sealed()?).map_err(Unreadable::Key)?;
    let failed = |_| Unreadable::Form(UNWRITABLE);
    let mut manifest: Map<String, Value> = serde_json::from_str(document.manifest.get()).map_err(failed)?;
    manifest.insert("verification".to_owned(), serde_json::to_value(verification).map_err(failed)?);
    let manifest = serde_json::to_string_pretty(&manifest).and_then(RawValue::from_string).map_err(failed)?;
    let sealed = sealer.seal_with(&associated(&manifest), &secret).map_err(Unreadable::Key)?;
    serde_json::to_vec(&Document { manifest, secret: STANDARD.encode(sealed.as_bytes()) }).map_err(failed)
}

impl Document {
    fn sealed(&self) -> Result<Sealed, Unreadable> {
        let bytes = STANDARD.decode(&self.secret).map_err(|_| Unreadable::Form(ANOTHER_FORMAT))?;
        Ok(Sealed::from_bytes(bytes))
    }
}

fn read<T: DeserializeOwned>(document: &[u8]) -> Result<(T, Document), Unreadable> {
    let document = formatted(document)?;
    let manifest = serde_json::from_str(document.manifest.get()).map_err(|_| Unreadable::Form(ANOTHER_FORMAT))?;
    Ok((manifest, document))
}

/// A document of the format that is known here.
fn formatted(document: &[u8]) -> Result<Document, Unreadable> {
    /// What every format has.
    #[derive(Deserialize)]
    struct Any {
        format: u32,
    }

    let failed = |_| Unreadable::Form(ANOTHER_FORMAT);
    let document: Document = serde_json::from_slice(document).map_err(failed)?;
    let Any { format } = serde_json::from_str(document.manifest.get()).map_err(failed)?;
    if format != FORMAT {
        return Err(Unreadable::Form(ANOTHER_FORMAT));
    }
    Ok(document)
}

/// Nothing else that is sealed with the key ring is sealed for as many bytes.
fn associated(manifest: &RawValue) -> [u8; 32] {
    Sha256::digest(manifest.get().as_bytes()).into()
}

/// Ids as they are shown to people.
pub(super) mod shown {
    use std::borrow::Cow;
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(id: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(deserializer: D) -> Result<T, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// An installation's id as labels have it.
pub(super) mod installation {
    use serde::{Deserializer, Serializer};
    use uuid::Uuid;

    use super::InstallationId;

    pub fn serialize<S: Serializer>(id: &InstallationId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<InstallationId, D::Error> {
        super::shown::deserialize::<D, Uuid>(deserializer).map(InstallationId)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::repository::ContentKey;
    use proptest::prelude::*;
    use uuid::Uuid;
    use zeroize::Zeroizing;

    pub fn ring(id: &str, byte: u8) -> Sealer {
        format!("{id}:{}", STANDARD.encode([byte; 32])).parse().unwrap()
    }

    pub fn secret() -> Secret {
        Secret { key: ContentKey::random().unwrap(), access: Zeroizing::new(b"ada:s3cret".to_vec()) }
    }

    pub fn manifest() -> Manifest {
        let time: Timestamp = "2026-03-04T05:06:07Z".parse().unwrap();
        Manifest {
            format: FORMAT,
            backup: BackupId(Uuid::from_u128(1)),
            service: ServiceId(Uuid::from_u128(2)),
            service_name: "shop-db".to_owned(),
            project: "demo".parse().unwrap(),
            installation: InstallationId(Uuid::from_u128(3)),
            kind: "POSTGRESQL".parse().unwrap(),
            version: "17".to_owned(),
            tier: TierSpec { tier: "DEV".parse().unwrap(), memory_mib: 256, cpu_millis: 500, storage_mib: 1024 },
            instance: None,
            image: Some("postgres@sha256:17".to_owned()),
            content: "postgresql-base-tar".to_owned(),
            facts: BTreeMap::from([("data_directory".to_owned(), "/var/lib/postgresql/data".to_owned())]),
            begun_at: time,
            ended_at: time,
            note: Some("before the sale".to_owned()),
            origin: Some(BackupOrigin::Scheduled),
            verification: None,
            written: Written { content_bytes: 10, stored_bytes: 42, sha256: "00".repeat(32) },
            object: "demo/shop-db-00000002/2026-03-04T05-06-07Z-bkp_00000000000000000000000000000001".to_owned(),
        }
    }

    #[test]
    fn a_manifest_reads_back_with_and_without_the_key_ring() {
        let (sealer, secret) = (ring("a", 1), secret());
        let document = sealed(&manifest(), &secret, &sealer).unwrap();
        assert_eq!(unopened::<Manifest>(&document).unwrap(), manifest());
        let (read, opened) = opened::<Manifest>(&document, &sealer).unwrap();
        assert_eq!(read, manifest());
        assert_eq!((opened.key.expose(), &opened.access), (secret.key.expose(), &secret.access));
        let text = String::from_utf8(document).unwrap();
        assert!(text.contains("\"bkp_00000000000000000000000000000001\"") && !text.contains("s3cret"), "{text}");
    }

    #[test]
    fn another_key_ring_does_not_open_it() {
        let document = sealed(&manifest(), &secret(), &ring("a", 1)).unwrap();
        let refused = |sealer| opened::<Manifest>(&document, &sealer).map(|_| ()).unwrap_err();
        assert_eq!(refused(ring("a", 2)), Unreadable::Key(CryptoError::Refused));
        assert_eq!(refused(ring("b", 1)), Unreadable::Key(CryptoError::UnknownKey("a".to_owned())));
    }

    #[test]
    fn what_a_newer_version_adds_is_kept_to_and_ignored() {
        let sealer = ring("a", 1);
        let text = serde_json::to_string(&manifest()).unwrap().replacen('{', "{ \"colour\" : \"blue\",", 1);
        let newer = RawValue::from_string(text).unwrap();
        let secret = sealer.seal_with(&associated(&newer), &secret().to_bytes()).unwrap();
        let document = Document { manifest: newer, secret: STANDARD.encode(secret.as_bytes()) };
        let document = serde_json::to_string(&document).unwrap();
        assert_eq!(opened::<Manifest>(document.as_bytes(), &sealer).unwrap().0, manifest());
        let altered = document.replace("blue", "grey");
        let refused = opened::<Manifest>(altered.as_bytes(), &sealer).map(|_| ()).unwrap_err();
        assert_eq!(refused, Unreadable::Key(CryptoError::Refused));
    }

    #[test]
    fn what_is_sealed_anew_opens_with_the_new_key_alone_and_is_left_alone_then() {
        let document = sealed(&manifest(), &secret(), &ring("a", 1)).unwrap();
        let old_text = unopened::<Box<RawValue>>(&document).unwrap();
        let both: Sealer = format!("b:{},a:{}", STANDARD.encode([2; 32]), STANDARD.encode([1; 32])).parse().unwrap();
        let anew = resealed(&document, &both).unwrap().unwrap();
        assert_eq!(
            unopened::<Box<RawValue>>(&anew).unwrap().get(),
            old_text.get(),
            "its manifest is the same to the byte"
        );
        let (read, opened) = opened::<Manifest>(&anew, &ring("b", 2)).unwrap();
        assert_eq!((read, opened.access), (manifest(), secret().access));
        assert_eq!(resealed(&anew, &both), Ok(None));
        assert_eq!(resealed(&anew, &ring("c", 3)), Err(Unreadable::Key(CryptoError::UnknownKey("b".to_owned()))));
        let forged = String::from_utf8(anew).unwrap().replace("demo", "memo");
        assert_eq!(resealed(forged.as_bytes(), &both), Err(Unreadable::Key(CryptoError::Refused)));
    }

    #[test]
    fn one_of_an_earlier_version_reads_and_what_was_read_of_its_content_is_added_to_whatever_it_says() {
        let sealer = ring("a", 1);
        let mut earlier = serde_json::to_value(manifest()).unwrap();
        let members = earlier.as_object_mut().unwrap();
        for member in ["origin", "verification", "image"] {
            members.remove(member).unwrap();
        }
        members.insert("colour".to_owned(), "blue".into());
        let document = sealed(&earlier, &secret(), &sealer).unwrap();
        let expected = Manifest { origin: None, image: None, ..manifest() };
        assert_eq!(opened::<Manifest>(&document, &sealer).unwrap().0, expected);

        let facts = BTreeMap::from([("rows".to_owned(), "7".to_owned())]);
        let verification = Verification { verified_at: manifest().ended_at, facts };
        let anew = verified(&document, &verification, &sealer).unwrap();
        let (read, opened) = opened::<Manifest>(&anew, &sealer).unwrap();
        assert_eq!(
            (read, opened.access),
            (Manifest { verification: Some(verification.clone()), ..expected }, secret().access)
        );
        assert!(String::from_utf8_lossy(&anew).contains("\"blue\""), "what a newer version adds stays");
        let forged = String::from_utf8(document).unwrap().replace("demo", "memo");
        let refused = verified(forged.as_bytes(), &verification, &sealer);
        assert_eq!(refused, Err(Unreadable::Key(CryptoError::Refused)));
    }

    #[test]
    fn another_format_is_not_read() {
        let document = String::from_utf8(sealed(&manifest(), &secret(), &ring("a", 1)).unwrap()).unwrap();
        let newer = document.replace("\"format\": 1", "\"format\": 2");
        for document in [newer.as_str(), "", "{}", "{\"manifest\":{\"format\":1},\"secret\":\"\"}"] {
            assert_eq!(unopened::<Manifest>(document.as_bytes()), Err(Unreadable::Form(ANOTHER_FORMAT)), "{document}");
        }
    }

    proptest! {
        #[test]
        fn an_altered_manifest_gives_no_secret(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let sealer = ring("a", 1);
            let mut document = sealed(&manifest(), &secret(), &sealer).unwrap();
            let at = at.index(document.len());
            document[at] ^= 1 << bit;
            prop_assert!(opened::<Manifest>(&document, &sealer).is_err());
            prop_assert!(resealed(&document, &ring("b", 2)).is_err());
        }
    }
}
