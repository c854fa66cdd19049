//! Very many clients in a process of their own, which cost as little as they can: they count messages and don't read them.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// How many connect at once.
const CONNECTING: usize = 64;

/// Microseconds since 1970.
pub fn now() -> u64 {
    u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap()
}

/// The process, from outside.
pub struct Clients {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Clients {
    pub fn of_server(address: &str, token: &str, subscribe: &Value, count: usize) -> Self {
        let init = json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {token}")}});
        let subscribe = json!({"type": "subscribe", "id": "1", "payload": subscribe});
        Self::start(address, &format!("{init}\n{subscribe}"), count)
    }

    pub fn of_bare(address: &str, count: usize) -> Self {
        let mut clients = Self::start(address, "", count);
        assert_eq!(clients.line(), "connected");
        clients
    }

    fn start(address: &str, said: &str, count: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env("ROLE", "clients").env("ADDRESS", address).env("SAID", said).env("COUNT", count.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("the clients are there").unwrap()
    }

    /// Waits until each has heard a message, and gives back what one of them heard.
    pub fn first_message(&mut self) -> String {
        let mut line = self.line();
        while line == "connected" {
            line = self.line();
        }
        let message = line.strip_prefix("message ").expect("a message first").to_owned();
        self.all_heard();
        message
    }

    /// Waits until each has heard another message: how many were heard, and when the last one was.
    pub fn all_heard(&mut self) -> (usize, u64) {
        let mut line = self.line();
        // The last of them may be connected after the first has heard.
        while line == "connected" {
            line = self.line();
        }
        let (heard, at) = line.strip_prefix("heard ").and_then(|rest| rest.split_once(' ')).expect("a count");
        (heard.parse().unwrap(), at.parse().unwrap())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Heard {
    count: usize,
    heard: AtomicUsize,
    first: OnceLock<()>,
}

/// Connects as often as `COUNT` says and counts what is heard; a line is written whenever each could have heard once more.
pub async fn listen() {
    let [address, said, count] = ["ADDRESS", "SAID", "COUNT"].map(|name| std::env::var(name).unwrap());
    let count: usize = count.parse().unwrap();
    let heard = Arc::new(Heard { count, heard: AtomicUsize::new(0), first: OnceLock::new() });
    let connecting = Arc::new(Semaphore::new(CONNECTING));
    for _ in 0..count {
        let permit = Arc::clone(&connecting).acquire_owned().await.unwrap();
        let (address, said, heard) = (address.clone(), said.clone(), Arc::clone(&heard));
        tokio::spawn(async move {
            let mut stream = connect(&address).await;
            for text in said.lines() {
                stream.write_all(&frame(0x81, text.as_bytes())).await.unwrap();
            }
            drop(permit);
            read(stream, &heard).await;
        });
    }
    let _all = connecting.acquire_many(u32::try_from(CONNECTING).unwrap()).await.unwrap();
    say("connected");
    std::future::pending().await
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

async fn connect(address: &str) -> TcpStream {
    let mut stream = loop {
        match TcpStream::connect(address).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let head = "GET /graphql HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// A frame of a client's, masked by nothing.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![head];
    match u16::try_from(payload.len()).unwrap() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

async fn read(mut stream: TcpStream, heard: &Heard) {
    let mut buffer = Vec::with_capacity(2048);
    loop {
        while let Some((kind, payload)) = next(&mut buffer) {
            match kind {
                0x81 if payload.starts_with(br#"{"type":"connection_ack""#) => {}
                0x81 => heard.one(&payload),
                0x89 => stream.write_all(&frame(0x8A, &payload)).await.unwrap(),
                _ => panic!("{kind:x} {}", String::from_utf8_lossy(&payload)),
            }
        }
        if stream.read_buf(&mut buffer).await.unwrap() == 0 {
            panic!("the server hung up");
        }
    }
}

/// Takes one whole frame out of what was read.
fn next(buffer: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (&kind, &length) = (buffer.first()?, buffer.get(1)?);
    let (start, length) = match length {
        126 => (4, usize::from(u16::from_be_bytes([*buffer.get(2)?, *buffer.get(3)?]))),
        127 => panic!("a message that is too long"),
        length => (2, usize::from(length)),
    };
    let payload = buffer.get(start..start + length)?.to_vec();
    buffer.drain(..start + length);
    Some((kind, payload))
}

impl Heard {
    fn one(&self, payload: &[u8]) {
        if self.first.set(()).is_ok() {
            say(&format!("message {}", std::str::from_utf8(payload).unwrap()));
        }
        let heard = self.heard.fetch_add(1, Ordering::Relaxed) + 1;
        if heard.is_multiple_of(self.count) {
            say(&format!("heard {} {}", self.count, now()));
        }
    }
}
