//! Refuses the character U+0000 in any text. Neither an id nor a name has it, and PostgreSQL keeps none.

use std::convert::Infallible;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{ServerError, Value, Variables};

use crate::api::error::Error;

/// The first argument, input field or variable that holds one.
pub fn check(document: &ExecutableDocument, variables: &Variables) -> Result<(), ServerError> {
    let given = variables.iter().find_map(|(name, value)| in_value(name, value));
    let defaults = document.operations.iter().flat_map(|(_, operation)| &operation.node.variable_definitions);
    let mut defaults =
        defaults.filter_map(|variable| Some((&variable.node.name, variable.node.default_value.as_ref()?)));
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    let mut sets = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node).chain(fragments);
    let found = given
        .or_else(|| defaults.find_map(|(name, value)| in_value(&name.node, &value.node)))
        .or_else(|| sets.find_map(in_selections));
    found.map_or(Ok(()), |field| {
        Err(Error::bad_input(&field, "A text can't hold the character U+0000.").into_server_error())
    })
}

fn in_selections(set: &SelectionSet) -> Option<String> {
    set.items.iter().find_map(|selection| {
        let directives = selection.node.directives().iter().flat_map(|directive| &directive.node.arguments);
        let (arguments, within) = match &selection.node {
            Selection::Field(field) => (field.node.arguments.as_slice(), Some(&field.node.selection_set.node)),
            Selection::InlineFragment(fragment) => (&[][..], Some(&fragment.node.selection_set.node)),
            Selection::FragmentSpread(_) => (&[][..], None),
        };
        let mut arguments = arguments.iter().chain(directives);
        let found = arguments.find_map(|(name, value)| {
            // What stands in variables is looked at by itself.
            let literal = value.node.clone().into_const_with(|_| Ok::<_, Infallible>(Value::Null));
            in_value(&name.node, &literal.unwrap_or_default())
        });
        found.or_else(|| within.and_then(in_selections))
    })
}

fn in_value(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(|| name.to_owned()),
        Value::List(values) => values.iter().find_map(|value| in_value(name, value)),
        Value::Object(members) => members.iter().find_map(|(name, value)| in_value(name, value)),
        _ => None,
    }
}
