//! What one request may ask for, and how much may be watched at once.

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{Pos, ServerError, ServerResult, Value};

use super::expansion::{self, Size};
use super::tokens::{self, Excess};
use crate::api::error::{Code, Error};

/// The most that a document may come to once its fragments are opened. async-graphql's own checks walk all of it.
const MAX_SELECTIONS: usize = 10_000;

/// What introspection may cost, as [`expansion`] counts it. What GraphiQL asks for comes to two thirds of it.
const MAX_INTROSPECTION: usize = 100_000;

/// Each is the most that is let through.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Lexical tokens of a document.
    pub tokens: usize,
    /// Fields within fields.
    pub depth: usize,
    /// What the document's fields cost: one each, and for each item of the lists that they are in.
    pub complexity: usize,
    pub aliases: usize,
    pub root_fields: usize,
    pub directives: usize,
    /// Subscriptions at once, of everybody.
    pub subscriptions: usize,
    /// Subscriptions at once of one subject.
    pub subscriptions_per_subject: usize,
    /// Root fields a minute of a subject, which the HTTP layer counts; shown only.
    pub root_fields_per_minute: u32,
    /// Whether the schema can be asked for.
    pub introspection: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tokens: 2000,
            depth: 20,
            complexity: 10_000,
            aliases: 50,
            root_fields: 20,
            directives: 50,
            subscriptions: 5000,
            subscriptions_per_subject: 200,
            root_fields_per_minute: 6000,
            introspection: true,
        }
    }
}

impl Limits {
    /// Refuses what is too long to be parsed.
    pub fn check_text(&self, query: &str) -> ServerResult<()> {
        tokens::check(query, self.tokens).map_err(|excess| match excess {
            Excess::Tokens => refusal("tokens", self.tokens, "The document has more than {} tokens.", None),
            Excess::Nesting(most) => refusal("nesting", most, "Brackets are nested more than {} deep.", None),
        })
    }

    /// Refuses what is too large to be validated, for instance because a few lines of fragments multiply each other.
    pub fn check_size(&self, document: &ExecutableDocument) -> ServerResult<()> {
        for (pos, size) in expansion::sizes(document)? {
            if size.introspection > 0 && !self.introspection {
                let error = Error::new(Code::GraphqlValidationFailed, "Introspection is switched off.");
                let mut error = error.into_server_error();
                error.locations = vec![pos];
                return Err(error);
            }
            let Size { selections, aliases, directives, depth, roots, introspection, .. } = size;
            for (name, most, found, text) in [
                ("selections", MAX_SELECTIONS, selections, "The operation has more than {} selections."),
                ("depth", self.depth, depth, "Fields are nested more than {} deep."),
                ("rootFields", self.root_fields, roots, "The operation has more than {} root fields."),
                ("aliases", self.aliases, aliases, "The operation has more than {} aliases."),
                ("directives", self.directives, directives, "The operation has more than {} directives."),
                ("introspection", MAX_INTROSPECTION, introspection, "The introspection costs more than {}."),
            ] {
                if found > most {
                    return Err(refusal(name, most, text, Some(pos)));
                }
            }
        }
        Ok(())
    }

    /// Refuses what costs too much to be executed.
    pub fn check_complexity(&self, complexity: usize) -> ServerResult<()> {
        if complexity <= self.complexity {
            return Ok(());
        }
        let text = format!("The document's fields cost {complexity}, and {{}} is the most.");
        Err(refusal("complexity", self.complexity, &text, None))
    }
}

/// `{}` in the text stands for what is allowed.
fn refusal(limit: &str, most: usize, text: &str, at: Option<Pos>) -> ServerError {
    let message = text.replace("{}", &most.to_string());
    let mut error = Error::new(Code::GraphqlValidationFailed, message)
        .with("limit", limit)
        .with("maximum", Value::from(most))
        .into_server_error();
    error.locations.extend(at);
    error
}

/// What a list of so many items costs. It stays far from where adding up a document's would overflow.
pub fn list_cost(items: usize, each: usize) -> usize {
    items.saturating_mul(each).saturating_add(1).min(u32::MAX as usize)
}
