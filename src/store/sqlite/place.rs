//! The database's files on the disk: whether they are the ones that are open, and whether there is space for more.
//!
//! They are looked at by their names. To open one of them, and to close it, would free the locks that SQLite has on it
//! (<https://sqlite.org/howtocorrupt.html>, section 2.2).

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::super::trouble::Trouble;

/// Space that is kept for what has to be recorded, in bytes: a write-ahead log as long as SQLite lets it become (1000 pages
/// of 4 KiB), and the same once more for its pages in the file.
pub const RESERVE: u64 = 8 << 20;

/// How much of the index of the write-ahead log has its space ahead of time, in bytes: that of a log of 128 MiB.
const INDEX_AHEAD: u64 = 256 << 10;

/// Device and inode.
type Identity = (u64, u64);

pub struct Place {
    /// The database, its write-ahead log, and the log's index.
    files: [(PathBuf, Identity); 3],
    /// Open for as long as any connection may be, because of the locks.
    index: File,
}

impl Place {
    /// Of a database that a connection of this process has open with a write-ahead log.
    pub fn of(path: &Path) -> io::Result<Self> {
        // SQLite puts the other two beside the file that a link leads to.
        let file = fs::canonicalize(path)?;
        let (log, index) = (beside(&file, "-wal"), beside(&file, "-shm"));
        let opened = OpenOptions::new().read(true).write(true).open(&index)?;
        let [database, log, index] =
            [path.to_owned(), log, index].map(|file| identity(&file).map(|found| (file, found)));
        let place = Self { files: [database?, log?, index?], index: opened };
        place.back_index()?;
        Ok(place)
    }

    /// Whether one of the files was taken away or replaced: then what is written goes where nobody will find it.
    pub fn misplaced(&self) -> Option<Trouble> {
        self.files.iter().find_map(|(path, opened)| {
            let what = match identity(path) {
                Ok(found) if found == *opened => return None,
                Ok(_) => "was replaced by another file".to_owned(),
                Err(error) if error.kind() == ErrorKind::NotFound => "is gone".to_owned(),
                Err(error) => format!("can't be looked at ({error})"),
            };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Some(Trouble::Misplaced(format!("{name} {what}")))
        })
    }

    pub fn database(&self) -> &Path {
        &self.files[0].0
    }

    /// Whether the database is where it was and nothing is where its log was.
    pub fn has_lost_its_log_only(&self) -> bool {
        let [(database, opened), (log, _), _] = &self.files;
        identity(database).is_ok_and(|found| found == *opened)
            && identity(log).is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }

    /// Whether no more than the reserve is left.
    pub fn is_full(&self) -> bool {
        is_full(self.database())
    }

    /// Has the file system set aside space for the index, as far as it is used and some way on.
    ///
    /// SQLite maps that file into memory. Where it has no space yet, because blocks are smaller than pages or because the
    /// file is sparse, a full disk shows as SIGBUS, which ends the process. SQLite writes one byte into each page of 4 KiB
    /// against that (`unixShmMap` in os_unix.c), which is not enough where blocks are smaller.
    pub fn back_index(&self) -> io::Result<()> {
        let length = self.index.metadata()?.len() + INDEX_AHEAD;
        match rustix::fs::fallocate(&self.index, FallocateFlags::KEEP_SIZE, 0, length) {
            // Then the reserve alone stands against it.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            outcome => Ok(outcome?),
        }
    }
}

/// Whether a copy of `database` fits where `file` is to be, and leaves the reserve.
pub fn has_room_for_copy(database: &Path, file: &Path) -> bool {
    let size = fs::metadata(database).map_or(0, |found| found.len());
    let directory = file.parent().unwrap_or(file);
    rustix::fs::statvfs(directory)
        .map_or(true, |found| found.f_blocks == 0 || found.f_bavail * found.f_frsize >= RESERVE.saturating_add(size))
}

/// Whether no more than the reserve is left where that file or directory is, for those who are not root.
pub fn is_full(path: &Path) -> bool {
    // A file system without a limit, or that knows none, counts no blocks.
    rustix::fs::statvfs(path).is_ok_and(|found| found.f_blocks > 0 && found.f_bavail * found.f_frsize < RESERVE)
}

pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub fn identity(path: &Path) -> io::Result<Identity> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}
