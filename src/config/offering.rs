//! Which kinds of services are offered, from which images, and what their users may be.

use std::ffi::OsString;

use clap::{ArgAction, Args};

use super::ConfigError;
use crate::catalog::offering::{IMAGE, Images, Kinds, Offering};
use crate::catalog::policy::{Extension, Policy};

#[derive(Debug, Args)]
pub struct OfferingArgs {
    /// The kinds of services that can be provisioned, separated by commas; or `+KIND` and `-KIND`, what is offered anyway with and
    /// without these. Images are taken from elsewhere by the environment only: IMAGE_REDIS=registry.example/redis, or of one
    /// version IMAGE_REDIS_7=registry.example/redis@sha256:….
    #[arg(long, env = "KINDS", value_parser = Kinds::parse, allow_hyphen_values = true)]
    pub kinds: Option<Kinds>,
    /// Whether the users of PostgreSQL services are superusers.
    #[arg(long, env = "POSTGRES_SUPERUSER", default_value_t = false, action = ArgAction::Set)]
    pub postgres_superuser: bool,
    /// Extensions that new PostgreSQL services have besides those that their users can create: names, separated by commas.
    #[arg(long, env = "POSTGRES_EXTENSIONS", value_delimiter = ',')]
    pub postgres_extensions: Vec<Extension>,
}

impl OfferingArgs {
    pub fn policy(&self) -> Policy {
        Policy { superuser: self.postgres_superuser, extensions: self.postgres_extensions.clone() }
    }

    pub fn offering(&self) -> Result<Offering, ConfigError> {
        let text = |text: OsString| {
            let unreadable = |_| ConfigError(format!("A variable that begins with {IMAGE} is not valid UTF-8."));
            text.into_string().map_err(unreadable)
        };
        let variables = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(IMAGE));
        let variables = variables.map(|(name, value)| Ok((text(name)?, text(value)?)));
        let images = Images::parse(variables.collect::<Result<Vec<_>, ConfigError>>()?);
        Ok(Offering::new(self.kinds.clone(), images.map_err(|why| ConfigError(format!("{why}.")))?))
    }
}
