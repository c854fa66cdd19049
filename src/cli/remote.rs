//! A server, over HTTP: questions with one answer, and streams that go on where they were broken off.

use std::io;
use std::time::Duration;

use async_stream::try_stream;
use bytes::Bytes;
use futures_util::Stream;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::tls;

/// How long a server that went away is waited for between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How many tries in a row may fail before a stream is given up: half a minute.
const TRIES: u32 = 30;

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the server's address must be http://… or https://…")]
    Address,
    #[error("{0}")]
    Usage(String),
    /// The server's own words.
    #[error("{message} ({code})")]
    Refused { code: String, message: String },
    #[error("the server can't be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the server answered {0}, which no such server does; is it the right address?")]
    Unexpected(StatusCode),
    #[error(transparent)]
    Io(#[from] io::Error),
}

pub struct Remote {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    address: Uri,
    token: SecretString,
}

impl Remote {
    pub fn new(server: &str, token: &SecretString) -> Result<Self, ClientError> {
        let address: Uri =
            format!("{}/graphql", server.trim_end_matches('/')).parse().map_err(|_| ClientError::Address)?;
        if !matches!(address.scheme_str(), Some("http" | "https")) {
            return Err(ClientError::Address);
        }
        let connector = tls::connector(tls::system_roots()).map_err(|error| ClientError::Unreachable(error.into()))?;
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, address, token: token.clone() })
    }

    /// The data of an answer; its first error where it has one.
    pub async fn ask(&self, document: &str, variables: Value) -> Result<Value, ClientError> {
        let response = self.send(document, &variables, "application/json").await?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| ClientError::Unreachable(error.into()))?;
        data(serde_json::from_slice(&body.to_bytes()).map_err(|_| ClientError::Unexpected(status))?)
    }

    /// What a subscription's one field gives. A stream that is broken off is taken up again: an event stream after the last
    /// cursor, a log since its last line.
    pub fn follow(
        &self,
        document: &'static str,
        (variable, field): (&'static str, &'static str),
        mut variables: Value,
    ) -> impl Stream<Item = Result<Value, ClientError>> {
        try_stream! {
            let mut failed = 0;
            loop {
                match self.send(document, &variables, "text/event-stream").await {
                    Ok(response) if response.status() == StatusCode::OK => {
                        let mut events = Events::new(response.into_body());
                        while let Some(event) = events.next().await {
                            let Some(answer) = event else { return };
                            failed = 0;
                            let mut data = data(answer)?;
                            let Some(item) = data.as_object_mut().and_then(|fields| fields.values_mut().next()) else {
                                continue;
                            };
                            variables[variable] = item[field].clone();
                            yield item.take();
                        }
                    }
                    Ok(response) => {
                        let status = response.status();
                        let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                        data(serde_json::from_slice(&body).map_err(|_| ClientError::Unexpected(status))?)?;
                    }
                    Err(error) if failed >= TRIES => Err(error)?,
                    Err(_) => {}
                }
                failed += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn send(&self, document: &str, variables: &Value, accept: &str) -> Result<Response<Incoming>, ClientError> {
        let body = json!({"query": document, "variables": variables}).to_string();
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.address.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, accept)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.expose_secret()))
            .body(Full::from(body))
            .map_err(|error| ClientError::Usage(format!("the token can't be sent: {error}")))?;
        self.client.request(request).await.map_err(|error| ClientError::Unreachable(error.into()))
    }
}

/// The data of a GraphQL response; its first error where it has one.
fn data(mut answer: Value) -> Result<Value, ClientError> {
    let Some(error) = answer["errors"].get(0) else { return Ok(answer["data"].take()) };
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    Err(ClientError::Refused { code: text(&error["extensions"]["code"]), message: text(&error["message"]) })
}

/// Server-sent events (graphql-sse, distinct connections mode).
struct Events {
    body: Incoming,
    read: Vec<u8>,
}

impl Events {
    fn new(body: Incoming) -> Self {
        Self { body, read: Vec::new() }
    }

    /// The next response; Some(None) once the server has completed it; None where the stream was broken off.
    async fn next(&mut self) -> Option<Option<Value>> {
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.read.drain(..end + 2).collect();
                let text = String::from_utf8_lossy(&event);
                let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                match field("event:") {
                    Some("complete") => return Some(None),
                    Some("next") => {
                        if let Some(Ok(answer)) = field("data:").map(serde_json::from_str) {
                            return Some(Some(answer));
                        }
                    }
                    _ => {}
                }
                continue;
            }
            let frame = self.body.frame().await?.ok()?;
            if let Some(bytes) = frame.data_ref() {
                self.read.extend_from_slice(bytes);
            }
        }
    }
}
