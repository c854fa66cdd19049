//! What many want is executed once; who reads slowly keeps nobody waiting; and nothing is asked while nothing happens.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use project_services::app::subscriptions::{Beginning, News};
use project_services::app::{App, Terms};
use project_services::catalog::offering::Offering;
use project_services::catalog::policy::Policy;
use project_services::domain::event::NewEvent;
use project_services::domain::permission::{Principal, Projects};
use project_services::domain::service::ServiceState;
use project_services::hints::Hints;
use project_services::server::follow_store;
use project_services::store::{Guard, Write};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::harness::{
    BOTH, Limits, PATIENCE, Server, Socket, demo, eventually, in_seconds, repository, sign, sign_as, token,
};
use crate::instruments::fleet;
use crate::store::fixture::{self, Database};

const EVENTS: &str = "subscription($after: String) { serviceEvents(projectId: \"demo\", after: $after) {
    cursor message service { revision state } } }";
const CHANGED: &str = "subscription($id: ID!) { serviceChanged(id: $id) { revision state viewerActions } }";

async fn redis(server: &Server) -> String {
    server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await
}

/// Waits until so many listen to each of the broadcasts.
async fn until_listening(server: &Server, expected: &[usize]) {
    eventually("all to have joined", async || {
        let mut listeners = server.fan_out.listeners();
        listeners.sort_unstable();
        (listeners == expected).then_some(())
    })
    .await;
}

/// The cursors of a service's events.
async fn cursors(server: &Server, id: &str) -> Vec<String> {
    let query = "query($id: ID!, $after: String) { service(id: $id) { events(first: 100, after: $after) {
        nodes { cursor } pageInfo { hasNextPage endCursor } } } }";
    let (mut cursors, mut after) = (Vec::new(), Value::Null);
    loop {
        let data = server.data(&demo(), query, json!({"id": id, "after": after})).await;
        let events = &data["service"]["events"];
        let nodes = events["nodes"].as_array().unwrap();
        cursors.extend(nodes.iter().map(|node| node["cursor"].as_str().unwrap().to_owned()));
        if events["pageInfo"]["hasNextPage"] == false {
            return cursors;
        }
        after = events["pageInfo"]["endCursor"].clone();
    }
}

#[tokio::test]
async fn who_wants_the_same_hears_the_same_of_one_execution() {
    let server = Server::start().await;
    let id = redis(&server).await;
    let mut sockets = Vec::new();
    for subject in ["ada", "grace", "ada"] {
        let mut socket = Socket::ready(&server, Some(&sign_as(subject))).await;
        socket.subscribe("1", EVENTS, json!({})).await;
        sockets.push(socket);
    }
    until_listening(&server, &[3]).await;
    for count in 1..=3 {
        server.append(&id, 1).await;
        let heard = sockets[0].next("1").await;
        assert_eq!(heard["data"]["serviceEvents"]["message"], "The credentials of redis were revealed.");
        for socket in &mut sockets[1..] {
            assert_eq!(socket.next("1").await, heard);
        }
        assert_eq!(server.fan_out.executed(), count);
    }
    // Who goes leaves the others where they are, and the last one leaves nothing.
    sockets.truncate(2);
    until_listening(&server, &[2]).await;
    server.append(&id, 1).await;
    assert_eq!(sockets[0].next("1").await, sockets[1].next("1").await);
    sockets.clear();
    until_listening(&server, &[]).await;
}

#[tokio::test]
async fn an_event_stream_hears_the_same() {
    let server = Server::start().await;
    let id = redis(&server).await;
    let body = json!({"query": EVENTS});
    let accept = |kind: &'static str| server.post(Some(&demo()), &body).header("accept", kind).send();
    let mut events = accept("text/event-stream").await.unwrap();
    let mut parts = accept("multipart/mixed; subscriptionSpec=1.0").await.unwrap();
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    socket.subscribe("1", EVENTS, json!({})).await;
    until_listening(&server, &[3]).await;
    server.append(&id, 1).await;
    let heard = socket.next("1").await;
    assert_eq!(server.fan_out.executed(), 1);
    let chunk = events.chunk().await.unwrap().unwrap();
    let text = std::str::from_utf8(&chunk).unwrap().strip_prefix("event: next\ndata: ").unwrap().to_owned();
    assert_eq!(serde_json::from_str::<Value>(text.trim()).unwrap(), heard);
    let mut text = String::new();
    while !text.contains("payload") {
        text += std::str::from_utf8(&parts.chunk().await.unwrap().unwrap()).unwrap();
    }
    let json = text.lines().find(|line| line.contains("payload")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(json).unwrap()["payload"], heard);
}

#[tokio::test]
async fn other_rights_and_other_variables_are_executed_by_themselves() {
    let server = Server::start().await;
    let (id, other) = (redis(&server).await, redis(&server).await);
    let powerless = sign(&json!({"sub": "eve", "exp": in_seconds(3600), "projects": ["demo"], "permissions": []}));
    let elsewhere = token(&["demo", "other"], BOTH);
    let mut sockets = Vec::new();
    for (token, id) in
        [(demo(), &id), (powerless.clone(), &id), (elsewhere, &id), (demo(), &other), (powerless, &id), (demo(), &id)]
    {
        let mut socket = Socket::ready(&server, Some(&token)).await;
        socket.subscribe("1", CHANGED, json!({"id": id})).await;
        socket.next("1").await;
        sockets.push(socket);
    }
    until_listening(&server, &[1, 1, 2, 2]).await;
    server.settle(&id, ServiceState::Running).await;
    let mut actions = Vec::new();
    for at in [0, 1, 2, 4, 5] {
        let heard = sockets[at].next("1").await;
        assert_eq!(heard["data"]["serviceChanged"]["state"], "RUNNING");
        actions.push(heard["data"]["serviceChanged"]["viewerActions"].clone());
    }
    assert_eq!(server.fan_out.executed(), 3);
    assert!(!actions[0].as_array().unwrap().is_empty());
    assert_eq!(actions, [actions[0].clone(), json!([]), actions[0].clone(), json!([]), actions[0].clone()]);
}

#[tokio::test]
async fn who_comes_from_an_earlier_place_misses_nothing_and_joins_the_others() {
    let server = Server::start().await;
    let id = redis(&server).await;
    server.append(&id, 150).await;
    let before = cursors(&server, &id).await;
    let mut sockets = Vec::new();
    for (at, after) in [0, 70, 149].map(|at| (at, &before[at])) {
        let mut socket = Socket::ready(&server, Some(&demo())).await;
        socket.subscribe("1", EVENTS, json!({"after": after})).await;
        // The log grows while they catch up.
        server.append(&id, 5).await;
        sockets.push((at, socket));
    }
    until_listening(&server, &[3]).await;
    server.append(&id, 3).await;
    let all = cursors(&server, &id).await;
    for (at, mut socket) in sockets {
        for cursor in &all[at + 1..] {
            assert_eq!(socket.next("1").await["data"]["serviceEvents"]["cursor"], cursor.as_str());
        }
    }
    assert!(server.fan_out.executed() >= 3);
}

#[tokio::test]
async fn what_happens_is_read_once_however_many_ask_for_something_else_of_it() {
    const DOCUMENTS: usize = 10;
    let server = Server::start().await;
    let (id, other) = (redis(&server).await, redis(&server).await);
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    for n in 0..DOCUMENTS {
        let events =
            format!("subscription {{ serviceEvents(projectId: \"demo\") {{ n{n}: cursor service {{ revision }} }} }}");
        socket.subscribe(&format!("events {n}"), &events, json!({})).await;
        let changed = format!("subscription($id: ID!) {{ serviceChanged(id: $id) {{ n{n}: state revision }} }}");
        for (whose, id) in [("one", &id), ("other", &other)] {
            socket.subscribe(&format!("{whose} {n}"), &changed, json!({"id": id})).await;
        }
    }
    // Each shows the service as it is, first of all.
    for _ in 0..2 * DOCUMENTS {
        socket.json().await;
    }
    until_listening(&server, &[1; 3 * DOCUMENTS]).await;
    for round in 0..3 {
        let before = server.store.read_count();
        let revision = server.settle(&id, [ServiceState::Running, ServiceState::Stopped][round % 2]).await.revision;
        for _ in 0..2 * DOCUMENTS {
            let message = socket.json().await;
            assert!(!message["id"].as_str().unwrap().starts_with("other"), "{message}");
            let told = &message["payload"]["data"];
            let told = [&told["serviceEvents"]["service"]["revision"], &told["serviceChanged"]["revision"]];
            assert!(told.contains(&&json!(revision)), "{message}");
        }
        // What is written is read before; then the log, and at once all services that somebody asks for. The first time they
        // may still be about to look for what came to be before they listened.
        let read = server.store.read_count() - before;
        assert!(round == 0 || read == 3, "{read} queries");
    }
}

#[tokio::test]
async fn one_connection_may_listen_often() {
    let server = Server::start().await;
    let id = redis(&server).await;
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    for n in 0..50 {
        socket.subscribe(&n.to_string(), EVENTS, json!({})).await;
    }
    until_listening(&server, &[50]).await;
    server.append(&id, 3).await;
    let all = cursors(&server, &id).await;
    let mut heard = vec![0; 50];
    for _ in 0..150 {
        let message = socket.json().await;
        let n: usize = message["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(message["payload"]["data"]["serviceEvents"]["cursor"], all[1 + heard[n]].as_str());
        heard[n] += 1;
    }
    assert_eq!((heard, server.fan_out.executed()), (vec![3; 50], 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_keeps_nobody_waiting_and_hears_all_the_same() {
    const EVENTS_WRITTEN: usize = 200;
    // More than what systems and connections keep for who does not read.
    let message = "x".repeat(20_000);
    let query =
        "subscription { serviceEvents(projectId: \"demo\") { cursor a: message b: message c: message d: message } }";
    let mut patient = Limits::default();
    patient.sockets.patience = Duration::from_secs(300);
    patient.wire.request_time = Duration::from_secs(300);
    let server = Server::start_limited(patient).await;
    let id = redis(&server).await;
    let mut slow = deaf(&server).await;
    let subscribe = json!({"type": "subscribe", "id": "1", "payload": {"query": query}});
    slow.send(Message::text(subscribe.to_string())).await.unwrap();
    let mut quick = Socket::ready(&server, Some(&demo())).await;
    quick.subscribe("1", query, json!({})).await;
    until_listening(&server, &[2]).await;
    for _ in 0..EVENTS_WRITTEN {
        happen(&server, &id, &message).await;
        quick.next("1").await;
    }
    // It is so far behind by now that it has left the others.
    until_listening(&server, &[1]).await;
    for cursor in &cursors(&server, &id).await[1..] {
        assert_eq!(text(&mut slow).await["payload"]["data"]["serviceEvents"]["cursor"], cursor.as_str());
    }
    until_listening(&server, &[2]).await;
    happen(&server, &id, "the last one").await;
    assert_eq!(text(&mut slow).await["payload"], quick.next("1").await);
}

async fn happen(server: &Server, id: &str, message: &str) {
    let service = server.service(id).await;
    let event = NewEvent { message: message.to_owned(), actor: None, occurred_at: Timestamp::now() };
    let guard = Guard::State { read: &service, one_of: ServiceState::ALL };
    server.store.commit(Write { event: Some(&event), ..Write::new(guard, event.occurred_at) }).await.unwrap();
    server.hints.project_changed(&service.project);
}

/// The next message.
async fn text(socket: &mut WebSocketStream<TcpStream>) -> Value {
    loop {
        if let Message::Text(text) = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// Everybody used to look every 5 seconds, in case word of a change had been lost.
const LOOKED: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_asked_nothing_while_nothing_happens() {
    const SUBSCRIBERS: usize = 100;
    let database = Database::postgres().await;
    let (store, elsewhere) = (database.connect().await, database.connect().await);
    let service = fixture::service("demo", "db");
    fixture::create(&*store, &service).await;
    let (directory, hints) = (tempfile::tempdir().unwrap(), Arc::new(Hints::default()));
    let terms = Terms {
        networks: "{project}".parse().unwrap(),
        publishing: None,
        services_per_project: 100,
        keep_replaced: SignedDuration::from_hours(1),
        backup_policy: None,
        recovery_days: 7,
        repository: repository(directory.path()),
        policy: Policy::default(),
        offering: Offering::default(),
        placement: Default::default(),
        has_pool: false,
    };
    let sealer = Arc::new(format!("k1:{}=", "A".repeat(43)).parse().unwrap());
    let app = Arc::new(App::new(Arc::clone(&store), sealer, Arc::clone(&hints), fleet(Arc::default()), terms));
    let viewer = Principal {
        subject: "ada".to_owned(),
        projects: Projects::All,
        permissions: Vec::new(),
        expires_at: Timestamp::MAX,
    };
    let (told, mut heard) = mpsc::unbounded_channel();
    let mut listening = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let events = app.service_events(&viewer, service.project.clone(), Beginning::Now).await.unwrap();
        let told = told.clone();
        listening.push(AbortOnDropHandle::new(tokio::spawn(async move {
            let mut events = std::pin::pin!(events);
            while let Some(news) = events.next().await {
                told.send(matches!(news.unwrap(), News::Item(..))).unwrap();
            }
        })));
    }
    let mut all_caught_up = async || {
        for _ in 0..SUBSCRIBERS {
            assert!(!timeout(PATIENCE, heard.recv()).await.unwrap().unwrap(), "nothing has happened");
        }
    };
    all_caught_up().await;
    let following = follow_store(Arc::clone(&store), hints, CancellationToken::new());
    let _following = AbortOnDropHandle::new(tokio::spawn(following));
    let asking = database.raw_postgres().await;
    let others = "SELECT coalesce(string_agg(query, ' '), '') AS queries, max(query_start)::text AS last \
                  FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    // They look once more when the connection that tells of changes is there.
    all_caught_up().await;
    let before = asking.query_one(others, &[]).await.unwrap();
    assert!(before.get::<_, &str>("queries").contains("LISTEN"));
    assert!(timeout(LOOKED, heard.recv()).await.is_err(), "nothing has happened");
    let after = asking.query_one(others, &[]).await.unwrap();
    assert_eq!(after.get::<_, &str>("last"), before.get::<_, &str>("last"));

    fixture::append(&*elsewhere, &service, "mine").await.unwrap();
    for _ in 0..2 * SUBSCRIBERS {
        timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    }
}

/// A client that is acknowledged, whose system takes little for it that it does not read.
async fn deaf(server: &Server) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.address).await.unwrap();
    let mut request = format!("ws://{}/graphql", server.address).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    let (mut deaf, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let init = json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {}", demo())}});
    deaf.send(Message::text(init.to_string())).await.unwrap();
    assert!(deaf.next().await.unwrap().unwrap().to_text().unwrap().contains("connection_ack"));
    deaf
}
