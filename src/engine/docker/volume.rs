//! Volumes, which hold the data.

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters as query;
use futures_util::TryStreamExt;

use super::{DockerEngine, QUICK, SLOW, container, failure, found, labels, within};
use crate::domain::id::InstanceId;
use crate::domain::service::Volume;
use crate::engine::{Result, thing};

impl DockerEngine {
    pub(super) async fn ensure_volume(&self, volume: &thing::Volume) -> Result<()> {
        let client = self.client().await?;
        let request = VolumeCreateRequest {
            name: Some(volume.instance.to_string()),
            labels: Some(self.labels.of_volume(volume)),
            ..Default::default()
        };
        within(SLOW, client.create_volume(request)).await.map(|_| ()).map_err(failure)
    }

    pub(super) async fn volume(&self, instance: InstanceId) -> Result<Volume> {
        let client = self.client().await?;
        let volume = found(within(QUICK, client.inspect_volume(&instance.to_string())).await)?;
        Ok(match volume {
            None => Volume::Absent,
            Some(volume) if volume.labels.is_empty() => Volume::Stray,
            Some(volume) if !self.labels.are_of(instance, Some(&volume.labels)) => Volume::Foreign,
            Some(volume) if labels::is_made_for_data(&volume.labels) => Volume::Ours,
            Some(_) => Volume::Stray,
        })
    }

    pub(super) async fn remove_volume(&self, name: &str) -> Result<()> {
        let client = self.client().await?;
        found(within(SLOW, client.remove_volume(name, None::<query::RemoveVolumeOptions>)).await).map(|_| ())
    }

    pub(super) async fn remove_unused(&self, instance: InstanceId, data_path: &str) -> Result<()> {
        let ours = self.volume(instance).await? == Volume::Ours;
        let unused = ours && self.is_unused(instance, data_path).await?;
        self.remove_container_of(instance).await?;
        if unused { self.remove_volume(&instance.to_string()).await } else { Ok(()) }
    }

    /// Whether what is at `path` of an instance's container is known to be nothing but what a start puts there.
    async fn is_unused(&self, instance: InstanceId, path: &str) -> Result<bool> {
        let options = query::DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut archive = self.client().await?.download_from_container(&instance.to_string(), Some(options));
        let read = async {
            let mut read = Vec::new();
            while read.len() <= container::LARGEST_UNUSED
                && let Some(chunk) = archive.try_next().await?
            {
                read.extend_from_slice(&chunk);
            }
            Ok(read)
        };
        let read = found(within(QUICK, read).await)?;
        Ok(read.is_some_and(|read| container::holds_files_alone(&read)))
    }
}
