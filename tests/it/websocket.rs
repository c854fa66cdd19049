//! Both subprotocols: streams, ends, close codes.

use std::time::Duration;

use project_services::domain::service::ServiceState;
use project_services::http::SocketLimits;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::{BOTH, Heard, PATIENCE, Server, Socket, code, code_and_field, demo, in_seconds, sign, token};

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

#[tokio::test]
async fn the_token_comes_in_the_payload_or_in_the_header() {
    let server = Server::start().await;
    let bearer = format!("Bearer {}", demo());
    let expired = sign(&json!({"sub": "ada", "exp": in_seconds(-31)}));
    let subject = async |header: Option<&str>, payload: Value| {
        let mut socket = Socket::open(&server, "graphql-transport-ws", header).await;
        socket.say(json!({"type": "connection_init", "payload": payload})).await;
        match socket.hear().await {
            Heard::Closed(code) => return format!("closed {code}"),
            Heard::Json(message) => assert_eq!(message, json!({"type": "connection_ack"})),
        }
        socket.subscribe("1", "{ viewer { subject } }", json!({})).await;
        let payload = socket.next("1").await;
        payload["data"]["viewer"]["subject"].as_str().map_or_else(|| code(&payload).to_owned(), str::to_owned)
    };
    assert_eq!(subject(None, json!({"Authorization": bearer})).await, "ada");
    assert_eq!(subject(None, json!({"authorization": bearer, "other": 1})).await, "ada");
    assert_eq!(subject(None, json!({"AUTHORIZATION": bearer})).await, "ada");
    assert_eq!(subject(Some(&bearer), Value::Null).await, "ada");
    assert_eq!(subject(Some(&bearer), json!({})).await, "ada");
    assert_eq!(subject(Some(&format!("Bearer {expired}")), json!({"Authorization": bearer})).await, "ada");
    assert_eq!(subject(None, Value::Null).await, "UNAUTHENTICATED");
    assert_eq!(subject(None, json!({"token": bearer})).await, "UNAUTHENTICATED");
    assert_eq!(subject(None, json!({"Authorization": format!("Bearer {expired}")})).await, "closed 4403");
    assert_eq!(subject(None, json!({"Authorization": "nonsense"})).await, "closed 4403");
    assert_eq!(subject(None, json!({"Authorization": 7})).await, "closed 4403");
    assert_eq!(subject(Some("Bearer nonsense"), json!({})).await, "closed 4403");
    assert_eq!(subject(None, json!([])).await, "closed 4400");
}

#[tokio::test]
async fn what_breaks_the_protocol_closes_with_its_code() {
    let server = Server::start().await;
    for message in [
        "nonsense",
        "null",
        "[]",
        "7",
        "{}",
        "{\"type\": 7}",
        "{\"type\": \"surprise\"}",
        "{\"type\": \"next\", \"id\": \"1\"}",
        "{\"type\": \"start\", \"id\": \"1\", \"payload\": {\"query\": \"{__typename}\"}}",
        "{\"type\": \"subscribe\"}",
        "{\"type\": \"subscribe\", \"id\": \"\", \"payload\": {\"query\": \"{__typename}\"}}",
        "{\"type\": \"subscribe\", \"id\": 7, \"payload\": {\"query\": \"{__typename}\"}}",
        "{\"type\": \"subscribe\", \"id\": \"1\"}",
        "{\"type\": \"subscribe\", \"id\": \"1\", \"payload\": {}}",
        "{\"type\": \"subscribe\", \"id\": \"1\", \"payload\": {\"query\": 7}}",
        "{\"type\": \"subscribe\", \"id\": \"1\", \"payload\": {\"query\": \"{__typename}\", \"variables\": 7}}",
        "{\"type\": \"complete\"}",
    ] {
        let mut socket = Socket::ready(&server, Some(&demo())).await;
        socket.raw(Message::text(message)).await;
        assert_eq!(socket.close_code().await, 4400, "{message}");
    }
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    socket.raw(Message::binary(&b"{\"type\": \"ping\"}"[..])).await;
    assert_eq!(socket.close_code().await, 4400);

    let mut early = Socket::open(&server, "graphql-transport-ws", None).await;
    early.subscribe("1", "{ __typename }", json!({})).await;
    assert_eq!(early.close_code().await, 4401);

    let mut twice = Socket::ready(&server, Some(&demo())).await;
    twice.say(json!({"type": "connection_init"})).await;
    assert_eq!(twice.close_code().await, 4429);

    let mut doubled = Socket::ready(&server, Some(&demo())).await;
    for _ in 0..2 {
        doubled.subscribe(&"ü".repeat(200), EVENTS, json!({})).await;
    }
    assert_eq!(doubled.close_code().await, 4409);

    let mut large = Socket::ready(&server, Some(&demo())).await;
    large.raw(Message::text(" ".repeat((1 << 20) + 1))).await;
    assert_eq!(large.close_code().await, 1009);

    let mut none = Socket::open(&server, "", None).await;
    assert_eq!(none.close_code().await, 4406);
}

#[tokio::test]
async fn who_does_not_introduce_themselves_is_sent_away() {
    let limits = SocketLimits { init_timeout: Duration::from_millis(100), ..SocketLimits::default() };
    let server = Server::start_with_limits(limits).await;
    let mut silent = Socket::open(&server, "graphql-transport-ws", None).await;
    let mut legacy = Socket::open(&server, "graphql-ws", None).await;
    // The limit is on the introduction, not on what follows.
    let mut polite = Socket::ready(&server, Some(&demo())).await;
    assert_eq!(silent.close_code().await, 4408);
    assert_eq!(legacy.close_code().await, 4408);
    polite.say(json!({"type": "ping", "payload": {"a": 1}})).await;
    assert_eq!(polite.json().await, json!({"type": "pong", "payload": {"a": 1}}));
}

#[tokio::test]
async fn an_operation_that_the_client_completes_is_over_and_its_id_free() {
    let server = Server::start().await;
    let id = server.provision(&demo(), redis()).await;
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    socket.subscribe("1", CHANGED, json!({"id": id})).await;
    assert_eq!(socket.next("1").await["data"]["serviceChanged"]["state"], "PENDING");
    socket.say(json!({"type": "complete", "id": "1"})).await;
    socket.say(json!({"type": "complete", "id": "unknown"})).await;
    socket.say(json!({"type": "ping"})).await;
    assert_eq!(socket.json().await, json!({"type": "pong"}));
    server.settle(&id, ServiceState::Running).await;
    // Had the first one lived on, it would be heard before this one.
    socket.subscribe("1", "query($id: ID!) { service(id: $id) { state } }", json!({"id": id})).await;
    assert_eq!(socket.next("1").await, json!({"data": {"service": {"state": "RUNNING"}}}));
}

#[tokio::test]
async fn what_an_ended_operation_left_behind_is_not_the_next_ones() {
    let server = Server::start().await;
    let id = server.provision(&demo(), redis()).await;
    server.append(&id, 1000).await;
    let query = "query($id: ID!) { service(id: $id) { events(first: 1) { nodes { cursor } } } }";
    let data = server.data(&demo(), query, json!({"id": id})).await;
    let first = &data["service"]["events"]["nodes"][0]["cursor"];
    // Nothing to look up, so that results come faster than they are written.
    let light = "subscription($after: String) { serviceEvents(projectId: \"demo\", after: $after) { message } }";
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    for _ in 0..40 {
        socket.subscribe("1", light, json!({"after": first})).await;
        socket.next("1").await;
        // Its results are waiting by now. The pong says that the server has read of its end.
        socket.say(json!({"type": "complete", "id": "1"})).await;
        socket.say(json!({"type": "ping"})).await;
        socket.subscribe("1", "{ __typename }", json!({})).await;
        while socket.json().await["type"] != "pong" {}
        assert_eq!(socket.next("1").await, json!({"data": {"__typename": "Query"}}));
        assert_eq!(socket.json().await, json!({"type": "complete", "id": "1"}));
    }
}

#[tokio::test]
async fn a_connection_has_a_limited_number_of_operations() {
    let server = Server::start_with_limits(SocketLimits { operations: 2, ..SocketLimits::default() }).await;
    let id = server.provision(&demo(), redis()).await;
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    for operation in ["1", "2"] {
        socket.subscribe(operation, CHANGED, json!({"id": id})).await;
        socket.next(operation).await;
    }
    socket.subscribe("3", CHANGED, json!({"id": id})).await;
    let message = socket.json().await;
    assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("3")));
    assert_eq!(message["payload"][0]["extensions"]["code"], "RATE_LIMITED");
    socket.say(json!({"type": "complete", "id": "1"})).await;
    socket.subscribe("3", CHANGED, json!({"id": id})).await;
    socket.next("3").await;
}

#[tokio::test]
async fn a_stream_that_always_has_more_leaves_room_for_others() {
    let server = Server::start().await;
    let id = server.provision(&demo(), redis()).await;
    server.append(&id, 400).await;
    let data = server
        .data(
            &demo(),
            "query($id: ID!) { service(id: $id) { events(first: 1) { nodes { cursor } } } }",
            json!({"id": id}),
        )
        .await;
    let first = &data["service"]["events"]["nodes"][0]["cursor"];
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    for stream in ["a", "b", "c"] {
        socket.subscribe(stream, EVENTS, json!({"after": first})).await;
    }
    socket.subscribe("q", "{ viewer { subject } }", json!({})).await;
    let mut before_the_answer = 0;
    loop {
        let message = socket.json().await;
        if message["id"] == "q" && message["type"] == "next" {
            break;
        }
        before_the_answer += 1;
    }
    assert!(before_the_answer < 600, "{before_the_answer} of 1200 events went first");
}

#[tokio::test]
async fn clients_that_do_not_read_or_answer_are_let_go() {
    let limits = SocketLimits {
        ping_interval: Duration::from_millis(50),
        patience: Duration::from_millis(200),
        ..SocketLimits::default()
    };
    let server = Server::start_with_limits(limits).await;
    // Neither is read from any more, so neither pings are answered nor results taken.
    let silent = Socket::ready(&server, Some(&demo())).await;
    let mut greedy = Socket::ready(&server, Some(&demo())).await;
    let schema = "{ __schema { types { name description fields { name description type { name } args { name description } } } } }";
    for operation in 0..90 {
        greedy.subscribe(&operation.to_string(), schema, json!({})).await;
    }
    server.sockets.close();
    timeout(PATIENCE, server.sockets.wait()).await.expect("a client that does not read is kept");
    drop((silent, greedy));
}

#[tokio::test]
async fn a_client_that_only_answers_pings_stays() {
    let limits = SocketLimits {
        ping_interval: Duration::from_millis(50),
        patience: Duration::from_millis(150),
        ..SocketLimits::default()
    };
    let server = Server::start_with_limits(limits).await;
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    // Reading answers pings; nothing else is heard for far longer than the patience.
    assert!(timeout(Duration::from_secs(1), socket.hear()).await.is_err());
    socket.say(json!({"type": "ping"})).await;
    assert_eq!(socket.json().await, json!({"type": "pong"}));
}

#[tokio::test]
async fn a_server_that_goes_asks_its_clients_to_come_back() {
    let server = Server::start().await;
    let id = server.provision(&demo(), redis()).await;
    let mut modern = Socket::ready(&server, Some(&demo())).await;
    modern.subscribe("1", CHANGED, json!({"id": id})).await;
    modern.next("1").await;
    let mut idle = Socket::open(&server, "graphql-ws", None).await;
    server.shutdown.cancel();
    // No `complete` before: a client would take it for the end of the stream and not come back for more.
    assert_eq!(modern.hear().await, Heard::Closed(1001));
    assert_eq!(idle.hear().await, Heard::Closed(1001));
    server.sockets.close();
    drop((modern, idle));
    timeout(PATIENCE, server.sockets.wait()).await.expect("a socket is left open");
}

#[tokio::test]
async fn a_client_that_says_goodbye_hears_it_back() {
    let server = Server::start().await;
    for protocol in ["graphql-transport-ws", "graphql-ws"] {
        let mut socket = Socket::open(&server, protocol, None).await;
        socket.raw(Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))).await;
        assert_eq!(socket.hear().await, Heard::Closed(1000));
    }
    server.sockets.close();
    timeout(PATIENCE, server.sockets.wait()).await.expect("a socket is left open");
}

#[tokio::test]
async fn the_older_protocol_works_as_well() {
    let server = Server::start().await;
    let id = server.provision(&demo(), redis()).await;
    let mut socket = Socket::open(&server, "graphql-ws", None).await;
    let bearer = format!("Bearer {}", demo());
    socket.say(json!({"type": "connection_init", "payload": {"Authorization": bearer}})).await;
    assert_eq!(socket.json().await, json!({"type": "connection_ack"}));
    assert_eq!(socket.json().await, json!({"type": "ka"}));
    let start = |id: &str, query: &str, variables: Value| json!({"type": "start", "id": id, "payload": {"query": query, "variables": variables}});
    socket.say(start("1", CHANGED, json!({"id": id}))).await;
    let data = |state: &str, operation: Value| json!({"type": "data", "id": "1", "payload": {"data": {"serviceChanged": {"state": state, "operation": operation}}}});
    assert_eq!(socket.json().await, data("PENDING", json!({"kind": "PROVISION"})));
    server.settle(&id, ServiceState::Running).await;
    assert_eq!(socket.json().await, data("RUNNING", Value::Null));
    socket.say(json!({"type": "stop", "id": "1"})).await;
    assert_eq!(socket.json().await, json!({"type": "complete", "id": "1"}));
    server.settle(&id, ServiceState::Destroyed).await;
    socket.say(start("2", CHANGED, json!({"id": id}))).await;
    let mut last = data("DESTROYED", Value::Null);
    last["id"] = json!("2");
    assert_eq!(socket.json().await, last);
    assert_eq!(socket.json().await, json!({"type": "complete", "id": "2"}));
    socket.say(start("3", "{ nonsense }", json!({}))).await;
    let refusal = socket.json().await;
    assert_eq!((&refusal["type"], code(&refusal["payload"])), (&json!("data"), "GRAPHQL_VALIDATION_FAILED"));
    assert_eq!(socket.json().await, json!({"type": "complete", "id": "3"}));
    // The same id again ends the operation that had it.
    socket.say(start("4", EVENTS, json!({}))).await;
    socket.say(start("4", "{ __typename }", json!({}))).await;
    assert_eq!(socket.json().await["payload"], json!({"data": {"__typename": "Query"}}));
    assert_eq!(socket.json().await, json!({"type": "complete", "id": "4"}));
    socket.say(json!({"type": "connection_terminate"})).await;
    assert_eq!(socket.close_code().await, 1000);

    let mut refused = Socket::open(&server, "graphql-ws", None).await;
    refused.say(json!({"type": "connection_init", "payload": {"Authorization": "Bearer nonsense"}})).await;
    let expected = json!({"type": "connection_error", "payload": {"message": "the token is not valid"}});
    assert_eq!(refused.json().await, expected);
    assert_eq!(refused.close_code().await, 4403);
}

#[tokio::test]
async fn the_newer_protocol_is_preferred() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server, "graphql-ws, graphql-transport-ws", None).await;
    socket.say(json!({"type": "connection_init"})).await;
    assert_eq!(socket.json().await, json!({"type": "connection_ack"}));
    // The older protocol has no ping.
    socket.say(json!({"type": "ping"})).await;
    assert_eq!(socket.json().await, json!({"type": "pong"}));
}
