//! GraphQL as it comes over the wire: over HTTP, over WebSocket, as an event stream. What they share is here as well: who
//! calls, what a request says, what the client wants to read, how a response is written, and how operations are run.

use std::sync::Arc;

use async_graphql_axum::GraphQLProtocol;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;

use super::{Parts, pages};
use crate::api::error::Error;

pub mod accept;
pub mod answer;
mod body;
mod caller;
pub mod execution;
mod http;
mod parameters;
mod stream;
mod websocket;

pub use caller::Caller;
pub use http::{other_method, post};

/// GET of the address that everything is at: a WebSocket, GraphiQL for a browser, or a query.
pub async fn get(
    State(parts): State<Arc<Parts>>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
    protocol: Result<GraphQLProtocol, StatusCode>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    match upgrade {
        Ok(upgrade) => return websocket::accept(parts, caller, &headers, protocol.ok(), upgrade),
        Err(rejection) if wants_websocket(&headers) => {
            let error = Error::bad_input("Upgrade", rejection.body_text());
            return answer::refusal(rejection.status(), error, accept::Media::Json);
        }
        Err(_) => {}
    }
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&uri).map(|Query(pairs)| pairs).unwrap_or_default();
    let has_query = pairs.iter().any(|(key, _)| key == "query");
    if parts.limiter.limits().graphiql && accept::prefers_html(&headers) && !has_query {
        return pages::graphiql_page(&headers);
    }
    http::get(parts, caller, &headers, pairs).await
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
}
