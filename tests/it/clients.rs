//! The packages that frontends talk GraphQL with, against a real server: the tests in `tests/clients`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use project_services::http::SocketLimits;

use crate::harness::{SECRET, Server};

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "with --nocapture it tells what ran")]
async fn the_clients_of_frontends_work() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    assert!(folder.join("node_modules").is_dir(), "the client packages are not installed: run `make clients`");
    let package = folder.join("../../clients/typescript/dist/index.js");
    assert!(package.is_file(), "the package of clients/typescript is not built: run `make clients`");
    let limits = SocketLimits { init_timeout: Duration::from_millis(100), ..SocketLimits::default() };
    let (server, impatient) = tokio::join!(Server::start(), Server::start_with_limits(limits));
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=tap"])
        .current_dir(folder)
        .env("SERVER", server.address.to_string())
        .env("IMPATIENT_SERVER", impatient.address.to_string())
        .env("JWT_SECRET", SECRET);
    let output = tokio::task::spawn_blocking(move || node.output()).await.unwrap();
    let output = output.unwrap_or_else(|error| panic!("node can't be run ({error}): run `make clients`"));
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    println!("{report}");
    assert!(report.contains("\n# skipped 0\n") && report.contains("\n# todo 0\n"), "{report}");
}
