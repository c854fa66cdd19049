//! A Docker Engine of a test's own, which it may kill, stop and starve without harm to the machine's.
//!
//! It runs in namespaces of its own (network, mounts, processes) under a shell that reads its commands from a pipe. When
//! the pipe closes, also because the test was killed, the shell ends, and with it the kernel ends all that ran there:
//! engine, shims and containers, with their mounts and networks.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use tempfile::TempDir;

use super::eventually;

/// Where [`Engine::publish`] has its registry.
pub const REGISTRY: &str = "127.0.0.1:5000";

pub struct Engine {
    directory: TempDir,
    arguments: String,
    cgroup: String,
    shell: Mutex<Shell>,
}

struct Shell {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Engine {
    /// Starts an engine without images, with further arguments for dockerd.
    pub async fn start(arguments: &[&str]) -> Self {
        Self::start_on(None, arguments).await
    }

    /// The same on a disk of so many MiB.
    pub async fn start_on(disk: Option<u32>, arguments: &[&str]) -> Self {
        let mount = disk.map(|mib| format!("mount -t tmpfs -o size={mib}m none data"));
        Self::start_after(mount.as_deref().unwrap_or("true"), arguments).await
    }

    /// The same on a file system of so many MiB, which `mkfs`, such as `mkfs.xfs`, makes in a file.
    pub async fn start_in_file(mkfs: &str, mib: u32) -> Self {
        let mount = format!("truncate -s {mib}M disk && {mkfs} -q disk && mount -o loop disk data");
        Self::start_after(&mount, &[]).await
    }

    async fn start_after(mount: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("engine-").tempdir().unwrap();
        let name = directory.path().file_name().unwrap().to_str().unwrap().to_owned();
        let mut process = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"])
            .env_remove("DOCKER_HOST")
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare is installed, and the tests run as root");
        let commands = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let shell = Mutex::new(Shell { process, commands, answers });
        let engine = Self { directory, arguments: arguments.join(" "), cgroup: format!("/{name}"), shell };
        engine.run("ip link set lo up && mkdir data");
        engine.run(mount);
        engine.again().await;
        engine
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Ends it with all that runs there.
    pub fn end(&self) {
        let mut shell = self.shell();
        shell.commands = None;
        let _ = shell.process.wait();
    }

    /// A process in its namespaces.
    pub fn process(&self) -> u32 {
        self.shell().process.id()
    }

    /// For DOCKER_HOST.
    pub fn host(&self) -> String {
        format!("unix://{}", self.directory.path().join("docker.sock").display())
    }

    /// Runs docker on this engine and gives back its output; panics when it fails.
    pub fn docker(&self, arguments: &[&str]) -> String {
        super::docker::docker(&[&["--host", self.host().as_str()], arguments].concat())
    }

    /// Copies an image from the machine's engine.
    pub fn load(&self, image: &str) {
        let mut save = Command::new("docker").args(["save", image]).stdout(Stdio::piped()).spawn().unwrap();
        let archive = save.stdout.take().unwrap();
        let load = Command::new("docker").args(["--host", &self.host(), "load", "--quiet"]).stdin(archive).output();
        assert!(load.unwrap().status.success() && save.wait().unwrap().success(), "{image} could not be copied");
    }

    /// Starts a registry beside it, at [`REGISTRY`], and has it keep `image`, which the engine knows by that name, under `name`.
    pub async fn publish(&self, image: &str, name: &str) {
        self.run(
            "[ -e registry.yml ] || { printf 'version: 0.1\\nstorage: {filesystem: {rootdirectory: %s}}\\nhttp: {addr: %s}\\n' \
             $PWD/registry 127.0.0.1:5000 >registry.yml; docker-registry serve registry.yml </dev/null >>registry.log 2>&1 & }",
        );
        self.docker(&["tag", image, name]);
        let host = self.host();
        let push = ["--host", host.as_str(), "push", name];
        eventually("the registry", async || super::docker::try_docker(&push).ok()).await;
    }

    /// Runs a shell command beside the engine, in its namespaces and in its directory, where its disk is `data`.
    pub fn run(&self, command: &str) {
        let mut shell = self.shell();
        let Shell { commands, answers, .. } = &mut *shell;
        writeln!(commands.as_mut().unwrap(), "{{ {command}\n}} >>shell.log 2>&1; echo $?").unwrap();
        let mut status = String::new();
        answers.read_line(&mut status).unwrap();
        let log = || fs::read_to_string(self.directory.path().join("shell.log")).unwrap_or_default();
        assert_eq!(status.trim(), "0", "{command}: {}", log());
    }

    /// SIGKILL. Its containers run on.
    pub fn kill(&self) {
        self.run("kill -KILL $engine && { wait $engine; true; }");
    }

    /// SIGTERM. Without live-restore its containers end.
    pub fn stop(&self) {
        self.run("kill -TERM $engine && { wait $engine; true; }");
    }

    /// SIGSTOP: it takes connections and does not answer.
    pub fn hang(&self) {
        self.run("kill -STOP $engine");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.run("kill -CONT $engine");
    }

    /// Starts it again after a stop or a kill, and waits until it answers.
    pub async fn again(&self) {
        // A pid file that a killed engine left behind keeps the next one from starting.
        self.run(&format!(
            "rm -f docker.pid docker.sock exec/containerd/containerd.pid
            dockerd --host {} --data-root $PWD/data --exec-root $PWD/exec --pidfile $PWD/docker.pid \
            --cgroup-parent {} {} </dev/null >>dockerd.log 2>&1 & engine=$!",
            self.host(),
            self.cgroup,
            self.arguments
        ));
        let host = self.host();
        let ask = ["--host", host.as_str(), "version"];
        eventually("the test's engine", async || super::docker::try_docker(&ask).ok()).await;
    }

    fn shell(&self) -> MutexGuard<'_, Shell> {
        self.shell.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
        let below = |path: PathBuf| path.join(self.cgroup.trim_start_matches('/'));
        hierarchies.map(below).chain([below("/sys/fs/cgroup".into())]).filter(|path| path.is_dir()).collect()
    }
}

impl Drop for Engine {
    #[expect(clippy::print_stderr, reason = "it explains a failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.path().join("dockerd.log")).unwrap_or_default();
            let tail: Vec<_> = log.lines().rev().take(20).collect();
            eprintln!("The engine's last log lines, newest first:\n{}", tail.join("\n"));
        }
        self.end();
        for cgroup in self.cgroups() {
            let containers = fs::read_dir(&cgroup).into_iter().flatten().flatten().map(|entry| entry.path());
            for path in containers.filter(|path| path.is_dir()).chain([cgroup.clone()]) {
                let _ = fs::remove_dir(path);
            }
        }
        // Files of containers may have no right at all; the directory itself goes with the field.
        let _ = fs::set_permissions(self.directory.path(), fs::Permissions::from_mode(0o700));
    }
}
