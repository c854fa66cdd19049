//! Counts, times and traces requests by what they ask for, and never by their text or variables. Open subscriptions are
//! counted by their quota.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextParseQuery, NextPrepareRequest, NextRequest, NextSubscribe,
    NextValidation,
};
use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{Request, Response, ServerError, ServerResult, ValidationResult, Value, Variables};
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use crate::api::documents::operation::{self, Asked};
use crate::telemetry::metrics;
use crate::telemetry::traces::{self, Span};

/// What stands for the fields of a document that is not valid: whatever its sender made up.
const INVALID: &str = "invalid";
/// The code of what was answered as it should.
const OK: &str = "OK";

pub struct Meter;

impl ExtensionFactory for Meter {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Metered::default())
    }
}

/// One request's.
#[derive(Default)]
struct Metered {
    /// The name of the operation that the client chose.
    chosen: OnceLock<Option<String>>,
    parsed: OnceLock<Asked>,
    seen: Arc<Seen>,
}

/// What was asked for, once the names in it are known to be the schema's.
#[derive(Default)]
struct Seen {
    asked: OnceLock<Asked>,
    span: OnceLock<Arc<Span>>,
}

#[async_trait]
impl Extension for Metered {
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        let started = Instant::now();
        let response = self.seen.begin().around(next.run(ctx)).await;
        let code = code(&response);
        self.seen.note(&code);
        self.seen.count(&code, started);
        response
    }

    fn subscribe<'s>(
        &self,
        ctx: &ExtensionContext<'_>,
        stream: BoxStream<'s, Response>,
        next: NextSubscribe<'_>,
    ) -> BoxStream<'s, Response> {
        let mut answers = Answers { seen: Arc::clone(&self.seen), started: Instant::now(), code: None };
        self.seen.begin().around(next.run(ctx, stream)).inspect(move |response| answers.note(response)).boxed()
    }

    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let _ = self.chosen.set(request.operation_name.clone());
        next.run(ctx, request).await
    }

    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let document = next.run(ctx, query, variables).await?;
        let chosen = self.chosen.get().and_then(|name| name.as_deref());
        if let Some(asked) = operation::asked(&document, chosen) {
            let _ = self.parsed.set(asked);
        }
        Ok(document)
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let result = next.run(ctx).await?;
        if let Some(parsed) = self.parsed.get() {
            let Asked { kind, name, fields } = self.seen.asked.get_or_init(|| parsed.clone());
            let kind = match kind {
                OperationType::Query => "query",
                OperationType::Mutation => "mutation",
                OperationType::Subscription => "subscription",
            };
            self.seen.begin().is_operation(kind, name.as_deref(), fields);
        }
        Ok(result)
    }
}

impl Seen {
    fn begin(&self) -> Arc<Span> {
        Arc::clone(self.span.get_or_init(|| Arc::new(traces::operation())))
    }

    fn note(&self, code: &str) {
        if code != OK {
            self.begin().failed(code);
        }
    }

    fn count(&self, code: &str, started: Instant) {
        let Some(Asked { kind, fields, .. }) = self.asked.get() else {
            return metrics::request(INVALID, code, Some(started.elapsed()));
        };
        // How long somebody stays with a subscription is no time to answer.
        let took = (*kind != OperationType::Subscription).then(|| started.elapsed());
        fields.iter().for_each(|field| metrics::request(field, code, took));
    }
}

/// The answers to a request that may have several. It is counted when they are over.
struct Answers {
    seen: Arc<Seen>,
    started: Instant,
    /// None before the first one.
    code: Option<String>,
}

impl Answers {
    fn note(&mut self, response: &Response) {
        if self.code.as_ref().is_none_or(|code| code == OK) {
            let code = code(response);
            self.seen.note(&code);
            self.code = Some(code);
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let is_subscription = matches!(self.seen.asked.get(), Some(Asked { kind: OperationType::Subscription, .. }));
        match &self.code {
            Some(code) => self.seen.count(code, self.started),
            None if is_subscription => self.seen.count(OK, self.started),
            // Nobody waited for the answer.
            None => {}
        }
    }
}

/// OK, or the code of the first error.
fn code(response: &Response) -> String {
    let extensions = response.errors.first().map(|error| error.extensions.as_ref());
    match extensions {
        None => OK.to_owned(),
        Some(extensions) => match extensions.and_then(|extensions| extensions.get("code")) {
            Some(Value::String(code)) => code.clone(),
            _ => INVALID.to_owned(),
        },
    }
}
