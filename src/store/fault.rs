//! What goes wrong inside a query, before it is known whether the database is to blame. It never leaves the store.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error};

use super::StoreError;

/// How long a call may take, its waits for a connection and for locks included.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub enum Fault {
    /// The query's own decision.
    Refused(StoreError),
    Database(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

/// What kind of failure an error of the database is, as far as the error itself tells.
pub enum Verdict {
    Known(StoreError),
    /// PostgreSQL's codes don't get through diesel: this one may be a mistake of ours or a server that is going away.
    Unclear(Error),
}

impl Fault {
    pub fn verdict(self) -> Verdict {
        let error = match self {
            Self::Refused(error) => return Verdict::Known(error),
            Self::Database(error) => error,
        };
        let Error::DatabaseError(kind, detail) = &error else {
            return Verdict::Known(match error {
                // What diesel says about a connection that was lost earlier.
                Error::BrokenTransactionManager | Error::RollbackErrorOnCommit { .. } => {
                    StoreError::Unavailable(error.into())
                }
                _ => StoreError::Failed(error.into()),
            });
        };
        match kind {
            DatabaseErrorKind::UniqueViolation => {
                // PostgreSQL names the index; SQLite lists the columns at the end of its message.
                let index = detail.constraint_name().unwrap_or(detail.message());
                Verdict::Known(if index.ends_with("idempotency_key") {
                    StoreError::KeyUsed
                } else if index.ends_with("published_port") {
                    StoreError::PortTaken
                } else if index.ends_with("name") {
                    StoreError::NameTaken
                } else if index.ends_with("backups_under_way") || index.ends_with("backups.service_id") {
                    // Somebody else has begun one since.
                    StoreError::Stale
                } else {
                    StoreError::Failed(error.into())
                })
            }
            DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::ReadOnlyTransaction
            | DatabaseErrorKind::SerializationFailure => Verdict::Known(StoreError::Unavailable(error.into())),
            DatabaseErrorKind::Unknown => Verdict::Unclear(error),
            _ => Verdict::Known(StoreError::Failed(error.into())),
        }
    }
}
