//! What services hold is backed up, and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::bucket::{Bucket, KEYS};
use crate::support::client::Client;
use crate::support::docker::{docker, inspect, owned, preview};
use crate::support::eventually;
use crate::support::server::{OLD_KEY, Server};

/// Makes 20,000 keys.
const FILL: &str = "for i = 1, 20000 do redis.call('SET', 'k' .. i, redis.sha1hex(i)) end";

const BACKUP: &str = "id state phase contentBytes storedBytes location error { code message } \
    verification { facts { name value } }";

/// What has a server keep backups there.
fn in_bucket(bucket: &Bucket) -> [(&'static str, &str); 6] {
    [
        ("BACKUP_STORE", "s3://backups/of/tests"),
        ("AWS_ENDPOINT_URL", &bucket.endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", KEYS.0),
        ("AWS_SECRET_ACCESS_KEY", KEYS.1),
    ]
}

async fn server(bucket: &Bucket) -> Server {
    Server::start(&in_bucket(bucket)).await
}

pub async fn running(client: &Client, kind: &str, version: &str) -> String {
    let id = client.provision(kind, version).await["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    id
}

pub async fn back_up(client: &Client, id: &str) -> String {
    let mutation = "mutation($id: ID!) { createBackup(input: {id: $id, note: \"e2e\"}) { backup { id state } } }";
    let data = client.data(mutation, json!({"id": id})).await;
    data["createBackup"]["backup"]["id"].as_str().unwrap().to_owned()
}

/// verifyBackup or deleteBackup.
pub async fn ask(client: &Client, mutation: &str, backup: &str) -> Value {
    let query = format!("mutation($id: ID!) {{ {mutation}(input: {{backupId: $id}}) {{ backup {{ state }} }} }}");
    client.execute(&query, json!({"id": backup})).await
}

pub async fn backup(client: &Client, id: &str) -> Value {
    let query = format!("query($id: ID!) {{ backup(id: $id) {{ {BACKUP} }} }}");
    client.data(&query, json!({"id": id})).await["backup"].clone()
}

/// Waits until nothing is being done about the backup, and it is in `state`.
pub async fn backup_in(client: &Client, id: &str, state: &str) -> Value {
    eventually(&format!("{id} to be {state}"), async || {
        let backup = backup(client, id).await;
        let is_over = backup["state"] == "FAILED" && backup["phase"].is_null();
        assert!(state == "FAILED" || !is_over, "{backup}");
        (backup["state"] == state && backup["phase"].is_null()).then_some(backup)
    })
    .await
}

async fn restore(client: &Client, backup: &str, name: &str) -> Value {
    let mutation = "mutation($id: ID!, $name: String!) {
        restoreService(input: {backupId: $id, into: {newService: {name: $name}}}) { service { id } } }";
    client.execute(mutation, json!({"id": backup, "name": name})).await
}

pub async fn restored(client: &Client, backup: &str, name: &str) -> String {
    let answer = restore(client, backup, name).await;
    let id =
        answer["data"]["restoreService"]["service"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    client.settled(&id, "RUNNING").await;
    id
}

pub fn fact<'a>(backup: &'a Value, name: &str) -> Option<&'a str> {
    let facts = backup["verification"]["facts"].as_array().unwrap();
    facts.iter().find(|fact| fact["name"].as_str().unwrap().starts_with(name))?["value"].as_str()
}

/// Statements by a client on the project's network.
pub fn sql(server: &Server, url: &str, statements: &str) -> Result<String, String> {
    let command = ["psql", url, "-qtA", "-v", "ON_ERROR_STOP=1", "-c", statements];
    preview(&server.test, &server.network(), "postgres:17", &command)
}

pub fn redis(server: &Server, version: &str, url: &str, words: &[&str]) -> String {
    let command = [&["redis-cli", "--no-auth-warning", "-u", url], words].concat();
    preview(&server.test, &server.network(), &format!("redis:{version}"), &command).unwrap()
}

/// Containers and volumes of the test's.
pub fn things(server: &Server) -> (usize, usize) {
    let label = format!("label=dev.project-services.test={}", server.test);
    let count = |list: &[&str]| docker(list).lines().count();
    (count(&["ps", "-aq", "--filter", &label]), count(&["volume", "ls", "-q", "--filter", &label]))
}

/// Commits one number after the other, from inside the service's own container, and keeps what was committed outside.
pub fn write_on(
    id: &str,
    user: &str,
    database: &str,
) -> (Arc<AtomicU64>, Arc<AtomicBool>, std::thread::JoinHandle<()>) {
    let (ledger, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (committed, ended) = (Arc::clone(&ledger), Arc::clone(&done));
    let (id, user, database) = (id.to_owned(), user.to_owned(), database.to_owned());
    let writing = std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            let next = committed.load(Ordering::Relaxed) + 1;
            let last = next + 199;
            let script = format!(
                "for n in $(seq {next} {last}); do echo \"INSERT INTO ledger VALUES ($n, repeat(md5('$n'), 20));\"; done | \
                 psql -qX -v ON_ERROR_STOP=1 -h /var/run/postgresql -U {user} -d {database}"
            );
            docker(&["exec", "-u", "postgres", &id, "sh", "-c", &script]);
            committed.store(last, Ordering::Relaxed);
        }
    });
    (ledger, done, writing)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_is_written_to_is_backed_up_verified_and_restored_with_all_that_was_committed() {
    let bucket = Bucket::start();
    let server = server(&bucket).await;
    let client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "16").await;
    let source = client.reveal(&id).await;
    sql(&server, &source["DATABASE_URL"], "CREATE TABLE ledger (n bigint PRIMARY KEY, filling text)").unwrap();
    let (ledger, done, writing) = write_on(&id, &source["PGUSER"], &source["PGDATABASE"]);
    eventually("the first commits", async || (ledger.load(Ordering::Relaxed) > 1000).then_some(())).await;

    let mut events = client.events(None).await;
    let before = ledger.load(Ordering::Relaxed);
    let made = back_up(&client, &id).await;
    assert_eq!(back_up(&client, &id).await, made, "of one service there is one at a time");
    let kept = backup_in(&client, &made, "AVAILABLE").await;
    done.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    let after = ledger.load(Ordering::Relaxed);
    assert!(kept["storedBytes"].as_u64().unwrap() < kept["contentBytes"].as_u64().unwrap(), "{kept}");
    loop {
        let event = events.next().await.unwrap();
        if event["message"].as_str().unwrap().contains(" is kept: ") {
            break;
        }
    }
    let stored: Vec<_> = bucket.objects().iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert_eq!(stored.len(), 2, "its content and its manifest");
    let secret = source["PGUSER"].as_bytes();
    assert!(stored.iter().all(|bytes| !bytes.windows(secret.len()).any(|part| part == secret)), "all is sealed");

    ask(&client, "verifyBackup", &made).await;
    let verified = backup_in(&client, &made, "VERIFIED").await;
    let rows: u64 = fact(&verified, "rows of").unwrap().parse().unwrap();
    assert!((before..=after).contains(&rows), "{before} {rows} {after}");
    assert_eq!(things(&server), (1, 1), "what it was checked with is gone");

    client.act("destroyService", &id).await;
    client.settled(&id, "DESTROYED").await;
    let back = restored(&client, &made, "back").await;
    let credentials = client.reveal(&back).await;
    assert_eq!(credentials["PGUSER"], source["PGUSER"]);
    assert_ne!(credentials["PGPASSWORD"], source["PGPASSWORD"]);
    let held = sql(&server, &credentials["DATABASE_URL"], "SELECT count(*), min(n), max(n) FROM ledger").unwrap();
    assert_eq!(held, format!("{rows}|1|{rows}"), "exactly what was committed up to a moment");
    let old = credentials["DATABASE_URL"].replace(&credentials["PGPASSWORD"], &source["PGPASSWORD"]);
    assert!(sql(&server, &old, "SELECT 1").unwrap_err().contains("authentication failed"));
    sql(&server, &credentials["DATABASE_URL"], "INSERT INTO ledger VALUES (0)").unwrap();

    ask(&client, "deleteBackup", &made).await;
    eventually("the backup to be gone", async || backup(&client, &made).await.is_null().then_some(())).await;
    assert_eq!(bucket.objects(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_comes_back_from_a_directory_in_either_version() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    for version in ["6", "7"] {
        let id = running(&client, "REDIS", version).await;
        let url = client.reveal(&id).await["REDIS_URL"].clone();
        redis(&server, version, &url, &["EVAL", FILL, "0"]);
        redis(&server, version, &url, &["SET", "kept", "yes", "EX", "5000"]);
        redis(&server, version, &url, &["-n", "3", "RPUSH", "list", "a", "b"]);
        let made = back_up(&client, &id).await;
        backup_in(&client, &made, "AVAILABLE").await;
        redis(&server, version, &url, &["SET", "later", "no"]);
        ask(&client, "verifyBackup", &made).await;
        let verified = backup_in(&client, &made, "VERIFIED").await;
        assert_eq!((fact(&verified, "keys"), fact(&verified, "keys of db3")), (Some("20002"), Some("1")));

        let back = restored(&client, &made, &format!("back-{version}")).await;
        let url = client.reveal(&back).await["REDIS_URL"].clone();
        assert_eq!(redis(&server, version, &url, &["GET", "kept"]), "yes");
        assert_eq!(redis(&server, version, &url, &["EXISTS", "later"]), "0");
        assert_eq!(redis(&server, version, &url, &["-n", "3", "LRANGE", "list", "0", "-1"]), "a\nb");
        redis(&server, version, &url, &["SET", "new", "data"]);
        client.act("restartService", &back).await;
        client.settled(&back, "RUNNING").await;
        assert_eq!(redis(&server, version, &url, &["MGET", "new", "kept"]), "data\nyes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_on_the_way_nothing_is_lost_nothing_is_shown_by_half_and_nothing_is_left() {
    let bucket = Bucket::start();
    let mut server = server(&bucket).await;
    let client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "17").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    sql(&server, &url, "CREATE TABLE t AS SELECT g, md5(g::text) FROM generate_series(1, 50000) g").unwrap();
    // At whatever it is then: later each time.
    let mut kill = async |after: u64| {
        tokio::time::sleep(std::time::Duration::from_millis(after)).await;
        server.kill();
        server.restart().await;
        Client::new(&server)
    };
    let made = back_up(&client, &id).await;
    let mut client = client;
    for after in [30, 200, 500, 900] {
        client = kill(after).await;
    }
    backup_in(&client, &made, "AVAILABLE").await;
    assert_eq!(bucket.objects().len(), 2);
    ask(&client, "verifyBackup", &made).await;
    for after in [100, 700, 1500, 2500] {
        client = kill(after).await;
    }
    backup_in(&client, &made, "VERIFIED").await;
    let answer = restore(&client, &made, "back").await;
    let back = answer["data"]["restoreService"]["service"]["id"].as_str().unwrap().to_owned();
    for after in [100, 700, 1500, 2500] {
        client = kill(after).await;
        let seen = client.service(&back).await;
        assert!(seen["state"] != "RUNNING" || seen["operation"].is_null(), "{seen}");
    }
    client.settled(&back, "RUNNING").await;
    let url = client.reveal(&back).await["DATABASE_URL"].clone();
    assert_eq!(sql(&server, &url, "SELECT count(*) FROM t").unwrap(), "50000");
    eventually("what it was checked with to be gone", async || (things(&server) == (2, 2)).then_some(())).await;
    assert_eq!(owned(&server.test).len(), 5, "two containers, two volumes and a network");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_altered_is_refused_and_a_store_that_is_away_is_waited_for() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = running(&client, "REDIS", "7").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    redis(&server, "7", &url, &["EVAL", FILL, "0"]);
    let made = back_up(&client, &id).await;
    let kept = backup_in(&client, &made, "AVAILABLE").await;
    let name = format!("{}.zst.sealed", kept["location"].as_str().unwrap());
    let content = server.directory().join("backups").join(name);
    let whole = std::fs::read(&content).unwrap();

    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    for (damaged, what) in [(altered.as_slice(), "altered"), (&whole[..whole.len() - 20], "truncated")] {
        std::fs::write(&content, damaged).unwrap();
        ask(&client, "verifyBackup", &made).await;
        let failed = backup_in(&client, &made, "FAILED").await;
        assert_eq!(failed["error"]["code"], "DAMAGED", "{what}: {failed}");
        let refused = restore(&client, &made, "never").await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "CONFLICT", "{refused}");
    }
    std::fs::write(&content, &whole).unwrap();
    ask(&client, "verifyBackup", &made).await;
    backup_in(&client, &made, "VERIFIED").await;
    std::fs::write(&content, &altered).unwrap();
    let answer = restore(&client, &made, "damaged").await;
    let back = answer["data"]["restoreService"]["service"]["id"].as_str().unwrap().to_owned();
    let service = client.settled(&back, "ERROR").await;
    assert_eq!(service["error"]["code"], "RESTORE_FAILED", "{service}");
    client.act("startService", &back).await;
    client.settled(&back, "ERROR").await;
    client.act("destroyService", &back).await;
    client.settled(&back, "DESTROYED").await;

    let mut bucket = Bucket::start();
    for (key, value) in in_bucket(&bucket) {
        server.set(key, value);
    }
    server.restart().await;
    let client = Client::new(&server);
    bucket.away();
    let late = back_up(&client, &id).await;
    eventually("it to wait", async || {
        let waits = backup(&client, &late).await;
        (waits["error"]["code"] == "STORE_UNAVAILABLE").then_some(())
    })
    .await;
    ask(&client, "deleteBackup", &late).await;
    eventually("it to wait", async || {
        let waits = backup(&client, &late).await;
        (waits["state"] == "DELETING" && !waits["error"].is_null()).then_some(())
    })
    .await;
    assert_eq!(client.service(&id).await["state"], "RUNNING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_keys_is_one_of_backups_as_well() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = running(&client, "REDIS", "7").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    redis(&server, "7", &url, &["SET", "kept", "yes"]);
    let made = back_up(&client, &id).await;
    let kept = backup_in(&client, &made, "AVAILABLE").await;
    let new_key = "new:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    server.set("ENCRYPTION_KEYS", &format!("{new_key},{OLD_KEY}"));
    server.restart().await;
    let manifest = server.directory().join("backups").join(format!("{}.json", kept["location"].as_str().unwrap()));
    let told: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    let image = told["manifest"]["image"].as_str().unwrap();
    assert!(inspect(&id)["Image"] == image || image.contains("@sha256:"), "what it runs: {image}");
    let damaged = manifest.with_file_name("damaged.json");
    std::fs::write(&damaged, std::fs::read_to_string(&manifest).unwrap().replace("e2e", "e3e")).unwrap();
    let rotate = |ends_well: bool| {
        let output = server.command(&["rotate-keys"]);
        assert_eq!(output.status.success(), ends_well, "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (said, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (said, log) = rotate(false);
    assert!(said.contains(" manifests of backups resealed with new, 1 unreadable"), "{said}");
    assert!(log.contains("/damaged.json"), "{log}");
    std::fs::remove_file(damaged).unwrap();
    assert!(rotate(true).0.contains("\n0 manifests of backups resealed with new, 0 unreadable"));

    server.set("ENCRYPTION_KEYS", new_key);
    server.restart().await;
    let client = Client::new(&server);
    ask(&client, "verifyBackup", &made).await;
    backup_in(&client, &made, "VERIFIED").await;
}
