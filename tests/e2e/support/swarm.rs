//! Engines of a test's own on one network, joined to one Docker Swarm of which the first is the manager.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::engine::Engine;

pub struct Swarm {
    pub nodes: Vec<Engine>,
    /// Holds the network namespace of the bridge to which all are connected, and ends with its input.
    switch: Child,
}

impl Swarm {
    /// Starts so many engines, each with the image.
    pub async fn start(number: u8, image: &str) -> Self {
        // Beside the machine's own, whose rules for what is forwarded would drop what goes over the bridge.
        let script = "ip link add switch type bridge && ip link set switch up && echo ready && exec cat";
        let mut switch = Command::new("unshare")
            .args(["--net", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is installed, and the tests run as root");
        let mut ready = String::new();
        BufReader::new(switch.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready.trim(), "ready");
        let mut swarm = Self { nodes: Vec::new(), switch };
        for n in 1..=number {
            let node = Engine::start(&[]).await;
            swarm.plug(&node, n);
            node.load(image);
            match swarm.nodes.first() {
                None => node.docker(&["swarm", "init", "--advertise-addr", &address(n)]),
                Some(first) => {
                    let token = first.docker(&["swarm", "join-token", "--quiet", "worker"]);
                    node.docker(&["swarm", "join", "--token", token.trim(), &format!("{}:2377", address(1))])
                }
            };
            swarm.nodes.push(node);
        }
        swarm
    }

    fn plug(&self, node: &Engine, n: u8) {
        let (switch, inside) = (self.switch.id().to_string(), node.process().to_string());
        let port = format!("p{inside}");
        run(&["ip", "link", "add", &port, "netns", &switch, "type", "veth", "peer", "name", "eth0", "netns", &inside]);
        run(&["nsenter", "--target", &switch, "--net", "ip", "link", "set", &port, "master", "switch", "up"]);
        node.run(&format!("ip addr add {}/24 dev eth0 && ip link set eth0 up", address(n)));
    }

    /// For NODES: the nodes are called `a`, `b` and so on.
    pub fn setting(&self) -> String {
        let nodes = self.nodes.iter().zip('a'..).map(|(node, name)| format!("{name}={}", node.host()));
        nodes.collect::<Vec<_>>().join(",")
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        drop(self.switch.stdin.take());
        let _ = self.switch.wait();
    }
}

fn address(n: u8) -> String {
    format!("10.99.0.{n}")
}

fn run(command: &[&str]) {
    let output = Command::new(command[0]).args(&command[1..]).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
