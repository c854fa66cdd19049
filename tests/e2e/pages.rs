//! The pages, as a browser shows them.

use std::io::{BufRead, BufReader, Lines, Write, read_to_string};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};

use uuid::Uuid;

use crate::support::server::{SECRET, Server};

const ALL: &[&str] = &["project:settings", "project:delete"];

#[tokio::test(flavor = "multi_thread")]
async fn graphiql_needs_nothing_but_the_server() {
    let server = serve(&[("GRAPHIQL", "true"), ("INTROSPECTION", "true"), ("TOKEN_FIELD", "true")]).await;
    Walk::start(&server, "graphiql.mjs", &[]).finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_and_does_what_a_viewer_may_see_and_do() {
    let mut server = serve(&[("TOKEN_FIELD", "true"), ("PUBLISH_ADDRESS", "127.0.0.1")]).await;
    let address = server.address.clone();
    server.set("LISTEN_ADDRESS", &address);
    let mut walk = Walk::start(&server, "dashboard.mjs", &[("SECRET", SECRET)]);
    while let Some(line) = walk.says() {
        assert_eq!(line, "RESTART");
        server.restart().await;
        walk.tell("RESTARTED");
    }
    walk.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_embeds_the_dashboard_as_the_readme_says() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let platform = format!("http://localhost:{free}");
    let server = serve(&[("TOKEN_FIELD", "true"), ("ALLOWED_ORIGINS", &platform)]).await;
    Walk::start(&server, "embedding.mjs", &[("SECRET", SECRET), ("PLATFORM", &platform)]).finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_what_no_engine_shows_on_demand() {
    let server = serve(&[("TOKEN_FIELD", "true")]).await;
    Walk::start(&server, "gallery.mjs", &[]).finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_what_was_measured_and_what_a_service_holds() {
    let server = serve(&[("TOKEN_FIELD", "true")]).await;
    Walk::start(&server, "insight.mjs", &[]).finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_helps_with_what_is_full_outdated_or_broken() {
    let server = serve(&[("TOKEN_FIELD", "true")]).await;
    Walk::start(&server, "upkeep.mjs", &[]).finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_takes_backups_and_restores_them() {
    let server = serve(&[("TOKEN_FIELD", "true")]).await;
    Walk::start(&server, "backups.mjs", &[]).finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_looks_into_services_that_run() {
    let server = serve(&[("TOKEN_FIELD", "true"), ("PUBLISH_ADDRESS", "127.0.0.1")]).await;
    Walk::start(&server, "inside.mjs", &[("SECRET", SECRET)]).finish();
}

/// A server for the project demo, which the pages take for granted and other servers may have a network of.
async fn serve(settings: &[(&str, &str)]) -> Server {
    let networks = format!("e2e-{}-{{project}}", Uuid::now_v7().simple());
    let settings: Vec<_> = [("NETWORK_TEMPLATE", &*networks)].into_iter().chain(settings.iter().copied()).collect();
    let mut server = Server::start(&settings).await;
    server.project = "demo".to_owned();
    server
}

/// A script that goes through a page in a browser.
struct Walk {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
    complaints: JoinHandle<String>,
}

impl Walk {
    fn start(server: &Server, script: &str, environment: &[(&str, &str)]) -> Self {
        // A script ends by itself, also when its browser hangs; this is for when even that does not work.
        let mut process = Command::new("timeout")
            .args(["--kill-after=10", "300", "node", &format!("web/tests/{script}")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("ORIGIN", format!("http://{}", server.address))
            .env("TOKEN", server.token(ALL))
            .env("PICTURES", concat!(env!("CARGO_TARGET_TMPDIR"), "/pictures"))
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Node is installed");
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let stderr = process.stderr.take().unwrap();
        // Read as it comes, since nothing is said any more once its pipe is full.
        let complaints = thread::spawn(move || read_to_string(stderr).unwrap());
        Self { process, said, complaints }
    }

    /// Waits for a line; gives none at the end.
    fn says(&mut self) -> Option<String> {
        self.said.next().map(Result::unwrap)
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn finish(mut self) {
        assert_eq!(self.says(), None);
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{}", self.complaints.join().unwrap());
    }
}
