//! No root field answers without a token.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Server, Socket, code, in_seconds, sign};

const ID: &str = "svc_00000000000000000000000000000001";

/// Every root field, and an operation that is valid but for its token.
fn table() -> Vec<(&'static str, &'static str, String)> {
    let action = |field: &str| format!("mutation {{ {field}(input: {{id: \"{ID}\"}}) {{ service {{ id }} }} }}");
    vec![
        ("Query", "node", format!("{{ node(id: \"{ID}\") {{ id }} }}")),
        ("Query", "viewer", "{ viewer { subject } }".to_owned()),
        ("Query", "serviceCatalog", "{ serviceCatalog { kind } }".to_owned()),
        ("Query", "catalogEntry", "{ catalogEntry(kind: REDIS) { kind } }".to_owned()),
        ("Query", "service", format!("{{ service(id: \"{ID}\") {{ id }} }}")),
        ("Query", "services", "{ services(projectId: \"demo\") { totalCount } }".to_owned()),
        (
            "Mutation",
            "provisionService",
            "mutation { provisionService(input: {projectId: \"demo\", kind: REDIS}) { service { id } } }".to_owned(),
        ),
        ("Mutation", "startService", action("startService")),
        ("Mutation", "stopService", action("stopService")),
        ("Mutation", "restartService", action("restartService")),
        ("Mutation", "destroyService", action("destroyService")),
        ("Mutation", "revealCredentials", action("revealCredentials")),
        ("Mutation", "rotateCredentials", action("rotateCredentials")),
        ("Subscription", "serviceEvents", "subscription { serviceEvents(projectId: \"demo\") { cursor } }".to_owned()),
        ("Subscription", "serviceChanged", format!("subscription {{ serviceChanged(id: \"{ID}\") {{ id }} }}")),
    ]
}

#[tokio::test]
async fn the_table_has_every_root_field() {
    let server = Server::start().await;
    let fields = "fields { name }";
    let query = format!(
        "{{ __schema {{ queryType {{ name {fields} }} mutationType {{ name {fields} }} subscriptionType {{ name {fields} }} }} }}"
    );
    // Introspection needs no token.
    let body: Value = server.post(None, &json!({"query": query})).send().await.unwrap().json().await.unwrap();
    let mut in_schema = BTreeSet::new();
    for root in ["queryType", "mutationType", "subscriptionType"] {
        let root = &body["data"]["__schema"][root];
        for field in root["fields"].as_array().unwrap() {
            in_schema.insert((root["name"].as_str().unwrap().to_owned(), field["name"].as_str().unwrap().to_owned()));
        }
    }
    let in_table: BTreeSet<_> =
        table().into_iter().map(|(root, field, _)| (root.to_owned(), field.to_owned())).collect();
    assert_eq!(in_table, in_schema);
}

#[tokio::test]
async fn no_root_field_answers_without_a_good_token() {
    let server = Server::start().await;
    let expired = sign(&json!({"sub": "ada", "exp": in_seconds(-1), "projects": ["*"]}));
    let before = server.written("demo").await;
    for (root, field, query) in table() {
        if root == "Subscription" {
            let mut socket = Socket::ready(&server, None).await;
            socket.subscribe("1", &query, json!({})).await;
            let payload = socket.next("1").await;
            assert_eq!((code(&payload), &payload["data"]), ("UNAUTHENTICATED", &Value::Null), "{field}");
            assert_eq!(socket.json().await, json!({"type": "complete", "id": "1"}), "{field}");
            continue;
        }
        for token in [None, Some(expired.as_str())] {
            let response = server.post(token, &json!({"query": query})).send().await.unwrap();
            assert_eq!(response.status(), 200, "{field}");
            let body: Value = response.json().await.unwrap();
            assert_eq!(code(&body), "UNAUTHENTICATED", "{field}: {body}");
            assert!(body["data"].get(field).is_none_or(Value::is_null), "{field}: {body}");
        }
    }
    assert_eq!(server.written("demo").await, before);
}

#[tokio::test]
async fn the_type_name_of_a_root_needs_no_token() {
    let server = Server::start().await;
    let body: Value =
        server.post(None, &json!({"query": "{ __typename }"})).send().await.unwrap().json().await.unwrap();
    assert_eq!(body, json!({"data": {"__typename": "Query"}}));
}
