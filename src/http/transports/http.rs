//! GraphQL over HTTP (http-spec.graphql.org/September2026).
//!
//! Of async-graphql-axum the protocol tells WebSockets that speak GraphQL. Ours is the rest of it, because that crate
//! - executes mutations that come by GET, and bodies of other types, which a page of any site can send unasked;
//! - takes a request without a query, and says of a bad one neither which parameter it is nor that in GraphQL;
//! - answers in one media type, whatever `Accept` says, with 200 for what was not executed, and `data` in it;
//! - puts no `payload` around the parts of a multipart subscription, which Apollo's client waits for;
//! - closes WebSockets by 1002 and 1011 where the protocol has 4403 and 4401, knows neither 4408 nor 4409 nor 4429, never
//!   pings, and bounds neither what a client sends nor how much it runs.

use std::sync::Arc;

use async_graphql::Request;
use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures_util::future::join_all;

use super::accept::{Accepted, Media};
use super::caller::{Caller, authorization};
use super::execution::Signed;
use super::parameters::{self, Asked};
use super::{answer, body, stream};
use crate::api::error::Error;
use crate::api::{self, Identity};
use crate::http::Parts;
use crate::http::limits::{Excess, HeldBytes};

pub async fn post(State(parts): State<Arc<Parts>>, caller: Caller, headers: HeaderMap, body: Body) -> Response {
    let Some(accepted) = Accepted::by(&headers) else { return not_acceptable() };
    let media = accepted.media();
    // Other types could be sent by a page of any site without asking first (CSRF), so they are never executed.
    if !is_json(&headers) {
        let error = Error::bad_input("Content-Type", "Send application/json, in UTF-8.");
        return answer::refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, error, media);
    }
    let identity = parts.identify(authorization(&headers)).await;
    if let Err(excess) = parts.limiter.count(&identity, caller.address.0, 1) {
        return answer::too_many(excess, media);
    }
    let mut held = parts.limiter.hold(&identity, caller.address.0);
    let received = body::receive(&parts.limiter, &identity, &headers, body, &mut held).await;
    let asked = match received {
        Ok(bytes) => parameters::from_body(&bytes),
        Err(refusal) => return refusal.answer(media),
    };
    if let Err(full) = held.replace(asked.weight()) {
        return answer::no_room(full, media);
    }
    let operations =
        Operations { parts: &parts, caller, identity, method: Method::POST, accepted, held: Arc::new(held) };
    match asked {
        Asked::Many(requests) => operations.answer_batch(requests).await,
        Asked::One(request) => operations.answer(*request).await,
    }
}

/// Runs the query that stands in the address, in its `pairs`.
pub async fn get(parts: Arc<Parts>, caller: Caller, headers: &HeaderMap, pairs: Vec<(String, String)>) -> Response {
    let Some(accepted) = Accepted::by(headers) else { return not_acceptable() };
    let identity = parts.identify(authorization(headers)).await;
    if let Err(excess) = parts.limiter.count(&identity, caller.address.0, 1) {
        return answer::too_many(excess, accepted.media());
    }
    let mut held = parts.limiter.hold(&identity, caller.address.0);
    if let Err(full) = held.grow(pairs.iter().map(|(key, text)| key.len() + text.len()).sum()) {
        return answer::no_room(full, accepted.media());
    }
    let operations =
        Operations { parts: &parts, caller, identity, method: Method::GET, accepted, held: Arc::new(held) };
    operations.answer(parameters::from_pairs(pairs)).await
}

pub async fn other_method() -> Response {
    let error = Error::bad_input("method", "Use POST, or GET for queries.");
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
    held: Arc<HeldBytes>,
}

/// Why an operation is not executed.
enum Refusal {
    Status(StatusCode, Error),
    TooMany(Excess),
}

impl Operations<'_> {
    async fn answer(&self, request: Result<Request, Error>) -> Response {
        let media = self.accepted.media();
        let mut request = match request {
            Ok(request) => request,
            Err(error) => return answer::refusal(StatusCode::BAD_REQUEST, error, media),
        };
        let operation = api::operation(&self.parts.schema, &mut request);
        let kind = operation.map(|operation| operation.kind);
        let is_brief = operation.is_some_and(|operation| operation.is_brief);
        let framing = self.accepted.framing(kind);
        let answered = match (self.check(operation, framing.is_some()), framing) {
            (Ok(()), Some(framing)) => return stream::answer(self.parts, kind, self.signed(request, false), framing),
            (Ok(()), None) => self.execute(request, is_brief).await,
            (Err(refusal), _) => Err(refusal),
        };
        match answered {
            Ok(response) => answer::of(&response, media),
            Err(Refusal::TooMany(excess)) => answer::too_many(excess, media),
            Err(Refusal::Status(status, error)) => {
                let mut response = answer::refusal(status, error, media);
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
                }
                response
            }
        }
    }

    /// A batch is answered as a whole, so nothing in it is streamed.
    async fn answer_batch(&self, requests: Vec<Result<Request, Error>>) -> Response {
        let (media, most) = (self.accepted.media(), self.parts.limiter.limits().batch);
        if most < 2 || requests.is_empty() || requests.len() > most {
            let message = match most {
                0 | 1 => "Batches are switched off: send one JSON object with a query.".to_owned(),
                _ => format!("A batch has from 1 to {most} requests."),
            };
            return answer::refusal(StatusCode::BAD_REQUEST, Error::bad_input("body", message), media);
        }
        // The first one was counted when it came.
        let others = u32::try_from(requests.len() - 1).unwrap_or(u32::MAX);
        if let Err(excess) = self.parts.limiter.count(&self.identity, self.caller.address.0, others) {
            return answer::too_many(excess, media);
        }
        let responses = requests.into_iter().map(async |request| match request {
            Ok(request) => self.one_of_many(request).await.unwrap_or_else(|refusal| match refusal {
                Refusal::Status(_, error) => error.into_response(),
                Refusal::TooMany(excess) => Error::from(excess).into_response(),
            }),
            Err(error) => error.into_response(),
        });
        answer::of_batch(&join_all(responses).await, media)
    }

    async fn one_of_many(&self, mut request: Request) -> Result<async_graphql::Response, Refusal> {
        self.check(api::operation(&self.parts.schema, &mut request), false)?;
        // Many of them together are not brief.
        self.execute(request, false).await
    }

    /// Fails with why the operation can't be executed this way, or not now. Its first root field was counted when it came.
    fn check(&self, operation: Option<api::Operation>, streams: bool) -> Result<(), Refusal> {
        let Some(operation) = operation else { return Ok(()) };
        match operation.kind {
            OperationType::Subscription if !streams => {
                let message = "Subscriptions go over a WebSocket at this address, or to who accepts text/event-stream \
                               or multipart/mixed; subscriptionSpec=1.0.";
                return Err(Refusal::Status(StatusCode::BAD_REQUEST, Error::bad_input("query", message)));
            }
            OperationType::Mutation if self.method != Method::POST => {
                let error = Error::bad_input("query", "Mutations are sent by POST.");
                return Err(Refusal::Status(StatusCode::METHOD_NOT_ALLOWED, error));
            }
            _ => {}
        }
        let counted = self.parts.limiter.count(&self.identity, self.caller.address.0, operation.root_fields - 1);
        counted.map_err(Refusal::TooMany)
    }

    async fn execute(&self, request: Request, is_brief: bool) -> Result<async_graphql::Response, Refusal> {
        let executed = self.parts.execute(self.signed(request, is_brief)).await;
        executed.map_err(|error| Refusal::Status(StatusCode::SERVICE_UNAVAILABLE, error))
    }

    fn signed(&self, request: Request, is_brief: bool) -> Signed {
        let Caller { request_id, address, slot, .. } = self.caller.clone();
        let (identity, held) = (self.identity.clone(), Arc::clone(&self.held));
        Signed { request, id: request_id, identity, address: address.0, slot, held, is_brief }
    }
}

fn not_acceptable() -> Response {
    let message = "Accept application/graphql-response+json, application/json, text/event-stream, or multipart/mixed \
                   with subscriptionSpec=1.0.";
    let error = Error::bad_input("Accept", message);
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
