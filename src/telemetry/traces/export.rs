//! The way of spans to a collector: OTLP over HTTP, in batches, from a thread of the SDK's own. A collector that is away
//! costs spans, and nothing else.
//!
//! What OpenTelemetry's variables say beyond [`TraceSettings`] its SDK reads by itself, as its specification has it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tokio::runtime::Handle;
use tokio::time::timeout;
use uuid::Uuid;

use super::TraceSettings;
use crate::tls;

/// The largest answer of a collector that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// What begins spans and exports them, on the current runtime.
pub(super) fn provider(settings: &TraceSettings) -> Result<SdkTracerProvider, ExporterBuildError> {
    let wire = Wire::new(settings.patience).map_err(|error| {
        ExporterBuildError::InternalFailure(format!("the connection to the collector can't be set up: {error}"))
    })?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(wire)
        .with_timeout(settings.patience)
        .build()?;
    let exporter = Outspoken { exporter, lost: AtomicUsize::new(0) };
    let mut resource = Resource::builder_empty()
        .with_service_name("project-services")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", Uuid::now_v7().to_string()))
        .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())]);
    if let Some(name) = &settings.service_name {
        resource = resource.with_service_name(name.clone());
    }
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
}

/// An exporter that tells once when it begins to fail, and once when that is over.
#[derive(Debug)]
struct Outspoken {
    exporter: opentelemetry_otlp::SpanExporter,
    /// Spans, since it last succeeded.
    lost: AtomicUsize,
}

impl SpanExporter for Outspoken {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        match &exported {
            Ok(()) => {
                let lost = self.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::info!(lost, "Traces are exported again");
                }
            }
            Err(error) => {
                if self.lost.fetch_add(spans, Ordering::Relaxed) == 0 {
                    tracing::warn!(%error, "Traces can't be exported, and are lost until they can");
                }
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[derive(Debug)]
struct Wire {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    patience: Duration,
    runtime: Handle,
}

impl Wire {
    fn new(patience: Duration) -> Result<Self, rustls::Error> {
        let connector = tls::connector(tls::system_roots())?;
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, patience, runtime: Handle::current() })
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.request(request.map(Full::new));
        let answer = async {
            let (head, body) = answer.await?.into_parts();
            // What was taken is not sent again for a broken off answer: the status has said it.
            let body = Limited::new(body, MAX_ANSWER).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        let patience = self.patience;
        // The thread that exports is none of the runtime's, and has no timers.
        let answer = self.runtime.spawn(async move { timeout(patience, answer).await? }).await?;
        answer.inspect_err(|error| tracing::debug!(error, "The collector can't be reached"))
    }
}
