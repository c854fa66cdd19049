//! Services are backed up by themselves, and once more before they are destroyed.

use diesel::{Connection, RunQueryDsl, SqliteConnection};
use serde_json::{Value, json};

use crate::backups::{backup_in, fact, redis, restored, running, sql, things};
use crate::faults::backups::files;
use crate::support::client::Client;
use crate::support::docker::owned;
use crate::support::eventually;
use crate::support::server::Server;

const LIST: &str = "query($id: ID!) { service(id: $id) { state backupPolicy { nextRunAt }
    backups { nodes { id state origin phase } } } }";

/// Has what is due next of so many services come due while no server runs.
async fn come_due(server: &mut Server, services: usize) {
    server.terminate().await;
    let file = server.directory().join("project-services.db");
    let mut connection = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    let text = "UPDATE services SET backup_due_at = '2020-01-01T00:00:00.000000Z'";
    assert_eq!(diesel::sql_query(text).execute(&mut connection).unwrap(), services);
    server.restart().await;
}

async fn backups(client: &Client, id: &str) -> Vec<Value> {
    let data = client.data(LIST, json!({"id": id})).await;
    data["service"]["backups"]["nodes"].as_array().unwrap().clone()
}

/// Waits until its only backup is VERIFIED, and is none of `others`.
async fn only(client: &Client, id: &str, others: &[String]) -> String {
    eventually("one backup that is verified", async || {
        let backups = backups(client, id).await;
        assert!(backups.iter().all(|backup| backup["origin"] == "SCHEDULED"), "{backups:?}");
        assert!(backups.iter().all(|backup| backup["state"] != "FAILED"), "{backups:?}");
        let [one] = backups.as_slice() else { return None };
        let id = one["id"].as_str().unwrap().to_owned();
        (one["state"] == "VERIFIED" && one["phase"].is_null() && !others.contains(&id)).then_some(id)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_service_is_backed_up_by_the_operators_schedule_and_the_ones_before_go_once_that_is_verified() {
    let mut server = Server::start(&[("BACKUP_SCHEDULE", "0 3 * * *"), ("BACKUP_KEEP", "last=1")]).await;
    let client = Client::new(&server);
    let id = running(&client, "REDIS", "7").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    redis(&server, "7", &url, &["SET", "round", "1"]);
    come_due(&mut server, 1).await;
    let client = Client::new(&server);
    let first = only(&client, &id, &[]).await;
    redis(&server, "7", &url, &["SET", "other", "2"]);
    come_due(&mut server, 1).await;
    let client = Client::new(&server);
    let second = only(&client, &id, &[first]).await;
    let verified = backup_in(&client, &second, "VERIFIED").await;
    assert_eq!(fact(&verified, "keys"), Some("2"), "{verified}");
    let kept = files(&server.directory().join("backups"));
    assert_eq!(kept.len(), 2, "its content and its manifest, and nothing of the one before: {kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_kinds_are_backed_up_by_schedule_as_well() {
    let mut server = Server::start(&[("BACKUP_SCHEDULE", "0 3 * * *")]).await;
    let client = Client::new(&server);
    let kinds = [("MYSQL", "9.7"), ("MONGODB", "8.0"), ("OBJECT_STORAGE", "4.48")];
    let [mysql, mongodb, objects] = kinds.map(|(kind, version)| running(&client, kind, version));
    let ids = tokio::join!(mysql, mongodb, objects);
    come_due(&mut server, kinds.len()).await;
    let client = Client::new(&server);
    for id in [&ids.0, &ids.1, &ids.2] {
        only(&client, id, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_destroyed_once_its_final_backup_is_verified_and_stays_where_that_fails() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "17").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    sql(&server, &url, "CREATE TABLE last AS SELECT generate_series(1, 1000) AS n").unwrap();
    let destroy = "mutation($id: ID!) { destroyService(input: {id: $id, finalBackup: true}) { service { state } } }";

    let kept = server.directory().join("backups");
    let _ = std::fs::remove_dir_all(&kept);
    std::fs::write(&kept, "in the way").unwrap();
    client.data(destroy, json!({"id": id})).await;
    let failed = eventually("it to fail", async || {
        backups(&client, &id).await.into_iter().find(|backup| backup["state"] == "FAILED")
    })
    .await;
    assert_eq!(failed["origin"], "MANUAL", "nothing waits for it any more");
    assert_eq!(client.service(&id).await["state"], "RUNNING");
    assert_eq!(sql(&server, &url, "SELECT count(*) FROM last").unwrap().trim(), "1000");

    std::fs::remove_file(&kept).unwrap();
    client.data(destroy, json!({"id": id})).await;
    let protect = "mutation($id: ID!, $enabled: Boolean!) {
        setDeletionProtection(input: {id: $id, enabled: $enabled}) { service { id } } }";
    client.data(protect, json!({"id": id, "enabled": true})).await;
    let newest = backups(&client, &id).await.remove(0);
    backup_in(&client, newest["id"].as_str().unwrap(), "VERIFIED").await;
    assert_eq!(client.service(&id).await["state"], "RUNNING", "it was protected meanwhile");

    client.data(protect, json!({"id": id, "enabled": false})).await;
    client.data(destroy, json!({"id": id})).await;
    client.settled(&id, "DESTROYED").await;
    let last = backups(&client, &id).await.remove(0);
    assert_eq!((&last["state"], &last["origin"]), (&json!("VERIFIED"), &json!("FINAL")));
    assert_eq!(things(&server), (0, 0));
    let back = restored(&client, last["id"].as_str().unwrap(), "back").await;
    let url = client.reveal(&back).await["DATABASE_URL"].clone();
    assert_eq!(sql(&server, &url, "SELECT count(*) FROM last").unwrap().trim(), "1000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_destroyed_once_the_last_backup_of_each_is_verified_and_stays_where_that_fails() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let (rows, cache) = tokio::join!(running(&client, "POSTGRESQL", "17"), running(&client, "REDIS", "7"));
    let url = client.reveal(&rows).await["DATABASE_URL"].clone();
    sql(&server, &url, "CREATE TABLE last AS SELECT generate_series(1, 1000) AS n").unwrap();
    let keys = client.reveal(&cache).await["REDIS_URL"].clone();
    redis(&server, "7", &keys, &["SET", "last", "kept"]);
    let end = async || {
        let mutation = "mutation($project: ID!) {
            destroyProject(input: {projectId: $project, finalBackup: true}) { services { id state } } }";
        let data = client.data(mutation, json!({"project": server.project})).await;
        data["destroyProject"]["services"].as_array().unwrap().clone()
    };

    let kept = server.directory().join("backups");
    let _ = std::fs::remove_dir_all(&kept);
    std::fs::write(&kept, "in the way").unwrap();
    assert_eq!(end().await.len(), 2);
    for id in [&rows, &cache] {
        let failed = eventually("its last backup to fail", async || {
            backups(&client, id).await.into_iter().find(|backup| backup["state"] == "FAILED")
        })
        .await;
        assert_eq!(failed["origin"], "MANUAL", "nothing waits for it any more");
        assert_eq!(client.settled(id, "RUNNING").await["error"], Value::Null);
    }
    assert_eq!(sql(&server, &url, "SELECT count(*) FROM last").unwrap().trim(), "1000");
    assert_eq!(redis(&server, "7", &keys, &["GET", "last"]), "kept");
    assert_eq!(things(&server), (2, 2), "nothing was destroyed, and nothing is left of trying");

    std::fs::remove_file(&kept).unwrap();
    let since = client.cursor().await;
    let mut events = client.events(Some(&since)).await;
    let running: Vec<_> = end().await.into_iter().map(|service| service["state"].clone()).collect();
    assert_eq!(running, ["RUNNING", "RUNNING"], "until it is verified each is what it was");
    let mut gone = Vec::new();
    while gone.len() < 2 {
        let event = events.next().await.expect("the end of both");
        let id = event["serviceId"].as_str().unwrap();
        if event["state"] != "RUNNING" && !gone.contains(&id.to_owned()) {
            let last = backups(&client, id).await.remove(0);
            assert_eq!((&last["state"], &last["origin"]), (&json!("VERIFIED"), &json!("FINAL")), "{event}");
            gone.push(id.to_owned());
        }
    }
    for id in [&rows, &cache] {
        client.settled(id, "DESTROYED").await;
    }
    assert_eq!(owned(&server.test), [] as [String; 0], "nothing of either is left in the engine");

    let last = backups(&client, &rows).await.remove(0);
    let back = restored(&client, last["id"].as_str().unwrap(), "back").await;
    let url = client.reveal(&back).await["DATABASE_URL"].clone();
    assert_eq!(sql(&server, &url, "SELECT count(*) FROM last").unwrap().trim(), "1000");
    let last = backups(&client, &cache).await.remove(0);
    let back = restored(&client, last["id"].as_str().unwrap(), "cache-back").await;
    let url = client.reveal(&back).await["REDIS_URL"].clone();
    assert_eq!(redis(&server, "7", &url, &["GET", "last"]), "kept");
}
