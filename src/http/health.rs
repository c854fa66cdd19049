//! Whether the process is alive, and whether it can do its work.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::transports::accept::Media;
use super::transports::answer;
use super::{ClientAddress, Parts};

/// What the work needs: Ok, or why it is not there.
#[derive(Debug, Clone)]
pub struct Ready {
    pub store: Result<(), String>,
    pub engine: Result<(), String>,
    /// The same of each node by its name, where there are several.
    pub nodes: Vec<(String, Result<(), String>)>,
    /// The keys that tokens are verified with.
    pub keys: Result<(), String>,
}

/// Looks whether the store and the engine answer, and whether there are keys. It must come to an end by itself.
pub type Readiness = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Ready> + Send>> + Send + Sync>;

/// For how long an answer serves others who ask.
const FRESH: Duration = Duration::from_secs(1);

/// The same, asked once by all who want to know at about the same time: there is one look at a time, and who comes while it
/// lasts, or within a second of its end, gets what it found.
pub fn coalesced(readiness: Readiness) -> Readiness {
    type Look = Shared<BoxFuture<'static, (Ready, Instant)>>;
    let last = Arc::new(Mutex::new(None::<Look>));
    Arc::new(move || {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |look: &Look| look.peek().is_none_or(|(_, ended)| ended.elapsed() < FRESH);
        let look = match last.take().filter(is_fresh) {
            Some(look) => look,
            None => {
                let looking = readiness();
                async move { (looking.await, Instant::now()) }.boxed().shared()
            }
        };
        *last = Some(look.clone());
        look.map(|(ready, _)| ready).boxed()
    })
}

/// Lets an address ask only so often.
pub async fn meter(
    State(parts): State<Arc<Parts>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    request: Request,
    next: Next,
) -> Response {
    match parts.limiter.count_probe(address) {
        Ok(()) => next.run(request).await,
        Err(excess) => answer::too_many(excess, Media::Json),
    }
}

/// GET /healthz: 200 while the process serves.
pub async fn alive() -> &'static str {
    "ok"
}

/// GET /readyz: 200 when all that the work needs is there, 503 otherwise, with what each part says.
pub async fn ready(State(parts): State<Arc<Parts>>) -> Response {
    let ready = (parts.readiness)().await;
    let status = match (&ready.store, &ready.engine, &ready.keys) {
        (Ok(()), Ok(()), Ok(())) => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let text = |part: Result<(), String>| match part {
        Ok(()) => "ok".to_owned(),
        Err(why) => format!("unavailable: {why}"),
    };
    let mut parts = json!({"store": text(ready.store), "engine": text(ready.engine), "keys": text(ready.keys)});
    if !ready.nodes.is_empty() {
        parts["nodes"] = ready.nodes.into_iter().map(|(name, answer)| (name, Value::from(text(answer)))).collect();
    }
    (status, Json(parts)).into_response()
}
