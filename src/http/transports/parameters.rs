//! The parameters of a GraphQL request, however they came (GraphQL over HTTP, "Request Parameters").

use async_graphql::{Request, Variables};
use serde_json::{Map, Value};

use crate::api::error::Error;

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
    object(&mut members, "extensions")?;
    let mut request = Request::new(query).variables(Variables::from_json(variables));
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

/// About how much memory a value takes, in bytes: many times its text, when it is a list of next to nothing.
pub fn weight(value: &Value) -> usize {
    let within = match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weight).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| size_of::<String>() + name.len() + weight(value)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    size_of::<Value>() + within
}

fn object(members: &mut Map<String, Value>, name: &str) -> Result<Value, Error> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(Value::Object(Map::new())),
        Some(value @ Value::Object(_)) => Ok(value),
        Some(_) => Err(Error::bad_input(name, format!("The parameter {name} must be a JSON object."))),
    }
}
