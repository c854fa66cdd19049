//! A name for each request, the same in its response and in the log.

use axum::Extension;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

use super::ClientAddress;
use crate::api::RequestId;
use crate::audit;

pub const HEADER: &str = "x-request-id";

/// The longest id that is taken from a client, in characters.
const MAX_LENGTH: usize = 128;

/// Takes the client's id if it is well formed, makes one otherwise, and sends it back.
pub async fn assign(Extension(client): Extension<ClientAddress>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).and_then(|value| value.to_str().ok()).filter(|id| is_well_formed(id));
    let id = given.map_or_else(|| Uuid::now_v7().simple().to_string(), str::to_owned);
    // Of the audit trail's target, so that a filter that lets the trail through keeps what it belongs to.
    let span = tracing::info_span!(target: audit::TARGET, "request", id, client = %client.0,
        method = %request.method(), path = request.uri().path(), trace_id = tracing::field::Empty);
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).instrument(span.clone()).await;
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), "Answered"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, id);
    }
    response
}

fn is_well_formed(id: &str) -> bool {
    (1..=MAX_LENGTH).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_that_can_stand_in_a_log_line_are_taken() {
        for id in ["a", "Az09._-", &"x".repeat(128)] {
            assert!(is_well_formed(id), "{id}");
        }
        for id in ["", "a b", "a\"", "é", "a\n", &"x".repeat(129)] {
            assert!(!is_well_formed(id), "{id}");
        }
    }
}
