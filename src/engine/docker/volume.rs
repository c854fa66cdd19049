//! Volumes, which hold the data.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{self, VolumeCreateRequest};
use bollard::query_parameters as query;
use futures_util::TryStreamExt;

use super::loopback::{Action, FileVolume, Loopback};
use super::{DockerEngine, QUICK, SLOW, container, failure, found, labels, within};
use crate::domain::id::InstanceId;
use crate::domain::observed::Volume;
use crate::domain::service::ErrorCode;
use crate::domain::storage::{Own, StorageBackend, wall_mib};
use crate::engine::{EngineError, Grown, Result, thing};

impl DockerEngine {
    pub(super) async fn ensure_volume(&self, volume: &thing::Volume) -> Result<()> {
        let client = self.client().await?;
        let settings = &self.settings.storage;
        let file = (settings.backend == StorageBackend::Loop).then(|| settings.files.volume(volume.instance));
        let options = match (settings.backend, &file) {
            (_, Some(file)) => HashMap::from([
                ("type".to_owned(), "ext4".to_owned()),
                ("device".to_owned(), file.device()),
                ("o".to_owned(), "nosuid,nodev".to_owned()),
            ]),
            (StorageBackend::Quota, None) => {
                HashMap::from([("size".to_owned(), format!("{}M", wall_mib(volume.storage_mib)))])
            }
            (StorageBackend::Volume | StorageBackend::Loop, None) => HashMap::new(),
        };
        if let Some(file) = &file {
            self.loopback(client).see_to(file, Action::Make, volume.storage_mib).await?;
        }
        let request = VolumeCreateRequest {
            name: Some(volume.instance.to_string()),
            labels: Some(self.labels.of_volume(volume, file.as_ref().map(|file| file.file.as_str()))),
            driver_opts: Some(options),
            ..Default::default()
        };
        within(SLOW, client.create_volume(request)).await.map(|_| ()).map_err(failure)
    }

    fn loopback<'a>(&'a self, client: &'a Docker) -> Loopback<'a> {
        Loopback { client, labels: &self.labels, settings: &self.settings.storage.files }
    }

    /// The file that holds a volume's file system, where it has one.
    async fn file(&self, instance: InstanceId) -> Result<Option<FileVolume>> {
        let ours =
            self.inspect_volume(instance).await?.filter(|volume| self.labels.are_of(instance, Some(&volume.labels)));
        Ok(ours.and_then(|volume| Some(FileVolume { instance, file: labels::file(&volume.labels)?.clone() })))
    }

    /// Has the engine find what an instance's volume is in. `storage_mib` is the size that it is for; 0 leaves it as it is.
    pub(super) async fn attach_volume(&self, instance: InstanceId, storage_mib: u32) -> Result<()> {
        match self.file(instance).await? {
            Some(file) => self.loopback(self.client().await?).see_to(&file, Action::Attach, storage_mib).await,
            None => Ok(()),
        }
    }

    pub(super) async fn grow_volume(&self, instance: InstanceId, storage_mib: u32) -> Result<Grown> {
        match self.file(instance).await? {
            Some(file) => self.loopback(self.client().await?).grow(&file, storage_mib).await,
            None => {
                let message = "The engine can't change the limit of a volume that is there.".to_owned();
                Err(EngineError::Refused { code: ErrorCode::EngineRefused, message })
            }
        }
    }

    /// Whether a volume has a file system, or a part of one, that nothing else takes from.
    pub(super) async fn own_space(&self, instance: InstanceId) -> Result<Option<Own>> {
        let Some(volume) = self.inspect_volume(instance).await? else { return Ok(None) };
        let quota = volume.options.contains_key("size").then_some(Own::Quota);
        Ok(labels::file(&volume.labels).map(|_| Own::FileSystem).or(quota))
    }

    async fn inspect_volume(&self, instance: InstanceId) -> Result<Option<models::Volume>> {
        let client = self.client().await?;
        found(within(QUICK, client.inspect_volume(&instance.to_string())).await)
    }

    pub(super) async fn volume(&self, instance: InstanceId) -> Result<Volume> {
        Ok(match self.inspect_volume(instance).await? {
            None => Volume::Absent,
            Some(volume) if volume.labels.is_empty() => Volume::Stray,
            Some(volume) if !self.labels.are_of(instance, Some(&volume.labels)) => Volume::Foreign,
            Some(volume) if labels::is_made_for_data(&volume.labels) => Volume::Ours,
            Some(_) => Volume::Stray,
        })
    }

    /// Removes an instance's volume. One that was broken off as it was made may have left its file behind.
    pub(super) async fn remove_volume_of(&self, instance: InstanceId) -> Result<()> {
        match self.volume(instance).await? {
            Volume::Ours | Volume::Stray => self.remove_volume(&instance.to_string()).await,
            Volume::Absent if self.settings.storage.backend == StorageBackend::Loop => {
                self.remove_file(&self.settings.storage.files.volume(instance)).await
            }
            Volume::Absent | Volume::Foreign => Ok(()),
        }
    }

    pub(super) async fn remove_volume(&self, name: &str) -> Result<()> {
        // The volume goes last, for it tells of the file.
        if let Ok(instance) = name.parse()
            && let Some(file) = self.file(instance).await?
        {
            self.remove_file(&file).await?;
        }
        self.remove_volume_alone(name).await
    }

    async fn remove_volume_alone(&self, name: &str) -> Result<()> {
        let client = self.client().await?;
        found(within(SLOW, client.remove_volume(name, None::<query::RemoveVolumeOptions>)).await).map(|_| ())
    }

    async fn remove_file(&self, file: &FileVolume) -> Result<()> {
        self.loopback(self.client().await?).see_to(file, Action::Remove, 0).await
    }

    pub(super) async fn remove_unused(&self, instance: InstanceId, data_path: &str) -> Result<()> {
        let ours = self.volume(instance).await? == Volume::Ours;
        let unused = ours && self.is_unused(instance, data_path).await?;
        let file = self.file(instance).await?;
        self.remove_container_of(instance).await?;
        if !unused {
            return Ok(());
        }
        // The file goes last: a volume without its file would look like one that has lost its data, where nobody has had any.
        self.remove_volume_alone(&instance.to_string()).await?;
        match file {
            Some(file) => self.remove_file(&file).await,
            None => Ok(()),
        }
    }

    /// Whether what is at `path` of an instance's container is known to be nothing but what a start puts there.
    async fn is_unused(&self, instance: InstanceId, path: &str) -> Result<bool> {
        self.attach_volume(instance, 0).await?;
        // What it leads to, where it is a link.
        let path = format!("{path}/.");
        let options = query::DownloadFromContainerOptionsBuilder::default().path(&path).build();
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
