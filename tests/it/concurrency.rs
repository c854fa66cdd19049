//! Many at once: who is served, who waits, and who has to go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use project_services::domain::service::ServiceState;
use project_services::http;
use project_services::http::SocketLimits;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::harness::{Limits, PATIENCE, Server, Socket, demo, eventually, sign_as};

const CHANGED: &str = "subscription($id: ID!) { serviceChanged(id: $id) { state } }";
const EVENTS: &str = "subscription { serviceEvents(projectId: \"demo\") { state } }";
const VIEWER: &str = "{ viewer { subject } }";

fn wire(wire: impl FnOnce(&mut http::Limits)) -> Limits {
    let mut limits = Limits::default();
    wire(&mut limits.wire);
    limits
}

/// Whether the server closes the connection, rather than the other way round.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test]
async fn connections_that_do_not_speak_or_do_it_slowly_are_closed() {
    let limits = wire(|limits| {
        limits.idle_time = Duration::from_millis(300);
        limits.request_time = Duration::from_millis(300);
    });
    let server = Server::start_limited(limits).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut headers = TcpStream::connect(server.address).await.unwrap();
    headers.write_all(b"POST /graphql HTTP/1.1\r\nHost: a\r\n").await.unwrap();
    let mut body = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    body.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, body.read_to_end(&mut answer)).await.expect("a body that never ends is waited for").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("BAD_USER_INPUT"), "{answer}");
    assert!(is_closed(&mut silent).await && is_closed(&mut headers).await);
}

#[tokio::test]
async fn an_honest_client_is_answered_among_many_that_are_not() {
    let limits = wire(|limits| (limits.connections, limits.websockets) = (50, 20));
    let sockets = SocketLimits { init_timeout: Duration::from_secs(60), ..SocketLimits::default() };
    let server = Server::start_limited(Limits { sockets, ..limits }).await;
    let mut silent = Vec::new();
    for n in 0..400 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        if n % 2 == 0 {
            let head =
                "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
            // It may have been closed already.
            let _ = stream.write_all(head.as_bytes()).await;
        }
        silent.push(stream);
    }
    let query = json!({"query": "{ viewer { subject } }"});
    let response = server.post(Some(&demo()), &query).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    // Those who came first have made room.
    assert!(is_closed(&mut silent[0]).await && is_closed(&mut silent[1]).await);

    // The same with WebSockets that never introduce themselves, and with those that nobody uses.
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    let mut watching = Socket::ready(&server, Some(&demo())).await;
    watching.subscribe("1", CHANGED, json!({"id": id})).await;
    watching.next("1").await;
    let mut idle = Socket::ready(&server, Some(&demo())).await;
    let mut mute = Vec::new();
    for _ in 0..60 {
        mute.push(Socket::open(&server, "graphql-transport-ws", None).await);
    }
    let mut honest = Socket::ready(&server, Some(&demo())).await;
    honest.subscribe("1", "{ viewer { subject } }", json!({})).await;
    assert_eq!(honest.next("1").await["data"]["viewer"]["subject"], "ada");
    assert_eq!(idle.close_code().await, 1013);
    assert_eq!(mute[0].close_code().await, 1013);
    server.settle(&id, ServiceState::Running).await;
    assert_eq!(watching.next("1").await["data"]["serviceChanged"]["state"], "RUNNING");
}

#[tokio::test]
async fn websockets_that_are_all_in_use_are_not_closed_for_another() {
    let server = Server::start_limited(wire(|limits| limits.websockets = 2)).await;
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    let mut sockets = JoinSet::new();
    let mut watching = Vec::new();
    for _ in 0..2 {
        let mut socket = Socket::ready(&server, Some(&demo())).await;
        socket.subscribe("1", CHANGED, json!({"id": id})).await;
        socket.next("1").await;
        watching.push(socket);
    }
    let address = server.address;
    sockets.spawn(async move { upgrade(address).await });
    let answer = sockets.join_next().await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"UNAVAILABLE\""), "{answer}");
    watching.pop();
    let deadline = Instant::now() + PATIENCE;
    while !upgrade(address).await.starts_with("HTTP/1.1 101") {
        assert!(Instant::now() < deadline, "the place is not free again");
    }
}

/// The beginning of the answer to an upgrade.
async fn upgrade(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET /graphql HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// Sends a mutation of ada's, which waits for the database, since the connection that is given back writes to it. Where she
/// may have one execution at once, nothing else of hers is executed as long as it does.
async fn ada_waits_for_the_database(server: &Server) -> (SqliteConnection, AbortOnDropHandle<()>) {
    let file = server.directory.path().join("store.db");
    let mut other = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let mutation = "mutation { provisionService(input: {projectId: \"demo\", kind: REDIS}) { service { id } } }";
    let mutation = server.post(Some(&demo()), &json!({"query": mutation})).send();
    let client = AbortOnDropHandle::new(tokio::spawn(async move { drop(mutation.await) }));
    ada_is_kept_waiting(server).await;
    (other, client)
}

async fn ada_is_kept_waiting(server: &Server) {
    eventually("a query of ada's to be kept waiting", async || {
        let token = demo();
        let query = server.run(&token, VIEWER, json!({}));
        timeout(Duration::from_millis(300), query).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_asks_for_much_at_once_waits_and_nobody_else_does() {
    let server = Server::start_limited(wire(|limits| limits.executions = 1)).await;
    let mut adas = Socket::ready(&server, Some(&demo())).await;
    let mut graces = Socket::ready(&server, Some(&sign_as("grace"))).await;
    let (mut other, _client) = ada_waits_for_the_database(&server).await;
    adas.subscribe("1", VIEWER, json!({})).await;

    let data = server.data(&sign_as("grace"), VIEWER, json!({})).await;
    assert_eq!(data["viewer"]["subject"], "grace");
    graces.subscribe("1", VIEWER, json!({})).await;
    assert_eq!(graces.next("1").await["data"]["viewer"]["subject"], "grace");
    let nobody = server.post(None, &json!({"query": VIEWER})).send().await.unwrap();
    assert_eq!(nobody.json::<Value>().await.unwrap()["data"], Value::Null);
    assert!(timeout(Duration::from_millis(100), adas.hear()).await.is_err());

    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(adas.next("1").await["data"]["viewer"]["subject"], "ada");
}

#[tokio::test]
async fn who_waits_makes_room_for_others() {
    let server = Server::start_limited(wire(|limits| (limits.executions, limits.connections) = (1, 2))).await;
    let _waiting = ada_waits_for_the_database(&server).await;
    let mut waiting = JoinSet::new();
    for _ in 0..5 {
        // A connection each.
        let client = reqwest::Client::new();
        let query = client.post(server.url("/graphql")).bearer_auth(demo()).json(&json!({"query": VIEWER}));
        waiting.spawn(query.send());
    }
    for _ in 0..4 {
        assert!(waiting.join_next().await.unwrap().unwrap().is_err(), "there is room for one of them only");
    }
    let grace = reqwest::Client::new().post(server.url("/graphql")).bearer_auth(sign_as("grace"));
    let answer = grace.json(&json!({"query": VIEWER})).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["data"]["viewer"]["subject"], "grace");
}

#[tokio::test]
async fn what_a_client_began_before_it_went_away_is_told_to_others() {
    let server = Server::start_limited(wire(|limits| limits.executions = 1)).await;
    let mut graces = Socket::ready(&server, Some(&sign_as("grace"))).await;
    let (mut other, client) = ada_waits_for_the_database(&server).await;
    graces.subscribe("1", EVENTS, json!({})).await;
    drop(client);
    ada_is_kept_waiting(&server).await;

    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(graces.next("1").await["data"]["serviceEvents"]["state"], "PENDING");
}

#[tokio::test]
async fn what_one_watches_is_executed_in_ones_turn_and_takes_none_while_nothing_happens() {
    let server = Server::start_limited(wire(|limits| limits.executions = 1)).await;
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    server.settle(&id, ServiceState::Running).await;
    server.instruments.running.store(true, Ordering::SeqCst);
    server.instruments.write("one");
    let logs = "subscription($id: ID!) { serviceLogs(id: $id) { text } }";
    let mut adas = Socket::ready(&server, Some(&demo())).await;
    let mut graces = Socket::ready(&server, Some(&sign_as("grace"))).await;
    for socket in [&mut adas, &mut graces] {
        for id_of in ["1", "2"] {
            socket.subscribe(id_of, logs, json!({"id": id})).await;
            assert_eq!(socket.next(id_of).await["data"]["serviceLogs"]["text"], "one");
        }
    }
    assert_eq!(server.data(&demo(), VIEWER, json!({})).await["viewer"]["subject"], "ada");

    let (mut other, _client) = ada_waits_for_the_database(&server).await;
    server.instruments.write("two");
    for _ in 0..2 {
        assert_eq!(graces.json().await["payload"]["data"]["serviceLogs"]["text"], "two");
    }
    assert!(timeout(Duration::from_millis(100), adas.hear()).await.is_err());
    other.batch_execute("ROLLBACK").unwrap();
    for _ in 0..2 {
        assert_eq!(adas.json().await["payload"]["data"]["serviceLogs"]["text"], "two");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_much_on_a_busy_project_keeps_nobody_waiting() {
    const WATCHED: usize = 200;
    const COSTLY: &str = "subscription($id: ID!) { serviceChanged(id: $id) {
        events(first: 50) { nodes { message service { events(first: 20) { nodes { message actor } } } } } } }";
    let server = Server::start().await;
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    server.append(&id, 60).await;
    let heard = Arc::<AtomicUsize>::default();
    let mut listening = JoinSet::new();
    for _ in 0..2 {
        let mut socket = Socket::ready(&server, Some(&demo())).await;
        for n in 0..WATCHED / 2 {
            socket.subscribe(&n.to_string(), COSTLY, json!({"id": id})).await;
        }
        let heard = Arc::clone(&heard);
        listening.spawn(async move {
            loop {
                let message = socket.json().await;
                assert!(message["payload"]["errors"].is_null(), "{message}");
                heard.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    for state in [ServiceState::Running, ServiceState::Stopped] {
        server.settle(&id, state).await;
        for _ in 0..5 {
            let before = heard.load(Ordering::SeqCst);
            let answered = timeout(PATIENCE, server.data(&sign_as("grace"), VIEWER, json!({}))).await;
            assert_eq!(answered.expect("grace is answered")["viewer"]["subject"], "grace");
            let meanwhile = heard.load(Ordering::SeqCst) - before;
            assert!(meanwhile < WATCHED / 4, "grace waited behind {meanwhile} events of ada's");
        }
    }
    eventually("what is watched to be told", async || (heard.load(Ordering::SeqCst) > 0).then_some(())).await;
}
