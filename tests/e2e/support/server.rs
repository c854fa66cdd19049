//! The real binary, as a process with a data directory of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::docker::{LABEL, remove_owned};
use super::eventually;
use crate::chain::Logs;

pub const SECRET: &str = "the secret of the end-to-end tests, long enough";
/// Has the users of PostgreSQL be superusers, for tests of what those can do.
pub const SUPERUSER: (&str, &str) = ("POSTGRES_SUPERUSER", "true");
pub const OLD_KEY: &str = "old:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// A server process; killed when dropped, and what it made is removed.
pub struct Server {
    /// The value of the label that everything it makes bears.
    pub test: String,
    pub project: String,
    pub address: String,
    command: Vec<String>,
    environment: Vec<(String, String)>,
    directory: TempDir,
    process: Option<Child>,
}

impl Server {
    /// Starts a server on a free port, with settings besides the tests' own.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_as(&[binary()], settings).await
    }

    /// The same of another build, or with something that watches it: these words come before `serve`.
    pub async fn start_as(command: &[&str], settings: &[(&str, &str)]) -> Self {
        let test = Uuid::now_v7().simple().to_string()[20..].to_owned();
        let directory = tempfile::tempdir().unwrap();
        let own = [
            ("LISTEN_ADDRESS", "127.0.0.1:0".to_owned()),
            ("DATA_DIR", directory.path().display().to_string()),
            ("JWT_SECRET", SECRET.to_owned()),
            ("ENCRYPTION_KEYS", OLD_KEY.to_owned()),
            ("EXTRA_LABELS", format!("{LABEL}={test}")),
            ("LOG_FORMAT", "json".to_owned()),
            ("LOG_FILTER", "info,project_services=trace".to_owned()),
        ];
        let given = settings.iter().map(|(key, value)| (*key, (*value).to_owned()));
        let environment = own.into_iter().chain(given).map(|(key, value)| (key.to_owned(), value)).collect();
        let project = format!("e2e-{test}");
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let mut server = Self { test, project, address: String::new(), command, environment, directory, process: None };
        server.restart().await;
        server
    }

    /// Another server with the same settings, such as a shared database.
    pub async fn replica(&self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut replica = Self {
            test: self.test.clone(),
            project: self.project.clone(),
            address: String::new(),
            command: self.command.clone(),
            environment: self.environment.clone(),
            directory,
            process: None,
        };
        replica.set("DATA_DIR", &replica.directory.path().display().to_string());
        replica.restart().await;
        replica
    }

    /// Whether the process, by what it last logged of it, is the one that reconciles.
    pub fn leads(&self) -> bool {
        let log = self.log();
        let last = log.lines().rev().find_map(|line| {
            ["Serving", "This replica reconciles now", "This replica does not reconcile any more"]
                .into_iter()
                .find(|message| line.contains(message))
        });
        last == Some("This replica reconciles now")
    }

    /// Starts the process (again), on the same data.
    pub async fn restart(&mut self) {
        self.kill();
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let skip = self.log().len();
        let process = Command::new(&self.command[0])
            .args(&self.command[1..])
            .arg("serve")
            .env_clear()
            .envs(std::env::vars().filter(|(key, _)| key == "PATH" || key == "DOCKER_HOST"))
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        self.address = eventually("the server to serve", async || {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {}", self.log());
            let log = self.log();
            log[skip..].lines().find_map(|line| {
                let fields = serde_json::from_str::<Value>(line).ok()?["fields"].clone();
                (fields["message"] == "Serving").then(|| fields["address"].as_str().unwrap().to_owned())
            })
        })
        .await;
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, key: &str, value: &str) {
        self.environment.retain(|(known, _)| known != key);
        self.environment.push((key.to_owned(), value.to_owned()));
    }

    /// SIGKILL, in the middle of whatever it does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// SIGTERM.
    pub async fn terminate(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        let status = Command::new("kill").arg(process.id().to_string()).status().unwrap();
        assert!(status.success());
        eventually("the server to end", async || process.try_wait().unwrap()).await
    }

    /// Waits until the server ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let process = self.process.as_mut().unwrap();
        eventually("the server to end", async || process.try_wait().unwrap()).await
    }

    /// Runs another of the binary's commands with the server's settings.
    pub fn command(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(binary()).args(arguments).envs(self.environment.iter().cloned()).output().unwrap()
    }

    /// A figure of its memory in MiB, by its name in /proc/PID/status: VmRSS now, VmHWM at the most.
    pub fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.as_ref().unwrap().id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn network(&self) -> String {
        format!("project-{}", self.project)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    /// A token for the server's project, valid for an hour.
    pub fn token(&self, permissions: &[&str]) -> String {
        self.token_of("e2e", permissions)
    }

    /// The same for another subject.
    pub fn token_of(&self, subject: &str, permissions: &[&str]) -> String {
        let exp = jiff::Timestamp::now().as_second() + 3600;
        let claims = json!({"sub": subject, "exp": exp, "projects": [self.project], "permissions": permissions});
        encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(60).collect();
            eprintln!("The server's last log lines, newest first:\n{}", tail.join("\n"));
        }
        self.kill();
        remove_owned(&self.test);
        Logs::of_sqlite(&self.directory.path().join("project-services.db")).check();
    }
}

pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_project-services")
}
