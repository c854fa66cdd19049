//! What happens behind the server's back, and to the server itself.

use std::os::unix::fs::symlink;

use crate::support::client::Client;
use crate::support::docker::{docker, inspect, owned, preview};
use crate::support::eventually;
use crate::support::server::Server;

async fn provisioned(client: &Client, kind: &str, version: &str) -> String {
    let service = client.provision(kind, version).await;
    let id = service["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    id
}

fn psql(server: &Server, url: &str, statement: &str) -> String {
    preview(&server.test, &server.network(), "postgres:17", &["psql", url, "-qtAc", statement]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_engine_is_away_provisioning_waits_with_the_reason_and_then_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let host = format!("unix://{}", socket.display());
    let server = Server::start(&[("DOCKER_HOST", &host)]).await;
    let client = Client::new(&server);
    let service = client.provision("REDIS", "7").await;
    let id = service["id"].as_str().unwrap().to_owned();
    let waiting = eventually("the reason", async || {
        let service = client.service(&id).await;
        (service["error"]["code"] == "ENGINE_UNAVAILABLE").then_some(service)
    })
    .await;
    assert_eq!(waiting["state"], "PENDING");
    let ready = reqwest::get(format!("http://{}/readyz", server.address)).await.unwrap();
    assert_eq!(ready.status(), 503);

    symlink("/var/run/docker.sock", &socket).unwrap();
    let running = client.settled(&id, "RUNNING").await;
    assert!(running["error"].is_null());
    let ready = reqwest::get(format!("http://{}/readyz", server.address)).await.unwrap();
    assert_eq!(ready.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_takes_up_what_was_under_way() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let service = client.provision("POSTGRESQL", "16").await;
    let id = service["id"].as_str().unwrap().to_owned();
    eventually("the container to run", async || {
        (client.service(&id).await["operation"]["phase"] == "WAITING_FOR_READY").then_some(())
    })
    .await;
    let mut events = client.events(None).await;
    server.kill();
    while events.next().await.is_some() {}

    server.restart().await;
    let client = Client::new(&server);
    client.settled(&id, "RUNNING").await;
    let url = &client.reveal(&id).await["DATABASE_URL"];
    assert_eq!(psql(&server, url, "select 1"), "1");
    assert_eq!(owned(&server.test).len(), 3, "one container, one volume, one network");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_run_on_while_the_server_is_down_and_its_events_are_there_afterwards() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let id = provisioned(&client, "POSTGRESQL", "17").await;
    let seen = events.until(&id, "RUNNING").await;
    let cursor = seen[0]["cursor"].as_str().unwrap();
    let url = client.reveal(&id).await["DATABASE_URL"].clone();

    assert!(server.terminate().await.success());
    while events.next().await.is_some() {}
    assert_eq!(psql(&server, &url, "select 1"), "1");

    server.restart().await;
    let client = Client::new(&server);
    let mut resumed = client.events(Some(cursor)).await;
    assert_eq!(resumed.until(&id, "RUNNING").await, seen[1..]);
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
    for command in [&["kill", id.as_str()][..], &["stop", "-t", "5", &id], &["rm", "-f", &id]] {
        docker(command);
        let seen = events.until(&id, "RUNNING").await;
        assert!(seen.iter().any(|event| event["state"] == "PROVISIONING"), "{command:?}: {seen:?}");
        assert_eq!(psql(&server, &url, "select x from t"), "42");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_was_interrupted_begins_anew() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let service = client.provision("POSTGRESQL", "17").await;
    let id = service["id"].as_str().unwrap().to_owned();
    eventually("the initialisation to begin", async || {
        docker(&["ps", "-q", "--filter", &format!("name={id}")]).lines().next()?;
        docker(&["exec", &id, "sh", "-c", "ls /var/lib/postgresql/data/pgdata 2>/dev/null || true"])
            .contains("PG_VERSION")
            .then_some(())
    })
    .await;
    docker(&["kill", &id]);
    client.settled(&id, "RUNNING").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    assert_eq!(psql(&server, &url, "select 1"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_gone_is_never_replaced_by_an_empty_one() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "POSTGRESQL", "17").await;
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    docker(&["rm", &id]);
    docker(&["volume", "rm", &id]);
    client.act("startService", &id).await;
    let lost = client.settled(&id, "ERROR").await;
    assert_eq!(lost["error"]["code"], "VOLUME_LOST");
    client.act("destroyService", &id).await;
    client.settled(&id, "DESTROYED").await;
    assert_eq!(owned(&server.test), Vec::<String>::new());
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
