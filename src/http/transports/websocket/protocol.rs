//! The words of both subprotocols, and how a WebSocket is closed.

use std::borrow::Cow;
use std::str::FromStr as _;
use std::time::Duration;

use async_graphql::http::WebSocketProtocols;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use crate::http::limits::inbound::{NO_ROOM, TOO_LARGE};

/// The longest reason in a close frame, in bytes (RFC 6455, section 5.5: 125, two of them for the code).
const MAX_REASON: usize = 123;

/// A subprotocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Modern,
    Legacy,
}

impl Dialect {
    /// The one that the upgrade chose.
    pub fn of(socket: &WebSocket) -> Option<Self> {
        match WebSocketProtocols::from_str(socket.protocol()?.to_str().ok()?).ok()? {
            WebSocketProtocols::GraphQLWS => Some(Self::Modern),
            WebSocketProtocols::SubscriptionsTransportWS => Some(Self::Legacy),
        }
    }

    pub const fn result(self) -> &'static str {
        match self {
            Self::Modern => "next",
            Self::Legacy => "data",
        }
    }
}

/// Why the server ends a connection: a close code and a reason.
pub struct Close {
    pub code: u16,
    pub reason: Cow<'static, str>,
}

impl Close {
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }

    pub fn invalid(why: &'static str) -> Self {
        Self::new(4400, why)
    }
}

/// What a client sends.
#[derive(Deserialize)]
pub struct Incoming {
    #[serde(rename = "type")]
    pub kind: String,
    pub id: Option<String>,
    pub payload: Option<Value>,
}

/// What the server sends.
#[derive(Serialize)]
pub struct Outgoing<'a, P> {
    #[serde(rename = "type")]
    pub kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<P>,
}

/// The same as [`Outgoing`] of a payload that is JSON already.
pub fn written(kind: &str, id: &str, payload: &str) -> String {
    let id = serde_json::to_string(id).unwrap_or_default();
    let mut text = String::with_capacity(kind.len() + id.len() + payload.len() + 32);
    for part in ["{\"type\":\"", kind, "\",\"id\":", &id, ",\"payload\":", payload, "}"] {
        text.push_str(part);
    }
    text
}

/// What is wrong with a frame or a message has a close code (RFC 6455, section 7.4.1); after other failures nobody listens
/// any more.
pub fn reading_failed(error: axum::Error) -> Option<Close> {
    let text = error.to_string();
    tracing::debug!(error = text, "A WebSocket failed");
    if text.contains(NO_ROOM) {
        Some(Close::new(1013, "Too much is under way; try again in a moment"))
    } else if text.contains(TOO_LARGE) || text.contains("too long") || text.contains("too big") {
        Some(Close::new(1009, "A message is too large"))
    } else if text.contains("UTF-8") {
        Some(Close::new(1007, "A message is not UTF-8"))
    } else if text.contains("protocol error") {
        Some(Close::new(1002, "Protocol error"))
    } else {
        None
    }
}

/// Closes, and waits for the client's own close frame so that it gets to read ours.
pub async fn close(socket: &mut WebSocket, Close { code, reason }: Close, patience: Duration) {
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
    let frame = CloseFrame { code, reason: reason.into() };
    if let Ok(Ok(())) = timeout(patience, socket.send(Message::Close(Some(frame)))).await {
        answered(socket, patience).await;
    }
}

/// Reads on until both sides have closed (RFC 6455, section 7.1.2); reading answers the client's by itself.
pub async fn answered(socket: &mut WebSocket, patience: Duration) {
    let _ = timeout(patience, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
}
