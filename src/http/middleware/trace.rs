//! Requests as parts of traces.

use axum::Extension;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use crate::api::RequestId;
use crate::telemetry::traces;

/// The one route that is traced; pages and probes tell nothing of what becomes of a service.
pub const PATH: &str = "/graphql";

/// Traces a request, and has the log's lines of it say in which trace.
pub async fn follow(Extension(RequestId(id)): Extension<RequestId>, request: Request, next: Next) -> Response {
    let span = traces::request(request.method().as_str(), PATH, request.headers(), &id);
    if let Some(trace_id) = span.trace_id() {
        tracing::Span::current().record("trace_id", trace_id);
    }
    let response = span.around(next.run(request)).await;
    span.answered(response.status().as_u16());
    response
}
