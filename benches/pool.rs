//! How long a database takes where one is ready: `cargo bench --bench pool`. Needs the engine and the images that `make test`
//! provides.
//!
//! From the mutation to the RUNNING event, of a PostgreSQL and a Redis of the smallest size in a project that is in use, one after
//! the other as fast as the pool has another. Target: a median of at most 100 ms, and 300 ms for 99 in 100.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark that can't go on has failed"
)]

#[path = "../tests/shared/chain.rs"]
mod chain;
#[path = "../tests/e2e/support/mod.rs"]
#[expect(dead_code, reason = "the end-to-end tests use all of it")]
mod support;

use std::time::{Duration, Instant};

use support::client::Client;
use support::eventually;
use support::server::Server;

const ROUNDS: usize = 20;
const LOG: &str = "warn,project_services::server=info,project_services::reconciler::pool=info";

#[tokio::main]
async fn main() {
    for (kind, version) in [("POSTGRESQL", "17"), ("REDIS", "7")] {
        let pool = format!("{kind}:{version}=2");
        let server = Server::start(&[("WARM_POOL", &pool), ("LOG_FILTER", LOG)]).await;
        let client = Client::new(&server);
        let mut events = client.events(None).await;
        let mut times = Vec::new();
        let mut first = None;
        for round in 0..=ROUNDS {
            eventually("another to be ready", async || {
                let ready = server.log().matches("An instance is ready before anybody asks for it").count();
                (ready >= round + 2).then_some(())
            })
            .await;
            let started = Instant::now();
            let id = client.provision(kind, version).await["id"].as_str().unwrap().to_owned();
            events.until(&id, "RUNNING").await;
            times.push(started.elapsed());
            // The first one stays, and with it the project's network.
            if first.is_some() {
                client.act("destroyService", &id).await;
                events.until(&id, "DESTROYED").await;
            } else {
                first = Some(times.remove(0));
            }
        }
        times.sort();
        let at = |hundredths: usize| times[(times.len() * hundredths / 100).min(times.len() - 1)];
        println!(
            "{kind}, mutation to RUNNING with the pool: median {:.1?}, 99 in 100 {:.1?}, of {ROUNDS}; the first one of a project {:.1?}",
            at(50),
            at(99),
            first.unwrap_or(Duration::ZERO)
        );
    }
}
