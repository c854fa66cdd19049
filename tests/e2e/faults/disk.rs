//! What is underneath the store: its disk is full, its files are taken away, its pages are damaged.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use diesel::sql_types::BigInt;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};
use serde_json::{Value, json};

use super::provisioned;
use crate::support::client::Client;
use crate::support::disk::Disk;
use crate::support::docker::docker;
use crate::support::eventually;
use crate::support::server::Server;

/// Waits until /readyz says that of the store.
async fn says(server: &Server, expected: &str) {
    let url = format!("http://{}/readyz", server.address);
    eventually(&format!("/readyz to say {expected:?}"), async || {
        let answer = reqwest::get(&url).await.unwrap();
        let is_ready = answer.status().is_success();
        let store = answer.json::<Value>().await.unwrap()["store"].as_str().unwrap().to_owned();
        assert_eq!(is_ready, store == "ok", "{store}");
        store.contains(expected).then_some(())
    })
    .await;
}

/// What a client reads that asks for another service.
async fn refused(client: &Client) -> String {
    let query = "mutation($input: ProvisionServiceInput!) { provisionService(input: $input) { service { id } } }";
    let input = json!({"projectId": client.project, "kind": "REDIS"});
    let answer = client.execute(query, json!({"input": input})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{answer}");
    answer["errors"][0]["message"].as_str().unwrap().to_owned()
}

async fn services(client: &Client) -> Value {
    let query = "query($project: ID!) { services(projectId: $project) { totalCount eventCursor } }";
    client.data(query, json!({"project": client.project})).await
}

fn log_says(server: &Server, level: &str, message: &str) -> bool {
    server.log().lines().any(|line| {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        line["level"] == level && line["fields"]["message"].as_str().is_some_and(|text| text.contains(message))
    })
}

async fn while_it_is_full(disk: Disk) {
    let data = disk.path().join("data");
    let mut server = Server::start(&[("DATA_DIR", data.to_str().unwrap())]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    says(&server, "ok").await;

    // The last of the space is for what happens to services.
    disk.fill(4 << 10);
    says(&server, "no space is left for the database").await;
    let before = services(&client).await;
    assert_eq!(refused(&client).await, "The server's database needs its operator: its disk is full.");
    assert_eq!(services(&client).await, before, "nothing is half done");
    assert!(log_says(&server, "ERROR", "no space is left for the database"));
    let mut events = client.events(None).await;
    docker(&["kill", &id]);
    events.until(&id, "RUNNING").await;

    // Then there is none at all: what can't be recorded waits.
    disk.fill(0);
    for _ in 0..3 {
        for _ in 0..20 {
            refused(&client).await;
        }
        docker(&["restart", "--time", "1", &id]);
        client.service(&id).await;
    }
    disk.clear();
    says(&server, "ok").await;
    client.settled(&id, "RUNNING").await;
    let other = provisioned(&client, "REDIS", "7").await;
    assert_eq!(services(&client).await["services"]["totalCount"], 2);
    server.restart().await;
    let client = Client::new(&server);
    for id in [&id, &other] {
        client.settled(id, "RUNNING").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_with_small_blocks_is_shown_and_outlived() {
    while_it_is_full(Disk::ext4(40)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_in_memory_is_shown_and_outlived() {
    while_it_is_full(Disk::tmpfs(24)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_does_not_begin_on_a_full_disk() {
    let disk = Disk::tmpfs(12);
    let server = Server::start(&[("DATA_DIR", disk.path().join("data").to_str().unwrap())]).await;
    disk.fill(4 << 10);
    let output = server.command(&["migrate"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("less than 8 MiB are left"), "{error}");
}

fn database(server: &Server, suffix: &str) -> PathBuf {
    server.directory().join(format!("project-services.db{suffix}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_file_is_away_nothing_is_accepted_and_what_was_is_not_lost() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;

    let away = database(&server, ".away");
    fs::rename(database(&server, ""), &away).unwrap();
    says(&server, "project-services.db is gone").await;
    assert_eq!(refused(&client).await, "The server's database needs its operator: its file was taken away.");
    assert!(log_says(&server, "ERROR", "project-services.db is gone"));
    fs::rename(&away, database(&server, "")).unwrap();
    says(&server, "ok").await;
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    eventually("what was saved to be removed again", async || saved(&server).is_none().then_some(())).await;

    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(database(&server, suffix)).unwrap();
    }
    says(&server, "project-services.db is gone").await;
    let saved = eventually("what was accepted to be saved", async || saved(&server)).await;
    server.kill();
    let output = server.command(&["serve"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains(saved.to_str().unwrap()), "{error}");
    fs::rename(saved, database(&server, "")).unwrap();
    server.restart().await;
    assert_eq!(Client::new(&server).service(&id).await["state"], "STOPPED");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_only_the_log_is_removed_a_restart_has_everything() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    fs::remove_file(database(&server, "-wal")).unwrap();
    says(&server, "project-services.db-wal is gone").await;
    refused(&client).await;
    eventually("what was accepted to be saved", async || saved(&server)).await;
    server.kill();
    server.restart().await;
    Client::new(&server).settled(&id, "RUNNING").await;
}

fn saved(server: &Server) -> Option<PathBuf> {
    let found = fs::read_dir(server.directory()).unwrap().map(|entry| entry.unwrap().path());
    let mut found = found.map(|path| (path.display().to_string(), path));
    let is_saved =
        |name: &str| name.split_once(".saved-").is_some_and(|(_, rest)| rest.bytes().all(|byte| byte.is_ascii_digit()));
    found.find_map(|(name, path)| is_saved(&name).then_some(path))
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Overwrites the first page of the services' table.
fn damage(file: &Path) {
    let mut connection = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    let root = "SELECT rootpage AS number FROM sqlite_schema WHERE name = 'services'";
    let root: Vec<Number> = diesel::sql_query(root).load(&mut connection).unwrap();
    drop(connection);
    let file = fs::File::options().write(true).open(file).unwrap();
    file.write_all_at(&[0xa5; 4096], u64::try_from(root[0].number - 1).unwrap() * 4096).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_page_is_shown_and_nothing_more_is_written() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    provisioned(&client, "REDIS", "7").await;
    assert!(server.terminate().await.success());
    damage(&database(&server, ""));
    server.restart().await;
    says(&server, "the database is damaged").await;
    let client = Client::new(&server);
    let damaged = "The server's database needs its operator: it is damaged.";
    assert_eq!(refused(&client).await, damaged);
    let query = "query($project: ID!) { services(projectId: $project) { totalCount } }";
    let answer = client.execute(query, json!({"project": client.project})).await;
    assert_eq!(answer["errors"][0]["message"], damaged, "{answer}");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE");
    assert!(log_says(&server, "ERROR", "the database is damaged"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_is_no_new_installation() {
    let mut server = Server::start(&[]).await;
    server.kill();
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(database(&server, suffix)).unwrap();
    }
    fs::write(database(&server, ""), "").unwrap();
    for command in ["serve", "migrate", "rotate-keys"] {
        let output = server.command(&[command]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains("is empty"), "{command}: {error}");
    }
    assert_eq!(fs::metadata(database(&server, "")).unwrap().len(), 0);
}
