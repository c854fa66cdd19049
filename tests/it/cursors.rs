//! Where a stream of events can go on from, and what a client hears whose place is gone.

use jiff::Timestamp;
use project_services::store::Retention;
use serde_json::{Value, json};

use crate::harness::{Server, Socket, code_and_field, demo};

const EVENTS: &str =
    "subscription($after: String) { serviceEvents(projectId: \"demo\", after: $after) { cursor message } }";
const CURSORS: &str = "{ services(projectId: \"demo\") { eventCursor oldestEventCursor nodes { \
                       events(last: 2) { pageInfo { hasPreviousPage } nodes { cursor } } } } }";

/// Keeps the newest events of `demo` only, as the reconciler does.
async fn trim(server: &Server, newest: u32) {
    let keep = Retention { newest, since: Timestamp::UNIX_EPOCH };
    for project in server.store.event_list_overdue(keep).await.unwrap() {
        server.store.event_trim(&project, keep, 1000).await.unwrap();
    }
}

async fn services(server: &Server) -> Value {
    server.data(&demo(), CURSORS, json!({})).await["services"].clone()
}

#[tokio::test]
async fn a_cursor_that_is_older_than_the_log_has_expired() {
    let server = Server::start().await;
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    let before = services(&server).await;
    server.append(&id, 5).await;
    trim(&server, 3).await;
    let now = services(&server).await;
    // The page says exactly what there is: three events, none ahead of them, one ahead of the last two.
    let events = &now["nodes"][0]["events"];
    assert_eq!(events["pageInfo"]["hasPreviousPage"], true);
    assert_eq!(events["nodes"][1]["cursor"], now["eventCursor"]);

    let mut socket = Socket::ready(&server, Some(&demo())).await;
    for gone in [&before["oldestEventCursor"], &before["eventCursor"]] {
        socket.subscribe("gone", EVENTS, json!({"after": gone})).await;
        assert_eq!(code_and_field(&socket.next("gone").await), ("CURSOR_EXPIRED", "after"));
        assert_eq!(socket.json().await, json!({"type": "complete", "id": "gone"}));
    }
    socket.subscribe("all", EVENTS, json!({"after": now["oldestEventCursor"]})).await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(socket.next("all").await["data"]["serviceEvents"]["cursor"].clone());
    }
    assert_eq!(heard[1..], [events["nodes"][0]["cursor"].clone(), events["nodes"][1]["cursor"].clone()]);

    trim(&server, 1).await;
    let events = &services(&server).await["nodes"][0]["events"];
    assert_eq!(events["pageInfo"]["hasPreviousPage"], false);
    assert_eq!(events["nodes"].as_array().unwrap().len(), 1);
    // Who has read on meanwhile misses nothing.
    server.append(&id, 1).await;
    socket.next("all").await;
}
