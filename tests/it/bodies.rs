//! What is kept of requests in memory: of whom, and how much in all.

use std::time::Duration;

use project_services::http;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::harness::{Limits, PATIENCE, Server, Socket, code, demo, eventually, sign_as};

const VIEWER: &str = "{ viewer { subject } }";

/// A share of 256 KiB for each caller, in 1 MiB.
async fn small() -> Server {
    let mut limits = Limits::default();
    limits.wire = http::Limits { body: 250 << 10, buffered_bodies: 1 << 20, ..limits.wire };
    Server::start_limited(limits).await
}

fn sized(size: usize) -> Value {
    json!({"query": "{ __typename }", "extensions": {"x": "x".repeat(size)}})
}

/// Begins a request with a body of so many bytes, of which `sent` come.
async fn begin(server: &Server, token: Option<&str>, declared: usize, sent: usize) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: a\r\n{authorization}Content-Type: application/json\r\n\
         Content-Length: {declared}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; sent]).await.unwrap();
    stream
}

/// The beginning of the answer, which comes though the body does not.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let length = timeout(PATIENCE, stream.read(&mut answer)).await.expect("the body is waited for").unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn a_length_that_is_too_large_is_refused_before_anything_of_it_comes() {
    let server = Server::start().await;
    for (token, declared, status, code) in [
        (Some(demo()), 2 << 20, "413", "BAD_USER_INPUT"),
        (None, 2 << 20, "413", "BAD_USER_INPUT"),
        (None, 20_000, "401", "UNAUTHENTICATED"),
        (Some("nonsense".to_owned()), 20_000, "401", "UNAUTHENTICATED"),
    ] {
        let mut stream = begin(&server, token.as_deref(), declared, 0).await;
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(code), "{answer}");
    }
}

#[tokio::test]
async fn who_is_not_known_can_send_a_query_and_not_much_more() {
    let server = Server::start().await;
    assert_eq!(server.post(None, &sized(10_000)).send().await.unwrap().status(), StatusCode::OK);
    let response = server.post(None, &sized(20_000)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(code(&response.json().await.unwrap()), "UNAUTHENTICATED");
    assert_eq!(server.post(Some(&demo()), &sized(500_000)).send().await.unwrap().status(), StatusCode::OK);

    let mut nobody = Socket::open(&server, "graphql-transport-ws", None).await;
    // The server may hang up in the midst of it.
    let _ = nobody.try_raw(Message::text("x".repeat(100_000))).await;
    assert_eq!(nobody.close_code().await, 1009);
    let mut known = Socket::ready(&server, Some(&demo())).await;
    known.say(json!({"type": "ping", "payload": {"x": "x".repeat(500_000)}})).await;
    assert_eq!(known.json().await["type"], "pong");
}

#[tokio::test]
async fn half_requests_take_their_senders_share_and_leave_the_others_theirs() {
    let server = small().await;
    let (ada, grace) = (demo(), sign_as("grace"));
    let half = begin(&server, Some(&ada), 250 << 10, 240 << 10).await;
    eventually("the share to be taken", async || {
        let response = server.post(Some(&ada), &sized(60_000)).send().await.unwrap();
        (response.status() == StatusCode::TOO_MANY_REQUESTS).then_some(())
    })
    .await;
    let response = server.post(Some(&ada), &sized(60_000)).send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "1");
    let body: Value = response.json().await.unwrap();
    assert_eq!((code(&body), &body["errors"][0]["extensions"]["retryAfter"]), ("RATE_LIMITED", &json!(1)));
    assert_eq!(server.post(Some(&grace), &sized(60_000)).send().await.unwrap().status(), StatusCode::OK);

    let _others = [begin(&server, Some(&grace), 250 << 10, 240 << 10).await];
    let _another = begin(&server, Some(&sign_as("joan")), 250 << 10, 240 << 10).await;
    let large = eventually("all but the room for small ones to be taken", async || {
        let response = server.post(Some(&sign_as("mary")), &sized(60_000)).send().await.unwrap();
        (response.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(response)
    })
    .await;
    assert_eq!(large.headers()["retry-after"], "1");
    assert_eq!(code(&large.json().await.unwrap()), "UNAVAILABLE");
    let small = server.data(&sign_as("mary"), VIEWER, json!({})).await;
    assert_eq!(small["viewer"]["subject"], "mary");
    let nobody = server.post(None, &sized(10_000)).send().await.unwrap();
    assert_eq!(nobody.status(), StatusCode::OK);
    // What is not sent on gives its room back with the connection.
    drop(half);
    eventually("room again", async || {
        let response = server.post(Some(&ada), &sized(200_000)).send().await.unwrap();
        (response.status() == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn messages_of_websockets_count_as_well_also_while_they_are_not_whole() {
    let server = small().await;
    let (mut first, mut second) =
        (Socket::ready(&server, Some(&demo())).await, Socket::ready(&server, Some(&demo())).await);
    let half = || Message::Frame(Frame::message(vec![b' '; 160 << 10], OpCode::Data(Data::Text), false));
    first.raw(half()).await;
    let other = server.post(Some(&sign_as("grace")), &sized(60_000)).send().await.unwrap();
    assert_eq!(other.status(), StatusCode::OK);
    let _ = second.try_raw(half()).await;
    assert_eq!(second.close_code().await, 1013);
    assert!(timeout(Duration::from_millis(100), first.hear()).await.is_err(), "it is waited for");
}

#[tokio::test]
async fn a_short_text_that_becomes_much_counts_as_what_it_becomes() {
    let server = small().await;
    let lists = json!({"query": "{ __typename }", "extensions": {"x": vec![0; 20_000]}});
    assert!(lists.to_string().len() < 50_000);
    let response = server.post(Some(&demo()), &lists).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let few = json!({"query": "{ __typename }", "extensions": {"x": vec![0; 2_000]}});
    assert_eq!(server.post(Some(&demo()), &few).send().await.unwrap().status(), StatusCode::OK);
}
