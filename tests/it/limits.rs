//! What clients may take: each limit over the wire, with its error.

use std::num::NonZeroU32;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use project_services::domain::service::ServiceState;
use project_services::{api, http};
use reqwest::{Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::harness::{BOTH, Limits, PATIENCE, Server, Socket, code, code_and_field, demo, sign_as, token};

const CHANGED: &str = "subscription($id: ID!) { serviceChanged(id: $id) { state } }";

/// What GraphiQL 5 sends when it opens: getIntrospectionQuery of graphql-js 16, with all of its options.
const INTROSPECTION: &str = include_str!("introspection.graphql");

fn few(requests: impl FnOnce(&mut api::Limits)) -> Limits {
    let mut limits = Limits::default();
    requests(&mut limits.requests);
    limits
}

fn wire(wire: impl FnOnce(&mut http::Limits)) -> Limits {
    let mut limits = Limits::default();
    wire(&mut limits.wire);
    limits
}

fn one_of(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

/// Code, limit and maximum of a response's first error.
fn limit(body: &Value) -> (&str, &str, i64) {
    let extensions = &body["errors"][0]["extensions"];
    (code(body), extensions["limit"].as_str().unwrap_or(""), extensions["maximum"].as_i64().unwrap_or(0))
}

#[tokio::test]
async fn a_document_is_let_through_up_to_each_limit_and_not_beyond() {
    let limits = few(|limits| {
        *limits = api::Limits {
            tokens: 60,
            depth: 5,
            complexity: 42,
            aliases: 2,
            root_fields: 3,
            directives: 2,
            ..api::Limits::default()
        };
    });
    let server = Server::start_limited(limits).await;
    let services = |first: &str, fields: &str| format!("{{ services(projectId: \"demo\"{first}) {{ {fields} }} }}");
    for (within, beyond, name, most) in [
        (format!("{{ {} }}", "__typename ".repeat(58)), format!("{{ {} }}", "__typename ".repeat(59)), "tokens", 60),
        (
            services(", first: 1", "nodes { tier { name } events(first: 1) { totalCount: __typename } }"),
            services(", first: 1", "nodes { tier { name } events(first: 1) { nodes { service { __typename } } } }"),
            "depth",
            5,
        ),
        // The list, and 20 times its nodes and their names.
        (services("", "nodes { name }"), services(", first: 21", "nodes { name }"), "complexity", 42),
        (
            "{ a: __typename b: __typename }".to_owned(),
            "{ a: __typename ...f ...f } fragment f on Query { b: __typename }".to_owned(),
            "aliases",
            2,
        ),
        (
            "{ __typename viewer { subject permissions projects } ...f } fragment f on Query { __typename }".to_owned(),
            "{ __typename viewer { subject } ...f ...f } fragment f on Query { __typename }".to_owned(),
            "rootFields",
            3,
        ),
        (
            "query($b: Boolean = true) { __typename @skip(if: $b) ... @include(if: $b) { viewer { subject } } }".to_owned(),
            "query($b: Boolean = true) { __typename @skip(if: $b) @include(if: $b) ... @include(if: $b) { __typename } }"
                .to_owned(),
            "directives",
            2,
        ),
    ] {
        let body = server.run(&demo(), &within, json!({})).await;
        // Beyond another one of these few, but not beyond this one.
        if !body["errors"].is_null() {
            assert_ne!(limit(&body).1, name, "{within}: {body}");
            assert_eq!(name, "tokens", "{within}: {body}");
        }
        let body = server.run(&demo(), &beyond, json!({})).await;
        assert!(!body["errors"].is_null(), "{beyond}: {body}");
        assert_eq!(limit(&body), ("GRAPHQL_VALIDATION_FAILED", name, most), "{beyond}: {body}");
        assert!(body.get("data").is_none());
    }
    // The page's size may be a variable, or its default.
    for (query, variables) in [
        ("query($n: Int!) { services(projectId: \"demo\", first: $n) { nodes { name } } }", json!({"n": 21})),
        ("query($n: Int = 21) { services(projectId: \"demo\", last: $n) { nodes { name } } }", json!({})),
    ] {
        let body = server.run(&demo(), query, variables).await;
        assert_eq!(limit(&body).1, "complexity", "{query}: {body}");
    }
    // Pages in pages multiply.
    let nested = services(", first: 4", "nodes { events(first: 5) { nodes { cursor } } }");
    assert_eq!(limit(&server.run(&demo(), &nested, json!({})).await), ("GRAPHQL_VALIDATION_FAILED", "complexity", 42));
}

#[tokio::test]
async fn what_would_take_the_stack_or_the_memory_is_refused_at_once() {
    // As many tokens as fit into a body, so that the nesting alone has to be noticed.
    let server = Server::start_limited(few(|limits| limits.tokens = usize::MAX)).await;
    let many = 100_000;
    for document in [
        "{a".repeat(many),
        "{a".repeat(many) + &"}".repeat(many),
        format!("{{ a(b: {}{}) }}", "[".repeat(many), "]".repeat(many)),
        format!("{{ a(b: {}", "{c: ".repeat(many)),
        format!("query($a: {}Int{}) {{ b }}", "[".repeat(many), "]".repeat(many)),
        format!("query($a: Int = {}1{}) {{ b }}", "[".repeat(many), "]".repeat(many)),
        format!(
            "{{ ...f0 }} {}",
            (0..9000).map(|n| format!("fragment f{n} on Q {{ ...f{} }} ", n + 1)).collect::<String>()
        ),
        format!("{{ {} }}", "... { a ".repeat(many)),
        "(".repeat(1_000_000),
    ] {
        let body = server.run(&demo(), &document, json!({})).await;
        assert_eq!(code(&body), "GRAPHQL_VALIDATION_FAILED", "{}", &document[..40]);
    }
    let deep = format!("{{\"query\": \"{{ __typename }}\", \"variables\": {}", "{\"a\":".repeat(many));
    let request = server.client.post(server.url("/graphql")).bearer_auth(demo());
    let response = request.header(header::CONTENT_TYPE, "application/json").body(deep).send().await.unwrap();
    assert_eq!(code(&response.json().await.unwrap()), "BAD_USER_INPUT");
    // Long and flat is the tokens' matter.
    let server = Server::start().await;
    for document in ["a ".repeat(400_000), format!("{{ a(b: [{}]) }}", "1 ".repeat(400_000)), "\"".repeat(400_000)] {
        let body = server.run(&demo(), &document, json!({})).await;
        assert_eq!(limit(&body), ("GRAPHQL_VALIDATION_FAILED", "tokens", 2000), "{}", &document[..40]);
    }
}

#[tokio::test]
async fn graphiqls_introspection_fits_and_what_multiplies_it_does_not() {
    let server = Server::start().await;
    for authorization in [None, Some(demo())] {
        let request = server.post(authorization.as_deref(), &json!({"query": INTROSPECTION}));
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        assert!(body["errors"].is_null(), "{}", body["errors"]);
        assert!(body["data"]["__schema"]["types"].as_array().unwrap().len() > 30);
    }
    let circular =
        "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }";
    let wide =
        INTROSPECTION.replacen("__schema {", "a: __schema { ...s } b: __schema { ...s } } fragment s on __Schema {", 1);
    let wide = wide.replacen("}\n    }\n", "}\n", 1);
    for query in [circular, &wide] {
        let body = server.run(&demo(), query, json!({})).await;
        assert_eq!(limit(&body), ("GRAPHQL_VALIDATION_FAILED", "introspection", 100_000), "{query}");
    }
}

#[tokio::test]
async fn without_introspection_nobody_learns_the_schema() {
    let server = Server::start_limited(few(|limits| limits.introspection = false)).await;
    for query in [INTROSPECTION, "{ __schema { queryType { name } } }", "{ __type(name: \"Service\") { name } }"] {
        let body = server.run(&demo(), query, json!({})).await;
        assert_eq!(code(&body), "GRAPHQL_VALIDATION_FAILED", "{query}: {body}");
    }
    for query in ["{ service_ }", "{ viewer { subjec } }", "{ services(projectID: \"x\") { __typename } }"] {
        let body = server.run(&demo(), query, json!({})).await;
        assert_eq!(code(&body), "GRAPHQL_VALIDATION_FAILED", "{query}: {body}");
        assert!(!body.to_string().contains("Did you mean"), "{body}");
        assert!(Server::start().await.run(&demo(), query, json!({})).await.to_string().contains("Did you mean"));
    }
    let data = server.data(&demo(), "{ __typename viewer { __typename } }", json!({})).await;
    assert_eq!(data, json!({"__typename": "Query", "viewer": {"__typename": "Viewer"}}));
}

#[tokio::test]
async fn graphiql_can_be_switched_off() {
    let server = Server::start_limited(wire(|limits| limits.graphiql = false)).await;
    let request = server.client.get(server.url("/graphql")).header(header::ACCEPT, "text/html,*/*;q=0.8");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(code_and_field(&response.json().await.unwrap()), ("BAD_USER_INPUT", "query"));
    let response = server.client.get(server.url("/graphiql")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn batches_are_off_until_they_are_allowed() {
    let one = json!({"query": "{ viewer { subject } }"});
    let off = Server::start().await;
    let response = off.post(Some(&demo()), &json!([one])).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let body: Value = response.json().await.unwrap();
    assert_eq!(code_and_field(&body), ("BAD_USER_INPUT", "body"));
    assert!(body["errors"][0]["message"].as_str().unwrap().contains("switched off"));

    let limits = wire(|limits| (limits.batch, limits.subject_rate) = (3, one_of(4)));
    let on = Server::start_limited(limits).await;
    for requests in [json!([]), json!([one, one, one, one])] {
        let response = on.post(Some(&sign_as("grace")), &requests).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(code_and_field(&response.json().await.unwrap()), ("BAD_USER_INPUT", "body"));
    }
    let requests = json!([one, {"query": "{ nonsense }"}, {"query": 7}]);
    let answers: Value = on.post(Some(&demo()), &requests).send().await.unwrap().json().await.unwrap();
    assert_eq!(answers[0], json!({"data": {"viewer": {"subject": "ada"}}}));
    assert_eq!((code(&answers[1]), code(&answers[2])), ("GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"));
    // Each request of a batch counts.
    let response = on.post(Some(&demo()), &json!([one, one])).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_body_has_the_size_that_is_configured() {
    let server = Server::start_limited(wire(|limits| limits.body = 1000)).await;
    let sized = |size: usize| json!({"query": "{ __typename }", "extensions": {"x": "x".repeat(size)}});
    assert_eq!(server.post(None, &sized(900)).send().await.unwrap().status(), StatusCode::OK);
    let response = server.post(None, &sized(1000)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    socket.say(sized(1000)).await;
    assert_eq!(socket.close_code().await, 1009);
}

async fn refused_for_a_while(response: Response) {
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let header: i64 = response.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    let body: Value = response.json().await.unwrap();
    assert_eq!(code(&body), "RATE_LIMITED");
    assert_eq!(body["errors"][0]["extensions"]["retryAfter"], header);
    assert!((1..=30).contains(&header), "{header}");
}

#[tokio::test]
async fn a_subject_has_a_rate_wherever_it_comes_from() {
    let server = Server::start_limited(wire(|limits| limits.subject_rate = one_of(3))).await;
    let query = json!({"query": "{ viewer { subject } }"});
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    for _ in 0..2 {
        assert_eq!(server.post(Some(&demo()), &query).send().await.unwrap().status(), StatusCode::OK);
    }
    socket.subscribe("1", "{ viewer { subject } }", json!({})).await;
    assert_eq!(socket.next("1").await["data"]["viewer"]["subject"], "ada");
    assert_eq!(socket.json().await, json!({"type": "complete", "id": "1"}));
    // One every twenty seconds from here on, whatever the media type.
    for accept in ["application/json", "application/graphql-response+json"] {
        let request = server.post(Some(&demo()), &query).header(header::ACCEPT, accept);
        refused_for_a_while(request.send().await.unwrap()).await;
    }
    let request = server.client.get(server.url("/graphql?query=%7B__typename%7D")).bearer_auth(demo());
    refused_for_a_while(request.send().await.unwrap()).await;
    socket.subscribe("2", "{ viewer { subject } }", json!({})).await;
    let message = socket.json().await;
    assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("2")));
    let extensions = &message["payload"][0]["extensions"];
    assert_eq!(extensions["code"], "RATE_LIMITED");
    assert!(extensions["retryAfter"].as_i64().is_some_and(|seconds| (1..=20).contains(&seconds)), "{extensions}");
    // Others go on, also from the same address.
    assert_eq!(server.post(Some(&sign_as("grace")), &query).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn an_address_has_a_rate_for_those_without_a_token() {
    let limits = wire(|limits| {
        limits.address_rate = one_of(3);
        limits.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let server = Server::start_limited(limits).await;
    let query = json!({"query": "{ __typename }"});
    let send = async |token: Option<&str>, address: &str| {
        server.post(token, &query).header("x-forwarded-for", address).send().await.unwrap()
    };
    assert_eq!(send(None, "192.0.2.1").await.status(), StatusCode::OK);
    for _ in 0..2 {
        assert_eq!(send(Some("nonsense"), "192.0.2.1").await.status(), StatusCode::OK);
    }
    refused_for_a_while(send(None, "192.0.2.1").await).await;
    refused_for_a_while(send(Some("nonsense"), "192.0.2.1").await).await;
    // What the client itself writes into the header changes nothing.
    refused_for_a_while(send(None, "198.51.100.7, 192.0.2.1").await).await;
    assert_eq!(send(None, "192.0.2.2").await.status(), StatusCode::OK);
    assert_eq!(send(Some(&demo()), "192.0.2.1").await.status(), StatusCode::OK);
    // Bad tokens on WebSockets count as well: these come from the proxy itself.
    for expected in [4403, 4403, 4403, 4429] {
        let mut socket = Socket::open(&server, "graphql-transport-ws", None).await;
        socket.say(json!({"type": "connection_init", "payload": {"Authorization": "Bearer nonsense"}})).await;
        assert_eq!(socket.close_code().await, expected);
    }
}

#[tokio::test]
async fn each_root_field_counts_however_it_is_asked_for() {
    let server = Server::start_limited(wire(|limits| limits.subject_rate = one_of(40))).await;
    let aliases: String = (0..19).map(|n| format!("a{n}: __typename ")).collect();
    let query = json!({"query": format!("{{ {aliases} ...f }} fragment f on Query {{ __typename }}")});
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    for _ in 0..2 {
        assert_eq!(server.post(Some(&demo()), &query).send().await.unwrap().status(), StatusCode::OK);
    }
    refused_for_a_while(server.post(Some(&demo()), &query).send().await.unwrap()).await;
    socket.say(json!({"type": "subscribe", "id": "1", "payload": query})).await;
    assert_eq!(socket.json().await["payload"][0]["extensions"]["code"], "RATE_LIMITED");

    // As events, and over a WebSocket.
    let ask =
        |subject: &str| server.post(Some(&sign_as(subject)), &query).header(header::ACCEPT, "text/event-stream").send();
    for _ in 0..2 {
        assert_eq!(ask("grace").await.unwrap().status(), StatusCode::OK);
    }
    refused_for_a_while(ask("grace").await.unwrap()).await;
    let mut socket = Socket::ready(&server, Some(&sign_as("joan"))).await;
    for (id, kind) in [("1", "next"), ("2", "next"), ("3", "error")] {
        socket.say(json!({"type": "subscribe", "id": id, "payload": query})).await;
        let message = socket.json().await;
        assert_eq!((&message["type"], &message["id"]), (&json!(kind), &json!(id)));
        if kind == "next" {
            assert_eq!(socket.json().await["type"], "complete");
        }
    }
}

#[tokio::test]
async fn probes_have_a_rate_of_their_own() {
    let server = Server::start_limited(wire(|limits| limits.address_rate = one_of(3))).await;
    let get = async |path: &str| server.client.get(server.url(path)).send().await.unwrap();
    for path in ["/healthz", "/readyz", "/readyz"] {
        assert_eq!(get(path).await.status(), StatusCode::OK, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        refused_for_a_while(get(path).await).await;
    }
    assert_eq!(server.post(None, &json!({"query": "{ __typename }"})).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn who_is_no_trusted_proxy_speaks_for_itself() {
    let server = Server::start_limited(wire(|limits| limits.address_rate = one_of(1))).await;
    let send = async |address: &str| {
        let request = server.post(None, &json!({"query": "{ __typename }"})).header("x-forwarded-for", address);
        request.send().await.unwrap().status()
    };
    assert_eq!(send("192.0.2.1").await, StatusCode::OK);
    assert_eq!(send("192.0.2.2").await, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn subscriptions_are_limited_by_subject_and_in_all() {
    let limits = few(|limits| (limits.subscriptions, limits.subscriptions_per_subject) = (3, 2));
    let server = Server::start_limited(limits).await;
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    // On two connections.
    let mut sockets = [Socket::ready(&server, Some(&demo())).await, Socket::ready(&server, Some(&demo())).await];
    for socket in &mut sockets {
        socket.subscribe("1", CHANGED, json!({"id": id})).await;
        socket.next("1").await;
    }
    let [first, second] = &mut sockets;
    second.subscribe("2", CHANGED, json!({"id": id})).await;
    assert_eq!(limit(&second.next("2").await), ("RATE_LIMITED", "subscriptionsPerSubject", 2));
    assert_eq!(second.json().await, json!({"type": "complete", "id": "2"}));
    // Queries are no subscriptions.
    second.subscribe("2", "{ __typename }", json!({})).await;
    second.next("2").await;
    assert_eq!(second.json().await, json!({"type": "complete", "id": "2"}));

    let mut grace = Socket::ready(&server, Some(&sign_as("grace"))).await;
    grace.subscribe("1", CHANGED, json!({"id": id})).await;
    grace.next("1").await;
    grace.subscribe("2", CHANGED, json!({"id": id})).await;
    assert_eq!(limit(&grace.next("2").await), ("RATE_LIMITED", "subscriptions", 3));
    assert_eq!(grace.json().await, json!({"type": "complete", "id": "2"}));
    // One that ends makes room.
    first.say(json!({"type": "complete", "id": "1"})).await;
    first.say(json!({"type": "ping"})).await;
    assert_eq!(first.json().await, json!({"type": "pong"}));
    let deadline = Instant::now() + PATIENCE;
    loop {
        second.subscribe("2", CHANGED, json!({"id": id})).await;
        if second.next("2").await["errors"].is_null() {
            break;
        }
        assert_eq!(second.json().await, json!({"type": "complete", "id": "2"}));
        assert!(Instant::now() < deadline, "the place is not free again");
    }
}

#[tokio::test]
async fn a_project_has_a_quota_of_services() {
    let server = Server::start_limited(Limits { services: 2, ..Limits::default() }).await;
    let input = json!({"projectId": "demo", "kind": "REDIS", "idempotencyKey": "first"});
    let first = server.provision(&demo(), input.clone()).await;
    server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    let query = "mutation($input: ProvisionServiceInput!) { provisionService(input: $input) { service { id } } }";
    let third = json!({"input": {"projectId": "demo", "kind": "REDIS"}});
    let body = server.run(&demo(), query, third.clone()).await;
    assert_eq!((code(&body), &body["errors"][0]["extensions"]["maximum"]), ("QUOTA_EXCEEDED", &json!(2)), "{body}");
    assert_eq!(server.written("demo").await.0, 2);
    // Asked for again, the first is still the answer; and another project has its own quota.
    assert_eq!(server.provision(&demo(), input).await, first);
    server.provision(&token(&["other"], BOTH), json!({"projectId": "other", "kind": "REDIS"})).await;
    server.settle(&first, ServiceState::Destroyed).await;
    server.data(&demo(), query, third).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_is_broken_off() {
    let server = Server::start_limited(wire(|limits| limits.request_time = Duration::from_millis(300))).await;
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    // Somebody else writes to the database, and the request waits for them.
    let file = server.directory.path().join("store.db");
    let mut other = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let mutation = "mutation { provisionService(input: {projectId: \"demo\", kind: REDIS}) { service { id } } }";
    let response = server.post(Some(&demo()), &json!({"query": mutation})).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(code(&response.json().await.unwrap()), "UNAVAILABLE");
    socket.subscribe("1", mutation, json!({})).await;
    let message = socket.json().await;
    assert_eq!(message["payload"][0]["extensions"]["code"], "UNAVAILABLE", "{message}");
    other.batch_execute("ROLLBACK").unwrap();
    // A subscription goes on for longer.
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    socket.subscribe("2", CHANGED, json!({"id": id})).await;
    socket.next("2").await;
    assert!(timeout(Duration::from_millis(600), socket.hear()).await.is_err());
    server.settle(&id, ServiceState::Running).await;
    socket.next("2").await;
}
