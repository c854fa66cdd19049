//! How long a clone of 1 GB takes, on engines of its own: `cargo bench --bench copies`. Needs the engine and the images that
//! `make test` provides, root, and what makes the file systems (xfsprogs, btrfs-progs).
//!
//! 1. On the file system of the machine's temporary files, which is to be one that can't share what two files have in common:
//!    from the mutation to the RUNNING event, side by side with `cp -a` of what the source's databases hold, without its log.
//!    Target: at most 1.3 times as long.
//! 2. On XFS and btrfs in a file, which can: the same, side by side with `docker run` of the same image with the same limits on
//!    the data directory of a clone that was shut down, until the server inside answers. Target: at most 1.5 times as long.
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

use serde_json::json;
use support::client::Client;
use support::engine::Engine;
use support::server::Server;

const ROUNDS: usize = 5;
const IMAGE: &str = "postgres:17";
const DATA: &str = "/var/lib/postgresql/data";
/// For the images, the source and what is written of it to the log, and its clones.
const DISK_MIB: u32 = 10 * 1024;
/// Rows that no compression makes smaller than 1 GB.
const FILL: &str =
    "CREATE TABLE filling AS SELECT g AS n, repeat(md5(g::text), 30) AS text FROM generate_series(1, 1000000) g";

#[tokio::main]
async fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    for place in ["plain", "xfs", "btrfs"] {
        if only.as_ref().is_none_or(|only| only == place) {
            let engine = match place {
                "plain" => Engine::start(&[]).await,
                other => Engine::start_in_file(&format!("mkfs.{other}"), DISK_MIB).await,
            };
            measure(place, &engine).await;
        }
    }
}

#[derive(Default)]
struct Times {
    copied: Vec<Duration>,
    flushed: Vec<Duration>,
    filled: Vec<Duration>,
    running: Vec<Duration>,
    raw: Vec<Duration>,
}

async fn measure(place: &str, engine: &Engine) {
    engine.load(IMAGE);
    let host = engine.host();
    let server = Server::start(&[("DOCKER_HOST", &host), ("LOG_FILTER", "warn,project_services::server=info")]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let input = json!({"projectId": client.project, "kind": "POSTGRESQL", "version": "17", "tier": "STANDARD"});
    let source = client.provision_with(input).await["id"].as_str().unwrap().to_owned();
    events.until(&source, "RUNNING").await;
    let names = client.reveal(&source).await;
    let (user, database) = (&names["PGUSER"], &names["PGDATABASE"]);
    let say = |statement| {
        engine.docker(&["exec", "-u", "postgres", &source, "psql", "-qAt", "-U", user, "-d", database, "-c", statement])
    };
    say(FILL);
    say("CHECKPOINT");
    println!("{place}: a database of {} MB", say("SELECT pg_database_size(current_database()) / 1000000"));

    let mut times = Times::default();
    for round in 0..ROUNDS {
        engine.run("sync -f data");
        let started = Instant::now();
        engine.run(&format!("cp -a data/volumes/{source}/_data/pgdata/base data/copied"));
        times.copied.push(started.elapsed());
        engine.run("sync -f data");
        times.flushed.push(started.elapsed());
        engine.run("rm -rf data/copied && sync -f data");

        let mutation = "mutation($input: CloneServiceInput!) { cloneService(input: $input) { service { id } } }";
        let input = json!({"id": source, "name": format!("copy-{round}")});
        let started = Instant::now();
        let data = client.data(mutation, json!({"input": input})).await;
        let clone = data["cloneService"]["service"]["id"].as_str().unwrap().to_owned();
        loop {
            let event = events.next().await.unwrap();
            if event["serviceId"] != clone {
                continue;
            }
            let message = event["message"].as_str().unwrap();
            assert!(!message.ends_with("as its server gave it."), "{message}");
            if message.ends_with(", copied from volume to volume.") {
                times.filled.push(started.elapsed());
            }
            if event["state"] == "RUNNING" && event["operation"].is_null() {
                break;
            }
        }
        times.running.push(started.elapsed());
        client.act("stopService", &clone).await;
        events.until(&clone, "STOPPED").await;

        engine.run("sync -f data");
        times.raw.push(docker_run(engine, &clone));
        client.act("destroyService", &clone).await;
        events.until(&clone, "DESTROYED").await;
        let last = |times: &[Duration]| times.last().copied().unwrap_or_default();
        println!(
            "  cp -a {:.2?} (flushed {:.2?}); clone filled {:.2?}, RUNNING {:.2?}; raw start {:.2?}",
            last(&times.copied),
            last(&times.flushed),
            last(&times.filled),
            last(&times.running),
            last(&times.raw)
        );
    }
    report(place, times);
}

fn report(place: &str, mut times: Times) {
    let (copied, flushed) = (median(&mut times.copied), median(&mut times.flushed));
    let (filled, running, raw) = (median(&mut times.filled), median(&mut times.running), median(&mut times.raw));
    let ratio = |of: Duration| running.as_secs_f64() / of.as_secs_f64();
    println!(
        "{place}, medians: cp -a {copied:.2?}, flushed {flushed:.2?}; filled {filled:.2?}, RUNNING {running:.2?}; raw start {raw:.2?}"
    );
    println!(
        "{place}: RUNNING after {:.2} times cp -a, {:.2} times cp -a with a flush, {:.2} times the raw start",
        ratio(copied),
        ratio(flushed),
        ratio(raw)
    );
}

/// The same image with the limits of the size on the data of a clone that is stopped, until the server inside answers.
fn docker_run(engine: &Engine, clone: &str) -> Duration {
    let (volume, place) = (format!("{clone}:{DATA}"), format!("PGDATA={DATA}/pgdata"));
    let limits = ["--memory", "512m", "--memory-swap", "512m", "--cpus", "1", "--init", "--user", "postgres"];
    let started = Instant::now();
    let run = ["run", "--detach", "--name", "raw", "--env", &place, "--volume", &volume];
    engine.docker(&[&run[..], &limits, &[IMAGE]].concat());
    let ask = "until pg_isready -q -h 127.0.0.1; do sleep 0.01; done";
    engine.docker(&["exec", "raw", "sh", "-c", ask]);
    let took = started.elapsed();
    engine.docker(&["stop", "raw"]);
    engine.docker(&["rm", "raw"]);
    took
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
