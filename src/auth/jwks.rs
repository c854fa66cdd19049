//! The keys that an issuer publishes as a JWK Set (RFC 7517), at an address or in a file.
//!
//! One task reads them, at its own pace: a token that names an unknown key can only ask it to read earlier, and no token
//! that names a known one waits for it. What was read is kept while it can't be read again.

use std::error::Error;
use std::fmt;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::Algorithm;
use rustls::RootCertStore;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::AuthError;
use super::key::Key;
use crate::{causes, tls};

type BoxError = Box<dyn Error + Send + Sync>;

/// The largest document, in bytes.
const MAX_DOCUMENT: usize = 256 << 10;

/// A published set of keys, and how it is used.
#[derive(Debug, Clone)]
pub struct JwksSettings {
    pub location: Location,
    /// What its keys may be used with, as far as they fit.
    pub algorithms: Vec<Algorithm>,
    pub pace: Pace,
}

/// Where a set is published.
#[derive(Debug, Clone)]
pub enum Location {
    Address(JwksUrl),
    File(PathBuf),
}

/// When a set is read.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From one reading to the next: so long is a key good after its issuer withdrew it.
    pub period: Duration,
    /// The least from one reading to the next, whatever keys tokens name.
    pub pause: Duration,
    /// For one reading.
    pub patience: Duration,
}

impl Location {
    pub fn pace(&self) -> Pace {
        let (period, pause) = match self {
            Self::Address(_) => (Duration::from_secs(15 * 60), Duration::from_secs(30)),
            Self::File(_) => (Duration::from_secs(5), Duration::from_secs(1)),
        };
        Pace { period, pause, patience: Duration::from_secs(5) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What follows the path could be meant for the issuer only.
            Self::Address(JwksUrl(url)) => {
                let authority = url.authority().map_or("", |authority| authority.as_str());
                write!(f, "{}://{authority}{}", url.scheme_str().unwrap_or_default(), url.path())
            }
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// An address that nobody between can put other keys into: `https://…`, or `http://…` on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksUrl(Uri);

#[derive(Debug, thiserror::Error)]
#[error("it has to be https://… without user and password; http://… is for loopback addresses only")]
pub struct JwksUrlError;

impl FromStr for JwksUrl {
    type Err = JwksUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url: Uri = text.parse().map_err(|_| JwksUrlError)?;
        let authority = url.authority().ok_or(JwksUrlError)?;
        let host = authority.host();
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let is_loopback = host == "localhost" || literal.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        match url.scheme_str() {
            _ if host.is_empty() || authority.as_str().contains('@') => Err(JwksUrlError),
            Some("https") => Ok(Self(url)),
            Some("http") if is_loopback => Ok(Self(url)),
            _ => Err(JwksUrlError),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct State {
    /// None until they were read for the first time.
    keys: Option<Arc<[Key]>>,
    /// When the last attempt to read them ended.
    ended: Option<Instant>,
}

/// The keys of a set, as they were last read.
pub(super) struct KeySet {
    pause: Duration,
    state: watch::Receiver<State>,
    wanted: Arc<Notify>,
    _reader: AbortOnDropHandle<()>,
}

impl KeySet {
    /// Begins to read, on the current runtime.
    pub fn start(settings: &JwksSettings) -> Self {
        let (sender, state) = watch::channel(State::default());
        let wanted = Arc::new(Notify::new());
        let reader = Reader { settings: settings.clone(), state: sender, wanted: Arc::clone(&wanted) };
        let reader = AbortOnDropHandle::new(tokio::spawn(reader.run()));
        Self { pause: settings.pace.pause, state, wanted, _reader: reader }
    }

    /// Whether there is a key to verify anything with.
    pub fn is_ready(&self) -> bool {
        self.state.borrow().keys.as_ref().is_some_and(|keys| !keys.is_empty())
    }

    /// The only key that fits a token with this `kid` and `alg`.
    pub async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Key, AuthError> {
        if !self.state.borrow().knows(id) {
            self.read_again().await;
        }
        let state = self.state.borrow();
        let keys = state.keys.as_ref().ok_or(AuthError::NoKeys)?;
        let mut fitting = keys.iter().filter(|key| key.fits(id, algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key.clone()),
            _ if state.knows(id) => Err(AuthError::Invalid),
            _ => Err(AuthError::UnknownKey),
        }
    }

    /// Has the set read, and waits for that if it may be read now; else it will be as soon as it may.
    async fn read_again(&self) {
        let mut state = self.state.clone();
        let is_due = state.borrow_and_update().ended.is_none_or(|ended| ended.elapsed() >= self.pause);
        self.wanted.notify_one();
        if is_due {
            // An error says that nobody reads any more, which leaves things as they are.
            let _ = state.changed().await;
        }
    }
}

impl State {
    /// Whether reading again could tell nothing new about `id`.
    fn knows(&self, id: Option<&str>) -> bool {
        self.keys.as_ref().is_some_and(|keys| id.is_none() || keys.iter().any(|key| key.id.as_deref() == id))
    }
}

struct Reader {
    settings: JwksSettings,
    state: watch::Sender<State>,
    wanted: Arc<Notify>,
}

impl Reader {
    async fn run(self) {
        let Pace { period, pause, patience } = self.settings.pace;
        let retries = ExponentialBuilder::default()
            .with_min_delay(Duration::from_secs(1).min(pause))
            .with_max_delay(pause)
            .without_max_times();
        let mut retry = retries.build();
        loop {
            let read = timeout(patience, self.read()).await.unwrap_or_else(|_| Err("it took too long".into()));
            let ended = Instant::now();
            let rest = match read {
                Ok(keys) => {
                    retry = retries.build();
                    self.state.send_replace(State { keys: Some(keys), ended: Some(ended) });
                    period
                }
                Err(error) => {
                    self.state.send_modify(|state| state.ended = Some(ended));
                    let (location, kept) = (&self.settings.location, self.state.borrow().keys.is_some());
                    let error = causes::line(&*error);
                    tracing::warn!(%location, error, kept, "The keys of tokens can't be read");
                    retry.next().unwrap_or(pause)
                }
            };
            let wanted = async {
                self.wanted.notified().await;
                sleep_until(ended + pause).await;
            };
            tokio::select! {
                () = sleep_until(ended + rest) => {}
                () = wanted => {}
            }
        }
    }

    async fn read(&self) -> Result<Arc<[Key]>, BoxError> {
        let document = match &self.settings.location {
            Location::Address(JwksUrl(url)) => fetch(url).await?,
            Location::File(path) => {
                let path = path.clone();
                let read = move || {
                    let mut document = Vec::new();
                    std::fs::File::open(path)?.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut document)?;
                    Ok::<_, std::io::Error>(document)
                };
                tokio::task::spawn_blocking(read).await??.into()
            }
        };
        if document.len() > MAX_DOCUMENT {
            return Err(format!("it is larger than {MAX_DOCUMENT} bytes").into());
        }
        let keys = self.keys(&document)?;
        if keys.is_empty() {
            tracing::warn!(location = %self.settings.location, "No key of the set can be used");
        }
        let ids = |keys: &[Key]| keys.iter().map(|key| key.id.clone()).collect::<Vec<_>>();
        if self.state.borrow().keys.as_deref().is_none_or(|before| ids(before) != ids(&keys)) {
            let (location, ids) = (&self.settings.location, ids(&keys));
            tracing::info!(%location, ?ids, "The keys of tokens were read");
        }
        Ok(keys.into())
    }

    /// The keys of a document that can be used; others are left aside (RFC 7517, section 5).
    fn keys(&self, document: &[u8]) -> Result<Vec<Key>, BoxError> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(document)?;
        let mut keys = Vec::new();
        for jwk in &document.keys {
            match Key::from_jwk(jwk, &self.settings.algorithms) {
                Ok(key) => keys.push(key),
                Err(error) => tracing::debug!(id = ?jwk.get("kid"), %error, "A key of the set is left aside"),
            }
        }
        Ok(keys)
    }
}

/// Reads what is at an address, and at no other that it may point to.
async fn fetch(url: &Uri) -> Result<Bytes, BoxError> {
    let roots = if url.scheme_str() == Some("https") { tls::system_roots() } else { RootCertStore::empty() };
    let connector = tls::connector(roots)?;
    let request = Request::get(url)
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .header(header::USER_AGENT, "project-services")
        .body(Empty::<Bytes>::new())?;
    let response = Client::builder(TokioExecutor::new()).build(connector).request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is {}", response.status()).into());
    }
    Ok(Limited::new(response.into_body(), MAX_DOCUMENT).collect().await?.to_bytes())
}
