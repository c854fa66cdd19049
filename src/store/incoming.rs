//! A copy of a database that is brought into the place of none.

use std::path::{Path, PathBuf};

use super::{Result, StoreError, StoreUrl, sqlite, url};
use crate::files::Draft;

/// A database's file that is about to be put in its place. It is removed when this is dropped.
pub struct Incoming {
    draft: Draft,
    place: PathBuf,
}

impl Incoming {
    /// None where a database is in that place already, or where it is a server's.
    ///
    /// # Errors
    /// `NotOurs` where something is left there of a database that is gone.
    pub fn begin(url: &StoreUrl) -> Result<Option<Self>> {
        let url::Target::Sqlite(path) = url.target() else { return Ok(None) };
        let failed = |error: std::io::Error| StoreError::Unavailable(error.into());
        let place = std::path::absolute(path).map_err(failed)?;
        if place.try_exists().map_err(failed)? {
            return Ok(None);
        }
        sqlite::make_way(&place)?;
        Draft::remove_left(&place).map_err(failed)?;
        Ok(Some(Self { draft: Draft::of(&place), place }))
    }

    /// Where the file is the caller's to make, for its owner only.
    pub fn path(&self) -> &Path {
        self.draft.path()
    }

    /// Puts the file in its place once all of it was read.
    ///
    /// # Errors
    /// `NotOurs`, with what is wrong with it, where it is damaged or no installation; `Unavailable` where another database is
    /// in its place by now.
    pub async fn put(self) -> Result<()> {
        let put = tokio::task::spawn_blocking(move || {
            sqlite::check(self.draft.path())?;
            match self.draft.put() {
                Ok(true) => Ok(()),
                Ok(false) => Err(StoreError::Unavailable(format!("{} is there by now", self.place.display()).into())),
                Err(error) => Err(StoreError::Unavailable(error.into())),
            }
        });
        put.await.map_err(|error| StoreError::Failed(error.into()))?
    }
}
