//! The server's own database, as it was when the newest snapshot of it was taken.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;

use super::{Installation, RecoveryError};
use crate::repository::{ContentKey, Repository, RepositoryError, Snapshot};
use crate::store::{Incoming, StoreError, StoreUrl};

/// Where the database came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brought {
    /// One was there already, or it is a server's.
    WasThere,
    /// It is a snapshot of then.
    AsOf(Timestamp),
    /// There is none, and one is to be begun.
    Begun,
}

/// Brings the newest snapshot that can be used into the place of the database, where that is a file that is not there. Those
/// that can't be used are added to `skipped`, with what is wrong with them.
///
/// # Errors
/// `NoSnapshot` where there are some and none can be used, unless `skip_unreadable`.
pub async fn bring_database(
    url: &StoreUrl,
    installation: &Installation,
    repository: &Repository,
    skip_unreadable: bool,
    skipped: &mut Vec<String>,
) -> Result<Brought, RecoveryError> {
    let mut unusable = Vec::new();
    let mut brought = None;
    for found in &installation.snapshots {
        let Some(incoming) = Incoming::begin(url)? else { return Ok(Brought::WasThere) };
        let object = &found.manifest.object;
        let tried = match &found.secret {
            Err(error) => Err(error.to_string()),
            Ok(_) if !found.is_whole => Err("its content is truncated or gone".to_owned()),
            Ok(secret) => bring(incoming, &found.manifest, &secret.key, repository).await?,
        };
        match tried {
            Ok(()) => {
                brought = Some(found.manifest.taken_at);
                break;
            }
            Err(why) => unusable.push(format!("{object}: {why}")),
        }
    }
    if brought.is_none() && Incoming::begin(url)?.is_none() {
        return Ok(Brought::WasThere);
    }
    if brought.is_none() && !unusable.is_empty() && !skip_unreadable {
        return Err(RecoveryError::NoSnapshot(unusable.join("; ")));
    }
    skipped.extend(unusable);
    Ok(brought.map_or(Brought::Begun, Brought::AsOf))
}

/// Brings one into its place; says what is wrong with it where it can't be used.
async fn bring(
    incoming: Incoming,
    snapshot: &Snapshot,
    key: &ContentKey,
    repository: &Repository,
) -> Result<Result<(), String>, RecoveryError> {
    let failed = |error: std::io::Error| RecoveryError::Store(StoreError::Unavailable(error.into()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(incoming.path()).map_err(failed)?;
    let mut content = match repository.read(&snapshot.object(), key).await {
        Ok(content) => content,
        Err(error) => return unusable(error),
    };
    loop {
        match content.try_next().await {
            Ok(Some(piece)) => file.write_all(&piece).map_err(failed)?,
            Ok(None) => break,
            Err(error) => return unusable(error),
        }
    }
    drop(file);
    match incoming.put().await {
        Ok(()) => Ok(Ok(())),
        Err(StoreError::NotOurs(what)) => Ok(Err(what)),
        Err(error) => Err(error.into()),
    }
}

/// A store that does not answer says nothing of what is in it.
fn unusable(error: RepositoryError) -> Result<Result<(), String>, RecoveryError> {
    match error {
        RepositoryError::Damaged { why, .. } => Ok(Err(why.to_owned())),
        RepositoryError::Missing(_) => Ok(Err("its content is gone".to_owned())),
        error => Err(error.into()),
    }
}
