//! Why a repository did not do what it was asked for, by what can be done about it.

use std::error::Error;
use std::io::{self, ErrorKind};

use crate::crypto::CryptoError;

pub type BoxError = Box<dyn Error + Send + Sync>;
pub type Result<T, E = RepositoryError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// It may pass by itself.
    #[error("the repository does not answer, or not in time")]
    Unavailable(#[source] BoxError),
    #[error("the repository has no space left")]
    Full(#[source] BoxError),
    /// Trying again changes nothing: an operator has to act.
    #[error("the repository refuses what is asked of it")]
    Refused(#[source] BoxError),
    #[error("{0} is not in the repository")]
    Missing(String),
    #[error("{object} is damaged: {why}")]
    Damaged { object: String, why: &'static str },
    #[error("the key ring does not open the backup's manifest")]
    Key(#[source] CryptoError),
    /// What was to be written could not be read to its end.
    #[error("the content can't be read")]
    Content(#[source] io::Error),
}

/// What stores answer with where the bucket itself is not there, in S3 and Google's, and in Azure's words.
const NO_BUCKET: &[&str] = &["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"];
/// What stores answer with where a quota or a disk is full, besides the status 507.
const FULL: &[&str] = &["QuotaExceeded", "StorageFull"];
/// What stores answer with to keys that they do not know; some with the status 400.
const WRONG_KEYS: &[&str] = &["InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed"];

impl From<object_store::Error> for RepositoryError {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error as Store;
        let text = line(&error);
        let told = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if told(FULL) {
            return Self::Full(error.into());
        }
        if told(NO_BUCKET) || told(WRONG_KEYS) {
            return Self::Refused(error.into());
        }
        match error {
            Store::NotFound { path, .. } => Self::Missing(path),
            Store::PermissionDenied { .. }
            | Store::Unauthenticated { .. }
            | Store::InvalidPath { .. }
            | Store::NotSupported { .. }
            | Store::NotImplemented { .. }
            | Store::UnknownConfigurationKey { .. } => Self::Refused(error.into()),
            error => match io_kind(&error) {
                Some(kind) => Self::of_kind(kind, error.into()),
                None => Self::of_status(status(&text), error.into()),
            },
        }
    }
}

impl From<io::Error> for RepositoryError {
    fn from(error: io::Error) -> Self {
        Self::of_kind(error.kind(), error.into())
    }
}

impl RepositoryError {
    fn of_kind(kind: ErrorKind, error: BoxError) -> Self {
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full(error),
            ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::AlreadyExists
            | ErrorKind::InvalidFilename => Self::Refused(error),
            _ => Self::Unavailable(error),
        }
    }

    /// A status that is none stands for no answer; 408 and 429 ask for another try.
    fn of_status(status: Option<u16>, error: BoxError) -> Self {
        match status {
            Some(507) => Self::Full(error),
            Some(408 | 409 | 429) => Self::Unavailable(error),
            Some(300..=499) => Self::Refused(error),
            _ => Self::Unavailable(error),
        }
    }
}

/// The error and what caused it, in one line.
fn line(error: &(dyn Error + 'static)) -> String {
    chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    chain(error).find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// The status that a store answered with, where that is what went wrong.
pub(super) fn status_of(error: &object_store::Error) -> Option<u16> {
    status(&line(error))
}

/// The status that a store answered with. object_store tells it in words only.
fn status(text: &str) -> Option<u16> {
    if text.contains("Received redirect without LOCATION") {
        return Some(301);
    }
    let (_, after) = text.split_once("Server returned non-2xx status code: ")?;
    after.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_file_system_says_whether_it_may_pass() {
        for (kind, expected) in [
            (ErrorKind::StorageFull, "no space left"),
            (ErrorKind::QuotaExceeded, "no space left"),
            (ErrorKind::PermissionDenied, "refuses"),
            (ErrorKind::ReadOnlyFilesystem, "refuses"),
            (ErrorKind::TimedOut, "does not answer"),
        ] {
            let wrapped =
                object_store::Error::Generic { store: "LocalFileSystem", source: io::Error::from(kind).into() };
            for error in [RepositoryError::from(wrapped), io::Error::from(kind).into()] {
                assert!(error.to_string().contains(expected), "{kind}: {error}");
            }
        }
    }
}
