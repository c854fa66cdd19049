//! A way to the machine's engine that a test can cut, block and open again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::docker::engine_socket;

/// How often it is seen whether a client whose answer is held has gone.
const LOOK: Duration = Duration::from_millis(50);

pub struct Proxy {
    directory: TempDir,
    way: watch::Sender<Way>,
    trap: SharedTrap,
    accepting: JoinHandle<()>,
}

type SharedTrap = Arc<Mutex<Option<Trap>>>;

/// For the first request, by its method and path, that `which` is true of.
struct Trap {
    which: Box<dyn Fn(&str) -> bool + Send>,
    sprung: oneshot::Sender<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    /// Nothing passes, and nothing ends.
    silent: bool,
    /// What the engine tells stops in each connection that has told so much since, in bytes.
    holds_at: Option<usize>,
    /// Connections of an earlier number are cut.
    cuts: u32,
}

impl Proxy {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (way, _) = watch::channel(Way { silent: false, holds_at: None, cuts: 0 });
        let listener = UnixListener::bind(socket(directory.path())).unwrap();
        let trap = SharedTrap::default();
        let (sender, traps) = (way.clone(), Arc::clone(&trap));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, sender.subscribe(), Arc::clone(&traps)));
            }
        });
        Self { directory, way, trap, accepting }
    }

    /// For DOCKER_HOST.
    pub fn host(&self) -> String {
        format!("unix://{}", socket(self.directory.path()).display())
    }

    /// Ends all connections; new ones are taken.
    pub fn cut(&self) {
        self.way.send_modify(|way| way.cuts += 1);
    }

    /// Ends all connections, and there is nothing to connect to.
    pub fn remove(&self) {
        let path = socket(self.directory.path());
        fs::rename(&path, path.with_extension("away")).unwrap();
        self.cut();
    }

    pub fn put_back(&self) {
        let path = socket(self.directory.path());
        fs::rename(path.with_extension("away"), &path).unwrap();
    }

    /// Whether connections are kept and taken but nothing passes.
    pub fn silent(&self, silent: bool) {
        self.way.send_modify(|way| way.silent = silent);
    }

    /// What is longer than so many bytes stops there on its way from the engine, until it is let go.
    pub fn hold_at(&self, bytes: usize) {
        self.way.send_modify(|way| way.holds_at = Some(bytes));
    }

    /// The next request that `which` is true of, by its method and path, never gets to the engine. Tells when it would have.
    pub fn catch(&self, which: impl Fn(&str) -> bool + Send + 'static) -> oneshot::Receiver<()> {
        let (sprung, caught) = oneshot::channel();
        *self.trap.lock().unwrap() = Some(Trap { which: Box::new(which), sprung });
        caught
    }

    pub fn let_go(&self) {
        self.way.send_modify(|way| way.holds_at = None);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("docker.sock")
}

async fn pass(client: UnixStream, mut way: watch::Receiver<Way>, trap: SharedTrap) {
    let cuts = way.borrow_and_update().cuts;
    let Ok(engine) = UnixStream::connect(engine_socket()).await else { return };
    let (asks, to_client) = client.into_split();
    let (tells, to_engine) = engine.into_split();
    let held = way.clone();
    let both = async {
        tokio::join!(ask(asks, to_engine, &trap), tell(tells, to_client, held));
    };
    let mut both = std::pin::pin!(both);
    loop {
        let now = *way.borrow_and_update();
        if now.cuts != cuts {
            return;
        }
        tokio::select! {
            () = &mut both, if !now.silent => return,
            changed = way.changed() => if changed.is_err() { return },
        }
    }
}

async fn ask(mut client: OwnedReadHalf, mut engine: OwnedWriteHalf, trap: &Mutex<Option<Trap>>) {
    let mut chunk = vec![0; 64 << 10];
    while let Ok(length @ 1..) = client.read(&mut chunk).await {
        if is_caught(&chunk[..length], trap) {
            return std::future::pending().await;
        }
        if engine.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
    let _ = engine.shutdown().await;
}

fn is_caught(asked: &[u8], trap: &Mutex<Option<Trap>>) -> bool {
    let line = asked.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let Some(request) = std::str::from_utf8(line).ok().and_then(|line| line.strip_suffix(" HTTP/1.1")) else {
        return false;
    };
    let mut trap = trap.lock().unwrap();
    match trap.take_if(|trap| (trap.which)(request)) {
        Some(trap) => trap.sprung.send(()).is_ok(),
        None => false,
    }
}

async fn tell(mut engine: OwnedReadHalf, mut client: OwnedWriteHalf, mut way: watch::Receiver<Way>) {
    let mut told = 0;
    let mut chunk = vec![0; 64 << 10];
    while let Ok(length @ 1..) = engine.read(&mut chunk).await {
        let Some(is_held) = let_through(told, &client, &mut way).await else { return };
        if client.write_all(&chunk[..length]).await.is_err() {
            return;
        }
        told = if is_held { told + length } else { 0 };
    }
    let _ = client.shutdown().await;
}

/// Waits until more may be told than so many bytes, and says whether that is held at some length. None where the client goes
/// meanwhile: the engine is to know, for it can't end what nobody takes the output of.
async fn let_through(told: usize, client: &OwnedWriteHalf, way: &mut watch::Receiver<Way>) -> Option<bool> {
    loop {
        let passes = way.wait_for(|way| way.holds_at.is_none_or(|most| told < most));
        let passed = timeout(LOOK, passes).await.map(|way| way.ok().map(|way| way.holds_at.is_some()));
        if let Ok(passed) = passed {
            return passed;
        }
        if client.ready(Interest::WRITABLE).await.ok()?.is_write_closed() {
            return None;
        }
    }
}
