//! Where a database is begun, and where it is not: only where there is no file at all. A file that lost its content is
//! never taken for a new one.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

use super::place::beside;
use super::{Result, StoreError, migrate};
use crate::clock;
use crate::files::Draft;

/// In the names of what was saved, before the second of its time.
const SAVED: &str = ".saved-";

/// Begins a database where there is none. Its owner only can read it; the write-ahead log takes over its mode.
pub fn ensure(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() == 0 => Err(StoreError::NotOurs(format!(
            "{} is empty. If a database was there, put back a copy of it; to begin a new installation, remove the file",
            path.display()
        ))),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => begin(path),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// Where the content of a database is saved that was taken away while it was open.
pub fn saved_now(path: &Path) -> PathBuf {
    beside(path, &format!("{SAVED}{}", clock::now().as_second()))
}

/// The newest of those.
fn saved(path: &Path) -> Option<PathBuf> {
    let mut prefix = path.file_name()?.to_owned();
    prefix.push(SAVED);
    let found = fs::read_dir(path.parent()?).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_saved = |found: &PathBuf| {
        let name = found.file_name().unwrap_or_default().as_encoded_bytes();
        name.strip_prefix(prefix.as_encoded_bytes()).is_some_and(|rest| rest.iter().all(u8::is_ascii_digit))
    };
    found.filter(is_saved).max()
}

/// Has nothing in the way of a database in a place where there is none, and makes its directory.
pub fn make_way(path: &Path) -> Result<()> {
    for left in ["-wal", "-journal"].map(|suffix| beside(path, suffix)) {
        if left.exists() {
            return Err(StoreError::NotOurs(format!(
                "{} is gone, but {} is still there. Put back the database, or a copy of it without that file; to begin a \
                 new installation, remove that file",
                path.display(),
                left.display()
            )));
        }
    }
    if let Some(saved) = saved(path) {
        return Err(StoreError::NotOurs(format!(
            "{} is gone, but {} has what was in it when it was taken away. Put that in its place; to begin a new \
             installation, remove it",
            path.display(),
            saved.display()
        )));
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(|error| unusable(path, &error))?;
    }
    Ok(())
}

fn begin(path: &Path) -> Result<()> {
    make_way(path)?;
    let draft = Draft::of(path);
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft.path());
    made.map_err(|error| unusable(path, &error))?;
    fill(draft.path())?;
    // Where somebody else was first, theirs is the database.
    draft.put().map(drop).map_err(|error| unusable(path, &error))
}

/// Makes the tables. Nothing of it has to be kept if it is interrupted.
fn fill(draft: &Path) -> Result<()> {
    let unavailable = |error: super::BoxError| StoreError::Unavailable(error);
    let path = draft.to_str().ok_or_else(|| StoreError::Failed("the path is not UTF-8".into()))?;
    let mut connection = SqliteConnection::establish(path).map_err(|error| unavailable(error.into()))?;
    let settings = "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;";
    connection.batch_execute(settings).map_err(|error| unavailable(error.into()))?;
    migrate(&mut connection)
}

fn unusable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("{} can't be opened: {error}", path.display()).into())
}
