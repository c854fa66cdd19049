//! Operations as parts of traces: of which type, under which name, with which outcome; never their text or variables.

use std::sync::{Arc, OnceLock};

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextParseQuery, NextPrepareRequest, NextRequest, NextSubscribe,
    NextValidation,
};
use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{Request, Response, ServerError, ServerResult, ValidationResult, Variables};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::{meter, operation};
use crate::telemetry::traces::{self, Span};

pub struct Trace;

impl ExtensionFactory for Trace {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Traced::default())
    }
}

/// One request's.
#[derive(Default)]
struct Traced {
    span: OnceLock<Arc<Span>>,
    /// The name of the operation that the client chose.
    chosen: OnceLock<Option<String>>,
    parsed: OnceLock<Parsed>,
}

struct Parsed {
    kind: OperationType,
    name: Option<String>,
    fields: Vec<String>,
}

impl Parsed {
    fn of(document: &ExecutableDocument, chosen: Option<&str>) -> Option<Self> {
        let (name, selected) = operation::selected_with_name(document, chosen)?;
        let fields = operation::root_fields(document, selected).into_iter().collect();
        Some(Self { kind: selected.ty, name: name.map(ToString::to_string), fields })
    }
}

impl Traced {
    fn begin(&self) -> Arc<Span> {
        Arc::clone(self.span.get_or_init(|| Arc::new(traces::operation())))
    }
}

#[async_trait]
impl Extension for Traced {
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        let span = self.begin();
        let response = span.around(next.run(ctx)).await;
        note_failure(&span, &response);
        response
    }

    fn subscribe<'s>(
        &self,
        ctx: &ExtensionContext<'_>,
        stream: BoxStream<'s, Response>,
        next: NextSubscribe<'_>,
    ) -> BoxStream<'s, Response> {
        let span = self.begin();
        let responses = next.run(ctx, stream);
        span.around(responses).inspect(move |response| note_failure(&span, response)).boxed()
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
        if let Some(parsed) = Parsed::of(&document, chosen) {
            let _ = self.parsed.set(parsed);
        }
        Ok(document)
    }

    /// What the operation is called is told once the names in it are known to be the schema's.
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let result = next.run(ctx).await?;
        if let (Some(span), Some(Parsed { kind, name, fields })) = (self.span.get(), self.parsed.get()) {
            let kind = match kind {
                OperationType::Query => "query",
                OperationType::Mutation => "mutation",
                OperationType::Subscription => "subscription",
            };
            span.is_operation(kind, name.as_deref(), fields);
        }
        Ok(result)
    }
}

fn note_failure(span: &Span, response: &Response) {
    if !response.errors.is_empty() {
        span.failed(&meter::code(response));
    }
}
