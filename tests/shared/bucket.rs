//! A real server for S3's protocol, rclone's, with one bucket.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// The key and its secret that the server knows.
pub const KEYS: (&str, &str) = ("access", "s3cret-s3cret");

/// A store with one bucket, `backups`.
pub struct Bucket {
    server: Child,
    pub endpoint: String,
    directory: TempDir,
}

impl Bucket {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("backups")).unwrap();
        let (server, endpoint) = serve(directory.path(), "127.0.0.1:0");
        Self { server, endpoint, directory }
    }

    /// The folder that is the bucket.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("backups")
    }

    /// Every object that is there of services.
    pub fn objects(&self) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.path()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                // The sidecar keeps its own database there, whenever that is due.
                let is_own = path.file_name().is_some_and(|name| name == "sidecar");
                if is_own {
                    continue;
                }
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        files
    }

    /// Ends the server.
    pub fn away(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.away();
    }
}

fn serve(directory: &Path, address: &str) -> (Child, String) {
    let rclone =
        std::env::var("TEST_RCLONE").expect("TEST_RCLONE names no rclone; `make test` fetches one and sets it");
    let mut server = Command::new(rclone)
        .args(["serve", "s3", "--addr", address, "--auth-key", &format!("{},{}", KEYS.0, KEYS.1)])
        .args(["--config", "/dev/null", "--log-level", "NOTICE"])
        .arg(directory)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    let endpoint = log.find_map(|line| {
        let line = line.unwrap();
        let (_, address) = line.split_once("http://")?;
        Some(format!("http://{}", address.split(['/', ']']).next()?))
    });
    // What it writes later is read and thrown away, lest it wait for a reader.
    std::thread::spawn(move || log.for_each(drop));
    (server, endpoint.expect("it says where it listens"))
}
