//! A PostgreSQL that pgbench writes to as fast as it can is backed up and brought back to moments that chance picks. What pgbench
//! noted of each transaction, outside, decides what there has to be.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;

use crate::backups::{back_up, sql};
use crate::point_in_time::{into_new, keep, reaches, window};
use crate::soak::{come, comes_to, into_another};
use crate::support::chance::Chance;
use crate::support::client::Client;
use crate::support::docker::{LABEL, docker, preview};
use crate::support::eventually;
use crate::support::server::Server;

const CLIENTS: usize = 4;

/// Writes until it is ended.
struct Pgbench {
    container: String,
    directory: TempDir,
}

impl Pgbench {
    fn start(server: &Server, url: &str) -> Self {
        preview(&server.test, &server.network(), "postgres:17", &["pgbench", "-i", "-q", url]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (label, clients) = (format!("{LABEL}={}", server.test), CLIENTS.to_string());
        let volume = format!("{}:/noted", directory.path().display());
        let place = ["run", "-d", "--network", &server.network(), "--label", &label, "-v", &volume];
        let run = ["--entrypoint", "pgbench", "postgres:17", "-n", "-c", &clients, "-T", "3600"];
        let log = ["-l", "--log-prefix", "/noted/log", url];
        let container = docker(&[&place[..], &run, &log].concat());
        Self { container, directory }
    }

    fn has_begun(&self) -> bool {
        std::fs::read_dir(self.directory.path()).unwrap().any(|entry| entry.unwrap().metadata().unwrap().len() > 0)
    }

    /// Ends its connections, whereupon it writes down what it has noted; gives the times at which it knew a transaction to be
    /// committed, in order.
    async fn end(self, server: &Server, url: &str) -> Vec<Timestamp> {
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'pgbench'";
        assert_eq!(sql(server, url, end).unwrap().trim(), CLIENTS.to_string());
        docker(&["wait", &self.container]);
        docker(&["rm", &self.container]);
        let logs = std::fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let texts: String = logs.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        // client, number, microseconds that it took, script, and when it ended: seconds and microseconds.
        let time = |line: &str| {
            let words: Vec<i64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
            Timestamp::from_second(words[4]).unwrap() + SignedDuration::from_micros(words[5])
        };
        let mut times: Vec<_> = texts.lines().map(time).collect();
        times.sort();
        times
    }
}

/// How many transactions are there, each of them whole.
fn whole(server: &Server, url: &str) -> usize {
    let sums = "SELECT count(*), coalesce(sum(delta), 0), (SELECT sum(abalance) FROM pgbench_accounts),
        (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches)
        FROM pgbench_history";
    let held = sql(server, url, sums).unwrap();
    let words: Vec<i64> = held.trim().split('|').map(|word| word.parse().unwrap()).collect();
    assert!(words[2..].iter().all(|sum| *sum == words[1]), "part of a transaction is missing: {held}");
    usize::try_from(words[0]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_pgbench_commits_at_full_speed_comes_back_as_of_any_moment_and_of_backups_meanwhile() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    // Beside what writes, one of the smallest size has next to no CPU time left for what is read of it.
    let size = json!({"projectId": client.project, "kind": "POSTGRESQL", "version": "17", "tier": "STANDARD"});
    let id = client.provision_with(size).await["id"].as_str().unwrap().to_owned();
    come(&client, &id).await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    keep(&client, &id, true).await;
    reaches(&client, &id, Timestamp::UNIX_EPOCH).await;
    let pgbench = Pgbench::start(&server, &url);
    let begun = eventually("what it notes first", async || pgbench.has_begun().then(Timestamp::now)).await;

    let mut copies = Vec::new();
    for name in ["first", "second"] {
        let before = Timestamp::now();
        let made = back_up(&client, &id).await;
        comes_to(&client, &made, "AVAILABLE").await;
        let until = Timestamp::now();
        let copy = into_another(&client, &made, name).await;
        come(&client, &copy).await;
        copies.push(((before, until), copy));
    }
    let last = Timestamp::now();
    let mut chance = Chance::of("PGBENCH_SEED");
    reaches(&client, &id, last).await;
    for name in ["one", "two", "three"] {
        let part = i64::try_from(chance.below(1_000_000)).unwrap();
        let micros = last.duration_since(begun).as_micros() as i64 * part / 1_000_000;
        let at = begun + SignedDuration::from_micros(micros);
        let copy = into_new(&client, &id, at, name).await;
        come(&client, &copy).await;
        copies.push(((at, at), copy));
    }
    let noted = pgbench.end(&server, &url).await;
    let by = |at: Timestamp| noted.partition_point(|time| *time <= at);
    let rows = whole(&server, &url);
    assert!((noted.len()..=noted.len() + CLIENTS).contains(&rows), "{rows} of {}", noted.len());
    for ((from, to), copy) in &copies {
        let rows = whole(&server, &client.reveal(copy).await["DATABASE_URL"]);
        // Of each client one more may have been committed that it had not heard of by then.
        let allowed = by(*from)..=by(*to) + CLIENTS;
        eprintln!("{from} to {to}: {rows} of {allowed:?}");
        assert!(allowed.contains(&rows), "{from} to {to}: {rows} of {allowed:?}");
    }
    let seen = window(&client, &id).await.unwrap();
    assert!(seen.gaps.is_empty(), "{seen:?}");
    let seconds = noted[noted.len() - 1].duration_since(noted[0]).as_secs_f64();
    eprintln!("{rows} transactions in {seconds:.0} s");
}
