//! Files that come into being whole: a name is given only to what is complete and on the disk.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file that is being made beside its place; removed when it is dropped.
pub struct Draft {
    draft: PathBuf,
    place: PathBuf,
}

impl Draft {
    /// The file is the caller's to make, at [`path`](Self::path).
    pub fn of(place: &Path) -> Self {
        let mut draft = place.as_os_str().to_owned();
        draft.push(format!(".{}.new", uuid::Uuid::now_v7().simple()));
        Self { draft: draft.into(), place: place.to_owned() }
    }

    pub fn path(&self) -> &Path {
        &self.draft
    }

    /// Puts the file in its place, on the disk for good; false when another one is there already, which is left alone.
    pub fn put(self) -> io::Result<bool> {
        File::open(&self.draft)?.sync_all()?;
        match fs::hard_link(&self.draft, &self.place) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            // Some file systems know no second names.
            Err(_) => fs::rename(&self.draft, &self.place)?,
        }
        if let Some(directory) = self.place.parent() {
            let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
            File::open(directory)?.sync_all()?;
        }
        Ok(true)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It is gone already where it was renamed.
        let _ = fs::remove_file(&self.draft);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_put_in_its_place_once_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("a");
        for (text, first) in [("one", true), ("two", false)] {
            let draft = Draft::of(&place);
            fs::write(draft.path(), text).unwrap();
            assert_eq!(draft.put().unwrap(), first);
        }
        drop(Draft::of(&place));
        assert_eq!(fs::read_to_string(&place).unwrap(), "one");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
