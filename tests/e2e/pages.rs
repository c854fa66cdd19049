//! The pages, as a browser shows them.

use std::process::Command;

use uuid::Uuid;

use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn graphiql_needs_nothing_but_the_server() {
    // The examples are about the project demo, which other servers may have a network of.
    let networks = format!("e2e-{}-{{project}}", Uuid::now_v7().simple());
    let mut server =
        Server::start(&[("NETWORK_TEMPLATE", &networks), ("GRAPHIQL", "true"), ("INTROSPECTION", "true")]).await;
    server.project = "demo".to_owned();
    let walk = Command::new("node")
        .arg("web/tests/graphiql.mjs")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("ORIGIN", format!("http://{}", server.address))
        .env("TOKEN", server.token(&["project:settings", "project:delete"]))
        .env("PICTURES", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("Node is installed");
    assert!(
        walk.status.success(),
        "{}{}",
        String::from_utf8_lossy(&walk.stdout),
        String::from_utf8_lossy(&walk.stderr)
    );
}
