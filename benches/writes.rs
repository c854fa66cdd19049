//! What writing costs while 50 services are provisioned at once, on a real engine and SQLite:
//! `BESIDE=another/build cargo bench --bench writes`. Needs strace, the engine, and the image of Redis that `make test` provides.
//!
//! 1. How often the server has the disk write through, from the first mutation until all are RUNNING. Target: half of what a
//!    server took whose writes shared nothing, which `BESIDE` names.
//! 2. How long a mutation's answer takes meanwhile: of those 50, and of another one that comes again and again. Target: a median
//!    under 10 ms.
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

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use support::client::Client;
use support::server::{Server, binary};

const SERVICES: usize = 50;
const PROTECT: &str = "mutation($id: ID!, $enabled: Boolean!) { \
                       setDeletionProtection(input: {id: $id, enabled: $enabled}) { service { id } } }";

#[tokio::main]
async fn main() {
    if let Ok(beside) = std::env::var("BESIDE") {
        measure("beside", &beside).await;
    }
    measure("ours", binary()).await;
}

async fn measure(name: &str, build: &str) {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    // It stops the server at these calls only, and the server stays the process that was started.
    let traced =
        ["strace", "-D", "-f", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-o", trace.to_str().unwrap(), build];
    let settings = [
        ("LOG_FILTER", "warn,project_services::server=info"),
        // It asks often whether they run yet.
        ("RATE_LIMIT_SUBJECT", "1000000"),
        ("RATE_LIMIT_ADDRESS", "1000000"),
    ];
    let server = Server::start_as(&traced, &settings).await;
    let client = Client::new(&server);
    let steady = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
    client.settled(&steady, "RUNNING").await;

    let before = syncs(&trace);
    let started = Instant::now();
    let provisioned = join_all((0..SERVICES).map(async |_| {
        let asked = Instant::now();
        let service = client.provision("REDIS", "7").await;
        (service["id"].as_str().unwrap().to_owned(), asked.elapsed())
    }));
    let (ids, mut at_once): (Vec<_>, Vec<_>) = provisioned.await.into_iter().unzip();
    let mut meanwhile = Vec::new();
    let mut all_run = std::pin::pin!(join_all(ids.iter().map(|id| client.settled(id, "RUNNING"))));
    let probing = async {
        loop {
            let asked = Instant::now();
            client.data(PROTECT, json!({"id": steady, "enabled": meanwhile.len() % 2 == 0})).await;
            meanwhile.push(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        _ = &mut all_run => {}
        () = probing => {}
    }
    let took = started.elapsed();
    let synced = syncs(&trace) - before;
    let mutations = at_once.len() + meanwhile.len();
    println!(
        "{name}: {synced} calls of fsync and fdatasync for {SERVICES} provisionings and {} other mutations in {took:.1?}; an answer to \
         one of the {SERVICES} at once {:.1?}, to another one meanwhile {:.1?}, slowest of all {mutations} {:.1?}",
        meanwhile.len(),
        median(&mut at_once),
        median(&mut meanwhile),
        at_once.iter().chain(&meanwhile).max().unwrap(),
    );
}

fn syncs(trace: &Path) -> usize {
    std::fs::read_to_string(trace).unwrap().lines().filter(|line| line.contains("sync(")).count()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
