//! Several nodes, joined to one Docker Swarm.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::eventually;
use crate::support::server::{Server, binary};
use crate::support::swarm::Swarm;

const IMAGE: &str = "redis:7";
const NODE: &str = "query($id: ID!) { service(id: $id) { node error { code message } } }";

/// On which node a service is, as anybody is told who sees it.
async fn node_of(client: &Client, id: &str) -> String {
    client.data(NODE, json!({"id": id})).await["service"]["node"].as_str().unwrap().to_owned()
}

/// Who may see nodes as well.
fn operator(server: &Server) -> Client {
    let token = server.token(&["project:settings", "project:delete", "platform:nodes"]);
    let mut client = Client::new(server);
    client.token = token;
    client
}

/// What Redis says to a preview on the node of that name.
fn preview(swarm: &Swarm, server: &Server, node: &str, url: &str, command: &[&str]) -> String {
    let network = server.network();
    let client = ["run", "--rm", "--network", network.as_str(), IMAGE, "redis-cli", "--no-auth-warning", "-u", url];
    let at = usize::from(node.as_bytes()[0] - b'a');
    swarm.nodes[at].docker(&[&client[..], command].concat()).trim().to_owned()
}

#[tokio::test]
async fn services_are_placed_on_nodes_found_from_all_of_them_and_lost_with_their_own_only() {
    let swarm = Swarm::start(3, IMAGE).await;
    let settings = [("NODES", swarm.setting()), ("PLACEMENT", "spread".to_owned())];
    let mut server = Server::start(&settings.each_ref().map(|(key, value)| (*key, value.as_str()))).await;
    let mut client = operator(&server);

    let mut services = BTreeMap::new();
    for _ in 0..3 {
        let id = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
        client.settled(&id, "RUNNING").await;
        services.insert(node_of(&client, &id).await, id);
    }
    assert_eq!(services.keys().collect::<Vec<_>>(), ["a", "b", "c"], "spread over all");
    let mut urls = BTreeMap::new();
    for (node, id) in &services {
        urls.insert(node, client.reveal(id).await["REDIS_URL"].clone());
    }
    for (n, from) in services.keys().enumerate() {
        for url in urls.values() {
            assert_eq!(preview(&swarm, &server, from, url, &["INCR", "n"]), (n + 1).to_string(), "from {from}");
        }
    }

    let clone = "mutation($id: ID!) { cloneService(input: {id: $id, name: \"copy\"}) { service { id node } } }";
    let clone = client.data(clone, json!({"id": services["a"]})).await["cloneService"]["service"].clone();
    assert_eq!(clone["node"], "a", "beside what it is a clone of, though others are to be spread");
    let copy = clone["id"].as_str().unwrap().to_owned();
    client.settled(&copy, "RUNNING").await;
    let url = client.reveal(&copy).await["REDIS_URL"].clone();
    assert_eq!(preview(&swarm, &server, "c", &url, &["GET", "n"]), "3");

    let cordon = "mutation { cordonNode(input: {name: \"a\"}) { node { cordoned promised { services } } } }";
    let cordoned = client.data(cordon, json!({})).await["cordonNode"]["node"].clone();
    assert_eq!(cordoned, json!({"cordoned": true, "promised": {"services": 2}}));
    swarm.nodes[1].kill();
    let (lost, kept) = (&services["b"], &services["c"]);
    client.settled(lost, "ERROR").await;
    let error = client.data(NODE, json!({"id": lost})).await["service"]["error"].clone();
    assert_eq!(error["code"], "NODE_UNAVAILABLE");
    assert!(error["message"].as_str().unwrap().contains("The node b does not answer"), "{error}");
    assert_eq!(client.service(kept).await["state"], "RUNNING");
    let nodes = client.data("{ nodes { name state cordoned } }", json!({})).await["nodes"].clone();
    let shown = |name, state, cordoned| json!({"name": name, "state": state, "cordoned": cordoned});
    assert_eq!(nodes, json!([shown("a", "READY", true), shown("b", "AWAY", false), shown("c", "READY", false)]));
    let ready = reqwest::get(format!("http://{}/readyz", server.address)).await.unwrap();
    assert_eq!(ready.status(), 200, "the others do their work");
    let ready: Value = ready.json().await.unwrap();
    assert_eq!((&ready["nodes"]["a"], &ready["engine"]), (&json!("ok"), &json!("ok")));
    assert!(ready["nodes"]["b"].as_str().unwrap().starts_with("unavailable"), "{ready}");
    let new = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
    assert_eq!(node_of(&client, &new).await, "c", "neither where it is cordoned nor where nobody answers");
    client.settled(&new, "RUNNING").await;

    swarm.nodes[1].again().await;
    client.settled(lost, "RUNNING").await;
    assert_eq!(node_of(&client, lost).await, "b");
    let b = "b".to_owned();
    let url = &urls[&b];
    eventually("the network to be whole again", async || {
        (preview(&swarm, &server, "c", url, &["GET", "n"]) == "3").then_some(())
    })
    .await;

    // Whose node is not named any more waits for it, and says so.
    let all = swarm.setting();
    let others = all.split(',').filter(|node| !node.starts_with("b=")).collect::<Vec<_>>().join(",");
    for (nodes, state) in [(others.as_str(), "ERROR"), (all.as_str(), "RUNNING")] {
        server.terminate().await;
        server.set("NODES", nodes);
        server.restart().await;
        client = operator(&server);
        client.settled(lost, state).await;
        let error = client.data(NODE, json!({"id": lost})).await["service"]["error"]["code"].clone();
        assert_eq!(error == "NODE_UNAVAILABLE", state == "ERROR", "{error}");
    }

    for id in services.values().chain([&new, &copy]) {
        client.act("destroyService", id).await;
    }
    for id in services.values().chain([&new, &copy]) {
        client.settled(id, "DESTROYED").await;
    }
    for node in &swarm.nodes {
        assert_eq!(node.docker(&["ps", "--all", "--quiet"]), "");
        assert_eq!(node.docker(&["volume", "ls", "--quiet"]), "");
        let network = format!("name={}", server.network());
        assert_eq!(node.docker(&["network", "ls", "--quiet", "--filter", &network]), "");
    }
}

#[tokio::test]
async fn several_engines_that_share_no_swarm_are_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let link = directory.path().join("docker.sock");
    std::os::unix::fs::symlink(host.trim_start_matches("unix://"), &link).unwrap();
    let started = std::process::Command::new(binary())
        .args(["serve", "--dev", "--listen-address", "127.0.0.1:0"])
        .env("NODES", format!("a={host},b=unix://{}", link.display()))
        .env("DATA_DIR", directory.path().join("data"))
        .output()
        .unwrap();
    assert!(!started.status.success());
    let said = String::from_utf8(started.stderr).unwrap();
    assert!(said.contains("The node a is in no Docker Swarm"), "{said}");
}
