//! What takes traces, as OpenTelemetry's collector does: OTLP over HTTP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use prost::Message;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::eventually;

/// A span that was exported. Ids are in hexadecimal; there is no parent where it is empty.
#[derive(Debug, Clone)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    pub began: u64,
    pub ended: u64,
    /// Also those of the process.
    pub attributes: BTreeMap<String, String>,
    /// The traces and spans that it is linked with.
    pub links: Vec<(String, String)>,
    pub failed: bool,
}

impl Span {
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).map(String::as_str)
    }
}

#[derive(Default)]
struct Taken {
    spans: Vec<Span>,
    bodies: Vec<u8>,
    headers: Vec<HeaderMap>,
}

pub struct Collector {
    pub address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
    _serving: AbortOnDropHandle<()>,
}

impl Collector {
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    pub async fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(Mutex::new(Taken::default()));
        let take = {
            let taken = Arc::clone(&taken);
            async move |headers: HeaderMap, body: Bytes| {
                let mut taken = taken.lock().unwrap();
                let Ok(request) = ExportTraceServiceRequest::decode(body.clone()) else {
                    return StatusCode::BAD_REQUEST;
                };
                taken.spans.extend(spans(request));
                taken.bodies.extend(body);
                taken.headers.push(headers);
                StatusCode::OK
            }
        };
        let router = Router::new().route("/v1/traces", post(take));
        let serving = AbortOnDropHandle::new(tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }));
        Self { address, taken, _serving: serving }
    }

    /// For OTEL_EXPORTER_OTLP_ENDPOINT.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every span so far, in the order in which they began.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = self.taken.lock().unwrap_or_else(PoisonError::into_inner).spans.clone();
        spans.sort_by_key(|span| span.began);
        spans
    }

    /// The spans of a trace so far.
    pub fn trace(&self, trace: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.trace == trace).collect()
    }

    /// Waits for a span that `is` so.
    pub async fn until(&self, what: &str, is: impl Fn(&Span) -> bool) -> Span {
        eventually(what, async || self.spans().into_iter().find(|span| is(span))).await
    }

    /// Everything that came, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.taken.lock().unwrap().bodies).into_owned()
    }

    /// The value of a header in every request.
    pub fn header(&self, name: &str) -> Vec<Option<String>> {
        let taken = self.taken.lock().unwrap();
        let value = |headers: &HeaderMap| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        taken.headers.iter().map(value).collect()
    }
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut all = Vec::new();
    for resource in request.resource_spans {
        let process = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            all.push(Span {
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                name: span.name,
                began: span.start_time_unix_nano,
                ended: span.end_time_unix_nano,
                attributes: process.iter().chain(&span.attributes).map(attribute).collect(),
                links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
                failed: span.status.is_some_and(|status| status.code == 2),
            });
        }
    }
    all
}

fn attribute(pair: &KeyValue) -> (String, String) {
    let value = match pair.value.as_ref().and_then(|value| value.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{}: {other:?}", pair.key),
    };
    (pair.key.clone(), value)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
