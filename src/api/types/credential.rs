//! Environment variables that an application connects with.

use async_graphql::{Enum, Object};
use secrecy::ExposeSecret;

use crate::catalog;

/// What stands for every value that is not revealed; its length tells nothing.
const MASK: &str = "••••••••";

/// Whether a credential's value can be read.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum CredentialMode {
    /// The value is a row of dots, the same for every credential.
    Masked,
    /// The value is the real one.
    Revealed,
}

pub enum Credential {
    /// Of this key.
    Masked(&'static str),
    Revealed(catalog::Credential),
}

/// An environment variable to connect with.
#[Object]
impl Credential {
    /// The variable's name, such as `DATABASE_URL`.
    async fn key(&self) -> &str {
        match self {
            Self::Masked(key) => key,
            Self::Revealed(credential) => credential.key,
        }
    }

    /// The variable's value; dots unless it comes from `revealCredentials`.
    async fn value(&self) -> &str {
        match self {
            Self::Masked(_) => MASK,
            Self::Revealed(credential) => credential.value.expose_secret(),
        }
    }

    /// Whether `value` is the real one.
    async fn mode(&self) -> CredentialMode {
        match self {
            Self::Masked(_) => CredentialMode::Masked,
            Self::Revealed(_) => CredentialMode::Revealed,
        }
    }
}
