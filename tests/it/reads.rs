//! What reads cost, in queries to the store, and that a query which comes again is answered as it was.

use project_services::domain::service::ServiceState;
use serde_json::{Value, json};

use crate::harness::{BOTH, Server, code, demo, in_seconds, sign, token};

const NESTED: &str = "query($project: ID!) { services(projectId: $project) { nodes { \
                      id name events(first: 2) { nodes { message } pageInfo { hasNextPage } } last: events(last: 1) { nodes { message service { name } } } backups { nodes { id } } \
                      credentials { key value } viewerActions replaced { version } } } }";

const ALONE: &str = "query($id: ID!) { service(id: $id) { \
                     id name events(first: 2) { nodes { message } pageInfo { hasNextPage } } last: events(last: 1) { nodes { message service { name } } } backups { nodes { id } } \
                     credentials { key value } viewerActions replaced { version } } }";

#[tokio::test]
async fn a_list_takes_one_query_for_each_field_however_many_are_in_it() {
    let server = Server::start().await;
    let mut services = Vec::new();
    for number in 0..20 {
        let input = json!({"projectId": "demo", "kind": if number % 2 == 0 { "REDIS" } else { "POSTGRESQL" }});
        let id = server.provision(&demo(), input).await;
        if number % 3 == 0 {
            server.settle(&id, ServiceState::Running).await;
            server.append(&id, 1).await;
            server.keep_backup(&id).await;
            server.keep_another(&id).await;
        }
        services.push(server.data(&demo(), ALONE, json!({"id": id})).await["service"].clone());
    }
    // The second time it comes it is known.
    for _ in 0..3 {
        let before = server.store.read_count();
        let data = server.data(&demo(), NESTED, json!({"project": "demo"})).await;
        assert_eq!(data["services"]["nodes"], json!(services));
        // The list, two pages of events, the services of those, the backups, the credentials, what is kept.
        assert_eq!(server.store.read_count() - before, 7);
    }
}

/// Queries with their variables: good ones, and such as fail in every way that needs no broken server.
fn queries(id: &str) -> Vec<(&'static str, Value)> {
    let page = "query($p: ID!, $first: Int, $after: String) { services(projectId: $p, first: $first, after: $after) { \
                nodes { id name tier { tier } } pageInfo { endCursor hasNextPage } } }";
    let service = "query($id: ID!, $also: Boolean = false) { service(id: $id) { name state @include(if: $also) } viewer { subject } }";
    let at_once = "query($p: ID!) { services(projectId: $p) { nodes { __typename key: id id revision projectId name kind version \
                   restartPending state hostname port externalHost externalPort containerName expiresAt createdAt updatedAt \
                   ...More ... on Service { name kind } ... { state } } } } fragment More on Service { name also: version __typename }";
    let one_waits = "query($p: ID!) { services(projectId: $p) { nodes { id ... on Node { id } viewerActions name } } }";
    let one_is_left_out =
        "query($p: ID!, $also: Boolean!) { services(projectId: $p) { nodes { id name @include(if: $also) } } }";
    vec![
        (at_once, json!({"p": "demo"})),
        (one_waits, json!({"p": "demo"})),
        (one_is_left_out, json!({"p": "demo", "also": true})),
        (one_is_left_out, json!({"p": "demo", "also": false})),
        (page, json!({"p": "demo"})),
        (page, json!({"p": "demo", "first": 1})),
        (page, json!({"p": "demo", "first": 2, "after": "no cursor"})),
        (page, json!({"p": "demo", "first": 101})),
        (page, json!({"p": "demo", "first": "1"})),
        (page, json!({"p": "other"})),
        (page, json!({"p": "not a project"})),
        (page, json!({"p": "\0"})),
        (page, json!({"p": null})),
        (page, json!({})),
        (service, json!({"id": id})),
        (service, json!({"id": id, "also": true})),
        (service, json!({"id": "svc_00000000000000000000000000000000"})),
        (service, json!({"id": "no service"})),
        ("{ __schema { queryType { name } } }", json!({})),
        ("{ viewer { subject } node(id: \"?\") { id } catalogEntry(kind: REDIS) { kind } }", json!({})),
        ("{ viewer { nothing } }", json!({})),
    ]
}

#[tokio::test]
async fn what_comes_again_is_answered_as_it_was() {
    let server = Server::start().await;
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    let expired = sign(&json!({"sub": "ada", "exp": in_seconds(-3600), "projects": ["demo"], "permissions": BOTH}));
    let callers = [Some(demo()), Some(token(&["other"], &[])), None, Some(expired)];
    // A comment makes another document of each, of which nothing is known yet.
    let mut first = Vec::new();
    for caller in &callers {
        for (query, variables) in queries(&id) {
            let unknown = format!("{query} # {}", first.len());
            first.push(without_request_id(post(&server, caller.as_deref(), &unknown, &variables).await));
        }
    }
    for round in 0..3 {
        let mut answers = first.iter();
        for caller in &callers {
            for (query, variables) in queries(&id) {
                let answer = without_request_id(post(&server, caller.as_deref(), query, &variables).await);
                assert_eq!(&answer, answers.next().unwrap(), "round {round}, {caller:?}: {query} {variables}");
            }
        }
    }
}

#[tokio::test]
async fn a_known_query_shows_what_is_true_now_and_to_each_what_is_theirs() {
    let server = Server::start().await;
    let (query, id) = (
        "query($id: ID!) { service(id: $id) { state viewerActions } }",
        server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await,
    );
    let ask = async |token: &str| server.data(token, query, json!({"id": id})).await["service"].clone();
    assert_eq!(ask(&demo()).await["state"], "PENDING");
    server.settle(&id, ServiceState::Running).await;
    assert_eq!(ask(&demo()).await["state"], "RUNNING");
    assert_ne!(ask(&demo()).await["viewerActions"], json!([]));
    assert_eq!(ask(&token(&["demo"], &[])).await["viewerActions"], json!([]));
    assert_eq!(ask(&token(&["other"], BOTH)).await, Value::Null);
    let anonymous = post(&server, None, query, &json!({"id": id})).await;
    assert_eq!(code(&anonymous), "UNAUTHENTICATED");
}

async fn post(server: &Server, token: Option<&str>, query: &str, variables: &Value) -> Value {
    let body = json!({"query": query, "variables": variables});
    server.post(token, &body).send().await.unwrap().json().await.unwrap()
}

fn without_request_id(mut answer: Value) -> Value {
    for error in answer["errors"].as_array_mut().into_iter().flatten() {
        error["extensions"].as_object_mut().unwrap().remove("requestId");
    }
    answer
}
