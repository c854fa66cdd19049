//! What Prometheus reads.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Gives all metrics in Prometheus' text format.
pub type Metrics = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// GET /metrics. It asks for no token: it is for an address that only the operator reaches.
pub fn metrics_router(metrics: Metrics) -> Router {
    Router::new().route("/metrics", get(read)).with_state(metrics)
}

async fn read(State(metrics): State<Metrics>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics().await).into_response()
}
