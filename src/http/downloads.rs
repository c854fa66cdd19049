//! Files that links lead to. A link is its own permission, for the moment that it is good for.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::Parts;

/// What a link leads to.
pub struct Download {
    /// ASCII, without quotes.
    pub file_name: String,
    /// Ends with an error where it is not whole: the connection is broken off then.
    pub content: BoxStream<'static, io::Result<Bytes>>,
}

/// Why a link leads to nothing, in a sentence.
pub struct Refused {
    pub status: StatusCode,
    pub why: String,
}

/// Follows links.
pub type Downloads = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Download, Refused>> + Send + Sync>;

/// GET /exports/{ticket}
pub async fn begin(State(parts): State<Arc<Parts>>, Path(ticket): Path<String>) -> Response {
    // What is downloaded is all that somebody holds.
    let private = [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    match (parts.downloads)(ticket).await {
        Ok(Download { file_name, content }) => {
            let disposition = HeaderValue::try_from(format!("attachment; filename=\"{file_name}\""));
            let Ok(disposition) = disposition else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
            let kind = HeaderValue::from_static("application/octet-stream");
            let heading = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)];
            (private, heading, Body::from_stream(content)).into_response()
        }
        Err(Refused { status, why }) => (status, private, why + "\n").into_response(),
    }
}
