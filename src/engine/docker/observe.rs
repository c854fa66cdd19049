//! What an inspection of a container tells, in domain words.

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum, HostConfig, RestartPolicyNameEnum,
};

use crate::domain::service::{Container, ContainerStatus, Health, RunId};

/// The engine's text for "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

pub(super) fn container(inspected: &ContainerInspectResponse, network: Option<&str>) -> Container {
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
    let health = match state.health.and_then(|health| health.status) {
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        _ => Health::Starting,
    };
    let run = state.started_at.filter(|started| started != NEVER).map(RunId);
    let networks = inspected.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let connected = network.is_none_or(|name| networks.is_some_and(|networks| networks.contains_key(name)));
    Container { status, run, health, restarts: brought_back(inspected.host_config.as_ref()), connected }
}

/// Whether the engine brings the container back by itself.
pub(super) fn brought_back(host: Option<&HostConfig>) -> bool {
    let policy = host.and_then(|host| host.restart_policy.as_ref()).and_then(|policy| policy.name);
    policy == Some(RestartPolicyNameEnum::ALWAYS)
}
