//! Destroying never lies and never gives up.

use std::time::{Duration, Instant};

use super::{provisioned, shows_error, signal};
use crate::support::client::Client;
use crate::support::docker::{LABEL, docker, owned, try_docker};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::server::Server;

async fn destroyed(server: &Server, client: &Client, id: &str) {
    client.settled(id, "DESTROYED").await;
    assert_eq!(owned(&server.test), Vec::<String>::new(), "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_every_phase_of_provisioning() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    for phase in ["QUEUED", "CREATING_VOLUME", "CREATING_CONTAINER", "STARTING", "WAITING_FOR_READY"] {
        let mut events = client.events(None).await;
        let service = client.provision("POSTGRESQL", "17").await;
        let id = service["id"].as_str().unwrap().to_owned();
        while events.next().await.unwrap()["operation"]["phase"] != phase {}
        client.act("destroyService", &id).await;
        destroyed(&server, &client, &id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_services_at_once_leaves_no_network() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(provisioned(&client, "REDIS", "7").await);
    }
    for id in &ids {
        client.act("destroyService", id).await;
    }
    for id in &ids {
        client.settled(id, "DESTROYED").await;
    }
    destroyed(&server, &client, &ids[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_engine_is_away() {
    let proxy = Proxy::start();
    let server = Server::start(&[("DOCKER_HOST", &proxy.host())]).await;
    let client = Client::new(&server);
    let running = provisioned(&client, "REDIS", "7").await;
    let stopped = provisioned(&client, "REDIS", "7").await;
    client.act("stopService", &stopped).await;
    client.settled(&stopped, "STOPPED").await;
    proxy.remove();
    let pending = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
    for id in [&running, &stopped, &pending] {
        client.act("destroyService", id).await;
        let waiting = shows_error(&client, id, "ENGINE_UNAVAILABLE", Duration::from_secs(30)).await;
        assert_eq!((&waiting["state"], &waiting["operation"]["kind"]), (&"DESTROYING".into(), &"DESTROY".into()));
    }
    proxy.put_back();
    for id in [&running, &stopped, &pending] {
        client.settled(id, "DESTROYED").await;
    }
    destroyed(&server, &client, &running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_was_removed_by_hand() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    docker(&["rm", &id]);
    client.act("destroyService", &id).await;
    destroyed(&server, &client, &id).await;

    let id = provisioned(&client, "REDIS", "7").await;
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    docker(&["rm", &id]);
    docker(&["volume", "rm", &id]);
    docker(&["network", "rm", &server.network()]);
    client.act("destroyService", &id).await;
    destroyed(&server, &client, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_volume_in_use_waits_and_says_why() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    let (mount, user) = (format!("{id}:/mnt"), format!("user-{}", server.test));
    let label = format!("{LABEL}={}", server.test);
    docker(&["create", "--name", &user, "--label", &label, "--volume", &mount, "redis:7", "true"]);
    client.act("destroyService", &id).await;
    let refused = shows_error(&client, &id, "ENGINE_REFUSED", Duration::from_secs(30)).await;
    assert_eq!((&refused["state"], &refused["operation"]["kind"]), (&"DESTROYING".into(), &"DESTROY".into()));
    assert!(refused["error"]["message"].as_str().unwrap().contains("in use"), "{refused}");
    assert!(try_docker(&["volume", "inspect", &id]).is_ok());
    docker(&["rm", "--volumes", &user]);
    destroyed(&server, &client, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_server_that_hangs_does_not_wait_for_its_shutdown() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "POSTGRESQL", "17").await;
    signal(&id, "-STOP");
    client.act("stopService", &id).await;
    eventually("the stop to be under way", async || {
        (client.service(&id).await["operation"]["phase"] == "STOPPING").then_some(())
    })
    .await;
    let started = Instant::now();
    client.act("destroyService", &id).await;
    destroyed(&server, &client, &id).await;
    assert!(started.elapsed() < Duration::from_secs(40), "its grace time is 60 s: {:?}", started.elapsed());
}
