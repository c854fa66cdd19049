//! Instances that are ready before anybody asks for them.

use std::collections::BTreeSet;

use serde_json::json;

use crate::faults::signal;
use crate::support::client::Client;
use crate::support::docker::{LABEL, docker, inspect, owned, preview, try_docker};
use crate::support::eventually;
use crate::support::server::Server;

/// The containers of a test, by name.
fn containers(test: &str) -> BTreeSet<String> {
    let filter = format!("label={LABEL}={test}");
    let listed = docker(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]);
    listed.lines().map(str::to_owned).collect()
}

/// Those that run and are on no network, once there are so many and nothing else is going on.
async fn ready(server: &Server, count: usize, taken: &[String]) -> BTreeSet<String> {
    eventually("the pool to be ready", async || {
        let waiting: BTreeSet<_> = containers(&server.test).into_iter().filter(|name| !taken.contains(name)).collect();
        let log = server.log();
        let is_noted =
            |name: &String| log.lines().any(|line| line.contains("An instance is ready") && line.contains(name));
        let is_well = |name: &String| {
            is_noted(name)
                && try_docker(&["inspect", "--format", "{{.State.Status}} {{len .NetworkSettings.Networks}}", name])
                    .is_ok_and(|told| told == "running 0")
        };
        (waiting.len() == count && waiting.iter().all(is_well)).then_some(waiting)
    })
    .await
}

async fn in_pool(server: &Server, count: usize) {
    let noted = |log: &str| log.matches("An instance is ready before anybody asks for it").count();
    eventually("the pool to be noted", async || (noted(&server.log()) >= count).then_some(())).await;
}

/// The container that runs a service, which bears its name on the network.
async fn run_by(server: &Server, id: &str) -> String {
    let query = "query($id: ID!) { service(id: $id) { containerName hostname } }";
    let service = Client::new(server).data(query, json!({"id": id})).await["service"].clone();
    let name = service["containerName"].as_str().unwrap().to_owned();
    let aliases = inspect(&name)["NetworkSettings"]["Networks"][server.network()]["Aliases"].clone();
    assert!(aliases.as_array().is_some_and(|aliases| aliases.contains(&service["hostname"])), "{service}: {aliases}");
    name
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ready_becomes_a_service_that_is_like_any_other() {
    let settings = [
        ("WARM_POOL", "POSTGRESQL:17=1,REDIS:7=1"),
        ("PUBLISH_ADDRESS", "127.0.0.1"),
        ("PUBLISH_PORTS", "21400-21499"),
    ];
    let mut server = Server::start(&settings).await;
    let client = Client::new(&server);
    in_pool(&server, 2).await;
    let first = ready(&server, 2, &[]).await;

    let mut events = client.events(None).await;
    let (mut ids, mut instances, mut urls) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, version, key) in [("POSTGRESQL", "17", "DATABASE_URL"), ("REDIS", "7", "REDIS_URL")] {
        let id = client.provision(kind, version).await["id"].as_str().unwrap().to_owned();
        let seen = events.until(&id, "RUNNING").await;
        assert!(seen.iter().all(|event| event["state"] != "ERROR"), "{seen:?}");
        let instance = run_by(&server, &id).await;
        assert!(first.contains(&instance), "{kind} is run by what was ready");
        urls.push(client.reveal(&id).await[key].clone());
        ids.push(id);
        instances.push(instance);
    }
    // Others are ready in their place.
    let second = ready(&server, 2, &instances).await;
    assert!(second.is_disjoint(&first));

    // By the name on its network, and by the port that it is published on.
    let (test, network) = (server.test.clone(), server.network());
    let postgres = |command: &[&str]| preview(&test, &network, "postgres:17", command);
    let redis = |words: &[&str]| {
        preview(&test, &network, "redis:7", &[&["redis-cli", "--no-auth-warning", "-u", &urls[1]], words].concat())
    };
    let write = "create table kept as select 'kept' as x; create extension if not exists pgcrypto";
    postgres(&["psql", &urls[0], "-qtAc", write]).unwrap();
    assert_eq!(redis(&["set", "x", "kept"]).as_deref(), Ok("OK"));
    let query = "query($id: ID!) { service(id: $id) { externalPort } }";
    for id in &ids {
        let service = client.data(query, json!({"id": id})).await["service"].clone();
        let port = service["externalPort"].as_u64().expect("it is published");
        let address = format!("127.0.0.1:{port}");
        tokio::net::TcpStream::connect(&address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    }
    // It finds others by name as they find it.
    let resolver = docker(&["exec", &instances[0], "cat", "/etc/resolv.conf"]);
    assert!(resolver.contains("127.0.0.11"), "{resolver}");

    for id in &ids {
        client.act("restartService", id).await;
        events.until(id, "RUNNING").await;
        client.settled(id, "RUNNING").await;
    }
    let mutation = "mutation($id: ID!) { rotateCredentials(input: {id: $id}) { service { id } } }";
    client.data(mutation, json!({"id": ids[0]})).await;
    eventually("the new password", async || {
        let url = client.reveal(&ids[0]).await["DATABASE_URL"].clone();
        let operation = client.service(&ids[0]).await["operation"].clone();
        (url != urls[0] && operation.is_null()).then_some(url)
    })
    .await;
    let url = client.reveal(&ids[0]).await["DATABASE_URL"].clone();
    assert_eq!(postgres(&["psql", &url, "-qtAc", "select x from kept"]).as_deref(), Ok("kept"));
    assert!(postgres(&["psql", &urls[0], "-qtAc", "select 1"]).is_err(), "the old one is refused");
    assert_eq!(redis(&["get", "x"]).as_deref(), Ok("kept"));

    for id in &ids {
        client.act("destroyService", id).await;
        events.until(id, "DESTROYED").await;
    }
    // Nobody asks for any, any more.
    server.set("WARM_POOL", "");
    server.restart().await;
    eventually("nothing to be left", async || owned(&server.test).is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_one_is_no_service_s_trouble() {
    let server = Server::start(&[("WARM_POOL", "REDIS:7=1")]).await;
    let client = Client::new(&server);
    let (mut events, mut taken) = (client.events(None).await, Vec::new());
    for harm in ["kill", "remove", "empty"] {
        let instance = ready(&server, 1, &taken).await.pop_first().unwrap();
        in_pool(&server, taken.len() + 1).await;
        match harm {
            "kill" => _ = docker(&["kill", &instance]),
            "remove" => _ = docker(&["rm", "--force", &instance]),
            _ => {
                docker(&["rm", "--force", &instance]);
                docker(&["volume", "rm", &instance]);
            }
        }
        let id = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
        let seen = events.until(&id, "RUNNING").await;
        assert!(seen.iter().all(|event| event["state"] != "ERROR"), "{harm}: {seen:?}");
        let url = client.reveal(&id).await["REDIS_URL"].clone();
        let ping = ["redis-cli", "--no-auth-warning", "-u", &url, "ping"];
        let answer = preview(&server.test, &server.network(), "redis:7", &ping);
        assert_eq!(answer.as_deref(), Ok("PONG"), "{harm}");
        taken.push(run_by(&server, &id).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs_leaves_the_pool_also_after_another_start() {
    let mut server = Server::start(&[("WARM_POOL", "REDIS:7=1")]).await;
    for _ in 0..2 {
        let from = server.log().len();
        let hanging = ready(&server, 1, &[]).await.pop_first().unwrap();
        let asked =
            || server.log()[from..].lines().any(|line| line.contains("A server was asked") && line.contains(&hanging));
        eventually("an answer", async || asked().then_some(())).await;
        signal(&hanging, "-STOP");
        assert_ne!(ready(&server, 1, std::slice::from_ref(&hanging)).await.pop_first(), Some(hanging));
        server.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_the_pool_s_or_a_service_s_whenever_the_server_is_killed() {
    let mut server = Server::start(&[("WARM_POOL", "REDIS:7=2")]).await;
    let mut ids: Vec<String> = Vec::new();
    for pause in [0, 15, 40, 80, 160, 320] {
        ready(&server, 2, &running_as(&server, &ids).await).await;
        let client = Client::new(&server);
        ids.push(client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned());
        // At another moment each time: there is no condition to wait for.
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        server.kill();
        server.restart().await;
        let client = Client::new(&server);
        for id in &ids {
            client.settled(id, "RUNNING").await;
        }
    }
    let instances = running_as(&server, &ids).await;
    assert_eq!(instances.iter().collect::<BTreeSet<_>>().len(), ids.len(), "each has one of its own");
    ready(&server, 2, &instances).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_put_back_to_before_one_was_taken_loses_nobody_s_data() {
    let mut server = Server::start(&[("WARM_POOL", "REDIS:7=2")]).await;
    in_pool(&server, 2).await;
    ready(&server, 2, &[]).await;
    server.kill();
    let before = tempfile::tempdir().unwrap();
    let files = ["project-services.db", "project-services.db-wal"];
    let (kept, there) = (before.path().to_owned(), server.directory().to_owned());
    for file in files {
        std::fs::copy(there.join(file), kept.join(file)).unwrap();
    }
    server.restart().await;
    let still = || server.log().matches("An instance is ready since an earlier start").count();
    eventually("both to be seen again", async || (still() == 2).then_some(())).await;
    let client = Client::new(&server);
    let mut taken = Vec::new();
    for _ in 0..2 {
        let id = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
        client.settled(&id, "RUNNING").await;
        taken.push(run_by(&server, &id).await);
    }
    server.kill();
    for file in files {
        std::fs::copy(kept.join(file), there.join(file)).unwrap();
    }
    // One of them has its container still.
    docker(&["rm", "--force", &taken[0]]);
    server.restart().await;
    let noted = || server.log().matches("was taken already, and is left alone").count();
    eventually("both to be left alone", async || (noted() == 2).then_some(())).await;
    for instance in &taken {
        docker(&["volume", "inspect", instance]);
    }
    let client = Client::new(&server);
    let id = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    assert!(!taken.contains(&run_by(&server, &id).await), "nobody gets what is somebody's");
}

async fn running_as(server: &Server, ids: &[String]) -> Vec<String> {
    let mut instances = Vec::new();
    for id in ids {
        instances.push(run_by(server, id).await);
    }
    instances
}
