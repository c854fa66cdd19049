//! What befalls a container.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{pids, provisioned, psql, redis, run, shows_error, signal};
use crate::support::client::Client;
use crate::support::docker::{docker, inspect, make_anew, owned, try_docker};
use crate::support::eventually;
use crate::support::server::Server;

/// The longest that a server which hangs may be shown as RUNNING.
const HANGS: Duration = Duration::from_secs(20);

/// Whether an instance's server has answered, each time that it was asked.
fn asked(server: &Server, id: &str) -> Vec<bool> {
    let lines = server.log();
    let lines = lines.lines().filter(|line| line.contains("A server was asked") && line.contains(id));
    lines.map(|line| line.contains("\"answers\":true")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_killed_or_removed_by_hand_comes_back_with_its_data() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let id = provisioned(&client, "POSTGRESQL", "17").await;
    events.until(&id, "RUNNING").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    psql(&server, &url, "create table t as select 42 as x");
    for command in [&["kill", id.as_str()][..], &["stop", "-t", "5", &id], &["rm", "-f", &id], &["restart", &id]] {
        let started = Instant::now();
        docker(command);
        let seen = events.until(&id, "RUNNING").await;
        assert!(seen.iter().any(|event| event["state"] == "PROVISIONING"), "{command:?}: {seen:?}");
        assert_eq!(psql(&server, &url, "select x from t"), "42");
        assert!(started.elapsed() < Duration::from_secs(30), "{command:?}: {:?}", started.elapsed());
    }
    assert_eq!(owned(&server.test).len(), 3, "one container, one volume, one network");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_killed_by_hand_again_and_again_is_no_crash_loop() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let id = provisioned(&client, "REDIS", "7").await;
    events.until(&id, "RUNNING").await;
    for _ in 0..6 {
        docker(&["kill", &id]);
        let seen = events.until(&id, "RUNNING").await;
        assert!(seen.iter().all(|event| event["state"] != "ERROR"), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_paused_by_hand_goes_on() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let id = provisioned(&client, "REDIS", "7").await;
    events.until(&id, "RUNNING").await;
    let before = run(&id);
    docker(&["pause", &id]);
    let seen = events.until(&id, "RUNNING").await;
    assert!(seen.iter().any(|event| event["state"] == "PROVISIONING"), "{seen:?}");
    assert_eq!((run(&id), &inspect(&id)["State"]["Paused"]), (before, &false.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_renamed_by_hand_gets_its_name_back() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    let before = run(&id);
    docker(&["rename", &id, &format!("renamed-{}", server.test)]);
    eventually("its name", async || try_docker(&["container", "inspect", &id]).ok()).await;
    client.settled(&id, "RUNNING").await;
    assert_eq!(run(&id), before, "the container was left alone");
    assert_eq!(owned(&server.test).len(), 3, "one container, one volume, one network");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_cut_off_from_its_network_is_not_running_until_it_is_back_on_it() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let id = provisioned(&client, "REDIS", "7").await;
    events.until(&id, "RUNNING").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    let before = run(&id);
    let network = server.network();
    // Disconnected while it runs, with the network removed too.
    docker(&["network", "disconnect", "-f", &network, &id]);
    let _ = try_docker(&["network", "rm", &network]);
    let seen = events.until(&id, "RUNNING").await;
    assert!(seen.iter().any(|event| event["state"] == "PROVISIONING"), "{seen:?}");
    assert_eq!(redis(&server, &url, &["ping"]), "PONG");
    assert_eq!(run(&id), before, "it was not restarted");

    // The network is removed while it is stopped, and comes back under another id.
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    docker(&["network", "rm", &network]);
    client.act("startService", &id).await;
    client.settled(&id, "RUNNING").await;
    assert_eq!(redis(&server, &url, &["ping"]), "PONG");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_policy_that_is_changed_by_hand_is_put_right() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    let before = run(&id);
    let policy = || inspect(&id)["HostConfig"]["RestartPolicy"]["Name"].as_str().unwrap().to_owned();
    for by_hand in ["no", "unless-stopped", "on-failure"] {
        docker(&["update", "--restart", by_hand, &id]);
        eventually("the policy", async || (policy() == "always").then_some(())).await;
    }
    client.settled(&id, "RUNNING").await;
    assert_eq!(run(&id), before);
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    docker(&["update", "--restart", "always", &id]);
    eventually("the policy", async || (policy() == "no").then_some(())).await;
    // Started by hand, it is stopped again.
    docker(&["start", &id]);
    eventually("the end", async || (inspect(&id)["State"]["Running"] == false).then_some(())).await;
    client.settled(&id, "STOPPED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_restart_policy_follows_what_is_wanted() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    let policy = || inspect(&id)["HostConfig"]["RestartPolicy"]["Name"].as_str().unwrap().to_owned();
    assert_eq!(policy(), "always");
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    assert_eq!(policy(), "no");
    client.act("startService", &id).await;
    client.settled(&id, "RUNNING").await;
    assert_eq!(policy(), "always");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_out_of_memory_comes_back() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let id = provisioned(&client, "REDIS", "7").await;
    events.until(&id, "RUNNING").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    // The default, everysec, may lose a second's writes.
    redis(&server, &url, &["config", "set", "appendfsync", "always"]);
    redis(&server, &url, &["set", "key", "kept"]);
    let before = run(&id);
    let too_much = "local s = string.rep('x', 1024 * 1024 * 400) return #s";
    let _ = super::preview(
        &server.test,
        &server.network(),
        "redis:7",
        &["redis-cli", "--no-auth-warning", "-u", &url, "eval", too_much, "0"],
    );
    let seen = events.until(&id, "RUNNING").await;
    assert!(seen.iter().any(|event| event["state"] == "PROVISIONING"), "{seen:?}");
    assert_ne!(run(&id), before);
    assert_eq!(redis(&server, &url, &["get", "key"]), "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_postgresql_backend_that_runs_out_of_memory_takes_nothing_else_with_it() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "POSTGRESQL", "17").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    psql(&server, &url, "create table t as select 42 as x");
    let before = run(&id);
    let too_much = "select length(string_agg(repeat('x', 1000000), '')) from generate_series(1, 900)";
    let answer = super::preview(&server.test, &server.network(), "postgres:17", &["psql", &url, "-qtAc", too_much]);
    assert!(answer.is_err(), "{answer:?}");
    // PostgreSQL restarts all its other backends by itself, within the same run of the container.
    eventually("the server to answer", async || {
        let query = ["psql", url.as_str(), "-qtAc", "select x from t"];
        super::preview(&server.test, &server.network(), "postgres:17", &query).ok().filter(|answer| answer == "42")
    })
    .await;
    client.settled(&id, "RUNNING").await;
    assert_eq!(run(&id), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_in_a_loop_is_in_error_until_it_runs_for_good() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let id = provisioned(&client, "REDIS", "7").await;
    events.until(&id, "RUNNING").await;
    docker(&[
        "exec",
        &id,
        "sh",
        "-c",
        "cp -a /data/appendonlydir /data/good; echo bad >>/data/appendonlydir/appendonly.aof.1.incr.aof",
    ]);
    signal(&id, "-KILL");
    let looping = shows_error(&client, &id, "CRASH_LOOP", Duration::from_secs(60)).await;
    assert_eq!(looping["state"], "ERROR");
    let message = looping["error"]["message"].as_str().unwrap();
    assert!(message.contains("ends again and again"), "{message}");
    // The engine goes on trying. So many tries later it still is in ERROR, and has been all the time.
    let restarts = || inspect(&id)["RestartCount"].as_u64().unwrap();
    let tries = restarts();
    eventually("three more tries", async || (restarts() >= tries + 3).then_some(())).await;
    let mount = format!("{id}:/data");
    let repair = "rm -rf /data/appendonlydir; mv /data/good /data/appendonlydir";
    docker(&["run", "--rm", "--volume", &mount, "--entrypoint", "sh", "redis:7", "-c", repair]);
    let seen = events.until(&id, "RUNNING").await;
    let shown: Vec<_> = seen.iter().map(|event| event["state"].as_str().unwrap()).collect();
    let first = shown.iter().position(|state| *state == "ERROR").unwrap();
    assert!(shown[first..shown.len() - 1].iter().all(|state| *state == "ERROR"), "no flicker: {shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_not_running_and_runs_again_when_it_answers() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    // At once, before it was asked for the first time; then after it was healthy.
    for kind in ["REDIS", "POSTGRESQL"] {
        let id = provisioned(&client, kind, if kind == "REDIS" { "7" } else { "17" }).await;
        let before = run(&id);
        for _ in 0..2 {
            signal(&id, "-STOP");
            let hanging = shows_error(&client, &id, "UNHEALTHY", HANGS).await;
            assert_eq!(hanging["state"], "ERROR");
            signal(&id, "-CONT");
            client.settled(&id, "RUNNING").await;
        }
        assert_eq!(run(&id), before, "it was left alone");
        client.act("destroyService", &id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_shown_so_by_whoever_comes_next() {
    let mut server = Server::start(&[]).await;
    let id = provisioned(&Client::new(&server), "REDIS", "7").await;
    signal(&id, "-STOP");
    shows_error(&Client::new(&server), &id, "UNHEALTHY", HANGS).await;
    let before = server.log().len();
    server.restart().await;
    let client = Client::new(&server);
    eventually("another question", async || server.log()[before..].contains("A server was asked").then_some(())).await;
    assert_eq!(client.service(&id).await["state"], "ERROR");
    assert!(!server.log()[before..].contains("A service changed its state"), "no flicker");
    signal(&id, "-CONT");
    client.settled(&id, "RUNNING").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_the_engine_asks_runs_on_and_is_not_asked_twice() {
    let mut server = Server::start(&[]).await;
    let id = provisioned(&Client::new(&server), "REDIS", "7").await;
    server.kill();
    // As earlier versions made them.
    let check =
        "case $(timeout -k 1 3 redis-cli -h 127.0.0.1 </data/.service/ping 2>&1) in *PONG*) ;; *) false ;; esac";
    let second = 1_000_000_000_u64;
    let check =
        json!({"Test": ["CMD", "sh", "-c", check], "Interval": 4 * second, "Timeout": 6 * second, "Retries": 2});
    make_anew(&id, |container| container["Healthcheck"] = check).await;
    let before = run(&id);
    server.restart().await;
    let client = Client::new(&server);
    let health = || inspect(&id)["State"]["Health"]["Status"].clone();
    eventually("the engine to ask it", async || (health() == "healthy").then_some(())).await;
    client.settled(&id, "RUNNING").await;
    signal(&id, "-STOP");
    shows_error(&client, &id, "UNHEALTHY", HANGS).await;
    assert_eq!(health(), "unhealthy");
    assert!(!asked(&server, &id).contains(&false), "it is left to the engine");
    signal(&id, "-CONT");
    client.settled(&id, "RUNNING").await;
    assert_eq!(run(&id), before, "it was not made anew");
}

/// However many checks a server has left unanswered, nothing of them stays.
#[tokio::test(flavor = "multi_thread")]
async fn checks_of_a_server_that_hangs_leave_no_process_behind() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let mut services = Vec::new();
    for (kind, version) in [("REDIS", "7"), ("POSTGRESQL", "17")] {
        let id = provisioned(&client, kind, version).await;
        // What measures its volume and what asks its server are among its processes, and stay.
        let used = "query($id: ID!) { service(id: $id) { storage { usedMib } } }";
        eventually("a measurement", async || {
            let storage = client.data(used, json!({"id": id})).await["service"]["storage"].clone();
            storage["usedMib"].is_u64().then_some(())
        })
        .await;
        eventually("an answer", async || asked(&server, &id).contains(&true).then_some(())).await;
        let base = pids(&id);
        signal(&id, "-STOP");
        services.push((id, base));
    }
    for (id, base) in &services {
        let failures = || asked(&server, id).iter().filter(|answered| !**answered).count();
        eventually("checks to fail", async || (failures() >= 6).then_some(())).await;
        assert!(pids(id) <= base + 8, "{} of {base}", pids(id));
        signal(id, "-CONT");
        client.settled(id, "RUNNING").await;
        // Its own processes come and go, so it may have a few more at times.
        eventually("the base", async || (pids(id) <= *base).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_turns_clients_away_runs() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    redis(&server, &url, &["config", "set", "maxclients", "4"]);
    let clients = format!("for n in 1 2 3 4; do (sleep 1000 | redis-cli -u {url}) & done; wait");
    docker(&["exec", "--detach", &id, "sh", "-c", &clients]);
    let turned_away = || try_docker(&["exec", &id, "sh", "-c", "redis-cli ping 2>&1"]);
    eventually("a full server", async || turned_away().ok().filter(|said| said.contains("max number"))).await;
    let before = asked(&server, &id).len();
    // With two that fail it would not count as healthy any more.
    let answers =
        eventually("three checks", async || asked(&server, &id).get(before..before + 3).map(<[_]>::to_vec)).await;
    assert_eq!(answers, [true; 3]);
    assert_eq!(client.service(&id).await["state"], "RUNNING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_can_be_restarted_and_stopped() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    signal(&id, "-STOP");
    shows_error(&client, &id, "UNHEALTHY", HANGS).await;
    let before = run(&id);
    client.act("restartService", &id).await;
    client.settled(&id, "RUNNING").await;
    assert_ne!(run(&id), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_shown_and_the_service_starts_once_it_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let range = format!("{port}-{port}");
    let server = Server::start(&[("PUBLISH_ADDRESS", "127.0.0.1"), ("PUBLISH_PORTS", &range)]).await;
    let client = Client::new(&server);
    let service = client.provision("REDIS", "7").await;
    let id = service["id"].as_str().unwrap();
    let refused = client.settled(id, "ERROR").await;
    assert_eq!(refused["error"]["code"], "PORT_IN_USE", "{refused}");
    drop(taken);
    client.settled(id, "RUNNING").await;
}

#[tokio::test]
async fn a_service_that_never_ran_takes_another_port_where_its_own_is_taken() {
    // Two ports in a row, of which the service can only get one.
    let (taken, free) = loop {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            break (taken, port + 1);
        }
    };
    let range = format!("{}-{free}", free - 1);
    let server = Server::start(&[("PUBLISH_ADDRESS", "127.0.0.1"), ("PUBLISH_PORTS", &range)]).await;
    let client = Client::new(&server);
    let service = client.provision("REDIS", "7").await;
    let running = client.settled(service["id"].as_str().unwrap(), "RUNNING").await;
    assert_eq!(running["externalPort"], free, "{running}");
    drop(taken);
}
