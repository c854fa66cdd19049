//! A service is made of another one, which serves on.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::backups::{redis, running, sql, things, write_on};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::server::Server;

async fn clone(client: &Client, id: &str, name: &str) -> String {
    let mutation = "mutation($input: CloneServiceInput!) {
        cloneService(input: $input) { service { id state operation { kind } } } }";
    let data = client.data(mutation, json!({"input": {"id": id, "name": name}})).await;
    let service = &data["cloneService"]["service"];
    assert_eq!((&service["state"], &service["operation"]), (&json!("PENDING"), &json!({"kind": "CLONE"})));
    service["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_is_written_to_is_cloned_as_of_a_moment_however_often_the_server_is_killed() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "17").await;
    let source = client.reveal(&id).await;
    sql(&server, &source["DATABASE_URL"], "CREATE TABLE ledger (n bigint PRIMARY KEY, filling text)").unwrap();
    let (ledger, done, writing) = write_on(&id, &source["PGUSER"], &source["PGDATABASE"]);
    eventually("the first commits", async || (ledger.load(Ordering::Relaxed) > 1000).then_some(())).await;

    let before = ledger.load(Ordering::Relaxed);
    let copy = clone(&client, &id, "copy").await;
    let mut client = client;
    for after in [300, 900, 1800, 2700] {
        tokio::time::sleep(std::time::Duration::from_millis(after)).await;
        server.kill();
        server.restart().await;
        client = Client::new(&server);
        let seen = client.service(&copy).await;
        assert!(seen["state"] != "RUNNING" || seen["operation"].is_null(), "{seen}");
    }
    client.settled(&copy, "RUNNING").await;
    done.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    let after = ledger.load(Ordering::Relaxed);
    let credentials = client.reveal(&copy).await;
    assert_eq!(credentials["PGUSER"], source["PGUSER"]);
    assert_ne!(credentials["PGPASSWORD"], source["PGPASSWORD"]);
    let held = sql(&server, &credentials["DATABASE_URL"], "SELECT count(*), max(n) FROM ledger").unwrap();
    let (rows, last) = held.trim().split_once('|').unwrap();
    assert_eq!(rows, last, "exactly what was committed up to a moment");
    assert!((before..=after).contains(&rows.parse().unwrap()), "{before} {rows} {after}");
    sql(&server, &credentials["DATABASE_URL"], "INSERT INTO ledger VALUES (0)").unwrap();
    let held = sql(&server, &source["DATABASE_URL"], "SELECT count(*) FROM ledger WHERE n = 0").unwrap();
    assert_eq!(held.trim(), "0", "each is on its own");
    assert_eq!(things(&server), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_cloned_and_a_source_that_stops_leaves_no_empty_clone() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = running(&client, "REDIS", "7").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    redis(&server, "7", &url, &["SET", "key", "kept"]);
    let copy = clone(&client, &id, "copy").await;
    client.settled(&copy, "RUNNING").await;
    let copied = client.reveal(&copy).await["REDIS_URL"].clone();
    assert_eq!(redis(&server, "7", &copied, &["GET", "key"]), "kept");
    redis(&server, "7", &copied, &["SET", "key", "other"]);
    assert_eq!(redis(&server, "7", &url, &["GET", "key"]), "kept");

    let empty = clone(&client, &copy, "never").await;
    client.act("stopService", &copy).await;
    let end: Value = eventually("what comes of it", async || {
        let service = client.service(&empty).await;
        let is_over = service["operation"].is_null() && service["state"] != "PENDING";
        is_over.then_some(service)
    })
    .await;
    match end["state"].as_str().unwrap() {
        // It was quick enough.
        "RUNNING" => {
            let url = client.reveal(&empty).await["REDIS_URL"].clone();
            assert_eq!(redis(&server, "7", &url, &["GET", "key"]), "other");
        }
        state => assert_eq!((state, &end["error"]["code"]), ("ERROR", &json!("RESTORE_FAILED")), "{end}"),
    }
}
