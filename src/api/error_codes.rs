//! What async-graphql leaves open: a code on each error of its own, the log of what clients must not read, panics, fields
//! that may be null, and rules of the specification that it does not check.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextParseQuery, NextPrepareRequest, NextRequest, NextResolve,
    NextSubscribe, NextValidation, ResolveInfo,
};
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{
    PathSegment, Pos, QueryPathNode, QueryPathSegment, Request, Response, ServerError, ServerResult, ValidationResult,
    Value, Variables,
};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

use crate::api::documents::{operation, root_field, text, variables};
use crate::api::error::{Cause, Code, Error};
use crate::api::meter::Meter;
use crate::api::schema::Validated;
use crate::api::{Limits, RequestId};

/// How the library begins when it can't convert an argument.
const UNREADABLE: &str = "Failed to parse ";

pub struct ErrorCodes {
    pub limits: Arc<Limits>,
}

impl ExtensionFactory for ErrorCodes {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(RequestErrors { limits: Arc::clone(&self.limits), seen: Arc::default() })
    }
}

/// One request's. What is known of it is filled in as it goes through.
struct RequestErrors {
    limits: Arc<Limits>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    request_id: OnceLock<String>,
    operation_name: OnceLock<Option<String>>,
    document: OnceLock<(ExecutableDocument, Variables)>,
    /// Why fields are null that may be.
    failed: Mutex<Vec<ServerError>>,
    /// Where fields are null since the first failure that one which must not be null has passed on.
    nulls: Mutex<Vec<Vec<PathSegment>>>,
    is_passed_on: AtomicBool,
}

#[async_trait]
impl Extension for RequestErrors {
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        match AssertUnwindSafe(next.run(ctx)).catch_unwind().await {
            Ok(response) => self.seen.coded(response),
            Err(panic) => self.seen.panicked(&*panic),
        }
    }

    fn subscribe<'s>(
        &self,
        ctx: &ExtensionContext<'_>,
        stream: BoxStream<'s, Response>,
        next: NextSubscribe<'_>,
    ) -> BoxStream<'s, Response> {
        let seen = Arc::clone(&self.seen);
        // After a panic the stream is over.
        AssertUnwindSafe(next.run(ctx, stream))
            .catch_unwind()
            .map(move |response| match response {
                Ok(response) => seen.coded(response),
                Err(panic) => seen.panicked(&*panic),
            })
            .boxed()
    }

    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        mut request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let id = request.data.get(&std::any::TypeId::of::<RequestId>()).and_then(|id| id.downcast_ref::<RequestId>());
        self.seen.request_id.get_or_init(|| id.map(|id| id.0.clone()).unwrap_or_default());
        self.seen.operation_name.get_or_init(|| request.operation_name.clone());
        self.limits.check_text(&request.query)?;
        // What can't be parsed is refused where it is parsed.
        if let Ok(document) = request.parsed_query() {
            self.limits.check_size(document)?;
        }
        next.run(ctx, request).await
    }

    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let document = next.run(ctx, query, variables).await.map_err(|mut error| {
            // The library checks its limits on nesting here; those are rules, not syntax.
            let is_rule = error.message.contains("cannot be greater than");
            set_code(&mut error, if is_rule { Code::GraphqlValidationFailed } else { Code::GraphqlParseFailed });
            error
        })?;
        let mut document = root_field::of_subscriptions(document)?;
        variables::default_to_null(&mut document);
        let _ = self.seen.document.set((document.clone(), variables.clone()));
        Ok(document)
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        if let Some((document, given)) = self.seen.document.get() {
            text::check(document, given)?;
            let operation_name = self.seen.operation_name.get().and_then(|name| name.as_deref());
            variables::check(&ctx.schema_env.registry, document, operation_name, given)?;
        }
        let result = next.run(ctx).await.map_err(|mut errors| {
            for error in &mut errors {
                // Reading the size of a page, to find out what it costs, is the same as reading it in a resolver.
                if error.message.starts_with(UNREADABLE) {
                    self.seen.explain(error);
                }
                set_code(error, Code::GraphqlValidationFailed);
                if let Some(field) = argument_in(&error.message).map(str::to_owned) {
                    error.extensions.get_or_insert_default().set("field", field);
                }
            }
            errors
        })?;
        self.limits.check_complexity(result.complexity)?;
        if let Some((document, _)) = self.seen.document.get() {
            let chosen = self.seen.operation_name.get().and_then(|name| name.as_deref());
            is_valid(ctx, document, chosen);
        }
        Ok(result)
    }

    /// A field that fails is null where it may be, and has its parent fail otherwise (GraphQL specification, section 6.4.4).
    /// The library does so for what is selected within a field, and has a parent fail for each failure of the field's own
    /// resolver, guard or arguments.
    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let (node, is_nullable) = (info.path_node, !info.return_type.ends_with('!'));
        let mut error = match next.run(ctx, info).await {
            Err(error) => error,
            resolved => {
                let is_null = matches!(resolved, Ok(Some(Value::Null)));
                if is_null && self.seen.is_passed_on.load(Ordering::Relaxed) {
                    self.seen.nulls().push(path(node));
                }
                return resolved;
            }
        };
        if error.path.is_empty() {
            error.path = path(node);
        }
        if !is_nullable {
            self.seen.is_passed_on.store(true, Ordering::Relaxed);
            return Err(error);
        }
        self.seen.nulls().push(path(node));
        self.seen.failed().push(error);
        Ok(Some(Value::Null))
    }
}

impl Seen {
    /// Gives every error a code, and logs causes under the request's id.
    fn coded(&self, mut response: Response) -> Response {
        response.errors.append(&mut self.failed());
        self.nulls().drain(..).for_each(|place| nullify(&mut response.data, &place));
        for error in &mut response.errors {
            if !has_code(error) {
                self.explain(error);
            }
            if let Some(cause) = error.source::<Cause>().cloned() {
                error.source = None;
                let request_id = self.id();
                tracing::error!(request_id, path = ?error.path, cause = cause.chain(), "A request failed");
                error.extensions.get_or_insert_default().set("requestId", request_id);
            }
        }
        response
    }

    /// Resolvers fail with codes only, so what has none is the library's own: the request's fault before execution, and
    /// in a resolver an argument that it could not convert.
    fn explain(&self, error: &mut ServerError) {
        let is_argument = [UNREADABLE, "Expected input type ", "Variable "];
        if is_argument.iter().any(|start| error.message.starts_with(start)) {
            set_code(error, Code::BadUserInput);
            let argument = self.document.get().zip(error.locations.first());
            if let Some(field) = argument.and_then(|((document, _), at)| argument_at(document, *at)) {
                error.extensions.get_or_insert_default().set("field", field);
            }
        } else if error.path.is_empty() {
            set_code(error, Code::GraphqlValidationFailed);
        } else {
            let request_id = self.id();
            tracing::error!(request_id, path = ?error.path, cause = error.message, "A request failed");
            let internal = Error::internal().into_server_error();
            error.message = internal.message;
            error.extensions = internal.extensions;
            error.extensions.get_or_insert_default().set("requestId", request_id);
        }
    }

    fn panicked(&self, panic: &(dyn std::any::Any + Send)) -> Response {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let request_id = self.id();
        tracing::error!(request_id, cause = text.unwrap_or("unknown"), "A request panicked");
        let mut error = Error::internal().into_server_error();
        error.extensions.get_or_insert_default().set("requestId", request_id);
        Response::from_errors(vec![error])
    }

    fn failed(&self) -> MutexGuard<'_, Vec<ServerError>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nulls(&self) -> MutexGuard<'_, Vec<Vec<PathSegment>>> {
        self.nulls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self) -> &str {
        self.request_id.get().map_or("", String::as_str)
    }
}

/// Tells of a document that the names in it are the schema's.
fn is_valid(ctx: &ExtensionContext<'_>, document: &ExecutableDocument, chosen: Option<&str>) {
    let Some(asked) = operation::asked(document, chosen).map(Arc::new) else { return };
    if let Some(meter) = ctx.data_opt::<Arc<Meter>>() {
        meter.learn(&asked);
    }
    if let Some(validated) = ctx.data_opt::<Arc<Validated>>() {
        let _ = validated.set((document.clone(), asked));
    }
}

/// From the root to a field.
fn path(node: &QueryPathNode<'_>) -> Vec<PathSegment> {
    let mut path: Vec<_> = std::iter::successors(Some(node), |node| node.parent)
        .map(|node| match node.segment {
            QueryPathSegment::Index(index) => PathSegment::Index(index),
            QueryPathSegment::Name(name) => PathSegment::Field(name.to_owned()),
        })
        .collect();
    path.reverse();
    path
}

/// Makes null what is at `place`. A field that is selected more than once is resolved each time by the library, which keeps
/// what the others gave where one has failed.
fn nullify(data: &mut Value, place: &[PathSegment]) {
    let found = place.iter().try_fold(data, |value, segment| match (segment, value) {
        (PathSegment::Field(name), Value::Object(fields)) => fields.get_mut(name.as_str()),
        (PathSegment::Index(index), Value::List(items)) => items.get_mut(*index),
        _ => None,
    });
    if let Some(value) = found {
        *value = Value::Null;
    }
}

fn has_code(error: &ServerError) -> bool {
    error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some())
}

fn set_code(error: &mut ServerError, code: Code) {
    if !has_code(error) {
        error.extensions.get_or_insert_default().set("code", code.as_str());
    }
}

/// The input field or argument that a message of the library's validation is about: the last part of the path in
/// `Invalid value for argument "input.kind", …`, or the field that is said to be missing or unknown there.
fn argument_in(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("Invalid value for argument \"")?;
    let (path, reason) = rest.split_once("\", ")?;
    let named = reason.strip_prefix("field \"").or_else(|| reason.strip_prefix("unknown field \""));
    match named.and_then(|named| named.split_once('"')) {
        Some((field, _)) => Some(field),
        None => path.rsplit('.').find(|part| part.parse::<usize>().is_err()),
    }
}

/// The name of the argument whose value stands at a position of the document, or that is no Int in the field there.
fn argument_at(document: &ExecutableDocument, position: Pos) -> Option<String> {
    fn search(selections: &SelectionSet, position: Pos) -> Option<String> {
        selections.items.iter().find_map(|selection| match &selection.node {
            Selection::Field(field) => {
                let mut arguments = field.node.arguments.iter();
                let found = arguments.find(|(_, value)| {
                    let is_beyond = || value.node.clone().into_const().as_ref().is_some_and(is_beyond_int);
                    value.pos == position || (field.pos == position && is_beyond())
                });
                let found = found.map(|(name, _)| name.node.to_string());
                found.or_else(|| search(&field.node.selection_set.node, position))
            }
            Selection::InlineFragment(fragment) => search(&fragment.node.selection_set.node, position),
            Selection::FragmentSpread(_) => None,
        })
    }
    let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    operations.chain(fragments).find_map(|selections| search(selections, position))
}

fn is_beyond_int(value: &Value) -> bool {
    matches!(value, Value::Number(number) if number.as_i64().is_none_or(|number| i32::try_from(number).is_err()))
}
