//! Request bodies: how much of them is taken, and from whom. Nothing is read ahead of knowing that.

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::accept::Media;
use super::answer;
use crate::api::Identity;
use crate::api::error::Error;
use crate::audit;
use crate::http::Limiter;
use crate::http::limits::{ANONYMOUS_BODY, Full, HeldBytes};

/// How much of a body that is refused is read and thrown away, in multiples of what is taken, so that its sender gets to
/// read the answer.
const DRAIN: usize = 8;

/// Why a body is not taken.
pub enum Refusal {
    /// With the most that is.
    TooLarge(usize),
    /// It is too large for whom nobody knows, which is why.
    Anonymous(String),
    NoRoom(Full),
    Unreadable,
    TooSlow,
}

/// A body of `identity`'s. Its memory counts in `held`.
pub async fn receive(
    limiter: &Limiter,
    identity: &Identity,
    headers: &HeaderMap,
    body: Body,
    held: &mut HeldBytes,
) -> Result<Vec<u8>, Refusal> {
    let (limits, most) = (limiter.limits(), limiter.body(identity));
    let too_large = |length: usize| match identity {
        Identity::Anonymous(reason) if length <= limits.body => Refusal::Anonymous(reason.clone()),
        _ => Refusal::TooLarge(limits.body),
    };
    let deadline = Instant::now() + limits.request_time;
    let mut chunks = body.into_data_stream();
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let (mut bytes, mut refusal) = (Vec::new(), declared.filter(|length| *length > most).map(too_large));
    while refusal.is_none() {
        let chunk = match timeout_at(deadline, chunks.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) => return Ok(bytes),
            Ok(Some(Err(_))) => return Err(Refusal::Unreadable),
            Err(_) => return Err(Refusal::TooSlow),
        };
        if bytes.len() + chunk.len() > most {
            refusal = Some(too_large(bytes.len() + chunk.len()));
        } else {
            grow(&mut bytes, chunk.len(), declared.unwrap_or(most));
            bytes.extend_from_slice(&chunk);
            refusal = held.replace(bytes.capacity()).err().map(Refusal::NoRoom);
        }
    }
    // Who waits to be told to go on sends nothing, and reads the answer.
    if !headers.contains_key(header::EXPECT) {
        tokio::spawn(timeout_at(deadline, discard(chunks, most.saturating_mul(DRAIN))));
    }
    refusal.map_or(Ok(Vec::new()), Err)
}

/// Makes room for `more`, by doubling, and for no more than will come.
fn grow(bytes: &mut Vec<u8>, more: usize, most: usize) {
    let wanted = bytes.len() + more;
    if wanted > bytes.capacity() {
        let doubled = (bytes.capacity() * 2).min(most).max(wanted);
        bytes.reserve_exact(doubled - bytes.len());
    }
}

async fn discard(mut chunks: BodyDataStream, mut most: usize) {
    while let Some(Ok(chunk)) = chunks.next().await {
        match most.checked_sub(chunk.len()) {
            Some(left) => most = left,
            None => return,
        }
    }
}

impl Refusal {
    pub fn answer(self, media: Media) -> Response {
        match self {
            Self::TooLarge(most) => {
                let error = Error::bad_input("body", format!("The body is over {most} bytes."));
                answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, error, media)
            }
            Self::Anonymous(reason) => {
                audit::request_refused(&reason);
                let reason = format!("{reason}, and without a valid one a body has at most {ANONYMOUS_BODY} bytes");
                answer::refusal(StatusCode::UNAUTHORIZED, Error::unauthenticated(&reason), media)
            }
            Self::NoRoom(full) => answer::no_room(full, media),
            Self::Unreadable => {
                let error = Error::bad_input("body", "The body could not be read.");
                answer::refusal(StatusCode::BAD_REQUEST, error, media)
            }
            Self::TooSlow => {
                let error = Error::bad_input("body", "The body took too long to come.");
                let mut response = answer::refusal(StatusCode::REQUEST_TIMEOUT, error, media);
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                response
            }
        }
    }
}
