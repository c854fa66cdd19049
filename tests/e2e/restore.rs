//! A service is restored in place, and goes back.

use serde_json::{Value, json};

use crate::backups::{back_up, backup_in, redis, running, sql, things};
use crate::support::client::Client;
use crate::support::docker::{docker, owned};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::server::Server;
use crate::upgrade::{phase, refusal, revert, upgrade, versions};

async fn restore(client: &Client, backup: &str) -> Value {
    let mutation = "mutation($id: ID!) { restoreService(input: {backupId: $id, into: {inPlace: true}}) {
        service { id state operation { kind } } event { message } } }";
    client.execute(mutation, json!({"id": backup})).await
}

/// Waits until it runs, with nothing amiss.
async fn well(client: &Client, id: &str) -> Value {
    let service = client.settled(id, "RUNNING").await;
    assert!(service["error"].is_null(), "{service}");
    service
}

async fn kept(client: &Client, id: &str) -> String {
    let made = back_up(client, id).await;
    backup_in(client, &made, "AVAILABLE").await;
    made
}

/// The messages of the log since a cursor, until one has `text`.
pub async fn told(client: &Client, since: &str, text: &str) -> String {
    let mut events = client.events(Some(since)).await;
    loop {
        let message = events.next().await.unwrap()["message"].as_str().unwrap().to_owned();
        if message.contains(text) {
            return message;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_is_what_it_was_at_its_backup_and_goes_back_and_comes_back_when_its_volume_is_lost() {
    let mut server = Server::start(&[("PUBLISH_ADDRESS", "127.0.0.1"), ("RECONCILE_INTERVAL", "1")]).await;
    let client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "17").await;
    let first = client.reveal(&id).await["DATABASE_URL"].clone();
    sql(&server, &first, "CREATE TABLE t AS SELECT g AS n, md5(g::text) AS words FROM generate_series(1, 1000) g")
        .unwrap();
    let made = kept(&client, &id).await;
    // A password that the backup does not know.
    client.act("rotateCredentials", &id).await;
    let before = well(&client, &id).await;
    let credentials = client.reveal(&id).await;
    let url = &credentials["DATABASE_URL"];
    assert_ne!(*url, first);
    sql(&server, url, "INSERT INTO t SELECT g FROM generate_series(1001, 1500) g").unwrap();

    let since = client.cursor().await;
    let mut events = client.events(Some(&since)).await;
    let asked = restore(&client, &made).await["data"]["restoreService"].take();
    assert_eq!((&asked["service"]["id"], &asked["service"]["state"]), (&json!(id), &json!("RUNNING")), "{asked}");
    assert!(restore(&client, &made).await["data"]["restoreService"]["event"].is_null());
    assert!(phase(&mut events, "RESTORING").await);
    sql(&server, url, "INSERT INTO t VALUES (1501)").unwrap();
    let after = well(&client, &id).await;
    for same in ["version", "hostname", "port", "externalHost", "externalPort"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(client.reveal(&id).await, credentials);
    assert_eq!(sql(&server, url, "SELECT count(*), max(n) FROM t").unwrap(), "1000|1000");
    assert!(sql(&server, &first, "SELECT 1").unwrap_err().contains("authentication failed"), "a password of then");
    let message = told(&client, &since, " has the data of its backup of ").await;
    assert!(message.contains("What it was until now is kept until "), "{message}");
    assert_eq!((things(&server), &versions(&client, &id).await["replaced"]["version"]), ((1, 2), &json!("17")));
    sql(&server, url, "INSERT INTO t VALUES (2000)").unwrap();

    let answer = revert(&client, &id).await;
    let message = answer["data"]["revertService"]["event"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(message.starts_with("postgresql goes back to what it was and the data that it had then; "), "{message}");
    well(&client, &id).await;
    assert_eq!(sql(&server, url, "SELECT count(*), max(n) FROM t").unwrap(), "1501|1501");
    sql(&server, url, "INSERT INTO t VALUES (1502)").unwrap();
    assert_eq!(things(&server), (1, 2));

    server.kill();
    docker(&["rm", "-f", &id]);
    docker(&["volume", "rm", &id]);
    server.restart().await;
    let client = Client::new(&server);
    let lost = client.settled(&id, "ERROR").await;
    assert_eq!(lost["error"]["code"], "VOLUME_LOST", "{lost}");
    let since = client.cursor().await;
    let asked = restore(&client, &made).await["data"]["restoreService"].take();
    assert_eq!(asked["service"]["operation"]["kind"], "RESTORE", "{asked}");
    well(&client, &id).await;
    assert_eq!(sql(&server, url, "SELECT count(*), max(n) FROM t").unwrap(), "1000|1000");
    let message = told(&client, &since, " has the data of its backup of ").await;
    assert!(message.ends_with("Of what it was nothing is there to keep."), "{message}");
    // What was kept before is still there to go back to.
    assert!(revert(&client, &id).await["errors"].is_null());
    well(&client, &id).await;
    assert_eq!(sql(&server, url, "SELECT count(*), max(n) FROM t").unwrap(), "1001|2000");

    client.act("destroyService", &id).await;
    client.settled(&id, "DESTROYED").await;
    assert_eq!(owned(&server.test), [] as [String; 0]);
    let (code, field, _) = refusal(&restore(&client, &made).await);
    assert_eq!((code.as_str(), field.as_str()), ("CONFLICT", "into"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_server_is_killed_it_is_as_it_was_or_restored() {
    let proxy = Proxy::start();
    let mut server = Server::start(&[("DOCKER_HOST", &proxy.host())]).await;
    let mut client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "16").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    sql(&server, &url, "CREATE TABLE t AS SELECT g AS n, md5(g::text) AS words FROM generate_series(1, 20000) g")
        .unwrap();
    let made = kept(&client, &id).await;
    sql(&server, &url, "INSERT INTO t SELECT g FROM generate_series(20001, 20100) g").unwrap();
    let rows = |server: &Server| sql(server, &url, "SELECT count(*) FROM t");

    // A stop ends it, and one that is stopped is not restored.
    let mut events = client.events(None).await;
    assert!(restore(&client, &made).await["errors"].is_null());
    assert!(phase(&mut events, "RESTORING").await);
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    eventually("what was made for it to go", async || (things(&server) == (1, 1)).then_some(())).await;
    assert_eq!(refusal(&restore(&client, &made).await).0, "INVALID_STATE");
    client.act("startService", &id).await;
    well(&client, &id).await;
    assert_eq!(rows(&server).unwrap(), "20100");

    // Its volume would be made, its container, it would be filled, and what runs the service shut down and removed.
    let own = format!("/containers/{id}");
    let moments = [
        ("POST ", "/volumes/create"),
        ("POST ", "/containers/create?"),
        ("POST ", "/exec"),
        ("POST ", &format!("{own}/stop")),
        ("DELETE ", &own),
    ];
    assert!(restore(&client, &made).await["errors"].is_null());
    let mut since = client.cursor().await;
    for (method, part) in moments {
        server.kill();
        let (own, part) = (own.clone(), part.to_owned());
        let caught = proxy.catch(move |request| {
            let is_probe = part == "/exec" && request.contains(&own);
            request.starts_with(method) && request.contains(&part) && !is_probe
        });
        server.restart().await;
        client = Client::new(&server);
        caught.await.unwrap();
        since = client.cursor().await;
        assert!(versions(&client, &id).await["replaced"].is_null(), "{method}");
        if let Ok(rows) = rows(&server) {
            assert_eq!(rows, "20100", "{method}");
        }
    }
    server.kill();
    server.restart().await;
    client = Client::new(&server);
    assert!(phase(&mut client.events(Some(&since)).await, "CREATING_CONTAINER").await);
    server.kill();
    server.restart().await;
    client = Client::new(&server);
    assert!(versions(&client, &id).await["replaced"].is_object());
    well(&client, &id).await;
    assert_eq!((rows(&server).unwrap().as_str(), things(&server)), ("20000", (1, 2)));
    assert_eq!(owned(&server.test).len(), 4, "a container, two volumes and a network");
    assert!(revert(&client, &id).await["errors"].is_null());
    well(&client, &id).await;
    assert_eq!((rows(&server).unwrap().as_str(), things(&server)), ("20100", (1, 2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_is_of_the_version_of_its_backup_again_and_what_can_not_be_restored_changes_nothing() {
    let mut server = Server::start(&[("RECONCILE_INTERVAL", "1")]).await;
    let client = Client::new(&server);
    let id = running(&client, "REDIS", "6").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    let get = |server: &Server, key: &str| redis(server, "7", &url, &["GET", key]);
    redis(&server, "7", &url, &["SET", "kept", "yes"]);
    let made = kept(&client, &id).await;
    assert!(upgrade(&client, &id, "7").await["errors"].is_null());
    assert_eq!(well(&client, &id).await["version"], "7");
    redis(&server, "7", &url, &["SET", "later", "yes"]);

    let query = "query($id: ID!) { backup(id: $id) { location } }";
    let location = client.data(query, json!({"id": made})).await["backup"]["location"].as_str().unwrap().to_owned();
    let content = server.directory().join("backups").join(format!("{location}.zst.sealed"));
    let whole = std::fs::read(&content).unwrap();
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    std::fs::write(&content, &altered).unwrap();
    assert!(restore(&client, &made).await["errors"].is_null());
    let failed = eventually("it to fail", async || {
        let service = client.service(&id).await;
        service["error"]["code"].is_string().then_some(service)
    })
    .await;
    let shown = (&failed["state"], &failed["error"]["code"], &failed["version"]);
    assert_eq!(shown, (&json!("RUNNING"), &json!("RESTORE_FAILED"), &json!("7")));
    assert_eq!(
        (get(&server, "kept"), get(&server, "later"), things(&server)),
        ("yes".to_owned(), "yes".to_owned(), (1, 2))
    );

    std::fs::write(&content, &whole).unwrap();
    let since = client.cursor().await;
    assert!(restore(&client, &made).await["errors"].is_null());
    assert_eq!(well(&client, &id).await["version"], "6");
    assert_eq!((get(&server, "kept"), get(&server, "later")), ("yes".to_owned(), String::new()));
    let message = told(&client, &since, " has the data of its backup of ").await;
    assert!(message.contains("It is of the backup's version 6 again, and was of 7."), "{message}");
    // Each that it was is there to go back to, one after the other, and then from the last again.
    redis(&server, "7", &url, &["SET", "restored", "yes"]);
    for (version, later, restored) in [("7", "yes", ""), ("6", "", ""), ("6", "", "yes"), ("7", "yes", "")] {
        assert_eq!(things(&server), (1, 3));
        assert!(revert(&client, &id).await["errors"].is_null());
        assert_eq!(well(&client, &id).await["version"], version);
        let held = ["kept", "later", "restored"].map(|key| get(&server, key));
        assert_eq!(held, ["yes", later, restored], "{version}");
    }

    // In ERROR it is that again where it can't be restored.
    let container = docker(&["ps", "-aq", "--filter", &format!("label=dev.project-services.service={id}")]);
    let volume = docker(&["inspect", "--format", "{{range .Mounts}}{{.Name}}{{end}}", container.trim()]);
    server.kill();
    docker(&["rm", "-f", container.trim()]);
    docker(&["volume", "rm", volume.trim()]);
    server.restart().await;
    let client = Client::new(&server);
    client.settled(&id, "ERROR").await;
    std::fs::write(&content, &altered).unwrap();
    let since = client.cursor().await;
    assert!(restore(&client, &made).await["errors"].is_null());
    let message = told(&client, &since, " could not be restored").await;
    assert!(message.starts_with("redis is in error: It could not be restored, and is what it was: "), "{message}");
    let lost = client.settled(&id, "ERROR").await;
    assert!(matches!(lost["error"]["code"].as_str(), Some("VOLUME_LOST" | "RESTORE_FAILED")), "{lost}");
    std::fs::write(&content, &whole).unwrap();
    assert!(restore(&client, &made).await["errors"].is_null());
    assert_eq!(well(&client, &id).await["version"], "6");
    assert_eq!(get(&server, "kept"), "yes");
}
