//! What reads cost, in CPU time of the server per request, beside the same reads of mercurius with its JIT on
//! better-sqlite3: `cargo bench --bench reads`, after `npm ci` in benches/peers. Needs no engine.
//!
//! 1. A page of 50 of 10,000 services with 13 fields each. Target: at most 0.75 of the peer's.
//! 2. The same with the id alone.
//! 3. `viewer`. Target: at most 35 µs.
//!
//! With the server that `.ci/with-postgres` starts, the same on PostgreSQL. Target: within 1.5 of SQLite's.
//!
//! The servers take turns, round by round, since others may use the machine; what is shown are medians.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that can't go on has failed, and it reports"
)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use jsonwebtoken::{EncodingKey, Header, encode};
use project_services::domain::service::{Evidence, Published, RunId, SizeTier, TierSpec};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SERVICES: usize = 10_000;
const CONNECTIONS: usize = 16;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(2);
/// For the peer to compile its queries, and for pools and caches to fill.
const WARM_UP: Duration = Duration::from_secs(3);

const SECRET: &str = "the secret of the benches, which is long enough";
const KEY: &str = "bench:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const FIELDS: &str =
    "id projectId name kind version state hostname port externalHost externalPort revision createdAt updatedAt";

/// Clock ticks a second, in which Linux counts the time of processes (`USER_HZ`, proc_pid_stat(5)).
const TICKS: u64 = 100;

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("project-services.db");
    let url = format!("sqlite:{}", file.display());
    migrate(&url, directory.path());
    let mut sqlite = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    for statement in fill() {
        sqlite.batch_execute(&statement).unwrap();
    }
    let peers = directory.path().join("peer.db");
    sqlite.batch_execute(&plain(&peers)).unwrap();
    drop(sqlite);

    let mut servers = vec![Server::ours("SQLite", &url, directory.path()), Server::peer(&peers)];
    let postgres = Postgres::new().await;
    if let Some(postgres) = &postgres {
        migrate(&postgres.url, directory.path());
        let client = postgres.client(&postgres.url).await;
        for statement in fill() {
            client.batch_execute(&statement).await.unwrap();
        }
        client.batch_execute("ANALYZE").await.unwrap();
        servers.push(Server::ours("PostgreSQL", &postgres.url, directory.path()));
    }

    let page = |fields: &str| {
        let query = format!(
            "query Page($project: ID!) {{ services(projectId: $project, first: 50, filter: {{includeDestroyed: true}}) \
             {{ nodes {{ {fields} }} }} }}"
        );
        json!({"query": query, "variables": {"project": "bench"}})
    };
    println!("CPU time per request in µs, {CONNECTIONS} connections, medians of {ROUNDS} rounds");
    for (name, body) in [
        ("50 services, 13 fields", page(FIELDS)),
        ("50 services, id", page("id")),
        ("viewer", json!({"query": "{ viewer { subject projects permissions expiresAt } }"})),
    ] {
        measure(name, &body, &servers).await;
    }
    drop(servers);
    if let Some(postgres) = postgres {
        postgres.drop().await;
    }
}

/// Prints what the request costs each server, and how that is to what it costs the first one and the peer.
async fn measure(name: &str, body: &Value, servers: &[Server]) {
    let mut costs: Vec<Vec<f64>> = vec![Vec::new(); servers.len()];
    for server in servers {
        server.load(body, WARM_UP).await;
    }
    for _ in 0..ROUNDS {
        for (server, costs) in servers.iter().zip(&mut costs) {
            let before = server.cpu();
            let answers = server.load(body, ROUND).await;
            costs.push((server.cpu() - before).as_secs_f64() * 1e6 / answers as f64);
        }
    }
    let medians: Vec<f64> = costs.iter_mut().map(|costs| median(costs)).collect();
    let mut line = format!("{name:24}");
    for (server, cost) in servers.iter().zip(&medians) {
        let _ = write!(line, "  {} {cost:.0}", server.name);
    }
    let _ = write!(line, "  ours / peer {:.2}", medians[0] / medians[1]);
    if let Some(postgres) = medians.get(2) {
        let _ = write!(line, "  PostgreSQL / SQLite {:.2}", postgres / medians[0]);
    }
    println!("{line}");
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A process that answers, ended when dropped.
struct Server {
    name: &'static str,
    address: String,
    process: Child,
}

impl Server {
    fn ours(name: &'static str, url: &str, directory: &Path) -> Self {
        let mut process = ours(url, directory)
            .arg("serve")
            // Services that are DESTROYED need no engine.
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .env("LISTEN_ADDRESS", "127.0.0.1:0")
            .env("RATE_LIMIT_SUBJECT", u32::MAX.to_string())
            .env("LOG_FORMAT", "json")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.by_ref().find_map(|line| {
            let fields = serde_json::from_str::<Value>(&line).ok()?["fields"].clone();
            (fields["message"] == "Serving").then(|| fields["address"].as_str().unwrap().to_owned())
        });
        // Who writes its log must not have to wait for somebody to read it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { name, address: address.unwrap(), process }
    }

    fn peer(database: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/mercurius.js");
        let mut process = Command::new("node")
            .arg(script)
            .arg(database)
            .env("NODE_ENV", "production")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("http://").expect("the peer serves; run npm ci in benches/peers").to_owned();
        Self { name: "mercurius", address, process }
    }

    /// User and system time of all its threads (proc_pid_stat(5)).
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1000 / TICKS)
    }

    /// Asks over all connections for that long, and gives back how many answers came.
    async fn load(&self, body: &Value, time: Duration) -> u64 {
        let exp = jiff::Timestamp::now().as_second() + 3600;
        let claims = json!({"sub": "bench", "exp": exp, "projects": ["bench"], "permissions": ["project:settings"]});
        let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
        let body = body.to_string();
        let request = format!(
            "POST /graphql HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let (request, ended, answers) =
            (Arc::new(request), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (request, ended, answers) = (Arc::clone(&request), Arc::clone(&ended), Arc::clone(&answers));
                let address = self.address.clone();
                tokio::spawn(async move {
                    let mut connection = Connection::open(&address).await;
                    while !ended.load(Ordering::Relaxed) {
                        connection.ask(request.as_bytes()).await;
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        tokio::time::sleep(time).await;
        ended.store(true, Ordering::Relaxed);
        for connection in connections {
            connection.await.unwrap();
        }
        answers.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An HTTP client that costs next to nothing.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 1 << 16] }
    }

    async fn ask(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.unwrap();
        let (mut filled, mut whole) = (0, None);
        while whole.is_none_or(|whole| filled < whole) {
            let read = self.stream.read(&mut self.buffer[filled..]).await.unwrap();
            assert!(read > 0, "the server has hung up");
            filled += read;
            whole = whole.or_else(|| Self::length(&self.buffer[..filled]));
        }
    }

    /// How long the answer is whose beginning stands there, once its head is whole. One that tells of an error ends the bench.
    fn length(answer: &[u8]) -> Option<usize> {
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&answer[..end]).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{}", String::from_utf8_lossy(answer));
        assert!(!answer[end..].starts_with(b"{\"errors\""), "{}", String::from_utf8_lossy(answer));
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        Some(end + length.trim().parse::<usize>().unwrap())
    }
}

fn ours(url: &str, directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_project-services"));
    command
        .env_clear()
        .envs(std::env::vars().filter(|(key, _)| key == "PATH"))
        .env("DATA_DIR", directory)
        .env("DATABASE_URL", url)
        .env("JWT_SECRET", SECRET)
        .env("ENCRYPTION_KEYS", KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if let Some(file) = std::env::var_os("TEST_DATABASE_CA") {
        command.env("DATABASE_CA_FILE", file);
    }
    command
}

fn migrate(url: &str, directory: &Path) {
    assert!(ours(url, directory).arg("migrate").status().unwrap().success());
}

/// The statements that write the project and its services, for either database. The services are DESTROYED, so that no
/// reconciler has work with them, and hold all that one which runs does.
fn fill() -> Vec<String> {
    let columns = "id, project_id, name, kind, spec, published_port, desired, instance_id, generation, revision, state, \
                   evidence, created_at, updated_at, destroyed_at";
    let tier = TierSpec { tier: SizeTier::Dev, memory_mib: 256, cpu_millis: 500, storage_mib: 1024 };
    let (time, end) = ("2026-11-01T10:00:00.000000Z", "2026-11-02T10:00:00.000000Z");
    let mut statements = vec!["INSERT INTO projects (project_id, last_sequence) VALUES ('bench', 1)".to_owned()];
    let numbers: Vec<usize> = (0..SERVICES).collect();
    for chunk in numbers.chunks(500) {
        let rows: Vec<String> = chunk
            .iter()
            .map(|n| {
                let id = format!("019a0000-0000-7000-8000-{n:012x}");
                let published = Published { address: [127, 0, 0, 1].into(), port: 20_000 + u16::try_from(*n).unwrap() };
                let hostname = format!("postgresql-{n:08x}");
                let spec = json!({"kind": "POSTGRESQL", "version": "17", "tier": tier, "hostname": hostname, "published": published});
                let evidence = Evidence {
                    initialised: true,
                    ready_run: Some(RunId(time.to_owned())),
                    published: Some(published),
                    image: Some(format!("sha256:{n:064x}")),
                    made_for: Some(SizeTier::Dev),
                    ..Evidence::default()
                };
                let evidence = json!(evidence);
                format!(
                    "('{id}', 'bench', 'service-{n}', 'POSTGRESQL', '{spec}', {port}, 'DESTROYED', '{id}', 2, 9, \
                     'DESTROYED', '{evidence}', '{time}', '{end}', '{end}')",
                    port = published.port
                )
            })
            .collect();
        statements.push(format!("INSERT INTO services ({columns}) VALUES {}", rows.join(", ")));
    }
    statements
}

/// Copies what can be asked for of the services into a database for the peer: a column a field, as it is shown.
fn plain(file: &Path) -> String {
    format!(
        "ATTACH '{}' AS peer; \
         CREATE TABLE peer.services (id TEXT NOT NULL PRIMARY KEY, projectId TEXT NOT NULL, name TEXT NOT NULL, \
             kind TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL, hostname TEXT NOT NULL, port INTEGER NOT NULL, \
             externalHost TEXT, externalPort INTEGER, revision INTEGER NOT NULL, createdAt TEXT NOT NULL, \
             updatedAt TEXT NOT NULL, destroyedAt TEXT); \
         CREATE INDEX peer.services_of_project ON services (projectId, id); \
         INSERT INTO peer.services SELECT 'svc_' || replace(id, '-', ''), project_id, name, kind, spec ->> 'version', state, \
             spec ->> 'hostname', 5432, spec ->> '$.published.address', spec ->> '$.published.port', revision, created_at, \
             updated_at, destroyed_at FROM services; \
         DETACH peer;",
        file.display()
    )
}

/// A database of the bench's own on the server in `TEST_DATABASE_URL`.
struct Postgres {
    server: String,
    url: String,
}

impl Postgres {
    const NAME: &str = "bench_reads";

    async fn new() -> Option<Self> {
        let server = std::env::var("TEST_DATABASE_URL").ok()?;
        let (address, _) = server.rsplit_once('/').unwrap();
        let postgres = Self { url: format!("{address}/{}", Self::NAME), server };
        let client = postgres.client(&postgres.server).await;
        client.batch_execute(&format!("DROP DATABASE IF EXISTS {}", Self::NAME)).await.unwrap();
        client.batch_execute(&format!("CREATE DATABASE {}", Self::NAME)).await.unwrap();
        Some(postgres)
    }

    async fn client(&self, url: &str) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn drop(self) {
        let client = self.client(&self.server).await;
        client.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", Self::NAME)).await.unwrap();
    }
}
