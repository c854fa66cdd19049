//! GraphQL over HTTP (graphql.github.io/graphql-over-http/draft).

use async_graphql::Request;
use async_graphql::parser::types::OperationType;
use axum::Extension;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use futures_util::StreamExt;

use super::accept::{self, Accepted, Media};
use super::{MAX_BODY, Parts, answer, event_stream, pages, parameters, websocket};
use crate::api::error::{Code, Error};
use crate::api::{self, RequestId};

/// How much of a body that is too large is read and thrown away, in bytes, so that its sender gets to read the answer.
const MAX_DRAIN: usize = 8 * MAX_BODY;

pub async fn post(
    State(parts): State<Parts>,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(accepted) = Accepted::by(&headers) else { return not_acceptable() };
    let media = accepted.media();
    // Other types could be sent by a page of any site without asking first (CSRF), so they are never executed.
    if !is_json(&headers) {
        let error = Error::bad_input("Content-Type", "Send application/json, in UTF-8.");
        return answer::refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, error, media);
    }
    let bytes = match read(body).await {
        Ok(bytes) => bytes,
        Err((status, message)) => return answer::refusal(status, Error::bad_input("body", message), media),
    };
    let request = serde_json::from_slice(&bytes)
        .map_err(|_| Error::bad_input("body", "The body is not JSON in UTF-8."))
        .and_then(parameters::from_json);
    match request {
        Ok(request) => execute(&parts, request_id, &headers, request, accepted, &Method::POST).await,
        Err(error) => answer::refusal(StatusCode::BAD_REQUEST, error, media),
    }
}

pub async fn get(
    State(parts): State<Parts>,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    match upgrade {
        Ok(upgrade) => return websocket::accept(parts, request_id, &headers, upgrade),
        Err(rejection) if wants_websocket(&headers) => {
            let error = Error::bad_input("Upgrade", rejection.body_text());
            return answer::refusal(rejection.status(), error, Media::Json);
        }
        Err(_) => {}
    }
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&uri).map(|Query(pairs)| pairs).unwrap_or_default();
    if accept::prefers_html(&headers) && !pairs.iter().any(|(key, _)| key == "query") {
        return pages::graphiql(headers).await;
    }
    let Some(accepted) = Accepted::by(&headers) else { return not_acceptable() };
    match parameters::from_pairs(pairs) {
        Ok(request) => execute(&parts, request_id, &headers, request, accepted, &Method::GET).await,
        Err(error) => answer::refusal(StatusCode::BAD_REQUEST, error, accepted.media()),
    }
}

pub async fn other_method() -> Response {
    let error = Error::new(Code::BadUserInput, "Use POST, or GET for queries.");
    let mut response = answer::refusal(StatusCode::METHOD_NOT_ALLOWED, error, Media::Json);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
    response
}

async fn execute(
    parts: &Parts,
    request_id: RequestId,
    headers: &HeaderMap,
    mut request: Request,
    accepted: Accepted,
    method: &Method,
) -> Response {
    let media = accepted.media();
    let operation = api::operation_type(&mut request);
    let streams = accepted.wants_events(operation);
    match operation {
        Some(OperationType::Subscription) if !streams => {
            let message = "Subscriptions go over a WebSocket at this address, or to who accepts text/event-stream.";
            return answer::refusal(StatusCode::BAD_REQUEST, Error::bad_input("query", message), media);
        }
        Some(OperationType::Mutation) if method != Method::POST => {
            let error = Error::bad_input("query", "Mutations are sent by POST.");
            let mut response = answer::refusal(StatusCode::METHOD_NOT_ALLOWED, error, media);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        _ => {}
    }
    let identity = parts.identify(authorization(headers)).await;
    let request = request.data(identity).data(request_id);
    if streams {
        return event_stream::answer(parts, request);
    }
    answer::of(&parts.schema.execute(request).await, media)
}

/// The Authorization header; one that is no text is as good as one that is no token.
pub fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default())
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
}

fn not_acceptable() -> Response {
    let error =
        Error::bad_input("Accept", "Accept application/graphql-response+json, application/json or text/event-stream.");
    answer::refusal(StatusCode::NOT_ACCEPTABLE, error, Media::Json)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.filter_map(|part| part.split_once('=')).all(|(key, value)| {
        !key.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    is_json && is_utf8
}

async fn read(body: Body) -> Result<Vec<u8>, (StatusCode, &'static str)> {
    let mut bytes = Vec::new();
    let mut length = 0;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| (StatusCode::BAD_REQUEST, "The body could not be read."))?;
        length += chunk.len();
        if length <= MAX_BODY {
            bytes.extend_from_slice(&chunk);
        } else if length <= MAX_DRAIN {
            bytes = Vec::new();
        } else {
            break;
        }
    }
    if length <= MAX_BODY { Ok(bytes) } else { Err((StatusCode::PAYLOAD_TOO_LARGE, "The body is over 1 MiB.")) }
}
