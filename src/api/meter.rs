//! Counts and times requests by the fields that they ask for. Open subscriptions are counted by their seats.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextParseQuery, NextPrepareRequest, NextRequest, NextValidation,
};
use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Request, Response, ServerError, ServerResult, ValidationResult, Value, Variables};
use async_trait::async_trait;

use crate::telemetry::metrics;

/// What stands for the fields of a document that is not valid: whatever its sender made up.
const INVALID: &str = "invalid";

pub struct Meter;

impl ExtensionFactory for Meter {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Metered::default())
    }
}

/// One request's.
#[derive(Default)]
struct Metered {
    operation_name: OnceLock<Option<String>>,
    parsed: OnceLock<BTreeSet<String>>,
    /// The names of the root fields, once they are known to be the schema's.
    fields: OnceLock<BTreeSet<String>>,
}

#[async_trait]
impl Extension for Metered {
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        let started = Instant::now();
        let response = next.run(ctx).await;
        let code = code(&response);
        match self.fields.get() {
            Some(fields) => fields.iter().for_each(|field| metrics::request(field, &code, started.elapsed())),
            None => metrics::request(INVALID, &code, started.elapsed()),
        }
        response
    }

    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let _ = self.operation_name.set(request.operation_name.clone());
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
        let name = self.operation_name.get().and_then(|name| name.as_deref());
        let _ = self.parsed.set(root_fields(&document, name));
        Ok(document)
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let result = next.run(ctx).await?;
        let _ = self.fields.set(self.parsed.get().cloned().unwrap_or_default());
        Ok(result)
    }
}

/// OK, or the code of the first error.
pub(super) fn code(response: &Response) -> String {
    let extensions = response.errors.first().map(|error| error.extensions.as_ref());
    match extensions {
        None => "OK".to_owned(),
        Some(extensions) => match extensions.and_then(|extensions| extensions.get("code")) {
            Some(Value::String(code)) => code.clone(),
            _ => INVALID.to_owned(),
        },
    }
}

pub(super) fn root_fields(document: &ExecutableDocument, name: Option<&str>) -> BTreeSet<String> {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(_), None) => None,
    };
    let (mut fields, mut opened) = (BTreeSet::new(), BTreeSet::new());
    if let Some(operation) = operation {
        collect(&operation.node.selection_set.node, document, &mut fields, &mut opened);
    }
    fields
}

/// Each fragment is opened once.
fn collect<'a>(
    selections: &'a SelectionSet,
    document: &'a ExecutableDocument,
    fields: &mut BTreeSet<String>,
    opened: &mut BTreeSet<&'a str>,
) {
    for selection in &selections.items {
        match &selection.node {
            Selection::Field(field) => {
                fields.insert(field.node.name.node.to_string());
            }
            Selection::InlineFragment(fragment) => {
                collect(&fragment.node.selection_set.node, document, fields, opened);
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                if opened.insert(name.as_str())
                    && let Some(fragment) = document.fragments.get(name)
                {
                    collect(&fragment.node.selection_set.node, document, fields, opened);
                }
            }
        }
    }
}
