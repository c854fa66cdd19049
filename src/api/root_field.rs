//! A subscription has exactly one root field, which may stand in a fragment (GraphQL specification, section 5.2.3.1).
//! async-graphql checks neither that there is only one, nor does it look into fragments there.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition, OperationDefinition, OperationType,
    Selection, SelectionSet,
};
use async_graphql::{Name, Positioned, ServerError, ServerResult};

use super::error::{Code, Error};

/// How often a document may name its root field; fragments in fragments could name it without end.
const MAX_FIELDS: usize = 100;

type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// The document with the root field of each subscription outside of fragments. Fragments that are left without a use by
/// that are dropped, since an unused one is an error.
pub fn of_subscriptions(mut document: ExecutableDocument) -> ServerResult<ExecutableDocument> {
    let ExecutableDocument { operations, fragments } = &mut document;
    let operations: Vec<&mut Positioned<OperationDefinition>> = match operations {
        DocumentOperations::Single(operation) => vec![operation],
        DocumentOperations::Multiple(operations) => operations.values_mut().collect(),
    };
    let mut opened = HashSet::new();
    for operation in operations.into_iter().filter(|operation| operation.node.ty == OperationType::Subscription) {
        let mut fields = Vec::new();
        let selections = &operation.node.selection_set.node;
        let complete = collect(selections, fragments, &mut opened, &mut Vec::new(), &[], &mut fields);
        if !complete && fields.len() <= MAX_FIELDS {
            // A fragment that does not exist, or one within itself: the validation says so.
            return Ok(document);
        }
        let field = one(fields).filter(|_| complete).ok_or_else(|| refusal(operation))?;
        let pos = field.pos;
        operation.node.selection_set.node.items = vec![Positioned::new(Selection::Field(field), pos)];
    }
    fragments.retain(|name, _| !opened.contains(name));
    Ok(document)
}

/// Collects the fields of a selection set, those of its fragments included; false when a fragment can't be opened, or
/// when there are too many fields.
fn collect(
    selections: &SelectionSet,
    fragments: &Fragments,
    opened: &mut HashSet<Name>,
    within: &mut Vec<Name>,
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
                fields.len() <= MAX_FIELDS
            }
            Selection::InlineFragment(fragment) => {
                let selections = &fragment.node.selection_set.node;
                collect(selections, fragments, opened, within, &directives, fields)
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let Some(fragment) = fragments.get(name).filter(|_| !within.contains(name)) else { return false };
                opened.insert(name.clone());
                within.push(name.clone());
                let selections = &fragment.node.selection_set.node;
                let done = collect(selections, fragments, opened, within, &directives, fields);
                within.pop();
                done
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
