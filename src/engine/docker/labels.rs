//! The labels that tell whose a container, a volume or a network is.

use std::collections::HashMap;

use crate::domain::id::{BuildDigest, InstallationId, InstanceId, ProjectId};
use crate::domain::service::SizeTier;
use crate::engine::thing::{Container, Volume};

const PREFIX: &str = "dev.project-services.";
const INSTALLATION: &str = "dev.project-services.installation";
const INSTANCE: &str = "dev.project-services.instance";
/// The instance's id as well, on what was made before there were instances.
const SERVICE: &str = "dev.project-services.service";
const BUILD: &str = "dev.project-services.build";
const PROJECT: &str = "dev.project-services.project";
const TIER: &str = "dev.project-services.tier";
const STORAGE: &str = "dev.project-services.storage-mib";
/// The file on the engine's host that holds the volume's file system, where it has one of its own.
const FILE: &str = "dev.project-services.file";

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

    /// What bears one of these may be the instance's; [`instance`] tells.
    pub(super) fn instance_filters(instance: InstanceId) -> [String; 2] {
        [INSTANCE, SERVICE].map(|key| format!("{key}={instance}"))
    }

    pub(super) fn of_network(&self, project: &ProjectId) -> Map {
        self.with([(PROJECT, project.to_string())], &[])
    }

    /// Of what is for no instance and no project.
    pub(super) fn of_nobody(&self) -> Map {
        self.with([], &[])
    }

    pub(super) fn of_container(&self, container: &Container) -> Map {
        let mut labels = self.with([(INSTANCE, container.instance.to_string())], &container.marks);
        labels.extend(container.place.project().map(|project| (PROJECT.to_owned(), project.to_string())));
        labels.extend(container.build.map(|build| (BUILD.to_owned(), build.to_string())));
        labels
    }

    pub(super) fn of_volume(&self, volume: &Volume, file: Option<&str>) -> Map {
        let own = [(INSTANCE, volume.instance.to_string()), (STORAGE, volume.storage_mib.to_string())];
        let mut labels = self.with(own, &volume.marks);
        labels.extend(volume.project.as_ref().map(|project| (PROJECT.to_owned(), project.to_string())));
        labels.extend(file.map(|file| (FILE.to_owned(), file.to_owned())));
        labels
    }

    /// Of what is there for a moment and belongs to no instance.
    pub(super) fn of_tool(&self) -> Map {
        self.with([], &[])
    }

    /// Of what an instance has for a moment.
    pub(super) fn of_instance(&self, instance: InstanceId) -> Map {
        self.with([(INSTANCE, instance.to_string())], &[])
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

/// The file that holds a volume's file system.
pub(super) fn file(labels: &Map) -> Option<&String> {
    labels.get(FILE)
}

/// The instance that labels name, whatever the installation.
pub(super) fn instance(labels: &Map) -> Option<InstanceId> {
    labels.get(INSTANCE).or_else(|| labels.get(SERVICE))?.parse().ok()
}

/// The project that labels name, whatever the installation.
pub(super) fn project(labels: &Map) -> Option<ProjectId> {
    labels.get(PROJECT)?.parse().ok()
}

/// The size that a container's labels say that it was made for.
pub(super) fn tier(labels: &Map) -> Option<SizeTier> {
    labels.get(TIER)?.parse().ok()
}

/// What a container's labels say that it was made from.
pub(super) fn build(labels: &Map) -> Option<BuildDigest> {
    labels.get(BUILD)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_before_there_were_instances_is_known_by_its_service() {
        let (old, new) = ("svc_00000000000070008000000000000001", "svc_00000000000070008000000000000002");
        let labels = |own: &[(&str, &str)]| own.iter().map(|(key, id)| ((*key).to_owned(), (*id).to_owned())).collect();
        let named = |own: &[(&str, &str)]| instance(&labels(own)).map(|id| id.to_string());
        assert_eq!(named(&[(SERVICE, old)]).as_deref(), Some(old));
        assert_eq!(named(&[(SERVICE, old), (INSTANCE, new)]).as_deref(), Some(new));
        assert_eq!(named(&[(SERVICE, "someone")]), None);
    }
}
