//! The main job, for every version of both kinds.

use serde_json::Value;

use crate::support::client::{Client, Events};
use crate::support::docker::{owned, preview};
use crate::support::server::Server;

/// What a kind's own client says, run in a preview container on the project's network.
struct Probe {
    kind: &'static str,
    version: &'static str,
    write: fn(&str) -> Vec<String>,
    read: fn(&str) -> Vec<String>,
    url: &'static str,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn postgresql(version: &'static str) -> Probe {
    Probe {
        kind: "POSTGRESQL",
        version,
        write: |url| words(&["psql", url, "-qtAc", "create table t (x text); insert into t values ('kept')"]),
        read: |url| words(&["psql", url, "-qtAc", "select x from t"]),
        url: "DATABASE_URL",
    }
}

fn redis(version: &'static str) -> Probe {
    Probe {
        kind: "REDIS",
        version,
        write: |url| words(&["redis-cli", "--no-auth-warning", "-u", url, "set", "t", "kept"]),
        read: |url| words(&["redis-cli", "--no-auth-warning", "-u", url, "get", "t"]),
        url: "REDIS_URL",
    }
}

fn run(server: &Server, probe: &Probe, command: &[String]) -> Result<String, String> {
    let image = format!("{}:{}", if probe.kind == "REDIS" { "redis" } else { "postgres" }, probe.version);
    let command: Vec<_> = command.iter().map(String::as_str).collect();
    preview(&server.test, &server.network(), &image, &command)
}

fn states(events: &[Value]) -> Vec<&str> {
    let mut states: Vec<_> = events.iter().map(|event| event["state"].as_str().unwrap()).collect();
    states.dedup();
    states
}

async fn walk(probe: Probe) {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let mut events: Events = client.events(None).await;

    let service = client.provision(probe.kind, probe.version).await;
    assert_eq!((&service["state"], &service["version"]), (&"PENDING".into(), &probe.version.into()));
    let id = service["id"].as_str().unwrap().to_owned();
    let seen = events.until(&id, "RUNNING").await;
    assert_eq!(states(&seen), ["PENDING", "PROVISIONING", "RUNNING"]);
    assert!(seen[0]["previousState"].is_null());
    assert_eq!(seen[0]["actor"], "e2e");
    assert!(seen.windows(2).all(|pair| pair[0]["state"] == pair[1]["previousState"]), "{seen:?}");

    let credentials = client.reveal(&id).await;
    let url = &credentials[probe.url];
    let written = run(&server, &probe, &(probe.write)(url)).unwrap();
    assert!(written.is_empty() || written == "OK", "{written}");
    assert_eq!(run(&server, &probe, &(probe.read)(url)).as_deref(), Ok("kept"));
    let wrong = url.replace(&credentials[if probe.kind == "REDIS" { "REDIS_PASSWORD" } else { "PGPASSWORD" }], "wrong");
    let refused = run(&server, &probe, &(probe.read)(&wrong));
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.contains("NOAUTH")), "a wrong password is refused");

    client.act("stopService", &id).await;
    let seen = events.until(&id, "STOPPED").await;
    assert_eq!(states(&seen), ["RUNNING", "STOPPED"]);
    client.act("startService", &id).await;
    let seen = events.until(&id, "RUNNING").await;
    assert_eq!(states(&seen), ["STOPPED", "PROVISIONING", "RUNNING"]);
    assert_eq!(run(&server, &probe, &(probe.read)(url)).as_deref(), Ok("kept"));

    client.act("restartService", &id).await;
    let seen = events.until(&id, "RUNNING").await;
    assert_eq!(states(&seen), ["RUNNING", "PROVISIONING", "RUNNING"]);
    assert_eq!(run(&server, &probe, &(probe.read)(url)).as_deref(), Ok("kept"));

    assert!(!owned(&server.test).is_empty());
    client.act("destroyService", &id).await;
    let seen = events.until(&id, "DESTROYED").await;
    assert_eq!(states(&seen), ["DESTROYING", "DESTROYED"]);
    assert_eq!(owned(&server.test), Vec::<String>::new(), "nothing is left");
    assert_eq!(client.service(&id).await["viewerActions"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_18() {
    walk(postgresql("18")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_17() {
    walk(postgresql("17")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_16() {
    walk(postgresql("16")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_15() {
    walk(postgresql("15")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_8() {
    walk(redis("8")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_7() {
    walk(redis("7")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_6() {
    walk(redis("6")).await;
}
