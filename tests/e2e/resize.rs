//! A service is given another size.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::docker::{LABEL, docker, inspect, preview};
use crate::support::eventually;
use crate::support::server::Server;

const MIB: u64 = 1024 * 1024;

/// A preview's client that stays connected, and is asked one thing after another.
struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn new(server: &Server, image: &str, command: &[&str]) -> Self {
        let label = format!("{LABEL}={}", server.test);
        let network = server.network();
        let mut child = Command::new("docker")
            .args(["run", "--rm", "-i", "--network", &network, "--label", &label, image])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    /// Says a line and reads the line that comes back; empty once the client has ended.
    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    fn end(mut self) {
        drop(self.input);
        self.child.wait().unwrap();
    }
}

async fn resize(client: &Client, id: &str, tier: &str, apply: &str) -> Value {
    let mutation = "mutation($input: ResizeServiceInput!) { resizeService(input: $input) {
        service { tier { tier } restartPending } event { message actor } } }";
    client.execute(mutation, json!({"input": {"id": id, "tier": tier, "apply": apply}})).await
}

async fn is_pending(client: &Client, id: &str) -> bool {
    let query = "query($id: ID!) { service(id: $id) { restartPending } }";
    client.data(query, json!({"id": id})).await["service"]["restartPending"].as_bool().unwrap()
}

/// Memory in MiB and CPU time in thousandths of a core.
fn limits(id: &str) -> (u64, u64) {
    let host = &inspect(id)["HostConfig"];
    assert_eq!(host["Memory"], host["MemorySwap"], "no swap");
    (host["Memory"].as_u64().unwrap() / MIB, host["NanoCpus"].as_u64().unwrap() / 1_000_000)
}

async fn limited(id: &str, wanted: (u64, u64)) {
    eventually("its limits", async || (limits(id) == wanted).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_grows_under_its_clients_and_takes_the_rest_with_a_restart() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = client.provision("POSTGRESQL", "17").await["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    let sql = |server: &Server, statement: &str| {
        preview(&server.test, &server.network(), "postgres:17", &["psql", &url, "-qtAc", statement]).unwrap()
    };
    sql(&server, "create table t as select 'kept' as x");
    let made = inspect(&id)["Id"].clone();
    let mut session = Session::new(&server, "postgres:17", &["psql", &url, "-qtA"]);
    let backend = session.ask("select pg_backend_pid();");
    assert!(backend.parse::<u32>().is_ok(), "{backend}");

    let answer = resize(&client, &id, "STANDARD", "AT_NEXT_RESTART").await;
    assert_eq!(answer["data"]["resizeService"]["event"]["message"], "postgresql is to have the size Standard.");
    limited(&id, (512, 1000)).await;
    eventually("it to be told", async || is_pending(&client, &id).await.then_some(())).await;
    assert_eq!(session.ask("select pg_backend_pid();"), backend, "nobody lost a connection");
    assert_eq!(session.ask("show shared_buffers;"), "64MB");
    let again = resize(&client, &id, "STANDARD", "AT_NEXT_RESTART").await;
    assert_eq!(again["data"]["resizeService"]["event"], Value::Null, "it is to have that size already");

    client.act("restartService", &id).await;
    client.settled(&id, "RUNNING").await;
    assert!(!is_pending(&client, &id).await);
    assert_eq!(session.ask("select 1;"), "", "a restart ends connections");
    session.end();
    assert_eq!((sql(&server, "show shared_buffers"), sql(&server, "select x from t")), ("128MB".into(), "kept".into()));
    assert_ne!(inspect(&id)["Id"], made, "what can't be changed is made anew");

    // Back at once, whenever the server is killed.
    for (tier, wanted) in [("DEV", (256, 500)), ("PERFORMANCE", (1024, 2000)), ("DEV", (256, 500))] {
        let client = Client::new(&server);
        let mut events = client.events(Some(&client.cursor().await)).await;
        resize(&client, &id, tier, "NOW").await;
        let phase = if tier == "DEV" { "STOPPING" } else { "CREATING_CONTAINER" };
        loop {
            let event = events.next().await.unwrap();
            if event["operation"]["phase"] == phase || event["state"] == "RUNNING" {
                break;
            }
        }
        server.kill();
        server.restart().await;
        let client = Client::new(&server);
        client.settled(&id, "RUNNING").await;
        assert_eq!(limits(&id), wanted);
        assert!(!is_pending(&client, &id).await);
        assert_eq!(sql(&server, "show shared_buffers"), format!("{}MB", wanted.0 / 4));
        assert_eq!(sql(&server, "select x from t"), "kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_takes_another_size_under_its_clients_unless_its_data_does_not_fit() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    let mut session = Session::new(&server, "redis:7", &["redis-cli", "--no-auth-warning", "-u", &url]);
    let connection = session.ask("client id");
    assert!(connection.parse::<u32>().is_ok(), "{connection}");
    let maxmemory = |session: &mut Session| {
        assert_eq!(session.ask("config get maxmemory"), "maxmemory");
        let mut value = String::new();
        session.output.read_line(&mut value).unwrap();
        value.trim().parse::<u64>().unwrap() / MIB
    };
    assert_eq!(maxmemory(&mut session), 80);

    resize(&client, &id, "STANDARD", "NOW").await;
    limited(&id, (256, 1000)).await;
    eventually("it to be told", async || (maxmemory(&mut session) == 160).then_some(())).await;
    client.settled(&id, "RUNNING").await;
    // A megabyte at a time: what is still to be written to disk takes memory as well.
    for key in 0..110 {
        let fill = format!("eval \"redis.call('set', KEYS[1], string.rep('x', 1000000)) return 'full'\" 1 {key}");
        assert_eq!(session.ask(&fill), "full");
    }
    let refused = resize(&client, &id, "DEV", "NOW").await;
    let error = &refused["errors"][0];
    assert_eq!((&error["extensions"]["code"], &error["extensions"]["field"]), (&json!("CONFLICT"), &json!("tier")));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("Dev has 80 MiB for data"), "{message}");
    assert_eq!(limits(&id), (256, 1000));

    assert_eq!(session.ask("flushall"), "OK");
    eventually("the memory to be free", async || {
        let answer = resize(&client, &id, "DEV", "AT_NEXT_RESTART").await;
        answer["errors"].is_null().then_some(())
    })
    .await;
    limited(&id, (128, 500)).await;
    assert_eq!(maxmemory(&mut session), 80, "it was told before it had less");
    assert!(!is_pending(&client, &id).await, "nothing of it needs a restart");
    assert_eq!(session.ask("client id"), connection, "nobody lost a connection");
    session.end();

    // A restart keeps the size, and one that is stopped has its new one from its next start on.
    client.act("restartService", &id).await;
    client.settled(&id, "RUNNING").await;
    assert_eq!(limits(&id), (128, 500));
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    resize(&client, &id, "PERFORMANCE", "NOW").await;
    assert_eq!(client.service(&id).await["state"], "STOPPED");
    client.act("startService", &id).await;
    client.settled(&id, "RUNNING").await;
    assert_eq!(limits(&id), (512, 2000));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_are_changed_by_hand_are_put_right_and_told() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    let run = inspect(&id)["State"]["StartedAt"].clone();
    let mut events = client.events(Some(&client.cursor().await)).await;
    docker(&["update", "--memory", "40m", "--memory-swap", "40m", &id]);
    let event = events.next().await.unwrap();
    assert_eq!(event["message"], "The limits of redis were changed by somebody else, and are put right.");
    assert_eq!((&event["state"], &event["actor"]), (&json!("RUNNING"), &Value::Null));
    assert_eq!(limits(&id), (128, 500));
    docker(&["update", "--cpus", "2", "--pids-limit", "-1", &id]);
    limited(&id, (128, 500)).await;
    eventually("its processes", async || (inspect(&id)["HostConfig"]["PidsLimit"] == 64).then_some(())).await;
    assert_eq!(inspect(&id)["State"]["StartedAt"], run, "it ran on");
}
