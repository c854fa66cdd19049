//! What a recovery is told.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::backups::{BackupSettings, named};
use super::{ConfigError, DOCKER_HOST, StoreArgs, docker_host, port_range};
use crate::domain::address::Publishing;
use crate::domain::id::InstallationId;
use crate::domain::node::NodeName;

#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// Where the backups are: a directory's path, or `s3://BUCKET/PREFIX`, `gs://…`, `az://…`; BACKUP_STORE when left out.
    #[arg(long)]
    pub from: Option<SecretString>,
    /// Brings it back. Without it, it is only said what there is.
    #[arg(long)]
    pub yes: bool,
    /// Which installation, where there are backups of several.
    #[arg(long, value_parser = installation)]
    pub installation: Option<InstallationId>,
    /// Goes on without what is damaged or opens with no key: with older backups, or none.
    #[arg(long)]
    pub skip_unreadable: bool,
    /// Restores services from their newest backups, and leaves out what is kept of their logs beyond those.
    #[arg(long)]
    pub backup_only: bool,
    #[command(flatten)]
    pub store: StoreArgs,
    /// The Docker Engine: `unix://…`, `tcp://…`, `http://…` or `https://…`.
    #[arg(long, env = "DOCKER_HOST", default_value = DOCKER_HOST, value_parser = docker_host)]
    pub docker_host: String,
    /// The name of the node that it is. Of several, each is brought back by itself.
    #[arg(long, default_value_t)]
    pub node: NodeName,
    /// Host address on which services are published that only their backups know of; not published when left out.
    #[arg(long, env = "PUBLISH_ADDRESS")]
    pub publish_address: Option<IpAddr>,
    /// Host ports to choose from, `first-last`.
    #[arg(long, env = "PUBLISH_PORTS", default_value = "20000-29999", value_parser = port_range)]
    pub publish_ports: RangeInclusive<u16>,
}

impl RecoverArgs {
    /// Where the backups are. A directory that is not there is none, and is not made.
    pub fn backups(&self) -> Result<BackupSettings, ConfigError> {
        let settings = match self.from.as_ref().map(|given| given.expose_secret()) {
            None | Some("") => super::backups(&self.store)?,
            Some(given) => {
                named(given.parse().map_err(|error| ConfigError(format!("--from can't be used: {error}.")))?)?
            }
        };
        match settings.url.as_directory() {
            Some(directory) if !directory.is_dir() => {
                Err(ConfigError(format!("There are no backups in {}: it is no directory.", directory.display())))
            }
            _ => Ok(settings),
        }
    }

    pub fn publishing(&self) -> Option<Publishing> {
        self.publish_address.map(|address| Publishing { address, ports: self.publish_ports.clone() })
    }
}

fn installation(text: &str) -> Result<InstallationId, String> {
    let id = Uuid::try_parse(text).map_err(|_| "an installation is 32 hexadecimal digits".to_owned())?;
    Ok(InstallationId(id))
}
