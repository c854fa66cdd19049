//! Who signs tokens: keys, tokens of any shape, and an HTTP server that publishes a key set and can fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use project_services::auth::{
    ClaimName, JwksSettings, Key, KeySource, Location, PUBLIC_ALGORITHMS, Pace, TokenSettings, Verifier,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::harness::in_seconds;

/// A pair of keys in `tests/keys`, and an algorithm for it.
#[derive(Debug, Clone, Copy)]
pub struct Pair(pub &'static str, pub Algorithm);

pub const RSA: Pair = Pair("rsa-a", Algorithm::RS256);
pub const PSS: Pair = Pair("rsa-a", Algorithm::PS256);
pub const OTHER_RSA: Pair = Pair("rsa-b", Algorithm::RS256);
pub const EC: Pair = Pair("p256", Algorithm::ES256);
pub const ED: Pair = Pair("ed25519", Algorithm::EdDSA);

pub fn file(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

impl Pair {
    pub fn public_pem(self) -> String {
        file(&format!("{}.pub", self.0))
    }

    pub fn private(self) -> EncodingKey {
        let pem = file(&format!("{}.pem", self.0));
        match self.1 {
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()).unwrap(),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()).unwrap(),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
        }
    }

    /// The public key as a member of a set, without `alg`, and with a `kid` if that is not empty.
    pub fn jwk(self, kid: &str) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.private(), self.1).unwrap()).unwrap();
        let members = jwk.as_object_mut().unwrap();
        members.remove("alg");
        if !kid.is_empty() {
            members.insert("kid".to_owned(), json!(kid));
        }
        jwk
    }

    /// A good token for `ada`, with a `kid` if that is not empty.
    pub fn token(self, kid: &str) -> String {
        self.sign(kid, &claims())
    }

    pub fn sign(self, kid: &str, claims: &Value) -> String {
        let kid = Some(kid.to_owned()).filter(|kid| !kid.is_empty());
        jsonwebtoken::encode(&Header { kid, ..Header::new(self.1) }, claims, &self.private()).unwrap()
    }

    /// Signs a header and claims as they are written, which need not be JSON.
    pub fn sign_raw(self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.private(), self.1).unwrap();
        format!("{message}.{signature}")
    }
}

pub fn claims() -> Value {
    json!({"sub": "ada", "exp": in_seconds(3600), "projects": ["demo"], "permissions": ["project:settings"]})
}

/// Verifies with one public key.
pub fn with_pem(pem: &str, algorithms: &[Algorithm]) -> Verifier {
    Verifier::new(&TokenSettings::new(KeySource::PublicKey(Key::from_pem(pem, algorithms).unwrap())))
}

/// Short enough to be waited for.
pub const PACE: Pace =
    Pace { period: Duration::from_secs(3600), pause: Duration::from_millis(300), patience: Duration::from_secs(5) };

pub fn with_set(location: Location, pace: Pace) -> TokenSettings {
    let algorithms = PUBLIC_ALGORITHMS.to_vec();
    TokenSettings::new(KeySource::Jwks(JwksSettings { location, algorithms, pace }))
}

pub fn claim(name: &str) -> ClaimName {
    name.parse().unwrap()
}

/// What an issuer answers.
#[derive(Debug, Clone)]
pub enum Answer {
    Body(String),
    Status(StatusCode),
    Redirect(String),
    Never,
}

/// An issuer on a port of its own.
pub struct Issuer {
    pub address: SocketAddr,
    answer: watch::Sender<Answer>,
    asked: Arc<AtomicUsize>,
    _server: AbortOnDropHandle<()>,
}

impl Issuer {
    pub async fn start(keys: &[Value]) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), keys).await
    }

    pub async fn start_at(address: SocketAddr, keys: &[Value]) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, current) = watch::channel(Answer::Body(set(keys)));
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let routes = Router::new().fallback(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            let answer = current.borrow().clone();
            async move { answer.into_response().await }
        });
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, answer, asked, _server: AbortOnDropHandle::new(server) }
    }

    pub fn publish(&self, keys: &[Value]) {
        self.answer(Answer::Body(set(keys)));
    }

    pub fn answer(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }

    /// How many requests came.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    pub fn location(&self) -> Location {
        Location::Address(self.url().parse().unwrap())
    }

    pub fn verifier(&self, pace: Pace) -> Verifier {
        Verifier::new(&with_set(self.location(), pace))
    }
}

impl Answer {
    async fn into_response(self) -> Response {
        match self {
            Self::Body(body) => body.into_response(),
            Self::Status(status) => status.into_response(),
            Self::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
            Self::Never => std::future::pending().await,
        }
    }
}

pub fn set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}
