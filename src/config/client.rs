//! The commands that talk to a server, as any other client does.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use secrecy::SecretString;

use super::{ConfigError, variable};
use crate::domain::id::ProjectId;
use crate::domain::service::{ServiceKind, SizeTier};

/// What each of these commands takes. The token comes from the environment alone: command lines can be read by others.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// The server's address.
    #[arg(long, env = "PROJECT_SERVICES_SERVER", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// The project; only needed where the token is good for several.
    #[arg(long, env = "PROJECT_SERVICES_PROJECT")]
    pub project: Option<ProjectId>,
    /// Answers in JSON: one value, or one a line for what is followed.
    #[arg(long)]
    pub json: bool,
}

/// A service is given by its name or its id.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Lists a project's services.
    List {
        #[command(flatten)]
        at: ClientArgs,
    },
    /// Creates a service, and waits until it runs.
    Provision {
        #[command(flatten)]
        at: ClientArgs,
        /// POSTGRESQL or REDIS, in any case.
        #[arg(value_parser = word::<ServiceKind>)]
        kind: ServiceKind,
        /// One of the catalog's versions of the kind; its default when left out.
        #[arg(long)]
        version: Option<String>,
        /// DEV, STANDARD or PERFORMANCE.
        #[arg(long, default_value = "DEV", value_parser = word::<SizeTier>)]
        tier: SizeTier,
        /// The service's name; made from the kind when left out.
        #[arg(long)]
        name: Option<String>,
        /// Returns as soon as it is accepted.
        #[arg(long)]
        no_wait: bool,
    },
    /// Prints a service's credentials as a .env file.
    Env {
        #[command(flatten)]
        at: ClientArgs,
        service: String,
        /// With the address that is published on the engine's host, for programs outside the project's network.
        #[arg(long)]
        outside: bool,
    },
    /// Runs psql or redis-cli on a service's published address; what follows `--` goes to it.
    Connect {
        #[command(flatten)]
        at: ClientArgs,
        service: String,
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Follows what a service's server writes.
    Logs {
        #[command(flatten)]
        at: ClientArgs,
        service: String,
        /// How many lines of the past to begin with, at most 5000.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(0..=5000))]
        tail: u16,
    },
    /// Follows a project's events.
    Events {
        #[command(flatten)]
        at: ClientArgs,
        /// The cursor of the last event that was seen; from now on when left out.
        #[arg(long)]
        after: Option<String>,
    },
    /// Starts a service that is stopped or in error, and waits until it runs.
    Start(ActionArgs),
    /// Shuts a service down and keeps its data.
    Stop(ActionArgs),
    /// Stops a service and starts it again.
    Restart(ActionArgs),
    /// Gets a user back in who has locked himself out: makes a service's container anew, with its own settings and password.
    Repair(ActionArgs),
    /// Gives a service another size, and waits until it has it.
    Resize {
        #[command(flatten)]
        action: ActionArgs,
        /// DEV, STANDARD or PERFORMANCE.
        #[arg(value_parser = word::<SizeTier>)]
        tier: SizeTier,
        /// Ends no connection: what needs a restart waits for the next one.
        #[arg(long)]
        at_next_restart: bool,
    },
    /// Brings a service to a later version, and waits until it runs in that.
    Upgrade {
        #[command(flatten)]
        action: ActionArgs,
        /// The version that it is to be of.
        #[arg(long, value_name = "VERSION")]
        to: String,
    },
    /// Has a service go back to what it was before its last upgrade, and waits until it runs.
    Revert(ActionArgs),
    /// Restarts a service from the newest image of its version, if there is another one.
    UpdateImage(ActionArgs),
    /// Protects a service from being destroyed.
    Protect {
        #[command(flatten)]
        at: ClientArgs,
        service: String,
        /// Takes that back.
        #[arg(long)]
        off: bool,
    },
    /// Has a service destroyed by itself, with its data, at a time or never.
    Expire {
        #[command(flatten)]
        at: ClientArgs,
        service: String,
        /// The time, as RFC 3339 writes it, such as 2026-12-24T18:00:00Z; at least a minute ahead.
        #[arg(long = "at", value_name = "TIME", required_unless_present = "never", conflicts_with = "never")]
        time: Option<Timestamp>,
        /// Takes an expiry back.
        #[arg(long)]
        never: bool,
    },
    /// Takes backups of services, lists, verifies and removes them, and makes new services of them.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Removes a service with its data.
    Destroy {
        #[command(flatten)]
        action: ActionArgs,
        /// Does not ask for the service's name.
        #[arg(long)]
        yes: bool,
    },
}

impl ClientCommand {
    /// The server and the project that it is about.
    pub fn at(&self) -> &ClientArgs {
        match self {
            Self::List { at }
            | Self::Provision { at, .. }
            | Self::Env { at, .. }
            | Self::Connect { at, .. }
            | Self::Logs { at, .. }
            | Self::Protect { at, .. }
            | Self::Expire { at, .. }
            | Self::Events { at, .. } => at,
            Self::Backup(command) => command.at(),
            Self::Start(action)
            | Self::Stop(action)
            | Self::Restart(action)
            | Self::Repair(action)
            | Self::Revert(action)
            | Self::UpdateImage(action)
            | Self::Resize { action, .. }
            | Self::Upgrade { action, .. }
            | Self::Destroy { action, .. } => &action.at,
        }
    }
}

/// A backup is given by its id.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Lists the backups of a project, or of a service, the newest first.
    List {
        #[command(flatten)]
        at: ClientArgs,
        service: Option<String>,
    },
    /// Takes a backup of a running service, and waits until it is whole.
    Create {
        #[command(flatten)]
        action: ActionArgs,
        /// What to remember about it; at most 200 characters.
        #[arg(long)]
        note: Option<String>,
    },
    /// Restores a backup once, where nobody reaches it, and waits until all of it was read.
    Verify {
        #[command(flatten)]
        at: ClientArgs,
        backup: String,
        /// Returns as soon as it is accepted.
        #[arg(long)]
        no_wait: bool,
    },
    /// Makes a new service of a backup, in the project that is given or else in the backup's own, and waits until it runs.
    Restore {
        #[command(flatten)]
        at: ClientArgs,
        backup: String,
        /// The new service's name; made from the kind when left out.
        #[arg(long)]
        name: Option<String>,
        /// DEV, STANDARD or PERFORMANCE; that of the backup when left out.
        #[arg(long, value_parser = word::<SizeTier>)]
        tier: Option<SizeTier>,
        /// Returns as soon as it is accepted.
        #[arg(long)]
        no_wait: bool,
    },
    /// Removes a backup for good.
    Delete {
        #[command(flatten)]
        at: ClientArgs,
        backup: String,
        /// Does not ask for the backup's id.
        #[arg(long)]
        yes: bool,
        /// Returns as soon as it is accepted.
        #[arg(long)]
        no_wait: bool,
    },
}

impl BackupCommand {
    fn at(&self) -> &ClientArgs {
        match self {
            Self::Create { action, .. } => &action.at,
            Self::List { at, .. } | Self::Verify { at, .. } | Self::Restore { at, .. } | Self::Delete { at, .. } => at,
        }
    }
}

#[derive(Debug, Args)]
pub struct ActionArgs {
    #[command(flatten)]
    pub at: ClientArgs,
    pub service: String,
    /// Returns as soon as it is accepted.
    #[arg(long)]
    pub no_wait: bool,
}

/// The token that the commands show to the server, of the environment.
///
/// # Errors
/// Where there is none.
pub fn token() -> Result<SecretString, ConfigError> {
    let missing =
        || ConfigError("PROJECT_SERVICES_TOKEN must be set: the token that is shown to the server.".to_owned());
    variable("PROJECT_SERVICES_TOKEN")?.ok_or_else(missing)
}

/// One of the API's words, in any case.
fn word<T: std::str::FromStr>(text: &str) -> Result<T, T::Err> {
    text.to_uppercase().parse()
}
