//! Checks a request's variables against the types that the operation declares for them (GraphQL specification,
//! section 6.1.2), so that a wrong value is told by its name before anything is executed.

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition};
use async_graphql::registry::{MetaType, MetaTypeName, Registry};
use async_graphql::{Positioned, ServerError, Value, Variables};

use super::operation;
use crate::api::error::Error;

/// Has each variable that may be null and is an Int be null where it is not given. What a page costs is told by its sizes, and
/// there the library takes a variable that is not given for one that is not declared.
pub fn default_to_null(document: &mut ExecutableDocument) {
    let operations: Vec<&mut Positioned<OperationDefinition>> = match &mut document.operations {
        DocumentOperations::Single(operation) => vec![operation],
        DocumentOperations::Multiple(operations) => operations.values_mut().collect(),
    };
    let variables = operations.into_iter().flat_map(|operation| &mut operation.node.variable_definitions);
    for variable in variables.filter(|variable| variable.node.var_type.node.to_string() == "Int") {
        variable.node.default_value.get_or_insert(Positioned::new(Value::Null, variable.pos));
    }
}

/// The first variable of the operation that is missing or of another type. A type that does not exist is left to the
/// validation of the document.
pub fn check(
    registry: &Registry,
    document: &ExecutableDocument,
    operation_name: Option<&str>,
    variables: &Variables,
) -> Result<(), ServerError> {
    let Some(operation) = operation::selected(document, operation_name) else { return Ok(()) };
    for definition in &operation.variable_definitions {
        let name = definition.node.name.node.as_str();
        let declared = definition.node.var_type.node.to_string();
        let wrong = match variables.get(&definition.node.name.node) {
            Some(value) => mismatch(registry, &declared, value, &mut vec![name]),
            None if definition.node.default_value.is_none() && declared.ends_with('!') => Some(Mismatch {
                field: name.to_owned(),
                message: format!("The variable ${name} of type {declared} is missing."),
            }),
            None => None,
        };
        if let Some(wrong) = wrong {
            let mut error = Error::bad_input(&wrong.field, wrong.message).into_server_error();
            error.locations = vec![definition.pos];
            return Err(error);
        }
    }
    Ok(())
}

struct Mismatch {
    field: String,
    message: String,
}

fn mismatch<'a>(
    registry: &'a Registry,
    declared: &'a str,
    value: &'a Value,
    path: &mut Vec<&'a str>,
) -> Option<Mismatch> {
    let refuse = |path: &[&str], why: String| {
        let field = path.last().copied().unwrap_or_default().to_owned();
        Some(Mismatch { field, message: format!("The variable ${}: {why}", path.join(".")) })
    };
    match (MetaTypeName::create(declared), value) {
        (MetaTypeName::NonNull(_), Value::Null) => refuse(path, format!("null is not a {declared}.")),
        (MetaTypeName::NonNull(inner), value) => mismatch(registry, inner, value, path),
        (_, Value::Null) => None,
        (MetaTypeName::List(item), Value::List(values)) => {
            values.iter().find_map(|value| mismatch(registry, item, value, path))
        }
        (MetaTypeName::List(item), value) => mismatch(registry, item, value, path),
        (MetaTypeName::Named(name), value) => match registry.types.get(name)? {
            MetaType::Scalar { is_valid, .. } => {
                let fits = is_valid.as_ref().is_none_or(|is_valid| is_valid(value)) && in_range(name, value);
                if fits { None } else { refuse(path, format!("the value is not of type {name}.")) }
            }
            MetaType::Enum { enum_values, .. } => {
                let known = match value {
                    Value::Enum(text) => enum_values.contains_key(text.as_str()),
                    Value::String(text) => enum_values.contains_key(text),
                    _ => false,
                };
                let values: Vec<&str> = enum_values.keys().map(String::as_str).collect();
                if known { None } else { refuse(path, format!("a {name} is one of {}.", values.join(", "))) }
            }
            MetaType::InputObject { input_fields, .. } => {
                let Value::Object(given) = value else { return refuse(path, format!("the value is not a {name}.")) };
                for field in input_fields.values() {
                    path.push(&field.name);
                    let wrong = match given.get(field.name.as_str()) {
                        Some(value) => mismatch(registry, &field.ty, value, path),
                        None if field.ty.ends_with('!') && field.default_value.is_none() => {
                            refuse(path, format!("the value of type {} is missing.", field.ty))
                        }
                        None => None,
                    };
                    if wrong.is_some() {
                        return wrong;
                    }
                    path.pop();
                }
                let unknown = given.keys().map(|key| key.as_str()).find(|key| !input_fields.contains_key(*key))?;
                path.push(unknown);
                refuse(path, format!("a {name} has no such field."))
            }
            _ => None,
        },
    }
}

/// Int is 32 bits wide (GraphQL specification, section 3.5.1); the library finds that out only when it resolves.
fn in_range(scalar: &str, value: &Value) -> bool {
    match (scalar, value) {
        ("Int", Value::Number(number)) => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        _ => true,
    }
}
