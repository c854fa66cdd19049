//! Whether the process is alive, and whether it can do its work.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Parts;

/// What the work needs: Ok, or why it is not there.
#[derive(Debug, Clone)]
pub struct Ready {
    pub store: Result<(), String>,
    pub engine: Result<(), String>,
    /// The keys that tokens are verified with.
    pub keys: Result<(), String>,
}

/// Looks whether the store and the engine answer, and whether there are keys. It must come to an end by itself.
pub type Readiness = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Ready> + Send>> + Send + Sync>;

/// GET /healthz: 200 while the process serves.
pub async fn alive() -> &'static str {
    "ok"
}

/// GET /readyz: 200 when all that the work needs is there, 503 otherwise, with what each part says.
pub async fn ready(State(parts): State<Parts>) -> Response {
    let ready = (parts.readiness)().await;
    let status = match (&ready.store, &ready.engine, &ready.keys) {
        (Ok(()), Ok(()), Ok(())) => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let text = |part: Result<(), String>| match part {
        Ok(()) => "ok".to_owned(),
        Err(why) => format!("unavailable: {why}"),
    };
    let parts = json!({"store": text(ready.store), "engine": text(ready.engine), "keys": text(ready.keys)});
    (status, Json(parts)).into_response()
}
