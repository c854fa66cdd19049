//! How large a document is once its fragments are opened. A few lines of fragments that name the next one twice are
//! worth billions of fields, so each fragment is looked at once, however often it is named.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Name, Pos, ServerError, ServerResult};

use crate::api::error::{Code, Error};

/// How deep selections may be nested, fragments included. async-graphql's own bound, which it checks later.
const MAX_NESTING: usize = 32;

/// About how many items the lists of the introspection have, each by its field.
const INTROSPECTION_LISTS: &[(&str, usize)] = &[
    ("types", 60),
    ("directives", 6),
    ("fields", 8),
    ("args", 2),
    ("inputFields", 4),
    ("enumValues", 7),
    ("interfaces", 1),
    ("possibleTypes", 1),
];

/// What selections come to, all that is within them included.
#[derive(Debug, Clone, Copy, Default)]
pub struct Size {
    pub selections: usize,
    pub aliases: usize,
    pub directives: usize,
    /// Fields within fields.
    pub depth: usize,
    /// Fields that are in no other field.
    pub roots: usize,
    /// What the introspection in it costs: one for each field, and for each item of the lists that it is in.
    pub introspection: usize,
    /// The same, were all of it introspection.
    cost: usize,
}

/// What each operation comes to, with where its selections are. Refuses fragments within themselves.
pub fn sizes(document: &ExecutableDocument) -> ServerResult<Vec<(Pos, Size)>> {
    let mut walk = Walk { document, fragments: HashMap::new() };
    let operations = document.operations.iter().map(|(_, operation)| {
        let set = &operation.node.selection_set;
        let mut size = walk.set(&set.node, set.pos, 0)?;
        let variables = operation.node.variable_definitions.iter().map(|variable| variable.node.directives.len());
        size.directives = size.directives.saturating_add(operation.node.directives.len() + variables.sum::<usize>());
        Ok((set.pos, size))
    });
    operations.collect()
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    /// What is known of fragments: None while one is being opened.
    fragments: HashMap<&'a Name, Option<Size>>,
}

impl<'a> Walk<'a> {
    fn set(&mut self, set: &'a SelectionSet, at: Pos, nesting: usize) -> ServerResult<Size> {
        if nesting > MAX_NESTING {
            return Err(refusal(format!("Selections are nested more than {MAX_NESTING} deep."), at));
        }
        let mut total = Size::default();
        for selection in &set.items {
            let mut size = match &selection.node {
                Selection::Field(field) => {
                    let set = &field.node.selection_set;
                    of_field(&field.node, self.set(&set.node, set.pos, nesting + 1)?)
                }
                Selection::InlineFragment(fragment) => {
                    let set = &fragment.node.selection_set;
                    self.set(&set.node, set.pos, nesting + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node, selection.pos, nesting + 1)?
                }
            };
            size.selections = size.selections.saturating_add(1);
            size.directives = size.directives.saturating_add(selection.node.directives().len());
            total = total.beside(size);
        }
        Ok(total)
    }

    fn fragment(&mut self, name: &'a Name, at: Pos, nesting: usize) -> ServerResult<Size> {
        match (self.fragments.get(name), self.document.fragments.get(name)) {
            (Some(Some(known)), _) => Ok(*known),
            (Some(None), _) => Err(refusal(format!("The fragment {name} is within itself."), at)),
            // The validation says so.
            (None, None) => Ok(Size::default()),
            (None, Some(fragment)) => {
                self.fragments.insert(name, None);
                let set = &fragment.node.selection_set;
                let mut size = self.set(&set.node, set.pos, nesting)?;
                size.directives = size.directives.saturating_add(fragment.node.directives.len());
                self.fragments.insert(name, Some(size));
                Ok(size)
            }
        }
    }
}

/// The size of a field, by that of what is selected in it.
fn of_field(field: &Field, within: Size) -> Size {
    let name = field.name.node.as_str();
    let items = INTROSPECTION_LISTS.iter().find(|(list, _)| *list == name).map_or(1, |(_, items)| *items);
    let cost = within.cost.saturating_mul(items).saturating_add(1);
    Size {
        aliases: within.aliases.saturating_add(usize::from(field.alias.is_some())),
        depth: within.depth + 1,
        roots: 1,
        introspection: if matches!(name, "__schema" | "__type") { cost } else { within.introspection },
        cost,
        ..within
    }
}

impl Size {
    fn beside(self, other: Self) -> Self {
        Self {
            selections: self.selections.saturating_add(other.selections),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
            depth: self.depth.max(other.depth),
            roots: self.roots.saturating_add(other.roots),
            introspection: self.introspection.saturating_add(other.introspection),
            cost: self.cost.saturating_add(other.cost),
        }
    }
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

    fn size(document: &str) -> Result<Size, String> {
        sizes(&parse_query(document).unwrap()).map(|sizes| sizes[0].1).map_err(|error| error.message)
    }

    #[test]
    fn fragments_count_each_time_they_are_named() {
        let Size { selections, aliases, directives, depth, roots, .. } =
            size("query @d { ...a a: x { ...a } } fragment a on T @d { b: y z @d { ... on U { v } } }").unwrap();
        assert_eq!((selections, aliases, directives, depth, roots), (11, 3, 5, 3, 3));
    }

    #[test]
    fn fragments_that_double_are_counted_without_opening_them_all() {
        let chain: String = (0..30).map(|n| format!("fragment f{n} on Query {{ ...f{0} ...f{0} }} ", n + 1)).collect();
        let doubled = size(&format!("{{ ...f0 }} {chain} fragment f30 on Query {{ a: b }}")).unwrap();
        assert_eq!(doubled.aliases, 1 << 30);
    }

    #[test]
    fn fragments_within_themselves_are_refused() {
        let cycle = "{ ...a } fragment a on Query { x { ...b ...b } } fragment b on Query { ...a ...a }";
        assert_eq!(size(cycle).unwrap_err(), "The fragment a is within itself.");
        assert_eq!(size("{ ...missing }").unwrap().selections, 1);
    }

    #[test]
    fn a_long_chain_of_fragments_is_refused_before_it_takes_the_stack() {
        let chain = |length: usize| -> String {
            let chain: String = (0..length).map(|n| format!("fragment f{n} on Q {{ ...f{} }} ", n + 1)).collect();
            format!("{{ ...f0 }} {chain} fragment f{length} on Q {{ a }}")
        };
        assert_eq!(size(&chain(30)).unwrap().selections, 32);
        assert_eq!(size(&chain(10_000)).unwrap_err(), "Selections are nested more than 32 deep.");
    }

    #[test]
    fn introspection_costs_what_its_lists_hold() {
        let introspection = |document: &str| size(document).unwrap().introspection;
        assert_eq!(introspection("{ services { types { fields { name } } } }"), 0);
        assert_eq!(introspection("{ __type(name: \"A\") { name } services { types { name } } }"), 2);
        assert_eq!(introspection("{ __schema { types { fields { name } } } }"), 1 + (1 + 60 * (1 + 8)));
    }
}
