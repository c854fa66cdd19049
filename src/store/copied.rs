//! Copies of a whole database in a file.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::domain::id::InstallationId;
use crate::files::Draft;

/// What a copy is called, before its own part.
const NAME: &str = "snapshot";

/// A copy of a database as of one moment, for its owner only. The file is removed when this is dropped.
pub struct Copied {
    draft: Draft,
}

impl Copied {
    /// One that is about to be made in `directory`, where nobody else makes any: what was left there is removed.
    pub(super) fn begin(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let place = directory.join(NAME);
        Draft::remove_left(&place)?;
        Ok(Self { draft: Draft::of(&place) })
    }

    pub fn path(&self) -> &Path {
        self.draft.path()
    }
}

/// A copy of a database whose tables are about to be changed. It is removed when this is dropped.
pub struct CopiedBefore {
    draft: Draft,
    place: PathBuf,
    /// None where the database has not been served yet.
    pub installation: Option<InstallationId>,
}

impl CopiedBefore {
    pub(super) fn begin(place: PathBuf) -> io::Result<Self> {
        Draft::remove_left(&place)?;
        Ok(Self { draft: Draft::of(&place), place, installation: None })
    }

    pub fn path(&self) -> &Path {
        self.draft.path()
    }

    /// Keeps the copy, beside the database, in the place of one from before. Says where.
    pub fn keep(self) -> io::Result<PathBuf> {
        self.draft.replace()?;
        Ok(self.place)
    }
}
