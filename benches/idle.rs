//! What many services cost of which none changes: `cargo bench --bench idle`, and `.ci/with-postgres cargo bench --bench idle`
//! for PostgreSQL besides. It needs no engine, for it has one of its own that answers lists and looks at once; what a real one
//! takes for its own work is not measured here.
//!
//! 1. From the start of the process to the first answer. Target: 150 ms with 10,000 services.
//! 2. Resident memory. Target: 25 MB and 2 kB a service.
//! 3. Processor time over a minute, with the engine there and away. Target: under 1 % of a core.
//! 4. The time of `/metrics`, and the same with much history.
//!
//! `SECONDS=330` measures for so long, which has more of what is done rarely in it; `BINARY` names another build to compare with;
//! `FILLING=1` measures only the second of the installations, and so on.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that can't go on has failed, and it reports"
)]

#[path = "idle/engine.rs"]
mod engine;
#[path = "idle/fill.rs"]
mod fill;
#[path = "idle/process.rs"]
mod process;

use std::path::Path;
use std::time::{Duration, Instant};

use engine::Engine;
use fill::Filling;
use process::Process;

const SERVICES: usize = 10_000;
/// Of a project that a preview is made of.
const HISTORY: usize = 50_000;
/// How long what follows a start, or the loss of the engine, may take until nothing changes any more.
const SETTLES: Duration = Duration::from_secs(180);

#[tokio::main]
async fn main() {
    let mut urls = vec![None];
    urls.extend(std::env::var("TEST_DATABASE_URL").ok().map(Some));
    let only: Option<usize> = std::env::var("FILLING").ok().map(|text| text.parse().unwrap());
    for url in urls {
        println!("\n{}", if url.is_some() { "PostgreSQL" } else { "SQLite" });
        let fillings = [
            Filling { stopped: 0, running: 0, history: 0, kept: false },
            Filling { stopped: SERVICES, running: 0, history: 0, kept: false },
            Filling { stopped: SERVICES, running: 0, history: HISTORY, kept: false },
            Filling { stopped: SERVICES - RUNNING, running: RUNNING, history: 0, kept: true },
        ];
        for (_, filling) in fillings.iter().enumerate().filter(|(n, _)| only.is_none_or(|only| only == *n)) {
            measure(filling, url.as_deref()).await;
        }
    }
}

/// As many as run on one engine.
const RUNNING: usize = 200;

async fn measure(filling: &Filling, server: Option<&str>) {
    let directory = tempfile::tempdir().unwrap();
    let database = fill::database(directory.path(), server).await;
    let instances = fill::fill(&database, filling).await;
    let mut engine = Engine::start(&directory.path().join("engine.sock"), instances);
    let binary = std::env::var("BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_project-services").to_owned());

    let mut starts = Vec::new();
    for _ in 0..5 {
        starts.push(Process::start(Path::new(&binary), directory.path(), &database, &engine).await.ready_after);
    }
    starts.sort();
    let process = Process::start(Path::new(&binary), directory.path(), &database, &engine).await;
    process.settled(SETTLES).await;
    let seconds = std::env::var("SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let seconds = Duration::from_secs(seconds);
    let calls = engine.calls();
    let there = process.share(seconds).await;
    let calls = engine.calls() - calls;
    let (metrics, text) = process.metrics().await;
    let rss = process.memory_kb("VmRSS");
    let peak = process.memory_kb("VmHWM");
    engine.stop();
    let lost = Instant::now();
    process.settled(SETTLES).await;
    let lost = lost.elapsed();
    let away = process.share(seconds).await;
    let counted = text.lines().filter(|line| line.starts_with("project_services_services{")).count();
    println!(
        "{filling}: ready after {:.0?} (slowest {:.0?}); RSS {rss} kB (at most {peak}); with the engine {:.2} % of a core and {calls} \
         calls, without {:.2} % (settled after {lost:.0?}); /metrics in {metrics:.2?} ({counted} gauges of services)",
        starts[starts.len() / 2],
        starts.last().unwrap(),
        there * 100.0,
        away * 100.0,
    );
    drop(process);
    fill::drop_database(&database).await;
}
