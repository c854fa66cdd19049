//! Backup and restore of a database of 1 GB, beside what a person would do by hand: `cargo bench --bench backups`. Needs the
//! engine and the images that `make test` provides, and zstd.
//!
//! 1. From the mutation to AVAILABLE, in a directory; by hand `pg_basebackup | zstd` of the same server, with the same level and
//!    as many threads, into a file that is on the disk then. Target: at most 1.15 times as long.
//! 2. From the mutation to RUNNING of a new service; by hand `zstd -d | tar -x` of that file into a volume, and the start of a
//!    server that lets in. Target: the same.
//! 3. The most memory that the sidecar takes meanwhile. Target: under 64 MB.
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
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::client::Client;
use support::docker::{LABEL, docker, preview};
use support::eventually;
use support::server::Server;

const ROUNDS: usize = 5;
/// About 1 GB of rows, whose text has half as much in it as it is long.
const FILL: &str = "CREATE TABLE filling AS SELECT g, md5(g::text) || md5((-g)::text) || md5((g * 3)::text) AS text \
    FROM generate_series(1, 7600000) g";
/// What the service and the one by hand may take: that of the size PERFORMANCE.
const LIMITS: [&str; 8] = ["--memory", "1024m", "--memory-swap", "1024m", "--cpus", "2", "--shm-size", "256m"];
const DATA: &str = "/var/lib/postgresql/data/pgdata";

#[tokio::main]
async fn main() {
    let server = Server::start(&[("LOG_FILTER", "warn,project_services::server=info")]).await;
    let client = Client::new(&server);
    let input = json!({"projectId": client.project, "kind": "POSTGRESQL", "version": "17", "tier": "PERFORMANCE"});
    let source = client.provision_with(input).await["id"].as_str().unwrap().to_owned();
    client.settled(&source, "RUNNING").await;
    let credentials = client.reveal(&source).await;
    for statement in [FILL, "VACUUM ANALYZE filling", "CHECKPOINT"] {
        let command = ["psql", &credentials["DATABASE_URL"], "-qtA", "-v", "ON_ERROR_STOP=1", "-c", statement];
        preview(&server.test, &server.network(), "postgres:17", &command).unwrap();
    }
    let config = |host: &str| {
        let [user, password, database] = ["PGUSER", "PGPASSWORD", "PGDATABASE"].map(|key| &credentials[key]);
        format!("host={host} user={user} password={password} dbname={database} connect_timeout=1")
    };

    let file = server.directory().join("by-hand.tar.zst");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut newest = Value::Null;
    println!("memory before: {} MiB", server.memory("VmHWM"));
    for round in 0..ROUNDS {
        let began = Instant::now();
        newest = backed_up(&client, &source).await;
        ours.push(began.elapsed());
        theirs.push(backed_up_by_hand(&source, &file));
        println!("backup {round}: {:.2?} {:.2?}", ours[round], theirs[round]);
    }
    let [content, stored] = ["contentBytes", "storedBytes"].map(|key| newest[key].as_u64().unwrap() >> 20);
    let by_hand = std::fs::metadata(&file).unwrap().len() >> 20;
    println!("{content} MiB, kept in {stored} MiB, by hand in {by_hand} MiB");
    told("mutation to AVAILABLE", "pg_basebackup | zstd", &mut ours, &mut theirs);
    println!("memory at the most: {} MiB", server.memory("VmHWM"));

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        ours.push(restored(&client, newest["id"].as_str().unwrap(), round).await);
        theirs.push(restored_by_hand(&server, &file, round, config).await);
        println!("restore {round}: {:.2?} {:.2?}", ours[round], theirs[round]);
    }
    told("mutation to RUNNING", "zstd -d | tar -x and a start", &mut ours, &mut theirs);
    println!("memory at the most: {} MiB", server.memory("VmHWM"));
}

fn told(what: &str, by_hand: &str, ours: &mut [Duration], theirs: &mut [Duration]) {
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("{what}: {ours:.2?}; {by_hand}: {theirs:.2?}; ratio {ratio:.2}");
}

async fn backed_up(client: &Client, id: &str) -> Value {
    let mutation = "mutation($id: ID!) { createBackup(input: {id: $id}) { backup { id } } }";
    let backup = client.data(mutation, json!({"id": id})).await["createBackup"]["backup"]["id"].clone();
    eventually("the backup to be whole", async || {
        let query = "query($id: ID!) { backup(id: $id) { id state contentBytes storedBytes error { message } } }";
        let backup = client.data(query, json!({"id": backup})).await["backup"].clone();
        assert_ne!(backup["state"], "FAILED", "{backup}");
        (backup["state"] == "AVAILABLE").then_some(backup)
    })
    .await
}

fn backed_up_by_hand(id: &str, file: &Path) -> Duration {
    let script = "set -o pipefail
        docker exec --user postgres \"$1\" sh -c \
            'exec pg_basebackup -U \"$POSTGRES_USER\" -h /var/run/postgresql -D - -F tar -X fetch -c fast' |
        zstd -3 -T1 -q -f -o \"$2\" && sync \"$2\"";
    timed(script, &[id, file.to_str().unwrap()])
}

async fn restored(client: &Client, backup: &str, round: usize) -> Duration {
    let began = Instant::now();
    let mutation = "mutation($id: ID!, $name: String!) {
        restoreService(input: {backupId: $id, into: {newService: {name: $name}}}) { service { id } } }";
    let data = client.data(mutation, json!({"id": backup, "name": format!("restored-{round}")})).await;
    let id = data["restoreService"]["service"]["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    let took = began.elapsed();
    client.act("destroyService", &id).await;
    client.settled(&id, "DESTROYED").await;
    took
}

/// Until the server lets its user in over TCP.
async fn restored_by_hand(server: &Server, file: &Path, round: usize, config: impl Fn(&str) -> String) -> Duration {
    let (name, label) = (format!("by-hand-{}-{round}", server.test), format!("{LABEL}={}", server.test));
    let (network, volume) = (server.network(), format!("{name}:/var/lib/postgresql/data"));
    let run = ["run", "--detach", "--name", &name, "--label", &label, "--network", &network, "--volume", &volume];
    let began = Instant::now();
    docker(&["volume", "create", "--label", &label, &name]);
    docker(&[&run[..], &LIMITS, &["--entrypoint", "sleep", "postgres:17", "3600"]].concat());
    docker(&["exec", "--user", "postgres", &name, "mkdir", "-m", "700", DATA]);
    let script = "set -o pipefail
        zstd -d -q -c \"$1\" | docker exec --interactive --user postgres \"$2\" tar -x -C \"$3\"";
    timed(script, &[file.to_str().unwrap(), &name, DATA]);
    docker(&["rm", "--force", &name]);
    let variable = format!("PGDATA={DATA}");
    docker(&[&run[..], &LIMITS, &["--env", &variable, "postgres:17"]].concat());
    let address = docker(&["inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", &name]);
    while tokio_postgres::connect(&config(&address), tokio_postgres::NoTls).await.is_err() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = began.elapsed();
    docker(&["rm", "--force", &name]);
    docker(&["volume", "rm", &name]);
    took
}

fn timed(script: &str, arguments: &[&str]) -> Duration {
    let began = Instant::now();
    let status = Command::new("bash").args(["-c", script, "by-hand"]).args(arguments).status().unwrap();
    assert!(status.success(), "{status}: {script}");
    began.elapsed()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
