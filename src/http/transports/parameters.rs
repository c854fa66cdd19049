//! The parameters of a GraphQL request, however they came (GraphQL over HTTP, "Request Parameters").

use async_graphql::{Request, Value as Argument, Variables};
use serde_json::{Map, Value};

use crate::api::error::Error;

/// What one HTTP request asks for.
pub enum Asked {
    One(Box<Result<Request, Error>>),
    /// A batch.
    Many(Vec<Result<Request, Error>>),
}

/// Reads what stands in a body of JSON.
pub fn from_body(bytes: &[u8]) -> Asked {
    // The library's own type for both keeps all of a body before it tells which of them it is.
    let is_batch = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    // It also takes a request without a query for one that is empty.
    if is_batch {
        match serde_json::from_slice::<Vec<Request>>(bytes) {
            Ok(requests) if !requests.is_empty() && requests.iter().all(|request| !request.query.is_empty()) => {
                Asked::Many(requests.into_iter().map(|request| Ok(tidy(request))).collect())
            }
            _ => explain(bytes),
        }
    } else {
        match serde_json::from_slice::<Request>(bytes) {
            Ok(request) if !request.query.is_empty() => Asked::One(Box::new(Ok(tidy(request)))),
            _ => explain(bytes),
        }
    }
}

/// The same of what the library can't read, with what is wrong with it.
fn explain(bytes: &[u8]) -> Asked {
    match serde_json::from_slice(bytes) {
        Ok(Value::Array(requests)) => Asked::Many(requests.into_iter().map(from_json).collect()),
        Ok(request) => Asked::One(Box::new(from_json(request))),
        Err(_) => Asked::One(Box::new(Err(Error::bad_input("body", "The body is not JSON in UTF-8.")))),
    }
}

/// An empty name is none.
fn tidy(mut request: Request) -> Request {
    request.operation_name.take_if(|name| name.is_empty());
    request
}

impl Asked {
    /// About how much memory it takes, in bytes.
    pub fn weight(&self) -> usize {
        let weight_of = |request: &Result<Request, Error>| request.as_ref().map_or(0, weight);
        match self {
            Self::One(request) => weight_of(request),
            Self::Many(requests) => requests.iter().map(weight_of).sum(),
        }
    }
}

/// Reads a request from the JSON object that stands for it. Unknown members are ignored.
pub fn from_json(value: Value) -> Result<Request, Error> {
    let Value::Object(mut members) = value else {
        return Err(Error::bad_input("body", "Send a JSON object with a query."));
    };
    let query = match members.remove("query") {
        Some(Value::String(query)) => query,
        Some(_) => return Err(Error::bad_input("query", "The parameter query must be a string.")),
        None => return Err(Error::bad_input("query", "The parameter query is missing.")),
    };
    let operation_name = match members.remove("operationName") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()),
        Some(_) => return Err(Error::bad_input("operationName", "The parameter operationName must be a string.")),
    };
    let variables = object(&mut members, "variables")?;
    let extensions = object(&mut members, "extensions")?;
    let mut request = Request::new(query).variables(Variables::from_json(variables));
    // Nobody reads them; they take their room.
    request.extensions = serde_json::from_value(extensions).unwrap_or_default();
    request.operation_name = operation_name;
    Ok(request)
}

/// Reads a request from the pairs of a URL's query, in which objects stand as JSON. Nothing but these four parameters
/// is looked at: a token in an address would end up in logs.
pub fn from_pairs(pairs: Vec<(String, String)>) -> Result<Request, Error> {
    let mut members = Map::new();
    for (key, text) in pairs {
        let value = match key.as_str() {
            "query" | "operationName" => Value::String(text),
            "variables" | "extensions" if text.is_empty() => Value::Null,
            "variables" | "extensions" => serde_json::from_str(&text)
                .map_err(|_| Error::bad_input(&key, format!("The parameter {key} must be JSON.")))?,
            _ => continue,
        };
        members.insert(key, value);
    }
    from_json(Value::Object(members))
}

/// About how much memory a request takes, in bytes: many times its text, when its variables are lists of next to nothing.
pub fn weight(request: &Request) -> usize {
    let member = |name: &str, value| size_of::<String>() + name.len() + weight_of(value);
    let variables = request.variables.iter().map(|(name, value)| member(name, value));
    let extensions = request.extensions.0.iter().map(|(name, value)| member(name, value));
    size_of::<Request>() + request.query.len() + variables.chain(extensions).sum::<usize>()
}

fn weight_of(value: &Argument) -> usize {
    let within = match value {
        Argument::String(text) => text.len(),
        Argument::Enum(name) => name.len(),
        Argument::Binary(bytes) => bytes.len(),
        Argument::List(values) => values.iter().map(weight_of).sum(),
        Argument::Object(members) => {
            members.iter().map(|(name, value)| size_of::<String>() + name.len() + weight_of(value)).sum()
        }
        Argument::Null | Argument::Boolean(_) | Argument::Number(_) => 0,
    };
    size_of::<Argument>() + within
}

fn object(members: &mut Map<String, Value>, name: &str) -> Result<Value, Error> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(Value::Object(Map::new())),
        Some(value @ Value::Object(_)) => Ok(value),
        Some(_) => Err(Error::bad_input(name, format!("The parameter {name} must be a JSON object."))),
    }
}
