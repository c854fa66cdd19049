//! A service's password is changed while it runs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::docker::{LABEL, docker, inspect, preview};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::server::{OLD_KEY, SUPERUSER, Server};

/// A kind, how to speak to it, and how it says no.
struct Kind {
    name: &'static str,
    version: &'static str,
    image: &'static str,
    url: &'static str,
    refusal: &'static str,
}

const POSTGRESQL: Kind = Kind {
    name: "POSTGRESQL",
    version: "17",
    image: "postgres:17",
    url: "DATABASE_URL",
    refusal: "password authentication failed",
};
const REDIS: Kind = Kind { name: "REDIS", version: "7", image: "redis:7", url: "REDIS_URL", refusal: "NOAUTH" };
const REDIS_6: Kind = Kind { version: "6", image: "redis:6", ..REDIS };

struct World {
    server: Server,
    kind: Kind,
    id: String,
}

impl World {
    /// A running service with something in it.
    async fn new(kind: Kind, settings: &[(&str, &str)]) -> Self {
        let server = Server::start(settings).await;
        let client = Client::new(&server);
        let id = client.provision(kind.name, kind.version).await["id"].as_str().unwrap().to_owned();
        client.settled(&id, "RUNNING").await;
        let world = Self { server, kind, id };
        let url = world.url().await;
        if world.kind.name == "REDIS" {
            assert_eq!(world.speak(&url, "set t kept").unwrap(), "OK");
        } else {
            world.speak(&url, "create table t as select 'kept' as x").unwrap();
        }
        world
    }

    fn client(&self) -> Client {
        Client::new(&self.server)
    }

    async fn url(&self) -> String {
        self.client().reveal(&self.id).await[self.kind.url].clone()
    }

    /// What the server says to a preview container.
    fn speak(&self, url: &str, words: &str) -> Result<String, String> {
        let mut command = vec!["psql", url, "-qtAc", words];
        if self.kind.name == "REDIS" {
            command = vec!["redis-cli", "--no-auth-warning", "-u", url];
            command.extend(words.split(' '));
        }
        preview(&self.server.test, &self.server.network(), self.kind.image, &command)
    }

    /// Has other clients take every connection that the server gives, until the container of this name is removed.
    async fn fill(&self, url: &str) -> String {
        let (connect, full) = if self.kind.name == "REDIS" {
            assert_eq!(self.speak(url, "config set maxclients 4").unwrap(), "OK");
            (format!("sleep 1000 | redis-cli -u {url}"), "max number of clients")
        } else {
            // Each that comes takes a place until it is refused, and may have another one refused for that.
            let stay = format!("until psql {url} <>/tmp/silence; do sleep 1; done");
            (stay, "clients already|connection slots")
        };
        let clients = format!("mkfifo /tmp/silence; for n in $(seq 48); do ({connect}) & done; wait");
        let (label, network) = (format!("{LABEL}={}", self.server.test), self.server.network());
        let container = ["run", "--detach", "--network", &network, "--label", &label, "--entrypoint", "sh"];
        let name = docker(&[&container[..], &[self.kind.image, "-c", &clients]].concat());
        eventually("a full server", async || {
            let said = self.speak(url, if self.kind.name == "REDIS" { "ping" } else { "select 1" });
            let said = said.unwrap_or_else(|error| error);
            full.split('|').any(|full| said.contains(full)).then_some(())
        })
        .await;
        name
    }

    /// What was written at the beginning, by a URL that has to work.
    fn assert_lets_in(&self, url: &str) {
        let words = if self.kind.name == "REDIS" { "get t" } else { "select x from t" };
        assert_eq!(self.speak(url, words).as_deref(), Ok("kept"));
    }

    fn assert_keeps_out(&self, url: &str) {
        let words = if self.kind.name == "REDIS" { "get t" } else { "select 1" };
        let answer = self.speak(url, words);
        let said = answer.clone().unwrap_or_else(|error| error);
        assert!(said.contains(self.kind.refusal) && !said.contains("kept"), "{answer:?}");
    }

    /// Waits until nothing is being done about it.
    async fn settled(&self) -> Value {
        let service = self.client().settled(&self.id, "RUNNING").await;
        assert!(service["error"].is_null(), "{service}");
        service
    }
}

async fn rotates(kind: Kind) {
    let world = World::new(kind, &[]).await;
    let client = world.client();
    let mut events = client.events(None).await;
    let (old, run) = (world.url().await, inspect(&world.id)["State"]["StartedAt"].clone());
    let rotating = client.act("rotateCredentials", &world.id).await;
    assert_eq!(rotating["operation"]["kind"], "ROTATE_CREDENTIALS");
    world.settled().await;

    let new = world.url().await;
    assert_ne!(old, new);
    let but_password = |url: &str| url.split([':', '@']).map(str::to_owned).collect::<Vec<_>>();
    let differing = but_password(&old).iter().zip(but_password(&new)).filter(|(old, new)| *old != new).count();
    assert_eq!(differing, 1, "user, database, host and port stay");
    world.assert_lets_in(&new);
    world.assert_keeps_out(&old);
    assert_eq!(inspect(&world.id)["State"]["StartedAt"], run, "it ran on");

    let mut said = Vec::new();
    while said.last().is_none_or(|last: &String| !last.contains("no longer accepted")) {
        let event = events.next().await.unwrap();
        assert_eq!((&event["state"], &event["previousState"]), (&json!("RUNNING"), &json!("RUNNING")), "{event}");
        said.push(event["message"].as_str().unwrap().to_owned());
    }
    assert!(said.iter().any(|message| message.contains("was requested")), "{said:?}");

    // What a start goes by has changed as well: one that the engine makes by itself, and one of ours.
    docker(&["restart", &world.id]);
    world.settled().await;
    world.assert_lets_in(&new);
    world.assert_keeps_out(&old);
    client.act("restartService", &world.id).await;
    world.settled().await;
    assert_eq!(world.url().await, new);
    world.assert_lets_in(&new);
    world.assert_keeps_out(&old);

    // And once more.
    client.act("rotateCredentials", &world.id).await;
    world.settled().await;
    world.assert_lets_in(&world.url().await);
    world.assert_keeps_out(&new);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_takes_the_new_password_and_no_longer_the_old_one() {
    rotates(POSTGRESQL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_takes_the_new_password_and_no_longer_the_old_one() {
    rotates(REDIS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_6_takes_the_new_password_and_no_longer_the_old_one() {
    rotates(REDIS_6).await;
}

/// Kills the server at moments that cover a rotation, and now and then the container with it.
async fn survives_kills(kind: Kind) {
    let mut world = World::new(kind, &[]).await;
    let mut before = world.url().await;
    for round in 0..12 {
        world.client().act("rotateCredentials", &world.id).await;
        // Not a wait for something: a rotation takes a few tenths of a second, and this is the moment of the crash.
        tokio::time::sleep(Duration::from_millis(round * 45)).await;
        world.server.kill();
        if round % 3 == 2 {
            docker(&["restart", "--time", "10", &world.id]);
        }
        world.server.restart().await;
        world.settled().await;
        let after = world.url().await;
        assert_ne!(after, before, "round {round}");
        world.assert_lets_in(&after);
        world.assert_keeps_out(&before);
        before = after;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_server_is_killed_the_stored_password_of_postgresql_works() {
    survives_kills(POSTGRESQL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_server_is_killed_the_stored_password_of_redis_works() {
    survives_kills(REDIS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_waits_for_the_engine_and_outlives_a_change_of_the_encryption_key() {
    let proxy = Proxy::start();
    let mut world = World::new(POSTGRESQL, &[("DOCKER_HOST", &proxy.host())]).await;
    let old = world.url().await;
    proxy.remove();
    let rotating = world.client().act("rotateCredentials", &world.id).await;
    assert_eq!(rotating["operation"]["kind"], "ROTATE_CREDENTIALS");
    world.assert_lets_in(&world.url().await);

    let new_key = "new:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    world.server.set("ENCRYPTION_KEYS", &format!("{new_key},{OLD_KEY}"));
    world.server.restart().await;
    let output = world.server.command(&["rotate-keys"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.lines().next(), Some("1 resealed with new, 0 unreadable"));
    world.server.set("ENCRYPTION_KEYS", new_key);
    world.server.restart().await;
    assert_eq!(world.url().await, old, "no server has taken the new one yet");

    proxy.put_back();
    world.settled().await;
    world.assert_lets_in(&world.url().await);
    world.assert_keeps_out(&old);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_a_stop_overtakes_is_done_at_the_next_start() {
    let world = World::new(REDIS, &[]).await;
    let client = world.client();
    let old = world.url().await;
    let both = "mutation($id: ID!) { rotateCredentials(input: {id: $id}) { service { id } } stopService(input: {id: $id}) { service { id } } }";
    client.data(both, json!({"id": world.id})).await;
    client.settled(&world.id, "STOPPED").await;
    client.act("startService", &world.id).await;
    world.settled().await;
    world.assert_lets_in(&world.url().await);
    world.assert_keeps_out(&old);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_shown_and_what_was_refused_is_tried_until_it_succeeds() {
    let world = World::new(POSTGRESQL, &[]).await;
    let client = world.client();
    let old = world.url().await;
    let user = client.reveal(&world.id).await["PGUSER"].clone();
    let rename = |from: &str, to: &str| {
        let statement = format!("update pg_authid set rolname = '{to}' where rolname = '{from}'");
        docker(&["exec", &world.id, "psql", "-U", "project_services", "-d", "template1", "-c", &statement])
    };
    rename(&user, "renamed");
    client.act("rotateCredentials", &world.id).await;
    let shown = eventually("the refusal to be shown", async || {
        let service = client.service(&world.id).await;
        (service["error"]["code"] == "ROTATION_FAILED").then_some(service)
    })
    .await;
    assert_eq!((&shown["state"], &shown["operation"]), (&json!("RUNNING"), &Value::Null), "{shown}");
    let message = shown["error"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("role \"{user}\" does not exist")), "{message}");

    rename("renamed", &user);
    client.act("rotateCredentials", &world.id).await;
    world.settled().await;
    world.assert_lets_in(&world.url().await);
    world.assert_keeps_out(&old);
}

/// Those that PostgreSQL keeps for superusers among them, where its user is one.
#[tokio::test(flavor = "multi_thread")]
async fn postgresql_takes_a_new_password_while_clients_have_all_connections() {
    let superuser: &[(&str, &str)] = &[SUPERUSER];
    for (version, image, settings) in
        [("17", "postgres:17", superuser), ("16", "postgres:16", &[]), ("15", "postgres:15", superuser)]
    {
        let world = World::new(Kind { version, image, ..POSTGRESQL }, settings).await;
        let old = world.url().await;
        let clients = world.fill(&old).await;
        world.client().act("rotateCredentials", &world.id).await;
        world.settled().await;
        docker(&["rm", "-fv", &clients]);
        world.assert_lets_in(&world.url().await);
        world.assert_keeps_out(&old);
    }
}

/// Redis keeps no connection in reserve.
#[tokio::test(flavor = "multi_thread")]
async fn redis_takes_a_new_password_once_its_clients_leave_a_connection_free() {
    let world = World::new(REDIS, &[]).await;
    let client = world.client();
    let old = world.url().await;
    let clients = world.fill(&old).await;
    client.act("rotateCredentials", &world.id).await;
    let shown = eventually("the reason to be shown", async || {
        let service = client.service(&world.id).await;
        (service["error"]["code"] == "ROTATION_FAILED").then_some(service)
    })
    .await;
    assert_eq!(shown["state"], "RUNNING", "{shown}");
    let message = shown["error"]["message"].as_str().unwrap();
    assert!(message.contains("clients have taken all connections"), "{message}");
    docker(&["rm", "-fv", &clients]);
    eventually("the error to go", async || client.service(&world.id).await["error"].is_null().then_some(())).await;
    world.settled().await;
    world.assert_lets_in(&world.url().await);
    world.assert_keeps_out(&old);
}
