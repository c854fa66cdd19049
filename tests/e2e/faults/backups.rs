//! What a backup needs is full, cut off or killed.

use serde_json::json;

use crate::backups::{ask, back_up, backup, backup_in, redis, running, sql, things};
use crate::support::client::Client;
use crate::support::disk::Disk;
use crate::support::docker::{docker, owned};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::server::Server;

/// In the middle of a database of 200,000 rows, in bytes, and more than any other answer of the engine has.
const HELD: usize = 32 << 20;

/// The files below a directory, but for what is kept of the server's own database.
pub fn files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| !path.ends_with("sidecar"))
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_full_is_told_and_used_again_once_there_is_room() {
    let disk = Disk::tmpfs(24);
    let store = disk.path().join("store");
    let server = Server::start(&[("BACKUP_STORE", store.to_str().unwrap())]).await;
    let client = Client::new(&server);
    let id = running(&client, "REDIS", "7").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    let fill = "for i = 1, 50000 do redis.call('SET', 'k' .. i, redis.sha1hex(i)) end";
    redis(&server, "7", &url, &["EVAL", fill, "0"]);
    disk.fill(64);
    let made = back_up(&client, &id).await;
    let waits = eventually("it to wait", async || {
        let backup = backup(&client, &made).await;
        (!backup["error"].is_null()).then_some(backup)
    })
    .await;
    assert_eq!(waits["error"]["code"], "STORE_FULL", "{waits}");
    assert_eq!(client.service(&id).await["state"], "RUNNING");
    disk.clear();
    backup_in(&client, &made, "AVAILABLE").await;
    assert_eq!(files(&store).len(), 2, "what did not fit is gone: {:?}", files(&store));
    ask(&client, "verifyBackup", &made).await;
    backup_in(&client, &made, "VERIFIED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_cut_off_a_helper_that_is_killed_and_a_service_that_goes_leave_nothing_by_half() {
    let proxy = Proxy::start();
    let server = Server::start(&[("DOCKER_HOST", &proxy.host())]).await;
    let client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "17").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    let fill = "CREATE TABLE t AS SELECT g, repeat(md5(g::text), 16) FROM generate_series(1, 200000) g";
    sql(&server, &url, fill).unwrap();
    let flows = async |backup_id: &str| {
        eventually("its content to flow", async || {
            let backup = backup(&client, backup_id).await;
            assert!(backup["state"] == "PENDING" || backup["state"] == "RUNNING", "it was not held: {backup}");
            (backup["contentBytes"].as_u64().unwrap() > 0).then_some(())
        })
        .await;
    };

    proxy.hold_at(HELD);
    let made = back_up(&client, &id).await;
    flows(&made).await;
    proxy.remove();
    proxy.let_go();
    eventually("it to wait for the engine", async || {
        (backup(&client, &made).await["error"]["code"] == "ENGINE_UNAVAILABLE").then_some(())
    })
    .await;
    proxy.put_back();
    backup_in(&client, &made, "AVAILABLE").await;

    ask(&client, "verifyBackup", &made).await;
    let label = format!("label=dev.project-services.test={}", server.test);
    let helper = eventually("what it is checked with", async || {
        let all = docker(&["ps", "-q", "--no-trunc", "--filter", &label, "--filter", "status=running"]);
        let own = docker(&["inspect", "--format", "{{.Id}}", &id]);
        all.lines().find(|other| *other != own.trim()).map(str::to_owned)
    })
    .await;
    docker(&["kill", &helper]);
    backup_in(&client, &made, "VERIFIED").await;
    eventually("what it was checked with to be gone", async || (things(&server) == (1, 1)).then_some(())).await;

    proxy.hold_at(HELD);
    let late = back_up(&client, &id).await;
    flows(&late).await;
    client.act("destroyService", &id).await;
    client.settled(&id, "DESTROYED").await;
    proxy.let_go();
    let failed = backup_in(&client, &late, "FAILED").await;
    assert_eq!(failed["error"]["code"], "SERVICE_DESTROYED", "{failed}");
    eventually("what there was of it to be gone", async || {
        (files(&server.directory().join("backups")).len() == 2).then_some(())
    })
    .await;
    let query = "query($id: ID!) { service(id: $id) { backups { nodes { state } } } }";
    let nodes = client.data(query, json!({"id": id})).await["service"]["backups"]["nodes"].clone();
    assert_eq!(nodes, json!([{"state": "FAILED"}, {"state": "VERIFIED"}]));
    assert_eq!(things(&server), (0, 0));
    eventually("its network to be gone", async || owned(&server.test).is_empty().then_some(())).await;
}
