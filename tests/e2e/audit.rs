//! The audit trail in the log.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::server::Server;

/// The lines of the audit trail, each with its message, its own fields and its request's.
fn trail(server: &Server) -> Vec<Value> {
    let log = server.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "audit").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_who_did_what_from_where_and_who_was_refused() {
    // Nothing but the trail: it can be kept apart.
    let server = Server::start(&[("LOG_FILTER", "off,audit=info,project_services::server=info")]).await;
    let client = Client::new(&server);
    let service = client.provision("REDIS", "7").await;
    let id = service["id"].as_str().unwrap();
    client.settled(id, "RUNNING").await;
    client.reveal(id).await;
    client.act("stopService", id).await;
    let destroy = format!("mutation {{ destroyService(input: {{id: \"{id}\"}}) {{ service {{ id }} }} }}");
    let http = reqwest::Client::new();
    let ask = async |token: Option<String>| {
        let request = http.post(format!("http://{}/graphql", server.address)).json(&json!({"query": destroy}));
        let request = request.header("x-request-id", "the-one-to-look-for");
        let request = token.iter().fold(request, |request, token| request.bearer_auth(token));
        request.send().await.unwrap().json::<Value>().await.unwrap()["errors"][0]["extensions"]["code"].clone()
    };
    assert_eq!(ask(Some(server.token(&["project:settings"]))).await, "FORBIDDEN");
    assert_eq!(ask(None).await, "UNAUTHENTICATED");

    let trail = trail(&server);
    let accepted: Vec<_> = trail.iter().filter(|line| line["fields"]["message"] == "Accepted").collect();
    let actions: Vec<_> = accepted.iter().map(|line| line["fields"]["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["PROVISION", "REVEAL_CREDENTIALS", "STOP"]);
    for line in &accepted {
        assert_eq!((&line["fields"]["subject"], &line["fields"]["service"]), (&json!("e2e"), &json!(id)), "{line}");
        assert!(line["timestamp"].is_string() && line["span"]["id"].is_string(), "{line}");
        assert_eq!(line["span"]["client"], "127.0.0.1", "{line}");
    }
    let refused: Vec<_> = trail.iter().filter(|line| line["fields"]["message"] == "Refused").collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|line| line["span"]["id"] == "the-one-to-look-for"), "{refused:?}");
    assert_eq!(refused[0]["fields"]["action"], "DESTROY");
    assert_eq!(refused[0]["fields"]["why"], "the permission project:delete is missing");
    assert_eq!(refused[1]["fields"]["why"], "no token was sent");

    client.settled(id, "STOPPED").await;
    client.act("destroyService", id).await;
    client.settled(id, "DESTROYED").await;
}
