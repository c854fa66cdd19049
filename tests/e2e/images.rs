//! From where images come, and that what is made anew has the one that it had.

use std::process::Command;

use serde_json::json;

use crate::clones::clone;
use crate::support::client::Client;
use crate::support::engine::{Engine, REGISTRY};
use crate::support::eventually;
use crate::support::server::{OLD_KEY, SECRET, Server, binary};

const UPDATE: &str = "mutation($id: ID!) { updateImage(input: {id: $id}) { event { message } } }";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_anew_has_the_image_that_it_had_until_another_is_asked_for() {
    let engine = Engine::start(&[]).await;
    let (name, repository) = (format!("{REGISTRY}/team/redis:7"), format!("{REGISTRY}/team/redis"));
    engine.load("redis:7");
    engine.publish("redis:7", &name).await;
    let pinned = engine.docker(&["inspect", "--format", "{{index .RepoDigests 0}}", &name]);
    engine.docker(&["rmi", &name]);
    let mut server = Server::start(&[("DOCKER_HOST", &engine.host()), ("IMAGE_REDIS", &repository)]).await;
    let client = Client::new(&server);
    let id = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    let image_of = |id: &str| engine.docker(&["inspect", "--format", "{{.Image}}", id]);
    let image = || image_of(&id);
    let first = image();
    let password = client.reveal(&id).await["REDIS_PASSWORD"].clone();
    let redis = |words: &[&str]| {
        engine.docker(&[&["exec", &id, "redis-cli", "--no-auth-warning", "-a", &password], words].concat())
    };
    // The default, everysec, may lose a second's writes.
    redis(&["config", "set", "appendfsync", "always"]);
    redis(&["set", "key", "kept"]);

    // The name comes to mean another image, here and in the registry.
    engine.docker(&["create", "--name", "next", "redis:7"]);
    engine.docker(&["commit", "--change", "LABEL minor=next", "next", "next"]);
    engine.publish("next", &name).await;
    let next = engine.docker(&["inspect", "--format", "{{.Id}}", &name]);
    assert_ne!(next, first);
    let containers = || engine.docker(&["ps", "--all", "--quiet", "--filter", &format!("name={id}")]);
    let before = containers();
    engine.docker(&["rm", "--force", &id]);
    eventually("another container", async || (![String::new(), before.clone()].contains(&containers())).then_some(()))
        .await;
    client.settled(&id, "RUNNING").await;
    assert_eq!((image(), redis(&["get", "key"])), (first.clone(), "kept".to_owned()));

    // Only who has none of its data begins with what the name means now.
    let new = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
    let clone = clone(&client, &id, "clone").await;
    for (id, runs_from) in [(&new, &next), (&clone, &first)] {
        client.settled(id, "RUNNING").await;
        assert_eq!(&image_of(id), runs_from);
        client.act("destroyService", id).await;
        client.settled(id, "DESTROYED").await;
    }

    // The engine has it no more: it is had by its digest.
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    engine.docker(&["rm", &id, "next"]);
    engine.docker(&["rmi", &name, "next"]);
    engine.docker(&["rmi", "--force", &first]);
    client.act("startService", &id).await;
    client.settled(&id, "RUNNING").await;
    assert_eq!((image(), redis(&["get", "key"])), (first.clone(), "kept".to_owned()));

    assert!(client.execute(UPDATE, json!({"id": id})).await["errors"].is_null());
    client.settled(&id, "RUNNING").await;
    assert_eq!((image(), redis(&["get", "key"])), (next, "kept".to_owned()));

    // Pinned, the version is an image for ever.
    server.set("IMAGE_REDIS_7", &pinned);
    server.restart().await;
    let client = Client::new(&server);
    assert!(client.execute(UPDATE, json!({"id": id})).await["errors"].is_null());
    client.settled(&id, "RUNNING").await;
    assert_eq!((image(), redis(&["get", "key"])), (first, "kept".to_owned()));
}

#[test]
fn what_names_nothing_known_keeps_the_server_from_starting_and_is_told() {
    let directory = tempfile::tempdir().unwrap();
    for (variable, value, told) in [
        ("KINDS", "+ORACLE", "ORACLE is no kind of service"),
        ("KINDS", "REDIS,-POSTGRESQL", "either listed, or each"),
        ("IMAGE_ORACLE", "oracle", "IMAGE_ORACLE names no kind of service"),
        ("IMAGE_REDIS", "redis:7", "IMAGE_REDIS says where all versions are"),
        ("IMAGE_REDIS_7", "Redis 7", "IMAGE_REDIS_7 can't be used"),
    ] {
        let serve = Command::new(binary())
            .args(["serve", "--listen-address", "127.0.0.1:0", "--data-dir", directory.path().to_str().unwrap()])
            .env_clear()
            .env("JWT_SECRET", SECRET)
            .env("ENCRYPTION_KEYS", OLD_KEY)
            .env(variable, value)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&serve.stderr);
        assert!(!serve.status.success() && said.contains(told), "{variable}={value}: {said}");
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 0, "nothing was begun");
}
