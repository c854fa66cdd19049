//! How long a user waits, on a real engine: `cargo bench`. Needs the engine and the images that `make test` provides.
//!
//! 1. From the mutation to the RUNNING event, side by side with `docker run` and a loop that tries to connect, with the
//!    same image, limits, user and database. Target: at most 1.1 times as long.
//! 2. The answer to a mutation while 50 services are being provisioned. Target: a median under 50 ms.
//! 3. The answer to a query while another caller asks for the whole schema over 1,000 connections.
//! 4. From `docker kill` to the event at the subscriber. Target: under 200 ms.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark that can't go on has failed, and it reports"
)]

#[path = "../tests/shared/chain.rs"]
mod chain;
#[path = "../tests/e2e/support/mod.rs"]
#[expect(dead_code, reason = "the end-to-end tests use all of it")]
mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::client::Client;
use support::docker::{LABEL, docker};
use support::greedy::Greedy;
use support::server::Server;

const ROUNDS: usize = 11;
const SERVICES: usize = 50;

#[tokio::main]
async fn main() {
    start_to_running().await;
    answers_under_load().await;
    answers_beside_a_greedy_caller().await;
    kill_to_event().await;
}

async fn start_to_running() {
    let server = Server::start(&[("LOG_FILTER", "warn,project_services::server=info")]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // One service that stays keeps the project's network, as in a project that is in use.
    let first = client.provision("REDIS", "7").await;
    events.until(first["id"].as_str().unwrap(), "RUNNING").await;
    for round in 0..ROUNDS {
        let started = Instant::now();
        let service = client.provision("POSTGRESQL", "17").await;
        let id = service["id"].as_str().unwrap().to_owned();
        events.until(&id, "RUNNING").await;
        ours.push(started.elapsed());
        client.act("destroyService", &id).await;
        events.until(&id, "DESTROYED").await;

        theirs.push(docker_run(&server, round).await);
        println!("{:.2?} {:.2?}", ours.last().unwrap(), theirs.last().unwrap());
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("mutation to RUNNING: {ours:.2?}; docker run and connect: {theirs:.2?}; ratio {ratio:.2}");
}

/// `docker run` with the Dev tier's limits, until the server inside answers over TCP.
async fn docker_run(server: &Server, round: usize) -> Duration {
    let (name, label) = (format!("bench-{}-{round}", server.test), format!("{LABEL}={}", server.test));
    let started = Instant::now();
    docker(&[
        "run",
        "--detach",
        "--name",
        &name,
        "--label",
        &label,
        "--network",
        &server.network(),
        "--memory",
        "256m",
        "--memory-swap",
        "256m",
        "--cpus",
        "0.5",
        "--env",
        "POSTGRES_PASSWORD=x",
        "--env",
        "POSTGRES_USER=someone",
        "--env",
        "POSTGRES_DB=something",
        "postgres:17",
    ]);
    let address = docker(&["inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", &name]);
    let config = format!("host={address} user=someone password=x dbname=something connect_timeout=1");
    while tokio_postgres::connect(&config, tokio_postgres::NoTls).await.is_err() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = started.elapsed();
    docker(&["rm", "--force", "--volumes", &name]);
    took
}

async fn answers_under_load() {
    let server = Server::start(&[("LOG_FILTER", "warn,project_services::server=info")]).await;
    let client = Client::new(&server);
    let mut answers = Vec::new();
    let mut ids = Vec::new();
    for n in 0..SERVICES {
        let kind = if n % 2 == 0 { "POSTGRESQL" } else { "REDIS" };
        let started = Instant::now();
        let service = client.provision_with(json!({"projectId": client.project, "kind": kind})).await;
        answers.push(started.elapsed());
        ids.push(service["id"].as_str().unwrap().to_owned());
    }
    // The last of them wait in the queue while these are asked for.
    for id in ids.iter().rev().take(SERVICES / 2) {
        let started = Instant::now();
        client.act("destroyService", id).await;
        answers.push(started.elapsed());
    }
    let count = answers.len();
    let slowest = answers.iter().max().copied().unwrap_or_default();
    println!(
        "{count} mutations while {SERVICES} services are provisioned: median {:.1?}, slowest {slowest:.1?}",
        median(&mut answers)
    );
    let started = Instant::now();
    for id in ids.iter().take(SERVICES / 2) {
        client.settled(id, "RUNNING").await;
    }
    println!("the {} that remain are RUNNING after another {:.1?}", SERVICES / 2, started.elapsed());
}

async fn answers_beside_a_greedy_caller() {
    let server = Server::start(&[("INTROSPECTION", "true"), ("LOG_FILTER", "info")]).await;
    let client = Client::new(&server);
    let greedy = Greedy::new(&server);
    greedy.answered(100).await;
    let mut answers = Vec::new();
    for _ in 0..100 {
        let started = Instant::now();
        client.cursor().await;
        answers.push(started.elapsed());
    }
    greedy.answered(1).await;
    let slowest = answers.iter().max().copied().unwrap_or_default();
    println!("100 queries beside a greedy caller: median {:.1?}, slowest {slowest:.1?}", median(&mut answers));
}

async fn kill_to_event() {
    let server = Server::start(&[("LOG_FILTER", "warn,project_services::server=info")]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let service = client.provision("REDIS", "7").await;
    let id = service["id"].as_str().unwrap().to_owned();
    events.until(&id, "RUNNING").await;
    let mut delays = Vec::new();
    for _ in 0..ROUNDS {
        let client_id = id.clone();
        let kill = tokio::task::spawn_blocking(move || {
            docker(&["kill", &client_id]);
            Instant::now()
        });
        let started = Instant::now();
        let event = events.next().await.unwrap();
        assert_ne!(event["state"], "RUNNING", "{event}");
        let seen = Instant::now();
        let killed = kill.await.unwrap();
        delays.push(seen.saturating_duration_since(killed).min(seen - started));
        // Three ends in a short time are a loop; a restart by the user begins a new count.
        events.until(&id, "RUNNING").await;
        client.act("restartService", &id).await;
        events.until(&id, "RUNNING").await;
    }
    println!("docker kill to the event at the subscriber: {:.0?}", median(&mut delays));
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
