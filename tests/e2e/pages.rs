//! The pages, as a browser shows them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use uuid::Uuid;

use crate::support::server::Server;

const ALL: &[&str] = &["project:settings", "project:delete"];

#[tokio::test(flavor = "multi_thread")]
async fn graphiql_needs_nothing_but_the_server() {
    let server = serve(&[("GRAPHIQL", "true"), ("INTROSPECTION", "true")]).await;
    finish(walk(&server, "graphiql.mjs", &[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_and_does_what_a_viewer_may_see_and_do() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let platform = format!("http://localhost:{free}");
    let settings = [("TOKEN_FIELD", "true"), ("ALLOWED_ORIGINS", &platform), ("PUBLISH_ADDRESS", "127.0.0.1")];
    let mut server = serve(&settings).await;
    let address = server.address.clone();
    server.set("LISTEN_ADDRESS", &address);
    let viewer = server.token(&[]);
    let mut walk = walk(&server, "dashboard.mjs", &[("VIEWER", &viewer), ("PLATFORM", &platform)]);
    let (mut answers, said) = (walk.stdin.take().unwrap(), walk.stdout.take().unwrap());
    for line in BufReader::new(said).lines() {
        assert_eq!(line.unwrap(), "RESTART");
        server.restart().await;
        writeln!(answers, "RESTARTED").unwrap();
    }
    finish(walk);
}

/// A server for the project demo, which the pages take for granted and other servers may have a network of.
async fn serve(settings: &[(&str, &str)]) -> Server {
    let networks = format!("e2e-{}-{{project}}", Uuid::now_v7().simple());
    let settings: Vec<_> = [("NETWORK_TEMPLATE", &*networks)].into_iter().chain(settings.iter().copied()).collect();
    let mut server = Server::start(&settings).await;
    server.project = "demo".to_owned();
    server
}

fn walk(server: &Server, script: &str, environment: &[(&str, &str)]) -> Child {
    // A page that hangs fails.
    Command::new("timeout")
        .args(["300", "node", &format!("web/tests/{script}")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("ORIGIN", format!("http://{}", server.address))
        .env("TOKEN", server.token(ALL))
        .env("PICTURES", env!("CARGO_TARGET_TMPDIR"))
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Node is installed")
}

fn finish(mut walk: Child) {
    let mut said = String::new();
    if let Some(mut stdout) = walk.stdout.take() {
        stdout.read_to_string(&mut said).unwrap();
    }
    walk.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(walk.wait().unwrap().success(), "{said}");
    eprint!("{said}");
}
