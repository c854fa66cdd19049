//! One key, and what it may verify. That follows from the key and the configuration, never from a token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

/// What public keys may be used with. HS256 is not here: a text that everybody can read must never be taken for a secret.
pub const PUBLIC_ALGORITHMS: &[Algorithm] = &[Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

/// The sizes of RSA keys, in bits: the least is RFC 7518's (section 3.3), the most is what the library verifies with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// The length of an Ed25519 key and of a coordinate on P-256, in bytes.
const POINT: usize = 32;

/// A key, and what it may verify.
#[derive(Debug, Clone)]
pub struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) decoding: DecodingKey,
}

/// Why a key can't be used, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("it is not one public key in PEM: RSA, EC on P-256, or Ed25519")]
    Pem,
    #[error("it holds a private key; only the public one belongs here (`openssl pkey -pubout` writes it)")]
    Private,
    #[error("it is not well-formed")]
    Malformed,
    #[error("it is of a kind that is not supported; RSA, EC on P-256 and Ed25519 are")]
    Kind,
    #[error("an RSA key has 2048 to 4096 bits; this one has {0}")]
    Size(usize),
    #[error("it is not for verifying signatures")]
    Use,
    #[error("none of the algorithms that it is for is allowed")]
    Algorithm,
}

impl Key {
    /// The secret of HS256.
    pub(super) fn secret(secret: &SecretString) -> Self {
        let decoding = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        Self { id: None, algorithms: vec![Algorithm::HS256], decoding }
    }

    /// A public key as `openssl pkey -pubout` writes it.
    pub fn from_pem(pem: &str, allowed: &[Algorithm]) -> Result<Self, KeyError> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let begins: Vec<_> = pem.lines().filter(|line| line.starts_with("-----BEGIN ")).collect();
        if !matches!(begins.as_slice(), ["-----BEGIN PUBLIC KEY-----" | "-----BEGIN RSA PUBLIC KEY-----"]) {
            return Err(KeyError::Pem);
        }
        let pem = pem.as_bytes();
        let decoding = DecodingKey::from_rsa_pem(pem)
            .or_else(|_| DecodingKey::from_ec_pem(pem))
            .or_else(|_| DecodingKey::from_ed_pem(pem))
            .map_err(|_| KeyError::Pem)?;
        let jwk = Jwk::from_decoding_key(&decoding, None).map_err(|_| KeyError::Pem)?;
        Self::from_public(&jwk, allowed)
    }

    /// A member of a JWK Set (RFC 7517, section 4).
    pub(super) fn from_jwk(jwk: &Value, allowed: &[Algorithm]) -> Result<Self, KeyError> {
        // Whoever can read the set could sign with it.
        if jwk.get("d").is_some() {
            return Err(KeyError::Private);
        }
        let jwk = serde_json::from_value(jwk.clone()).map_err(|_| KeyError::Malformed)?;
        Self::from_public(&jwk, allowed)
    }

    fn from_public(jwk: &Jwk, allowed: &[Algorithm]) -> Result<Self, KeyError> {
        let common = &jwk.common;
        let for_signatures = common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
        let verifies = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !for_signatures || !verifies {
            return Err(KeyError::Use);
        }
        let algorithms = algorithms(&jwk.algorithm)?.iter().copied().filter(|&algorithm| {
            let named = common.key_algorithm.is_none_or(|named| named == KeyAlgorithm::from(algorithm));
            named && allowed.contains(&algorithm)
        });
        let algorithms: Vec<_> = algorithms.collect();
        if algorithms.is_empty() {
            return Err(KeyError::Algorithm);
        }
        let decoding = DecodingKey::from_jwk(jwk).map_err(|_| KeyError::Malformed)?;
        Ok(Self { id: common.key_id.clone(), algorithms, decoding })
    }

    /// Whether a token with this `kid` and `alg` may be verified with it.
    pub(super) fn fits(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        (id.is_none() || self.id.as_deref() == id) && self.algorithms.contains(&algorithm)
    }
}

/// What a key can verify by its kind. Its parts are measured here, because the library trusts them.
fn algorithms(parameters: &AlgorithmParameters) -> Result<&'static [Algorithm], KeyError> {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Malformed);
    let is_point = |text: &str| Ok::<_, KeyError>(decode(text)?.len() == POINT);
    match parameters {
        AlgorithmParameters::RSA(key) => {
            let modulus = decode(&key.n)?;
            let bits = match modulus.iter().position(|&byte| byte != 0) {
                Some(first) => (modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize,
                None => 0,
            };
            if RSA_BITS.contains(&bits) { Ok(&[Algorithm::RS256, Algorithm::PS256]) } else { Err(KeyError::Size(bits)) }
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            if is_point(&key.x)? && is_point(&key.y)? { Ok(&[Algorithm::ES256]) } else { Err(KeyError::Malformed) }
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            if is_point(&key.x)? {
                Ok(&[Algorithm::EdDSA])
            } else {
                Err(KeyError::Malformed)
            }
        }
        _ => Err(KeyError::Kind),
    }
}
