//! Volumes that are file systems in files: a limit of their own on hosts whose file system can set none. The files, and the
//! loop devices that they are attached to, are the engine's host's, so a container with these tools sees to them.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters as query;
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::watch;

use super::labels::Labels;
use super::{QUICK, SLOW, failure, found, pull, within};
use crate::domain::id::InstanceId;
use crate::domain::service::ErrorCode;
use crate::domain::storage::{Reserve, wall_mib};
use crate::engine::{EngineError, Grown, Result};

/// Where the devices are found by the instances whose data they hold. It is in memory: after the host was started anew nothing
/// is there, and no container gets another one's data by the number of a device.
const LINKS: &str = "/dev/project-services";

/// Where a volume is mounted that grows.
const VOLUME: &str = "/volume";

const GONE: i64 = 3;
const NO_ROOM: i64 = 4;
const AT_REST_ONLY: i64 = 5;

/// Does $1 to the file $2, which is found at $3. It is to have $4 bytes, and leaves $5 hundredths of a percent of the host's disk.
///
/// The space is taken at once (fallocate), so that it is there whatever others write; a discard would give it back. What a volume
/// is made with has an empty root, as the engine copies the image's directory only into such. A file that could not be made larger
/// is used as it is.
const SCRIPT: &str = r#"set -eu
umask 077
action=$1 file=$2 link=$3 bytes=$4 reserve=$5
devices() { losetup --noheadings --output NAME --associated "$file"; }
has_room() {
  set -- "$1" $(stat -f -c '%a %b %S' "${file%/*}")
  [ $(($2 * $4 - $1)) -ge $(($3 / 10000 * reserve * $4)) ]
}
enlarge() {
  missing=$((bytes - $(stat -c %s "$file")))
  [ "$missing" -le 0 ] || { has_room "$missing" && fallocate --length "$bytes" "$file"; }
}
case $action in
  remove)
    for device in $(devices); do losetup --detach "$device"; done
    rm -f "$link" "$file" "$file.part"
    exit 0 ;;
  make)
    if [ ! -e "$file" ]; then
      has_room "$bytes" || exit 4
      rm -f "$file.part"
      fallocate --length "$bytes" "$file.part" || exit 4
      mkfs.ext4 -q -F -b 4096 -m 0 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$file.part"
      debugfs -w -R 'rmdir lost+found' "$file.part" 2>/dev/null
      # What it has zeroed it has given back.
      fallocate --length "$bytes" "$file.part" || exit 4
      sync "$file.part"
      mv "$file.part" "$file"
    fi ;;
  *) [ -e "$file" ] || exit 3 ;;
esac
device=$(devices | head -n 1)
if [ -z "$device" ]; then
  device=$(losetup --find --show "$file")
  # Else it would be in the page cache twice. Some file systems can't.
  losetup --direct-io=on "$device" 2>/dev/null || :
fi
mkdir -p "${link%/*}"
ln -sfn "$device" "$link"
case $action in
  attach)
    enlarge || :
    # It is at rest, unless somebody looks into it; then this does nothing.
    e2fsck -p "$device" >/dev/null 2>&1 || : ;;
  grow) enlarge || exit 4 ;;
  *) exit 0 ;;
esac
losetup --set-capacity "$device"
blocks=$(dumpe2fs -h "$device" 2>/dev/null | sed -n 's/^Block count: *//p')
if [ "$((blocks * 4096 + 4096))" -le "$(blockdev --getsize64 "$device")" ]; then
  if [ "$action" = grow ]; then
    resize2fs "$device" >/dev/null 2>&1 || exit 5
  else
    e2fsck -fp "$device" >/dev/null 2>&1 || [ $? = 1 ] || exit 0
    resize2fs "$device" >/dev/null 2>&1 || :
  fi
fi
[ "$action" != grow ] || stat -f -c '%b %S' /volume"#;

/// How the files are made.
#[derive(Debug, Clone)]
pub struct LoopSettings {
    /// On the engine's host.
    pub directory: String,
    /// What has losetup, mkfs.ext4 and their like.
    pub image: String,
    /// What is left of the host's disk.
    pub reserve: Reserve,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Make the file if it is not there, and attach it.
    Make,
    /// Attach a file that is there; it grows if it can.
    Attach,
    /// Have it grow while it is in use.
    Grow,
    Remove,
}

/// One volume in a file.
#[derive(Debug)]
pub(super) struct FileVolume {
    pub instance: InstanceId,
    /// On the engine's host.
    pub file: String,
}

impl LoopSettings {
    pub(super) fn volume(&self, instance: InstanceId) -> FileVolume {
        FileVolume { instance, file: format!("{}/{instance}.img", self.directory.trim_end_matches('/')) }
    }
}

impl FileVolume {
    /// Where its device is found.
    pub(super) fn device(&self) -> String {
        format!("{LINKS}/{}", self.instance)
    }
}

/// Sees to the files of volumes.
pub(super) struct Loopback<'a> {
    pub client: &'a Docker,
    pub labels: &'a Labels,
    pub settings: &'a LoopSettings,
}

impl Loopback<'_> {
    /// `storage_mib` is the size that the volume is for.
    pub(super) async fn see_to(&self, volume: &FileVolume, action: Action, storage_mib: u32) -> Result<()> {
        self.run(volume, action, storage_mib).await.map(|_| ())
    }

    pub(super) async fn grow(&self, volume: &FileVolume, storage_mib: u32) -> Result<Grown> {
        match self.run(volume, Action::Grow, storage_mib).await {
            Ok(Some(output)) => {
                let mut figures = output.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
                let bytes = figures.next().zip(figures.next()).map(|(blocks, size)| blocks.saturating_mul(size));
                bytes.map(|bytes| Grown::To(bytes >> 20)).ok_or_else(|| EngineError::Unknown("no size was told".into()))
            }
            // An engine that is not allowed to give this capability does not start the container.
            Ok(None) | Err(EngineError::Refused { code: ErrorCode::EngineRefused, .. }) => Ok(Grown::AtStart),
            Err(error) => Err(error),
        }
    }

    /// What the script wrote; None where that can only be done at rest.
    async fn run(&self, volume: &FileVolume, action: Action, storage_mib: u32) -> Result<Option<String>> {
        self.have_image().await?;
        let name = format!("{}-file", volume.instance);
        let remove = || {
            let options = query::RemoveContainerOptionsBuilder::default().v(true).build();
            within(SLOW, self.client.remove_container(&name, Some(options)))
        };
        // One that a server which was killed has left is let end what it does to a file system.
        found(self.end_of(&name).await)?;
        found(remove().await)?;
        let ended = self.run_as(&name, self.body(volume, action, storage_mib)).await;
        found(remove().await)?;
        let (code, output) = ended?;
        let refused = |code, message: String| Err(EngineError::Refused { code, message });
        match code {
            0 => Ok(Some(output)),
            GONE => {
                let message = format!("The file {} with its data is gone from the engine's host.", volume.file);
                refused(ErrorCode::VolumeLost, message)
            }
            NO_ROOM => {
                let message = "The engine's host has too little space left for a volume of this size.".to_owned();
                refused(ErrorCode::NoSpace, message)
            }
            AT_REST_ONLY => Ok(None),
            _ => refused(ErrorCode::EngineRefused, format!("The volume's file could not be seen to: {output}")),
        }
    }

    async fn have_image(&self) -> Result<()> {
        let image = &self.settings.image;
        if found(within(QUICK, self.client.inspect_image(image)).await)?.is_none() {
            pull::pull(self.client, image, watch::channel(None).0).await?;
        }
        Ok(())
    }

    async fn run_as(&self, name: &str, body: ContainerCreateBody) -> Result<(i64, String)> {
        let options = query::CreateContainerOptionsBuilder::default().name(name).build();
        within(SLOW, self.client.create_container(Some(options), body)).await.map_err(failure)?;
        let start = self.client.start_container(name, None::<query::StartContainerOptions>);
        within(SLOW, start).await.map_err(failure)?;
        let code = self.end_of(name).await.map_err(failure)?;
        let options = query::LogsOptionsBuilder::default().stdout(true).stderr(true).build();
        let output = self.client.logs(name, Some(options)).map_ok(LogOutput::into_bytes);
        let chunks: Vec<_> = within(QUICK, output.try_collect()).await.map_err(failure)?;
        Ok((code, String::from_utf8_lossy(&chunks.concat()).trim().to_owned()))
    }

    /// The exit code of a container, once it has ended.
    async fn end_of(&self, name: &str) -> std::result::Result<i64, BollardError> {
        let mut ends = self.client.wait_container(name, None::<query::WaitContainerOptions>);
        match within(SLOW, async { ends.next().await.transpose() }).await {
            Ok(ended) => Ok(ended.map_or(0, |ended| ended.status_code)),
            Err(BollardError::DockerContainerWaitError { code, .. }) => Ok(code),
            Err(error) => Err(error),
        }
    }

    fn body(&self, volume: &FileVolume, action: Action, storage_mib: u32) -> ContainerCreateBody {
        let word = match action {
            Action::Make => "make",
            Action::Attach => "attach",
            Action::Grow => "grow",
            Action::Remove => "remove",
        };
        let bytes = wall_mib(storage_mib) << 20;
        let reserve = self.settings.reserve.0;
        let device = volume.device();
        let arguments = [word, &volume.file, &device, &bytes.to_string(), &reserve.to_string()];
        // It may have been made in another directory than the present one.
        let directory = volume.file.rsplit_once('/').map_or("/", |(directory, _)| directory);
        let mut binds = vec![format!("{directory}:{directory}"), "/dev:/dev".to_owned()];
        let mut capabilities = vec!["SYS_ADMIN".to_owned()];
        if action == Action::Grow {
            binds.push(format!("{}:{VOLUME}", volume.instance));
            // ext4 lets nobody else make it larger while it is in use.
            capabilities.push("SYS_RESOURCE".to_owned());
        }
        ContainerCreateBody {
            image: Some(self.settings.image.clone()),
            entrypoint: Some(["sh", "-c", SCRIPT, "loopback"].map(str::to_owned).to_vec()),
            cmd: Some(arguments.map(str::to_owned).to_vec()),
            user: Some("0".to_owned()),
            labels: Some(self.labels.of_tool()),
            host_config: Some(HostConfig {
                binds: Some(binds),
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: Some(capabilities),
                // Loop devices, and what makes more of them (Linux, Documentation/admin-guide/devices.txt).
                device_cgroup_rules: Some(vec!["b 7:* rwm".to_owned(), "c 10:237 rwm".to_owned()]),
                network_mode: Some("none".to_owned()),
                // The devices are the host's, whatever its engine sets apart otherwise.
                userns_mode: Some("host".to_owned()),
                security_opt: Some(vec!["label=disable".to_owned(), "no-new-privileges".to_owned()]),
                readonly_rootfs: Some(true),
                ..Default::default()
            }),
            ..Default::default()
        }
    }
}
