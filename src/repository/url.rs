//! Where a repository is, as the settings say it. It holds no secret, and can't: what opens a store comes beside it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A directory (`/var/backups`, `file:///var/backups`), or a bucket and a prefix in it (`s3://bucket/prefix`, `gs://…`,
/// `az://…`).
#[derive(Clone, PartialEq, Eq)]
pub struct RepositoryUrl(Target);

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Target {
    Directory(PathBuf),
    Bucket { cloud: Cloud, bucket: String, prefix: String },
}

/// Whose protocol a bucket's store speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cloud {
    S3,
    Google,
    Azure,
}

/// Why a text is no repository's URL. It never repeats the text, into which a password may have strayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRepositoryUrl {
    #[error("a repository is the path of a directory, or begins with \"file://\", \"s3://\", \"gs://\" or \"az://\"")]
    Scheme,
    #[error("\"file://\" is followed by an absolute path, and a path is not empty")]
    Path,
    #[error("a bucket's name is letters, digits, '.', '_' and '-'; keys and endpoints are variables of their own")]
    Bucket,
    #[error("the prefix in a bucket is names of letters, digits, '.', '_', '=' and '-', with '/' between them")]
    Prefix,
}

impl RepositoryUrl {
    pub fn directory(path: PathBuf) -> Self {
        Self(Target::Directory(path))
    }

    /// The directory, where it is one.
    pub fn as_directory(&self) -> Option<&Path> {
        match &self.0 {
            Target::Directory(path) => Some(path),
            Target::Bucket { .. } => None,
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.0
    }
}

impl Cloud {
    const fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

impl FromStr for RepositoryUrl {
    type Err = InvalidRepositoryUrl;

    fn from_str(text: &str) -> Result<Self, InvalidRepositoryUrl> {
        let (cloud, rest) = match text.split_once("://") {
            None if text.is_empty() || text.contains('\0') => return Err(InvalidRepositoryUrl::Path),
            None => return Ok(Self::directory(text.into())),
            Some(("file", path)) if path.starts_with('/') && !path.contains('\0') => {
                return Ok(Self::directory(path.into()));
            }
            Some(("file", _)) => return Err(InvalidRepositoryUrl::Path),
            Some(("s3", rest)) => (Cloud::S3, rest),
            Some(("gs", rest)) => (Cloud::Google, rest),
            Some(("az", rest)) => (Cloud::Azure, rest),
            Some(_) => return Err(InvalidRepositoryUrl::Scheme),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if bucket.is_empty() || !bucket.bytes().all(plain) {
            return Err(InvalidRepositoryUrl::Bucket);
        }
        let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.bytes().all(|b| plain(b) || b == b'=');
        if !prefix.is_empty() && !prefix.split('/').all(is_name) {
            return Err(InvalidRepositoryUrl::Prefix);
        }
        Ok(Self(Target::Bucket { cloud, bucket: bucket.to_owned(), prefix: prefix.to_owned() }))
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Directory(path) => write!(f, "{}", path.display()),
            Target::Bucket { cloud, bucket, prefix } if prefix.is_empty() => write!(f, "{}://{bucket}", cloud.scheme()),
            Target::Bucket { cloud, bucket, prefix } => write!(f, "{}://{bucket}/{prefix}", cloud.scheme()),
        }
    }
}

impl fmt::Debug for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_directory_with_and_without_a_scheme() {
        for (text, path) in [("/var/b", "/var/b"), ("file:///var/b", "/var/b"), ("data/backups", "data/backups")] {
            assert_eq!(text.parse::<RepositoryUrl>().unwrap().as_directory(), Some(Path::new(path)), "{text}");
        }
    }

    #[test]
    fn a_bucket_is_shown_as_it_was_given() {
        for text in ["s3://bucket", "s3://bucket/a/b=1", "gs://my_bucket/x", "az://container/x"] {
            assert_eq!(text.parse::<RepositoryUrl>().unwrap().to_string(), text);
        }
        assert_eq!("s3://bucket/a/".parse::<RepositoryUrl>().unwrap().to_string(), "s3://bucket/a");
    }

    #[test]
    fn what_is_no_repository_is_refused_with_what_is_wrong() {
        for (text, error) in [
            ("", InvalidRepositoryUrl::Path),
            ("file://var", InvalidRepositoryUrl::Path),
            ("ftp://host/x", InvalidRepositoryUrl::Scheme),
            ("https://bucket.s3.amazonaws.com", InvalidRepositoryUrl::Scheme),
            ("s3://", InvalidRepositoryUrl::Bucket),
            ("s3://key:secret@bucket/x", InvalidRepositoryUrl::Bucket),
            ("s3://bucket/a/../b", InvalidRepositoryUrl::Prefix),
            ("s3://bucket//a", InvalidRepositoryUrl::Prefix),
            ("s3://bucket/a?x=1", InvalidRepositoryUrl::Prefix),
        ] {
            assert_eq!(text.parse::<RepositoryUrl>(), Err(error), "{text}");
        }
    }
}
