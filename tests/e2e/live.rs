//! Logs and measurements of real containers.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::client::{Client, Events};
use crate::support::docker::LABEL;
use crate::support::eventually;
use crate::support::server::Server;

async fn until(events: &mut Events, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let event = events.next().await.unwrap_or_else(|| panic!("the stream ended before {what}"));
        if wanted(&event) {
            return event;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_followed_across_a_restart() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let service = client.provision("POSTGRESQL", "17").await;
    let id = service["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    let query = "subscription($id: ID!) { serviceLogs(id: $id, tail: 500) { occurredAt stream text } }";
    let mut lines = client.subscribe("serviceLogs", query, json!({"id": id})).await.unwrap();
    let ready = |line: &Value| line["text"].as_str().unwrap().contains("ready to accept connections");
    // The image's set-up server, then the one that serves.
    until(&mut lines, "the first start", ready).await;
    let first = until(&mut lines, "the server", ready).await;
    client.act("restartService", &id).await;
    until(&mut lines, "the end", |line| line["text"].as_str().unwrap().contains("is shut down")).await;
    let second = until(&mut lines, "the second run", ready).await;
    assert!(second["occurredAt"].as_str() > first["occurredAt"].as_str(), "{first} {second}");
    client.act("destroyService", &id).await;
    while lines.next().await.is_some() {}
    client.settled(&id, "DESTROYED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn measurements_tell_what_a_service_takes_and_who_is_connected() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let service = client.provision("POSTGRESQL", "17").await;
    let id = service["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    let query = "subscription($id: ID!) { serviceMetrics(id: $id) {
        cpuMillis cpuLimitMillis memoryMib memoryLimitMib storageMib storageLimitMib connections connectionsLimit } }";
    let mut metrics = client.subscribe("serviceMetrics", query, json!({"id": id})).await.unwrap();
    let idle = until(&mut metrics, "a count", |now| !now["storageMib"].is_null()).await;
    assert_eq!((&idle["cpuLimitMillis"], &idle["memoryLimitMib"]), (&json!(500), &json!(256)), "{idle}");
    assert_eq!((&idle["storageLimitMib"], &idle["connections"]), (&json!(1024), &json!(0)), "{idle}");
    assert_eq!(idle["connectionsLimit"], 32, "{idle}");
    let between = |value: &Value, least: f64, most: f64| value.as_f64().is_some_and(|v| v > least && v < most);
    assert!(between(&idle["memoryMib"], 1.0, 256.0), "{idle}");
    assert!(between(&idle["storageMib"], 10.0, 1024.0), "{idle}");

    let label = format!("{LABEL}={}", server.test);
    let busy = "do $$ begin loop end loop; end $$";
    let mut session = Command::new("docker")
        .args([
            "run",
            "--rm",
            "--network",
            &server.network(),
            "--label",
            &label,
            "postgres:17",
            "psql",
            &url,
            "-c",
            busy,
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until(&mut metrics, "a connection", |now| now["connections"] == 1).await;
    until(&mut metrics, "CPU time", |now| between(&now["cpuMillis"], 200.0, 700.0)).await;
    let history =
        "query($id: ID!) { serviceMetricsHistory(id: $id) { points { cpuMillis memoryMib storageMib connections } } }";
    let point = eventually("a minute to be recorded", async || {
        let answer = client.data(history, json!({"id": id})).await;
        answer["serviceMetricsHistory"]["points"].as_array().unwrap().last().cloned()
    })
    .await;
    assert!(between(&point["cpuMillis"], 100.0, 700.0) && between(&point["memoryMib"], 1.0, 256.0), "{point}");
    assert!(between(&point["storageMib"], 10.0, 1024.0) && point["connections"] == 1, "{point}");
    client.act("destroyService", &id).await;
    while metrics.next().await.is_some() {}
    session.wait().unwrap();
    client.settled(&id, "DESTROYED").await;
}
