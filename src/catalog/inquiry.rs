//! What a server is asked about what it holds, and how its answer is read: by a command in its container, never over the
//! network.

use std::time::Duration;

use secrecy::SecretString;

use super::access::Access;
use crate::domain::console::{Key, KeyName, KeyNames, KeyScan, KeyValue, Table};
use crate::domain::service::Wish;

/// The most rows of a table and entries of a key that are given.
pub const MAX_ITEMS: usize = 200;

/// The most bytes of rows or of entries that are given.
pub const MAX_BYTES: usize = 1 << 20;

/// A question.
#[derive(Debug)]
pub struct Inquiry {
    /// Runs in the container, and changes nothing that a service holds. It shows nothing of what was asked.
    pub command: Vec<String>,
    pub user: &'static str,
    /// The command's standard input, which nothing shows or keeps.
    pub input: SecretString,
    /// When it is ended, in whole seconds.
    pub limit: Duration,
    /// How many bytes of each output are kept.
    pub kept: usize,
}

/// What the command said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// None where nobody can tell, such as where the container ended first.
    pub exit_code: Option<i64>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Why there is no answer. Both are for whoever asked to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// What was asked can't be answered: sentences.
    Question(String),
    /// The server inside does not answer now: a clause.
    Server(String),
}

/// What an answer comes to.
pub type Outcome<T> = Result<T, Refusal>;

/// Reads tables by statements of SQL, and can change nothing.
#[derive(Clone, Copy)]
pub struct SqlConsole {
    pub ask: fn(&Wish, &Access, statement: &str) -> Inquiry,
    pub read: fn(&Answer, statement: &str) -> Outcome<Table>,
}

/// Lists keys and shows their values, and can change nothing.
#[derive(Clone, Copy)]
pub struct KeyBrowser {
    pub scan: fn(&Access, &KeyScan) -> Inquiry,
    pub read_names: fn(&Answer) -> Outcome<KeyNames>,
    /// Asks about keys, each by its name.
    pub describe: fn(&Access, &[KeyName]) -> Inquiry,
    /// Those of the named that are still there.
    pub read_keys: fn(&Answer, Vec<KeyName>) -> Outcome<Vec<Key>>,
    pub value: fn(&Access, name: &[u8]) -> Inquiry,
    /// None where the key is gone.
    pub read_value: fn(&Answer, name: &[u8]) -> Outcome<Option<KeyValue>>,
}
