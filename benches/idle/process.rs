//! The server, as a process that is measured from outside.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::fill::{Database, KEYS};

pub struct Process {
    child: Child,
    metrics: SocketAddr,
    /// From its start until it took connections.
    pub ready_after: Duration,
}

impl Process {
    pub async fn start(binary: &Path, directory: &Path, database: &Database, engine: &Engine) -> Self {
        let (address, metrics) = (free_address(), free_address());
        let started = Instant::now();
        let child = Command::new(binary)
            .arg("serve")
            .env_clear()
            .env("LISTEN_ADDRESS", address.to_string())
            .env("METRICS_ADDRESS", metrics.to_string())
            .env("DATA_DIR", directory)
            .env("JWT_SECRET", "a secret that is long enough for anybody")
            .env("ENCRYPTION_KEYS", KEYS)
            .env("DOCKER_HOST", engine.host())
            .env("LOG_FILTER", "error")
            .envs(database.settings())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut process = Self { child, metrics, ready_after: Duration::ZERO };
        while TcpStream::connect(address).is_err() {
            assert!(process.child.try_wait().unwrap().is_none(), "the server ended");
            assert!(started.elapsed() < Duration::from_secs(60), "the server does not serve");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        process.ready_after = started.elapsed();
        process
    }

    /// Waits until it takes next to nothing for some seconds.
    pub async fn settled(&self, at_most: Duration) {
        let started = Instant::now();
        tokio::time::sleep(Duration::from_secs(15)).await;
        while self.share(Duration::from_secs(4)).await > 0.005 && started.elapsed() < at_most {}
    }

    /// The share of a core that it takes over some time.
    pub async fn share(&self, over: Duration) -> f64 {
        let (started, before) = (Instant::now(), self.cpu_seconds());
        tokio::time::sleep(over).await;
        (self.cpu_seconds() - before) / started.elapsed().as_secs_f64()
    }

    /// utime and stime (proc(5), /proc/PID/stat), in hundredths of a second.
    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / 100.0
    }

    pub fn memory_kb(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The quickest of some answers, and its text.
    pub async fn metrics(&self) -> (Duration, String) {
        let (mut quickest, mut text) = (Duration::MAX, String::new());
        for _ in 0..5 {
            let started = Instant::now();
            text = reqwest::get(format!("http://{}/metrics", self.metrics)).await.unwrap().text().await.unwrap();
            quickest = quickest.min(started.elapsed());
        }
        (quickest, text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
