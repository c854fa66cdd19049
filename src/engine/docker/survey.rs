//! A node at a glance, from three lists.

use std::collections::HashMap;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, Network, Volume};
use bollard::query_parameters as query;

use super::{DockerEngine, QUICK, failure, labels, within};
use crate::domain::observed::Health;
use crate::engine::survey::{Activity, Glimpse, Survey};
use crate::engine::{Owned, OwnedThing, Result};

type Labels = HashMap<String, String>;

pub(super) async fn survey(engine: &DockerEngine) -> Result<Survey> {
    let client = engine.client().await?;
    let containers = query::ListContainersOptions { all: true, filters: engine.filter(), ..Default::default() };
    let volumes = query::ListVolumesOptions { filters: engine.filter() };
    let networks = query::ListNetworksOptions { filters: engine.filter() };
    let (containers, volumes, networks) = tokio::join!(
        within(QUICK, client.list_containers(Some(containers))),
        within(QUICK, client.list_volumes(Some(volumes))),
        within(QUICK, client.list_networks(Some(networks))),
    );
    engine.networks.count(client).await;
    let mut survey = Survey::default();
    for container in containers.map_err(failure)? {
        note_container(&mut survey, &container, engine);
    }
    for volume in volumes.map_err(failure)?.volumes.unwrap_or_default() {
        note_volume(&mut survey, volume);
    }
    survey.owned.extend(networks.map_err(failure)?.into_iter().map(network));
    Ok(survey)
}

fn note_container(survey: &mut Survey, container: &ContainerSummary, engine: &DockerEngine) {
    let none = Labels::new();
    let labels = container.labels.as_ref().unwrap_or(&none);
    let instance = labels::instance(labels);
    let name = container.names.iter().flatten().next().map_or("", |name| name.trim_start_matches('/')).to_owned();
    if let Some(instance) = instance.filter(|instance| instance.to_string() == name) {
        let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        let project = labels::project(labels);
        let connected = networks.is_some_and(|networks| engine.networks.is_among(networks, project.as_ref()));
        survey.instances.entry(instance).or_default().container = Some(Glimpse {
            activity: activity(container.state),
            health: health(container.status.as_deref().unwrap_or_default()),
            connected,
            build: labels::build(labels),
            image: container.image_id.clone().unwrap_or_default(),
        });
    }
    let created_at = container.created.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    survey.owned.push(Owned { what: OwnedThing::Container(instance), name, created_at });
}

fn note_volume(survey: &mut Survey, volume: Volume) {
    let instance = labels::instance(&volume.labels);
    if let Some(instance) = instance.filter(|instance| instance.to_string() == volume.name) {
        survey.instances.entry(instance).or_default().volume = labels::is_made_for_data(&volume.labels);
    }
    let created_at = volume.created_at.and_then(|text| text.parse().ok());
    survey.owned.push(Owned { what: OwnedThing::Volume(instance), name: volume.name, created_at });
}

fn network(network: Network) -> Owned {
    let created_at = network.created.and_then(|text| text.parse().ok());
    let what = OwnedThing::Network(network.labels.as_ref().and_then(labels::project));
    Owned { what, name: network.name.unwrap_or_default(), created_at }
}

fn activity(state: Option<ContainerSummaryStateEnum>) -> Activity {
    match state {
        Some(ContainerSummaryStateEnum::RUNNING) => Activity::Running,
        Some(ContainerSummaryStateEnum::CREATED | ContainerSummaryStateEnum::EXITED) => Activity::AtRest,
        _ => Activity::Between,
    }
}

/// Lists tell it in words only, such as "Up 3 minutes (healthy)", before API 1.52.
fn health(status: &str) -> Health {
    if status.ends_with("(healthy)") {
        Health::Healthy
    } else if status.ends_with("(unhealthy)") {
        Health::Unhealthy
    } else {
        Health::Starting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_list_tell_the_health() {
        assert_eq!(health("Up 3 minutes (healthy)"), Health::Healthy);
        assert_eq!(health("Up 3 minutes (unhealthy)"), Health::Unhealthy);
        for status in
            ["Up 1 second (health: starting)", "Up 2 hours", "Up 2 hours (Paused)", "Exited (0) 1 second ago", ""]
        {
            assert_eq!(health(status), Health::Starting, "{status}");
        }
    }
}
