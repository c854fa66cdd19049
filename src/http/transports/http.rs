//! GraphQL over HTTP (graphql.github.io/graphql-over-http/draft).

use async_graphql::Request;
use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::timeout;

use super::accept::{Accepted, Media};
use super::caller::{Caller, authorization};
use super::execution::Signed;
use super::{answer, event_stream, parameters};
use crate::api::error::{Code, Error};
use crate::api::{self, Identity};
use crate::http::{Limits, Parts};

/// How much of a body that is too large is read and thrown away, in multiples of what is taken, so that its sender gets to
/// read the answer.
const DRAIN: usize = 8;

pub async fn post(State(parts): State<Parts>, caller: Caller, headers: HeaderMap, body: Body) -> Response {
    let Some(accepted) = Accepted::by(&headers) else { return not_acceptable() };
    let media = accepted.media();
    // Other types could be sent by a page of any site without asking first (CSRF), so they are never executed.
    if !is_json(&headers) {
        let error = Error::bad_input("Content-Type", "Send application/json, in UTF-8.");
        return answer::refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, error, media);
    }
    let identity = parts.identify(authorization(&headers)).await;
    if let Err(excess) = parts.limiter.count(&identity, caller.address.0) {
        return answer::too_many(excess, media);
    }
    let Limits { body: most, request_time, batch, .. } = *parts.limiter.limits();
    let bytes = match timeout(request_time, read(body, most)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err((status, message))) => return answer::refusal(status, Error::bad_input("body", message), media),
        Err(_) => {
            let error = Error::bad_input("body", "The body took too long to come.");
            let mut response = answer::refusal(StatusCode::REQUEST_TIMEOUT, error, media);
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
    };
    let operations = Operations { parts: &parts, caller, identity, method: Method::POST, accepted };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Array(requests)) if batch < 2 || requests.is_empty() || requests.len() > batch => {
            let message = match batch {
                0 | 1 => "Batches are switched off: send one JSON object with a query.".to_owned(),
                _ => format!("A batch has from 1 to {batch} requests."),
            };
            answer::refusal(StatusCode::BAD_REQUEST, Error::bad_input("body", message), media)
        }
        Ok(Value::Array(requests)) => {
            for _ in 1..requests.len() {
                if let Err(excess) = parts.limiter.count(&operations.identity, operations.caller.address.0) {
                    return answer::too_many(excess, media);
                }
            }
            let responses = requests.into_iter().map(async |request| match parameters::from_json(request) {
                Ok(request) => operations.one_of_many(request).await.unwrap_or_else(|(_, error)| error.into_response()),
                Err(error) => error.into_response(),
            });
            answer::of_batch(&join_all(responses).await, media)
        }
        Ok(request) => operations.answer(parameters::from_json(request)).await,
        Err(_) => {
            let error = Error::bad_input("body", "The body is not JSON in UTF-8.");
            answer::refusal(StatusCode::BAD_REQUEST, error, media)
        }
    }
}

/// Runs the query that stands in the address, in its `pairs`.
pub async fn get(parts: Parts, caller: Caller, headers: &HeaderMap, pairs: Vec<(String, String)>) -> Response {
    let Some(accepted) = Accepted::by(headers) else { return not_acceptable() };
    let identity = parts.identify(authorization(headers)).await;
    if let Err(excess) = parts.limiter.count(&identity, caller.address.0) {
        return answer::too_many(excess, accepted.media());
    }
    let operations = Operations { parts: &parts, caller, identity, method: Method::GET, accepted };
    operations.answer(parameters::from_pairs(pairs)).await
}

pub async fn other_method() -> Response {
    let error = Error::new(Code::BadUserInput, "Use POST, or GET for queries.");
    let mut response = answer::refusal(StatusCode::METHOD_NOT_ALLOWED, error, Media::Json);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
    response
}

/// Executes what one HTTP request asks for.
struct Operations<'a> {
    parts: &'a Parts,
    caller: Caller,
    identity: Identity,
    method: Method,
    accepted: Accepted,
}

impl Operations<'_> {
    async fn answer(&self, request: Result<Request, Error>) -> Response {
        let media = self.accepted.media();
        let mut request = match request {
            Ok(request) => request,
            Err(error) => return answer::refusal(StatusCode::BAD_REQUEST, error, media),
        };
        let operation = api::operation_type(&self.parts.schema, &mut request);
        let streams = self.accepted.wants_events(operation);
        let answered = match self.check(operation, streams) {
            Ok(()) if streams => return event_stream::answer(self.parts, operation, self.signed(request)),
            Ok(()) => self.execute(request).await,
            Err(refusal) => Err(refusal),
        };
        match answered {
            Ok(response) => answer::of(&response, media),
            Err((status, error)) => {
                let mut response = answer::refusal(status, error, media);
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
                }
                response
            }
        }
    }

    /// A batch is answered as a whole, so nothing in it is streamed.
    async fn one_of_many(&self, mut request: Request) -> Result<async_graphql::Response, (StatusCode, Error)> {
        self.check(api::operation_type(&self.parts.schema, &mut request), false)?;
        self.execute(request).await
    }

    /// Fails with why the operation can't be executed this way.
    fn check(&self, operation: Option<OperationType>, streams: bool) -> Result<(), (StatusCode, Error)> {
        match operation {
            Some(OperationType::Subscription) if !streams => {
                let message = "Subscriptions go over a WebSocket at this address, or to who accepts text/event-stream.";
                Err((StatusCode::BAD_REQUEST, Error::bad_input("query", message)))
            }
            Some(OperationType::Mutation) if self.method != Method::POST => {
                Err((StatusCode::METHOD_NOT_ALLOWED, Error::bad_input("query", "Mutations are sent by POST.")))
            }
            _ => Ok(()),
        }
    }

    async fn execute(&self, request: Request) -> Result<async_graphql::Response, (StatusCode, Error)> {
        let executed = self.parts.execute(self.signed(request)).await;
        executed.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error))
    }

    fn signed(&self, request: Request) -> Signed {
        let Caller { request_id, address, slot } = self.caller.clone();
        Signed { request, id: request_id, identity: self.identity.clone(), address: address.0, slot }
    }
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

/// A body of at most `most` bytes.
async fn read(body: Body, most: usize) -> Result<Vec<u8>, (StatusCode, String)> {
    let mut bytes = Vec::new();
    let mut length = 0;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| (StatusCode::BAD_REQUEST, "The body could not be read.".to_owned()))?;
        length += chunk.len();
        if length <= most {
            bytes.extend_from_slice(&chunk);
        } else if length <= most.saturating_mul(DRAIN) {
            bytes = Vec::new();
        } else {
            break;
        }
    }
    if length > most {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, format!("The body is over {most} bytes.")));
    }
    Ok(bytes)
}
