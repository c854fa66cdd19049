//! Where no secret may ever stand.

use std::fs;

use serde_json::json;

use crate::support::client::Client;
use crate::support::docker::docker;
use crate::support::server::{OLD_KEY, Server};

/// The command lines of all processes of the machine, containers included.
fn command_lines() -> String {
    let read = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).ok();
    let bytes: Vec<u8> = fs::read_dir("/proc").unwrap().flatten().filter_map(read).flatten().collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The database with its write-ahead log.
fn database(server: &Server) -> String {
    let files = fs::read_dir(server.directory()).unwrap().flatten();
    let database = files.filter(|file| file.file_name().to_string_lossy().contains(".db"));
    let bytes: Vec<u8> = database.flat_map(|file| fs::read(file.path()).unwrap()).collect();
    assert!(!bytes.is_empty());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_told_by_reveal_and_by_nothing_else() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let mut ids = Vec::new();
    let mut secrets = vec![OLD_KEY.split_once(':').unwrap().1.to_owned()];
    for (kind, version, key) in [("POSTGRESQL", "17", "PGPASSWORD"), ("REDIS", "7", "REDIS_PASSWORD")] {
        let service = client.provision(kind, version).await;
        let id = service["id"].as_str().unwrap().to_owned();
        client.settled(&id, "RUNNING").await;
        let password = client.reveal(&id).await[key].clone();
        assert!(password.len() >= 32);
        secrets.push(password);
        ids.push(id);
    }
    let query = "query($project: ID!) { services(projectId: $project) { nodes {
        credentials { key value } events(first: 100) { nodes { message actor } } error { message } } } }";
    let shown = client.data(query, json!({"project": client.project})).await.to_string();
    assert!(shown.contains("were revealed"), "a reveal is an event");

    let mut places = vec![
        ("the API", shown),
        ("the server's log", server.log()),
        ("the database", database(&server)),
        ("the process list", command_lines()),
    ];
    for id in &ids {
        places.push(("docker inspect", docker(&["inspect", id])));
        places.push(("the volume's labels", docker(&["volume", "inspect", id])));
        places.push(("the container's log", docker(&["logs", id])));
        // The container's files: what it holds are digests.
        let files =
            "for f in /data/.service/* /var/lib/postgresql/data/.service/*; do cat \"$f\" 2>/dev/null; done; true";
        places.push(("the container's files", docker(&["exec", id, "sh", "-c", files])));
        places.push(("the container's environment", docker(&["exec", id, "sh", "-c", "cat /proc/1/environ"])));
    }
    for secret in &secrets {
        for (place, text) in &places {
            assert!(!text.contains(secret.as_str()), "a secret stands in {place}");
        }
    }

    for id in &ids {
        client.act("destroyService", id).await;
        client.settled(id, "DESTROYED").await;
    }
    server.terminate().await;
    for secret in &secrets {
        assert!(!server.log().contains(secret.as_str()) && !database(&server).contains(secret.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_while_the_server_runs() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let service = client.provision("REDIS", "7").await;
    let id = service["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    let before = client.reveal(&id).await;

    let new_key = "new:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    server.set("ENCRYPTION_KEYS", &format!("{new_key},{OLD_KEY}"));
    server.restart().await;
    for expected in ["1 resealed with new, 0 unreadable", "0 resealed with new, 0 unreadable"] {
        let output = server.command(&["rotate-keys"]);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected);
    }
    server.set("ENCRYPTION_KEYS", new_key);
    server.restart().await;
    assert_eq!(Client::new(&server).reveal(&id).await, before);
}
