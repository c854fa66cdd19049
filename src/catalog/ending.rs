//! What the end of a container's log tells of why the server inside ended, in words that servers of every kind use.

use crate::domain::service::ErrorCode;

/// What the C library calls ENOSPC and EDQUOT (POSIX, `strerror`), which is what servers, their set-up and the shell print.
const NO_SPACE: &[&str] = &["no space left on device", "disk quota exceeded"];

/// A cause that the log tells, with a sentence for people; None where it tells none that is known here. `log` is the last
/// of what a server said that ended by itself: one that goes on may say such things and get over them.
pub fn cause(log: &str) -> Option<(ErrorCode, &'static str)> {
    let log = log.to_lowercase();
    NO_SPACE.iter().any(|text| log.contains(text)).then_some((
        ErrorCode::NoSpace,
        "The server inside ended because there is no disk space left for its data. Make space on the engine's host: it is \
         started again by itself.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_ends() {
        let full = [
            "creating subdirectories ... ok\ninitdb: error: could not write to file \"/var/lib/postgresql/data/pgdata/pg_wal/\
             xlogtemp.21\": No space left on device\ninitdb: removing contents of data directory",
            "FATAL:  could not write lock file \"postmaster.pid\": No space left on device",
            "# Can't open or create append-only dir appendonlydir: No space left on device",
            "touch: cannot touch '/data/x': Disk quota exceeded",
        ];
        for log in full {
            assert_eq!(cause(log).map(|(code, _)| code), Some(ErrorCode::NoSpace), "{log}");
        }
        for log in ["", "FATAL:  could not open file \"global/pg_filenode.map\": Permission denied", "Bad file format"]
        {
            assert_eq!(cause(log), None, "{log}");
        }
    }
}
