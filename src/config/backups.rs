//! Where backups are kept, and what opens it.

use std::fmt;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::{ConfigError, StoreArgs};
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

pub(super) fn up_to_an_hour(text: &str) -> Result<Duration, String> {
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
