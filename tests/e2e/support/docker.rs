//! The docker command, as an operator would use it.

use std::process::Command;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use serde_json::{Value, json};

/// The label that everything a test makes bears; its value is the test's own.
pub const LABEL: &str = "dev.project-services.test";

/// Where the engine listens that the docker command talks to.
pub fn engine_socket() -> String {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    host.strip_prefix("unix://").expect("the tests' engine listens on a socket").to_owned()
}

/// Runs docker and gives back its output; panics when it fails.
pub fn docker(arguments: &[&str]) -> String {
    try_docker(arguments).unwrap_or_else(|error| panic!("docker {arguments:?}: {error}"))
}

pub fn try_docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).output().expect("the docker command is installed");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// `docker inspect` of a container. A service's volume bears the same name, and is what the command finds unless it is told.
pub fn inspect(container: &str) -> Value {
    inspect_a("container", container)
}

/// `docker inspect` of an object of a type, such as `network`.
pub fn inspect_a(object: &str, name: &str) -> Value {
    let text = docker(&[object, "inspect", name]);
    serde_json::from_str::<Value>(&text).unwrap()[0].clone()
}

fn lists(test: &str) -> [Vec<String>; 3] {
    let filter = format!("label={LABEL}={test}");
    [["ps", "-aq"], ["volume ls", "-q"], ["network ls", "-q"]].map(|list| {
        let mut arguments: Vec<_> = list.iter().flat_map(|words| words.split(' ')).map(str::to_owned).collect();
        arguments.extend(["--filter".to_owned(), filter.clone()]);
        arguments
    })
}

/// Makes a container anew by hand, and starts it: as it was, but for what `change` makes of its configuration.
pub async fn make_anew(id: &str, change: impl FnOnce(&mut Value)) {
    let made = inspect(id);
    let mut container = made["Config"].clone();
    change(&mut container);
    container["HostConfig"] = made["HostConfig"].clone();
    container["NetworkingConfig"] = json!({"EndpointsConfig": made["NetworkSettings"]["Networks"]});
    docker(&["rm", "--force", id]);
    let engine = Docker::connect_with_unix(&engine_socket(), 60, API_DEFAULT_VERSION).unwrap();
    let options = CreateContainerOptionsBuilder::new().name(id).build();
    let body: ContainerCreateBody = serde_json::from_value(container).unwrap();
    engine.create_container(Some(options), body).await.unwrap();
    docker(&["start", id]);
}

/// Names of the containers, volumes and networks that bear the test's label.
pub fn owned(test: &str) -> Vec<String> {
    let names = |list: Vec<String>| {
        let list: Vec<_> = list.iter().map(String::as_str).collect();
        docker(&list).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    lists(test).into_iter().flat_map(names).collect()
}

/// Removes what bears the test's label.
pub fn remove_owned(test: &str) {
    let removals: [&[&str]; 3] = [&["rm", "-fv"], &["volume", "rm", "-f"], &["network", "rm"]];
    for (list, removal) in lists(test).iter().zip(removals) {
        let list: Vec<_> = list.iter().map(String::as_str).collect();
        for name in try_docker(&list).unwrap_or_default().lines() {
            let _ = try_docker(&[removal, &[name]].concat());
        }
    }
}

/// Runs a command in a preview container on a project's network, as the platform would.
pub fn preview(test: &str, network: &str, image: &str, command: &[&str]) -> Result<String, String> {
    let label = format!("{LABEL}={test}");
    let mut arguments = vec!["run", "--rm", "--network", network, "--label", &label, "--entrypoint", command[0], image];
    arguments.extend(&command[1..]);
    try_docker(&arguments)
}
