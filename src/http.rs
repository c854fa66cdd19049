//! The wire: routes, tokens, GraphQL over HTTP and over WebSocket and server-sent events, pages, health.
//!
//! It knows the schema as something that answers requests, and no use case. What it refuses itself it refuses with the
//! same error shape and codes as the schema.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{Identity, Schema};
use crate::auth::Verifier;

mod accept;
mod admission;
mod answer;
mod client_address;
mod crowd;
mod event_stream;
mod execution;
mod graphql;
mod health;
mod metrics;
mod origin;
mod pages;
mod parameters;
mod request_id;
mod serve;
mod trace;
mod turns;
mod websocket;

pub use admission::{Admission, Limits};
pub use client_address::ClientAddress;
pub use execution::Executor;
pub use health::{Readiness, Ready};
pub use metrics::{Metrics, metrics_router};
pub use origin::{Origin, OriginError};
pub use serve::serve;

/// What the routes need.
#[derive(Clone)]
pub struct Parts {
    pub schema: Schema,
    /// Where operations are executed: an [`Executor`]'s threads.
    pub executor: Handle,
    pub verifier: Arc<Verifier>,
    pub readiness: Readiness,
    /// Pages of other origins than the server's own that may use the API.
    pub allowed_origins: Arc<[Origin]>,
    /// Once cancelled, WebSockets are closed with 1001, which asks clients to come back, and event streams broken off.
    pub shutdown: CancellationToken,
    /// Counts the open WebSockets, which a graceful shutdown of the listener does not wait for, and event streams.
    pub sockets: TaskTracker,
    pub admission: Arc<Admission>,
    pub socket_limits: SocketLimits,
}

/// What a client of a WebSocket or an event stream may take.
#[derive(Debug, Clone)]
pub struct SocketLimits {
    /// From the upgrade to `connection_init`.
    pub init_timeout: Duration,
    /// From one ping to the next, and to the next comment in an event stream.
    pub ping_interval: Duration,
    /// From a ping until something is heard, and for a client to take a message.
    pub patience: Duration,
    /// Operations at once on one connection.
    pub operations: usize,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self {
            init_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(20),
            patience: Duration::from_secs(10),
            operations: 100,
        }
    }
}

/// All routes, to be served by [`serve`], which says where a request comes from.
pub fn router(parts: Parts) -> Router {
    let graphql = get(graphql::get).post(graphql::post).fallback(graphql::other_method);
    let graphql = graphql.layer(from_fn_with_state(parts.clone(), origin::check)).layer(from_fn(trace::follow));
    Router::new()
        .route(trace::PATH, graphql)
        .route("/", get(pages::dashboard))
        .route("/graphiql", get(pages::graphiql))
        .route("/assets/{*path}", get(pages::asset))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(|| async {
            (StatusCode::NOT_FOUND, "There is nothing here; GraphQL is at /graphql.\n").into_response()
        })
        .layer(from_fn(request_id::assign))
        .layer(from_fn_with_state(parts.clone(), client_address::resolve))
        .with_state(parts)
}

impl Parts {
    /// Who sends `authorization`, as the Authorization header or as a value of `connection_init`.
    async fn identify(&self, authorization: Option<&str>) -> Identity {
        let Some(authorization) = authorization else {
            return Identity::Anonymous("no token was sent".to_owned());
        };
        match self.verifier.verify_bearer(authorization).await {
            Ok(principal) => Identity::Known(principal),
            Err(refusal) => Identity::Anonymous(refusal.to_string()),
        }
    }
}
