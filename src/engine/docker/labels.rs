//! The labels that tell whose a container, a volume or a network is.

use std::collections::HashMap;

use crate::domain::id::{InstallationId, ProjectId, ServiceId};
use crate::domain::service::Service;

const INSTALLATION: &str = "dev.project-services.installation";
const SERVICE: &str = "dev.project-services.service";
const PROJECT: &str = "dev.project-services.project";
const NAME: &str = "dev.project-services.name";
const KIND: &str = "dev.project-services.kind";
const TIER: &str = "dev.project-services.tier";
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

    pub(super) fn service_filter(service: ServiceId) -> String {
        format!("{SERVICE}={service}")
    }

    pub(super) fn of_network(&self, project: &ProjectId) -> Map {
        self.with([(PROJECT, project.to_string())])
    }

    pub(super) fn of_container(&self, service: &Service) -> Map {
        self.with([
            (SERVICE, service.id.to_string()),
            (PROJECT, service.project.to_string()),
            (NAME, service.name.to_string()),
            (KIND, service.spec.kind.to_string()),
            (TIER, service.spec.tier.tier.to_string()),
        ])
    }

    pub(super) fn of_volume(&self, service: &Service) -> Map {
        let mut labels = self.of_container(service);
        labels.insert(STORAGE.to_owned(), service.spec.tier.storage_mib.to_string());
        labels
    }

    pub(super) fn are_of(&self, of: ServiceId, labels: Option<&Map>) -> bool {
        labels.is_some_and(|labels| self.ours(labels) && service(labels) == Some(of))
    }

    /// Whether they are of this installation.
    pub(super) fn are_ours(&self, labels: Option<&Map>) -> bool {
        labels.is_some_and(|labels| self.ours(labels))
    }

    fn ours(&self, labels: &Map) -> bool {
        labels.get(INSTALLATION) == Some(&self.installation)
    }

    fn with<const N: usize>(&self, own: [(&str, String); N]) -> Map {
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        let installation = (INSTALLATION.to_owned(), self.installation.clone());
        self.extra.iter().cloned().chain([installation]).chain(own).collect()
    }
}

/// Whether a volume's labels are those that [`Labels::of_volume`] gave it. One that the engine makes by itself for a
/// container has the container's.
pub(super) fn is_made_for_data(labels: &Map) -> bool {
    labels.contains_key(STORAGE)
}

/// The service that labels name, whatever the installation.
pub(super) fn service(labels: &Map) -> Option<ServiceId> {
    labels.get(SERVICE)?.parse().ok()
}

/// The project that labels name, whatever the installation.
pub(super) fn project(labels: &Map) -> Option<ProjectId> {
    labels.get(PROJECT)?.parse().ok()
}
