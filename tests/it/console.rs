//! Questions about what services hold, over the wire.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use project_services::domain::service::ServiceState;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::{Server, code, demo, eventually, token};

const SQL: &str = "mutation($input: RunSqlInput!) { runSql(input: $input) {
    service { id } result { columns rows truncated durationMs } } }";
const SCAN: &str = "mutation($input: ScanKeysInput!) { scanKeys(input: $input) {
    keys { key keyBase64 type ttlSeconds memoryBytes } nextCursor total } }";
const READ: &str = "mutation($input: ReadKeyInput!) { readKey(input: $input) {
    value { key { key } length entries { field value score } truncated } } }";

async fn service(server: &Server, kind: &str, state: ServiceState) -> String {
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": kind})).await;
    server.settle(&id, state).await;
    id
}

fn questions(server: &Server) -> usize {
    server.instruments.asked.load(Ordering::SeqCst)
}

async fn actions(server: &Server, token: &str, id: &str) -> Vec<String> {
    let query = "query($id: ID!) { service(id: $id) { viewerActions } }";
    let data = server.data(token, query, json!({"id": id})).await;
    let actions = data["service"]["viewerActions"].as_array().unwrap().clone();
    actions.iter().map(|action| action.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_kind_is_asked_what_it_is_able_to_answer_while_it_runs() {
    let server = Server::start().await;
    for (kind, able, unable, sql) in
        [("POSTGRESQL", "RUN_SQL", "BROWSE_KEYS", true), ("REDIS", "BROWSE_KEYS", "RUN_SQL", false)]
    {
        for &state in ServiceState::ALL {
            let id = service(&server, kind, state).await;
            let found = actions(&server, &demo(), &id).await;
            assert_eq!(found.iter().any(|action| action == able), state == ServiceState::Running, "{kind} {state}");
            assert!(!found.iter().any(|action| action == unable), "{kind} {state}: {found:?}");
            let reader = actions(&server, &token(&["demo"], &["project:delete"]), &id).await;
            assert!(!reader.iter().any(|action| action == able), "{reader:?}");

            let statement = json!({"input": {"id": id, "statement": "TABLE t"}});
            let key = json!({"input": {"id": id, "keyBase64": "YQ=="}});
            for (query, variables, is_able) in
                [(SQL, statement, sql), (SCAN, json!({"input": {"id": id}}), !sql), (READ, key, !sql)]
            {
                let before = questions(&server);
                let body = server.run(&demo(), query, variables).await;
                let expected = if is_able && state == ServiceState::Running { "UNAVAILABLE" } else { "INVALID_STATE" };
                assert_eq!(code(&body), expected, "{kind} {state}: {body}");
                assert_eq!(questions(&server) - before, usize::from(expected == "UNAVAILABLE"));
                assert_eq!(
                    body["errors"][0]["extensions"]["state"].is_string(),
                    is_able && expected == "INVALID_STATE"
                );
            }
        }
    }
}

#[tokio::test]
async fn nobody_is_asked_for_who_may_not() {
    let server = Server::start().await;
    let id = service(&server, "POSTGRESQL", ServiceState::Running).await;
    let variables = json!({"input": {"id": id, "statement": "TABLE t"}});
    for (viewer, refusal) in
        [(token(&["demo"], &["project:delete"]), "FORBIDDEN"), (token(&["other"], &["project:settings"]), "NOT_FOUND")]
    {
        assert_eq!(code(&server.run(&viewer, SQL, variables.clone()).await), refusal);
    }
    assert_eq!(questions(&server), 0);
}

#[tokio::test]
async fn what_the_servers_say_is_shown_as_it_is() {
    let server = Server::start().await;
    let id = service(&server, "POSTGRESQL", ServiceState::Running).await;
    server.instruments.answer("a,b\ntrue 7\n(1,)\n(\"\",\"x\"\"\n\")\n\n");
    let data = server.data(&demo(), SQL, json!({"input": {"id": id, "statement": "TABLE t"}})).await;
    let result =
        json!({"columns": ["a", "b"], "rows": [["1", null], ["", "x\"\n"]], "truncated": true, "durationMs": 7});
    assert_eq!(data["runSql"], json!({"service": {"id": id}, "result": result}));

    let id = service(&server, "REDIS", ServiceState::Running).await;
    server.instruments.answer("+OK\r\n:3\r\n*2\r\n$2\r\n17\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n+OK\r\n");
    server.instruments.answer("+OK\r\n+string\r\n:1\r\n:52\r\n+none\r\n:-2\r\n$-1\r\n+OK\r\n");
    let data = server.data(&demo(), SCAN, json!({"input": {"id": id, "cursor": "5", "first": 1}})).await;
    let key = json!({"key": "a", "keyBase64": "YQ==", "type": "string", "ttlSeconds": 1, "memoryBytes": 52});
    assert_eq!(data["scanKeys"], json!({"keys": [key], "nextCursor": "17", "total": 3}));
    server.instruments.answer("+OK\r\n+zset\r\n:-1\r\n:52\r\n:2\r\n*2\r\n$1\r\nm\r\n$3\r\n1.5\r\n+OK\r\n");
    let data = server.data(&demo(), READ, json!({"input": {"id": id, "keyBase64": "YQ=="}})).await;
    let entries = json!([{"field": null, "value": "m", "score": 1.5}]);
    let value = json!({"key": {"key": "a"}, "length": 2, "entries": entries, "truncated": true});
    assert_eq!(data["readKey"]["value"], value);
}

#[tokio::test]
async fn what_can_t_be_asked_is_refused_by_its_field() {
    let server = Server::start().await;
    let sql = service(&server, "POSTGRESQL", ServiceState::Running).await;
    let keys = service(&server, "REDIS", ServiceState::Running).await;
    let long = "x".repeat(10_001);
    for (query, field, value) in [
        (SQL, "statement", json!("")),
        (SQL, "statement", json!(" \n")),
        (SQL, "statement", json!(long)),
        (SCAN, "match", json!(long)),
        (SCAN, "first", json!(0)),
        (SCAN, "first", json!(501)),
        (SCAN, "cursor", json!("x")),
        (READ, "keyBase64", json!("a")),
    ] {
        let mut input = json!({"id": if query == SQL { &sql } else { &keys }});
        input[field] = value;
        let body = server.run(&demo(), query, json!({"input": input})).await;
        assert_eq!(
            (code(&body), &body["errors"][0]["extensions"]["field"]),
            ("BAD_USER_INPUT", &json!(field)),
            "{body}"
        );
    }
    assert_eq!(questions(&server), 0);
    let most = "ä".repeat(10_000);
    assert_eq!(code(&server.run(&demo(), SQL, json!({"input": {"id": sql, "statement": most}})).await), "UNAVAILABLE");
}

/// Also those whose askers have gone count, for as long as they are under way.
#[tokio::test]
async fn so_many_questions_are_under_way_at_once_and_no_more() {
    let server = Arc::new(Server::start().await);
    let turns = Arc::new(Semaphore::new(0));
    *server.instruments.turns.lock().unwrap() = Some(Arc::clone(&turns));
    let ask = |subject: usize, id: &str| {
        let claims = json!({"sub": format!("s{subject}"), "exp": crate::harness::in_seconds(3600),
            "projects": ["demo"], "permissions": ["project:settings"]});
        let (server, id, token) = (Arc::clone(&server), id.to_owned(), crate::harness::sign(&claims));
        tokio::spawn(async move { server.run(&token, SQL, json!({"input": {"id": id, "statement": "TABLE t"}})).await })
    };
    let mut asked = Vec::new();
    for number in 0..4 {
        let id = service(&server, "POSTGRESQL", ServiceState::Running).await;
        for _ in 0..2 {
            asked.push(ask(number, &id));
        }
        let so_many = (number + 1) * 2;
        eventually("both to be under way", async || (questions(&server) == so_many).then_some(())).await;
        // The service's own limit, and at the end everybody's.
        let body: Value = ask(9, &id).await.unwrap();
        assert_eq!(
            (code(&body), &body["errors"][0]["extensions"]["retryAfter"]),
            ("RATE_LIMITED", &json!(1)),
            "{body}"
        );
    }
    let other = service(&server, "POSTGRESQL", ServiceState::Running).await;
    assert_eq!(code(&ask(9, &other).await.unwrap()), "RATE_LIMITED");
    for asked in &asked {
        asked.abort();
    }
    assert_eq!(code(&ask(9, &other).await.unwrap()), "RATE_LIMITED");
    turns.add_permits(100);
    eventually("leave to ask", async || (code(&ask(9, &other).await.unwrap()) == "UNAVAILABLE").then_some(())).await;
}
