//! The container that runs a service, in the words of no particular engine.

use std::time::Duration;

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Endpoint;
use crate::domain::id::BuildDigest;
use crate::domain::limits::Limits;
use crate::domain::service::TierSpec;

/// The directory in a service's volume that holds the files which the sidecar puts there.
pub const FILES: &str = ".service";

/// What a container exits with when its volume should hold data and doesn't.
pub const DATA_GONE: i64 = 78;

/// What a login exits with when the server refuses it for good.
pub const REFUSED: i64 = 3;

/// How many failures in a row of the engine's checks make a container unhealthy.
pub const UNHEALTHY_AFTER: u32 = 2;

/// The longest that a health check takes, in whatever state the server inside is. The engine has to wait for longer than
/// that, so that each check ends what it has begun.
pub const CHECK_LIMIT: Duration = Duration::from_secs(ANSWER + 1);

/// How long a server may take to answer a question, in seconds.
const ANSWER: u64 = 3;
/// How long the wait for the first answer goes on, in seconds, if nobody ends it: one that is left behind has to end.
const FIRST_ANSWER: u64 = 1800;

/// A container to be. It holds no password in clear: not in its environment, its command or its files.
#[derive(Debug)]
pub struct Deployment {
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
    /// What it listens on; the first is the main one.
    pub endpoints: &'static [Endpoint],
    pub tier: TierSpec,
    /// Size of /dev/shm in MiB; it counts towards the memory limit.
    pub shared_memory_mib: u32,
    /// The most processes and threads that it may have.
    pub pids: u32,
    pub stop_signal: &'static str,
    /// How long a clean shutdown may take before the engine kills it.
    pub stop_grace: Duration,
    /// Exits with 0 when the server inside answers over TCP. It ends by itself within [`CHECK_LIMIT`].
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
    /// Whether the content is another one each time it is made, as a salted verifier is: it is no part of the build.
    pub salted: bool,
}

/// How a running server is told something.
#[derive(Debug)]
pub struct Change {
    /// Runs in the container. It ends by itself within seconds, with 0 once what it did is there to stay, and can be
    /// repeated.
    pub command: Vec<String>,
    pub user: &'static str,
    /// The command's standard input, which nothing shows or keeps.
    pub input: SecretString,
}

impl Deployment {
    /// What its container may take.
    pub fn limits(&self) -> Limits {
        Limits::new(&self.tier, self.pids)
    }

    /// The digest of all that is decided when the container is made from an image that is officially called `image`, from
    /// wherever it comes. Of a deployment with secrets it could tell them to who guesses: see [`super::build`].
    pub(super) fn digest(&self, image: &str) -> BuildDigest {
        let Self { entrypoint, command, environment, user, data_path, second_path, tmpfs, files, .. } = self;
        let Self { endpoints, tier, shared_memory_mib, pids, stop_signal, stop_grace, health_check, .. } = self;
        let files: Vec<_> =
            files.iter().map(|file| (file.path, Some(file.content.as_slice()).filter(|_| !file.salted))).collect();
        // As it was when there was but one.
        let ports = match endpoints {
            [only] => serde_json::json!(only.port),
            several => several.iter().map(|endpoint| endpoint.port).collect(),
        };
        // Storage is the volume's.
        let limits = (tier.memory_mib, tier.cpu_millis, shared_memory_mib, pids);
        let inside = (image, entrypoint, command, environment, user, health_check);
        let around = (data_path, second_path, tmpfs, ports, stop_signal, stop_grace.as_secs());
        let text = serde_json::json!([inside, around, limits, files]).to_string();
        BuildDigest(Sha256::digest(text).into())
    }

    /// Has the container refuse, with [`DATA_GONE`], to begin with an empty volume.
    pub fn expect_data(&mut self) {
        self.files.push(File { path: ".service/expect-data", content: Zeroizing::default(), salted: false });
    }
}

impl Deployment {
    /// The same that only waits, so that commands can be run where the volume is.
    #[must_use]
    pub fn idle(self) -> Self {
        const WAIT: &str = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done";
        let check = vec!["true".to_owned()];
        Self { entrypoint: shell(WAIT), command: Vec::new(), files: Vec::new(), health_check: check, ..self }
    }
}

/// An entry point that runs `script` with the container's command as its arguments.
pub(super) fn entrypoint(script: &str) -> Vec<String> {
    let mut entrypoint = shell(script);
    entrypoint.push("entrypoint".to_owned());
    entrypoint
}

/// What the server inside is asked to find out whether it answers: the one way in which checks are made.
///
/// A server that hangs takes connections and says nothing, and a process that is left waiting for it takes one of the few
/// that the container may have. So every client is ended by timeout(1), whose own parent is either alive or the container's
/// init, which takes over what it leaves.
pub(super) struct Question<'a> {
    /// A simple command of the shell: a client that asks once.
    pub client: &'a str,
    /// What the client has to say, any of these anywhere in it. Where this is empty, its exit code tells.
    pub answers: &'a [&'a str],
}

impl Question<'_> {
    /// Asks once.
    pub fn check(&self) -> Vec<String> {
        shell(&self.condition())
    }

    /// Asks until there is an answer. It asks seldom until `soon` holds, a condition of the shell, for each look takes from
    /// the CPU time that the container is limited to and that the server inside needs to get ready.
    pub fn repeated(&self, soon: &str) -> Vec<String> {
        let condition = self.condition();
        let repeat = format!("until {soon}; do sleep 0.1; done; until {condition}; do sleep 0.025; done");
        let mut words = ["timeout", "-k", "1", &FIRST_ANSWER.to_string()].map(str::to_owned).to_vec();
        words.extend(shell(&repeat));
        words
    }

    fn condition(&self) -> String {
        let client = format!("timeout -k 1 {ANSWER} {}", self.client);
        if self.answers.is_empty() {
            return client;
        }
        let patterns: Vec<_> = self.answers.iter().map(|answer| format!("*'{answer}'*")).collect();
        format!("case $({client} 2>&1) in {}) true ;; *) false ;; esac", patterns.join(" | "))
    }
}

/// The beginning of a script that is told files and lines. Each ends with a line of its own that is a full stop, so that nothing is done
/// with half of one. A file takes the old one's place at once and durably, under a name of its own until then: another that was left
/// behind may be at it as well. `put` reads the file $1 in the current directory, which is one that the server can't write to.
pub(super) const TOLD: &str = r#"set -eu
lines() {
  while IFS= read -r line; do
    [ "$line" != . ] || return 0
    printf '%s\n' "$line"
  done
  return 1
}
put() {
  new=$1.$$
  trap 'rm -f "$new"' EXIT
  rm -f "$new"
  lines >"$new"
  chmod 444 "$new"
  sync "$new" 2>/dev/null || sync
  mv -f "$new" "$1"
  sync . 2>/dev/null || sync
}
"#;

/// The end of an entry point whose server reads its configuration when it begins, or by SIGHUP: runs it, passes on what the engine
/// sends, and what [`TELL`] says. It begins anew where it was told to end, and ends as it does otherwise.
///
/// Only the server's own user may send it signals, and only root may change its files, so the one who does the other is told by a
/// pipe.
pub(super) const SUPERVISED: &str = r#"
mkfifo -m 622 /tmp/told
while read -r signal </tmp/told; do
  case $signal in
    TERM) : >/tmp/again ;;
    HUP) ;;
    *) continue ;;
  esac
  kill "-$signal" "$(cat /tmp/server)" || :
done &
server=
stopped=
trap 'stopped=yes; [ -z "$server" ] || kill -TERM "$server" 2>/dev/null || :' TERM INT
while :; do
  "$@" &
  server=$!
  echo "$server" >/tmp/server
  [ -z "$stopped" ] || kill -TERM "$server" 2>/dev/null || :
  code=0
  wait "$server" || code=$?
  while kill -0 "$server" 2>/dev/null; do
    code=0
    wait "$server" || code=$?
  done
  if [ -n "$stopped" ] || [ ! -e /tmp/again ]; then exit "$code"; fi
  rm -f /tmp/again
done"#;

/// For a script in such a container: `tell` sends the signal $1 to the server.
pub(super) const TELL: &str = r#"
tell() { echo "$1" | timeout -k 1 5 tee /tmp/told >/dev/null; }
"#;

/// A shell's words that run `script`.
pub(super) fn shell(script: &str) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    fn holds(words: &[String]) -> bool {
        Command::new(&words[0]).args(&words[1..]).status().unwrap().success()
    }

    #[test]
    fn an_answer_is_what_the_client_says_or_how_it_ends() {
        let says = |client| Question { client, answers: &["PONG", "max number of clients reached"] };
        for client in
            ["echo PONG", "printf 'OK\\nPONG\\n'", "sh -c 'echo ERR max number of clients reached >&2; exit 1'"]
        {
            assert!(holds(&says(client).check()), "{client}");
        }
        for client in ["echo LOADING", "true", "no-such-client"] {
            assert!(!holds(&says(client).check()), "{client}");
        }
        let ends = |client| Question { client, answers: &[] };
        assert!(holds(&ends("true").check()) && holds(&ends("true").repeated("true")));
        assert!(!holds(&ends("false").check()));
    }

    #[test]
    fn a_client_that_hangs_is_ended_in_time() {
        for answers in [&[][..], &["PONG"]] {
            let begun = Instant::now();
            // Deaf to a polite request, and with a child of its own.
            let client = "sh -c 'trap : TERM; while :; do sleep 1; done'";
            assert!(!holds(&Question { client, answers }.check()));
            let took = begun.elapsed();
            assert!(took >= Duration::from_secs(ANSWER) && took < CHECK_LIMIT + Duration::from_secs(2), "{took:?}");
        }
    }
}
