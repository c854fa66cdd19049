//! A service is made of another one, which serves on.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::backups::{ask, back_up, backup_in, redis, running, sql, things, write_on};
use crate::restore::told;
use crate::support::client::Client;
use crate::support::docker::{docker, inspect, owned, try_docker};
use crate::support::engine::Engine;
use crate::support::eventually;
use crate::support::server::Server;

pub async fn clone(client: &Client, id: &str, name: &str) -> String {
    let mutation = "mutation($input: CloneServiceInput!) {
        cloneService(input: $input) { service { id state operation { kind } } } }";
    let data = client.data(mutation, json!({"input": {"id": id, "name": name}})).await;
    let service = &data["cloneService"]["service"];
    assert_eq!((&service["state"], &service["operation"]), (&json!("PENDING"), &json!({"kind": "CLONE"})));
    service["id"].as_str().unwrap().to_owned()
}

/// Waits until a clone is being copied, and pauses what does that.
async fn pause_copier(clone: &str) {
    eventually("what copies it", async || try_docker(&["pause", clone]).ok()).await;
    let mounts = inspect(clone)["Mounts"].as_array().unwrap().clone();
    let source: Vec<_> = mounts.iter().filter(|mount| mount["Destination"] == "/source").collect();
    assert_eq!((source.len(), &source[0]["RW"]), (1, &json!(false)), "{mounts:?}");
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
    let since = client.cursor().await;
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
    let way = told(&client, &since, "copy has the data of ").await;
    assert!(way.ends_with(", copied from volume to volume."), "{way}");
    let slots = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(sql(&server, &source["DATABASE_URL"], slots).unwrap(), "0", "nothing of it is left in the source");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_cloned_and_a_source_that_stops_leaves_no_empty_clone() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = running(&client, "REDIS", "7").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    redis(&server, "7", &url, &["SET", "key", "kept"]);
    let since = client.cursor().await;
    let copy = clone(&client, &id, "copy").await;
    client.settled(&copy, "RUNNING").await;
    let way = told(&client, &since, "copy has the data of ").await;
    assert!(way.ends_with(", copied from volume to volume."), "{way}");
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

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_a_snapshot_of_a_redis_waits_for_the_one_that_another_one_reads() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = running(&client, "REDIS", "7").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    redis(&server, "7", &url, &["SET", "key", "kept"]);
    let snapshot = || try_docker(&["exec", &id, "stat", "-c", "%s", "/data/dump.rdb"]);
    // As a clone or a download does that takes its time.
    let read = "echo $$ >/tmp/snapshot.lock; echo >/data/dump.rdb
        until [ -e /tmp/read ]; do sleep 0.1; done; rm /data/dump.rdb";
    docker(&["exec", "-d", "-u", "redis", &id, "sh", "-c", read]);
    eventually("what another one reads", async || snapshot().ok().filter(|size| size == "1")).await;
    let made = back_up(&client, &id).await;
    let copy = clone(&client, &id, "copy").await;
    eventually("both to wait", async || {
        (docker(&["exec", &id, "ls", "/tmp"]).matches("snapshot.lock.").count() == 2).then_some(())
    })
    .await;
    assert_eq!(snapshot().unwrap(), "1", "it is still being read");
    // It ends as one that is killed does.
    docker(&["exec", "-u", "redis", &id, "touch", "/tmp/read"]);
    client.settled(&copy, "RUNNING").await;
    let copied = client.reveal(&copy).await["REDIS_URL"].clone();
    assert_eq!(redis(&server, "7", &copied, &["GET", "key"]), "kept");
    backup_in(&client, &made, "AVAILABLE").await;
    ask(&client, "verifyBackup", &made).await;
    backup_in(&client, &made, "VERIFIED").await;
    assert!(snapshot().is_err(), "nothing of either is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_copies_goes_with_what_it_is_for_and_with_what_it_is_of() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "16").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    let fill = "CREATE TABLE t AS SELECT g AS n, repeat(md5(g::text), 30) AS words FROM generate_series(1, 150000) g";
    sql(&server, &url, fill).unwrap();

    let since = client.cursor().await;
    let again = clone(&client, &id, "again").await;
    pause_copier(&again).await;
    // Where it was paused before it was told anything, it is on its way out by now.
    let _ = try_docker(&["rm", "-f", &again]);
    client.settled(&again, "RUNNING").await;
    let way = told(&client, &since, "again has the data of ").await;
    assert!(way.ends_with(", copied from volume to volume."), "{way}");
    client.act("destroyService", &again).await;
    client.settled(&again, "DESTROYED").await;

    let copy = clone(&client, &id, "copy").await;
    pause_copier(&copy).await;
    client.act("stopService", &copy).await;
    client.settled(&copy, "STOPPED").await;
    assert_eq!(things(&server), (1, 1), "nothing of it is left");
    assert!(sql(&server, &url, "INSERT INTO t VALUES (0)").is_ok(), "its source serves on");

    client.act("startService", &copy).await;
    pause_copier(&copy).await;
    client.act("destroyService", &id).await;
    client.settled(&id, "DESTROYED").await;
    let failed = client.settled(&copy, "ERROR").await;
    assert_eq!(failed["error"]["code"], "RESTORE_FAILED", "{failed}");
    assert_eq!(things(&server).0, 0, "nothing holds on to what is gone");
    client.act("destroyService", &copy).await;
    client.settled(&copy, "DESTROYED").await;
    assert_eq!(owned(&server.test), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_copied_is_had_from_its_server() {
    let engine = Engine::start(&[]).await;
    engine.load("redis:7");
    // Where its source's volume should be is something else.
    let poor = ["run", "--name", "poor", "--network", "none", "--user", "root", "--entrypoint", "touch", "redis:7"];
    engine.docker(&[&poor[..], &["/source"]].concat());
    engine.docker(&["commit", "poor", "redis:7"]);
    let host = engine.host();
    let server = Server::start(&[("DOCKER_HOST", &host)]).await;
    let client = Client::new(&server);
    let id = running(&client, "REDIS", "7").await;
    let ask = async |id: &str, words: &[&str]| {
        let password = client.reveal(id).await["REDIS_PASSWORD"].clone();
        let ask = ["exec", id, "redis-cli", "--no-auth-warning", "-a", &password];
        engine.docker(&[&ask[..], words].concat())
    };
    assert_eq!(ask(&id, &["SET", "key", "kept"]).await, "OK");
    let since = client.cursor().await;
    let copy = clone(&client, &id, "copy").await;
    client.settled(&copy, "RUNNING").await;
    let way = told(&client, &since, "copy has the data of ").await;
    assert!(way.ends_with(", as its server gave it."), "{way}");
    assert_eq!(ask(&copy, &["GET", "key"]).await, "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_files_can_share_what_they_hold_a_clone_takes_next_to_no_space() {
    let engine = Engine::start_in_file("mkfs.xfs", 3000).await;
    engine.load("postgres:17");
    let host = engine.host();
    let server = Server::start(&[("DOCKER_HOST", &host)]).await;
    let client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "17").await;
    let say = async |id: &str, statement: &str| {
        let url = client.reveal(id).await["DATABASE_URL"].clone();
        engine.docker(&["exec", id, "psql", &url, "-qAtc", statement])
    };
    say(&id, "CREATE TABLE t AS SELECT g AS n, repeat(md5(g::text), 30) AS words FROM generate_series(1, 150000) g")
        .await;
    say(&id, "CHECKPOINT").await;
    let holds: u64 = say(&id, "SELECT pg_database_size(current_database()) / 1024").await.parse().unwrap();
    let used = || -> u64 {
        engine.run("sync -f data && df -k --output=used data | tail -n 1 >used");
        std::fs::read_to_string(engine.directory().join("used")).unwrap().trim().parse().unwrap()
    };
    let before = used();
    let copy = clone(&client, &id, "copy").await;
    client.settled(&copy, "RUNNING").await;
    let taken = used().saturating_sub(before);
    assert!(taken < holds / 3, "{taken} KiB of {holds}");
    assert_eq!(say(&copy, "SELECT count(*) FROM t").await, "150000");
}
