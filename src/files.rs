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

    /// Removes what drafts of `place` were left by processes that were killed. None must be under way.
    pub fn remove_left(place: &Path) -> io::Result<()> {
        let (Some(directory), Some(name)) = (place.parent(), place.file_name()) else { return Ok(()) };
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let is_left = |found: &[u8]| {
            let rest = found.strip_prefix(name.as_encoded_bytes()).and_then(|rest| rest.strip_prefix(b"."));
            let id = rest.and_then(|rest| rest.strip_suffix(b".new"));
            id.is_some_and(|id| id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit))
        };
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if is_left(entry.file_name().as_encoded_bytes()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Puts the file in its place, on the disk for good, whatever was there.
    pub fn replace(self) -> io::Result<()> {
        File::open(&self.draft)?.sync_all()?;
        fs::rename(&self.draft, &self.place)?;
        self.sync_directory()
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
        self.sync_directory()?;
        Ok(true)
    }

    fn sync_directory(&self) -> io::Result<()> {
        if let Some(directory) = self.place.parent() {
            let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
            File::open(directory)?.sync_all()?;
        }
        Ok(())
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
        let draft = Draft::of(&place);
        fs::write(draft.path(), "three").unwrap();
        draft.replace().unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "three");
    }

    #[test]
    fn what_was_left_of_drafts_of_a_place_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("a");
        for other in ["a", "ab", "a.new", "a.0123.new"] {
            fs::write(directory.path().join(other), "").unwrap();
        }
        let (left, other) = (Draft::of(&place), Draft::of(&directory.path().join("ab")));
        for draft in [&left, &other] {
            fs::write(draft.path(), "").unwrap();
        }
        Draft::remove_left(&place).unwrap();
        assert!(!left.path().exists() && other.path().exists());
        drop(other);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
    }
}
