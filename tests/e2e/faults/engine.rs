//! The engine is away, hangs, comes back, is cut off, has no image and no space.

use std::os::unix::fs::symlink;
use std::time::Duration;

use serde_json::Value;

use super::{provisioned, redis, run, shows_error};
use crate::support::client::Client;
use crate::support::docker::{docker, engine_socket};
use crate::support::engine::{Engine, REGISTRY};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::server::Server;

/// The longest that an engine which can't be reached may go unnoticed.
const UNREACHABLE: Duration = Duration::from_secs(20);
/// The longest that an engine which takes calls and does not answer may go unnoticed.
const SILENT: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn while_the_engine_is_away_provisioning_waits_with_the_reason_and_then_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let host = format!("unix://{}", socket.display());
    let server = Server::start(&[("DOCKER_HOST", &host)]).await;
    let client = Client::new(&server);
    let service = client.provision("REDIS", "7").await;
    let id = service["id"].as_str().unwrap().to_owned();
    let waiting = eventually("the reason", async || {
        let service = client.service(&id).await;
        (service["error"]["code"] == "ENGINE_UNAVAILABLE").then_some(service)
    })
    .await;
    assert_eq!(waiting["state"], "PENDING");
    let ready = reqwest::get(format!("http://{}/readyz", server.address)).await.unwrap();
    assert_eq!(ready.status(), 503);

    symlink(engine_socket(), &socket).unwrap();
    let running = client.settled(&id, "RUNNING").await;
    assert!(running["error"].is_null());
    // An answer serves others for a second.
    eventually("it to be ready", async || {
        let ready = reqwest::get(format!("http://{}/readyz", server.address)).await.unwrap();
        (ready.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_unreachable_is_shown_and_what_happened_meanwhile_is_repaired() {
    let proxy = Proxy::start();
    let server = Server::start(&[("DOCKER_HOST", &proxy.host())]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    let stopped = provisioned(&client, "REDIS", "7").await;
    client.act("stopService", &stopped).await;
    client.settled(&stopped, "STOPPED").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    redis(&server, &url, &["config", "set", "appendfsync", "always"]);
    redis(&server, &url, &["set", "key", "kept"]);

    proxy.remove();
    let away = shows_error(&client, &id, "ENGINE_UNAVAILABLE", UNREACHABLE).await;
    assert_eq!(away["state"], "ERROR");
    assert_eq!(client.service(&stopped).await["state"], "STOPPED", "what was stopped can't have started");
    // What is asked for meanwhile is accepted, waits, and says why.
    client.act("startService", &stopped).await;
    shows_error(&client, &stopped, "ENGINE_UNAVAILABLE", UNREACHABLE).await;
    docker(&["kill", &id]);

    proxy.put_back();
    client.settled(&id, "RUNNING").await;
    client.settled(&stopped, "RUNNING").await;
    assert_eq!(redis(&server, &url, &["get", "key"]), "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_is_shown_and_seen_again() {
    let proxy = Proxy::start();
    let server = Server::start(&[("DOCKER_HOST", &proxy.host())]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    let before = run(&id);

    proxy.silent(true);
    let provisioning = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
    let away = shows_error(&client, &id, "ENGINE_UNAVAILABLE", SILENT).await;
    assert_eq!(away["state"], "ERROR");
    shows_error(&client, &provisioning, "ENGINE_UNAVAILABLE", SILENT).await;

    proxy.silent(false);
    client.settled(&id, "RUNNING").await;
    client.settled(&provisioning, "RUNNING").await;
    assert_eq!(run(&id), before, "the container was left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_the_event_stream_is_cut_is_seen() {
    let proxy = Proxy::start();
    let server = Server::start(&[("DOCKER_HOST", &proxy.host()), ("RECONCILE_INTERVAL", "86400")]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let id = provisioned(&client, "REDIS", "7").await;
    events.until(&id, "RUNNING").await;
    for _ in 0..3 {
        proxy.remove();
        docker(&["kill", &id]);
        proxy.put_back();
        let seen = events.until(&id, "RUNNING").await;
        assert!(seen.iter().any(|event| event["state"] == "PROVISIONING"), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_live_restore_containers_outlive_an_engine_that_is_killed_or_stopped() {
    let engine = Engine::start(&["--live-restore"]).await;
    engine.load("redis:7");
    let server = Server::start(&[("DOCKER_HOST", &engine.host())]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    let run = || engine.docker(&["container", "inspect", "--format", "{{.State.StartedAt}} {{.State.Pid}}", &id]);
    let before = run();
    for down in [Engine::kill, Engine::stop] {
        down(&engine);
        let away = shows_error(&client, &id, "ENGINE_UNAVAILABLE", UNREACHABLE).await;
        assert_eq!(away["state"], "ERROR");
        engine.again().await;
        client.settled(&id, "RUNNING").await;
        assert_eq!(run(), before, "the same run of the same container");
    }
    // SIGSTOP: it takes calls and does not answer.
    engine.hang();
    shows_error(&client, &id, "ENGINE_UNAVAILABLE", SILENT).await;
    engine.resume();
    client.settled(&id, "RUNNING").await;
    assert_eq!(run(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_live_restore_what_should_run_comes_back_and_what_was_stopped_stays_so() {
    let engine = Engine::start(&[]).await;
    engine.load("redis:7");
    let server = Server::start(&[("DOCKER_HOST", &engine.host())]).await;
    let client = Client::new(&server);
    let (id, stopped) = (provisioned(&client, "REDIS", "7").await, provisioned(&client, "REDIS", "7").await);
    client.act("stopService", &stopped).await;
    client.settled(&stopped, "STOPPED").await;
    let started_at = |id: &str| engine.docker(&["container", "inspect", "--format", "{{.State.StartedAt}}", id]);
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    let network = server.network();
    let redis = |command: &[&str]| {
        let run = ["run", "--rm", "--network", &network, "redis:7", "redis-cli", "--no-auth-warning", "-u", &url];
        engine.docker(&[&run, command].concat())
    };
    // The default, everysec, may lose a second's writes.
    redis(&["config", "set", "appendfsync", "always"]);
    redis(&["set", "key", "kept"]);
    let (before, before_stopped) = (started_at(&id), started_at(&stopped));
    for down in [Engine::kill, Engine::stop] {
        down(&engine);
        shows_error(&client, &id, "ENGINE_UNAVAILABLE", UNREACHABLE).await;
        engine.again().await;
        client.settled(&id, "RUNNING").await;
        assert_ne!(started_at(&id), before);
        assert_eq!(redis(&["get", "key"]), "kept");
        assert_eq!(started_at(&stopped), before_stopped);
        assert_eq!(client.service(&stopped).await["state"], "STOPPED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_can_not_be_pulled_is_shown_and_used_once_it_is_there() {
    let engine = Engine::start(&[]).await;
    let server = Server::start(&[("DOCKER_HOST", &engine.host())]).await;
    let client = Client::new(&server);
    let service = client.provision("REDIS", "7").await;
    let id = service["id"].as_str().unwrap();
    let failed = client.settled(id, "ERROR").await;
    assert_eq!(failed["error"]["code"], "PULL_FAILED");
    engine.load("redis:7");
    client.settled(id, "RUNNING").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_shown_and_the_service_starts_once_there_is_space() {
    let engine = Engine::start_on(Some(160), &[]).await;
    engine.load("redis:7");
    let server = Server::start(&[("DOCKER_HOST", &engine.host())]).await;
    let client = Client::new(&server);
    let running = provisioned(&client, "REDIS", "7").await;
    client.act("stopService", &running).await;
    client.settled(&running, "STOPPED").await;

    engine.run("cat /dev/zero >data/fill; ls -s data/fill");
    let service = client.provision("REDIS", "7").await;
    let id = service["id"].as_str().unwrap();
    client.act("startService", &running).await;
    for id in [id, &running] {
        let full = client.settled(id, "ERROR").await;
        assert_eq!(full["error"]["code"], "NO_SPACE", "{full}");
    }
    engine.run("rm data/fill");
    for id in [id, &running] {
        client.settled(id, "RUNNING").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_during_a_first_start_is_shown_and_it_is_begun_anew_once_there_is_space() {
    let engine = Engine::start_on(Some(400), &[]).await;
    engine.load("postgres:17");
    let server = Server::start(&[("DOCKER_HOST", &engine.host())]).await;
    let client = Client::new(&server);
    // Enough for a container, and too little for a database.
    engine.run("cat /dev/zero >data/fill; truncate -s -12M data/fill");
    let service = client.provision("POSTGRESQL", "17").await;
    let id = service["id"].as_str().unwrap();
    let full = client.settled(id, "ERROR").await;
    assert_eq!(full["error"]["code"], "NO_SPACE", "{full}");
    let message = full["error"]["message"].as_str().unwrap();
    assert!(message.contains("Make space") && message.contains("No space left on device"), "{message}");
    engine.run("rm data/fill");
    client.settled(id, "RUNNING").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_missing_is_pulled_and_its_progress_is_shown() {
    let engine = Engine::start(&[&format!("--registry-mirror=http://{REGISTRY}")]).await;
    engine.load("redis:7");
    let name = format!("{REGISTRY}/library/redis:7");
    engine.publish("redis:7", &name).await;
    engine.docker(&["rmi", &name, "redis:7"]);

    let server = Server::start(&[("DOCKER_HOST", &engine.host())]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let service = client.provision("REDIS", "7").await;
    let seen = events.until(service["id"].as_str().unwrap(), "RUNNING").await;
    let shown = |event: &&Value| {
        let operation = &event["operation"];
        operation["phase"] == "PULLING_IMAGE" && operation["progressPercent"].as_u64().is_some_and(|p| p <= 100)
    };
    assert!(seen.iter().any(|event| shown(&event)), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_tag_that_is_put_right_leaves_no_service_with_the_wrong_image() {
    let engine = Engine::start(&[]).await;
    engine.load("postgres:17");
    engine.docker(&["tag", "postgres:17", "redis:7"]);
    let server = Server::start(&[("DOCKER_HOST", &engine.host())]).await;
    let client = Client::new(&server);
    let service = client.provision("REDIS", "7").await;
    let id = service["id"].as_str().unwrap();
    client.settled(id, "ERROR").await;
    engine.load("redis:7");
    client.act("startService", id).await;
    client.settled(id, "RUNNING").await;
}
