//! A deployment in Docker's words.

use std::collections::HashMap;

use bollard::errors::Error as BollardError;
use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    MountType, MountVolumeOptions, NetworkingConfig, PortBinding, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};

use crate::catalog::copy::SOURCE;
use crate::catalog::deployment::{Deployment, FILES, File};
use crate::domain::id::InstanceId;
use crate::domain::limits::Limits;
use crate::domain::service::Published;
use crate::engine::thing::{Container, Place};
use crate::engine::{EngineError, Result};

const MIB: i64 = 1024 * 1024;

/// File descriptors that a container may have open; enough for the largest tier's clients.
const OPEN_FILES: i64 = 16_384;

/// The engine's name for having none.
pub(super) const NO_NETWORK: &str = "none";

pub(super) fn body(container: &Container, network: &str, labels: &HashMap<String, String>) -> ContainerCreateBody {
    let Container { hostname, deployment, .. } = container;
    let environment = deployment.environment.iter().map(|(key, value)| format!("{key}={value}"));
    ContainerCreateBody {
        hostname: Some(hostname.clone()),
        user: Some(deployment.user.to_owned()),
        image: Some(container.image.clone()),
        entrypoint: Some(deployment.entrypoint.clone()),
        cmd: Some(deployment.command.clone()),
        env: Some(environment.collect()),
        exposed_ports: Some(ports(deployment).collect()),
        labels: Some(labels.clone()),
        stop_signal: Some(deployment.stop_signal.to_owned()),
        stop_timeout: i64::try_from(deployment.stop_grace.as_secs()).ok(),
        // Each check of the engine's begins a process of its own from without, which costs ten times what the check does.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        host_config: Some(host(container, network, labels)),
        networking_config: matches!(container.place, Place::Network(_)).then(|| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.to_owned(), endpoint(hostname))])),
        }),
        ..Default::default()
    }
}

/// How the container is known on its project's network.
pub(super) fn endpoint(hostname: &str) -> EndpointSettings {
    EndpointSettings { aliases: Some(vec![hostname.to_owned()]), ..Default::default() }
}

fn host(container: &Container, network: &str, labels: &HashMap<String, String>) -> HostConfig {
    let deployment = &container.deployment;
    let limits = deployment.limits();
    let tmpfs = deployment.tmpfs.iter();
    HostConfig {
        memory: Some(signed(limits.memory_bytes)),
        memory_swap: Some(signed(limits.memory_and_swap_bytes)),
        nano_cpus: Some(signed(limits.cpu_nanos)),
        pids_limit: Some(i64::from(limits.pids)),
        shm_size: Some(i64::from(deployment.shared_memory_mib) * MIB),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        readonly_rootfs: Some(true),
        // Servers don't reap what they have not begun: without an init each process that a check leaves behind would stay
        // as a zombie, until no other could be made. It passes signals on, and ends as the server does.
        init: Some(true),
        tmpfs: Some(
            tmpfs.map(|(path, mode)| ((*path).to_owned(), format!("mode={mode},nosuid,nodev,noexec"))).collect(),
        ),
        // A core file would hold what the server's memory did.
        ulimits: Some(vec![limit("nofile", OPEN_FILES), limit("core", 0)]),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "10m".to_owned()),
                ("max-file".to_owned(), "3".to_owned()),
            ])),
        }),
        // A start sets `always`, for with anything less the engine does not bring it back after a crash of its own.
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        network_mode: Some(network.to_owned()),
        port_bindings: container.published.filter(|_| !matches!(container.place, Place::Isolated(_))).map(|first| {
            let binding = |published: Published| PortBinding {
                host_ip: Some(published.address.to_string()),
                host_port: Some(published.port.to_string()),
            };
            let places = ports(deployment).enumerate();
            places.map(|(n, port)| (port, first.at(n).map(|published| vec![binding(published)]))).collect()
        }),
        mounts: Some(mounts(container, labels)),
        ..Default::default()
    }
}

/// Limits for a container that is there.
pub(super) fn update(limits: &Limits) -> ContainerUpdateBody {
    ContainerUpdateBody {
        memory: Some(signed(limits.memory_bytes)),
        memory_swap: Some(signed(limits.memory_and_swap_bytes)),
        nano_cpus: Some(signed(limits.cpu_nanos)),
        pids_limit: Some(i64::from(limits.pids)),
        ..Default::default()
    }
}

/// No figure of a limit comes near the largest.
fn signed(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(i64::MAX)
}

fn mounts(container: &Container, labels: &HashMap<String, String>) -> Vec<Mount> {
    let deployment = &container.deployment;
    // Only the first mount may fill an empty volume from the image: it takes the directory's owner with it. The labels
    // are for a volume that is gone by now, which the engine makes anew without asking: it has to be known as ours, and
    // as empty.
    let mount = |target: &str, no_copy: bool| Mount {
        typ: Some(MountType::VOLUME),
        source: Some(container.instance.to_string()),
        target: Some(target.to_owned()),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(no_copy),
            labels: Some(labels.clone()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let second = deployment.second_path.map(|path| mount(path, true));
    [mount(deployment.data_path, false)].into_iter().chain(second).collect()
}

/// Mounts the volume of another instance as well, to be read only. Where it goes just then the engine makes it anew, with
/// `labels`, by which it is known as nobody's.
pub(super) fn read_as_well(body: &mut ContainerCreateBody, source: InstanceId, labels: HashMap<String, String>) {
    let mount = Mount {
        typ: Some(MountType::VOLUME),
        source: Some(source.to_string()),
        target: Some(SOURCE.to_owned()),
        read_only: Some(true),
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), labels: Some(labels), ..Default::default() }),
        ..Default::default()
    };
    if let Some(mounts) = body.host_config.as_mut().and_then(|host| host.mounts.as_mut()) {
        mounts.push(mount);
    }
}

fn limit(name: &str, value: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(value), hard: Some(value) }
}

fn ports(deployment: &Deployment) -> impl Iterator<Item = String> {
    deployment.endpoints.iter().map(|endpoint| format!("{}/tcp", endpoint.port))
}

/// Room in a volume with a limit of its own, so that one that is full can be started: the files of a start need some, and
/// so does the server inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// The volume has no such limit.
    Unlimited,
    /// There is room: it is set aside, behind the files.
    SetAside,
    /// There is none: what was set aside is given back, before the files.
    GivenBack,
}

const ROOM: &str = "room";
const ROOM_BYTES: usize = 1 << 20;

/// A deployment's files as a tar archive that is unpacked in the volume.
pub(super) fn files(given: &[File], room: Room) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let write = |archive: &mut tar::Builder<Vec<u8>>| -> std::io::Result<()> {
        let mut directory = tar::Header::new_gnu();
        directory.set_entry_type(tar::EntryType::Directory);
        directory.set_size(0);
        directory.set_mode(0o755);
        archive.append_data(&mut directory, format!("{FILES}/"), std::io::empty())?;
        let mut file = |path: &str, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o444);
            archive.append_data(&mut header, path, content)
        };
        let path = format!("{FILES}/{ROOM}");
        if room == Room::GivenBack {
            file(&path, &[])?;
        }
        for given in given {
            file(given.path, given.content.as_slice())?;
        }
        if room == Room::SetAside {
            file(&path, &vec![0; ROOM_BYTES])?;
        }
        Ok(())
    };
    write(&mut archive).and_then(|()| archive.into_inner()).map_err(|error| EngineError::Unavailable(Box::new(error)))
}

/// An archive that is larger holds more than a start puts into a volume, in bytes.
pub(super) const LARGEST_UNUSED: usize = ROOM_BYTES + (1 << 20);

/// Whether an archive of a volume's directory is whole, and has nothing in it but what [`files`] makes.
pub(super) fn holds_files_alone(archive: &[u8]) -> bool {
    let alone = |archive: &[u8]| -> std::io::Result<bool> {
        for entry in tar::Archive::new(archive).entries()? {
            let entry = entry?;
            let path = entry.path()?;
            // The first part is the directory itself, and so is what a link of the image's leads to.
            let is_inside = path.components().nth(1).is_some_and(|inside| inside.as_os_str() != FILES);
            if is_inside && entry.link_name()?.is_none_or(|link| link.as_os_str() != ".") {
                return Ok(false);
            }
        }
        Ok(true)
    };
    archive.len() <= LARGEST_UNUSED && alone(archive).unwrap_or(false)
}

/// Whether a container was made without an init.
pub(super) fn lacks_init(host: Option<&HostConfig>) -> bool {
    host.and_then(|host| host.init) != Some(true)
}

/// Whether a start failed because the container's network was removed since it was made.
pub(super) fn is_network_lost(error: &BollardError) -> bool {
    matches!(error, BollardError::DockerResponseServerError { message, .. }
        if message.contains("network") && message.contains("not found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_set_aside_behind_the_files_and_given_back_before_them() {
        let given = File { path: ".service/ping", content: vec![b'x'; 87].into(), salted: false };
        let sizes = |room| {
            let archive = files(std::slice::from_ref(&given), room).unwrap();
            let mut archive = tar::Archive::new(archive.as_slice());
            let entries = archive.entries().unwrap().skip(1).map(std::result::Result::unwrap);
            entries.map(|entry| (entry.path().unwrap().display().to_string(), entry.size())).collect::<Vec<_>>()
        };
        let (ping, room) = ((".service/ping".to_owned(), 87), |size| (".service/room".to_owned(), size));
        assert_eq!(sizes(Room::Unlimited), std::slice::from_ref(&ping));
        assert_eq!(sizes(Room::SetAside), [ping.clone(), room(1 << 20)]);
        assert_eq!(sizes(Room::GivenBack), [room(0), ping]);
    }

    #[test]
    fn a_link_to_the_directory_itself_is_nobody_s_data() {
        let with = |link: Option<&str>| {
            let mut archive = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            archive.append_data(&mut header, "it/.service/ping", std::io::empty()).unwrap();
            match link {
                Some(to) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    archive.append_link(&mut header, "it/data", to).unwrap();
                }
                None => archive.append_data(&mut header, "it/data", std::io::empty()).unwrap(),
            }
            holds_files_alone(&archive.into_inner().unwrap())
        };
        assert!(with(Some(".")));
        assert!(!with(Some("elsewhere")) && !with(None));
    }
}
