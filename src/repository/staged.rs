//! What writings into a directory leave there when the server ends in the middle of them.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::error::{RepositoryError, Result};

/// Removes the files in which object_store gathers what is to become `name` in `root`: `name#1` and so on; and the
/// directories that are empty then.
pub(super) async fn remove(root: PathBuf, name: String) -> Result<()> {
    let removed = tokio::task::spawn_blocking(move || remove_blocking(&root, &root.join(name))).await;
    Ok(removed.map_err(|error| RepositoryError::Unavailable(error.into()))??)
}

fn remove_blocking(root: &Path, file: &Path) -> io::Result<()> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|entry| is_staged(entry, name)) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    // Those with anything else in them stay.
    let inner = directory.ancestors().take_while(|directory| *directory != root);
    let _ = inner.map(fs::remove_dir).take_while(io::Result::is_ok).count();
    Ok(())
}

fn is_staged(entry: &str, name: &str) -> bool {
    let number = entry.strip_prefix(name).and_then(|rest| rest.strip_prefix('#'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_staged_for_a_file_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("demo/db");
        fs::create_dir_all(&inner).unwrap();
        for name in ["a#1", "a#23", "a#", "a#x", "ab#1", "a"] {
            fs::write(inner.join(name), "").unwrap();
        }
        for name in ["demo/db/a", "demo/db/none", "nowhere/a"] {
            remove(directory.path().to_owned(), name.to_owned()).await.unwrap();
        }
        let mut left: Vec<_> =
            fs::read_dir(&inner).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["a", "a#", "a#x", "ab#1"]);
    }

    #[tokio::test]
    async fn directories_that_are_empty_then_go_too() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("demo/db");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("a#1"), "").unwrap();
        remove(directory.path().to_owned(), "demo/db/a".to_owned()).await.unwrap();
        assert!(!directory.path().join("demo").exists() && directory.path().exists());
    }
}
