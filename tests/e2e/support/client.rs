//! A GraphQL client over HTTP and WebSocket, such as a frontend would use.

use std::collections::HashMap;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::PATIENCE;
use super::server::Server;

const SERVICE: &str = "id name state version hostname port externalHost externalPort viewerActions \
    operation { kind phase } error { code message }";

/// A viewer with both permissions, over HTTP.
pub struct Client {
    url: String,
    pub token: String,
    pub project: String,
    http: reqwest::Client,
}

impl Client {
    pub fn new(server: &Server) -> Self {
        Self {
            url: format!("http://{}/graphql", server.address),
            token: server.token(&["project:settings", "project:delete"]),
            project: server.project.clone(),
            http: reqwest::Client::new(),
        }
    }

    /// The whole answer to an operation.
    pub async fn execute(&self, query: &str, variables: Value) -> Value {
        let request = self.http.post(&self.url).bearer_auth(&self.token);
        let response = request.json(&json!({"query": query, "variables": variables})).send().await.unwrap();
        response.json().await.unwrap()
    }

    /// The same, from a server that may be killed meanwhile; None where there is no answer.
    pub async fn try_execute(&self, query: &str, variables: Value) -> Option<Value> {
        let request = self.http.post(&self.url).bearer_auth(&self.token);
        request.json(&json!({"query": query, "variables": variables})).send().await.ok()?.json().await.ok()
    }

    /// The data of an operation that has to succeed.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let answer = self.execute(query, variables).await;
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"].clone()
    }

    pub async fn provision(&self, kind: &str, version: &str) -> Value {
        self.provision_with(json!({"projectId": self.project, "kind": kind, "version": version})).await
    }

    pub async fn provision_with(&self, input: Value) -> Value {
        let query = format!(
            "mutation($input: ProvisionServiceInput!) {{ provisionService(input: $input) {{ service {{ {SERVICE} }} }} }}"
        );
        self.data(&query, json!({"input": input})).await["provisionService"]["service"].clone()
    }

    /// startService, stopService, restartService or destroyService.
    pub async fn act(&self, mutation: &str, id: &str) -> Value {
        let query = format!("mutation($id: ID!) {{ {mutation}(input: {{id: $id}}) {{ service {{ {SERVICE} }} }} }}");
        self.data(&query, json!({"id": id})).await[mutation]["service"].clone()
    }

    pub async fn service(&self, id: &str) -> Value {
        let query = format!("query($id: ID!) {{ service(id: $id) {{ {SERVICE} }} }}");
        self.data(&query, json!({"id": id})).await["service"].clone()
    }

    /// The credentials in clear.
    pub async fn reveal(&self, id: &str) -> HashMap<String, String> {
        let query = "mutation($id: ID!) { revealCredentials(input: {id: $id}) { credentials { key value } } }";
        let data = self.data(query, json!({"id": id})).await;
        let credentials = data["revealCredentials"]["credentials"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        credentials.iter().map(|credential| (text(&credential["key"]), text(&credential["value"]))).collect()
    }

    /// Polls until the service is settled in `state`.
    pub async fn settled(&self, id: &str, state: &str) -> Value {
        super::eventually(&format!("{id} to be {state}"), async || {
            let service = self.service(id).await;
            (service["state"] == state && service["operation"].is_null()).then_some(service)
        })
        .await
    }

    /// The cursor of the project's newest event.
    pub async fn cursor(&self) -> String {
        let query = "query($project: ID!) { services(projectId: $project) { eventCursor } }";
        let data = self.data(query, json!({"project": self.project})).await;
        data["services"]["eventCursor"].as_str().unwrap().to_owned()
    }

    /// The project's events from now on, or since a cursor.
    pub async fn events(&self, after: Option<&str>) -> Events {
        let after = match after {
            Some(cursor) => cursor.to_owned(),
            None => self.cursor().await,
        };
        self.try_events(&after).await.unwrap()
    }

    /// The same, from a server that may be killed meanwhile.
    pub async fn try_events(&self, after: &str) -> Option<Events> {
        let query = "subscription($project: ID!, $after: String) { serviceEvents(projectId: $project, after: $after) {
            cursor serviceId previousState state operation { kind phase progressPercent } message actor service { id } } }";
        self.subscribe("serviceEvents", query, json!({"project": self.project, "after": after})).await
    }

    /// What a subscription's `field` says; None where nobody answers.
    pub async fn subscribe(&self, field: &'static str, query: &str, variables: Value) -> Option<Events> {
        let mut request = self.url.replace("http:", "ws:").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let (socket, _) = connect_async(request).await.ok()?;
        let mut events = Events { field, socket };
        events
            .send(&json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {}", self.token)}}))
            .await?;
        assert_eq!(events.message().await?["type"], "connection_ack");
        let payload = json!({"query": query, "variables": variables});
        events.send(&json!({"type": "subscribe", "id": "1", "payload": payload})).await?;
        Some(events)
    }
}

/// A subscription, most often to a project's events.
pub struct Events {
    field: &'static str,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Events {
    /// The next event; None when the stream or the connection has ended.
    pub async fn next(&mut self) -> Option<Value> {
        let message = self.message().await?;
        match message["type"].as_str().unwrap() {
            "next" => {
                assert!(message["payload"].get("errors").is_none(), "{message}");
                Some(message["payload"]["data"][self.field].clone())
            }
            "complete" => None,
            _ => panic!("{message}"),
        }
    }

    /// Reads on until the service comes to be settled in `state`; gives back all events on the way.
    pub async fn until(&mut self, service: &str, state: &str) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let Some(event) = self.next().await else { panic!("the stream ended before {state}: {seen:?}") };
            let settled = event["serviceId"] == service && event["state"] == state && event["operation"].is_null();
            let settled = settled && event["previousState"] != state;
            seen.push(event);
            if settled {
                return seen;
            }
        }
    }

    async fn send(&mut self, message: &Value) -> Option<()> {
        self.socket.send(Message::text(message.to_string())).await.ok()
    }

    async fn message(&mut self) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a message in time");
            match message? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                // What the server said of it helps whoever did not expect it.
                ended @ (Ok(Message::Close(_)) | Err(_)) => {
                    eprintln!("The connection ended: {ended:?}");
                    return None;
                }
                Ok(_) => {}
            }
        }
    }
}
