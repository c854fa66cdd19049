//! What a request says, looked at before anything of it is executed: how large it is, which operation it means, and whether
//! its variables are what they are declared to be.

use async_graphql::parser::types::{ExecutableDocument, OperationDefinition};

mod expansion;
pub mod limits;
pub mod operation;
pub mod proven;
pub mod root_field;
pub mod text;
mod tokens;
pub mod variables;

/// How many fields stand at the root of an operation, those in fragments included; 0 where fragments have no end.
pub fn root_fields(document: &ExecutableDocument, operation: &OperationDefinition) -> usize {
    let sizes = expansion::sizes(document).unwrap_or_default();
    let own = sizes.into_iter().find(|(at, _)| *at == operation.selection_set.pos);
    own.map_or(0, |(_, size)| size.roots)
}
