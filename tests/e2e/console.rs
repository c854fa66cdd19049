//! What a service holds is read, and nothing of it can be changed that way.

mod keys;
mod mysql;
mod sql;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::docker::preview;
use crate::support::server::Server;

/// A running service.
struct World {
    server: Server,
    id: String,
    image: String,
    url: String,
}

impl World {
    async fn new(kind: &str, version: &str) -> Self {
        Self::on(Server::start(&[]).await, kind, version).await
    }

    async fn on(server: Server, kind: &str, version: &str) -> Self {
        let client = Client::new(&server);
        let id = client.provision(kind, version).await["id"].as_str().unwrap().to_owned();
        client.settled(&id, "RUNNING").await;
        let credentials = client.reveal(&id).await;
        let url = credentials.iter().find(|(key, _)| key.ends_with("_URL")).unwrap().1.clone();
        Self { server, id, image: format!("{}:{version}", kind.to_lowercase().replace("postgresql", "postgres")), url }
    }

    fn client(&self) -> Client {
        Client::new(&self.server)
    }

    /// What a client in a preview container is told.
    fn speak(&self, command: &[&str]) -> Result<String, String> {
        preview(&self.server.test, &self.server.network(), &self.image, command)
    }

    /// The answer to a mutation: its payload, or the error.
    async fn ask(&self, mutation: &str, selection: &str, input: Value) -> Result<Value, Value> {
        let mut input = input;
        input["id"] = json!(self.id);
        let name = format!("{}{}Input", mutation[..1].to_uppercase(), &mutation[1..]);
        let query = format!("mutation($input: {name}!) {{ {mutation}(input: $input) {{ {selection} }} }}");
        let answer = self.client().execute(&query, json!({"input": input})).await;
        if answer["errors"].is_null() { Ok(answer["data"][mutation].clone()) } else { Err(answer["errors"][0].clone()) }
    }
}
