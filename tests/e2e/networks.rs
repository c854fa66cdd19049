//! The networks of projects, and the addresses that they get.

use serde_json::Value;

use crate::support::client::Client;
use crate::support::docker::{LABEL, docker, inspect_a, owned};
use crate::support::eventually;
use crate::support::server::Server;

/// Four subnets that no other test has: every process takes others.
fn pool() -> (String, [String; 4]) {
    let [third, fourth] = (std::process::id() as u16).to_be_bytes();
    let fourth = fourth & 0xf0;
    let subnets = [0, 4, 8, 12].map(|step| format!("10.213.{third}.{}/30", fourth + step));
    (format!("10.213.{third}.{fourth}/28,30"), subnets)
}

fn logged(server: &Server, message: &str) -> Vec<Value> {
    let lines = server.log();
    let fields = lines.lines().filter_map(|line| Some(serde_json::from_str::<Value>(line).ok()?["fields"].clone()));
    fields.filter(|fields| fields["message"].as_str().is_some_and(|text| text.starts_with(message))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_waits_for_a_subnet_and_gets_the_one_that_is_freed() {
    let (pool, subnets) = pool();
    let settings = [("NETWORK_POOL", pool.as_str()), ("METRICS_ADDRESS", "127.0.0.1:0")];
    let first = Server::start(&settings).await;
    let label = format!("{LABEL}={}", first.test);
    for (name, subnet) in ["one", "two"].iter().zip([&subnets[0], &subnets[3]]) {
        let name = format!("{}-{name}", first.network());
        docker(&["network", "create", "--label", &label, "--subnet", subnet, &name]);
    }
    let client = Client::new(&first);
    let id = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    assert_eq!(
        inspect_a("network", &first.network())["IPAM"]["Config"][0]["Subnet"],
        subnets[1],
        "the first that was free"
    );
    docker(&["network", "create", "--label", &label, "--subnet", &subnets[2], &format!("{}-three", first.network())]);

    // Another installation on the same engine, with the same addresses.
    let second = Server::start(&settings).await;
    let waiting = Client::new(&second);
    let waits = waiting.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
    let refused = waiting.settled(&waits, "ERROR").await;
    assert_eq!(refused["error"]["code"], "NETWORK_POOL_EXHAUSTED", "{refused}");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("None of the 4 subnets") && message.contains("docker network prune"), "{message}");
    let few = logged(&second, "There are addresses for few");
    assert_eq!((&few[0]["left"], &few[0]["of"]), (&0.into(), &4.into()), "{few:?}");
    let address = logged(&second, "Serving metrics")[0]["address"].as_str().unwrap().to_owned();
    let left = async || {
        let metrics = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
        metrics.lines().find_map(|line| line.strip_prefix("project_services_networks_left ").map(str::to_owned))
    };
    assert_eq!(left().await.as_deref(), Some("0"));

    client.act("destroyService", &id).await;
    client.settled(&id, "DESTROYED").await;
    waiting.settled(&waits, "RUNNING").await;
    assert_eq!(
        inspect_a("network", &second.network())["IPAM"]["Config"][0]["Subnet"],
        subnets[1],
        "the one that was freed"
    );

    waiting.act("destroyService", &waits).await;
    waiting.settled(&waits, "DESTROYED").await;
    assert!(owned(&second.test).is_empty());
    eventually("the count", async || (left().await.as_deref() == Some("1")).then_some(())).await;
}
