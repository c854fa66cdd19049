//! What is traced, by OpenTelemetry: from a request through what was done for it, by whichever process, to its end.
//!
//! The names and attributes of spans stand here; who is traced says when. No attribute holds what a client wrote, but for
//! the names of operations and requests, and none holds what a service's container is told. Where no traces are exported,
//! nothing here does anything.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use jiff::Timestamp;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    FutureExt as _, Link, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
    TracerProvider as _, WithContext,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue, Value};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::domain::service::Service;
use crate::domain::trace::TraceParent;

mod export;

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// How long the last spans may take to be exported when the server stops.
const FLUSH: Duration = Duration::from_secs(3);
const OUTCOME: &str = "project_services.reconcile.outcome";
/// Of a look whose row somebody else wrote meanwhile.
pub const OVERTAKEN: &str = "OVERTAKEN";
/// The longest name of an operation that is exported, in characters.
const NAME_LENGTH: usize = 100;

/// The others could be whatever a client makes up.
const METHODS: [&str; 7] = ["GET", "POST", "OPTIONS", "HEAD", "PUT", "PATCH", "DELETE"];

/// How traces are exported.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// What the process calls itself.
    pub service_name: Option<String>,
    /// For one batch to be taken.
    pub patience: Duration,
}

/// Exports traces until it is told to stop.
pub struct Exporting(Option<SdkTracerProvider>);

/// Begins to export traces, for the whole process, if there are settings for it.
pub fn init(settings: Option<&TraceSettings>) -> Result<Exporting, ExporterBuildError> {
    let Some(settings) = settings else { return Ok(Exporting(None)) };
    let provider = export::provider(settings)?;
    let scope = InstrumentationScope::builder("project-services").with_version(env!("CARGO_PKG_VERSION")).build();
    // The first of a process stays.
    let _ = TRACER.set(provider.tracer_with_scope(scope));
    Ok(Exporting(Some(provider)))
}

/// Whether anything is traced.
fn are_exported() -> bool {
    TRACER.get().is_some()
}

impl Exporting {
    /// Exports what is left, for as long as that may take.
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("The last traces could not be exported");
        }
    }
}

/// A part of a trace, which lasts until this is dropped. Nothing where nothing is traced.
pub struct Span(Option<Context>);

impl Span {
    /// What is not traced.
    pub const fn none() -> Self {
        Self(None)
    }

    fn new(parent: &Context, describe: impl FnOnce(&SdkTracer) -> SpanBuilder) -> Self {
        let span = TRACER.get().map(|tracer| tracer.build_with_context(describe(tracer), parent));
        Self(span.map(|span| parent.with_span(span)))
    }

    /// What is done within `work` is part of this.
    pub fn around<F>(&self, work: F) -> WithContext<F> {
        work.with_context(self.0.clone().unwrap_or_else(Context::current))
    }

    /// Where it is to be found.
    pub fn place(&self) -> Option<TraceParent> {
        self.0.as_ref().and_then(place)
    }

    /// What the log names its trace by.
    pub fn trace_id(&self) -> Option<String> {
        let context = self.0.as_ref()?.span().span_context().clone();
        context.is_valid().then(|| context.trace_id().to_string())
    }

    /// For the log's lines that are written within it.
    pub fn log_span(&self) -> tracing::Span {
        match self.trace_id() {
            Some(trace_id) => tracing::info_span!("trace", trace_id),
            None => tracing::Span::none(),
        }
    }

    /// Notes the code of an answer; that of a server's fault makes it a failure.
    pub fn answered(&self, status: u16) {
        self.set("http.response.status_code", i64::from(status));
        if status >= 500 {
            self.failed(&status.to_string());
        }
    }

    /// Notes what the operation turned out to be: `fields` are its root fields in the schema, `name` is the client's.
    pub fn is_operation(&self, kind: &'static str, name: Option<&str>, fields: &BTreeSet<String>) {
        let Some(context) = &self.0 else { return };
        let span = context.span();
        // Many fields make many names.
        match fields.first() {
            Some(field) if fields.len() == 1 => span.update_name(format!("{kind} {field}")),
            _ => span.update_name(kind),
        }
        span.set_attribute(KeyValue::new("graphql.operation.type", kind));
        if let Some(name) = name {
            let name: String = name.chars().take(NAME_LENGTH).collect();
            span.set_attribute(KeyValue::new("graphql.operation.name", name));
        }
    }

    /// Notes that it failed, and with which code.
    pub fn failed(&self, code: &str) {
        if let Some(context) = &self.0 {
            fail(context, code);
        }
    }

    /// Marks a look whose service somebody else wrote of meanwhile. That is no failure; another look follows.
    pub fn overtaken(&self) {
        self.set(OUTCOME, OVERTAKEN);
    }

    fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

/// In the context of a request that goes on with its client's trace.
#[derive(Clone, Copy)]
struct Continued;

/// In the context of a connection that takes operations one after the other: the request that opened it, unless they are
/// to be parts of its trace.
#[derive(Clone)]
struct OpenedBy(Option<SpanContext>);

/// A request to `path`, as part of the trace that its headers name, if they do (W3C's Trace Context).
pub fn request(method: &str, path: &'static str, headers: &HeaderMap, id: &str) -> Span {
    if !are_exported() {
        return Span::none();
    }
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
    let parent = if parent.has_active_span() { parent.with_value(Continued) } else { parent };
    let known = METHODS.iter().find(|known| **known == method);
    Span::new(&parent, |tracer| {
        let name = format!("{} {path}", known.unwrap_or(&"HTTP"));
        tracer.span_builder(name).with_kind(SpanKind::Server).with_attributes([
            KeyValue::new("http.request.method", *known.unwrap_or(&"_OTHER")),
            KeyValue::new("http.route", path),
            KeyValue::new("url.path", path),
            KeyValue::new("url.scheme", "http"),
            KeyValue::new("project_services.request.id", id.to_owned()),
        ])
    })
}

/// Has `work` go on with the trace that is under way here.
pub fn going_on<F>(work: F) -> WithContext<F> {
    work.with_current_context()
}

/// What the operations of a connection are part of.
pub struct Conversation(Context);

/// The request here opens a connection that may stay open for long. If it goes on with its client's trace, so do its
/// operations; else they are traces of their own, linked with it.
pub fn conversation() -> Conversation {
    let current = Context::current();
    Conversation(if current.get::<Continued>().is_some() || !current.has_active_span() {
        current.with_value(OpenedBy(None))
    } else {
        Context::new().with_value(OpenedBy(Some(current.span().span_context().clone())))
    })
}

impl Conversation {
    pub fn around<F>(self, work: F) -> WithContext<F> {
        work.with_context(self.0)
    }
}

/// A GraphQL operation of the request or the connection here. In a conversation it has the log's lines say in which trace.
pub fn operation() -> Span {
    let current = Context::current();
    let conversation = current.get::<OpenedBy>();
    let span = Span::new(&current, |tracer| {
        let builder = tracer.span_builder("GraphQL Operation");
        match conversation {
            Some(OpenedBy(Some(request))) => {
                builder.with_kind(SpanKind::Server).with_links(vec![Link::with_context(request.clone())])
            }
            _ => builder,
        }
    });
    if let (Some(_), Some(trace_id)) = (conversation, span.trace_id()) {
        tracing::Span::current().record("trace_id", trace_id);
    }
    span
}

/// A write to the store.
pub fn write(query: &'static str) -> Span {
    within(|tracer| tracer.span_builder(format!("store {query}")))
}

/// A call to the engine.
pub fn engine_call(call: &'static str) -> Span {
    within(|tracer| tracer.span_builder(format!("engine {call}")).with_kind(SpanKind::Client))
}

/// A step that the reconciler is about to take with a service.
pub struct Step<'a> {
    pub service: &'a Service,
    /// When it was looked at for this.
    pub looked_at: Timestamp,
    pub action: Option<&'static str>,
    pub reason: &'static str,
    /// Nobody asked for it.
    pub unasked: bool,
}

impl Step<'_> {
    /// Part of the trace in which the service was last asked for something; where nobody asked, one of its own, linked
    /// with that one. The look that led to it is in it.
    pub fn begin(&self) -> Span {
        if !are_exported() {
            return Span::none();
        }
        let Self { service, action, reason, unasked, .. } = self;
        let looked_at = SystemTime::try_from(self.looked_at).unwrap_or_else(|_| SystemTime::now());
        let last = service.trace.as_ref().map(remote);
        let (parent, links) = match last {
            Some(last) if *unasked => (Context::new(), vec![Link::with_context(last)]),
            Some(last) => (Context::new().with_remote_span_context(last), Vec::new()),
            None => (Context::new(), Vec::new()),
        };
        let span = Span::new(&parent, |tracer| {
            let name = action.map_or_else(|| "reconcile".into(), |action| format!("reconcile {action}"));
            let mut attributes = vec![
                KeyValue::new("project_services.service.id", service.id.to_string()),
                KeyValue::new("project_services.service.kind", service.wish.kind.as_str()),
                KeyValue::new("project_services.project.id", service.project.to_string()),
                KeyValue::new("project_services.reconcile.reason", *reason),
            ];
            attributes.extend(action.map(|action| KeyValue::new("project_services.reconcile.action", action)));
            attributes.extend(
                service.operation.as_ref().map(|o| KeyValue::new("project_services.operation.kind", o.kind.as_str())),
            );
            tracer.span_builder(name).with_start_time(looked_at).with_attributes(attributes).with_links(links)
        });
        if let Some(context) = &span.0 {
            drop(Span::new(context, |tracer| tracer.span_builder("look").with_start_time(looked_at)));
        }
        span
    }
}

/// Notes what the action of the step here came to: OK, or the code of an error.
pub fn outcome(outcome: &'static str) {
    Context::map_current(|context| {
        context.span().set_attribute(KeyValue::new(OUTCOME, outcome));
        if outcome != "OK" && outcome != OVERTAKEN {
            fail(context, outcome);
        }
    });
}

/// Notes which state the step here has brought the service to.
pub fn state(state: &'static str) {
    Context::map_current(|context| {
        context.span().set_attribute(KeyValue::new("project_services.service.state", state));
    });
}

/// The place of what is being done here.
pub fn here() -> Option<TraceParent> {
    Context::map_current(place)
}

/// A part of what is being done here, if that is traced.
fn within(describe: impl FnOnce(&SdkTracer) -> SpanBuilder) -> Span {
    let current = Context::current();
    if current.has_active_span() { Span::new(&current, describe) } else { Span::none() }
}

fn fail(context: &Context, code: &str) {
    context.span().set_attribute(KeyValue::new("error.type", code.to_owned()));
    context.span().set_status(Status::error(code.to_owned()));
}

fn place(context: &Context) -> Option<TraceParent> {
    let mut fields = HashMap::new();
    TraceContextPropagator::new().inject_context(context, &mut fields);
    fields.get("traceparent")?.parse().ok()
}

fn remote(place: &TraceParent) -> SpanContext {
    let fields = HashMap::from([("traceparent".to_owned(), place.to_string())]);
    TraceContextPropagator::new().extract_with_context(&Context::new(), &fields).span().span_context().clone()
}
