//! Counts, times and traces requests by what they ask for, and never by their text or variables. Open subscriptions are
//! counted by their quota.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use async_graphql::parser::types::OperationType;
use async_graphql::{Response, ServerError, Value};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use crate::api::documents::operation::Asked;
use crate::api::fan_out::Pursuit;
use crate::telemetry::metrics;
use crate::telemetry::traces::{self, Span};

/// What stands for the fields of a document that is not valid: whatever its sender made up.
const INVALID: &str = "invalid";
/// The code of what was answered as it should.
const OK: &str = "OK";

/// One request's.
pub struct Meter {
    started: Instant,
    span: Span,
    /// What was asked for, once the names in it are known to be the schema's.
    asked: OnceLock<Arc<Asked>>,
}

impl Meter {
    pub fn begin() -> Self {
        Self { started: Instant::now(), span: traces::operation(), asked: OnceLock::new() }
    }

    /// Learns what was asked for, the names in which are the schema's.
    pub fn learn(&self, asked: &Arc<Asked>) {
        self.asked.get_or_init(|| {
            let kind = match asked.kind {
                OperationType::Query => "query",
                OperationType::Mutation => "mutation",
                OperationType::Subscription => "subscription",
            };
            self.span.is_operation(kind, asked.name.as_deref(), &asked.fields);
            Arc::clone(asked)
        });
    }

    /// Measures the one answer to a request.
    pub async fn around(&self, execution: impl Future<Output = Response>) -> Response {
        let response = self.span.around(execution).await;
        let code = code(&response);
        self.note(&code);
        self.count(&code);
        response
    }

    /// Measures the answers to a request that may have several. It is counted when they are over, or with a `pursuit` when that
    /// is; of what is executed for all who listen, each of them is counted instead.
    pub fn follow<'s>(
        self: Arc<Self>,
        pursuit: Option<&Pursuit>,
        responses: BoxStream<'s, Response>,
    ) -> BoxStream<'s, Response> {
        let begin = || Mutex::new(Answers { meter: Arc::clone(&self), code: None });
        let answers = match pursuit.map(Pursuit::subscriber) {
            None => Some(Arc::new(begin())),
            Some(Some(subscriber)) => subscriber.counted(begin),
            Some(None) => None,
        };
        let Some(answers) = answers else { return responses };
        let note = move |response: &Response| answers.lock().unwrap_or_else(PoisonError::into_inner).note(response);
        self.span.around(responses).inspect(note).boxed()
    }

    fn note(&self, code: &str) {
        if code != OK {
            self.span.failed(code);
        }
    }

    fn count(&self, code: &str) {
        let Some(asked) = self.asked.get() else {
            return metrics::request(INVALID, code, Some(self.started.elapsed()));
        };
        // How long somebody stays with a subscription is no time to answer.
        let took = (asked.kind != OperationType::Subscription).then(|| self.started.elapsed());
        asked.fields.iter().for_each(|field| metrics::request(field, code, took));
    }
}

struct Answers {
    meter: Arc<Meter>,
    /// None before the first one.
    code: Option<Cow<'static, str>>,
}

impl Answers {
    fn note(&mut self, response: &Response) {
        if self.code.as_ref().is_none_or(|code| code == OK) {
            let code = code(response);
            self.meter.note(&code);
            self.code = Some(code);
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let is_subscription = self.meter.asked.get().is_some_and(|asked| asked.kind == OperationType::Subscription);
        match &self.code {
            Some(code) => self.meter.count(code),
            None if is_subscription => self.meter.count(OK),
            // Nobody waited for the answer.
            None => {}
        }
    }
}

/// OK, or the code of the first error.
fn code(response: &Response) -> Cow<'static, str> {
    let code = |error: &ServerError| error.extensions.as_ref().and_then(|extensions| extensions.get("code")).cloned();
    match response.errors.first().map(code) {
        None => OK.into(),
        Some(Some(Value::String(code))) => code.into(),
        Some(_) => INVALID.into(),
    }
}
