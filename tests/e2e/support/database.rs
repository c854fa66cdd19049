//! A PostgreSQL database of a test's own, on the server that `make test` provides.

use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::chain::Logs;

/// Dropped with the test.
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    pub async fn new() -> Self {
        let server = std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL is set by `make test`");
        let name = format!("e2e_{}", Uuid::now_v7().simple());
        connect(&server).await.batch_execute(&format!("create database {name}")).await.unwrap();
        Self { server, name }
    }

    pub fn url(&self) -> String {
        let (address, parameters) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let (address, _) = address.rsplit_once('/').unwrap();
        format!("{address}/{}?{parameters}", self.name)
    }

    /// The settings of a server that uses it.
    pub fn settings(&self) -> Vec<(String, String)> {
        let mut settings = vec![("DATABASE_URL".to_owned(), self.url())];
        settings.extend(std::env::var("TEST_DATABASE_CA").map(|ca| ("DATABASE_CA_FILE".to_owned(), ca)));
        settings
    }

    /// A connection past any server.
    pub async fn client(&self) -> Client {
        connect(&self.url()).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let logs = Logs::of_postgres(&self.url());
        let (server, drop) = (self.server.clone(), format!("drop database {} with (force)", self.name));
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { connect(&server).await.batch_execute(&drop).await })
        });
        let _ = dropping.join();
        logs.check();
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
