//! What a node is promised, and what is placed on it.

use project_services::domain::node::{Capacity, NodeName, NodeRecord};
use project_services::domain::service::ServiceState;
use serde_json::{Value, json};

use crate::harness::{BOTH, Server, code, demo, token};

const PROVISION: &str =
    "mutation($project: ID!) { provisionService(input: {projectId: $project, kind: REDIS}) { service { id node } } }";
const RESIZE: &str = "mutation($id: ID!) { resizeService(input: {id: $id, tier: STANDARD}) { service { id } } }";

/// A server whose only node may be promised so much memory.
async fn bounded(memory_mib: u64) -> Server {
    let server = Server::start().await;
    let capacity = Capacity { memory_mib: Some(memory_mib), ..Capacity::default() };
    let seen = NodeRecord { engine: Some("28".to_owned()), ..NodeRecord::unseen(NodeName::default(), capacity) };
    server.store.node_note(&seen).await.unwrap();
    server
}

async fn nodes(server: &Server) -> Value {
    let operator = token(&[], &["platform:nodes"]);
    let query = "{ nodes { name state cordoned capacity { memoryMib } promised { services memoryMib } } }";
    server.data(&operator, query, json!({})).await["nodes"].clone()
}

#[tokio::test]
async fn a_node_is_promised_no_more_than_it_has_whoever_asks_at_once() {
    // Of Redis in its smallest size there is room for three, of 128 MiB each.
    let server = bounded(400).await;
    let projects: Vec<_> = (0..8).map(|n| format!("p{n}")).collect();
    let names: Vec<_> = projects.iter().map(String::as_str).collect();
    let viewer = token(&names, BOTH);
    let asked = names.iter().map(|project| server.run(&viewer, PROVISION, json!({"project": project})));
    let answers = futures_util::future::join_all(asked).await;
    let (refused, placed): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| !answer["errors"].is_null());
    assert_eq!(placed.len(), 3, "{placed:?}");
    for answer in &refused {
        assert_eq!(code(answer), "QUOTA_EXCEEDED", "{answer}");
        assert_eq!(answer["errors"][0]["extensions"]["lacks"], "memory", "{answer}");
    }
    let shown = json!([{"name": "local", "state": "READY", "cordoned": false, "capacity": {"memoryMib": 400},
        "promised": {"services": 3, "memoryMib": 384}}]);
    assert_eq!(nodes(&server).await, shown);

    let id = placed[0]["data"]["provisionService"]["service"]["id"].as_str().unwrap().to_owned();
    server.settle(&id, ServiceState::Running).await;
    assert_eq!(code(&server.run(&viewer, RESIZE, json!({"id": id})).await), "QUOTA_EXCEEDED", "nor a larger size");
    assert_eq!(nodes(&server).await, shown);
    server.settle(&id, ServiceState::Destroyed).await;
    server.data(&viewer, PROVISION, json!({"project": "p0"})).await;
}

#[tokio::test]
async fn what_operators_see_is_theirs_and_a_cordoned_node_takes_nothing_new() {
    let server = Server::start().await;
    let operator = token(&[], &["platform:nodes"]);
    let cordon = |name, node| {
        let server = &server;
        let operator = &operator;
        let mutation =
            format!("mutation($name: String!) {{ {name}(input: {{name: $name}}) {{ node {{ cordoned }} }} }}");
        async move { server.run(operator, &mutation, json!({"name": node})).await }
    };
    assert_eq!(code(&cordon("cordonNode", "nowhere").await), "NOT_FOUND");
    assert_eq!(code(&cordon("cordonNode", "No Name").await), "BAD_USER_INPUT");
    assert_eq!(cordon("cordonNode", "local").await["data"]["cordonNode"]["node"]["cordoned"], true);
    let answer = server.run(&demo(), PROVISION, json!({"project": "demo"})).await;
    assert_eq!(code(&answer), "UNAVAILABLE", "{answer}");
    assert_eq!(nodes(&server).await[0]["cordoned"], true);
    assert_eq!(code(&server.run(&demo(), "{ nodes { name } }", json!({})).await), "FORBIDDEN");
    cordon("uncordonNode", "local").await;
    let data = server.data(&demo(), PROVISION, json!({"project": "demo"})).await;
    assert_eq!(data["provisionService"]["service"]["node"], "local");
}
