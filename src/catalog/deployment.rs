//! The container that runs a service, in the words of no particular engine.

use std::time::Duration;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::domain::service::TierSpec;

/// The directory in a service's volume that holds the files which the sidecar puts there.
pub const FILES: &str = ".service";

/// What a container exits with when its volume should hold data and doesn't.
pub const DATA_GONE: i64 = 78;

/// How many failures in a row of the engine's checks make a container unhealthy.
pub const UNHEALTHY_AFTER: u32 = 2;

/// A container to be. It holds no password in clear: not in its environment, its command or its files.
#[derive(Debug)]
pub struct Deployment {
    pub image: String,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub environment: Vec<(&'static str, String)>,
    /// The image's unprivileged user: with it the container needs no capability at all.
    pub user: &'static str,
    /// Where the volume is mounted first; `files` are relative to it.
    pub data_path: &'static str,
    /// Where else it is mounted, if anywhere.
    pub second_path: Option<&'static str>,
    /// What is writable besides the volume: path and octal mode.
    pub tmpfs: &'static [(&'static str, &'static str)],
    /// Put into the volume before each creation of the container.
    pub files: Vec<File>,
    pub port: u16,
    pub tier: TierSpec,
    /// Size of /dev/shm in MiB; it counts towards the memory limit.
    pub shared_memory_mib: u32,
    /// The most processes and threads that it may have.
    pub pids: u32,
    pub stop_signal: &'static str,
    /// How long a clean shutdown may take before the engine kills it.
    pub stop_grace: Duration,
    /// Exits with 0 when the server inside answers over TCP.
    pub health_check: Vec<String>,
    /// Returns, with 0, as soon as the server inside answers for the first time; gives up by itself after a while.
    pub ready_check: Vec<String>,
    /// What a first start that takes long prints when it is nearly done, if it does.
    pub ready_hint: Option<&'static str>,
}

/// A read-only file in the volume, owned by root.
#[derive(Debug)]
pub struct File {
    /// Relative to the volume's root.
    pub path: &'static str,
    pub content: Zeroizing<Vec<u8>>,
}

/// What has a running server take the passwords of an access from now on, and no others.
#[derive(Debug)]
pub struct CredentialChange {
    /// Runs in the container. It ends by itself within seconds, with 0 once what it did is there to stay, and can be
    /// repeated.
    pub command: Vec<String>,
    pub user: &'static str,
    /// The command's standard input, which nothing shows or keeps.
    pub input: SecretString,
}

impl Deployment {
    /// Has the container refuse, with [`DATA_GONE`], to begin with an empty volume.
    pub fn expect_data(&mut self) {
        self.files.push(File { path: ".service/expect-data", content: Zeroizing::default() });
    }
}

/// An entry point that runs `script` with the container's command as its arguments.
pub(super) fn entrypoint(script: &str) -> Vec<String> {
    let mut entrypoint = shell(script);
    entrypoint.push("entrypoint".to_owned());
    entrypoint
}

/// A command that repeats `check`, a shell condition, until it holds; at most for about half an hour, so that one that
/// is left behind ends. It looks seldom until `soon` holds, for each look takes from the CPU time that the container is
/// limited to and that the server inside needs to get ready.
pub(super) fn until(soon: &str, check: &str) -> Vec<String> {
    shell(&format!(
        "n=0; until {soon}; do n=$((n+1)); [ $n -lt 18000 ] || exit 1; sleep 0.1; done; \
         until {check}; do n=$((n+1)); [ $n -lt 72000 ] || exit 1; sleep 0.025; done"
    ))
}

pub(super) fn shell(script: &str) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]
}
