//! An installation brought back on another machine, of which there is nothing but where its backups are and the key ring:
//! first the server's own database, as far as a snapshot of it is kept; then the services that only their backups know of; and
//! then each service whose volume is not there is given a restore, to the last moment that its log brings back, which the next
//! server does.
//!
//! It is done while no server works on the database, in a term of its own, and may be broken off at any point and be done
//! again. It never takes the place of what is there: neither a database nor a volume.

use crate::crypto::CryptoError;
use crate::domain::id::InstallationId;
use crate::engine::EngineError;
use crate::repository::RepositoryError;
use crate::store::StoreError;

mod bring;
mod database;
mod found;
mod import;
mod log;
mod report;
mod term;

pub use bring::{Recovery, bring_back};
pub use database::{Brought, bring_database};
pub use found::{Findings, Installation, find};
pub use report::{Fate, Report};

/// Why nothing is brought back, or why that broke off. Unless said otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("where the backups are can't be read")]
    Repository(#[from] RepositoryError),
    /// What was written until then stays; another try goes on.
    #[error("the database can't be used")]
    Store(#[from] StoreError),
    #[error(
        "what is on the engine can't be told, and a volume that is there must not be made anew; nothing was changed"
    )]
    Engine(#[source] EngineError),
    #[error("there is no backup of any installation; nothing was changed")]
    Nothing,
    #[error("there are backups of the installations {0}: say which by --installation; nothing was changed")]
    Several(String),
    #[error("there is no backup of the installation {0}; nothing was changed")]
    NotThere(InstallationId),
    /// Each by its name, and why it does not open.
    #[error("ENCRYPTION_KEYS does not open {}; nothing was changed. Give the keys that they were made with{}", named(.0), hint(*.1))]
    Keys(Vec<(String, CryptoError)>, bool),
    #[error(
        "no snapshot of the server's database can be used: {0}. Nothing was changed; --skip-unreadable goes on with the services' backups alone"
    )]
    NoSnapshot(String),
    #[error(
        "the database is of the installation {is}, and the backups are of {wanted}; nothing was changed. Give another DATABASE_URL, or move the database away"
    )]
    AnotherInstallation { is: InstallationId, wanted: InstallationId },
    #[error("a server works on this database; end it first")]
    Serving,
    #[error("the key ring seals nothing")]
    Seal(#[from] CryptoError),
}

/// What may be gone on without.
fn hint(skippable: bool) -> &'static str {
    if skippable { "; --skip-unreadable goes on without them" } else { "" }
}

/// The first few, and how many there are besides.
fn named(what: &[(String, CryptoError)]) -> String {
    const SHOWN: usize = 5;
    let mut text: Vec<_> = what.iter().take(SHOWN).map(|(name, why)| format!("{name} ({why})")).collect();
    if what.len() > SHOWN {
        text.push(format!("{} more", what.len() - SHOWN));
    }
    text.join(", ")
}
