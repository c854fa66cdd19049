//! A database is backed up before a newer version of the server changes its tables, for the way back.

use super::{BoxError, open_repository};
use crate::causes;
use crate::clock;
use crate::config::BackupSettings;
use crate::crypto::Sealer;
use crate::domain::id::InstallationId;
use crate::store::{self, CopiedBefore, StoreUrl};

const REASON: &str = "BEFORE_MIGRATION";

/// Keeps the database as it is, if its tables are about to be changed. Where `kept` does not take it, the copy stays beside
/// the database, and that is logged.
///
/// # Errors
/// Where it can't even be copied: then nothing is to be changed either.
pub(super) async fn keep(url: &StoreUrl, kept: Option<(&BackupSettings, &Sealer)>) -> Result<(), BoxError> {
    let copied = store::copy_before_migration(url).await;
    let copied = copied.map_err(|error| -> BoxError {
        let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        format!("{url} is to be brought up to date, and can't be copied before that: {why}. Nothing was changed").into()
    })?;
    let Some(copied) = copied else { return Ok(()) };
    let why = match (kept, copied.installation) {
        (Some((backups, sealer)), Some(installation)) => match write(&copied, (backups, installation), sealer).await {
            Ok(object) => {
                tracing::info!(object, "The database was backed up before its tables are changed");
                return Ok(());
            }
            Err(error) => causes::line(&*error),
        },
        (None, _) => "ENCRYPTION_KEYS is not set".to_owned(),
        (_, None) => "it has not been served yet".to_owned(),
    };
    let file = copied.keep().map_err(|error| -> BoxError {
        format!("{url} is to be brought up to date, and no copy of it can be kept before that: {error}").into()
    })?;
    tracing::warn!(file = %file.display(), why, "The database is kept beside its place as it was before its tables are changed");
    Ok(())
}

async fn write(
    copied: &CopiedBefore,
    (backups, installation): (&BackupSettings, InstallationId),
    sealer: &Sealer,
) -> Result<String, BoxError> {
    let (file, of) = (copied.path().to_owned(), (installation, REASON));
    Ok(open_repository(backups)?.write_snapshot(file, of, clock::now(), sealer).await?.object)
}
