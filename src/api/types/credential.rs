//! Environment variables that an application connects with.

use async_graphql::{Enum, Object};
use secrecy::ExposeSecret;

use crate::catalog;

/// Whether a credential's value can be read.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum CredentialMode {
    /// The value is a secret, or has one in it, in the place of which there is a row of dots, the same for every credential.
    Masked,
    /// The value is the real one.
    Revealed,
    /// The value is the real one, and no secret: everybody who sees the service may know it.
    Plain,
}

pub enum Credential {
    Shown(catalog::Shown),
    Revealed(catalog::Credential),
}

/// An environment variable to connect with.
#[Object]
impl Credential {
    /// The variable's name, such as `DATABASE_URL`.
    async fn key(&self) -> &str {
        match self {
            Self::Shown(shown) => shown.key,
            Self::Revealed(credential) => credential.key,
        }
    }

    /// The variable's value, with dots in the place of the password unless it comes from `revealCredentials`.
    async fn value(&self) -> &str {
        match self {
            Self::Shown(shown) => &shown.value,
            Self::Revealed(credential) => credential.value.expose_secret(),
        }
    }

    /// Whether `value` is the real one.
    async fn mode(&self) -> CredentialMode {
        match self {
            Self::Shown(shown) if shown.is_secret => CredentialMode::Masked,
            Self::Shown(_) => CredentialMode::Plain,
            Self::Revealed(_) => CredentialMode::Revealed,
        }
    }
}
