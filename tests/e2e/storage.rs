//! A tenant that fills its volume takes no more than its size, and its neighbours go on.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::client::Client;
use crate::support::docker::{inspect, inspect_a, preview};
use crate::support::engine::Engine;
use crate::support::server::{SUPERUSER, Server};
use crate::support::{PATIENCE, eventually};

const MIB: u64 = 1024 * 1024;
/// What both kinds have in their smallest size.
const POSTGRESQL: u64 = 1024;
const REDIS: u64 = 512;

/// Sees how much a volume takes on the engine's disk, again and again, without the server's help.
struct Peak {
    most: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    watching: Option<JoinHandle<()>>,
}

impl Peak {
    fn of(id: &str) -> Self {
        let path = inspect_a("volume", id)["Mountpoint"].as_str().unwrap().to_owned();
        let (most, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let watching = thread::spawn({
            let (most, ended) = (Arc::clone(&most), Arc::clone(&ended));
            move || {
                while !ended.load(Ordering::SeqCst) {
                    let output = Command::new("du").args(["-sk", &path]).output().unwrap();
                    let text = String::from_utf8_lossy(&output.stdout).into_owned();
                    let kib: u64 = text.split_whitespace().next().unwrap().parse().unwrap();
                    most.fetch_max(kib * 1024 / MIB, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(50));
                }
            }
        });
        Self { most, ended, watching: Some(watching) }
    }

    /// The most that it took, in MiB.
    fn most(&self) -> u64 {
        self.most.load(Ordering::SeqCst)
    }
}

impl Drop for Peak {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = self.watching.take().unwrap().join();
    }
}

/// A service, as a preview uses it.
#[derive(Clone)]
struct Tenant {
    id: String,
    url: String,
    test: String,
    network: String,
}

impl Tenant {
    async fn provision(server: &Server, client: &Client, input: Value, key: &str) -> Self {
        let id = client.provision_with(input).await["id"].as_str().unwrap().to_owned();
        client.settled(&id, "RUNNING").await;
        let url = client.reveal(&id).await[key].clone();
        Self { id, url, test: server.test.clone(), network: server.network() }
    }

    fn sql(&self, statements: &[&str]) -> Result<String, String> {
        let mut command = vec!["psql", &self.url, "-qtA", "-v", "ON_ERROR_STOP=1"];
        for statement in statements {
            command.extend(["-c", statement]);
        }
        preview(&self.test, &self.network, "postgres:17", &command)
    }

    fn redis(&self, words: &[&str]) -> String {
        let command = ["redis-cli", "--no-auth-warning", "-u", &self.url];
        preview(&self.test, &self.network, "redis:7", &[&command, words].concat()).unwrap()
    }

    /// The same beside what follows.
    fn beside<T: Send + 'static>(&self, work: impl FnOnce(Self) -> T + Send + 'static) -> JoinHandle<T> {
        let tenant = self.clone();
        thread::spawn(move || work(tenant))
    }
}

/// What is shown of it, once it is so.
async fn shown(client: &Client, id: &str, state: &str, code: Option<&str>) -> Value {
    let query = "query($id: ID!) { service(id: $id) { state error { code message } operation { kind }
        storage { usedMib limitMib enforcement } } }";
    eventually(&format!("{state} {code:?}"), async || {
        let service = client.data(query, json!({"id": id})).await["service"].clone();
        let is_so =
            service["state"] == state && service["operation"].is_null() && service["error"]["code"].as_str() == code;
        is_so.then_some(service)
    })
    .await
}

/// Until it runs, started by hand where it was stopped and its end has not made room.
async fn runs(client: &Client, id: &str) {
    let query = "query($id: ID!) { service(id: $id) { state operation { kind } } }";
    let start = "mutation($id: ID!) { startService(input: {id: $id}) { service { id } } }";
    eventually("it to run", async || {
        let service = client.data(query, json!({"id": id})).await["service"].clone();
        if service["state"] == "ERROR" && inspect(id)["State"]["Running"] == false {
            // It may have been started meanwhile.
            client.execute(start, json!({"id": id})).await;
        }
        (service["state"] == "RUNNING" && service["operation"].is_null()).then_some(())
    })
    .await;
}

async fn messages(client: &Client, id: &str) -> Vec<String> {
    let query = "query($id: ID!) { service(id: $id) { events(last: 100) { nodes { message } } } }";
    let data = client.data(query, json!({"id": id})).await;
    let events = data["service"]["events"]["nodes"].as_array().unwrap().clone();
    events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

/// Rows of a kilobyte, which is too little to be compressed.
fn fill(table: &str, mib: u64) -> String {
    format!("create table {table} as select i, repeat(md5(i::text), 31) as x from generate_series(1, {}) i", mib * 1000)
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_takes_no_more_than_its_size_and_its_neighbour_goes_on() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let postgresql = |name: &str| json!({"projectId": client.project, "kind": "POSTGRESQL", "tier": "DEV", "version": "17", "name": name});
    let hog = Tenant::provision(&server, &client, postgresql("hog"), "DATABASE_URL").await;
    let neighbour = Tenant::provision(&server, &client, postgresql("neighbour"), "DATABASE_URL").await;
    let run = inspect(&hog.id)["State"]["StartedAt"].clone();
    let peak = Peak::of(&hog.id);
    let roomy = shown(&client, &hog.id, "RUNNING", None).await;
    assert_eq!(
        (&roomy["storage"]["limitMib"], &roomy["storage"]["enforcement"]),
        (&json!(POSTGRESQL), &json!("GUARDED"))
    );

    // Tables, with one that is kept from before, while the neighbour writes one row after another.
    hog.sql(&["create table kept as select 1 as x"]).unwrap();
    // Whoever watches hears of a warning when it is given, and of nothing else before.
    let mut events = client.events(None).await;
    // Beside it, for a client that is not read answers no ping.
    let filling = hog.beside(|hog| hog.sql(&[&fill("first", 650)]));
    let warning = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    filling.join().unwrap().unwrap();
    let message = warning["message"].as_str().unwrap();
    assert!(message.starts_with("hog holds 80 % of the 1024 MiB"), "{message}");
    assert_eq!((&warning["serviceId"], &warning["state"]), (&json!(hog.id), &json!("RUNNING")));
    neighbour.sql(&["create table t (x int)"]).unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let going_on = neighbour.beside({
        let full = Arc::clone(&full);
        move |neighbour| {
            let mut rows = 0;
            while !full.load(Ordering::SeqCst) || rows == 0 {
                rows += 1;
                neighbour.sql(&["insert into t values (1)"]).unwrap();
            }
            rows
        }
    });
    // A table at a time, until it stays full: what a session that is ended had not committed, and WAL, make room again.
    let filling = hog.beside(|hog| {
        let (mut table, mut refusals) = (0, Vec::new());
        while refusals.len() < 5 {
            table += 1;
            match hog.sql(&[&fill(&format!("t{table}"), 30), "checkpoint"]) {
                Ok(_) => refusals.clear(),
                Err(refusal) => refusals.push(refusal),
            }
        }
        refusals.pop().unwrap()
    });
    let refused = filling.join().unwrap();
    let service = shown(&client, &hog.id, "RUNNING", Some("STORAGE_FULL")).await;
    full.store(true, Ordering::SeqCst);
    let rows = going_on.join().unwrap();
    assert_eq!(neighbour.sql(&["select count(*) from t"]), Ok(rows.to_string()));
    assert!(service["storage"]["usedMib"].as_u64().unwrap() >= POSTGRESQL * 95 / 100, "{service}");
    assert!(peak.most() < POSTGRESQL * 5 / 4, "{} MiB", peak.most());
    eprintln!("tables: {} MiB at most, and the client was told: {refused}", peak.most());

    // It is read, and what deletes says that it means it.
    assert_eq!(hog.sql(&["select x from kept"]), Ok("1".to_owned()));
    let refused = hog.sql(&["drop table kept"]).unwrap_err();
    assert!(refused.contains("read-only transaction"), "{refused}");
    let told = messages(&client, &hog.id).await;
    let is_told = |part: &str| told.iter().any(|message| message.contains(part));
    assert!(
        is_told("hog holds 80 % of the 1024 MiB that its size has.") && is_told("takes no more writes"),
        "{told:?}"
    );

    // Who writes on all the same is stopped.
    let defying = hog.beside(|hog| {
        for table in 0..20 {
            let written = hog.sql(&["set default_transaction_read_only = off", &fill(&format!("more{table}"), 30)]);
            if written.is_err() && hog.sql(&["select 1"]).is_err() {
                return;
            }
        }
        panic!("it was never stopped");
    });
    let service = shown(&client, &hog.id, "ERROR", Some("STORAGE_FULL")).await;
    defying.join().unwrap();
    assert!(service["error"]["message"].as_str().unwrap().contains("its data is kept"), "{service}");
    assert!(peak.most() < POSTGRESQL * 5 / 4, "{} MiB", peak.most());
    eprintln!("defied: {} MiB at most", peak.most());

    // It can be started to be cleaned up, and then takes writes again.
    runs(&client, &hog.id).await;
    let drops: Vec<_> = (1..10).map(|table| format!("drop table if exists t{table}")).collect();
    let mut cleaning = vec!["set default_transaction_read_only = off", "drop table first"];
    cleaning.extend(drops.iter().map(String::as_str));
    cleaning.push("checkpoint");
    hog.sql(&cleaning).unwrap();
    shown(&client, &hog.id, "RUNNING", None).await;
    eventually("it to take writes", async || hog.sql(&["insert into kept values (2)"]).ok()).await;
    assert_ne!(inspect(&hog.id)["State"]["StartedAt"], run);
    assert!(messages(&client, &hog.id).await.iter().any(|message| message == "hog has room again, and takes writes."));
    assert_eq!(neighbour.sql(&["select count(*) from t"]), Ok(rows.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_files_and_a_stale_slot_are_part_of_it_and_a_larger_size_is_a_way_out() {
    let server = Server::start(&[SUPERUSER]).await;
    let client = Client::new(&server);
    let input =
        json!({"projectId": client.project, "kind": "POSTGRESQL", "tier": "DEV", "version": "17", "name": "hog"});
    let hog = Tenant::provision(&server, &client, input, "DATABASE_URL").await;
    let peak = Peak::of(&hog.id);
    hog.sql(&["select pg_create_physical_replication_slot('stale', true)"]).unwrap();
    hog.sql(&[&fill("t", 150)]).unwrap();
    // Each stays below what a query may take in temporary files, and holds them however slow the others are.
    let sort = "declare sorted cursor for select x from t, generate_series(1, 6) g where i % 5 = 0 order by x, g";
    let hold = format!("select pg_sleep({})", PATIENCE.as_secs());
    let sorting: Vec<_> = (0..5)
        .map(|_| {
            let hold = hold.clone();
            hog.beside(move |hog| hog.sql(&["begin", sort, "fetch 1 from sorted", &hold]))
        })
        .collect();
    // All of them at once may be so fast that it is stopped right after it was told to take no more.
    let query = "query($id: ID!) { service(id: $id) { error { code } } }";
    eventually("it to be full", async || {
        let service = client.data(query, json!({"id": hog.id})).await["service"].clone();
        (service["error"]["code"] == "STORAGE_FULL").then_some(())
    })
    .await;
    let ended: Vec<_> = sorting.into_iter().filter_map(|sorting| sorting.join().unwrap().err()).collect();
    assert!(!ended.is_empty(), "their temporary files are theirs until they end");
    assert!(peak.most() < POSTGRESQL * 5 / 4, "{} MiB", peak.most());
    eprintln!("temporary files: {} MiB at most; {} of 5 were ended", peak.most(), ended.len());
    runs(&client, &hog.id).await;
    shown(&client, &hog.id, "RUNNING", None).await;

    let filling = hog.beside(|hog| hog.sql(&[&fill("more", 1000)]));
    shown(&client, &hog.id, "RUNNING", Some("STORAGE_FULL")).await;
    filling.join().unwrap().unwrap_err();
    let resize = "mutation($id: ID!) { resizeService(input: {id: $id, tier: STANDARD, apply: AT_NEXT_RESTART}) { service { id } } }";
    client.data(resize, json!({"id": hog.id})).await;
    let service = shown(&client, &hog.id, "RUNNING", None).await;
    assert_eq!(service["storage"]["limitMib"], 5 * POSTGRESQL);
    eventually("it to take writes", async || hog.sql(&["create table room as select 1"]).ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_whose_log_grows_takes_no_more_until_it_is_rewritten() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let input = json!({"projectId": client.project, "kind": "REDIS", "tier": "DEV", "version": "7", "name": "hog"});
    let hog = Tenant::provision(&server, &client, input, "REDIS_URL").await;
    let peak = Peak::of(&hog.id);
    hog.redis(&["config", "set", "auto-aof-rewrite-percentage", "0"]);
    hog.redis(&["set", "kept", "1", "ex", "10000"]);
    // The same key over and over: little in memory, and all of it in the log.
    let filling = hog.beside(|hog| {
        let write =
            "local x = string.rep('x', 1000000) for i = 1, 10 do redis.call('set', 'k', x .. i) end return 'written'";
        let ask = format!("redis-cli --no-auth-warning -u '{}' eval \"{write}\" 0", hog.url);
        let loops =
            format!("for n in $(seq 200); do said=$({ask} 2>&1); [ \"$said\" = written ] || break; done; echo $said");
        preview(&hog.test, &hog.network, "redis:7", &["sh", "-c", &loops]).unwrap()
    });
    shown(&client, &hog.id, "RUNNING", Some("STORAGE_FULL")).await;
    let told = filling.join().unwrap();
    assert!(told.contains("OOM"), "{told}");
    assert!(peak.most() < REDIS * 5 / 4, "{} MiB", peak.most());
    eprintln!("redis: {} MiB at most", peak.most());
    shown(&client, &hog.id, "RUNNING", None).await;
    eventually("it to take writes", async || (hog.redis(&["set", "more", "1"]) == "OK").then_some(())).await;
    assert_eq!(hog.redis(&["get", "kept"]), "1", "nothing was evicted for it");
    assert!(hog.redis(&["config", "get", "maxmemory"]).contains(&(80 * MIB).to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_grows_while_the_host_has_too_little_space_takes_no_more_and_who_does_not_goes_on() {
    let engine = Engine::start_on(Some(700), &[]).await;
    engine.load("redis:7");
    let server = Server::start(&[("DOCKER_HOST", &engine.host()), ("HOST_RESERVE", "40")]).await;
    let client = Client::new(&server);
    // What is on this disk counts towards a container's memory.
    let mut ids = Vec::new();
    for name in ["hog", "neighbour"] {
        let input =
            json!({"projectId": client.project, "kind": "REDIS", "tier": "PERFORMANCE", "version": "7", "name": name});
        let id = client.provision_with(input).await["id"].as_str().unwrap().to_owned();
        client.settled(&id, "RUNNING").await;
        let password = client.reveal(&id).await["REDIS_PASSWORD"].clone();
        ids.push((id, password));
    }
    let [(hog, password), (neighbour, other)] = &ids[..] else { panic!("there are two") };
    let redis = |id: &str, password: &str, command: &str| {
        let ask = format!("redis-cli --no-auth-warning -a {password} {command}");
        engine.docker(&["exec", id, "sh", "-c", &ask])
    };
    redis(hog, password, "config set auto-aof-rewrite-percentage 0");
    let write =
        "local x = string.rep('x', 1000000) for i = 1, 10 do redis.call('set', 'k', x .. i) end return 'written'";
    let mut rounds = 0;
    while redis(hog, password, &format!("eval \"{write}\" 0")) == "written" {
        assert_eq!(redis(neighbour, other, "set k 1"), "OK");
        rounds += 1;
        assert!(rounds < 50, "it fills the disk");
    }
    let told = messages(&client, hog).await;
    assert!(told.iter().any(|message| message.contains("Its host has too little space left")), "{told:?}");
    assert_eq!(redis(neighbour, other, "set k 2"), "OK");
    let told = messages(&client, neighbour).await;
    assert!(!told.iter().any(|message| message.contains("takes no more writes")), "{told:?}");
    // Its log is rewritten, and the host has space again.
    shown(&client, hog, "RUNNING", None).await;
    eventually("it to take writes", async || (redis(hog, password, "set k 1") == "OK").then_some(())).await;
}
