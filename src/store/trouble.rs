//! What is wrong with the database itself, until a person has looked after it, and what that person is told.

use std::mem::discriminant;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long a write proves that the next one would succeed.
const PROVEN: Duration = Duration::from_secs(3);

/// Why the database takes no changes. Display is for operators, and names no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Too little space is left to write in.
    #[error("no space is left for the database")]
    Full,
    /// What is written now is gone once the server ends. Holds which file it is, and what became of it.
    #[error("the database is not in its place any more: {0}")]
    Misplaced(String),
    /// Holds the database's own words.
    #[error("the database is damaged: {0}")]
    Damaged(String),
}

impl Trouble {
    /// What clients read: a clause about the database.
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::Full => "its disk is full",
            Self::Misplaced(_) => "its file was taken away",
            Self::Damaged(_) => "it is damaged",
        }
    }

    pub(super) const fn advice(&self) -> &'static str {
        match self {
            Self::Full => "Nothing that clients ask for is written until there is space. Services run on.",
            Self::Misplaced(_) => {
                "Nothing is written any more, and services run on. Put back the file that was there; or stop the server, \
                 put in its place what was saved beside it, and start the server."
            }
            Self::Damaged(_) => {
                "Nothing is written any more, and services run on. Stop the server, and put back a copy from before, or \
                 what \".recover\" of the sqlite3 program makes of the file."
            }
        }
    }
}

/// What a write is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A client or an operator asks for it: it is refused while there is little space.
    Request,
    /// It records what is the case, such as what happened to a service: for that the last space is kept.
    Record,
    /// The same, of what may be told a little later: it waits for another write to share a commit with.
    Note,
}

impl Purpose {
    /// How long it waits for another one.
    pub fn patience(self) -> Duration {
        match self {
            Self::Request | Self::Record => Duration::ZERO,
            Self::Note => Duration::from_millis(250),
        }
    }
}

/// What is known of a database's trouble. A change of it is logged once, whoever finds it.
pub struct Condition {
    /// What the operator knows it by; without a password.
    database: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    trouble: Option<Trouble>,
    written_at: Option<Instant>,
}

impl Condition {
    pub fn new(database: String) -> Self {
        Self { database, known: Mutex::default() }
    }

    /// Damage is not forgotten for as long as the server runs: that other pages can be read or written proves nothing.
    pub fn damage(&self) -> Option<Trouble> {
        self.known().trouble.clone().filter(|trouble| matches!(trouble, Trouble::Damaged(_)))
    }

    /// Whether something was written a moment ago, so that nothing has to be for the sake of knowing.
    pub fn is_proven(&self) -> bool {
        let known = self.known();
        known.trouble.is_none() && known.written_at.is_some_and(|at| at.elapsed() < PROVEN)
    }

    pub fn note(&self, found: &Trouble) {
        let mut known = self.known();
        known.written_at = None;
        if let Some(trouble) = &known.trouble
            && (matches!(trouble, Trouble::Damaged(_)) || discriminant(trouble) == discriminant(found))
        {
            return;
        }
        tracing::error!(database = %self.database, "{found}. {}", found.advice());
        known.trouble = Some(found.clone());
    }

    /// Something could be written. What could be recorded proves that the database is in its place; that there is space
    /// again is proved by what was asked for.
    pub fn written(&self, purpose: Purpose) {
        let mut known = self.known();
        known.written_at = Some(Instant::now());
        let over = match &known.trouble {
            Some(Trouble::Full) => purpose == Purpose::Request,
            Some(Trouble::Misplaced(_)) => true,
            Some(Trouble::Damaged(_)) | None => false,
        };
        if over {
            tracing::info!(database = %self.database, "The database takes changes again");
            known.trouble = None;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_over_once_a_write_proves_it_and_damage_never_is() {
        let condition = Condition::new("a.db".to_owned());
        let known = || condition.known().trouble.clone();
        condition.note(&Trouble::Full);
        condition.written(Purpose::Record);
        assert_eq!(known(), Some(Trouble::Full));
        assert!(!condition.is_proven());
        condition.written(Purpose::Request);
        assert_eq!(known(), None);
        assert!(condition.is_proven());
        condition.note(&Trouble::Misplaced("a.db is gone".to_owned()));
        assert_eq!(condition.damage(), None);
        condition.written(Purpose::Record);
        assert_eq!(known(), None);
        let damage = Trouble::Damaged("malformed".to_owned());
        condition.note(&Trouble::Full);
        condition.note(&damage);
        condition.note(&Trouble::Full);
        condition.written(Purpose::Request);
        assert_eq!(condition.damage(), Some(damage));
    }
}
