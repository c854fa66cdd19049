//! What it costs to know whether servers answer that have nothing to do: `cargo bench --bench probes`. Needs the engine and the
//! images that `make test` provides, and an engine that does nothing else meanwhile.
//!
//! The processor time of the engine, its shims and all that runs in the containers: of services that the sidecar asks, of
//! the same with nobody there who asks, and of containers that the engine asks by itself every 4 seconds, as those of earlier
//! versions were. Target: a tenth of that. What measures volumes meanwhile, which the engine does not, is told apart from it.
//!
//! `COUNT=10` and `SECONDS=30` are how many of each kind there are and for how long each is measured; `KIND=REDIS` is one alone.
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

use std::fs;
use std::time::Duration;

use support::client::Client;
use support::docker::{LABEL, docker};
use support::server::Server;

const LOG: &str = "warn,project_services::server=info";
/// Clock ticks a second (sysconf(3), `_SC_CLK_TCK`), which Linux has on every machine of today.
const TICKS: f64 = 100.0;

struct Kind {
    name: &'static str,
    version: &'static str,
    image: &'static str,
    check: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "POSTGRESQL",
        version: "17",
        image: "postgres:17",
        check: "timeout -k 1 3 pg_isready -q -h 127.0.0.1 -U postgres -d postgres",
    },
    Kind {
        name: "REDIS",
        version: "7",
        image: "redis:7",
        check: "case $(timeout -k 1 3 redis-cli -h 127.0.0.1 ping 2>&1) in *PONG*) true ;; *) false ;; esac",
    },
];

#[tokio::main]
async fn main() {
    let (count, seconds) = (setting("COUNT", 10), Duration::from_secs(setting("SECONDS", 30)));
    let only = std::env::var("KIND").ok();
    for kind in KINDS.into_iter().filter(|kind| only.as_ref().is_none_or(|only| only == kind.name)) {
        let mut server = Server::start(&[("LOG_FILTER", LOG)]).await;
        let client = Client::new(&server);
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(client.provision(kind.name, kind.version).await["id"].as_str().unwrap().to_owned());
        }
        for id in &ids {
            client.settled(id, "RUNNING").await;
        }
        let containers = containers(&server.test);
        let asked = share(&containers, seconds).await;
        server.kill();
        let alone = share(&containers, seconds).await;
        docker(&[vec!["rm", "--force", "--volumes"], ids.iter().map(String::as_str).collect()].concat());

        let label = format!("{LABEL}={}", server.test);
        for _ in 0..count {
            docker(&[
                "run",
                "--detach",
                "--init",
                "--network",
                "none",
                "--label",
                &label,
                "--env",
                "POSTGRES_PASSWORD=x",
                "--health-cmd",
                kind.check,
                "--health-interval",
                "4s",
                "--health-timeout",
                "6s",
                kind.image,
            ]);
        }
        let peers = self::containers(&server.test);
        for peer in &peers {
            support::eventually("it to be healthy", async || {
                (docker(&["inspect", "--format", "{{.State.Health.Status}}", peer]) == "healthy").then_some(())
            })
            .await;
        }
        let engine = share(&peers, seconds).await;
        let (ours, theirs) = (asked.all - asked.gauges - alone.all, engine.all - alone.all);
        println!(
            "{count} of {}, in hundredths of a core: {:.2} asked by the sidecar, and {:.2} measured by it, {:.2} asked by nobody, \
             {:.2} by the engine: {ours:.2} against {theirs:.2}, {:.3} x",
            kind.name,
            asked.all - asked.gauges,
            asked.gauges,
            alone.all,
            engine.all,
            ours / theirs
        );
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The ids of a test's containers.
fn containers(test: &str) -> Vec<String> {
    let filter = format!("label={LABEL}={test}");
    docker(&["ps", "--no-trunc", "--quiet", "--filter", &filter]).lines().map(str::to_owned).collect()
}

/// What is taken, in clock ticks or hundredths of a core.
#[derive(Default)]
struct Taken {
    /// By the engine and all that runs in the containers.
    all: f64,
    /// By what measures volumes of that.
    gauges: f64,
}

/// What the engine and these containers take of a core, in hundredths.
async fn share(containers: &[String], seconds: Duration) -> Taken {
    let before = ticks(containers);
    tokio::time::sleep(seconds).await;
    let after = ticks(containers);
    let share = |after: f64, before: f64| (after - before) / TICKS / seconds.as_secs_f64() * 100.0;
    Taken { all: share(after.all, before.all), gauges: share(after.gauges, before.gauges) }
}

/// The processor time of what runs of them, and of what has ended and was waited for (proc_pid_stat(5), the 14th to the 17th field).
fn ticks(containers: &[String]) -> Taken {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let mut taken = Taken::default();
    for process in processes {
        let text = |file: &str| fs::read_to_string(process.join(file)).unwrap_or_default();
        let (name, line, groups) = (text("comm"), text("cmdline"), text("cgroup"));
        let is_engine = ["dockerd", "containerd"].contains(&name.trim());
        let is_theirs = containers.iter().any(|id| groups.contains(id.as_str()) || line.contains(id.as_str()));
        if !is_engine && !is_theirs {
            continue;
        }
        let stat = text("stat");
        let fields = stat.rsplit_once(')').into_iter().flat_map(|(_, rest)| rest.split_whitespace().skip(11).take(4));
        let ticks = fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
        taken.all += ticks;
        if is_theirs && line.contains("du -sk") {
            taken.gauges += ticks;
        }
    }
    taken
}
