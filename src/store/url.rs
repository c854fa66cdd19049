//! Where the database is, as the settings say it. Neither Debug nor Display shows a password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// `sqlite:PATH` or `sqlite://PATH`, or a `postgres://` or `postgresql://` URL as libpq takes it
/// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>) with an sslmode of disable, prefer (the
/// default), require, or verify-full, which is what require means here.
#[derive(Clone)]
pub struct StoreUrl(Target);

#[derive(Clone)]
pub(super) enum Target {
    Sqlite(PathBuf),
    Postgres(Box<Config>),
}

/// Why a text is no database's URL. It never repeats the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStoreUrl {
    #[error("a database's URL begins with \"sqlite:\", \"postgres://\" or \"postgresql://\"")]
    Scheme,
    #[error("\"sqlite:\" is followed by the path of a file, without parameters")]
    Path,
    #[error("not a PostgreSQL URL: a parameter is unknown, or a special character is not percent-encoded")]
    Postgres,
}

impl StoreUrl {
    pub(super) fn target(&self) -> &Target {
        &self.0
    }

    /// The file of a SQLite database.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match &self.0 {
            Target::Sqlite(path) => Some(path),
            Target::Postgres(_) => None,
        }
    }
}

impl FromStr for StoreUrl {
    type Err = InvalidStoreUrl;

    fn from_str(text: &str) -> Result<Self, InvalidStoreUrl> {
        if let Some(rest) = text.strip_prefix("sqlite:") {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            // Others take ":memory:" for a database in memory and parameters behind a question mark; none works here.
            if path.is_empty() || path.ends_with('/') || path.contains([':', '?', '\0']) {
                return Err(InvalidStoreUrl::Path);
            }
            return Ok(Self(Target::Sqlite(path.into())));
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(InvalidStoreUrl::Scheme);
        }
        // Certificates are verified with every mode, so the strictest mode of libpq is no other than "require".
        let text = text.replace("sslmode=verify-full", "sslmode=require");
        let config: Config = text.parse().map_err(|_| InvalidStoreUrl::Postgres)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(InvalidStoreUrl::Postgres);
        }
        Ok(Self(Target::Postgres(Box::new(config))))
    }
}

impl fmt::Display for StoreUrl {
    /// What a person needs to recognise it: file, or hosts and database.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = match &self.0 {
            Target::Sqlite(path) => return write!(f, "sqlite:{}", path.display()),
            Target::Postgres(config) => config,
        };
        f.write_str("postgresql://")?;
        for (index, host) in config.get_hosts().iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}")?,
                Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
            if let Some(port) = config.get_ports().get(index).or(config.get_ports().first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_file_are_the_same_file() {
        for (text, path) in [("sqlite:a.db", "a.db"), ("sqlite://a.db", "a.db"), ("sqlite:///var/a.db", "/var/a.db")] {
            assert_eq!(text.parse::<StoreUrl>().unwrap().sqlite_path(), Some(Path::new(path)), "{text}");
        }
        for text in ["sqlite:", "sqlite://", "sqlite:data/", "sqlite::memory:", "sqlite:a.db?mode=ro", "sqlite:file:a"]
        {
            assert_eq!(text.parse::<StoreUrl>().unwrap_err(), InvalidStoreUrl::Path, "{text}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url: StoreUrl = "postgres://ada:s3cret@db.example:5433/app?sslmode=verify-full".parse().unwrap();
        assert_eq!(format!("{url} {url:?}"), "postgresql://db.example:5433/app postgresql://db.example:5433/app");
        for text in
            ["postgres://ada:s3/cret@db/app", "postgres://ada:p?s3cret@db/app", "postgres://ada:p@s3:cret@db/app"]
        {
            let shown =
                text.parse::<StoreUrl>().map_or_else(|error| format!("{error} {error:?}"), |url| url.to_string());
            assert!(!shown.contains("s3"), "{shown}");
        }
        for text in ["postgres://", "postgres://db:x/app", "postgres://db/app?sslmode=perhaps", "postgres://db/app?a=b"]
        {
            assert_eq!(text.parse::<StoreUrl>().unwrap_err(), InvalidStoreUrl::Postgres, "{text}");
        }
        assert_eq!("mysql://a".parse::<StoreUrl>().unwrap_err(), InvalidStoreUrl::Scheme);
    }
}
