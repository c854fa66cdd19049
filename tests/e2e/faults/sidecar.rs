//! The sidecar is killed or stopped, or its store is away.

use std::net::TcpListener;

use uuid::Uuid;

use super::{provisioned, psql};
use crate::support::client::Client;
use crate::support::docker::{LABEL, docker, owned, remove_owned, try_docker};
use crate::support::eventually;
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_takes_up_what_was_under_way() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let service = client.provision("POSTGRESQL", "16").await;
    let id = service["id"].as_str().unwrap().to_owned();
    eventually("the container to run", async || {
        (client.service(&id).await["operation"]["phase"] == "WAITING_FOR_READY").then_some(())
    })
    .await;
    let mut events = client.events(None).await;
    server.kill();
    while events.next().await.is_some() {}

    server.restart().await;
    let client = Client::new(&server);
    client.settled(&id, "RUNNING").await;
    let url = &client.reveal(&id).await["DATABASE_URL"];
    assert_eq!(psql(&server, url, "select 1"), "1");
    assert_eq!(owned(&server.test).len(), 3, "one container, one volume, one network");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_on_one_file_the_later_one_goes_on() {
    let mut first = Server::start(&[]).await;
    let id = provisioned(&Client::new(&first), "REDIS", "7").await;
    let mut second = first.replica().await;
    second.set("DATA_DIR", &first.directory().display().to_string());
    second.restart().await;
    assert_eq!(first.ended().await.code(), Some(1));
    assert!(first.log().contains("only PostgreSQL can be shared"));

    let mut events = Client::new(&second).events(None).await;
    docker(&["kill", &id]);
    events.until(&id, "RUNNING").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_run_on_while_the_server_is_down_and_its_events_are_there_afterwards() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let id = provisioned(&client, "POSTGRESQL", "17").await;
    let seen = events.until(&id, "RUNNING").await;
    let cursor = seen[0]["cursor"].as_str().unwrap();
    let url = client.reveal(&id).await["DATABASE_URL"].clone();

    assert!(server.terminate().await.success());
    while events.next().await.is_some() {}
    assert_eq!(psql(&server, &url, "select 1"), "1");

    server.restart().await;
    let client = Client::new(&server);
    let mut resumed = client.events(Some(cursor)).await;
    assert_eq!(resumed.until(&id, "RUNNING").await, seen[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_was_interrupted_begins_anew() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let service = client.provision("POSTGRESQL", "17").await;
    let id = service["id"].as_str().unwrap().to_owned();
    eventually("the initialisation to begin", async || {
        docker(&["ps", "-q", "--filter", &format!("name={id}")]).lines().next()?;
        docker(&["exec", &id, "sh", "-c", "ls /var/lib/postgresql/data/pgdata 2>/dev/null || true"])
            .contains("PG_VERSION")
            .then_some(())
    })
    .await;
    docker(&["kill", &id]);
    client.settled(&id, "RUNNING").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    assert_eq!(psql(&server, &url, "select 1"), "1");
}

/// A PostgreSQL server for the store, which is removed when it is dropped.
struct StoreServer {
    test: String,
    url: String,
}

impl StoreServer {
    async fn start() -> Self {
        let test = format!("store-{}", Uuid::now_v7().simple());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (label, publish) = (format!("{LABEL}={test}"), format!("127.0.0.1:{port}:5432"));
        let server = Self { url: format!("postgres://postgres:store@127.0.0.1:{port}/postgres"), test };
        let data = ["--tmpfs", "/var/lib/postgresql/data", "--env", "POSTGRES_PASSWORD=store", "postgres:17"];
        let run = ["run", "--detach", "--name", &server.test, "--label", &label, "--publish", &publish];
        docker(&[&run, &data[..]].concat());
        let ready = ["exec", &server.test, "pg_isready", "--host", "127.0.0.1"];
        eventually("the store's server", async || try_docker(&ready).ok()).await;
        server
    }
}

impl Drop for StoreServer {
    fn drop(&mut self) {
        let _ = try_docker(&["unpause", &self.test]);
        remove_owned(&self.test);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_nothing_is_accepted_and_then_all_is_seen() {
    let store = StoreServer::start().await;
    let server = Server::start(&[("DATABASE_URL", &store.url)]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let id = provisioned(&client, "REDIS", "7").await;
    events.until(&id, "RUNNING").await;
    docker(&["pause", &store.test]);
    docker(&["kill", &id]);
    let mutation = "mutation($id: ID!) { stopService(input: {id: $id}) { service { id } } }";
    let refused = client.execute(mutation, serde_json::json!({"id": id})).await;
    assert!(refused["errors"][0]["extensions"]["code"].is_string(), "{refused}");
    docker(&["unpause", &store.test]);
    let seen = events.until(&id, "RUNNING").await;
    assert!(seen.iter().any(|event| event["state"] == "PROVISIONING"), "{seen:?}");
    client.settled(&id, "RUNNING").await;
}
