//! Which tokens are good: the `JWT_…` and `JWKS_…` variables.

use std::fs;
use std::path::Path;

use jsonwebtoken::Algorithm;
use secrecy::{ExposeSecret as _, SecretString};

use super::{ConfigError, existing, generated_secret, kept, variable};
use crate::auth::{
    JwksSettings, Key, KeySource, Location, MIN_SECRET_LENGTH, PUBLIC_ALGORITHMS, SignError, TokenSettings,
};

pub const JWT_SECRET: &str = "JWT_SECRET";
const JWT_SECRET_FILE: &str = "jwt.secret";
const JWT_PUBLIC_KEY_FILE: &str = "JWT_PUBLIC_KEY_FILE";
const JWKS_URL: &str = "JWKS_URL";
const JWKS_FILE: &str = "JWKS_FILE";
const JWT_ALGORITHMS: &str = "JWT_ALGORITHMS";

/// What tokens are verified with; None when nothing says so. In development a secret is then generated and kept in
/// `data_dir`.
pub fn verified(data_dir: &Path, dev: bool) -> Result<Option<TokenSettings>, ConfigError> {
    let keys = match key_source()? {
        None if dev => Some(KeySource::Secret(kept(&data_dir.join(JWT_SECRET_FILE), generated_secret)?)),
        given => given,
    };
    keys.map(settings).transpose()
}

/// What tokens are signed with: of the environment, or of a development server's data directory.
pub fn signed(data_dir: &Path) -> Result<TokenSettings, ConfigError> {
    match key_source()? {
        Some(KeySource::PublicKey(_) | KeySource::Jwks(_)) => Err(ConfigError(SignError::NoSecret.to_string())),
        Some(secret) => settings(secret),
        None => settings(secret(existing(&data_dir.join(JWT_SECRET_FILE), JWT_SECRET)?)?),
    }
}

fn settings(keys: KeySource) -> Result<TokenSettings, ConfigError> {
    let mut settings = TokenSettings::new(keys);
    settings.issuer = text("JWT_ISSUER")?;
    settings.audience = text("JWT_AUDIENCE")?;
    for (name, claim) in [
        ("JWT_PROJECTS_CLAIM", &mut settings.projects_claim),
        ("JWT_PERMISSIONS_CLAIM", &mut settings.permissions_claim),
    ] {
        if let Some(text) = text(name)? {
            *claim = text.parse().map_err(|error| ConfigError(format!("{name} can't be used: {error}.")))?;
        }
    }
    Ok(settings)
}

/// Two sources would leave open which of them a token has to satisfy, so only one may be given.
fn key_source() -> Result<Option<KeySource>, ConfigError> {
    let mut given = Vec::new();
    for name in [JWT_SECRET, JWT_PUBLIC_KEY_FILE, JWKS_URL, JWKS_FILE] {
        if let Some(value) = variable(name)? {
            given.push((name, value));
        }
    }
    let names: Vec<_> = given.iter().map(|(name, _)| *name).collect();
    let algorithms = text(JWT_ALGORITHMS)?;
    match (given.as_slice(), algorithms) {
        ([], _) => Ok(None),
        ([(JWT_SECRET, _)], Some(_)) => Err(ConfigError(format!(
            "{JWT_ALGORITHMS} is for public keys; tokens that are verified with {JWT_SECRET} are HS256."
        ))),
        ([(JWT_SECRET, value)], None) => secret(value.clone()).map(Some),
        ([(name, value)], algorithms) => {
            public_keys(name, value.expose_secret(), &allowed(algorithms.as_deref())?).map(Some)
        }
        _ => Err(ConfigError(format!(
            "Only one of {} can be set: each says what tokens are verified with.",
            names.join(", ")
        ))),
    }
}

fn secret(secret: SecretString) -> Result<KeySource, ConfigError> {
    let length = secret.expose_secret().len();
    if length < MIN_SECRET_LENGTH {
        return Err(ConfigError(format!(
            "JWT_SECRET has {length} bytes; HS256 needs at least {MIN_SECRET_LENGTH} (RFC 7518, section 3.2)."
        )));
    }
    Ok(KeySource::Secret(secret))
}

fn public_keys(name: &str, value: &str, allowed: &[Algorithm]) -> Result<KeySource, ConfigError> {
    let location = match name {
        JWKS_URL => {
            Location::Address(value.parse().map_err(|error| ConfigError(format!("{name} can't be used: {error}.")))?)
        }
        JWKS_FILE => Location::File(value.into()),
        _ => {
            let pem =
                fs::read_to_string(value).map_err(|error| ConfigError(format!("{value} can't be read: {error}.")))?;
            let key = Key::from_pem(&pem, allowed);
            return key
                .map(KeySource::PublicKey)
                .map_err(|error| ConfigError(format!("{value} can't be used: {error}.")));
        }
    };
    let pace = location.pace();
    Ok(KeySource::Jwks(JwksSettings { location, algorithms: allowed.to_vec(), pace }))
}

fn allowed(text: Option<&str>) -> Result<Vec<Algorithm>, ConfigError> {
    let Some(text) = text else { return Ok(PUBLIC_ALGORITHMS.to_vec()) };
    let parse = |name: &str| {
        let algorithm = name.trim().parse().ok().filter(|algorithm| PUBLIC_ALGORITHMS.contains(algorithm));
        algorithm.ok_or_else(|| {
            ConfigError(format!("{JWT_ALGORITHMS} has {name:?}; it may have these: {PUBLIC_ALGORITHMS:?}."))
        })
    };
    text.split(',').map(parse).collect()
}

fn text(name: &str) -> Result<Option<String>, ConfigError> {
    Ok(variable(name)?.map(|value| value.expose_secret().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_refused() {
        let error = secret(SecretString::from("short")).unwrap_err();
        assert!(error.to_string().contains("5 bytes"), "{error}");
    }

    #[test]
    fn only_algorithms_of_public_keys_can_be_allowed() {
        assert_eq!(allowed(None).unwrap(), PUBLIC_ALGORITHMS);
        assert_eq!(allowed(Some("PS256, ES256")).unwrap(), [Algorithm::PS256, Algorithm::ES256]);
        for wrong in ["HS256", "RS256,HS256", "none", "RS512", "rs256", ",", "RS256 PS256"] {
            assert!(allowed(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_file_has_to_hold_a_public_key_that_the_algorithms_fit() {
        let pem = |name: &str, algorithms: &[Algorithm]| {
            let path = format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"));
            public_keys(JWT_PUBLIC_KEY_FILE, &path, algorithms).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(pem("rsa-a.pub", PUBLIC_ALGORITHMS), Ok(()));
        for (name, algorithms, why) in [
            ("rsa-a.pem", PUBLIC_ALGORITHMS, "private key"),
            ("rsa-a.pub", &[Algorithm::ES256], "allowed"),
            ("nothing", PUBLIC_ALGORITHMS, "can't be read"),
        ] {
            let error = pem(name, algorithms).unwrap_err();
            assert!(error.contains(name) && error.contains(why), "{error}");
        }
    }
}
