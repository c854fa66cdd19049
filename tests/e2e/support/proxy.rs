//! A way to the machine's engine that a test can cut, block and open again.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::docker::engine_socket;

pub struct Proxy {
    directory: TempDir,
    way: watch::Sender<Way>,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    /// Nothing passes, and nothing ends.
    silent: bool,
    /// Connections of an earlier number are cut.
    cuts: u32,
}

impl Proxy {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (way, _) = watch::channel(Way { silent: false, cuts: 0 });
        let listener = UnixListener::bind(socket(directory.path())).unwrap();
        let sender = way.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, sender.subscribe()));
            }
        });
        Self { directory, way, accepting }
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
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("docker.sock")
}

async fn pass(mut client: UnixStream, mut way: watch::Receiver<Way>) {
    let cuts = way.borrow_and_update().cuts;
    let Ok(mut engine) = UnixStream::connect(engine_socket()).await else { return };
    let mut copy = std::pin::pin!(copy_bidirectional(&mut client, &mut engine));
    loop {
        let now = *way.borrow_and_update();
        if now.cuts != cuts {
            return;
        }
        tokio::select! {
            _ = &mut copy, if !now.silent => return,
            changed = way.changed() => if changed.is_err() { return },
        }
    }
}
