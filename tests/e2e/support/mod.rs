//! A server of one's own, clients for it, and the docker command.

pub mod chance;
pub mod client;
pub mod collector;
pub mod database;
pub mod disk;
pub mod docker;
pub mod engine;
pub mod greedy;
pub mod proxy;
pub mod server;
pub mod swarm;

use std::time::{Duration, Instant};

/// How long a condition may take on a slow machine before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Polls until `condition` gives a value; panics with `what` when it takes too long.
pub async fn eventually<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, condition).await
}

/// The same for what may take another time.
pub async fn within<T>(patience: Duration, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < patience, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
