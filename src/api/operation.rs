//! Which operation of a document a request asks for.

use std::collections::{BTreeSet, HashSet};

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
};

/// The operation of this name, or the only one there is; None when the request does not say which one it means (GraphQL
/// specification, section 6.1).
pub fn selected<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<&'a OperationDefinition> {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => operation,
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name)?,
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => operations.values().next()?,
        _ => return None,
    };
    Some(&operation.node)
}

/// The names of the operation's root fields, those in fragments included. Each fragment is opened once.
pub fn root_fields(document: &ExecutableDocument, operation: &OperationDefinition) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    collect(&operation.selection_set.node, document, &mut fields, &mut HashSet::new());
    fields
}

fn collect<'a>(
    selections: &'a SelectionSet,
    document: &'a ExecutableDocument,
    fields: &mut BTreeSet<String>,
    opened: &mut HashSet<&'a str>,
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
