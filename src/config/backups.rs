//! Where backups are kept, and what opens it.

use std::fmt;
use std::time::Duration;

use clap::{ArgAction, Args};
use secrecy::ExposeSecret as _;

use super::{ConfigError, StoreArgs};
use crate::clock::now;
use crate::domain::backup_policy::{BackupPolicy, Keep, Schedule};
use crate::repository::RepositoryUrl;

/// What variables of the stores' own begin with, as their vendors' tools read them.
const STORES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Where backups are kept.
#[derive(Clone)]
pub struct BackupSettings {
    pub url: RepositoryUrl,
    /// Variables that a bucket's store may need. They hold keys.
    pub options: Vec<(String, String)>,
}

impl fmt::Debug for BackupSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.options.iter().map(|(name, _)| name).collect();
        f.debug_struct("BackupSettings").field("url", &self.url).field("options", &names).finish()
    }
}

/// When new services are backed up by themselves, and the server's own database.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// When new services are backed up by themselves: a cron expression of five fields, in UTC; not at all when left out.
    #[arg(long, env = "BACKUP_SCHEDULE")]
    pub backup_schedule: Option<String>,
    /// How many of those backups are kept of each service: the last, and the newest of so many days, weeks and months.
    #[arg(long, env = "BACKUP_KEEP", default_value = "last=3,daily=7,weekly=4")]
    pub backup_keep: Keep,
    /// Whether each of them is restored once, to see that it can be.
    #[arg(long, env = "BACKUP_VERIFY", default_value_t = true, action = ArgAction::Set)]
    pub backup_verify: bool,
    /// Whether what new services write in between is kept as well, where their kind can, so that any moment can be brought back.
    #[arg(long, env = "BACKUP_POINT_IN_TIME", default_value_t = false, action = ArgAction::Set)]
    pub backup_point_in_time: bool,
    /// How many days back any moment can be brought back, where that is kept.
    #[arg(long, env = "RECOVERY_DAYS", default_value = "7", value_parser = clap::value_parser!(u32).range(1..=365))]
    pub recovery_days: u32,
    /// How long after a backup of the server's own database another is taken, in seconds, up to an hour; SQLite only.
    #[arg(long, env = "DATABASE_BACKUP_INTERVAL", default_value = "3600", value_parser = up_to_an_hour)]
    pub database_backup_interval: Duration,
}

impl BackupArgs {
    /// When and how new services are backed up by themselves; None: not.
    pub fn policy(&self) -> Result<Option<BackupPolicy>, ConfigError> {
        let Some(schedule) = self.backup_schedule.as_deref().filter(|given| !given.is_empty()) else { return Ok(None) };
        let schedule = Schedule::parse(schedule, now());
        let schedule = schedule.map_err(|why| ConfigError(format!("BACKUP_SCHEDULE can't be used: {why}")))?;
        let point_in_time = self.backup_point_in_time;
        Ok(Some(BackupPolicy { schedule, keep: self.backup_keep, verify: self.backup_verify, point_in_time }))
    }
}

/// Where backups are kept: in the data directory, unless it is told otherwise.
pub fn backups(args: &StoreArgs) -> Result<BackupSettings, ConfigError> {
    settings(args, variables())
}

/// Where backups are that somebody names.
pub(super) fn named(url: RepositoryUrl) -> Result<BackupSettings, ConfigError> {
    opened_by(url, variables())
}

fn variables() -> impl Iterator<Item = (String, std::ffi::OsString)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
}

fn settings(
    args: &StoreArgs,
    variables: impl Iterator<Item = (String, std::ffi::OsString)>,
) -> Result<BackupSettings, ConfigError> {
    let url = match args.backup_store.as_ref().map(|given| given.expose_secret()) {
        None | Some("") => RepositoryUrl::directory(args.data_dir.join("backups")),
        Some(given) => given.parse().map_err(|error| ConfigError(format!("BACKUP_STORE can't be used: {error}.")))?,
    };
    opened_by(url, variables)
}

/// What opens `url`, out of `variables`.
fn opened_by(
    url: RepositoryUrl,
    variables: impl Iterator<Item = (String, std::ffi::OsString)>,
) -> Result<BackupSettings, ConfigError> {
    let mut options = Vec::new();
    if url.as_directory().is_none() {
        for (name, value) in variables.filter(|(name, _)| STORES.iter().any(|store| name.starts_with(store))) {
            let value = value.into_string().map_err(|_| ConfigError(format!("{name} is not valid UTF-8.")))?;
            // As with other settings, what is empty is not set.
            if !value.is_empty() {
                options.push((name, value));
            }
        }
    }
    Ok(BackupSettings { url, options })
}

fn up_to_an_hour(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("a whole number of seconds from 1 to 3600".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Cli, Command};
    use clap::Parser as _;

    fn of(args: &[&str], variables: &[(&str, &str)]) -> Result<BackupSettings, ConfigError> {
        let args = ["project-services", "serve", "--data-dir", "/data"].iter().chain(args);
        let Command::Serve(args) = Cli::try_parse_from(args).unwrap().command else { panic!("it serves") };
        settings(&args.store, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())))
    }

    #[test]
    fn backups_are_in_the_data_directory_unless_it_is_told_otherwise() {
        for args in [&[][..], &["--backup-store", ""]] {
            let settings = of(args, &[("AWS_REGION", "eu-1")]).unwrap();
            assert_eq!(settings.url.to_string(), "/data/backups");
            assert!(settings.options.is_empty(), "a directory needs none");
        }
    }

    #[test]
    fn a_bucket_gets_the_variables_of_stores_and_shows_no_values() {
        let variables = [("AWS_SECRET_ACCESS_KEY", "s3cret"), ("AWS_REGION", ""), ("PATH", "/bin"), ("GOOGLE_X", "y")];
        let settings = of(&["--backup-store", "s3://bucket/x"], &variables).unwrap();
        let names: Vec<_> = settings.options.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["AWS_SECRET_ACCESS_KEY", "GOOGLE_X"]);
        let shown = format!("{settings:?}");
        assert!(shown.contains("s3://bucket/x") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn a_bad_url_is_told_without_repeating_it() {
        let error = of(&["--backup-store", "s3://key:s3cret@bucket"], &[]).unwrap_err().to_string();
        assert!(error.starts_with("BACKUP_STORE can't be used: a bucket's name is"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
