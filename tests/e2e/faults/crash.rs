//! The server is killed again and again, at moments that chance picks, while its users are at work. Then engine, store,
//! events and data have to tell one story.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use project_services::domain::id::Cursor;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{provisioned, psql, redis};
use crate::support::chance::Chance;
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::docker::{inspect, owned, try_docker};
use crate::support::eventually;
use crate::support::server::Server;

/// How a server is killed.
struct Kills {
    count: u32,
    /// The longest that it may live, in milliseconds.
    life: u64,
}

/// The most services besides the two with data.
const OTHERS: usize = 3;

/// Asks for something; whether it is answered, and how, is not known.
async fn ask(client: &Client, mutation: &str, id: &str) {
    let query = format!("mutation($id: ID!) {{ {mutation}(input: {{id: $id}}) {{ service {{ id }} }} }}");
    client.try_execute(&query, json!({"id": id})).await;
}

async fn services(client: &Client) -> Vec<Value> {
    let query = "query($project: ID!) { services(projectId: $project, first: 100) {
        nodes { id kind state operation { kind phase } error { code message } } } }";
    let data = client.data(query, json!({"project": client.project})).await;
    data["services"]["nodes"].as_array().unwrap().clone()
}

/// Reads on from the last event that was seen, until the stream ends with the server.
async fn follow(client: Client, seen: Arc<Mutex<Vec<Value>>>, beginning: String) {
    let last = seen.lock().await.last().map(|event| event["cursor"].as_str().unwrap().to_owned());
    let Some(mut events) = client.try_events(&last.unwrap_or(beginning)).await else { return };
    while let Some(event) = events.next().await {
        seen.lock().await.push(event);
    }
}

async fn settled(client: &Client) -> Vec<Value> {
    eventually("all services to settle", async || {
        let services = services(client).await;
        let passing = |state: &Value| ["PENDING", "PROVISIONING", "DESTROYING"].contains(&state.as_str().unwrap());
        let settled = services.iter().all(|service| service["operation"].is_null() && !passing(&service["state"]));
        settled.then_some(services)
    })
    .await
}

/// Writes a number of rows with their checksums; gives back what all of them have to come to from now on.
fn write_rows(server: &Server, url: &str) -> String {
    psql(
        server,
        url,
        "insert into t (x, h) select x, md5(x) from (select gen_random_uuid()::text as x from generate_series(1, 500)) n",
    );
    checksum(server, url)
}

fn checksum(server: &Server, url: &str) -> String {
    assert_eq!(psql(server, url, "select count(*) from t where h <> md5(x)"), "0");
    psql(server, url, "select count(*) || ' ' || md5(string_agg(h, '' order by i)) from t")
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_server_is_killed_everything_arrives_where_it_was_sent() {
    everything_arrives(Server::start(&[]).await, Kills { count: 50, life: 900 }).await;
}

/// Here a killed server's term has to run out before the next one reconciles, so each lives longer.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_on_postgresql() {
    let database = Database::new().await;
    let settings = database.settings();
    let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    everything_arrives(Server::start(&settings).await, Kills { count: 10, life: 8000 }).await;
}

#[expect(clippy::print_stderr, reason = "it tells how much was seen")]
async fn everything_arrives(mut server: Server, kills: Kills) {
    let mut chance = Chance::of("CRASH_SEED");

    let client = Client::new(&server);
    let beginning = client.cursor().await;
    let postgresql = provisioned(&client, "POSTGRESQL", "17").await;
    let cache = provisioned(&client, "REDIS", "7").await;
    let url = client.reveal(&postgresql).await["DATABASE_URL"].clone();
    let redis_url = client.reveal(&cache).await["REDIS_URL"].clone();
    psql(&server, &url, "create table t (i bigserial primary key, x text, h text)");
    let mut sum = write_rows(&server, &url);
    redis(&server, &redis_url, &["set", "key", "kept"]);
    let seen = Arc::new(Mutex::new(Vec::new()));

    for kill in 1..=kills.count {
        let client = Arc::new(Client::new(&server));
        let follower = tokio::spawn(follow(Client::new(&server), Arc::clone(&seen), beginning.clone()));
        let all: Vec<_> = services(&client).await;
        let others: Vec<_> = all
            .iter()
            .filter(|service| service["state"] != "DESTROYED")
            .map(|service| service["id"].as_str().unwrap().to_owned())
            .filter(|id| *id != postgresql && *id != cache)
            .collect();
        let mut users = Vec::new();
        for _ in 0..=chance.below(3) {
            let action = ["startService", "stopService", "restartService", "destroyService"][chance.below(4)];
            let kept = action != "destroyService" && chance.below(2) == 0;
            let id = match (kept, others.is_empty()) {
                (true, _) | (false, true) if action != "destroyService" => {
                    [&postgresql, &cache][chance.below(2)].clone()
                }
                (_, true) => continue,
                _ => others[chance.below(others.len())].clone(),
            };
            let client = Arc::clone(&client);
            users.push(tokio::spawn(async move { ask(&client, action, &id).await }));
        }
        if others.len() < OTHERS {
            let client = Arc::clone(&client);
            let kind = ["REDIS", "REDIS", "POSTGRESQL"][chance.below(3)];
            let query = "mutation($input: ProvisionServiceInput!) {
                provisionService(input: $input) { service { id } } }";
            users.push(tokio::spawn(async move {
                let input = json!({"projectId": client.project, "kind": kind});
                client.try_execute(query, json!({"input": input})).await;
            }));
        }
        // Not a wait for something: this is the random moment.
        tokio::time::sleep(Duration::from_millis(chance.next() % kills.life)).await;
        server.kill();
        for user in users {
            user.await.unwrap();
        }
        follower.await.unwrap();
        server.restart().await;

        if kill % 10 == 0 {
            let client = Client::new(&server);
            settled(&client).await;
            if client.service(&postgresql).await["state"] != "RUNNING" {
                client.act("startService", &postgresql).await;
                client.settled(&postgresql, "RUNNING").await;
            }
            assert_eq!(checksum(&server, &url), sum, "after {kill} kills");
            sum = write_rows(&server, &url);
        }
    }

    let client = Client::new(&server);
    let services = settled(&client).await;
    let mut expected = vec![server.network()];
    for service in &services {
        let id = service["id"].as_str().unwrap();
        match service["state"].as_str().unwrap() {
            "DESTROYED" => continue,
            "RUNNING" => {
                let container = inspect(id);
                assert_eq!(container["State"]["Running"], true, "{service}");
                assert_eq!(container["HostConfig"]["RestartPolicy"]["Name"], "always", "{service}");
            }
            "STOPPED" => {
                if try_docker(&["container", "inspect", id]).is_ok() {
                    let container = inspect(id);
                    assert_eq!(container["State"]["Running"], false, "{service}");
                    assert_eq!(container["HostConfig"]["RestartPolicy"]["Name"], "no", "{service}");
                    expected.push(id.to_owned());
                }
                expected.push(id.to_owned());
                continue;
            }
            _ => panic!("{service}"),
        }
        expected.extend([id.to_owned(), id.to_owned()]);
    }
    // A container's name is its service's id; `docker ps` tells ids of its own.
    let found: Vec<_> = owned_names(&server.test);
    expected.sort();
    assert_eq!(found, expected, "one container, one volume a service, one network");

    for id in [&postgresql, &cache] {
        if client.service(id).await["state"] == "STOPPED" {
            client.act("startService", id).await;
            client.settled(id, "RUNNING").await;
        }
    }
    assert_eq!(checksum(&server, &url), sum);
    assert_eq!(redis(&server, &redis_url, &["get", "key"]), "kept");

    // What a subscriber saw that was cut off with each kill is what is in the log.
    let last = client.cursor().await;
    let mut events = client.events(Some(&beginning)).await;
    let mut log: Vec<Value> = Vec::new();
    while log.last().is_none_or(|event| event["cursor"] != last.as_str()) {
        log.push(events.next().await.unwrap());
    }
    let seen = seen.lock().await;
    let strip = |event: &Value| {
        let mut event = event.clone();
        event["service"] = Value::Null;
        event
    };
    assert!(!seen.is_empty());
    for (number, event) in seen.iter().enumerate() {
        assert_eq!(strip(event), strip(&log[number]), "event {number}");
    }
    let project = server.project.parse().unwrap();
    let mut states: HashMap<&str, &Value> = HashMap::new();
    for (number, event) in log.iter().enumerate() {
        let sequence = Cursor::decode(&project, event["cursor"].as_str().unwrap()).unwrap();
        assert_eq!(usize::try_from(sequence).unwrap(), number + 1, "no gap and nothing twice");
        let id = event["serviceId"].as_str().unwrap();
        let before = states.insert(id, &event["state"]);
        assert_eq!(before.unwrap_or(&Value::Null), &event["previousState"], "{event}");
    }
    for service in self::services(&client).await {
        assert_eq!(states[service["id"].as_str().unwrap()], &service["state"], "the events replay to the state");
    }
    eprintln!("{} kills, {} services, {} events, {} seen live", kills.count, services.len(), log.len(), seen.len());

    for service in &services {
        if service["state"] != "DESTROYED" {
            client.act("destroyService", service["id"].as_str().unwrap()).await;
        }
    }
    for service in &services {
        client.settled(service["id"].as_str().unwrap(), "DESTROYED").await;
    }
    assert_eq!(owned(&server.test), Vec::<String>::new(), "nothing is left");
}

fn owned_names(test: &str) -> Vec<String> {
    let filter = format!("label={}={test}", crate::support::docker::LABEL);
    let lists: [&[&str]; 3] = [
        &["ps", "--all", "--format", "{{.Names}}"],
        &["volume", "ls", "--format", "{{.Name}}"],
        &["network", "ls", "--format", "{{.Name}}"],
    ];
    let list = |list: &&[&str]| crate::support::docker::docker(&[list, &["--filter", filter.as_str()][..]].concat());
    let mut names: Vec<_> =
        lists.iter().flat_map(|of| list(of).lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    names.sort();
    names
}
