//! Callers who ask for more than the server can do.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::provisioned;
use crate::support::client::Client;
use crate::support::docker::docker;
use crate::support::eventually;
use crate::support::greedy::{CONNECTIONS, Greedy};
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_too_much_keeps_nobody_from_the_truth() {
    let server = Server::start(&[("INTROSPECTION", "true"), ("LOG_FILTER", "info")]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let id = provisioned(&client, "REDIS", "7").await;
    events.until(&id, "RUNNING").await;
    let greedy = Greedy::new(&server);
    greedy.answered(100).await;
    let before = greedy.answers();

    docker(&["kill", &id]);
    let seen = events.until(&id, "RUNNING").await;
    assert!(seen.iter().any(|event| event["state"] == "PROVISIONING"), "{seen:?}");
    let another = provisioned(&client, "REDIS", "6").await;
    client.act("stopService", &another).await;
    client.settled(&another, "STOPPED").await;

    let meanwhile = greedy.answers() - before;
    assert!(meanwhile < CONNECTIONS, "the others waited behind all of its questions: {meanwhile}");
    greedy.answered(1).await;
    let log = server.log();
    assert!(!log.contains("The term is over") && !log.contains("does not answer"), "nothing was late");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_take_a_bounded_memory_whoever_sends_them_and_give_it_back() {
    const CONNECTIONS: usize = 1200;
    const BODY: usize = 1 << 20;
    let server = Server::start(&[("LOG_FILTER", "info")]).await;
    let client = Client::new(&server);
    client.cursor().await;
    let before = server.memory("VmRSS");
    for token in [None, Some(server.token_of("greedy", &[]))] {
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nHost: a\r\n{authorization}Content-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        let mut sending = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(&server.address).await.unwrap();
            let head = head.clone();
            sending.push(tokio::spawn(async move {
                let chunk = format!("{:x}\r\n{}\r\n", 1 << 14, " ".repeat(1 << 14));
                // All but the end, as far as the server takes it.
                let mut sent = stream.write_all(head.as_bytes()).await;
                for _ in 0..BODY / (1 << 14) - 1 {
                    sent = sent.and(stream.write_all(chunk.as_bytes()).await);
                }
                (stream, sent.is_ok())
            }));
        }
        let mut open = Vec::new();
        for sent in sending {
            open.push(sent.await.unwrap());
        }
        assert!(server.memory("VmHWM") < before + 250, "{} after {before} MiB", server.memory("VmHWM"));
        client.cursor().await;
        drop(open);
        eventually("the memory to come back", async || (server.memory("VmRSS") < before + 100).then_some(())).await;
    }
}
