//! What can come over a WebSocket besides messages of a protocol: pieces, garbage, and anything at all.

use proptest::prelude::*;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

use crate::harness::{Heard, PATIENCE, Server, Socket, demo};

fn frame(bytes: impl Into<Vec<u8>>, code: OpCode, is_final: bool) -> Message {
    let header = FrameHeader { is_final, opcode: code, ..FrameHeader::default() };
    Message::Frame(Frame::from_payload(header, bytes.into().into()))
}

fn text(bytes: impl Into<Vec<u8>>, is_final: bool) -> Message {
    frame(bytes, OpCode::Data(Data::Text), is_final)
}

fn more(bytes: impl Into<Vec<u8>>, is_final: bool) -> Message {
    frame(bytes, OpCode::Data(Data::Continue), is_final)
}

#[tokio::test]
async fn a_message_may_come_in_pieces_with_pings_between_them() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    // The second piece begins in the middle of a letter.
    let message = "{\"type\":\"ping\",\"payload\":{\"name\":\"über\"}}".as_bytes();
    let middle = message.iter().position(|byte| !byte.is_ascii()).unwrap() + 1;
    socket.raw(text(&message[..middle], false)).await;
    socket.raw(Message::Ping("now".into())).await;
    socket.raw(more(&message[middle..], true)).await;
    assert_eq!(socket.json().await, json!({"type": "pong", "payload": {"name": "über"}}));
}

#[tokio::test]
async fn what_breaks_websocket_itself_closes_with_its_code() {
    let server = Server::start().await;
    let half = 600 * 1024;
    for (what, frames, code) in [
        ("no UTF-8", vec![text(b"{\"type\": \"ping\xff\"}", true)], 1007),
        ("no UTF-8 in pieces", vec![text(b"{\"type\"", false), more(b"\xc3(", true)], 1007),
        ("a large message in pieces", vec![text(vec![b' '; half], false), more(vec![b' '; half], true)], 1009),
        ("a large frame", vec![text(vec![b' '; 2 * half], true)], 1009),
        ("a large binary frame", vec![frame(vec![0; 2 * half], OpCode::Data(Data::Binary), true)], 1009),
        ("the rest of nothing", vec![more(b"{}", true)], 1002),
        ("a message within a message", vec![text(b"{", false), text(b"{}", true)], 1002),
        ("a ping in pieces", vec![frame(b"", OpCode::Control(Control::Ping), false)], 1002),
        ("an unknown kind of frame", vec![frame(b"", OpCode::Data(Data::Reserved(3)), true)], 1002),
    ] {
        let mut socket = Socket::ready(&server, Some(&demo())).await;
        for frame in frames {
            socket.raw(frame).await;
        }
        assert_eq!(socket.close_code().await, code, "{what}");
    }
}

/// Valid messages, some of them more than a connection may bear.
const VALID: [&str; 9] = [
    r#"{"type":"connection_init","payload":{}}"#,
    r#"{"type":"ping","payload":{"a":[1,null,"\u0000"]}}"#,
    r#"{"type":"pong"}"#,
    r#"{"type":"subscribe","id":"1","payload":{"query":"{ __typename }"}}"#,
    r#"{"type":"subscribe","id":"2","payload":{"query":"query q($k: ServiceKind!) { catalogEntry(kind: $k) { name } }","operationName":"q","variables":{"k":"REDIS"}}}"#,
    r#"{"type":"subscribe","id":"3","payload":{"query":"subscription { serviceEvents(projectId: \"demo\") { cursor } }"}}"#,
    r#"{"type":"complete","id":"3"}"#,
    r#"{"type":"start","id":"1","payload":{"query":"{ __typename }"}}"#,
    r#"{"type":"stop","id":"1"}"#,
];

/// A valid message that something happened to.
fn mutated() -> impl Strategy<Value = String> {
    let valid = prop::sample::select(&VALID[..]);
    (valid, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5, any::<char>()).prop_map(
        |(valid, from, to, change, letter)| {
            let mut letters: Vec<char> = valid.chars().collect();
            let (from, to) = (from.index(letters.len()), to.index(letters.len()));
            match change {
                0 => letters[from] = letter,
                1 => letters.insert(from, letter),
                2 => letters.truncate(from),
                3 => drop(letters.drain(from.min(to)..from.max(to))),
                _ => {
                    let piece = letters[from.min(to)..from.max(to)].to_vec();
                    letters.splice(to..to, piece);
                }
            }
            letters.into_iter().collect()
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        6 => prop::sample::select(&VALID[..]).prop_map(Message::text),
        6 => mutated().prop_map(Message::text),
        1 => any::<String>().prop_map(Message::text),
        1 => bytes().prop_map(Message::binary),
        1 => prop::collection::vec(any::<u8>(), 0..125).prop_map(|bytes| Message::Ping(bytes.into())),
        1 => (bytes(), any::<bool>()).prop_map(|(bytes, is_final)| text(bytes, is_final)),
        1 => (bytes(), any::<bool>()).prop_map(|(bytes, is_final)| more(bytes, is_final)),
    ]
}

/// The close codes that a client can earn by what it sends.
const EARNED: [u16; 8] = [1000, 1002, 1007, 4400, 4401, 4403, 4409, 4429];

#[test]
fn whatever_is_sent_the_server_answers_it_by_its_protocol_and_serves_others() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let honest = Mutex::new(runtime.block_on(Socket::ready(&server, Some(&demo()))));
    let config = ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() };
    let strategy = (any::<bool>(), any::<bool>(), prop::collection::vec(message(), 0..8));
    proptest!(config, |((is_modern, is_introduced, messages) in strategy)| {
        runtime.block_on(async {
            let protocol = if is_modern { "graphql-transport-ws" } else { "graphql-ws" };
            let mut socket = Socket::open(&server, protocol, None).await;
            if is_introduced {
                let payload = json!({"Authorization": format!("Bearer {}", demo())});
                socket.say(json!({"type": "connection_init", "payload": payload})).await;
            }
            for message in messages {
                // The server may have said goodbye already.
                if socket.try_raw(message).await.is_err() {
                    break;
                }
            }
            // What follows nothing but a valid beginning is answered, and after anything else there is a goodbye: a third
            // introduction is one too many in any case.
            for _ in 0..3 {
                let _ = socket.try_raw(Message::text(VALID[0])).await;
            }
            let code = timeout(PATIENCE, socket.goodbye()).await.expect("the connection is left hanging");
            prop_assert!(code.is_none_or(|code| EARNED.contains(&code)), "closed with {code:?}");

            let mut honest = honest.lock().await;
            honest.subscribe("q", "{ __typename }", json!({})).await;
            prop_assert_eq!(honest.next("q").await, json!({"data": {"__typename": "Query"}}));
            prop_assert_eq!(honest.hear().await, Heard::Json(json!({"type": "complete", "id": "q"})));
            Ok(())
        })?;
    });
    runtime.block_on(async {
        Socket::ready(&server, Some(&demo())).await;
        // Nobody is left over but the honest one and the one that was opened just now.
        drop(honest);
        server.sockets.close();
        timeout(PATIENCE, server.sockets.wait()).await.expect("a connection is left open");
    });
}
