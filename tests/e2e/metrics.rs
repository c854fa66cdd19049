//! What an operator reads of the server with Prometheus.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::eventually;
use crate::support::server::Server;

/// The value of the series whose name and labels are these.
fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_what_the_server_does() {
    let server = Server::start(&[("METRICS_ADDRESS", "127.0.0.1:0")]).await;
    let address = eventually("the metrics to be served", async || {
        server.log().lines().find_map(|line| {
            let fields = serde_json::from_str::<Value>(line).ok()?["fields"].clone();
            (fields["message"] == "Serving metrics").then(|| fields["address"].as_str().unwrap().to_owned())
        })
    })
    .await;
    let read = async || reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    let client = Client::new(&server);
    let mut events = client.events(None).await;
    let service = client.provision("REDIS", "7").await;
    let id = service["id"].as_str().unwrap();
    events.until(id, "RUNNING").await;

    let wrong = client.execute("mutation { stopService(input: {id: \"none\"}) { service { id } } }", json!({})).await;
    assert_eq!(wrong["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    client.execute("{ nonsense }", json!({})).await;
    // A document may name its only operation, and the request need not repeat the name.
    client.data("query Mine($id: ID!) { service(id: $id) { id } }", json!({"id": id})).await;
    let names = "query($project: ID!) { services(projectId: $project) { totalCount } }";
    let mut over_socket = client.subscribe("services", names, json!({"project": client.project})).await.unwrap();
    assert_eq!(over_socket.next().await.unwrap(), json!({"totalCount": 1}));
    assert_eq!(over_socket.next().await, None);

    let metrics = read().await;
    for (series, least) in [
        ("project_services_services{kind=\"REDIS\",state=\"RUNNING\"}", 1.0),
        ("project_services_requests_total{field=\"provisionService\",code=\"OK\"}", 1.0),
        ("project_services_requests_total{field=\"stopService\",code=\"BAD_USER_INPUT\"}", 1.0),
        ("project_services_requests_total{field=\"invalid\",code=\"GRAPHQL_VALIDATION_FAILED\"}", 1.0),
        ("project_services_requests_total{field=\"service\",code=\"OK\"}", 1.0),
        // The first one asked for the cursor, over HTTP.
        ("project_services_requests_total{field=\"services\",code=\"OK\"}", 2.0),
        ("project_services_subscriptions{field=\"serviceEvents\"}", 1.0),
        ("project_services_events_total", 4.0),
        ("project_services_database_backup_timestamp_seconds", 1.7e9),
        ("project_services_backup_actions_total{action=\"BACK_UP_DATABASE\",outcome=\"OK\"}", 1.0),
        ("project_services_engine_call_seconds_count{call=\"start\",outcome=\"ok\"}", 1.0),
    ] {
        assert!(value(&metrics, series).is_some_and(|value| value >= least), "{series} in {metrics}");
    }
    let actions = "project_services_reconcile_actions_total{action=\"AWAIT_READY\",";
    assert!(metrics.lines().any(|line| line.starts_with(actions) && line.contains("outcome=\"OK\"")), "{metrics}");

    client.act("destroyService", id).await;
    events.until(id, "DESTROYED").await;
    drop(events);
    let open = "project_services_subscriptions{field=\"serviceEvents\"}";
    eventually("the subscription to be gone", async || (value(&read().await, open) == Some(0.0)).then_some(())).await;
    let metrics = read().await;
    let ended = "project_services_requests_total{field=\"serviceEvents\",code=\"OK\"}";
    assert_eq!(value(&metrics, ended), Some(1.0), "{metrics}");
    assert_eq!(value(&metrics, "project_services_services{kind=\"REDIS\",state=\"RUNNING\"}"), Some(0.0));
    let main = reqwest::get(format!("http://{}/metrics", server.address)).await.unwrap();
    assert_eq!(main.status(), 404, "the API's address tells no metrics");
}
