//! Which operation of a document a request asks for.

use std::collections::{BTreeSet, HashSet};

use async_graphql::Name;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
};

/// What a request asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    pub kind: OperationType,
    /// The operation's name in the document.
    pub name: Option<String>,
    /// The names of its root fields, those in fragments included.
    pub fields: BTreeSet<String>,
}

/// What is asked for by the operation of the name that was `chosen`.
pub fn asked(document: &ExecutableDocument, chosen: Option<&str>) -> Option<Asked> {
    let (name, operation) = selected_with_name(document, chosen)?;
    let mut fields = BTreeSet::new();
    collect(&operation.selection_set.node, document, &mut fields, &mut HashSet::new());
    Some(Asked { kind: operation.ty, name: name.map(ToString::to_string), fields })
}

/// The operation that a request chooses by its name, or the only one there is; None when the request does not say which one
/// it means (GraphQL specification, section 6.1).
pub fn selected<'a>(document: &'a ExecutableDocument, chosen: Option<&str>) -> Option<&'a OperationDefinition> {
    selected_with_name(document, chosen).map(|(_, operation)| operation)
}

/// The same, with the name that it has in the document.
fn selected_with_name<'a>(
    document: &'a ExecutableDocument,
    chosen: Option<&str>,
) -> Option<(Option<&'a Name>, &'a OperationDefinition)> {
    match (&document.operations, chosen) {
        (DocumentOperations::Single(operation), None) => Some((None, &operation.node)),
        (DocumentOperations::Single(_), Some(_)) => None,
        (DocumentOperations::Multiple(operations), chosen) => {
            let mut named = operations.iter().filter(|(name, _)| chosen.is_none_or(|chosen| chosen == name.as_str()));
            let (name, operation) = named.next()?;
            named.next().is_none().then_some((Some(name), &operation.node))
        }
    }
}

/// Opens each fragment once.
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
