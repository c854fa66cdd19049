//! Images that containers are made from: by which names they are to be had, and which one a name stood for.

use std::fmt;
use std::str::FromStr;

/// An image that is on an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The engine's own name for it, whatever else it is called.
    pub id: String,
    /// By which a registry has this very image, `NAME@sha256:…`; None where it came from none.
    pub digest: Option<String>,
}

/// A name that an image is to be had by: where it is, and which of those that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// `postgres`, or with a registry `registry.example:5000/team/postgres`.
    pub repository: String,
    /// None: it is for others to say.
    pub which: Option<Which>,
}

/// Which image of a repository is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one that bears it at the time.
    Tag(String),
    /// `sha256:…`: this one for ever.
    Digest(String),
}

impl Image {
    /// Of the names by digests that an engine has for an image, the one in the repository that `name` is of. Any other one names
    /// the same image, and will do.
    pub fn digest_of<'a>(digests: &'a [String], name: &str) -> Option<&'a String> {
        let repository = |name: &str| name.parse().map(|name: ImageName| name.familiar().to_owned()).ok();
        let wanted = repository(name);
        digests.iter().find(|digest| repository(digest) == wanted).or(digests.first())
    }
}

impl ImageName {
    /// The repository as engines show it, which leave the main registry's name out.
    fn familiar(&self) -> &str {
        let name = self.repository.strip_prefix("docker.io/").unwrap_or(&self.repository);
        name.strip_prefix("library/").unwrap_or(name)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            None => f.write_str(&self.repository),
            Some(Which::Tag(tag)) => write!(f, "{}:{tag}", self.repository),
            Some(Which::Digest(digest)) => write!(f, "{}@{digest}", self.repository),
        }
    }
}

/// A text that no image can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an image is called REPOSITORY, REPOSITORY:TAG or REPOSITORY@sha256:DIGEST, such as registry.example:5000/postgres:17"
)]
pub struct NoImageName;

impl FromStr for ImageName {
    type Err = NoImageName;

    /// Of a name with both a tag and a digest, the digest alone says which image it is.
    fn from_str(text: &str) -> Result<Self, NoImageName> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash is that of a registry's port.
        let (repository, tag) = match name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (name, None),
        };
        let fits = is_repository(repository) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest);
        let digest = digest.map(|digest| Which::Digest(digest.to_owned()));
        let which = digest.or(tag.map(|tag| Which::Tag(tag.to_owned())));
        fits.then(|| Self { repository: repository.to_owned(), which }).ok_or(NoImageName)
    }
}

/// The grammar is that of the distribution project's `reference` package, but for what it allows besides.
fn is_repository(text: &str) -> bool {
    let is_part = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        let ends = [part.bytes().next(), part.bytes().next_back()];
        part.bytes().all(fits) && ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
    };
    let is_registry = |part: &str| {
        let (host, port) = part.split_once(':').unwrap_or((part, "0"));
        is_part(&host.to_ascii_lowercase()) && port.parse::<u16>().is_ok()
    };
    match text.split_once('/') {
        Some((first, rest)) => (is_part(first) || is_registry(first)) && rest.split('/').all(is_part),
        None => is_part(text),
    }
}

fn is_tag(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let begins = text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_');
    begins && text.len() <= 128 && text.bytes().all(fits)
}

fn is_digest(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> String {
        format!("sha256:{}", "0a".repeat(32))
    }

    #[test]
    fn a_name_says_where_an_image_is_and_which_one() {
        let digest = digest();
        let which = |text: &str| text.parse::<ImageName>().map(|name| (name.repository, name.which));
        let tag = |tag: &str| Some(Which::Tag(tag.to_owned()));
        for (text, repository, wanted) in [
            ("postgres", "postgres", None),
            ("postgres:17-bookworm", "postgres", tag("17-bookworm")),
            ("registry.example/team/postgres", "registry.example/team/postgres", None),
            ("Registry.example:5000/postgres", "Registry.example:5000/postgres", None),
            ("127.0.0.1:5000/redis:7", "127.0.0.1:5000/redis", tag("7")),
            (&format!("redis@{digest}"), "redis", Some(Which::Digest(digest.clone()))),
            (&format!("a.example:1/redis:7@{digest}"), "a.example:1/redis", Some(Which::Digest(digest.clone()))),
        ] {
            assert_eq!(which(text), Ok((repository.to_owned(), wanted)), "{text}");
        }
        for text in [
            "",
            ":17",
            "Postgres",
            "postgres:",
            "postgres: 17",
            "/postgres",
            "postgres/",
            "a//b",
            "https://registry.example/postgres",
            "redis@sha256:12",
            "redis@latest",
            "a b",
            "-redis",
            "registry.example:port/redis",
        ] {
            assert_eq!(which(text), Err(NoImageName), "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_what_was_read_but_for_a_tag_beside_a_digest() {
        let digest = digest();
        for text in ["postgres", "r.example:5000/postgres:17", &format!("redis@{digest}")] {
            assert_eq!(text.parse::<ImageName>().unwrap().to_string(), text);
        }
        let both = format!("redis:7@{digest}").parse::<ImageName>().unwrap();
        assert_eq!(both.to_string(), format!("redis@{digest}"));
    }

    #[test]
    fn an_image_is_known_by_the_digest_of_where_it_was_asked_for() {
        let digests = [format!("mirror.example/redis@{}", digest()), format!("redis@{}", digest())];
        let of = |name| Image::digest_of(&digests, name);
        assert_eq!(of("docker.io/library/redis:7"), Some(&digests[1]));
        assert_eq!(of("redis"), Some(&digests[1]));
        assert_eq!(of("mirror.example/redis:7"), Some(&digests[0]));
        assert_eq!(of("elsewhere.example/redis:7"), Some(&digests[0]));
        assert_eq!(of("sha256:12"), Some(&digests[0]), "by an id it was not asked for anywhere");
        assert_eq!(Image::digest_of(&[], "redis"), None);
    }
}
