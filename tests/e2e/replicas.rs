//! Two replicas on one PostgreSQL: either answers, one reconciles, and nobody notices who.

use serde_json::Value;

use crate::support::client::{Client, Events};
use crate::support::database::Database;
use crate::support::docker::docker;
use crate::support::eventually;
use crate::support::server::Server;

struct Replicas {
    // Dropped in this order: the servers before their database.
    first: Server,
    second: Server,
    database: Database,
}

impl Replicas {
    /// The first replica reconciles.
    async fn start() -> Self {
        let database = Database::new().await;
        let settings = database.settings();
        let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let first = Server::start(&settings).await;
        eventually("the first replica to lead", async || first.leads().then_some(())).await;
        let second = first.replica().await;
        Self { first, second, database }
    }
}

fn id(service: &Value) -> String {
    service["id"].as_str().unwrap().to_owned()
}

/// Reads both subscriptions until the service is settled in `state`, and finds that they tell the same.
async fn same(one: &mut Events, other: &mut Events, service: &str, state: &str) {
    let (one, other) = tokio::join!(one.until(service, state), other.until(service, state));
    assert_eq!(one, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_answer_and_tell_the_same_events_in_the_same_order() {
    let replicas = Replicas::start().await;
    let (here, there) = (Client::new(&replicas.first), Client::new(&replicas.second));
    let (mut seen_here, mut seen_there) = (here.events(None).await, there.events(None).await);
    let service = id(&there.provision("REDIS", "7").await);
    same(&mut seen_here, &mut seen_there, &service, "RUNNING").await;
    assert_eq!(here.reveal(&service).await, there.reveal(&service).await);
    there.act("stopService", &service).await;
    same(&mut seen_here, &mut seen_there, &service, "STOPPED").await;
    here.act("destroyService", &service).await;
    same(&mut seen_here, &mut seen_there, &service, "DESTROYED").await;
    assert!(replicas.first.leads() && !replicas.second.leads(), "one reconciles");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_is_killed_the_other_finishes_what_was_under_way() {
    let mut replicas = Replicas::start().await;
    let client = Client::new(&replicas.second);
    let mut events = client.events(None).await;
    let service = id(&client.provision("POSTGRESQL", "17").await);
    let phase = "WAITING_FOR_READY";
    eventually(phase, async || (client.service(&service).await["operation"]["phase"] == phase).then_some(())).await;
    replicas.first.kill();
    events.until(&service, "RUNNING").await;
    assert!(replicas.second.leads());
    docker(&["kill", &service]);
    events.until(&service, "RUNNING").await;

    replicas.first.restart().await;
    let client = Client::new(&replicas.first);
    client.act("stopService", &service).await;
    events.until(&service, "STOPPED").await;
    assert!(!replicas.first.leads(), "the one that came back follows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_leader_hands_over_and_its_subscribers_go_on_elsewhere() {
    let mut replicas = Replicas::start().await;
    let (here, there) = (Client::new(&replicas.first), Client::new(&replicas.second));
    let mut events = here.events(None).await;
    let service = id(&here.provision("REDIS", "7").await);
    let seen = events.until(&service, "RUNNING").await;
    let cursor = seen.last().unwrap()["cursor"].as_str().unwrap();
    assert!(replicas.first.terminate().await.success());
    while events.next().await.is_some() {}

    let mut events = there.events(Some(cursor)).await;
    there.act("restartService", &service).await;
    let seen = events.until(&service, "RUNNING").await;
    assert_eq!(seen[0]["operation"]["kind"], "RESTART", "nothing twice and nothing lost: {seen:?}");
    assert!(replicas.second.leads());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_notices_events_come_all_the_same() {
    let replicas = Replicas::start().await;
    let (here, there) = (Client::new(&replicas.first), Client::new(&replicas.second));
    let (mut seen_here, mut seen_there) = (here.events(None).await, there.events(None).await);
    let database = replicas.database.client().await;
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity \
        where query like 'LISTEN %' and datname = current_database()";
    let service = id(&here.provision("REDIS", "7").await);
    here.settled(&service, "RUNNING").await;
    for _ in 0..3 {
        database.execute(cut, &[]).await.unwrap();
        there.act("restartService", &service).await;
        there.settled(&service, "RUNNING").await;
    }
    database.execute(cut, &[]).await.unwrap();
    there.act("destroyService", &service).await;
    same(&mut seen_here, &mut seen_there, &service, "DESTROYED").await;
}
