//! GraphQL over WebSocket, in both subprotocols that clients speak: `graphql-transport-ws` (the protocol of the
//! graphql-ws package, PROTOCOL.md there) and the older `graphql-ws` (that of subscriptions-transport-ws).
//!
//! Each connection is one task that reads and writes, and each of its operations is a task of its own. They hand their
//! results over through one short queue, in turn: a slow client slows its own operations down and costs bounded memory,
//! and an operation that always has a result can't keep the others from theirs. What is told to many connections comes into
//! the queue past the operation's task, which sleeps as long as there is room.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use async_graphql::Response;
use async_graphql::http::ALL_WEBSOCKET_PROTOCOLS;
use async_graphql_axum::GraphQLProtocol;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

mod protocol;

use protocol::{Close, Dialect, Incoming, Outgoing, answered, close, reading_failed, written};

use super::accept::Media;
use super::answer;
use super::caller::{Caller, authorization};
use super::execution::{Answer, Signed};
use super::parameters;
use crate::api::error::{Code, Error, retry_seconds};
use crate::api::fan_out::Payload;
use crate::api::{self, Identity, RequestId};
use crate::audit;
use crate::http::limits::inbound::Inbound;
use crate::http::limits::{ConnectionSlot, HeldBytes};
use crate::http::{ClientAddress, Parts};
use crate::telemetry::traces;

/// Results that wait for a slow client, for a whole connection.
const QUEUE: usize = 8;

/// Memory that each WebSocket takes to read, in bytes, and how much it reads at once; the library's own choice is 128 KiB.
/// Most that a client says is shorter than this, and most of the time it says nothing.
const READ_BUFFER: usize = 1024;

/// Switches to WebSocket. A client that speaks neither subprotocol is told so by a close code, since the browser's API
/// shows it nothing else.
pub fn accept(
    parts: Arc<Parts>,
    caller: Caller,
    headers: &HeaderMap,
    protocol: Option<GraphQLProtocol>,
    upgrade: WebSocketUpgrade,
) -> axum::response::Response {
    let Some(slot) = parts.limiter.websockets.admit() else {
        let error = Error::new(Code::Unavailable, "There are too many WebSockets; try again in a moment.");
        return answer::refusal(StatusCode::SERVICE_UNAVAILABLE, error, Media::Json);
    };
    let most = parts.limiter.limits().body;
    let authorization = authorization(headers).map(str::to_owned);
    let sockets = parts.sockets.clone();
    let Caller { request_id, address, inbound, .. } = caller;
    let span = tracing::info_span!(target: audit::TARGET, "websocket", id = request_id.0, client = %address.0);
    let conversation = traces::conversation();
    let run = move |mut socket: WebSocket| {
        let connection = async move {
            // Which of both it is says the upgrade: of several that a client names, it takes the newer one.
            let Some(dialect) = protocol.and_then(|_| Dialect::of(&socket)) else {
                let refusal = Close::new(4406, "Subprotocol not acceptable");
                return close(&mut socket, refusal, parts.socket_limits.patience).await;
            };
            let patience = parts.socket_limits.patience;
            let (results, queue) = mpsc::channel(QUEUE);
            let mut connection = Connection {
                parts,
                dialect,
                request_id: request_id.0,
                address,
                authorization,
                socket,
                slot,
                inbound,
                identity: None,
                operations: HashMap::new(),
                begun: 0,
                results,
            };
            if let Some(ending) = connection.serve(queue).await {
                tracing::debug!(code = ending.code, reason = %ending.reason, "Closing a WebSocket");
                connection.operations.clear();
                close(&mut connection.socket, ending, patience).await;
            }
        };
        sockets.track_future(conversation.around(connection).instrument(span))
    };
    upgrade
        .protocols(ALL_WEBSOCKET_PROTOCOLS)
        .max_message_size(most)
        .max_frame_size(most)
        .read_buffer_size(READ_BUFFER)
        .on_upgrade(run)
}

/// A result of an operation; None says that there are no more.
struct OperationResult {
    id: Arc<str>,
    number: u64,
    answer: Option<Answer>,
}

impl OperationResult {
    fn into_payload(self) -> Payload {
        match self.answer {
            Some(Answer::Shared(payload)) => payload,
            Some(Answer::Own(_)) | None => Payload::default(),
        }
    }
}

struct Operation {
    /// Its own on the connection, unlike its id, which a client may use again.
    number: u64,
    _task: AbortOnDropHandle<()>,
}

struct Connection {
    parts: Arc<Parts>,
    dialect: Dialect,
    request_id: String,
    address: ClientAddress,
    /// The Authorization header of the upgrade.
    authorization: Option<String>,
    socket: WebSocket,
    slot: Arc<ConnectionSlot>,
    inbound: Arc<Inbound>,
    /// None until `connection_init` was accepted.
    identity: Option<Identity>,
    operations: HashMap<Arc<str>, Operation>,
    /// How many operations were begun.
    begun: u64,
    results: mpsc::Sender<OperationResult>,
}

/// Ok, or why the connection ends; None within it when there is nobody left to be told.
type Step = Result<(), Option<Close>>;

impl Connection {
    /// Serves until the end; gives back why, unless there is nobody to hear it.
    async fn serve(&mut self, mut queue: mpsc::Receiver<OperationResult>) -> Option<Close> {
        self.count_inbound(&Identity::Anonymous(String::new()));
        let limits = self.parts.socket_limits.clone();
        let (shutdown, slot) = (self.parts.shutdown.clone(), Arc::clone(&self.slot));
        let (mut shutdown, mut evicted) = (pin!(shutdown.cancelled()), pin!(slot.evicted()));
        let mut init_timeout = pin!(sleep(limits.init_timeout));
        let mut ping = interval_at(Instant::now() + limits.ping_interval, limits.ping_interval);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silence = pin!(sleep(limits.ping_interval + limits.patience));
        loop {
            let step = tokio::select! {
                () = &mut shutdown => return Some(Close::new(1001, "Going away")),
                () = &mut init_timeout, if self.identity.is_none() => {
                    return Some(Close::new(4408, "Connection initialisation timeout"));
                }
                () = &mut evicted => return Some(Close::new(1013, "Others need the connection")),
                () = &mut silence => return Some(Close::new(1008, "No answer to a ping")),
                _ = ping.tick() => self.ping().await,
                Some(result) = queue.recv() => self.deliver(result).await,
                message = self.socket.recv() => {
                    silence.as_mut().reset(Instant::now() + limits.ping_interval + limits.patience);
                    match message {
                        None => return None,
                        Some(Ok(Message::Close(_))) => {
                            answered(&mut self.socket, limits.patience).await;
                            return None;
                        }
                        // It comes rarely; in place its future would take that memory for as long as the connection is there.
                        Some(Ok(message)) => Box::pin(self.receive(message)).await,
                        Some(Err(error)) => return reading_failed(error),
                    }
                }
            };
            if let Err(ending) = step {
                return ending;
            }
        }
    }

    /// Has what comes from now on count as `identity`'s. A message may come in frames, whose heads count as well.
    fn count_inbound(&self, identity: &Identity) {
        let limiter = &self.parts.limiter;
        let most = limiter.body(identity).saturating_mul(2);
        self.inbound.count(limiter.hold(identity, self.address.0), most);
    }

    async fn receive(&mut self, message: Message) -> Step {
        let held = self.inbound.message();
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(Some(Close::invalid("Messages are text"))),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => return Ok(()),
        };
        let Ok(Incoming { kind, id, payload }) = serde_json::from_str(&text) else {
            return Err(Some(Close::invalid("Not a JSON object with a type")));
        };
        match (self.dialect, kind.as_str()) {
            (_, "connection_init") => self.init(payload).await,
            (Dialect::Modern, "subscribe") | (Dialect::Legacy, "start") => self.begin(id, payload, held).await,
            (Dialect::Modern, "complete") | (Dialect::Legacy, "stop") => self.end(id).await,
            (Dialect::Modern, "ping") => self.send("pong", None, payload).await,
            (Dialect::Modern, "pong") => Ok(()),
            (Dialect::Legacy, "connection_terminate") => Err(Some(Close::new(1000, "Terminated"))),
            _ => Err(Some(Close::invalid("Unknown type of message"))),
        }
    }

    /// Without a token the connection is accepted, and each operation says that it needs one. A bad token is refused.
    async fn init(&mut self, payload: Option<Value>) -> Step {
        if self.identity.is_some() {
            return Err(Some(Close::new(4429, "Too many initialisation requests")));
        }
        let members = match &payload {
            None | Some(Value::Null) => None,
            Some(Value::Object(members)) => Some(members),
            Some(_) => return Err(Some(Close::invalid("The payload of connection_init must be an object"))),
        };
        let given = members
            .into_iter()
            .flatten()
            .find(|(key, value)| key.eq_ignore_ascii_case("authorization") && !value.is_null())
            .map(|(_, value)| value.as_str().unwrap_or_default());
        let authorization = given.or(self.authorization.as_deref());
        let identity = self.parts.identify(authorization).await;
        if let (Some(_), Identity::Anonymous(reason)) = (authorization, &identity) {
            let reason = reason.clone();
            audit::request_refused(&reason);
            if self.dialect == Dialect::Legacy {
                self.send("connection_error", None, Some(json!({"message": reason}))).await?;
            }
            if let Err(excess) = self.parts.limiter.count(&identity, self.address.0, 1) {
                let wait = retry_seconds(excess.after);
                return Err(Some(Close::new(4429, format!("Too many requests; try again in {wait} s"))));
            }
            return Err(Some(Close::new(4403, format!("Forbidden: {reason}"))));
        }
        self.count_inbound(&identity);
        self.identity = Some(identity);
        self.authorization = None;
        self.send::<()>("connection_ack", None, None).await?;
        match self.dialect {
            Dialect::Modern => Ok(()),
            Dialect::Legacy => self.send::<()>("ka", None, None).await,
        }
    }

    async fn begin(&mut self, id: Option<String>, payload: Option<Value>, held: Option<HeldBytes>) -> Step {
        let Some(identity) = self.identity.clone() else { return Err(Some(Close::new(4401, "Unauthorized"))) };
        let Some(id) = id.filter(|id| !id.is_empty()).map(Arc::<str>::from) else {
            return Err(Some(Close::invalid("An operation needs an id")));
        };
        let payload = payload.unwrap_or_default();
        let Ok(mut request) = parameters::from_json(payload) else {
            return Err(Some(Close::invalid("The payload is not a GraphQL request")));
        };
        let weight = parameters::weight(&request);
        match self.dialect {
            Dialect::Modern if self.operations.contains_key(&id) => {
                return Err(Some(Close::new(4409, format!("Subscriber for {id} already exists"))));
            }
            Dialect::Modern => {}
            // The older protocol's server ends the operation that had the id.
            Dialect::Legacy => drop(self.operations.remove(&id)),
        }
        if self.operations.len() >= self.parts.socket_limits.operations {
            let most = self.parts.socket_limits.operations;
            let message = format!("There are {most} operations on this connection, which is the most.");
            return self.refuse(&id, &Error::new(Code::RateLimited, message).into_response()).await;
        }
        if let Err(excess) = self.parts.limiter.count(&identity, self.address.0, 1) {
            return self.refuse(&id, &Error::from(excess).into_response()).await;
        }
        let mut held = held.unwrap_or_else(|| self.parts.limiter.hold(&identity, self.address.0));
        if let Err(full) = held.replace(weight) {
            return self.refuse(&id, &Error::from(full).into_response()).await;
        }
        let operation = api::operation(&self.parts.schema, &mut request);
        let others = operation.map_or(0, |operation| operation.root_fields - 1);
        if let Err(excess) = self.parts.limiter.count(&identity, self.address.0, others) {
            return self.refuse(&id, &Error::from(excess).into_response()).await;
        }
        let operation = operation.map(|operation| operation.kind);
        self.begun += 1;
        let number = self.begun;
        let request_id = RequestId(format!("{}.{number}", self.request_id));
        let span = tracing::info_span!(target: audit::TARGET, parent: None, "websocket", id = request_id.0,
            client = %self.address.0, trace_id = tracing::field::Empty);
        let slot = Arc::clone(&self.slot);
        let (address, held, is_brief) = (self.address.0, Arc::new(held), false);
        let signed = Signed { request, id: request_id, identity, address, slot, held, is_brief };
        let (results, of) = (self.results.clone(), Arc::clone(&id));
        let direct = {
            let (results, id) = (results.clone(), Arc::clone(&id));
            Arc::new(move |payload| {
                let result = OperationResult { id: Arc::clone(&id), number, answer: Some(Answer::Shared(payload)) };
                results.try_send(result).map_err(|refused| refused.into_inner().into_payload())
            })
        };
        let mut answers = self.parts.answers(operation, signed, direct);
        let task = async move {
            while let Some(answer) = answers.next().await {
                let result = OperationResult { id: Arc::clone(&of), number, answer: Some(answer) };
                if results.send(result).await.is_err() {
                    return;
                }
            }
            let _ = results.send(OperationResult { id: of, number, answer: None }).await;
        };
        let task = span.in_scope(|| self.parts.spawn(operation, task));
        self.operations.insert(id, Operation { number, _task: task });
        Ok(())
    }

    /// The client wants no more of an operation. It may have ended by itself already.
    async fn end(&mut self, id: Option<String>) -> Step {
        let Some(id) = id else { return Err(Some(Close::invalid("An operation has an id"))) };
        if self.operations.remove(id.as_str()).is_some() && self.dialect == Dialect::Legacy {
            return self.send::<()>("complete", Some(&id), None).await;
        }
        Ok(())
    }

    async fn deliver(&mut self, OperationResult { id, number, answer }: OperationResult) -> Step {
        // What an operation left behind that has ended is not the next one's of that id.
        if self.operations.get(&id).is_none_or(|operation| operation.number != number) {
            return Ok(());
        }
        match answer {
            Some(Answer::Shared(payload)) => self.result(self.dialect.result(), &id, &payload).await,
            Some(Answer::Own(response)) if answer::was_executed(&response) => {
                self.result(self.dialect.result(), &id, &answer::json(&response)).await
            }
            Some(Answer::Own(response)) => {
                self.operations.remove(&id);
                self.refuse(&id, &response).await
            }
            None => {
                self.operations.remove(&id);
                self.send::<()>("complete", Some(&id), None).await
            }
        }
    }

    /// Tells that an operation could not be executed, which ends it.
    async fn refuse(&mut self, id: &str, response: &Response) -> Step {
        match self.dialect {
            Dialect::Modern => self.send("error", Some(id), Some(&response.errors)).await,
            Dialect::Legacy => {
                self.result("data", id, &answer::json(response)).await?;
                self.send::<()>("complete", Some(id), None).await
            }
        }
    }

    async fn ping(&mut self) -> Step {
        if self.dialect == Dialect::Legacy && self.identity.is_some() {
            self.send::<()>("ka", None, None).await?;
        }
        self.write(Message::Ping(Bytes::new())).await
    }

    async fn result(&mut self, kind: &str, id: &str, payload: &str) -> Step {
        self.write(Message::Text(written(kind, id, payload).into())).await
    }

    async fn send<P: Serialize>(&mut self, kind: &str, id: Option<&str>, payload: Option<P>) -> Step {
        // Responses are made of values that all have a JSON form.
        let text = serde_json::to_string(&Outgoing { kind, id, payload }).unwrap_or_default();
        self.write(Message::Text(text.into())).await
    }

    async fn write(&mut self, message: Message) -> Step {
        let patience = self.parts.socket_limits.patience;
        match timeout(patience, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => {
                tracing::debug!("A WebSocket client reads too slowly");
                Err(None)
            }
        }
    }
}
