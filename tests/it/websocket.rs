//! Streams over WebSocket; the protocols themselves are in `protocol`.

mod protocol;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use project_services::clock::Clock;
use project_services::domain::service::ServiceState;
use project_services::http::SocketLimits;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::{
    BOTH, Heard, Limits, PATIENCE, Server, Socket, code, code_and_field, demo, in_seconds, sign, token,
};

const EVENTS: &str = "subscription($after: String) { serviceEvents(projectId: \"demo\", after: $after) { cursor message state service { name } } }";
const CHANGED: &str = "subscription($id: ID!) { serviceChanged(id: $id) { state operation { kind } } }";

fn redis() -> Value {
    json!({"projectId": "demo", "kind": "REDIS"})
}

#[tokio::test]
async fn events_come_in_order_and_a_resumed_stream_loses_and_doubles_none() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    let first = server.provision(&demo(), redis()).await;
    // A stream without a cursor begins now; a query tells that it has begun.
    let everything = "{ services(projectId: \"demo\") { nodes { events { nodes { cursor } } } } }";
    socket.subscribe("q", everything, json!({})).await;
    let begin = socket.next("q").await["data"]["services"]["nodes"][0]["events"]["nodes"][0]["cursor"].clone();
    assert_eq!(socket.json().await, json!({"type": "complete", "id": "q"}));

    socket.subscribe("e", EVENTS, json!({"after": begin})).await;
    server.settle(&first, ServiceState::Running).await;
    let mut heard = vec![socket.next("e").await["data"]["serviceEvents"].clone()];
    assert_eq!(heard[0]["message"], "redis is running and answers its health check.");
    assert_eq!(heard[0]["service"]["name"], "redis");
    server.append(&first, 3).await;
    for _ in 0..2 {
        heard.push(socket.next("e").await["data"]["serviceEvents"].clone());
    }
    // The client goes away in the middle, more happens, and it comes back with its last cursor.
    drop(socket);
    server.append(&first, 250).await;
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    socket.subscribe("again", EVENTS, json!({"after": heard[2]["cursor"]})).await;
    server.append(&first, 1).await;
    for _ in 0..252 {
        heard.push(socket.next("again").await["data"]["serviceEvents"].clone());
    }
    let cursors: Vec<&str> = heard.iter().map(|event| event["cursor"].as_str().unwrap()).collect();
    assert!(cursors.is_sorted_by(|a, b| a < b), "{cursors:?}");
    let project = "demo".parse().unwrap();
    let log = server.store.event_list_since(&project, 1, 1000).await.unwrap();
    assert_eq!(log.len(), heard.len());
    for (event, heard) in log.iter().zip(&heard) {
        assert_eq!(heard["message"], event.message);
    }
    // Nothing is left over: the next thing heard is the next thing that happens.
    server.settle(&first, ServiceState::Stopped).await;
    assert_eq!(socket.next("again").await["data"]["serviceEvents"]["state"], "STOPPED");
}

#[tokio::test]
async fn a_stream_without_cursor_begins_with_what_happens_next() {
    let server = Server::start().await;
    let id = server.provision(&demo(), redis()).await;
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    socket.subscribe("e", EVENTS, json!({})).await;
    // Its place in the log is taken some time after it was sent; whatever is heard first must be new.
    let mut happened = 0;
    let heard = loop {
        server.append(&id, 1).await;
        happened += 1;
        if let Ok(payload) = timeout(Duration::from_millis(200), socket.next("e")).await {
            break payload;
        }
        assert!(happened < 50, "nothing was heard");
    };
    assert_eq!(heard["data"]["serviceEvents"]["message"], "The credentials of redis were revealed.");
}

#[tokio::test]
async fn a_service_is_shown_at_once_and_until_it_is_destroyed() {
    let server = Server::start().await;
    let id = server.provision(&demo(), redis()).await;
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    socket.subscribe("s", CHANGED, json!({"id": id})).await;
    let shown = json!({"data": {"serviceChanged": {"state": "PENDING", "operation": {"kind": "PROVISION"}}}});
    assert_eq!(socket.next("s").await, shown);
    for (state, text) in
        [(ServiceState::Running, "RUNNING"), (ServiceState::Stopped, "STOPPED"), (ServiceState::Destroyed, "DESTROYED")]
    {
        server.settle(&id, state).await;
        let shown = json!({"data": {"serviceChanged": {"state": text, "operation": null}}});
        assert_eq!(socket.next("s").await, shown);
    }
    assert_eq!(socket.json().await, json!({"type": "complete", "id": "s"}));
    // One that is destroyed already is shown once.
    socket.subscribe("s", CHANGED, json!({"id": id})).await;
    assert_eq!(socket.next("s").await["data"]["serviceChanged"]["state"], "DESTROYED");
    assert_eq!(socket.json().await, json!({"type": "complete", "id": "s"}));
}

#[tokio::test]
async fn streams_of_what_is_not_yours_or_malformed_are_refused() {
    let server = Server::start().await;
    let id = server.provision(&demo(), redis()).await;
    let mut stranger = Socket::ready(&server, Some(&token(&["other"], BOTH))).await;
    let unknown = "svc_00000000000000000000000000000001";
    let other_cursor =
        "subscription { serviceEvents(projectId: \"other\", after: \"0123456700000000000000001\") { cursor } }";
    for (query, variables, expected) in [
        (EVENTS, json!({}), ("NOT_FOUND", "projectId")),
        (CHANGED, json!({"id": id}), ("NOT_FOUND", "id")),
        (CHANGED, json!({"id": unknown}), ("NOT_FOUND", "id")),
        (CHANGED, json!({"id": "nonsense"}), ("BAD_USER_INPUT", "id")),
        (other_cursor, json!({}), ("BAD_USER_INPUT", "after")),
        ("subscription { serviceEvents(projectId: \"a b\") { cursor } }", json!({}), ("BAD_USER_INPUT", "projectId")),
    ] {
        stranger.subscribe("1", query, variables).await;
        let payload = stranger.next("1").await;
        assert_eq!(code_and_field(&payload), expected, "{query}: {payload}");
        assert_eq!(stranger.json().await, json!({"type": "complete", "id": "1"}));
    }
    // A cursor from the future is none of this log's.
    let mut owner = Socket::ready(&server, Some(&demo())).await;
    let data = server
        .data(&demo(), "query($id: ID!) { service(id: $id) { events { nodes { cursor } } } }", json!({"id": id}))
        .await;
    let cursor = data["service"]["events"]["nodes"][0]["cursor"].as_str().unwrap().to_owned();
    let future = format!("{}ff", &cursor[..cursor.len() - 2]);
    owner.subscribe("1", EVENTS, json!({"after": future})).await;
    assert_eq!(code_and_field(&owner.next("1").await), ("BAD_USER_INPUT", "after"));
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let server = Server::start().await;
    let id = server.provision(&demo(), redis()).await;
    let short = sign(&json!({"sub": "ada", "exp": in_seconds(2 - 30), "projects": ["demo"], "permissions": BOTH}));
    let mut socket = Socket::ready(&server, Some(&short)).await;
    socket.subscribe("s", CHANGED, json!({"id": id})).await;
    assert_eq!(socket.next("s").await["data"]["serviceChanged"]["state"], "PENDING");
    let payload = socket.next("s").await;
    assert_eq!((code(&payload), &payload["data"]), ("UNAUTHENTICATED", &Value::Null));
    assert_eq!(payload["errors"][0]["message"], "Not authenticated: the token is expired.");
    assert_eq!(socket.json().await, json!({"type": "complete", "id": "s"}));
    // What comes later on the same connection is no better off.
    for query in ["{ viewer { subject } }", "subscription { serviceEvents(projectId: \"demo\") { cursor } }"] {
        socket.subscribe("q", query, json!({})).await;
        assert_eq!(code(&socket.next("q").await), "UNAUTHENTICATED", "{query}");
        assert_eq!(socket.json().await["type"], "complete");
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_token_also_by_a_clock_that_is_set() {
    let ahead = Arc::new(AtomicI64::new(0));
    let clock = {
        let ahead = Arc::clone(&ahead);
        Clock::reading(move || Timestamp::now() + SignedDuration::from_secs(ahead.load(Ordering::SeqCst)))
    };
    let server = Server::start_limited(Limits { clock: Some(clock), ..Limits::default() }).await;
    let id = server.provision(&demo(), redis()).await;
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    socket.subscribe("s", CHANGED, json!({"id": id})).await;
    socket.next("s").await;
    ahead.store(2 * 3600, Ordering::SeqCst);
    assert_eq!(code(&socket.next("s").await), "UNAUTHENTICATED");
    assert_eq!(socket.json().await, json!({"type": "complete", "id": "s"}));
}

#[tokio::test]
async fn queries_and_mutations_go_over_the_socket_as_well() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    let mutation = "mutation($input: ProvisionServiceInput!) { provisionService(input: $input) { service { name } } }";
    socket.subscribe("m", mutation, json!({"input": redis()})).await;
    assert_eq!(socket.next("m").await, json!({"data": {"provisionService": {"service": {"name": "redis"}}}}));
    assert_eq!(socket.json().await, json!({"type": "complete", "id": "m"}));
    // A request that can't be executed is an error message, which is the operation's last.
    socket.subscribe("v", "{ nonsense }", json!({})).await;
    let message = socket.json().await;
    assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("v")));
    assert_eq!(message["payload"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
    socket.subscribe("v", "{ __typename }", json!({})).await;
    assert_eq!(socket.next("v").await, json!({"data": {"__typename": "Query"}}));
}

#[tokio::test]
async fn a_subscription_has_one_root_field_also_in_a_fragment() {
    let server = Server::start().await;
    let id = server.provision(&demo(), redis()).await;
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    let in_fragments = "subscription s($id: ID!) { ...a } fragment a on Subscription { ... on Subscription { serviceChanged(id: $id) { ...b } } } fragment b on Service { state }";
    socket.subscribe("f", in_fragments, json!({"id": id})).await;
    assert_eq!(socket.next("f").await, json!({"data": {"serviceChanged": {"state": "PENDING"}}}));
    let bomb: String =
        (0..30).map(|n| format!("fragment f{n} on Subscription {{ ...f{} ...f{} }} ", n + 1, n + 1)).collect();
    for query in [
        "subscription($id: ID!) { a: serviceChanged(id: $id) { state } b: serviceChanged(id: $id) { state } }",
        "subscription($id: ID!) { ...a serviceEvents(projectId: \"demo\") { cursor } } fragment a on Subscription { serviceChanged(id: $id) { state } }",
        "subscription { ...a } fragment a on Subscription { ...a }",
        "subscription { ...nothing }",
        "subscription { __typename }",
        &format!(
            "subscription {{ ...f0 }} {bomb} fragment f30 on Subscription {{ serviceEvents(projectId: \"demo\") {{ cursor }} }}"
        ),
    ] {
        socket.subscribe("x", query, json!({"id": id})).await;
        let message = socket.json().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("x")), "{query}: {message}");
        assert_eq!(message["payload"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED", "{query}");
    }
}
