//! Turns a JSON Web Token (RFC 7519) into a [`Principal`]. It decides who somebody is, never what they may do.
//!
//! Which keys are good, and for which algorithms, is configured. A token only says which of them it was signed with
//! (RFC 8725, section 3.1); keys that its header brings or points to (`jwk`, `jku`, `x5c`, `x5u`) are never looked at.

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation, decode, decode_header, encode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::domain::id::ProjectId;
use crate::domain::permission::{CLOCK_LEEWAY, Principal, Projects};

mod claims;
mod json;
mod jwks;
mod key;
mod verified;

pub use claims::ClaimName;
use claims::Claims;
pub use jwks::{JwksSettings, JwksUrl, Location, Pace};
pub use key::{Key, KeyError, PUBLIC_ALGORITHMS};
use verified::VerifiedTokens;

/// The least length of a secret, in bytes: that of HS256's digest (RFC 7518, section 3.2).
pub const MIN_SECRET_LENGTH: usize = 32;

/// Why a token is refused, in words that its sender may read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("the token is expired")]
    Expired,
    #[error("the token has no {0}")]
    MissingClaim(&'static str),
    #[error("the token is from another issuer")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token is not valid yet")]
    TooEarly,
    #[error("a claim of the token is there twice")]
    Duplicate,
    #[error("the token's sub has more than {} bytes", claims::MAX_SUBJECT)]
    LongSubject,
    #[error("the token's sub has control characters")]
    UnprintableSubject,
    #[error(
        "a claim of the token lists more than {} texts, or one of more than {} bytes",
        claims::MAX_LISTED,
        claims::MAX_TEXT
    )]
    LongList,
    #[error("the token is not valid")]
    Invalid,
    #[error("the key that the token is signed with is not known")]
    UnknownKey,
    #[error("the keys that tokens are verified with could not be loaded")]
    NoKeys,
    #[error("the Authorization value is not of the form \"Bearer <token>\"")]
    Scheme,
}

/// What a verifier needs to know of the platform's tokens.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    pub keys: KeySource,
    /// Checked when given.
    pub issuer: Option<String>,
    /// Checked when given.
    pub audience: Option<String>,
    /// Holds a list of project ids.
    pub projects_claim: ClaimName,
    /// Holds a list of permissions, or a text with spaces between them.
    pub permissions_claim: ClaimName,
}

/// What tokens are verified with.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// The secret of HS256, at least [`MIN_SECRET_LENGTH`] bytes.
    Secret(SecretString),
    /// One public key, for good.
    PublicKey(Key),
    /// The public keys that an issuer publishes, as they change.
    Jwks(JwksSettings),
}

impl TokenSettings {
    /// Tokens of any issuer, for any audience, with claims of the usual names.
    pub fn new(keys: KeySource) -> Self {
        let [projects_claim, permissions_claim] = ["projects", "permissions"].map(|name| ClaimName(name.to_owned()));
        Self { keys, issuer: None, audience: None, projects_claim, permissions_claim }
    }
}

/// Verifies tokens.
pub struct Verifier {
    keys: Keys,
    validation: Validation,
    projects_claim: ClaimName,
    permissions_claim: ClaimName,
    verified: VerifiedTokens,
}

enum Keys {
    One(Key),
    Set(jwks::KeySet),
}

impl Verifier {
    /// With a key set, a task is started that reads it for as long as the verifier is kept.
    pub fn new(settings: &TokenSettings) -> Self {
        let leeway = CLOCK_LEEWAY.as_secs().unsigned_abs();
        let mut validation = Validation { leeway, validate_nbf: true, ..Validation::default() };
        validation.set_required_spec_claims(&["exp"]);
        if let Some(issuer) = &settings.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        match &settings.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                validation.required_spec_claims.insert("aud".to_owned());
            }
            None => validation.validate_aud = false,
        }
        let keys = match &settings.keys {
            KeySource::Secret(secret) => Keys::One(Key::secret(secret)),
            KeySource::PublicKey(key) => Keys::One(key.clone()),
            KeySource::Jwks(settings) => Keys::Set(jwks::KeySet::start(settings)),
        };
        let (projects_claim, permissions_claim) = (settings.projects_claim.clone(), settings.permissions_claim.clone());
        Self { keys, validation, projects_claim, permissions_claim, verified: VerifiedTokens::default() }
    }

    /// Whether there is a key to verify anything with.
    pub fn ready(&self) -> Result<(), AuthError> {
        match &self.keys {
            Keys::Set(set) if !set.is_ready() => Err(AuthError::NoKeys),
            _ => Ok(()),
        }
    }

    /// Verifies an `Authorization` value.
    pub async fn verify_bearer(&self, authorization: &str) -> Result<Principal, AuthError> {
        let (scheme, token) = authorization.trim().split_once(' ').ok_or(AuthError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AuthError::Scheme);
        }
        self.verify(token.trim()).await
    }

    /// Verifies a token.
    pub async fn verify(&self, token: &str) -> Result<Principal, AuthError> {
        // Keys of a set come and go, and what they have signed with them.
        let Keys::One(_) = &self.keys else { return self.verify_anew(token).await };
        if let Some(principal) = self.verified.find(token, Timestamp::now()) {
            return Ok(principal);
        }
        let principal = self.verify_anew(token).await?;
        self.verified.keep(token, &principal);
        Ok(principal)
    }

    async fn verify_anew(&self, token: &str) -> Result<Principal, AuthError> {
        let header = decode_header(token).map_err(|_| AuthError::Invalid)?;
        // It lists what has to be understood for the token to mean what it says (RFC 7515, section 4.1.11); none is.
        if header.crit.is_some() {
            return Err(AuthError::Invalid);
        }
        let key = match &self.keys {
            Keys::One(key) if key.fits(None, header.alg) => key.clone(),
            Keys::One(_) => return Err(AuthError::Invalid),
            Keys::Set(set) => set.find(header.kid.as_deref(), header.alg).await?,
        };
        let mut validation = self.validation.clone();
        validation.algorithms = vec![header.alg];
        let claims: Claims = decode(token, &key.decoding, &validation).map_err(|error| refusal(error.kind()))?.claims;
        claims::principal(&claims, &self.projects_claim, &self.permissions_claim)
    }
}

fn refusal(kind: &ErrorKind) -> AuthError {
    match kind {
        ErrorKind::ExpiredSignature => AuthError::Expired,
        ErrorKind::ImmatureSignature => AuthError::TooEarly,
        ErrorKind::InvalidIssuer => AuthError::Issuer,
        ErrorKind::InvalidAudience => AuthError::Audience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "exp" => AuthError::MissingClaim("exp"),
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => AuthError::MissingClaim("iss"),
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => AuthError::MissingClaim("aud"),
        ErrorKind::Json(error) if error.to_string().starts_with(json::TWICE) => AuthError::Duplicate,
        _ => AuthError::Invalid,
    }
}

/// Why no token could be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("tokens can be signed here with JWT_SECRET (HS256) only; others are signed by the issuer that has the key")]
    NoSecret,
    #[error("the token can't be signed")]
    Failed(#[from] jsonwebtoken::errors::Error),
}

/// Signs a token as the platform would; for development and tests.
pub fn sign(settings: &TokenSettings, principal: &Principal) -> Result<SecretString, SignError> {
    let KeySource::Secret(secret) = &settings.keys else { return Err(SignError::NoSecret) };
    let projects = match &principal.projects {
        Projects::All => vec!["*"],
        Projects::Listed(projects) => projects.iter().map(ProjectId::as_str).collect(),
    };
    let mut claims = json!({
        settings.projects_claim.to_string(): projects,
        settings.permissions_claim.to_string(): principal.permissions,
        "sub": principal.subject,
        "exp": principal.expires_at.as_second(),
    });
    for (name, value) in [("iss", &settings.issuer), ("aud", &settings.audience)] {
        if let Some(value) = value {
            claims[name] = Value::from(value.as_str());
        }
    }
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    Ok(SecretString::from(encode(&Header::new(Algorithm::HS256), &claims, &key)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jiff::SignedDuration;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn settings() -> TokenSettings {
        TokenSettings::new(KeySource::Secret(SecretString::from(SECRET)))
    }

    fn raw(claims: &Value, algorithm: Algorithm, secret: &str) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn in_an_hour() -> i64 {
        (Timestamp::now() + SignedDuration::from_hours(1)).as_second()
    }

    #[tokio::test]
    async fn a_signed_token_is_verified_to_the_principal_it_was_signed_for() {
        let principal = Principal {
            subject: "ada".to_owned(),
            projects: Projects::Listed(vec!["demo".parse().unwrap()]),
            permissions: vec!["project:settings".to_owned()],
            expires_at: Timestamp::from_second(in_an_hour()).unwrap(),
        };
        let own_names = TokenSettings {
            issuer: Some("platform".to_owned()),
            audience: Some("services".to_owned()),
            projects_claim: "https://platform.example/projects".parse().unwrap(),
            permissions_claim: "realm_access.roles".parse().unwrap(),
            ..settings()
        };
        for settings in [settings(), own_names] {
            let token = sign(&settings, &principal).unwrap();
            let authorization = format!("bearer {}", token.expose_secret());
            assert_eq!(Verifier::new(&settings).verify_bearer(&authorization).await, Ok(principal.clone()));
        }
    }

    #[tokio::test]
    async fn tokens_that_prove_nothing_are_refused() {
        let verifier = Verifier::new(&settings());
        let good = json!({"sub": "ada", "exp": in_an_hour()});
        let verify = async |token: &str| verifier.verify(token).await.map(|_| ());
        assert_eq!(verify(&raw(&good, Algorithm::HS256, SECRET)).await, Ok(()));
        let other = raw(&good, Algorithm::HS256, "another secret of enough length.");
        assert_eq!(verify(&other).await, Err(AuthError::Invalid));
        assert_eq!(verify(&raw(&good, Algorithm::HS512, SECRET)).await, Err(AuthError::Invalid));
        let no_exp = json!({"sub": "ada"});
        assert_eq!(verify(&raw(&no_exp, Algorithm::HS256, SECRET)).await, Err(AuthError::MissingClaim("exp")));
        let no_sub = json!({"exp": in_an_hour()});
        assert_eq!(verify(&raw(&no_sub, Algorithm::HS256, SECRET)).await, Err(AuthError::MissingClaim("sub")));
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(&good));
        assert_eq!(verify(&unsigned).await, Err(AuthError::Invalid));
        for garbage in ["", "a.b.c", "..", "é"] {
            assert_eq!(verify(garbage).await, Err(AuthError::Invalid));
        }
        assert_eq!(verifier.verify_bearer("Basic YQ==").await, Err(AuthError::Scheme));
    }

    #[tokio::test]
    async fn clocks_may_be_half_a_minute_apart() {
        let verifier = Verifier::new(&settings());
        let now = Timestamp::now().as_second();
        let verify = async |claims: Value| verifier.verify(&raw(&claims, Algorithm::HS256, SECRET)).await;
        let within = verify(json!({"sub": "ada", "exp": now - 25, "nbf": now + 25})).await.unwrap();
        assert_eq!(within.expires_at.as_second(), now - 25);
        assert_eq!(within.ends_at().as_second(), now + 5);
        assert_eq!(verify(json!({"sub": "ada", "exp": now - 35})).await, Err(AuthError::Expired));
        let early = json!({"sub": "ada", "exp": in_an_hour(), "nbf": now + 35});
        assert_eq!(verify(early).await, Err(AuthError::TooEarly));
    }

    #[tokio::test]
    async fn issuer_and_audience_are_checked_when_configured() {
        let strict = TokenSettings { issuer: Some("platform".into()), audience: Some("services".into()), ..settings() };
        let verifier = Verifier::new(&strict);
        let verify = async |claims: Value| verifier.verify(&raw(&claims, Algorithm::HS256, SECRET)).await.map(|_| ());
        let exp = in_an_hour();
        let claims = |iss: &str, aud: Value| json!({"sub": "a", "exp": exp, "iss": iss, "aud": aud});
        assert_eq!(verify(claims("platform", json!(["services"]))).await, Ok(()));
        assert_eq!(verify(claims("other", json!("services"))).await, Err(AuthError::Issuer));
        assert_eq!(verify(claims("platform", json!("other"))).await, Err(AuthError::Audience));
        let no_issuer = json!({"sub": "a", "exp": exp, "aud": "services"});
        assert_eq!(verify(no_issuer).await, Err(AuthError::MissingClaim("iss")));
    }
}
