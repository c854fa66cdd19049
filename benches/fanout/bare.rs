//! The least that passes a message on to many WebSockets.

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

type Sender = broadcast::Sender<Utf8Bytes>;

/// Serves, and says where.
pub async fn serve() {
    let (sender, _) = broadcast::channel::<Utf8Bytes>(16);
    let router = Router::new().route("/graphql", get(listen)).route("/send", post(send)).with_state(sender);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}

async fn send(State(sender): State<Sender>, body: String) {
    let _ = sender.send(body.into());
}

async fn listen(State(sender): State<Sender>, upgrade: WebSocketUpgrade) -> Response {
    let mut messages = sender.subscribe();
    upgrade.on_upgrade(async move |mut socket| {
        while let Ok(message) = messages.recv().await {
            if socket.send(Message::Text(message)).await.is_err() {
                return;
            }
        }
    })
}
