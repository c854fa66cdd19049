//! Where no secret may ever stand.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::json;

use crate::support::client::Client;
use crate::support::docker::{docker, inspect};
use crate::support::server::{OLD_KEY, SECRET, Server};

/// The command lines of all processes of the machine, containers included.
fn command_lines() -> String {
    let read = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).ok();
    let bytes: Vec<u8> = fs::read_dir("/proc").unwrap().flatten().filter_map(read).flatten().collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The database with its write-ahead log.
fn database(server: &Server) -> String {
    let files = fs::read_dir(server.directory()).unwrap().flatten();
    let database = files.filter(|file| file.file_name().to_string_lossy().contains(".db"));
    let bytes: Vec<u8> = database.flat_map(|file| fs::read(file.path()).unwrap()).collect();
    assert!(!bytes.is_empty());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Collects the command lines and environments of all processes while it is watched over: what is there for a moment only
/// as well. Environments of other tests' processes hold keys by right, so only those in containers count.
struct Watch {
    ended: Arc<AtomicBool>,
    watcher: JoinHandle<BTreeSet<String>>,
}

impl Watch {
    fn begin(ids: &[String]) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (until, ids) = (Arc::clone(&ended), ids.to_vec());
        let watcher = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !until.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").unwrap().flatten() {
                    let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
                    seen.insert(String::from_utf8_lossy(&read("cmdline")).into_owned());
                    let cgroup = String::from_utf8_lossy(&read("cgroup")).into_owned();
                    if ids.iter().any(|id| cgroup.contains(id)) {
                        seen.insert(String::from_utf8_lossy(&read("environ")).into_owned());
                    }
                }
            }
            seen
        });
        Self { ended, watcher }
    }

    fn end(self) -> BTreeSet<String> {
        self.ended.store(true, Ordering::Relaxed);
        self.watcher.join().unwrap()
    }
}

const SECOND_KEY: &str = "second:AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_told_by_reveal_and_by_nothing_else() {
    let began = jiff::Timestamp::now().as_second().to_string();
    let mut server = Server::start(&[("ENCRYPTION_KEYS", &format!("{SECOND_KEY},{OLD_KEY}"))]).await;
    let client = Client::new(&server);
    let mut ids = Vec::new();
    let mut secrets: Vec<_> = [SECOND_KEY, OLD_KEY].map(|key| key.split_once(':').unwrap().1.to_owned()).into();
    secrets.extend([SECRET.to_owned(), client.token.clone()]);
    let kinds = [("POSTGRESQL", "17", "PGPASSWORD"), ("REDIS", "7", "REDIS_PASSWORD")];
    for (kind, version, key) in kinds {
        let service = client.provision(kind, version).await;
        let id = service["id"].as_str().unwrap().to_owned();
        client.settled(&id, "RUNNING").await;
        let password = client.reveal(&id).await[key].clone();
        assert!(password.len() >= 32);
        secrets.push(password);
        ids.push(id);
    }
    // Statements that the server inside is told to log must not tell either.
    let log_all = "alter system set log_statement = 'all'; select pg_reload_conf()";
    for statement in log_all.split("; ") {
        docker(&["exec", &ids[0], "psql", "-U", "project_services", "-d", "postgres", "-qtAc", statement]);
    }
    let containers: Vec<_> = ids.iter().map(|id| inspect(id)["Id"].as_str().unwrap().to_owned()).collect();
    let watch = Watch::begin(&containers);
    for id in &ids {
        client.act("rotateCredentials", id).await;
        client.settled(id, "RUNNING").await;
    }
    let watched = watch.end();
    assert!(watched.iter().any(|line| line.contains("redis-server")), "containers' processes are seen");
    for (id, (.., key)) in ids.iter().zip(kinds) {
        let password = client.reveal(id).await[key].clone();
        assert!(!secrets.contains(&password), "it was rotated");
        secrets.push(password);
    }
    let query = "query($project: ID!) { services(projectId: $project) { nodes {
        credentials { key value } events(first: 100) { nodes { message actor } } error { message } } } }";
    let shown = client.data(query, json!({"project": client.project})).await.to_string();
    assert!(shown.contains("were revealed"), "a reveal is an event");
    let start = "mutation($id: ID!) { startService(input: {id: $id}) { service { id } } }";
    let refused = client.execute(start, json!({"id": ids[0]})).await;
    assert!(refused["errors"].is_array(), "{refused}");

    let until = (jiff::Timestamp::now().as_second() + 1).to_string();
    let mut places = vec![
        ("the API", shown),
        ("an error", refused.to_string()),
        ("the server's log", server.log()),
        ("the database", database(&server)),
        ("the process list", command_lines()),
        ("a process during the rotation", watched.into_iter().collect()),
    ];
    for id in &ids {
        places.push(("docker inspect", docker(&["container", "inspect", id])));
        let events = docker(&["events", "--since", &began, "--until", &until, "--filter", &format!("container={id}")]);
        assert!(events.contains("exec_create"), "{events}");
        places.push(("the engine's events", events));
        places.push(("the volume's labels", docker(&["volume", "inspect", id])));
        places.push(("the container's log", all_logs(id)));
        // The container's files: what it holds are digests.
        let files =
            "for f in /data/.service/* /var/lib/postgresql/data/.service/*; do cat \"$f\" 2>/dev/null; done; true";
        places.push(("the container's files", docker(&["exec", id, "sh", "-c", files])));
        places.push(("the container's environment", docker(&["exec", id, "sh", "-c", "cat /proc/1/environ"])));
    }
    for secret in &secrets {
        for (place, text) in &places {
            assert!(!text.contains(secret.as_str()), "a secret stands in {place}");
        }
    }
    let logged = all_logs(&ids[0]);
    assert!(logged.contains("SET log_statement") && !logged.contains("SCRAM-SHA-256"), "{logged}");

    for id in &ids {
        client.act("destroyService", id).await;
        client.settled(id, "DESTROYED").await;
    }
    server.terminate().await;
    for secret in &secrets {
        assert!(!server.log().contains(secret.as_str()) && !database(&server).contains(secret.as_str()));
    }
}

/// Both streams of the container's output.
fn all_logs(id: &str) -> String {
    let output = Command::new("docker").args(["logs", id]).output().unwrap();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_while_the_server_runs() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let service = client.provision("REDIS", "7").await;
    let id = service["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    let before = client.reveal(&id).await;

    let new_key = "new:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    server.kill();
    for (ring, expected) in
        [(new_key, "\"old\" is missing"), (&new_key.replace("new", "old"), "\"old\" is another key")]
    {
        server.set("ENCRYPTION_KEYS", ring);
        for command in ["serve", "rotate-keys"] {
            let output = server.command(&[command]);
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && error.contains(expected), "{command}: {error}");
        }
    }
    server.set("ENCRYPTION_KEYS", &format!("{new_key},{OLD_KEY}"));
    server.restart().await;
    for expected in ["1 resealed with new, 0 unreadable", "0 resealed with new, 0 unreadable"] {
        let output = server.command(&["rotate-keys"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.lines().next(), Some(expected));
    }
    server.set("ENCRYPTION_KEYS", new_key);
    server.restart().await;
    assert_eq!(Client::new(&server).reveal(&id).await, before);
}
