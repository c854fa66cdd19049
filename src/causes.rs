//! What an error came of, for logs and operators. Each error's own text tells its own layer only.

use std::error::Error;

/// The errors that caused `error`, the nearest first; itself left out.
pub fn of<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// The error and what caused it in one line, outermost first.
pub fn line(error: &(dyn Error + 'static)) -> String {
    of(error).fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the key can't be read")]
    struct Unreadable(#[source] std::io::Error);

    #[test]
    fn the_outermost_is_told_first() {
        let error = Unreadable(std::io::Error::other("the disk is gone"));
        assert_eq!(line(&error), "the key can't be read: the disk is gone");
        assert_eq!(of(&error).map(ToString::to_string).collect::<Vec<_>>(), ["the disk is gone"]);
    }
}
