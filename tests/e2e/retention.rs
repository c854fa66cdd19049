//! The end of the logs.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::eventually;
use crate::support::server::Server;

async fn log(client: &Client) -> Value {
    let query = "query($project: ID!) { services(projectId: $project) { eventCursor oldestEventCursor \
                 nodes { events(last: 100) { nodes { cursor } } } } }";
    client.data(query, json!({"project": client.project})).await["services"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_log_the_newest_events_are_kept() {
    let mut server = Server::start(&[("EVENTS_PER_PROJECT", "3")]).await;
    let client = Client::new(&server);
    let service = client.provision("REDIS", "7").await;
    let id = service["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    for _ in 0..5 {
        client.reveal(&id).await;
    }
    let before = log(&client).await;
    // It looks at the logs as it begins to reconcile, and each minute.
    server.restart().await;
    let client = Client::new(&server);
    let after = eventually("the log to be trimmed", async || {
        let now = log(&client).await;
        (now["oldestEventCursor"] != before["oldestEventCursor"]).then_some(now)
    })
    .await;
    let kept = |log: &Value| log["nodes"][0]["events"]["nodes"].as_array().unwrap().clone();
    assert_eq!(after["eventCursor"], before["eventCursor"]);
    assert_eq!(kept(&after), kept(&before)[kept(&before).len() - 3..]);
    client.act("destroyService", &id).await;
    client.settled(&id, "DESTROYED").await;
}
