//! The labels that tell whose a container, a volume or a network is.

use std::collections::HashMap;

use crate::domain::id::{InstallationId, InstanceId, ProjectId};
use crate::engine::thing::{Container, Volume};

const PREFIX: &str = "dev.project-services.";
const INSTALLATION: &str = "dev.project-services.installation";
/// The instance's id, on what was made before there were instances.
const SERVICE: &str = "dev.project-services.service";
const PROJECT: &str = "dev.project-services.project";
const STORAGE: &str = "dev.project-services.storage-mib";

type Map = HashMap<String, String>;

pub(super) struct Labels {
    installation: String,
    extra: Vec<(String, String)>,
}

impl Labels {
    pub(super) fn new(installation: InstallationId, extra: Vec<(String, String)>) -> Self {
        Self { installation: installation.to_string(), extra }
    }

    pub(super) fn installation_filter(&self) -> String {
        format!("{INSTALLATION}={}", self.installation)
    }

    pub(super) fn instance_filter(instance: InstanceId) -> String {
        format!("{SERVICE}={instance}")
    }

    pub(super) fn of_network(&self, project: &ProjectId) -> Map {
        self.with([(PROJECT, project.to_string())], &[])
    }

    pub(super) fn of_container(&self, container: &Container) -> Map {
        let endpoint = &container.endpoint;
        self.with([(SERVICE, endpoint.instance.to_string()), (PROJECT, endpoint.project.to_string())], &container.marks)
    }

    pub(super) fn of_volume(&self, volume: &Volume) -> Map {
        self.with(
            [
                (SERVICE, volume.instance.to_string()),
                (PROJECT, volume.project.to_string()),
                (STORAGE, volume.storage_mib.to_string()),
            ],
            &volume.marks,
        )
    }

    pub(super) fn are_of(&self, of: InstanceId, labels: Option<&Map>) -> bool {
        labels.is_some_and(|labels| self.ours(labels) && instance(labels) == Some(of))
    }

    /// Whether they are of this installation.
    pub(super) fn are_ours(&self, labels: Option<&Map>) -> bool {
        labels.is_some_and(|labels| self.ours(labels))
    }

    fn ours(&self, labels: &Map) -> bool {
        labels.get(INSTALLATION) == Some(&self.installation)
    }

    fn with<const N: usize>(&self, own: [(&str, String); N], marks: &[(&'static str, String)]) -> Map {
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        let marks = marks.iter().map(|(key, value)| (format!("{PREFIX}{key}"), value.clone()));
        let installation = (INSTALLATION.to_owned(), self.installation.clone());
        self.extra.iter().cloned().chain(marks).chain([installation]).chain(own).collect()
    }
}

/// Whether a volume's labels are those that [`Labels::of_volume`] gave it. One that the engine makes by itself for a
/// container has the container's.
pub(super) fn is_made_for_data(labels: &Map) -> bool {
    labels.contains_key(STORAGE)
}

/// The instance that labels name, whatever the installation.
pub(super) fn instance(labels: &Map) -> Option<InstanceId> {
    labels.get(SERVICE)?.parse().ok()
}

/// The project that labels name, whatever the installation.
pub(super) fn project(labels: &Map) -> Option<ProjectId> {
    labels.get(PROJECT)?.parse().ok()
}
