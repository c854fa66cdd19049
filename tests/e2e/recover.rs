//! A machine is lost, and with it everything but where its backups are and the keys.

use std::fs;
use std::path::{Path, PathBuf};

use diesel::Connection as _;
use diesel_migrations::{FileBasedMigrations, MigrationHarness as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::point_in_time::{into_new, keep, reaches};
use crate::support::client::Client;
use crate::support::docker::{engine_socket, owned, preview, remove_owned};
use crate::support::eventually;
use crate::support::server::{OLD_KEY, Server};

const OTHER_KEY: &str = "new:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

/// A server that keeps its backups apart from its data, and its own database every second.
async fn server() -> (Server, TempDir) {
    let store = tempfile::tempdir().unwrap();
    let kept = store.path().display().to_string();
    (Server::start(&[("BACKUP_STORE", &kept), ("DATABASE_BACKUP_INTERVAL", "1")]).await, store)
}

async fn running(client: &Client, kind: &str, version: &str, name: &str) -> String {
    let input = json!({"projectId": client.project, "kind": kind, "version": version, "name": name});
    let id = client.provision_with(input).await["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    id
}

async fn back_up(client: &Client, id: &str) -> Value {
    let mutation = "mutation($id: ID!) { createBackup(input: {id: $id}) { backup { id } } }";
    let data = client.data(mutation, json!({"id": id})).await;
    let backup = data["createBackup"]["backup"]["id"].clone();
    eventually("the backup to be whole", async || {
        let data = client.data("query($id: ID!) { backup(id: $id) { state } }", json!({"id": backup})).await;
        (data["backup"]["state"] == "AVAILABLE").then_some(())
    })
    .await;
    backup
}

async fn verify(client: &Client, backup: &Value) {
    let mutation = "mutation($id: ID!) { verifyBackup(input: {backupId: $id}) { backup { id } } }";
    client.data(mutation, json!({"id": backup})).await;
    eventually("the backup to be verified", async || {
        let data = client.data("query($id: ID!) { backup(id: $id) { state } }", json!({"id": backup})).await;
        (data["backup"]["state"] == "VERIFIED").then_some(())
    })
    .await;
}

fn sql(server: &Server, url: &str, statements: &str) -> String {
    let command = ["psql", url, "-qtA", "-v", "ON_ERROR_STOP=1", "-c", statements];
    preview(&server.test, &server.network(), "postgres:17", &command).unwrap()
}

fn redis(server: &Server, url: &str, words: &[&str]) -> String {
    let command = [&["redis-cli", "--no-auth-warning", "-u", url], words].concat();
    preview(&server.test, &server.network(), "redis:7", &command).unwrap()
}

/// The manifests of the database's snapshots, the oldest first.
fn snapshots(store: &Path) -> Vec<PathBuf> {
    let Ok(folders) = fs::read_dir(store.join("sidecar")) else { return Vec::new() };
    let entries = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    found.sort();
    found
}

/// Waits for a snapshot of what is the case by now.
async fn kept_by_now(store: &Path) {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    eventually("a snapshot of the database", async || {
        let newest = snapshots(store).pop()?;
        (newest.file_name().unwrap().to_str().unwrap() > format!("{now}~").as_str()).then_some(())
    })
    .await;
}

/// The machine goes, with all that was on it.
fn lose(server: &mut Server) {
    server.kill();
    remove_owned(&server.test);
    assert_eq!(owned(&server.test), Vec::<String>::new());
    for entry in fs::read_dir(server.directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.extension().is_none_or(|extension| extension != "log") {
            fs::remove_file(path).unwrap();
        }
    }
}

fn database(server: &Server) -> PathBuf {
    server.directory().join("project-services.db")
}

/// How it ended, what it said, and what it complained of.
fn recover(server: &Server, store: &Path, arguments: &[&str]) -> (bool, String, String) {
    let output = server.command(&[&["recover", "--from", store.to_str().unwrap()], arguments].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

async fn messages(client: &Client, id: &str) -> Vec<String> {
    let query = "query($id: ID!) { service(id: $id) { events(last: 50) { nodes { message } } } }";
    let data = client.data(query, json!({"id": id})).await;
    let nodes = data["service"]["events"]["nodes"].as_array().unwrap().clone();
    nodes.iter().map(|node| node["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_machine_comes_back_with_what_it_knew_and_what_its_services_held() {
    let (mut server, store) = server().await;
    let store = store.path();
    let client = Client::new(&server);
    let postgresql = running(&client, "POSTGRESQL", "17", "shop-db").await;
    let cache = running(&client, "REDIS", "7", "cache").await;
    let unbacked = running(&client, "REDIS", "7", "unbacked").await;
    let before = [client.reveal(&postgresql).await, client.reveal(&cache).await];
    let names =
        [client.service(&postgresql).await["hostname"].clone(), client.service(&cache).await["hostname"].clone()];
    sql(&server, &before[0]["DATABASE_URL"], "CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g");
    redis(&server, &before[1]["REDIS_URL"], &["SET", "kept", "yes"]);
    back_up(&client, &postgresql).await;
    back_up(&client, &cache).await;
    kept_by_now(store).await;
    lose(&mut server);

    let (well, said, complaint) = recover(&server, store, &[]);
    assert!(well, "{complaint}");
    for expected in ["Snapshots of the server's database: ", "shop-db  POSTGRESQL 17", "cache  REDIS 7", "opens;"] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    server.set("ENCRYPTION_KEYS", OTHER_KEY);
    let (well, _, complaint) = recover(&server, store, &["--yes"]);
    assert!(!well && complaint.contains("no key with the id \"old\""), "{complaint}");
    server.set("ENCRYPTION_KEYS", OLD_KEY);
    server.set("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let (well, _, complaint) = recover(&server, store, &["--yes"]);
    assert!(!well && complaint.contains("what is on the engine can't be told"), "{complaint}");
    server.set("DOCKER_HOST", &format!("unix://{}", engine_socket()));
    assert!(!database(&server).exists(), "nothing was written");

    for known in ["The database is the snapshot of ", "The database was there, and is kept."] {
        let (well, said, complaint) = recover(&server, store, &["--yes"]);
        assert!(!well && complaint.contains("services that are not recovered: 1;"), "{complaint}");
        assert!(said.contains(known), "{said}");
        assert_eq!(said.matches("will be restored from its backup").count(), 2, "{said}");
        let lost = said.lines().find(|line| line.contains("CAN'T BE RECOVERED")).unwrap();
        assert!(lost.contains(&unbacked), "{said}");
    }

    server.restart().await;
    let client = Client::new(&server);
    for id in [&postgresql, &cache] {
        client.settled(id, "RUNNING").await;
    }
    assert_eq!([client.reveal(&postgresql).await, client.reveal(&cache).await], before, "the old passwords");
    let now = [client.service(&postgresql).await["hostname"].clone(), client.service(&cache).await["hostname"].clone()];
    assert_eq!(now, names);
    assert_eq!(sql(&server, &before[0]["DATABASE_URL"], "SELECT count(*) FROM t"), "1000");
    assert_eq!(redis(&server, &before[1]["REDIS_URL"], &["GET", "kept"]), "yes");
    let told = messages(&client, &postgresql).await;
    assert!(told.iter().any(|message| message.contains("was accepted")), "the log of before: {told:?}");
    assert!(told.iter().any(|message| message.contains("was lost with its machine")), "{told:?}");
    assert_eq!(client.settled(&unbacked, "ERROR").await["error"]["code"], "VOLUME_LOST");

    let (well, _, complaint) = recover(&server, store, &["--yes"]);
    assert!(!well && complaint.contains("a server works on this database"), "{complaint}");
    assert_eq!(client.service(&cache).await["state"], "RUNNING");
    assert!(server.terminate().await.success());
    let (_, said, _) = recover(&server, store, &["--yes"]);
    assert_eq!(said.matches("its volume is here; it is left alone").count(), 2, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_of_a_log_beyond_the_newest_backup_comes_back_with_or_without_the_database() {
    let (mut server, store) = server().await;
    let store = store.path();
    let client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "17", "shop-db").await;
    let before = client.reveal(&id).await;
    let url = &before["DATABASE_URL"];
    sql(&server, url, "CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g");
    keep(&client, &id, true).await;
    reaches(&client, &id, Timestamp::UNIX_EPOCH).await;
    kept_by_now(store).await;
    // What is written from here on is in the log alone, of which the database that comes back does not know.
    let aside = tempfile::tempdir().unwrap();
    fs::rename(store.join("sidecar"), aside.path().join("sidecar")).unwrap();
    sql(&server, url, "INSERT INTO t SELECT g FROM generate_series(1001, 1500) g");
    reaches(&client, &id, Timestamp::now()).await;
    lose(&mut server);
    let _ = fs::remove_dir_all(store.join("sidecar"));
    let rows = |server: &Server| sql(server, url, "SELECT count(*) FROM t");

    let (_, listed, _) = recover(&server, store, &[]);
    assert!(listed.contains("what was written after that is kept, up to "), "{listed}");
    for with_database in [false, true] {
        if with_database {
            fs::rename(aside.path().join("sidecar"), store.join("sidecar")).unwrap();
        }
        let (well, said, complaint) = recover(&server, store, &["--yes", "--backup-only"]);
        assert!(well && said.contains("will be restored from its backup of "), "{said} {complaint}");
        let (well, said, complaint) = recover(&server, store, &["--yes"]);
        assert!(well && said.contains("will be restored to what it was at "), "{said} {complaint}");
        assert_eq!(recover(&server, store, &["--yes"]).1.matches("will be restored to what it was at ").count(), 1);
        server.restart().await;
        let client = Client::new(&server);
        client.settled(&id, "RUNNING").await;
        assert_eq!(rows(&server), "1500", "with the database: {with_database}");
        if !with_database {
            // As if it had never been brought back.
            let sidecar = store.join("sidecar");
            eventually("a snapshot", async || sidecar.exists().then_some(())).await;
            lose(&mut server);
            fs::remove_dir_all(&sidecar).unwrap();
        }
    }

    // What it writes now is another log, which is kept as the one before was.
    let client = Client::new(&server);
    sql(&server, url, "INSERT INTO t VALUES (0)");
    let seen = reaches(&client, &id, Timestamp::now()).await;
    assert_eq!(seen.gaps.len(), 1, "{seen:?}");
    let again = into_new(&client, &id, seen.latest, "again").await;
    client.settled(&again, "RUNNING").await;
    let held = sql(&server, &client.reveal(&again).await["DATABASE_URL"], "SELECT count(*) FROM t");
    assert_eq!(held, "1501");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_made_between_two_snapshots_by_schedule_is_known_soon() {
    let store = tempfile::tempdir().unwrap();
    let kept = store.path().display().to_string();
    let settings = [("BACKUP_STORE", kept.as_str()), ("DATABASE_BACKUP_INTERVAL", "180")];
    let mut server = Server::start(&settings).await;
    let store = store.path();
    eventually("the first snapshot", async || (!snapshots(store).is_empty()).then_some(())).await;
    let client = Client::new(&server);
    let id = running(&client, "REDIS", "7", "unbacked").await;
    let query = "query($id: ID!) { service(id: $id) { events(last: 1) { nodes { occurredAt } } } }";
    let ran = client.data(query, json!({"id": id})).await["service"]["events"]["nodes"][0]["occurredAt"].clone();
    let ran: Timestamp = ran.as_str().unwrap().parse().unwrap();
    let newest = || serde_json::from_slice::<Value>(&fs::read(snapshots(store).pop()?).ok()?).ok();
    let reason = eventually("a snapshot from since it ran", async || {
        let manifest = &newest()?["manifest"];
        let taken: Timestamp = manifest["taken_at"].as_str().unwrap().parse().unwrap();
        (taken > ran).then(|| manifest["reason"].clone())
    })
    .await;
    assert_eq!(reason, "CHANGED", "none was due");
    lose(&mut server);
    let (well, said, _) = recover(&server, store, &["--yes"]);
    let lost = said.lines().find(|line| line.contains("CAN'T BE RECOVERED")).unwrap_or_default();
    assert!(!well && lost.contains(&id), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_come_back_by_their_backups_alone() {
    let (mut server, store) = server().await;
    let store = store.path();
    let client = Client::new(&server);
    let destroyed = running(&client, "REDIS", "7", "cache").await;
    back_up(&client, &destroyed).await;
    client.act("destroyService", &destroyed).await;
    client.settled(&destroyed, "DESTROYED").await;
    let cache = running(&client, "REDIS", "7", "cache").await;
    let postgresql = running(&client, "POSTGRESQL", "16", "shop-db").await;
    let before = [client.reveal(&postgresql).await, client.reveal(&cache).await];
    let names =
        [client.service(&postgresql).await["hostname"].clone(), client.service(&cache).await["hostname"].clone()];
    sql(&server, &before[0]["DATABASE_URL"], "CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g");
    back_up(&client, &postgresql).await;
    sql(&server, &before[0]["DATABASE_URL"], "INSERT INTO t VALUES (0)");
    back_up(&client, &postgresql).await;
    redis(&server, &before[1]["REDIS_URL"], &["SET", "kept", "yes"]);
    verify(&client, &back_up(&client, &cache).await).await;
    lose(&mut server);
    fs::remove_dir_all(store.join("sidecar")).unwrap();

    let (_, listed, _) = recover(&server, store, &[]);
    let count = |told: &str| listed.matches(told).count();
    assert_eq!((count("opens; verified 2"), count("opens; not known to be verified")), (1, 2), "{listed}");
    let (well, said, complaint) = recover(&server, store, &["--yes"]);
    assert!(well, "{said} {complaint}");
    for expected in ["The database is a new one.", "only by manifests: services 3, backups 4."] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    let (well, said, complaint) = recover(&server, store, &["--yes"]);
    assert!(well && said.contains("only by manifests: services 0, backups 0."), "{said} {complaint}");

    server.restart().await;
    let client = Client::new(&server);
    for id in [&postgresql, &cache] {
        client.settled(id, "RUNNING").await;
    }
    assert_eq!([client.reveal(&postgresql).await, client.reveal(&cache).await], before, "the old passwords");
    let now = [client.service(&postgresql).await["hostname"].clone(), client.service(&cache).await["hostname"].clone()];
    assert_eq!(now, names);
    assert_eq!(sql(&server, &before[0]["DATABASE_URL"], "SELECT count(*) FROM t"), "1001");
    assert_eq!(redis(&server, &before[1]["REDIS_URL"], &["GET", "kept"]), "yes");
    assert_eq!(client.service(&destroyed).await["state"], "DESTROYED");
    let backups = "query($id: ID!) { service(id: $id) { backups { nodes { state } } } }";
    let kept = client.data(backups, json!({"id": destroyed})).await;
    assert_eq!(kept["service"]["backups"]["nodes"], json!([{"state": "AVAILABLE"}]), "and can be restored from");
    let backups =
        "query($id: ID!) { service(id: $id) { backups { nodes { state verification { facts { name value } } } } } }";
    let kept = client.data(backups, json!({"id": cache})).await["service"]["backups"]["nodes"].clone();
    assert_eq!(kept[0]["state"], "VERIFIED");
    assert!(
        kept[0]["verification"]["facts"].as_array().unwrap().contains(&json!({"name": "keys", "value": "1"})),
        "{kept}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_damaged_gives_way_to_the_one_before() {
    let (mut server, store) = server().await;
    let store = store.path();
    eventually("some snapshots", async || (snapshots(store).len() >= 3).then_some(())).await;
    lose(&mut server);
    let manifests = snapshots(store);
    let content = |back: usize| {
        let manifest = &manifests[manifests.len() - back];
        let name = manifest.file_name().unwrap().to_str().unwrap().replace(".json", ".zst.sealed");
        manifest.with_file_name(name)
    };
    let taken = |back: usize| {
        let document: Value =
            serde_json::from_str(&fs::read_to_string(&manifests[manifests.len() - back]).unwrap()).unwrap();
        let at: Timestamp = document["manifest"]["taken_at"].as_str().unwrap().parse().unwrap();
        format!("The database is the snapshot of {at:.0}.")
    };
    let newest = fs::read(content(1)).unwrap();
    fs::write(content(1), &newest[..newest.len() / 2]).unwrap();
    let mut altered = fs::read(content(2)).unwrap();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    fs::write(content(2), &altered).unwrap();
    let third = fs::read(content(3)).unwrap();
    for back in 3..=manifests.len() {
        fs::write(content(back), "").unwrap();
    }
    let (well, _, complaint) = recover(&server, store, &["--yes"]);
    assert!(!well && complaint.contains("no snapshot of the server's database can be used"), "{complaint}");
    assert!(!database(&server).exists());
    fs::write(content(3), third).unwrap();
    let (well, said, complaint) = recover(&server, store, &["--yes"]);
    assert!(well && said.contains(&taken(3)), "{said} {complaint}");
    assert_eq!(said.lines().filter(|line| line.starts_with("Not used: sidecar/")).count(), 2, "{said}");
    server.restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_kept_before_its_tables_are_changed() {
    let (mut server, store) = server().await;
    let store = store.path();
    let revert = |server: &Server| {
        let mut connection = diesel::SqliteConnection::establish(database(server).to_str().unwrap()).unwrap();
        connection.revert_last_migration(FileBasedMigrations::from_path("migrations/sqlite").unwrap()).unwrap();
    };
    let reasons = || {
        let texts = snapshots(store).into_iter().map(|path| fs::read_to_string(path).unwrap());
        texts.filter(|text| text.contains("\"BEFORE_MIGRATION\"")).count()
    };
    let beside = |server: &Server| server.directory().join("project-services.db.before-migration");
    kept_by_now(store).await;
    server.kill();
    revert(&server);
    server.restart().await;
    assert_eq!((reasons(), beside(&server).exists()), (1, false));

    server.kill();
    revert(&server);
    for (key, value) in [("BACKUP_STORE", "s3://bucket/none"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")] {
        server.set(key, value);
    }
    for (key, value) in
        [("AWS_ALLOW_HTTP", "true"), ("AWS_REGION", "x"), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")]
    {
        server.set(key, value);
    }
    server.restart().await;
    assert!(beside(&server).exists());
    assert!(server.log().contains("is kept beside its place as it was before"), "and a warning says so");
    eventually("a warning of the store that is away", async || {
        server.log().contains("own database could not be backed up").then_some(())
    })
    .await;
}
