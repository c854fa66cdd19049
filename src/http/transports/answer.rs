//! GraphQL responses as they go out.

use std::time::Duration;

use async_graphql::{Response, ServerError, Value};
use async_graphql_axum::GraphQLResponse;
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

/// A response as the specification wants it written: `data` is there if and only if the operation was executed
/// (GraphQL specification, section 7.1).
#[derive(Serialize)]
pub struct Body<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}

impl<'a> Body<'a> {
    pub fn of(response: &'a Response) -> Self {
        Self { errors: &response.errors, data: was_executed(response).then_some(&response.data) }
    }
}

/// The response in its JSON form, without line breaks.
pub fn json(response: &Response) -> String {
    // Responses are made of values that all have a JSON form.
    serde_json::to_string(&Body::of(response)).unwrap_or_default()
}

/// Whether execution began. Errors from before it have no path, those of resolvers have one.
pub fn was_executed(response: &Response) -> bool {
    response.data != Value::Null || response.errors.iter().any(|error| !error.path.is_empty())
}

/// The answer to a well-formed request.
pub fn of(response: Response, media: Media) -> axum::response::Response {
    if !was_executed(&response) {
        return write(refused(&response, media), &Body::of(&response), media);
    }
    let partial = StatusCode::from_u16(PARTIAL_SUCCESS).unwrap_or_default();
    let status = match media {
        Media::GraphqlResponse if !response.errors.is_empty() => partial,
        _ => StatusCode::OK,
    };
    let mut answer = GraphQLResponse::from(response).into_response();
    answer.headers_mut().remove(header::CONTENT_TYPE);
    (status, [(header::CONTENT_TYPE, media.content_type())], HEADERS, answer).into_response()
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
    write(StatusCode::OK, &responses.iter().map(Body::of).collect::<Vec<_>>(), media)
}

/// The answer to what is no request that could be executed.
pub fn refusal(status: StatusCode, error: Error, media: Media) -> axum::response::Response {
    write(status, &Body::of(&error.into_response()), media)
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

fn write(status: StatusCode, body: &impl Serialize, media: Media) -> axum::response::Response {
    // Responses are made of values that all have a JSON form.
    let body = serde_json::to_vec(body).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, media.content_type())], HEADERS, body).into_response()
}
