//! Turns a JSON Web Token (RFC 7519) into a [`Principal`]. It decides who somebody is, never what they may do.

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::id::ProjectId;
use crate::domain::permission::{Principal, Projects};

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
    #[error("the token is not valid")]
    Invalid,
    #[error("the Authorization value is not of the form \"Bearer <token>\"")]
    Scheme,
}

/// What a verifier needs to know of the platform's tokens.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// The secret of HS256, at least [`MIN_SECRET_LENGTH`] bytes.
    pub secret: SecretString,
    /// Checked when given.
    pub issuer: Option<String>,
    /// Checked when given.
    pub audience: Option<String>,
}

/// Verifies tokens. The algorithm is fixed here, never taken from the token.
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<f64>,
    #[serde(default)]
    projects: Value,
    #[serde(default)]
    permissions: Value,
}

impl Verifier {
    pub fn new(settings: &TokenSettings) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_nbf = true;
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
        Self { key: DecodingKey::from_secret(settings.secret.expose_secret().as_bytes()), validation }
    }

    /// Verifies an `Authorization` value.
    pub fn verify_bearer(&self, authorization: &str) -> Result<Principal, AuthError> {
        let (scheme, token) = authorization.trim().split_once(' ').ok_or(AuthError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AuthError::Scheme);
        }
        self.verify(token.trim())
    }

    /// Verifies a token. A claim that is missing or of another type grants nothing.
    pub fn verify(&self, token: &str) -> Result<Principal, AuthError> {
        let claims =
            decode::<Claims>(token, &self.key, &self.validation).map_err(|error| refusal(error.kind()))?.claims;
        let subject = claims.sub.filter(|sub| !sub.is_empty()).ok_or(AuthError::MissingClaim("sub"))?;
        let projects = texts(&claims.projects);
        let projects = if projects.contains(&"*") {
            Projects::All
        } else {
            Projects::Listed(projects.iter().filter_map(|project| project.parse().ok()).collect())
        };
        let permissions = texts(&claims.permissions).into_iter().map(str::to_owned).collect();
        // A NumericDate may have a fraction (RFC 7519, section 2); what is cut off ends a stream a moment early.
        let expires_at = claims.exp.ok_or(AuthError::MissingClaim("exp"))?;
        let expires_at = Timestamp::from_second(expires_at as i64).map_err(|_| AuthError::Invalid)?;
        Ok(Principal { subject, projects, permissions, expires_at })
    }
}

fn texts(claim: &Value) -> Vec<&str> {
    claim.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn refusal(kind: &ErrorKind) -> AuthError {
    match kind {
        ErrorKind::ExpiredSignature => AuthError::Expired,
        ErrorKind::InvalidIssuer => AuthError::Issuer,
        ErrorKind::InvalidAudience => AuthError::Audience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "exp" => AuthError::MissingClaim("exp"),
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => AuthError::MissingClaim("iss"),
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => AuthError::MissingClaim("aud"),
        _ => AuthError::Invalid,
    }
}

/// Signs a token as the platform would; for development and tests.
pub fn sign(settings: &TokenSettings, principal: &Principal) -> Result<SecretString, jsonwebtoken::errors::Error> {
    #[derive(Serialize)]
    struct Signed<'a> {
        sub: &'a str,
        exp: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        iss: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        aud: Option<&'a str>,
        projects: Vec<&'a str>,
        permissions: &'a [String],
    }
    let projects = match &principal.projects {
        Projects::All => vec!["*"],
        Projects::Listed(projects) => projects.iter().map(ProjectId::as_str).collect(),
    };
    let claims = Signed {
        sub: &principal.subject,
        exp: principal.expires_at.as_second(),
        iss: settings.issuer.as_deref(),
        aud: settings.audience.as_deref(),
        projects,
        permissions: &principal.permissions,
    };
    let key = EncodingKey::from_secret(settings.secret.expose_secret().as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jiff::SignedDuration;
    use serde_json::json;

    fn settings() -> TokenSettings {
        TokenSettings { secret: SecretString::from("0123456789abcdef0123456789abcdef"), issuer: None, audience: None }
    }

    fn raw(claims: &Value, algorithm: Algorithm, secret: &str) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn in_an_hour() -> i64 {
        (Timestamp::now() + SignedDuration::from_hours(1)).as_second()
    }

    #[test]
    fn a_signed_token_is_verified_to_the_principal_it_was_signed_for() {
        let principal = Principal {
            subject: "ada".to_owned(),
            projects: Projects::Listed(vec!["demo".parse().unwrap()]),
            permissions: vec!["project:settings".to_owned()],
            expires_at: Timestamp::from_second(in_an_hour()).unwrap(),
        };
        let token = sign(&settings(), &principal).unwrap();
        let authorization = format!("bearer {}", token.expose_secret());
        assert_eq!(Verifier::new(&settings()).verify_bearer(&authorization), Ok(principal));
    }

    #[test]
    fn tokens_that_prove_nothing_are_refused() {
        let verifier = Verifier::new(&settings());
        let secret = settings().secret;
        let secret = secret.expose_secret();
        let good = json!({"sub": "ada", "exp": in_an_hour()});
        let verify = |token: &str| verifier.verify(token).map(|_| ());
        assert_eq!(verify(&raw(&good, Algorithm::HS256, secret)), Ok(()));
        assert_eq!(verify(&raw(&good, Algorithm::HS256, "another secret of enough length.")), Err(AuthError::Invalid));
        assert_eq!(verify(&raw(&good, Algorithm::HS512, secret)), Err(AuthError::Invalid));
        let past = json!({"sub": "ada", "exp": Timestamp::now().as_second() - 1});
        assert_eq!(verify(&raw(&past, Algorithm::HS256, secret)), Err(AuthError::Expired));
        let no_exp = json!({"sub": "ada"});
        assert_eq!(verify(&raw(&no_exp, Algorithm::HS256, secret)), Err(AuthError::MissingClaim("exp")));
        let no_sub = json!({"exp": in_an_hour()});
        assert_eq!(verify(&raw(&no_sub, Algorithm::HS256, secret)), Err(AuthError::MissingClaim("sub")));
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(&good));
        assert_eq!(verify(&unsigned), Err(AuthError::Invalid));
        for garbage in ["", "a.b.c", "..", "é"] {
            assert_eq!(verify(garbage), Err(AuthError::Invalid));
        }
        assert_eq!(verifier.verify_bearer("Basic YQ=="), Err(AuthError::Scheme));
    }

    #[test]
    fn claims_of_another_type_grant_nothing() {
        let verifier = Verifier::new(&settings());
        let claims =
            json!({"sub": "ada", "exp": in_an_hour(), "projects": "*", "permissions": {"project:settings": true}});
        let principal = verifier.verify(&raw(&claims, Algorithm::HS256, settings().secret.expose_secret())).unwrap();
        assert_eq!(principal.projects, Projects::Listed(vec![]));
        assert!(principal.permissions.is_empty());
    }

    #[test]
    fn issuer_and_audience_are_checked_when_configured() {
        let strict = TokenSettings { issuer: Some("platform".into()), audience: Some("services".into()), ..settings() };
        let verifier = Verifier::new(&strict);
        let verify =
            |claims: Value| verifier.verify(&raw(&claims, Algorithm::HS256, strict.secret.expose_secret())).map(|_| ());
        let exp = in_an_hour();
        assert_eq!(verify(json!({"sub": "a", "exp": exp, "iss": "platform", "aud": ["services"]})), Ok(()));
        assert_eq!(verify(json!({"sub": "a", "exp": exp, "iss": "other", "aud": "services"})), Err(AuthError::Issuer));
        assert_eq!(
            verify(json!({"sub": "a", "exp": exp, "iss": "platform", "aud": "other"})),
            Err(AuthError::Audience)
        );
        assert_eq!(verify(json!({"sub": "a", "exp": exp, "aud": "services"})), Err(AuthError::MissingClaim("iss")));
    }
}
