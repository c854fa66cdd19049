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

/// How many checks that fail in a row make a container unhealthy.
pub const UNHEALTHY_AFTER: u32 = 2;

/// The longest that a health check takes, in whatever state the server inside is. Whoever has it made has to wait for longer than
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
    pub health_check: Check,
    /// Returns, with 0, as soon as the server inside answers for the first time; gives up by itself after a while.
    pub ready_check: Vec<String>,
    /// What a first start that takes long prints when it is nearly done, if it does.
    pub ready_hint: Option<&'static str>,
}

/// How the server inside is asked whether it answers over TCP: a condition that holds when it does, and ends by itself within
/// [`CHECK_LIMIT`].
#[derive(Debug)]
pub struct Check {
    /// Of any shell, which has a client ask.
    pub by_client: String,
    /// Of bash, which asks by itself where that is known how: most of the work of a question is to begin a client.
    pub by_bash: String,
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
        let inside = (image, entrypoint, command, environment, user, shell(&health_check.by_client));
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
        let check = Check { by_client: "true".to_owned(), by_bash: "true".to_owned() };
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
    /// The same without a client, where bash can do that.
    pub talk: Option<Talk<'a>>,
}

/// What is said to a server and heard of it, in commands of bash.
pub(super) struct Talk<'a> {
    pub port: u16,
    /// Writes what is asked.
    pub ask: &'a str,
    /// Reads what is said, and writes `yes` where that is an answer.
    pub hear: &'a str,
}

impl Question<'_> {
    /// Asks until there is an answer. It asks seldom until `soon` holds, a condition of the shell, for each look takes from
    /// the CPU time that the container is limited to and that the server inside needs to get ready.
    pub fn repeated(&self, soon: &str) -> Vec<String> {
        let condition = self.condition();
        let repeat = format!("until {soon}; do sleep 0.1; done; until {condition}; do sleep 0.025; done");
        let mut words = ["timeout", "-k", "1", &FIRST_ANSWER.to_string()].map(str::to_owned).to_vec();
        words.extend(shell(&repeat));
        words
    }

    /// Asks once.
    pub fn check(&self) -> Check {
        let by_client = self.condition();
        let by_bash = self.talk.as_ref().map_or_else(|| by_client.clone(), Talk::condition);
        Check { by_client, by_bash }
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

impl Talk<'_> {
    /// In a shell of its own, which can be ended, for also a connection may be waited for in vain. What is told to a server that has
    /// hung up must not end it before it has heard why.
    fn condition(&self) -> String {
        let Self { port, ask, hear } = self;
        let talk =
            format!("trap '' PIPE; exec 3<>/dev/tcp/127.0.0.1/{port} || exit; {{ {ask}; }} >&3; {{ {hear}; }} <&3");
        format!("{{ said=; read -r -t {ANSWER} said < <({talk}) || kill $!; [ \"$said\" = yes ]; }}")
    }
}

/// A shell's words that run `script`.
pub(super) fn shell(script: &str) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;
    use std::thread;
    use std::time::Instant;

    use super::*;

    const TALK: Talk<'static> = Talk { port: 0, ask: ":", hear: "echo yes" };

    fn is_answered(question: Question<'_>) -> bool {
        holds(&shell(&question.condition()))
    }

    fn holds(words: &[String]) -> bool {
        Command::new(&words[0]).args(&words[1..]).status().unwrap().success()
    }

    #[test]
    fn an_answer_is_what_the_client_says_or_how_it_ends() {
        let says = |client| Question { client, answers: &["PONG", "max number of clients reached"], talk: None };
        for client in
            ["echo PONG", "printf 'OK\\nPONG\\n'", "sh -c 'echo ERR max number of clients reached >&2; exit 1'"]
        {
            assert!(is_answered(says(client)), "{client}");
        }
        for client in ["echo LOADING", "true", "no-such-client"] {
            assert!(!is_answered(says(client)), "{client}");
        }
        let ends = |client| Question { client, answers: &[], talk: None };
        assert!(is_answered(ends("true")) && holds(&ends("true").repeated("true")));
        assert!(!is_answered(ends("false")));
    }

    #[test]
    fn a_client_that_hangs_is_ended_in_time() {
        for answers in [&[][..], &["PONG"]] {
            let begun = Instant::now();
            // Deaf to a polite request, and with a child of its own.
            let client = "sh -c 'trap : TERM; while :; do sleep 1; done'";
            assert!(!is_answered(Question { client, answers, talk: None }));
            let took = begun.elapsed();
            assert!(took >= Duration::from_secs(ANSWER) && took < CHECK_LIMIT + Duration::from_secs(2), "{took:?}");
        }
    }

    /// Whether bash has an answer from who serves at a port of this machine.
    fn is_heard(serve: impl FnOnce(TcpStream) + Send + 'static) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = thread::spawn(move || serve(listener.accept().unwrap().0));
        let talk = Talk { port, ask: "echo one; echo two", hear: "read -r said; [ \"$said\" != no ] && echo yes" };
        let holds = holds(&["bash".to_owned(), "-c".to_owned(), talk.condition()]);
        serving.join().unwrap();
        holds
    }

    #[test]
    fn bash_hears_an_answer_and_waits_for_none_for_long() {
        assert!(is_heard(|mut server| {
            let mut asked = String::new();
            BufReader::new(&server).read_line(&mut asked).unwrap();
            assert_eq!(asked, "one\n");
            server.write_all(b"some\n").unwrap();
        }));
        assert!(!is_heard(|mut server| server.write_all(b"no\n").unwrap()));
        let begun = Instant::now();
        assert!(
            !is_heard(|mut server| _ = server.read_to_end(&mut Vec::new())),
            "it hangs, until nobody asks any more"
        );
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(ANSWER) && took < CHECK_LIMIT + Duration::from_secs(2), "{took:?}");
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let talk = Talk { port: nobody, ..TALK };
        assert!(!holds(&["bash".to_owned(), "-c".to_owned(), talk.condition()]));
    }
}
