//! Callers who ask for more than the server can do.

use super::provisioned;
use crate::support::client::Client;
use crate::support::docker::docker;
use crate::support::greedy::{CONNECTIONS, Greedy};
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_too_much_keeps_nobody_from_the_truth() {
    let server = Server::start(&[("INTROSPECTION", "true"), ("LOG_FILTER", "info")]).await;
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let id = provisioned(&client, "REDIS", "7").await;
    events.until(&id, "RUNNING").await;
    let greedy = Greedy::new(&server);
    greedy.answered(100).await;
    let before = greedy.answers();

    docker(&["kill", &id]);
    let seen = events.until(&id, "RUNNING").await;
    assert!(seen.iter().any(|event| event["state"] == "PROVISIONING"), "{seen:?}");
    let another = provisioned(&client, "REDIS", "6").await;
    client.act("stopService", &another).await;
    client.settled(&another, "STOPPED").await;

    let meanwhile = greedy.answers() - before;
    assert!(meanwhile < CONNECTIONS, "the others waited behind all of its questions: {meanwhile}");
    greedy.answered(1).await;
    let log = server.log();
    assert!(!log.contains("The term is over") && !log.contains("does not answer"), "nothing was late");
}
