//! Documents that were executed before without an error. They are neither parsed nor validated again when they come again:
//! what was found out about them holds for as long as the server runs.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_graphql::parser::types::{ExecutableDocument, OperationDefinition};
use async_graphql::{Name, Request, Value, Variables};
use sha2::{Digest as _, Sha256};

use super::operation::{self, Asked};
use crate::api::Operation;

/// The longest text of a document that is remembered, in bytes.
const MAX_TEXT: usize = 8 << 10;
/// How much text of documents is kept before those that did not come again meanwhile are forgotten, in bytes. A parsed
/// document takes up to a hundred times as much.
const MAX_TEXTS: usize = 64 << 10;
/// How many shapes of variables are remembered of a document.
const MAX_SHAPES: usize = 64;
/// What keeps its thread for less than this is brief, in microseconds: to hand it to another thread takes some twenty.
const BRIEF_MICROS: u64 = 500;

type Digest = [u8; 32];

/// A document as it is executed.
pub struct Proven {
    pub document: ExecutableDocument,
    pub asked: Arc<Asked>,
    operation: Operation,
    text: usize,
    /// The variables in which any text is as good as another one for the validation.
    texts: Vec<Name>,
    /// Digests of the variables that it was executed with, but for those texts.
    shapes: Mutex<HashSet<Digest>>,
    /// For how long at a time it kept its thread when it was executed last, in microseconds.
    kept: AtomicU64,
}

impl Proven {
    /// Whether it needs no validation with these variables.
    pub fn takes(&self, variables: &Variables) -> bool {
        lock(&self.shapes).contains(&shape(&self.texts, variables))
    }

    /// Notes for how long at a time an execution has kept its thread.
    pub fn executed(&self, kept: Duration) {
        self.kept.store(u64::try_from(kept.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What it would run with these variables.
    pub fn operation(&self, variables: &Variables) -> Operation {
        let is_brief = self.kept.load(Ordering::Relaxed) < BRIEF_MICROS && self.takes(variables);
        Operation { is_brief, ..self.operation }
    }
}

/// The documents, by the digest of their text and of the name of the operation that is asked for.
#[derive(Default)]
pub struct ProvenDocuments(Mutex<Generations>);

/// What is found in the old generation moves to the young one; once that is full, it becomes the old one.
#[derive(Default)]
struct Generations {
    young: HashMap<Digest, Arc<Proven>>,
    old: HashMap<Digest, Arc<Proven>>,
    /// Of the young one's texts, in bytes.
    size: usize,
}

/// What names a request's document and variables.
pub struct Identified {
    digest: Digest,
    text: usize,
    variables: Variables,
}

impl ProvenDocuments {
    pub fn find(&self, request: &Request) -> Option<Arc<Proven>> {
        lock(&self.0).find(digest(request)?)
    }

    /// Remembers a document that was executed without an error. `identified` is the request.
    pub fn remember(
        &self,
        identified: Identified,
        document: &ExecutableDocument,
        asked: &Arc<Asked>,
        operation: Operation,
    ) {
        let Identified { digest, text, variables } = identified;
        let mut generations = lock(&self.0);
        let proven = generations.find(digest).unwrap_or_else(|| {
            let texts = operation::selected(document, asked.name.as_deref()).map(texts).unwrap_or_default();
            let (document, asked) = (document.clone(), Arc::clone(asked));
            let (shapes, kept) = (Mutex::default(), AtomicU64::new(u64::MAX));
            let proven = Arc::new(Proven { document, asked, operation, text, texts, shapes, kept });
            generations.keep(digest, Arc::clone(&proven));
            proven
        });
        let mut shapes = lock(&proven.shapes);
        if shapes.len() >= MAX_SHAPES {
            shapes.clear();
        }
        shapes.insert(shape(&proven.texts, &variables));
    }
}

impl Identified {
    /// None where the request's document is too long to be remembered.
    pub fn of(request: &Request) -> Option<Self> {
        Some(Self { digest: digest(request)?, text: request.query.len(), variables: request.variables.clone() })
    }
}

impl Generations {
    fn find(&mut self, digest: Digest) -> Option<Arc<Proven>> {
        if let Some(proven) = self.young.get(&digest) {
            return Some(Arc::clone(proven));
        }
        let proven = self.old.remove(&digest)?;
        self.keep(digest, Arc::clone(&proven));
        Some(proven)
    }

    fn keep(&mut self, digest: Digest, proven: Arc<Proven>) {
        if self.size + proven.text > MAX_TEXTS {
            self.old = std::mem::take(&mut self.young);
            self.size = 0;
        }
        self.size += proven.text;
        self.young.insert(digest, proven);
    }
}

fn digest(request: &Request) -> Option<Digest> {
    if request.query.len() > MAX_TEXT {
        return None;
    }
    let mut digest = Sha256::new();
    digest.update(request.query.len().to_le_bytes());
    digest.update(&request.query);
    // An empty name is none.
    digest.update(request.operation_name.as_deref().unwrap_or_default());
    Some(digest.finalize().into())
}

/// The variables of an operation whose types are texts without a form of their own.
fn texts(operation: &OperationDefinition) -> Vec<Name> {
    let definitions = operation.variable_definitions.iter().map(|definition| &definition.node);
    let texts = definitions
        .filter(|definition| matches!(definition.var_type.node.to_string().trim_end_matches('!'), "ID" | "String"));
    texts.map(|definition| definition.name.node.clone()).collect()
}

/// A digest of all that the validation of a document may find in its variables.
fn shape(texts: &[Name], variables: &Variables) -> Digest {
    let mut digest = Sha256::new();
    for (name, value) in variables.iter() {
        digest.update(name.len().to_le_bytes());
        digest.update(name.as_str());
        match value {
            // U+0000 is refused in any text.
            Value::String(text) if texts.contains(name) && !text.contains('\0') => digest.update([1]),
            value => {
                let value = value.to_string();
                digest.update([0]);
                digest.update(value.len().to_le_bytes());
                digest.update(value);
            }
        }
    }
    digest.finalize().into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use async_graphql::parser::types::OperationType;
    use async_graphql::value;

    use super::*;

    const QUERY: &str = "query($id: ID!, $first: Int, $kind: Kind) { a }";

    fn request(query: &str, variables: Value) -> Request {
        Request::new(query).variables(Variables::from_value(variables))
    }

    fn remember(known: &ProvenDocuments, request: &Request) {
        let document = parse_query(&request.query).unwrap();
        let asked = Arc::new(operation::asked(&document, None).unwrap());
        let operation = Operation { kind: OperationType::Query, root_fields: 1, is_brief: false };
        known.remember(Identified::of(request).unwrap(), &document, &asked, operation);
    }

    #[test]
    fn only_texts_may_be_others_when_a_document_comes_again() {
        let known = ProvenDocuments::default();
        remember(&known, &request(QUERY, value!({"id": "a", "first": 1, "kind": "REDIS"})));
        for (variables, takes) in [
            (value!({"id": "a", "first": 1, "kind": "REDIS"}), true),
            (value!({"id": "b", "first": 1, "kind": "REDIS"}), true),
            (value!({"id": "\0", "first": 1, "kind": "REDIS"}), false),
            (value!({"id": null, "first": 1, "kind": "REDIS"}), false),
            (value!({"id": 1, "first": 1, "kind": "REDIS"}), false),
            (value!({"id": "a", "first": 2, "kind": "REDIS"}), false),
            (value!({"id": "a", "first": 1, "kind": "OTHER"}), false),
            (value!({"id": "a", "first": 1}), false),
        ] {
            let request = request(QUERY, variables.clone());
            assert_eq!(known.find(&request).unwrap().takes(&request.variables), takes, "{variables}");
        }
        assert!(known.find(&request("{ a }", value!({}))).is_none());
        assert!(known.find(&request(QUERY, value!({})).operation_name("other")).is_none());
    }

    #[test]
    fn it_is_brief_as_long_as_it_was_the_last_time() {
        let known = ProvenDocuments::default();
        let asked = request(QUERY, value!({"id": "a", "first": 1}));
        let otherwise = request(QUERY, value!({"id": "a", "first": 2}));
        remember(&known, &asked);
        let proven = known.find(&asked).unwrap();
        assert!(!proven.operation(&asked.variables).is_brief);
        for (micros, is_brief) in [(BRIEF_MICROS - 1, true), (BRIEF_MICROS, false), (0, true)] {
            proven.executed(Duration::from_micros(micros));
            assert_eq!(proven.operation(&asked.variables).is_brief, is_brief, "{micros}");
            assert!(!proven.operation(&otherwise.variables).is_brief, "nothing is known of those variables");
        }
    }

    #[test]
    fn what_does_not_come_again_is_forgotten() {
        let known = ProvenDocuments::default();
        let numbered = |number: usize| request(&format!("{{ a{number} {} }}", " ".repeat(MAX_TEXT / 2)), value!({}));
        for number in 0..200 {
            remember(&known, &numbered(number));
            assert!(known.find(&numbered(0)).is_some(), "{number}");
        }
        let kept = (0..200).filter(|number| known.find(&numbered(*number)).is_some()).count();
        assert!((2..=2 * MAX_TEXTS / (MAX_TEXT / 2)).contains(&kept), "{kept}");
        assert!(Identified::of(&request(&" ".repeat(MAX_TEXT + 1), value!({}))).is_none());
    }
}
