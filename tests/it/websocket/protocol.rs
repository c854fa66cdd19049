//! Both subprotocols: who comes in, what closes a connection and how.

use super::*;

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
