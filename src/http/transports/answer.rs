//! GraphQL responses as they go out.

use std::time::Duration;

use async_graphql::{Response, ServerError, Value};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;

use super::accept::Media;
use crate::api::error::{Code, Error, retry_seconds};
use crate::http::limits::{Excess, Full, RETRY};

/// Of an operation that was executed, with errors in its result (GraphQL over HTTP, release September 2026).
const PARTIAL_SUCCESS: u16 = 294;

/// What all answers have in common.
pub const HEADERS: [(HeaderName, &str); 3] = [
    // An answer may hold revealed credentials.
    (header::CACHE_CONTROL, "no-store"),
    (header::VARY, "Accept"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// The response in its JSON form, without line breaks, as the specification wants it written: `data` is there if and only if
/// the operation was executed (GraphQL specification, section 7.1).
pub fn json(response: &Response) -> String {
    let mut out = vec![b'{'];
    if !response.errors.is_empty() {
        out.extend_from_slice(b"\"errors\":");
        put_as_is(&response.errors, &mut out);
    }
    if was_executed(response) {
        out.extend_from_slice(if response.errors.is_empty() { b"\"data\":" } else { b",\"data\":" });
        put(&response.data, &mut out);
    }
    out.push(b'}');
    // Lists write names, and texts as JSON has them.
    String::from_utf8(out).unwrap_or_default()
}

/// Writes a value. Of what lists have written themselves it is a copy.
fn put(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Binary(json) => out.extend_from_slice(json),
        Value::List(values) => {
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put(value, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_as_is(name, out);
                out.push(b':');
                put(value, out);
            }
            out.push(b'}');
        }
        value => put_as_is(value, out),
    }
}

fn put_as_is(value: &impl Serialize, out: &mut Vec<u8>) {
    // Responses are made of values that all have a JSON form.
    let _ = serde_json::to_writer(out, value);
}

/// Whether execution began. Errors from before it have no path, those of resolvers have one.
pub fn was_executed(response: &Response) -> bool {
    response.data != Value::Null || response.errors.iter().any(|error| !error.path.is_empty())
}

/// The answer to a well-formed request.
pub fn of(response: &Response, media: Media) -> axum::response::Response {
    let partial = StatusCode::from_u16(PARTIAL_SUCCESS).unwrap_or_default();
    let status = match media {
        _ if !was_executed(response) => refused(response, media),
        Media::GraphqlResponse if !response.errors.is_empty() => partial,
        _ => StatusCode::OK,
    };
    write(status, json(response), media)
}

/// The status of what was not executed: 400 for a document that can't be parsed, 422 for one that is not valid or whose
/// variables are not. Who reads `application/json` can't know whose status it is, and gets 200.
fn refused(response: &Response, media: Media) -> StatusCode {
    let is = |code: Code| response.errors.iter().any(|error| code_of(error) == Some(&Value::from(code.as_str())));
    match media {
        _ if is(Code::InternalServerError) => StatusCode::INTERNAL_SERVER_ERROR,
        Media::Json => StatusCode::OK,
        Media::GraphqlResponse if is(Code::GraphqlParseFailed) => StatusCode::BAD_REQUEST,
        Media::GraphqlResponse => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// The answers to the requests of a batch.
pub fn of_batch(responses: &[Response], media: Media) -> axum::response::Response {
    let responses: Vec<_> = responses.iter().map(json).collect();
    write(StatusCode::OK, format!("[{}]", responses.join(",")), media)
}

/// The answer to what is no request that could be executed.
pub fn refusal(status: StatusCode, error: Error, media: Media) -> axum::response::Response {
    write(status, json(&error.into_response()), media)
}

/// The answer to one request too many. 429 in either media type, since the request was not even read.
pub fn too_many(excess: Excess, media: Media) -> axum::response::Response {
    let after = excess.after;
    try_later(StatusCode::TOO_MANY_REQUESTS, excess.into(), after, media)
}

/// The answer to what there is no memory for now.
pub fn no_room(full: Full, media: Media) -> axum::response::Response {
    let status = match full {
        Full::Share => StatusCode::TOO_MANY_REQUESTS,
        Full::Total => StatusCode::SERVICE_UNAVAILABLE,
    };
    try_later(status, full.into(), RETRY, media)
}

fn try_later(status: StatusCode, error: Error, after: Duration, media: Media) -> axum::response::Response {
    let mut response = refusal(status, error, media);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_seconds(after)));
    response
}

fn code_of(error: &ServerError) -> Option<&Value> {
    error.extensions.as_ref().and_then(|extensions| extensions.get("code"))
}

fn write(status: StatusCode, body: String, media: Media) -> axum::response::Response {
    (status, [(header::CONTENT_TYPE, media.content_type())], HEADERS, body).into_response()
}
