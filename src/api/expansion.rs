//! How large a document is once its fragments are opened. A few lines of fragments that name the next one twice are
//! worth billions of fields; async-graphql walks all of them before its own limits stop it.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Name, Pos, ServerError, ServerResult};

use super::error::{Code, Error};

/// The most selections that a document may come to. GraphiQL's introspection has some hundred.
const MAX_SELECTIONS: usize = 10_000;

/// Refuses documents that are too large, and fragments within themselves.
pub fn check(document: &ExecutableDocument) -> ServerResult<()> {
    let mut sizes = HashMap::new();
    for (_, operation) in document.operations.iter() {
        let set = &operation.node.selection_set;
        if size(document, &set.node, &mut sizes)? > MAX_SELECTIONS {
            return Err(refusal(format!("The operation has more than {MAX_SELECTIONS} selections."), set.pos));
        }
    }
    Ok(())
}

/// The number of selections in a set. `sizes` has what is known of fragments: None while one is being opened.
fn size<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    sizes: &mut HashMap<&'a Name, Option<usize>>,
) -> ServerResult<usize> {
    let mut total: usize = 0;
    for selection in &set.items {
        let within = match &selection.node {
            Selection::Field(field) => size(document, &field.node.selection_set.node, sizes)?,
            Selection::InlineFragment(fragment) => size(document, &fragment.node.selection_set.node, sizes)?,
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                match (sizes.get(name), document.fragments.get(name)) {
                    (Some(Some(known)), _) => *known,
                    (Some(None), _) => {
                        return Err(refusal(format!("The fragment {name} is within itself."), selection.pos));
                    }
                    // The validation says so.
                    (None, None) => 0,
                    (None, Some(fragment)) => {
                        sizes.insert(name, None);
                        let size = size(document, &fragment.node.selection_set.node, sizes)?;
                        sizes.insert(name, Some(size));
                        size
                    }
                }
            }
        };
        total = total.saturating_add(1).saturating_add(within);
    }
    Ok(total)
}

fn refusal(message: String, at: Pos) -> ServerError {
    let mut error = Error::new(Code::GraphqlValidationFailed, message).into_server_error();
    error.locations = vec![at];
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    fn checked(document: &str) -> Result<(), String> {
        check(&parse_query(document).unwrap()).map_err(|error| error.message)
    }

    #[test]
    fn fragments_count_each_time_they_are_named() {
        let wide = |fields: usize| format!("{{ ...a ...a }} fragment a on Query {{ {} }}", "f ".repeat(fields));
        // Two spreads, and twice the fields.
        assert_eq!(checked(&wide(4999)), Ok(()));
        assert_eq!(checked(&wide(5000)), Err("The operation has more than 10000 selections.".to_owned()));
    }

    #[test]
    fn fragments_that_double_are_refused_without_opening_them_all() {
        let chain: String = (0..64).map(|n| format!("fragment f{n} on Query {{ ...f{0} ...f{0} }} ", n + 1)).collect();
        assert!(checked(&format!("{{ ...f0 }} {chain} fragment f64 on Query {{ a }}")).is_err());
    }

    #[test]
    fn fragments_within_themselves_are_refused() {
        let cycle = "{ ...a } fragment a on Query { x { ...b ...b } } fragment b on Query { ...a ...a }";
        assert_eq!(checked(cycle), Err("The fragment a is within itself.".to_owned()));
        assert_eq!(checked("{ ...missing }"), Ok(()));
    }
}
