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

use crate::api::Schema;
use crate::auth::Verifier;

mod downloads;
mod health;
mod limits;
mod metrics;
mod middleware;
mod pages;
mod serve;
mod transports;

use middleware::{client_address, origin, request_id, trace};

pub use downloads::{Download, Downloads, Refused};
pub use health::{Readiness, Ready, coalesced};
pub use limits::{Limiter, Limits};
pub use metrics::{Metrics, metrics_router};
pub use middleware::ClientAddress;
pub use middleware::origin::{Origin, OriginError};
pub use serve::serve;
pub use transports::execution::Executor;

/// What the routes need.
#[derive(Clone)]
pub struct Parts {
    pub schema: Schema,
    /// Where operations are executed: an [`Executor`]'s threads.
    pub executor: Handle,
    pub verifier: Arc<Verifier>,
    pub readiness: Readiness,
    pub downloads: Downloads,
    /// Pages of other origins than the server's own that may use the API.
    pub allowed_origins: Arc<[Origin]>,
    /// Once cancelled, WebSockets are closed with 1001, which asks clients to come back, and event streams broken off.
    pub shutdown: CancellationToken,
    /// Counts the open WebSockets, which a graceful shutdown of the listener does not wait for, and event streams.
    pub sockets: TaskTracker,
    pub limiter: Arc<Limiter>,
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
    // Each layer hands a clone on.
    let parts = Arc::new(parts);
    let graphql = get(transports::get).post(transports::post).fallback(transports::other_method);
    let graphql = graphql.layer(from_fn_with_state(parts.clone(), origin::check)).layer(from_fn(trace::follow));
    let probes = Router::new().route("/healthz", get(health::alive)).route("/readyz", get(health::ready));
    let probes = probes.route_layer(from_fn_with_state(parts.clone(), health::meter));
    Router::new()
        .route(trace::PATH, graphql)
        .route("/", get(pages::dashboard))
        .route("/graphiql", get(pages::graphiql))
        .route("/assets/{*path}", get(pages::asset))
        .route("/exports/{ticket}", get(downloads::begin))
        .merge(probes)
        .fallback(|| async {
            (StatusCode::NOT_FOUND, "There is nothing here; GraphQL is at /graphql.\n").into_response()
        })
        .layer(from_fn(request_id::assign))
        .layer(from_fn_with_state(parts.clone(), client_address::resolve))
        .with_state(parts)
}
