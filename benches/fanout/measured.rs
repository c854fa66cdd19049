//! A process whose time and memory are measured from outside; killed when dropped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

pub struct Measured {
    pub address: String,
    child: Child,
}

impl Measured {
    /// The bare server.
    pub fn bare() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let mut child = child.env("ROLE", "bare").stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { address: address.trim().to_owned(), child }
    }

    /// Ours, and where it serves.
    pub fn server(binary: &str, settings: &[(&str, &str)]) -> (Self, String) {
        let mut command = Command::new(binary);
        command.arg("serve").env_clear().envs(settings.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let fields = serde_json::from_str::<Value>(&line).ok()?["fields"].clone();
            (fields["message"] == "Serving").then(|| fields["address"].as_str().unwrap().to_owned())
        });
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        let address = address.expect("the server serves");
        (Self { address: address.clone(), child }, address)
    }

    /// Has the bare server pass a message on.
    pub async fn send(&self, message: &str) {
        let request = reqwest::Client::new().post(format!("http://{}/send", self.address));
        request.body(message.to_owned()).send().await.unwrap().error_for_status().unwrap();
    }

    /// What it has taken of the processors until now.
    pub fn cpu(&self) -> Duration {
        // proc(5): the fields 14 and 15, the second one being a name in parentheses; a hundredth of a second each.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let hundredths: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(hundredths * 10)
    }

    /// What is in memory of it, in bytes.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
