//! What is refused, and how clients are told.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::harness::{BOTH, Server, code, code_and_field, demo, in_seconds, sign, sign_with};

const PROVISION: &str =
    "mutation($input: ProvisionServiceInput!) { provisionService(input: $input) { service { id name } } }";

#[tokio::test]
async fn bad_input_is_told_by_code_and_field_and_writes_nothing() {
    let server = Server::start().await;
    let token = demo();
    server.provision(&token, json!({"projectId": "demo", "kind": "REDIS"})).await;
    let before = server.written("demo").await;

    let input = |changes: Value| {
        let mut input = json!({"projectId": "demo", "kind": "REDIS"});
        input.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({"input": input})
    };
    let too_long = "x".repeat(41);
    let long_key = "k".repeat(129);
    let long_project = "p".repeat(64);
    let table = [
        (input(json!({"projectId": ""})), "projectId"),
        (input(json!({"projectId": "a b"})), "projectId"),
        (input(json!({"projectId": long_project})), "projectId"),
        (input(json!({"projectId": null})), "projectId"),
        (input(json!({"projectId": {"a": 1}})), "projectId"),
        (input(json!({"kind": "ORACLE"})), "kind"),
        (input(json!({"kind": 7})), "kind"),
        (input(json!({"kind": "QDRANT"})), "kind"),
        (input(json!({"tier": "HUGE"})), "tier"),
        (input(json!({"tier": null})), "tier"),
        (input(json!({"version": "5"})), "version"),
        (input(json!({"version": ""})), "version"),
        (input(json!({"version": 7})), "version"),
        (input(json!({"name": ""})), "name"),
        (input(json!({"name": "Orders"})), "name"),
        (input(json!({"name": "-a"})), "name"),
        (input(json!({"name": too_long})), "name"),
        (input(json!({"idempotencyKey": ""})), "idempotencyKey"),
        (input(json!({"idempotencyKey": "a b"})), "idempotencyKey"),
        (input(json!({"idempotencyKey": long_key})), "idempotencyKey"),
        (input(json!({"surprise": 1})), "surprise"),
        (json!({"input": {"projectId": "demo"}}), "kind"),
        (json!({"input": 7}), "input"),
        (json!({"input": null}), "input"),
        (json!({}), "input"),
    ];
    for (variables, field) in table {
        let body = server.run(&token, PROVISION, variables.clone()).await;
        assert_eq!(code_and_field(&body), ("BAD_USER_INPUT", field), "{variables}: {body}");
    }

    // The same in the document itself breaks a rule of validation.
    for (argument, field) in [
        ("projectId: \"demo\", kind: ORACLE", "kind"),
        ("projectId: \"demo\", kind: REDIS, tier: HUGE", "tier"),
        ("kind: REDIS", "projectId"),
        ("projectId: \"demo\", kind: REDIS, surprise: 1", "surprise"),
    ] {
        let query = format!("mutation {{ provisionService(input: {{{argument}}}) {{ service {{ id }} }} }}");
        let body = server.run(&token, &query, json!({})).await;
        assert_eq!(code_and_field(&body), ("GRAPHQL_VALIDATION_FAILED", field), "{argument}: {body}");
    }

    for id in
        ["", "1", "svc_1", "SVC_00000000000000000000000000000001", "../../etc", "svc_0000000000000000000000000000000g"]
    {
        for query in [
            "query($id: ID!) { service(id: $id) { id } }",
            "query($id: ID!) { node(id: $id) { id } }",
            "mutation($id: ID!) { startService(input: {id: $id}) { service { id } } }",
            "mutation($id: ID!) { stopService(input: {id: $id}) { service { id } } }",
            "mutation($id: ID!) { restartService(input: {id: $id}) { service { id } } }",
            "mutation($id: ID!) { destroyService(input: {id: $id}) { service { id } } }",
            "mutation($id: ID!) { revealCredentials(input: {id: $id}) { service { id } } }",
        ] {
            let body = server.run(&token, query, json!({"id": id})).await;
            assert_eq!(code_and_field(&body), ("BAD_USER_INPUT", "id"), "{query} with {id}: {body}");
        }
    }
    assert_eq!(server.written("demo").await, before);
}

#[tokio::test]
async fn bad_pages_are_told_by_code_and_field() {
    let server = Server::start().await;
    let token = demo();
    let id = server.provision(&token, json!({"projectId": "demo", "kind": "REDIS"})).await;
    let other = "0123456700000000000000001";
    for (arguments, field) in [
        ("first: -1", "first"),
        ("first: 0", "first"),
        ("first: 101", "first"),
        ("first: 5000", "first"),
        ("first: 5000000000", "first"),
        ("last: -1", "last"),
        ("last: 101", "last"),
        ("first: 1, last: 1", "last"),
        ("after: \"\"", "after"),
        ("after: \"nonsense\"", "after"),
        ("before: \"nonsense\"", "before"),
        (&format!("after: \"{other}\""), "after"),
        (&format!("before: \"{id}\""), "before"),
    ] {
        let query = format!("{{ services(projectId: \"demo\", {arguments}) {{ totalCount }} }}");
        let body = server.run(&token, &query, json!({})).await;
        assert_eq!(code_and_field(&body), ("BAD_USER_INPUT", field), "{arguments}: {body}");
        let query = format!("{{ service(id: \"{id}\") {{ events({arguments}) {{ nodes {{ cursor }} }} }} }}");
        let body = server.run(&token, &query, json!({})).await;
        assert_eq!(code_and_field(&body), ("BAD_USER_INPUT", field), "{arguments}: {body}");
    }
    let query = "query($first: Int) { services(projectId: \"demo\", first: $first) { totalCount } }";
    for first in [json!(-1), json!(5000), json!(5_000_000_000_i64), json!("1"), json!(1.5)] {
        let body = server.run(&token, query, json!({"first": first})).await;
        assert_eq!(code_and_field(&body), ("BAD_USER_INPUT", "first"), "{first}: {body}");
    }
}

#[tokio::test]
async fn tokens_that_prove_nothing_are_unauthenticated_and_write_nothing() {
    let server = Server::start().await;
    let exp = in_seconds(3600);
    let claims = json!({"sub": "ada", "exp": exp, "projects": ["demo"], "permissions": BOTH});
    let good = sign(&claims);
    let (head, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    // {"alg":"none","typ":"JWT"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let table = [
        ("expired", sign(&json!({"sub": "ada", "exp": in_seconds(-31), "projects": ["demo"], "permissions": BOTH}))),
        ("another key", sign_with(&claims, Algorithm::HS256, "another secret that is long enough for it")),
        ("another algorithm", sign_with(&claims, Algorithm::HS384, "a secret of the tests, long enough for HS256")),
        ("alg none", format!("{none}.{payload}.")),
        ("alg none with the signature", format!("{none}.{payload}.{signature}")),
        ("no signature", format!("{head}.{payload}.")),
        ("no exp", sign(&json!({"sub": "ada", "projects": ["demo"], "permissions": BOTH}))),
        ("no sub", sign(&json!({"exp": exp, "projects": ["demo"], "permissions": BOTH}))),
        ("not a token", "abc".to_owned()),
        ("nothing", String::new()),
    ];
    let input = json!({"input": {"projectId": "demo", "kind": "REDIS"}});
    for (name, token) in table {
        let body = server.run(&token, PROVISION, input.clone()).await;
        assert_eq!(code(&body), "UNAUTHENTICATED", "{name}: {body}");
        let message = body["errors"][0]["message"].as_str().unwrap();
        assert!(!message.contains("secret") && message.starts_with("Not authenticated: "), "{name}: {message}");
    }
    // A token in the address is not looked at.
    let url = server.url(&format!(
        "/graphql?query={{viewer{{subject}}}}&token={good}&access_token={good}&Authorization=Bearer%20{good}"
    ));
    let body: Value = server.client.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(code(&body), "UNAUTHENTICATED");
    assert_eq!(server.written("demo").await, (0, 0));
    // The good one is good.
    server.data(&good, PROVISION, input).await;
}

#[tokio::test]
async fn an_internal_error_tells_nothing_but_its_request_id() {
    let server = Server::start().await;
    let token = demo();
    let id = server.provision(&token, json!({"projectId": "demo", "kind": "REDIS"})).await;
    // Another row's ciphertext does not open.
    let other = server.provision(&token, json!({"projectId": "demo", "kind": "REDIS"})).await;
    let (id_, other_) = (id.parse().unwrap(), other.parse().unwrap());
    let sealed = server.store.sealed_get(id_).await.unwrap().unwrap();
    let foreign = server.store.sealed_get(other_).await.unwrap().unwrap();
    assert!(server.store.sealed_replace(id_, &sealed, &foreign).await.unwrap());
    let query = "mutation($id: ID!) { revealCredentials(input: {id: $id}) { service { id } } }";
    let request = server.post(Some(&token), &json!({"query": query, "variables": {"id": id}}));
    let body: Value = request.header("x-request-id", "trace.me-1").send().await.unwrap().json().await.unwrap();
    let error = &body["errors"][0];
    assert_eq!(error["message"], "Internal server error");
    assert_eq!(error["extensions"], json!({"code": "INTERNAL_SERVER_ERROR", "requestId": "trace.me-1"}));
}

#[tokio::test]
async fn every_error_of_the_library_itself_has_a_code() {
    let server = Server::start().await;
    let token = demo();
    let deep = format!(
        "{{ services(projectId: \"demo\") {}{} }}",
        "{ nodes { events { nodes { service ".repeat(12),
        "} } } }".repeat(12)
    );
    for (query, expected) in [
        ("", "GRAPHQL_PARSE_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ viewer { subject }", "GRAPHQL_PARSE_FAILED"),
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ viewer { nonsense } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ viewer }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ service { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ service(id: \"a\", id: \"b\") { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ viewer { ...f } } fragment f on Viewer { ...f }", "GRAPHQL_VALIDATION_FAILED"),
        ("query a { viewer { subject } } query b { viewer { subject } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query($x: Nothing) { viewer { subject } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query($kind: ServiceKind) { catalogEntry(kind: $kind) { name } }", "BAD_USER_INPUT"),
        ("query($kind: ServiceKind!) { catalogEntry(kind: $kind) { name } }", "BAD_USER_INPUT"),
        (&deep, "GRAPHQL_VALIDATION_FAILED"),
    ] {
        let body = server.run(&token, query, json!({})).await;
        assert_eq!(code(&body), expected, "{query}: {body}");
        for error in body["errors"].as_array().unwrap() {
            assert!(error["extensions"]["code"].is_string(), "{query}: {error}");
        }
    }
}
