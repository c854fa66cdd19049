//! The only reader of the environment and the command line. What leaves it is typed and complete.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::{Args, Parser, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::auth::{MIN_SECRET_LENGTH, TokenSettings};
use crate::crypto::Sealer;
use crate::domain::network::{AddressPool, NetworkTemplate};
use crate::domain::permission::{Permission, Projects};
use crate::domain::storage::{Reserve, StorageBackend};
use crate::files::Draft;
use crate::http::Origin;
use crate::telemetry::LogFormat;

mod backups;
pub mod client;
mod limits;
mod nodes;
mod offering;
mod pool;
mod recover;
mod tokens;
mod traces;

pub use backups::{BackupArgs, BackupSettings, backups};
pub use limits::LimitArgs;
pub use nodes::{NodeArgs, NodeSpec, TlsFiles};
pub use offering::OfferingArgs;
pub use pool::PoolArgs;
pub use recover::RecoverArgs;
use tokens::JWT_SECRET;
pub use traces::traces;

/// What can be set by the environment only, so that it is in no process list.
const SECRETS_HELP: &str = "Environment only:
  ENCRYPTION_KEYS        One or more id:base64 entries of 32 bytes; the first seals, all open
What tokens are verified with, one of these:
  JWT_SECRET             Secret of the platform's HS256 tokens, at least 32 bytes
  JWT_PUBLIC_KEY_FILE    PEM file of a public key: RSA, EC on P-256, or Ed25519
  JWKS_URL               Address of a JWK Set: https://…, or http://… on this machine
  JWKS_FILE              File of a JWK Set
And what they must be like:
  JWT_ALGORITHMS         What public keys may be used with: RS256,PS256,ES256,EdDSA, or some of them
  JWT_ISSUER             The issuer that tokens must have, if given
  JWT_AUDIENCE           The audience that tokens must have, if given
  JWT_PROJECTS_CLAIM     The claim that lists the projects; `projects` when left out
  JWT_PERMISSIONS_CLAIM  The claim that lists the permissions; `permissions` when left out
What opens the bucket of BACKUP_STORE, by the variables of its vendor (docs/settings.md lists them):
  AWS_…, GOOGLE_…, AZURE_…
Where traces are exported to, by OpenTelemetry's other variables as well (OTEL_…; docs/observability.md lists them):
  OTEL_EXPORTER_OTLP_ENDPOINT  Address of a collector that takes OTLP over HTTP; no traces when left out";

/// Managed services for a preview platform's projects, over GraphQL.
#[derive(Debug, Parser)]
#[command(version, after_help = SECRETS_HELP)]
pub struct Cli {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct LogArgs {
    /// How log lines look: text or json.
    #[arg(long, env = "LOG_FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,
    /// What is logged, in tracing's notation.
    #[arg(long, env = "LOG_FILTER", default_value = "info", global = true)]
    pub log_filter: String,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves the API and reconciles the services.
    #[command(after_help = SECRETS_HELP)]
    Serve(Box<ServeArgs>),
    /// Brings the database's schema up to date, and ends. `serve` does it by itself.
    Migrate(StoreArgs),
    /// Prints the GraphQL schema.
    Schema,
    /// Prints a signed token, for development and for trying things out.
    Token(TokenArgs),
    /// Seals every service's credentials, and the manifests of backups, anew with the first of ENCRYPTION_KEYS. Can be run
    /// while the server runs, and again after it was broken off.
    RotateKeys(StoreArgs),
    /// Brings an installation back from its backups, on a machine that has nothing else but ENCRYPTION_KEYS.
    Recover(Box<RecoverArgs>),
    /// Those that talk to a server.
    #[command(flatten)]
    Client(Box<client::ClientCommand>),
}

#[derive(Debug, Args)]
pub struct StoreArgs {
    /// Where the development server keeps its database and its keys.
    #[arg(long, env = "DATA_DIR", default_value = "data")]
    pub data_dir: PathBuf,
    /// `sqlite:PATH` or `postgres://…`; a SQLite file in the data directory when left out.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// Certificates that PostgreSQL's is checked against; the system's when left out.
    #[arg(long, env = "DATABASE_CA_FILE")]
    pub database_ca_file: Option<PathBuf>,
    /// Where backups are kept: a directory's path, or `s3://BUCKET/PREFIX`, `gs://…`, `az://…`; `backups` in the data
    /// directory when left out.
    #[arg(long, env = "BACKUP_STORE", hide_env_values = true)]
    pub backup_store: Option<SecretString>,
}

impl StoreArgs {
    /// The database's URL. It may hold a password.
    pub fn url(&self) -> SecretString {
        let embedded = || format!("sqlite:{}", self.data_dir.join("project-services.db").display());
        self.database_url.clone().unwrap_or_else(|| SecretString::from(embedded()))
    }
}

#[derive(Debug, Args)]
pub struct TokenArgs {
    #[arg(long, env = "DATA_DIR", default_value = "data")]
    pub data_dir: PathBuf,
    /// A project that the token is good for, or `*` for all of them; can be given more than once.
    #[arg(long = "project", required = true)]
    pub projects: Vec<Projects>,
    /// `project:settings`, `project:delete` or `platform:nodes`; can be given more than once.
    #[arg(long = "permission")]
    pub permissions: Vec<Permission>,
    /// Whom the token names.
    #[arg(long, default_value = "developer")]
    pub subject: String,
    /// How long it is valid, in seconds.
    #[arg(long, default_value_t = 86_400, value_parser = clap::value_parser!(u32).range(1..))]
    pub ttl: u32,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Development: keys that are not given are generated and kept in the data directory.
    #[arg(long)]
    pub dev: bool,
    /// Address and port to listen on.
    #[arg(long, env = "LISTEN_ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen_address: SocketAddr,
    /// Where Prometheus reads metrics, at /metrics; not at all if left out. Under --dev they are at LISTEN_ADDRESS then.
    #[arg(long, env = "METRICS_ADDRESS")]
    pub metrics_address: Option<SocketAddr>,
    /// Origins of other web pages that may use the API, such as `https://app.example`, separated by commas.
    #[arg(long, env = "ALLOWED_ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<Origin>,
    #[command(flatten)]
    pub store: StoreArgs,
    /// The Docker Engine: `unix://…`, `tcp://…`, `http://…` or `https://…`.
    #[arg(long, env = "DOCKER_HOST", default_value = DOCKER_HOST, value_parser = docker_host)]
    pub docker_host: String,
    #[command(flatten)]
    pub nodes: NodeArgs,
    /// Name of a project's network; `{project}` stands for the project's id.
    #[arg(long, env = "NETWORK_TEMPLATE", default_value = "project-{project}")]
    pub network_template: NetworkTemplate,
    /// Where projects' networks get their subnets from, and how long their prefixes are: `10.200.0.0/16,28`; from the
    /// engine's own pools when left out.
    #[arg(long, env = "NETWORK_POOL")]
    pub network_pool: Option<AddressPool>,
    /// Labels that every container, volume and network bears as well: `key=value`, separated by commas.
    #[arg(long, env = "EXTRA_LABELS", value_delimiter = ',', value_parser = label)]
    pub extra_labels: Vec<(String, String)>,
    /// Host address on which new services' ports are published; not published when left out.
    #[arg(long, env = "PUBLISH_ADDRESS")]
    pub publish_address: Option<IpAddr>,
    /// Host ports to choose from, `first-last`.
    #[arg(long, env = "PUBLISH_PORTS", default_value = "20000-29999", value_parser = port_range)]
    pub publish_ports: RangeInclusive<u16>,
    /// How many services are worked on at once.
    #[arg(long, env = "RECONCILE_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub reconcile_concurrency: u16,
    /// How often every service is compared with the engine, in seconds.
    #[arg(long, env = "RECONCILE_INTERVAL", default_value = "30", value_parser = seconds)]
    pub reconcile_interval: Duration,
    /// How old a thing that nobody wants any more must be before it is removed, in seconds.
    #[arg(long, env = "ORPHAN_GRACE", default_value = "600", value_parser = seconds)]
    pub orphan_grace: Duration,
    /// The part of the engine's disk that services leave free, in percent, 0 to 50: what grows on then takes no more writes.
    #[arg(long, env = "HOST_RESERVE", default_value = "5", value_parser = reserve)]
    pub host_reserve: Reserve,
    /// What keeps a volume from taking more than its size of the engine's disk.
    #[arg(long, env = "STORAGE_BACKEND", default_value = "volume", value_parser = storage_backend)]
    pub storage_backend: StorageBackend,
    /// Where STORAGE_BACKEND=loop puts its files, on the engine's host.
    #[arg(long, env = "STORAGE_DIRECTORY", default_value = "/var/lib/project-services/volumes", value_parser = absolute)]
    pub storage_directory: String,
    /// The image with losetup, mkfs.ext4 and resize2fs by which STORAGE_BACKEND=loop makes them.
    #[arg(long, env = "STORAGE_IMAGE", default_value = "debian:bookworm-slim")]
    pub storage_image: String,
    #[command(flatten)]
    pub offering: OfferingArgs,
    /// How long what a service was before an upgrade is kept to go back to, in seconds.
    #[arg(long, env = "KEEP_REPLACED", default_value = "604800", value_parser = days_in_seconds)]
    pub keep_replaced: Duration,
    #[command(flatten)]
    pub backups: BackupArgs,
    #[command(flatten)]
    pub pool: PoolArgs,
    /// How many events of a project are kept, the newest.
    #[arg(long, env = "EVENTS_PER_PROJECT", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub events_per_project: u32,
    /// How long events are kept, in days.
    #[arg(long, env = "EVENT_RETENTION", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub event_retention: u32,
    /// How long open requests may take after SIGTERM, in seconds.
    #[arg(long, env = "DRAIN_TIMEOUT", default_value = "20", value_parser = seconds)]
    pub drain_timeout: Duration,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// A setting that is missing or wrong, in words for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// The keys that a server needs.
pub struct Keys {
    pub tokens: TokenSettings,
    pub sealer: Sealer,
}

const ENCRYPTION_KEYS: &str = "ENCRYPTION_KEYS";
const ENCRYPTION_KEYS_FILE: &str = "encryption.keys";

/// The keys from the environment; in development, what is missing is generated and kept in `data_dir`.
pub fn keys(data_dir: &Path, dev: bool) -> Result<Keys, ConfigError> {
    let tokens = tokens::verified(data_dir, dev)?;
    let ring = match variable(ENCRYPTION_KEYS)? {
        None if dev => Some(kept(&data_dir.join(ENCRYPTION_KEYS_FILE), generated_ring)?),
        given => given,
    };
    match (tokens, ring) {
        (Some(tokens), Some(ring)) => Ok(Keys { tokens, sealer: parsed_ring(&ring)? }),
        (tokens, ring) => {
            let missing = [(JWT_SECRET, tokens.is_none()), (ENCRYPTION_KEYS, ring.is_none())];
            let missing: Vec<_> = missing.into_iter().filter_map(|(name, missing)| missing.then_some(name)).collect();
            Err(ConfigError(format!(
                "{} must be set: JWT_SECRET is the secret of the platform's HS256 tokens, at least {MIN_SECRET_LENGTH} \
                 bytes, and can be replaced by JWT_PUBLIC_KEY_FILE, JWKS_URL or JWKS_FILE; ENCRYPTION_KEYS is one or \
                 more id:base64 entries of 32 bytes each, of which the first seals. For development, --dev generates \
                 both.",
                missing.join(" and ")
            )))
        }
    }
}

/// The key ring of the environment, or of a development server's data directory.
pub fn key_ring(data_dir: &Path) -> Result<Sealer, ConfigError> {
    let ring = match variable(ENCRYPTION_KEYS)? {
        Some(ring) => ring,
        None => existing(&data_dir.join(ENCRYPTION_KEYS_FILE), ENCRYPTION_KEYS)?,
    };
    parsed_ring(&ring)
}

/// What tokens are signed with: of the environment, or of a development server's data directory.
pub fn token_settings(data_dir: &Path) -> Result<TokenSettings, ConfigError> {
    tokens::signed(data_dir)
}

fn parsed_ring(ring: &SecretString) -> Result<Sealer, ConfigError> {
    ring.expose_secret().parse().map_err(|error| ConfigError(format!("ENCRYPTION_KEYS can't be used: {error}.")))
}

/// A variable's value; None when it is unset or empty.
fn variable(name: &str) -> Result<Option<SecretString>, ConfigError> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(SecretString::from(value))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(ConfigError(format!("{name} is not valid UTF-8."))),
    }
}

fn existing(path: &Path, name: &str) -> Result<SecretString, ConfigError> {
    match read(path) {
        Ok(secret) => Ok(secret),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(ConfigError(format!("{name} must be set; there is no development server's {} either.", path.display())))
        }
        Err(error) => Err(ConfigError(format!("{} can't be read: {error}.", path.display()))),
    }
}

fn read(path: &Path) -> std::io::Result<SecretString> {
    let text = Zeroizing::new(fs::read_to_string(path)?);
    Ok(SecretString::from(text.trim()))
}

/// The content of a secret file; generated, readable by its owner only, if it is not there.
fn kept(path: &Path, generate: fn() -> Result<Zeroizing<String>, ConfigError>) -> Result<SecretString, ConfigError> {
    let failed = |error: std::io::Error| ConfigError(format!("{} can't be kept: {error}.", path.display()));
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    }
    if !path.try_exists().map_err(failed)? {
        let (draft, text) = (Draft::of(path), generate()?);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft.path());
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
        draft.put().map_err(failed)?;
    }
    let secret = read(path).map_err(failed)?;
    if secret.expose_secret().is_empty() {
        let path = path.display();
        return Err(ConfigError(format!(
            "{path} is empty. Put back what was in it; to have another made, remove the file."
        )));
    }
    Ok(secret)
}

fn random() -> Result<Zeroizing<[u8; 32]>, ConfigError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|error| ConfigError(format!("The system's random generator failed: {error}.")))?;
    Ok(bytes)
}

fn generated_secret() -> Result<Zeroizing<String>, ConfigError> {
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(random()?.as_slice())))
}

fn generated_ring() -> Result<Zeroizing<String>, ConfigError> {
    let key = Zeroizing::new(STANDARD.encode(random()?.as_slice()));
    Ok(Zeroizing::new(["dev:", key.as_str()].concat()))
}

/// Where an engine listens unless it is told otherwise; the docker command takes no value at all for it, too.
const DOCKER_HOST: &str = "unix:///var/run/docker.sock";

fn docker_host(text: &str) -> Result<String, String> {
    match text.split_once("://") {
        None if text.is_empty() => Ok(DOCKER_HOST.to_owned()),
        Some(("unix", path)) if path.starts_with('/') => Ok(text.to_owned()),
        Some(("tcp" | "http" | "https", host)) if !host.is_empty() => Ok(text.to_owned()),
        Some(("ssh", _)) => Err("an engine is not reached over ssh; have ssh forward its socket (ssh -NL \
                                 /run/engine.sock:/var/run/docker.sock HOST) and give unix:///run/engine.sock"
            .to_owned()),
        _ => {
            Err("an engine's address is unix:///PATH, tcp://HOST:PORT, http://HOST:PORT or https://HOST:PORT"
                .to_owned())
        }
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is of the form key=value".to_owned()),
    }
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let ends = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    match ends {
        Some((first, last)) if first > 0 && first <= last => Ok(first..=last),
        _ => Err("a range of ports is of the form first-last, such as 20000-29999".to_owned()),
    }
}

fn days_in_seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=31_536_000) => Ok(Duration::from_secs(seconds)),
        _ => Err("a whole number of seconds from 1 to 31536000".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("a whole number of seconds from 1 to 86400".to_owned()),
    }
}

fn storage_backend(text: &str) -> Result<StorageBackend, String> {
    match text {
        "volume" => Ok(StorageBackend::Volume),
        "quota" => Ok(StorageBackend::Quota),
        "loop" => Ok(StorageBackend::Loop),
        _ => Err("`volume`, `quota` or `loop`".to_owned()),
    }
}

/// What bind mounts of the engine take.
fn absolute(text: &str) -> Result<String, String> {
    let plain = |text: &str| text.starts_with('/') && text.len() > 1 && !text.contains([':', '\n', ' ']);
    if plain(text) { Ok(text.to_owned()) } else { Err("an absolute path without a colon or a space".to_owned()) }
}

fn reserve(text: &str) -> Result<Reserve, String> {
    let (whole, parts) = text.split_once('.').unwrap_or((text, "0"));
    let hundredths = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let parts =
        hundredths(parts).filter(|_| parts.len() <= 2).map(|number| number * if parts.len() == 1 { 10 } else { 1 });
    match hundredths(whole).zip(parts) {
        Some((whole @ 0..50, parts)) => Ok(Reserve(whole * 100 + parts)),
        Some((50, 0)) => Ok(Reserve(5000)),
        _ => Err("a percentage from 0 to 50 with at most two decimals".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_reserve_is_a_percentage() {
        for (text, hundredths) in [("5", 500), ("0", 0), ("2.5", 250), ("21.07", 2107), ("50", 5000)] {
            assert_eq!(reserve(text), Ok(Reserve(hundredths)), "{text}");
        }
        for text in ["", "-1", "+5", "50.1", "51", "5.123", "5%", "1.", "a", "1.-1"] {
            assert!(reserve(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_kept_secret_is_made_once_and_readable_by_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/encryption.keys");
        let first = kept(&path, generated_ring).unwrap();
        let second = kept(&path, generated_ring).unwrap();
        assert_eq!(first.expose_secret(), second.expose_secret());
        assert!(parsed_ring(&first).is_ok());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_kept_secret_that_was_emptied_is_not_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("encryption.keys");
        fs::write(&path, "\n").unwrap();
        let error = kept(&path, generated_ring).unwrap_err().to_string();
        assert!(error.contains("encryption.keys is empty"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "\n");
    }

    #[test]
    fn extensions_are_names_and_what_is_none_is_refused_at_the_start() {
        let parsed = |given| Cli::try_parse_from(["project-services", "serve", "--postgres-extensions", given]);
        let Command::Serve(args) = parsed("dblink,uuid-ossp").unwrap().command else { panic!("it serves") };
        assert_eq!(args.offering.postgres_extensions.len(), 2);
        assert!(!args.offering.postgres_superuser);
        let refused = parsed("dblink,x;y").unwrap_err().to_string();
        assert!(refused.contains("x;y") && refused.contains("an extension's name is"), "{refused}");
    }

    #[test]
    fn ranges_are_checked() {
        assert_eq!(port_range("20000-20010"), Ok(20000..=20010));
        for text in ["", "1", "5-1", "0-5", "1-70000", "a-b"] {
            assert!(port_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_engine_that_could_never_be_reached_is_refused_at_the_start() {
        for given in ["unix:///run/docker.sock", "tcp://127.0.0.1:2375", "http://engine:2375", "https://engine:2376"] {
            assert_eq!(docker_host(given).as_deref(), Ok(given));
        }
        assert_eq!(docker_host("").as_deref(), Ok(DOCKER_HOST));
        assert!(docker_host("ssh://root@engine").unwrap_err().contains("ssh -NL"));
        for given in [
            "npipe:////./pipe/docker",
            "fd://",
            "unix://",
            "unix://docker.sock",
            "tcp://",
            "engine:2375",
            "/run/docker.sock",
        ] {
            assert!(docker_host(given).unwrap_err().contains("unix:///PATH"), "{given}");
        }
    }
}
