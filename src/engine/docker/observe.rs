//! What an inspection of a container tells, in domain words.

use std::net::{IpAddr, Ipv4Addr};

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum, HostConfig, PortBinding, PortMap,
    RestartPolicyNameEnum,
};

use super::labels;
use crate::domain::image::Image;
use crate::domain::limits::Limits;
use crate::domain::observed::{Container, ContainerStatus, Health, PublishedPort};
use crate::domain::service::{Published, RunId};

/// The engine's text for "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

/// `image`: what it runs. `connected`: whether it is on the network where it belongs. `limits_swap`: whether the engine does that.
pub(super) fn container(
    inspected: &ContainerInspectResponse,
    image: Image,
    connected: bool,
    limits_swap: bool,
) -> Container {
    let state = inspected.state.clone().unwrap_or_default();
    let exit_code = state.exit_code.unwrap_or_default();
    let out_of_memory = state.oom_killed.unwrap_or_default();
    let status = match state.status {
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => ContainerStatus::Running,
        Some(ContainerStateStatusEnum::PAUSED) => ContainerStatus::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => ContainerStatus::Restarting { exit_code, out_of_memory },
        Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD) => ContainerStatus::Removing,
        Some(ContainerStateStatusEnum::EXITED) => ContainerStatus::Exited { exit_code, out_of_memory },
        Some(ContainerStateStatusEnum::CREATED | ContainerStateStatusEnum::EMPTY) | None => ContainerStatus::Created,
    };
    let health = state.health.unwrap_or_default();
    let failed_checks = health.failing_streak.and_then(|streak| u32::try_from(streak).ok()).unwrap_or_default();
    let health = match health.status {
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        _ => Health::Starting,
    };
    let run = state.started_at.filter(|started| started != NEVER).map(RunId);
    let restarts = brought_back(inspected.host_config.as_ref());
    let ports = inspected.network_settings.as_ref().and_then(|settings| settings.ports.as_ref());
    let published = ports.map(published).unwrap_or_default();
    let labels = inspected.config.as_ref().and_then(|config| config.labels.as_ref());
    let build = labels.and_then(labels::build);
    let tier = labels.and_then(labels::tier);
    let limits = limits(inspected.host_config.as_ref(), limits_swap);
    Container { status, run, health, failed_checks, restarts, connected, published, limits, tier, build, image }
}

/// Whether a container was given a limit of its swap.
pub(super) fn has_swap_limit(host: Option<&HostConfig>) -> bool {
    host.and_then(|host| host.memory_swap).is_some_and(|figure| figure > 0)
}

/// What a container may take; 0 where there is no limit. Where the engine `limits_swap` of none, what there is of it is as it is to
/// be.
pub(super) fn limits(host: Option<&HostConfig>, limits_swap: bool) -> Limits {
    let figure = |of: fn(&HostConfig) -> Option<i64>| {
        let figure = host.and_then(of).and_then(|figure| u64::try_from(figure).ok());
        figure.unwrap_or_default()
    };
    let memory_bytes = figure(|host| host.memory);
    let is_met = !limits_swap && !has_swap_limit(host);
    Limits {
        memory_bytes,
        memory_and_swap_bytes: if is_met { memory_bytes } else { figure(|host| host.memory_swap) },
        cpu_nanos: figure(|host| host.nano_cpus),
        pids: u32::try_from(figure(|host| host.pids_limit)).unwrap_or_default(),
    }
}

/// The TCP ports that are published, in order.
fn published(ports: &PortMap) -> Vec<PublishedPort> {
    let mut published: Vec<_> = ports
        .iter()
        .filter_map(|(inside, bindings)| Some((inside.strip_suffix("/tcp")?.parse().ok()?, bindings.as_ref()?)))
        .flat_map(|(inside, bindings)| {
            bindings.iter().filter_map(outside).map(move |outside| PublishedPort { inside, outside })
        })
        .collect();
    published.sort_by_key(|port| (port.inside, port.outside.address, port.outside.port));
    published
}

fn outside(binding: &PortBinding) -> Option<Published> {
    // No address means all of them.
    let address = match binding.host_ip.as_deref().unwrap_or_default() {
        "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        address => address.parse().ok()?,
    };
    Some(Published { address, port: binding.host_port.as_ref()?.parse().ok()? })
}

/// Whether the engine brings the container back by itself.
pub(super) fn brought_back(host: Option<&HostConfig>) -> bool {
    let policy = host.and_then(|host| host.restart_policy.as_ref()).and_then(|policy| policy.name);
    policy == Some(RestartPolicyNameEnum::ALWAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image { id: "sha256:1".to_owned(), digest: None }
    }

    #[test]
    fn what_an_engine_can_not_limit_is_as_it_is_to_be() {
        let seen = |swap: &str, limits_swap| {
            let host = format!(r#"{{"Memory": 1000, "MemorySwap": {swap}, "NanoCpus": 5, "PidsLimit": 7}}"#);
            let host: HostConfig = serde_json::from_str(&host).unwrap();
            limits(Some(&host), limits_swap).memory_and_swap_bytes
        };
        assert_eq!([seen("-1", false), seen("0", false), seen("null", false)], [1000; 3]);
        assert_eq!([seen("-1", true), seen("0", true)], [0; 2], "somebody has taken it away");
        assert_eq!([seen("2000", true), seen("2000", false)], [2000; 2]);
    }

    #[test]
    fn what_is_published_is_what_the_engine_says_is() {
        let inspected: ContainerInspectResponse = serde_json::from_str(
            r#"{"NetworkSettings": {"Ports": {"5432/tcp": [
                {"HostIp": "::", "HostPort": "20001"}, {"HostIp": "", "HostPort": "20001"},
                {"HostIp": "192.0.2.1", "HostPort": "30000"}
            ], "5433/tcp": null, "5434/udp": [{"HostIp": "", "HostPort": "1"}]}}}"#,
        )
        .unwrap();
        let container = container(&inspected, image(), true, true);
        let on = |text: &str, port| Published { address: text.parse().unwrap(), port };
        assert_eq!(container.published(&[5432], None), Some(on("0.0.0.0", 20_001)));
        assert_eq!(container.published(&[5432], Some(on("::", 20_001))), Some(on("::", 20_001)));
        assert_eq!(container.published(&[5432], Some(on("127.0.0.1", 20_001))), Some(on("0.0.0.0", 20_001)));
        assert_eq!(container.published(&[5433], None), None);
        assert_eq!(container.published(&[5434], None), None);
        let stopped = serde_json::from_str(r#"{"NetworkSettings": {"Ports": {}}}"#).unwrap();
        assert_eq!(super::container(&stopped, image(), true, true).published, []);
    }
}
