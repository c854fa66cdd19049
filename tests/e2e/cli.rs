//! The command line's client, as a person runs it.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::docker::{inspect, preview};
use crate::support::server::{Server, binary};

struct Cli<'a> {
    server: &'a Server,
    token: String,
}

impl Cli<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env("PROJECT_SERVICES_SERVER", format!("http://{}", self.server.address))
            .env("PROJECT_SERVICES_TOKEN", &self.token);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    async fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_does_from_a_terminal_what_the_dashboard_does() {
    let server = Server::start(&[("PUBLISH_ADDRESS", "127.0.0.1")]).await;
    let cli = Cli { server: &server, token: server.token(&["project:settings", "project:delete"]) };

    let provisioned = cli.run(&["provision", "redis", "--name", "cache"]).await;
    let progress = String::from_utf8_lossy(&provisioned.stderr);
    assert!(progress.contains("cache is running and answers its health check."), "{progress}");
    let told = cli.says(&["list"]).await;
    assert!(told.starts_with("NAME") && told.contains("cache") && told.contains("RUNNING"), "{told}");
    let listed: Value = serde_json::from_str(&cli.says(&["list", "--json"]).await).unwrap();
    let (id, port) = (listed[0]["id"].as_str().unwrap(), &listed[0]["externalPort"]);
    assert_eq!(listed[0]["name"], "cache");

    let inside = cli.says(&["env", "cache"]).await;
    let url = inside.lines().find_map(|line| line.strip_prefix("REDIS_URL=")).unwrap();
    let pong =
        preview(&server.test, &server.network(), "redis:7", &["redis-cli", "--no-auth-warning", "-u", url, "ping"]);
    assert_eq!(pong.unwrap().trim(), "PONG");
    let outside = cli.says(&["env", id, "--outside"]).await;
    assert!(outside.contains(&format!("@127.0.0.1:{port}")) && outside.contains("REDIS_HOST=127.0.0.1\n"), "{outside}");

    let mut logs = cli.command(&["logs", "cache"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(logs.stdout.take().unwrap()).lines();
    let ready = |line: std::io::Result<String>| line.unwrap().contains("Ready to accept connections");
    let told = tokio::task::spawn_blocking(move || { lines }.any(ready)).await.unwrap();
    logs.kill().unwrap();
    logs.wait().unwrap();
    assert!(told, "the log is followed");

    let resized = cli.says(&["resize", "cache", "standard", "--json"]).await;
    assert_eq!(inspect(id)["HostConfig"]["Memory"], 256 << 20, "{resized}");
    assert!(cli.refused(&["resize", "cache", "huge"]).await.contains("huge"));

    cli.says(&["stop", "cache"]).await;
    assert!(cli.says(&["resize", "cache", "dev"]).await.contains("STOPPED"));
    let stopped: Value = serde_json::from_str(&cli.says(&["list", "--json"]).await).unwrap();
    assert_eq!(stopped[0]["state"], "STOPPED");
    let why = cli.refused(&["stop", "cache"]).await;
    assert!(why.contains("INVALID_STATE"), "{why}");
    cli.says(&["start", "cache"]).await;
    assert!(cli.refused(&["destroy", "cache"]).await.contains("--yes"));
    assert!(cli.refused(&["env", "nobody"]).await.contains("there is no service nobody"));
    cli.says(&["destroy", "cache", "--yes"]).await;
    assert_eq!(cli.says(&["list", "--json"]).await.trim(), "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_brings_a_service_to_another_version_and_back() {
    let server = Server::start(&[]).await;
    let cli = Cli { server: &server, token: server.token(&["project:settings"]) };
    cli.says(&["provision", "redis", "--name", "cache", "--version", "6"]).await;
    let version = async || {
        let listed: Value = serde_json::from_str(&cli.says(&["list", "--json"]).await).unwrap();
        assert_eq!(listed[0]["state"], "RUNNING");
        listed[0]["version"].as_str().unwrap().to_owned()
    };
    cli.says(&["upgrade", "cache", "--to", "7"]).await;
    assert_eq!(version().await, "7");
    assert!(cli.refused(&["upgrade", "cache", "--to", "6"]).await.contains("CONFLICT"));
    cli.says(&["revert", "cache"]).await;
    assert_eq!(version().await, "6");
    let failed = cli.refused(&["update-image", "cache"]).await;
    assert!(failed.contains("could not be pulled"), "no registry is there: {failed}");
    assert_eq!(version().await, "6");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_takes_verifies_restores_and_removes_backups_from_a_terminal() {
    let server = Server::start(&[]).await;
    let cli = Cli { server: &server, token: server.token(&["project:settings", "project:delete"]) };
    cli.says(&["provision", "redis", "--name", "cache"]).await;
    let url = |environment: String| {
        environment.lines().find_map(|line| line.strip_prefix("REDIS_URL=")).unwrap().trim_matches('\'').to_owned()
    };
    let redis = |url: &str, words: &[&str]| {
        let command = [&["redis-cli", "--no-auth-warning", "-u", url], words].concat();
        preview(&server.test, &server.network(), "redis:7", &command).unwrap()
    };
    redis(&url(cli.says(&["env", "cache"]).await), &["SET", "kept", "yes"]);
    let made: Value =
        serde_json::from_str(&cli.says(&["backup", "create", "cache", "--note", "a note", "--json"]).await).unwrap();
    assert_eq!((made["state"].as_str(), made["note"].as_str()), (Some("AVAILABLE"), Some("a note")), "{made}");
    let id = made["id"].as_str().unwrap();
    for list in [&["backup", "list"][..], &["backup", "list", "cache"]] {
        let told = cli.says(list).await;
        assert!(told.starts_with("SERVICE") && told.contains("AVAILABLE") && told.contains(id), "{told}");
    }
    let verified = cli.says(&["backup", "verify", id]).await;
    assert!(verified.contains("VERIFIED") && verified.contains("keys: 1"), "{verified}");
    let restored = cli.says(&["backup", "restore", id, "--name", "back"]).await;
    assert!(restored.contains("back") && restored.contains("RUNNING"), "{restored}");
    assert_eq!(redis(&url(cli.says(&["env", "back"]).await), &["GET", "kept"]), "yes");
    assert!(cli.refused(&["backup", "delete", id]).await.contains("give --yes"));
    cli.says(&["stop", "back"]).await;
    let refused = cli.refused(&["backup", "create", "back"]).await;
    assert!(refused.contains("INVALID_STATE"), "{refused}");
    cli.says(&["backup", "delete", id, "--yes"]).await;
    assert_eq!(cli.says(&["backup", "list", "--json"]).await.trim(), "[]");
}
