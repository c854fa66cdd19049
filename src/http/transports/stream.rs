//! All results of an operation in one response, for networks that let no WebSocket through: as server-sent events, or as
//! parts of a multipart body.
//!
//! As on a WebSocket each operation is a task, which hands its results over through a short queue: a client that takes
//! none for too long loses the operation, and costs bounded memory until then. What is told to many goes into the queue past
//! the task.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_stream::stream;
use axum::body::Body;
use axum::http::header;
use axum::response::IntoResponse;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::accept::Framing;
use super::answer;
use super::execution::{Answer, Signed};
use crate::api::fan_out::Payload;
use crate::http::Parts;

/// Results that wait for a slow client.
const QUEUE: usize = 8;

/// What parts are told apart by.
const BOUNDARY: &str = "graphql";

/// One thing that the client hears.
enum Event {
    /// A response as JSON without line breaks.
    Next(Payload),
    Complete,
    /// So that proxies don't take the connection for dead.
    KeepAlive,
}

impl Event {
    fn into_payload(self) -> Payload {
        match self {
            Self::Next(payload) => payload,
            Self::Complete | Self::KeepAlive => Payload::default(),
        }
    }
}

impl Framing {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream; charset=utf-8",
            Self::Multipart => "multipart/mixed; boundary=\"graphql\"; subscriptionSpec=1.0",
        }
    }

    fn text(self, event: &Event) -> String {
        match (self, event) {
            (Self::Events, Event::Next(json)) => format!("event: next\ndata: {json}\n\n"),
            // With an empty field of data, without which a browser's EventSource tells nobody.
            (Self::Events, Event::Complete) => "event: complete\ndata: \n\n".to_owned(),
            (Self::Events, Event::KeepAlive) => ":\n\n".to_owned(),
            (Self::Multipart, Event::Next(json)) => part(&format!("{{\"payload\":{json}}}")),
            // What makes the boundary that went out last the final one.
            (Self::Multipart, Event::Complete) => "--\r\n".to_owned(),
            (Self::Multipart, Event::KeepAlive) => part("{}"),
        }
    }
}

/// A part, with the boundary behind it already: a client takes a part for whole when it reads that.
fn part(json: &str) -> String {
    format!("\r\nContent-Type: application/json\r\n\r\n{json}\r\n--{BOUNDARY}")
}

/// A stream that ended before its operation did. The response is cut off then, so that no client takes it for the end
/// and does not come back for more.
#[derive(Debug, thiserror::Error)]
#[error("the stream was broken off")]
struct BrokenOff;

/// Runs any operation, and answers with its results as a stream. What can't be executed is a result, too: a browser's
/// EventSource would not show it anything else.
pub fn answer(
    parts: &Parts,
    operation: Option<OperationType>,
    signed: Signed,
    framing: Framing,
) -> axum::response::Response {
    let (events, mut queue) = mpsc::channel(QUEUE);
    let shared = events.clone();
    let direct = Arc::new(move |payload| {
        let sent = shared.try_send(Event::Next(payload));
        sent.map_err(|refused| refused.into_inner().into_payload())
    });
    let answers = parts.answers(operation, signed, direct);
    let following = parts.spawn(operation, parts.sockets.track_future(run(parts.clone(), answers, events)));
    let texts = stream! {
        let _following = following;
        if framing == Framing::Multipart {
            yield Ok(format!("--{BOUNDARY}"));
        }
        while let Some(event) = queue.recv().await {
            yield Ok(framing.text(&event));
            if matches!(event, Event::Complete) {
                return;
            }
        }
        yield Err(BrokenOff);
    };
    let headers = [
        (header::CONTENT_TYPE.as_str(), framing.content_type()),
        // nginx would collect events until a buffer is full.
        ("x-accel-buffering", "no"),
    ];
    (headers, answer::HEADERS, Body::from_stream(texts)).into_response()
}

/// Runs an operation until it is complete, its client is gone or too slow, or the server goes.
async fn run(parts: Parts, mut answers: BoxStream<'static, Answer>, events: mpsc::Sender<Event>) {
    let limits = &parts.socket_limits;
    let mut keep_alive = interval_at(Instant::now() + limits.ping_interval, limits.ping_interval);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            () = parts.shutdown.cancelled() => return,
            () = events.closed() => return,
            next = answers.next() => match next {
                Some(Answer::Own(response)) => Event::Next(answer::json(&response).into()),
                Some(Answer::Shared(payload)) => Event::Next(payload),
                None => Event::Complete,
            },
            _ = keep_alive.tick() => Event::KeepAlive,
        };
        let is_last = matches!(event, Event::Complete);
        match timeout(limits.patience, events.send(event)).await {
            Ok(Ok(())) if !is_last => {}
            Ok(_) => return,
            Err(_) => {
                tracing::debug!("A client reads its stream too slowly");
                return;
            }
        }
    }
}
