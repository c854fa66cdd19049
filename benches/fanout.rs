//! One event to very many subscribers of a project: `cargo bench --bench fanout`. Needs no engine.
//!
//! A server on SQLite and beside it, in the same run and in turn, the least that could do it: axum, which passes the bytes
//! of the same message on to as many WebSockets from a broadcast channel. Both are processes of their own, and so are their
//! clients.
//!
//! 1. CPU time of the server for each delivery. Target: at most twice that of the bare one.
//! 2. Memory of the server for each subscriber. Target: at most 20 kB.
//! 3. From the mutation until the last subscriber has heard. Target: 500 ms on two cores.
//!
//! `SUBSCRIBERS` (10000), `ROUNDS` (20) and `SERVER` (the path of another build of the server) change the run.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark that can't go on has failed, and it reports"
)]

#[path = "fanout/bare.rs"]
mod bare;
#[path = "fanout/clients.rs"]
mod clients;
#[path = "fanout/measured.rs"]
mod measured;

use std::time::Duration;

use clients::Clients;
use jsonwebtoken::{EncodingKey, Header, encode};
use measured::Measured;
use serde_json::{Value, json};

const SECRET: &str = "the secret of the benchmarks, which is long enough";
const PROJECT: &str = "bench";

/// What most clients of a dashboard want to know of an event.
const SUBSCRIPTION: &str = "subscription($project: ID!, $after: String) { serviceEvents(projectId: $project, after: $after) { \
    cursor serviceId revision previousState state operation { kind phase } message actor occurredAt \
    service { id revision state } } }";

fn main() {
    let role = std::env::var("ROLE").unwrap_or_default();
    let threads = match role.as_str() {
        "clients" => 1,
        _ => 2,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    runtime.block_on(async {
        match role.as_str() {
            "bare" => bare::serve().await,
            "clients" => clients::listen().await,
            _ => compare().await,
        }
    });
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

async fn compare() {
    let (subscribers, rounds) = (setting("SUBSCRIBERS", 10_000), setting("ROUNDS", 20));
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), subscribers);
    let service = server.provision().await;
    let cursor = server.settled_cursor(&service).await;
    // One event that each is told at first, by which it is known to listen.
    server.protect(&service, true).await;

    let before = server.process.memory();
    let variables = json!({"project": PROJECT, "after": cursor});
    let subscribe = json!({"query": SUBSCRIPTION, "variables": variables});
    let mut ours = Clients::of_server(&server.address, &token(), &subscribe, subscribers);
    let message = ours.first_message();
    let took = server.process.memory().saturating_sub(before);
    let bare = Measured::bare();
    let bare_before = bare.memory();
    let mut bares = Clients::of_bare(&bare.address, subscribers);
    bare.send(&message).await;
    bares.first_message();
    let bare_took = bare.memory().saturating_sub(bare_before);
    println!("{subscribers} subscribers, {rounds} events of {} bytes each", message.len());
    println!("memory for each: {:.1} kB; bare {:.1} kB", kb(took, subscribers), kb(bare_took, subscribers));

    let (cpu, bare_cpu) = (server.process.cpu(), bare.cpu());
    let (mut latencies, mut bare_latencies) = (Vec::new(), Vec::new());
    let mut deliveries = 0;
    for round in 0..rounds {
        let asked = clients::now();
        server.protect(&service, round % 2 == 1).await;
        let (heard, last) = ours.all_heard();
        deliveries += heard;
        latencies.push(Duration::from_micros(last - asked));
        let asked = clients::now();
        bare.send(&message).await;
        let (_, last) = bares.all_heard();
        bare_latencies.push(Duration::from_micros(last - asked));
    }
    let each = micros(server.process.cpu() - cpu, deliveries);
    let bare_each = micros(bare.cpu() - bare_cpu, subscribers * rounds);
    println!("CPU a delivery: {each:.1} µs; bare {bare_each:.1} µs; ratio {:.2}", each / bare_each);
    report("until the last has heard", &mut latencies);
    report("bare", &mut bare_latencies);
    let after = server.process.memory().saturating_sub(before);
    println!("memory for each afterwards: {:.1} kB", kb(after, subscribers));
}

fn kb(bytes: u64, subscribers: usize) -> f64 {
    bytes as f64 / subscribers as f64 / 1000.0
}

fn micros(time: Duration, deliveries: usize) -> f64 {
    time.as_secs_f64() * 1e6 / deliveries as f64
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort();
    println!("{what}: median {:.0?}, slowest {:.0?}", times[times.len() / 2], times[times.len() - 1]);
}

fn token() -> String {
    let expires = jiff::Timestamp::now().as_second() + 3600;
    let permissions = ["project:settings", "project:delete"];
    let claims = json!({"sub": "bench", "exp": expires, "projects": [PROJECT], "permissions": permissions});
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// The server that is measured.
struct Server {
    process: Measured,
    address: String,
    client: reqwest::Client,
}

impl Server {
    fn start(directory: &std::path::Path, subscribers: usize) -> Self {
        let most = (subscribers + 100).to_string();
        let settings = [
            ("LISTEN_ADDRESS", "127.0.0.1:0"),
            ("DATA_DIR", directory.to_str().unwrap()),
            ("JWT_SECRET", SECRET),
            ("ENCRYPTION_KEYS", "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
            // Nothing is provisioned, so that nothing happens but what is asked for.
            ("DOCKER_HOST", "unix:///nowhere.sock"),
            ("LOG_FORMAT", "json"),
            ("LOG_FILTER", "warn,project_services::server=info"),
            ("MAX_WEBSOCKETS", &most),
            ("MAX_CONNECTIONS", "500"),
            ("MAX_SUBSCRIPTIONS", &most),
            ("SUBSCRIPTIONS_PER_SUBJECT", &most),
            ("RATE_LIMIT_SUBJECT", "10000000"),
            ("INIT_TIMEOUT", "120"),
        ];
        let binary = std::env::var("SERVER").unwrap_or_else(|_| env!("CARGO_BIN_EXE_project-services").to_owned());
        let (process, address) = Measured::server(&binary, &settings);
        Self { process, address, client: reqwest::Client::new() }
    }

    async fn run(&self, query: &str, variables: Value) -> Value {
        let request = self.client.post(format!("http://{}/graphql", self.address)).bearer_auth(token());
        let answer = request.json(&json!({"query": query, "variables": variables})).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    }

    async fn provision(&self) -> String {
        let mutation = "mutation($project: ID!) { provisionService(input: {projectId: $project, kind: REDIS}) { service { id } } }";
        let data = self.run(mutation, json!({"project": PROJECT})).await;
        data["provisionService"]["service"]["id"].as_str().unwrap().to_owned()
    }

    /// The cursor of the last event, once there are no more of them by themselves.
    async fn settled_cursor(&self, service: &str) -> String {
        let query = "query($id: ID!) { service(id: $id) { error { code } events(last: 1) { nodes { cursor } } } }";
        loop {
            let data = self.run(query, json!({"id": service})).await;
            if !data["service"]["error"].is_null() {
                return data["service"]["events"]["nodes"][0]["cursor"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes one event.
    async fn protect(&self, service: &str, enabled: bool) {
        let mutation = "mutation($id: ID!, $enabled: Boolean!) { \
            setDeletionProtection(input: {id: $id, enabled: $enabled}) { service { id } } }";
        self.run(mutation, json!({"id": service, "enabled": enabled})).await;
    }
}
