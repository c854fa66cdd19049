//! A subscription has exactly one root field, which may stand in a fragment (GraphQL specification, section 5.2.3.1).
//! async-graphql checks neither that there is only one, nor does it look into fragments there.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition, OperationDefinition, OperationType,
    Selection, SelectionSet,
};
use async_graphql::{Name, Positioned, ServerError, ServerResult};

use crate::api::error::{Code, Error};

type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// The document, which [`Limits`](crate::api::Limits) have found to be of a sane size, with the root field of each
/// subscription outside of fragments. Fragments that are left without a use by that are dropped, since an unused one is
/// an error.
pub fn of_subscriptions(mut document: ExecutableDocument) -> ServerResult<ExecutableDocument> {
    let ExecutableDocument { operations, fragments } = &mut document;
    let operations: Vec<&mut Positioned<OperationDefinition>> = match operations {
        DocumentOperations::Single(operation) => vec![operation],
        DocumentOperations::Multiple(operations) => operations.values_mut().collect(),
    };
    let mut opened = HashSet::new();
    for operation in operations.into_iter().filter(|operation| operation.node.ty == OperationType::Subscription) {
        let mut fields = Vec::new();
        if !collect(&operation.node.selection_set.node, fragments, &mut opened, &[], &mut fields) {
            // The validation says so.
            return Ok(document);
        }
        let field = one(fields).ok_or_else(|| refusal(operation))?;
        let pos = field.pos;
        operation.node.selection_set.node.items = vec![Positioned::new(Selection::Field(field), pos)];
    }
    fragments.retain(|name, _| !opened.contains(name));
    Ok(document)
}

/// Collects the fields of a selection set, those of its fragments included; false when a fragment does not exist.
fn collect(
    selections: &SelectionSet,
    fragments: &Fragments,
    opened: &mut HashSet<Name>,
    inherited: &[Positioned<Directive>],
    fields: &mut Vec<Positioned<Field>>,
) -> bool {
    selections.items.iter().all(|selection| {
        let mut directives = selection.node.directives().clone();
        directives.extend_from_slice(inherited);
        match &selection.node {
            Selection::Field(field) => {
                let mut field = field.clone();
                field.node.directives = directives;
                fields.push(field);
                true
            }
            Selection::InlineFragment(fragment) => {
                collect(&fragment.node.selection_set.node, fragments, opened, &directives, fields)
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                opened.insert(name.clone());
                fragments.get(name).is_some_and(|fragment| {
                    collect(&fragment.node.selection_set.node, fragments, opened, &directives, fields)
                })
            }
        }
    })
}

/// The fields as one, when they ask for the same.
fn one(fields: Vec<Positioned<Field>>) -> Option<Positioned<Field>> {
    let mut fields = fields.into_iter();
    let mut field = fields.next()?;
    for other in fields {
        let same = field.node.response_key().node == other.node.response_key().node
            && field.node.name.node == other.node.name.node
            && field.node.arguments == other.node.arguments;
        if !same {
            return None;
        }
        field.node.selection_set.node.items.extend(other.node.selection_set.node.items);
    }
    Some(field)
}

fn refusal(operation: &Positioned<OperationDefinition>) -> ServerError {
    let error = Error::new(Code::GraphqlValidationFailed, "A subscription must have exactly one root field.");
    let mut error = error.into_server_error();
    error.locations = vec![operation.pos];
    error
}
