//! What happens behind the server's back, and to the server itself: every row of docs/faults.md.

pub mod backups;
mod container;
mod crash;
mod data;
mod destroy;
mod disk;
mod engine;
mod load;
mod orphans;
mod sidecar;

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::client::Client;
use crate::support::docker::{docker, inspect, preview};
use crate::support::eventually;
use crate::support::server::Server;

async fn provisioned(client: &Client, kind: &str, version: &str) -> String {
    let service = client.provision(kind, version).await;
    let id = service["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    id
}

fn psql(server: &Server, url: &str, statement: &str) -> String {
    preview(&server.test, &server.network(), "postgres:17", &["psql", url, "-qtAc", statement]).unwrap()
}

fn redis(server: &Server, url: &str, command: &[&str]) -> String {
    let arguments = [&["redis-cli", "--no-auth-warning", "-u", url], command].concat();
    preview(&server.test, &server.network(), "redis:7", &arguments).unwrap()
}

/// The process id of the server in the container, on the machine. It is what the container's init was made for.
fn server_pid(id: &str) -> String {
    let init = inspect(id)["State"]["Pid"].to_string();
    assert_ne!(init, "0", "the container runs");
    let children = std::fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap();
    children.split_whitespace().next().expect("a server runs").to_owned()
}

/// Sends a signal to the server in the container, past the engine.
pub(crate) fn signal(id: &str, signal: &str) {
    assert!(Command::new("kill").args([signal, &server_pid(id)]).status().unwrap().success());
}

/// How many processes and threads the container has, zombies among them.
fn pids(id: &str) -> u64 {
    let stats = docker(&["stats", "--no-stream", "--format", "{{.PIDs}}", id]);
    stats.parse().unwrap()
}

/// When the container was started last.
fn run(id: &str) -> String {
    inspect(id)["State"]["StartedAt"].as_str().unwrap().to_owned()
}

/// Waits until the service shows the error, whatever its state; panics when that takes longer than `limit`.
async fn shows_error(client: &Client, id: &str, code: &str, limit: Duration) -> Value {
    let started = Instant::now();
    let service = eventually(&format!("{id} to show {code}"), async || {
        let service = client.service(id).await;
        (service["error"]["code"] == code).then_some(service)
    })
    .await;
    assert!(started.elapsed() < limit, "{code} was shown after {:?}", started.elapsed());
    service
}
