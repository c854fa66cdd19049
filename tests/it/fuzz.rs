//! Whatever is sent, in either protocol: nothing panics, nothing is an error of the server's own, and others are served.

use std::num::NonZeroU32;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use reqwest::header;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Heard, Limits, Server, Socket, demo};

/// Documents to begin with, over the whole schema.
const DOCUMENTS: &[&str] = &[
    include_str!("introspection.graphql"),
    "query($id: ID!, $n: Int = 3, $c: String) { service(id: $id) { ...s } node(id: $id) { id ... on Service { name } } \
     services(projectId: \"demo\", filter: {kinds: [REDIS], states: [RUNNING, ERROR], includeDestroyed: true}, first: $n, \
     after: $c) { edges { cursor node { ...s } } pageInfo { hasNextPage endCursor } totalCount eventCursor } } \
     fragment s on Service { id projectId kind tier { tier cpus } state operation { kind phase } error { code } \
     credentials { key value } viewerActions createdAt events(last: $n, before: $c) { nodes { id: cursor message } } }",
    "{ viewer { subject projects permissions expiresAt } serviceCatalog(availability: AVAILABLE) { kind versions tiers { \
     memoryMib } } catalogEntry(kind: POSTGRESQL) { name @skip(if: false) description @include(if: true) } }",
    "mutation($input: ProvisionServiceInput!) { a: provisionService(input: $input) { service { id hostname port } } \
     startService(input: {id: \"\"\"block \\\"\"\" text\"\"\"}) { service { id } } \
     destroyService(input: {id: \"svc_00000000000000000000000000000001\"}) { service { state } } }",
    "subscription($id: ID!) { serviceChanged(id: $id) { state } }",
    "subscription { serviceEvents(projectId: \"demo\", after: null) { cursor message service { name } } }",
];

/// What may stand anywhere in a document, where it belongs or not.
const WORDS: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "...",
    ":",
    "=",
    "!",
    "$",
    "@",
    "|",
    "&",
    "#",
    ",",
    "\"",
    "\"\"\"",
    "\\",
    "\n",
    "\u{feff}",
    "\u{0}",
    "ü",
    "query",
    "mutation",
    "subscription",
    "fragment",
    "on",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "99999999999",
    "1.5",
    "\"\"",
    "\"x\"",
    "\"\\u0000\"",
    "\"\\uD800\"",
    "$id",
    "$n",
    "@skip(if: $n)",
    "@include",
    "@deprecated",
    "__typename",
    "__schema",
    "__type",
    "id",
    "first: 1",
    "last: -1",
    "services",
    "nodes",
    "events",
    "s",
    "...s",
    "REDIS",
    "input",
    "{id: 1}",
    "[[1]]",
];

/// Texts that ids, cursors and names could be mistaken for.
const TEXTS: &[&str] = &[
    "",
    "svc_",
    "svc_00000000000000000000000000000001",
    "svc_0000000000000000000000000000000g",
    "2a97516c0000000000000006",
    "2a97516cffffffffffffffff",
    "ffffffffffffffffffffffff",
    "demo",
    "\u{0}",
    "-1",
    "' OR 1=1 --",
    "ééééééééééééééééééé",
];

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

fn start(runtime: &Runtime) -> Server {
    let mut limits = Limits::default();
    (limits.wire.subject_rate, limits.wire.address_rate) = (NonZeroU32::MAX, NonZeroU32::MAX);
    runtime.block_on(Server::start_limited(limits))
}

fn document() -> impl Strategy<Value = String> {
    let change = (any::<Index>(), any::<Index>(), prop_oneof![select(WORDS).prop_map(str::to_owned), ".{0,8}"], 0..4u8);
    let changed = (select(DOCUMENTS), vec(change, 0..6)).prop_map(|(document, changes)| {
        let mut words: Vec<String> = document.split(' ').map(str::to_owned).collect();
        for (at, other, word, what) in changes {
            let (at, other) = (at.index(words.len()), other.index(words.len()));
            match what {
                0 => words[at] = word,
                1 => words.insert(at, word),
                2 => words.swap(at, other),
                _ => words[at] = words[other].clone(),
            }
        }
        words.join(" ")
    });
    let soup = vec(select(WORDS), 0..60).prop_map(|words| words.join(" "));
    prop_oneof![4 => changed, 2 => soup, 1 => ".{0,200}"]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![select(TEXTS).prop_map(str::to_owned), ".{0,40}", "svc_[0-9a-f]{32}", "[0-9a-f]{24}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        let key = prop_oneof![
            select(&["projectId", "kind", "id", "name", "version", "tier"][..]).prop_map(str::to_owned),
            text()
        ];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((key, inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A GraphQL request, most often one that could be meant.
fn request() -> impl Strategy<Value = Value> {
    let variables = (value(), value(), value(), value());
    let variables = variables.prop_map(|(id, n, c, input)| json!({"id": id, "n": n, "c": c, "input": input}));
    let variables = prop_oneof![3 => variables, 1 => value()];
    let ids = (text(), text(), 0..200i32).prop_map(|(id, c, n)| json!({"id": id, "c": c, "n": n}));
    let meant = (document(), prop_oneof![variables, ids])
        .prop_map(|(query, variables)| json!({"query": query, "variables": variables}));
    let odd = vec((select(&["query", "variables", "operationName", "extensions"][..]), value()), 0..5);
    let odd = odd
        .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>()));
    prop_oneof![6 => meant, 1 => odd, 1 => value()]
}

/// Every error has a code, and none that says that the server failed.
fn check_errors(errors: &Value) -> Result<(), TestCaseError> {
    for error in errors.as_array().into_iter().flatten() {
        let code = error["extensions"]["code"].as_str();
        prop_assert!(code.is_some_and(|code| code != "INTERNAL_SERVER_ERROR" && code != "UNAVAILABLE"), "{error}");
    }
    Ok(())
}

#[test]
fn whatever_is_posted_is_answered_and_never_with_a_failure() {
    let runtime = Runtime::new().unwrap();
    let server = start(&runtime);
    let body = prop_oneof![
        5 => request().prop_map(|request| request.to_string().into_bytes()),
        1 => vec(any::<u8>(), 0..300),
        1 => (request(), any::<Index>()).prop_map(|(request, at)| {
            let text = request.to_string().into_bytes();
            text[..at.index(text.len())].to_vec()
        }),
    ];
    let result = runner(600).run(&(body, any::<bool>()), |(body, known)| {
        runtime.block_on(async {
            let request = server.client.post(server.url("/graphql")).header(header::CONTENT_TYPE, "application/json");
            let request = if known { request.bearer_auth(demo()) } else { request };
            let response = request.body(body).send().await.unwrap();
            prop_assert!(response.status().as_u16() < 500, "{}", response.status());
            let answer: Value = response.json().await.unwrap();
            prop_assert!(answer.get("data").is_some() || answer.get("errors").is_some(), "{answer}");
            check_errors(&answer["errors"])
        })
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(server.data(&demo(), "{ viewer { subject } }", json!({})));
}

#[test]
fn whatever_is_asked_for_in_an_address_is_answered() {
    let runtime = Runtime::new().unwrap();
    let server = start(&runtime);
    let variables =
        prop_oneof![2 => Just(json!({})), 1 => value().prop_map(|value| json!({"id": value})), 1 => value()];
    let name = prop_oneof![3 => Just(String::new()), 1 => text()];
    let result = runner(200).run(&(document(), variables, name), |(query, variables, name)| {
        runtime.block_on(async {
            let mut url: reqwest::Url = server.url("/graphql").parse().unwrap();
            let encoded = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
            let variables = encoded(&variables.to_string());
            url.set_query(Some(&format!(
                "query={}&variables={variables}&operationName={}",
                encoded(&query),
                encoded(&name)
            )));
            let response = server.client.get(url).bearer_auth(demo()).send().await.unwrap();
            prop_assert!(response.status().as_u16() < 500, "{}", response.status());
            check_errors(&response.json::<Value>().await.unwrap()["errors"])
        })
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn whatever_a_websocket_says_ends_at_most_itself() {
    let runtime = Runtime::new().unwrap();
    let server = start(&runtime);
    let kind = select(&["connection_init", "subscribe", "complete", "ping", "pong", "start", "stop", "next", "x"][..]);
    let said = (kind, prop_oneof![Just("1".to_owned()), text()], request())
        .prop_map(|(kind, id, payload)| Message::text(json!({"type": kind, "id": id, "payload": payload}).to_string()));
    let message = prop_oneof![
        6 => said,
        1 => value().prop_map(|value| Message::text(value.to_string())),
        1 => ".{0,100}".prop_map(Message::text),
        1 => vec(any::<u8>(), 0..100).prop_map(Message::binary),
    ];
    let protocol = select(&["graphql-transport-ws", "graphql-ws"][..]);
    let result = runner(200).run(&(protocol, vec(message, 1..6)), |(protocol, messages)| {
        runtime.block_on(async {
            let mut socket = Socket::open(&server, protocol, Some(&format!("Bearer {}", demo()))).await;
            socket.say(json!({"type": "connection_init"})).await;
            socket.json().await;
            for message in messages {
                // It may have been closed meanwhile.
                if socket.try_raw(message).await.is_err() {
                    break;
                }
            }
            // No client may send this.
            let _ = socket.try_raw(Message::text("{\"type\": \"end\"}")).await;
            loop {
                match socket.hear().await {
                    Heard::Closed(code) => {
                        prop_assert!(matches!(code, 1000 | 4400..=4429), "{code}");
                        return Ok(());
                    }
                    Heard::Json(message) => {
                        let payload = &message["payload"];
                        check_errors(if payload.is_array() { payload } else { &payload["errors"] })?;
                    }
                }
            }
        })
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(server.data(&demo(), "{ viewer { subject } }", json!({})));
}
