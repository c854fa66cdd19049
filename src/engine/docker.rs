//! The Docker Engine, through its API (1.41 and newer). The only module that names bollard.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::models::{
    ContainerUpdateBody, HostConfig, LocalNodeState, NetworkConnectRequest, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters as query;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::{OnceCell, watch};

use super::{
    Command, Description, Ended, Engine, EngineError, Flow, Grown, Happening, Membership, Owned, OwnedThing, Pull,
    Result, Survey, Target, Thing, thing,
};
use crate::catalog::deployment::Deployment;
use crate::domain::id::{InstallationId, InstanceId, ProjectId};
use crate::domain::image::Image;
use crate::domain::limits::Limits;
use crate::domain::network::{AddressPool, NetworkTemplate};
use crate::domain::observed::{ContainerStatus, Observed, Volume};
use crate::domain::service::ErrorCode;
use crate::domain::storage::StorageBackend;

mod connection;
mod container;
mod events;
mod exec;
mod find;
mod gauge;
mod image;
mod instruments;
mod labels;
mod loopback;
mod network;
mod observe;
mod probe;
mod pull;
mod resident;
mod survey;
mod swarm;
mod volume;

use crate::engine::thing::Place;
use connection::Connection;
pub use connection::{ClientTls, Host};
use container::Room;
use labels::Labels;
pub use loopback::LoopSettings;
use network::Networks;
use swarm::Swarm;

/// How long a call that only reads or notes something may take.
const QUICK: Duration = Duration::from_secs(10);
/// How long creating, starting or removing may take on a busy host.
const SLOW: Duration = Duration::from_secs(90);

/// What the engine is and how things on it are named.
#[derive(Debug, Clone)]
pub struct DockerSettings {
    pub installation: InstallationId,
    pub network_template: NetworkTemplate,
    /// Where their subnets come from; None leaves that to the engine.
    pub network_pool: Option<AddressPool>,
    /// Labels that everything which is made bears as well.
    pub extra_labels: Vec<(String, String)>,
    pub storage: StorageSettings,
}

/// How volumes are made.
#[derive(Debug, Clone)]
pub struct StorageSettings {
    pub backend: StorageBackend,
    pub files: LoopSettings,
}

/// A Docker Engine. It is connected to at the first call, so it may be away when this is made.
pub struct DockerEngine {
    settings: DockerSettings,
    labels: Labels,
    connection: Arc<Connection>,
    networks: Networks,
    digests: image::Digests,
    limits_swap: OnceCell<bool>,
}

impl DockerEngine {
    /// The one behind `host`, whose networks reach no other.
    pub fn new(host: Host, settings: &DockerSettings) -> Self {
        Self::of(Arc::new(Connection::new(host)), None, settings)
    }

    /// One behind each of `hosts`. Those of several are members of one Docker Swarm, whose networks they are put on; `encrypts` has
    /// these encrypt what goes from one node to another.
    pub fn all(hosts: Vec<Host>, settings: &DockerSettings, encrypts: bool) -> Vec<Self> {
        let connections: Vec<_> = hosts.into_iter().map(|host| Arc::new(Connection::new(host))).collect();
        let swarm = (connections.len() > 1).then(|| Arc::new(Swarm::new(connections.clone(), encrypts)));
        connections.into_iter().map(|connection| Self::of(connection, swarm.clone(), settings)).collect()
    }

    fn of(connection: Arc<Connection>, swarm: Option<Arc<Swarm>>, settings: &DockerSettings) -> Self {
        let settings = settings.clone();
        let labels = Labels::new(settings.installation, settings.extra_labels.clone());
        let networks = Networks::new(&settings, swarm);
        let digests = image::Digests::default();
        Self { settings, labels, connection, networks, digests, limits_swap: OnceCell::new() }
    }

    async fn client(&self) -> Result<&Docker> {
        self.connection.client().await
    }

    /// Whether it limits swap. It is asked only where a container has no such limit, and once: it can't change while its host runs.
    async fn limits_swap(&self, host: Option<&HostConfig>) -> Result<bool> {
        if observe::has_swap_limit(host) {
            return Ok(true);
        }
        let ask = async || {
            let told = within(QUICK, self.client().await?.info()).await.map_err(failure)?;
            Ok(told.swap_limit.unwrap_or(true))
        };
        self.limits_swap.get_or_try_init(ask).await.copied()
    }

    async fn ensure_network(&self, project: &ProjectId) -> Result<()> {
        self.networks.ensure(self.client().await?, &self.labels, project).await
    }

    async fn ensure_endpoint(&self, endpoint: &thing::Endpoint) -> Result<()> {
        let client = self.client().await?;
        self.ensure_network(&endpoint.project).await?;
        let request = NetworkConnectRequest {
            container: endpoint.instance.to_string(),
            endpoint_config: Some(container::endpoint(&endpoint.hostname)),
        };
        let network = self.networks.handle(&endpoint.project).await?;
        match within(SLOW, client.connect_network(&network, request)).await {
            Err(BollardError::DockerResponseServerError { message, .. }) if message.contains("already exists") => {
                Ok(())
            }
            outcome => outcome.map_err(failure),
        }
    }

    async fn ensure_container(&self, container: &thing::Container) -> Result<()> {
        let client = self.client().await?;
        let network = match &container.place {
            Place::Isolated(_) => container::NO_NETWORK.to_owned(),
            Place::Unassigned => self.networks.ensure_start(client, &self.labels).await?,
            Place::Network(project) => {
                self.ensure_network(project).await?;
                self.networks.handle(project).await?
            }
        };
        // The engine looks into the volume as it makes the container.
        self.attach_volume(container.instance, container.deployment.tier.storage_mib).await?;
        let mut body = container::body(container, &network, &self.labels.of_container(container));
        if let Some(source) = container.reads {
            // The engine would make one that is gone anew, and empty.
            if self.volume(source).await? != Volume::Ours {
                let message = "The volume that is to be copied is gone.".to_owned();
                return Err(EngineError::Refused { code: ErrorCode::VolumeLost, message });
            }
            container::read_as_well(&mut body, source, self.labels.of_instance(source));
        }
        let options = query::CreateContainerOptionsBuilder::default().name(&container.instance.to_string()).build();
        match within(SLOW, client.create_container(Some(options), body)).await {
            // Of one name there is one container; whether it is ours is found out by the look that follows.
            Ok(_) | Err(BollardError::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
            Err(error) => Err(failure(error)),
        }
    }

    async fn remove_container_of(&self, instance: InstanceId) -> Result<()> {
        let container = self.container(instance).await?;
        let labels = container.as_ref().and_then(|container| container.config.as_ref()?.labels.as_ref());
        if self.labels.are_of(instance, labels) {
            self.remove_container(&instance.to_string()).await?;
        }
        Ok(())
    }

    /// Removes a container with its anonymous volumes, whatever it does.
    async fn remove_container(&self, name: &str) -> Result<()> {
        let options = query::RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match found(within(SLOW, self.client().await?.remove_container(name, Some(options))).await) {
            Ok(_) => Ok(()),
            Err(EngineError::Refused { message, .. }) if message.contains("already in progress") => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        self.networks.remove(self.client().await?, &self.labels, name).await
    }

    async fn set_restart_policy(&self, instance: InstanceId, name: RestartPolicyNameEnum) -> Result<()> {
        let client = self.client().await?;
        let policy = RestartPolicy { name: Some(name), maximum_retry_count: None };
        let update = ContainerUpdateBody { restart_policy: Some(policy), ..Default::default() };
        match within(QUICK, client.update_container(&instance.to_string(), update)).await {
            // Podman before 5 has no such call.
            Err(BollardError::DockerResponseServerError { status_code: 404 | 405, message })
                if !message.to_lowercase().contains("no such container") =>
            {
                let message = format!("The engine can't change a container's restart policy: {message}");
                Err(EngineError::Refused { code: ErrorCode::EngineRefused, message })
            }
            outcome => outcome.map_err(failure),
        }
    }

    /// Puts what a start needs into an instance's volume. The engine removes each file before it writes it anew, for which one
    /// that is full has no room but what was set aside.
    async fn put_files(&self, instance: InstanceId, deployment: &Deployment) -> Result<()> {
        let client = self.client().await?;
        let has_limit = self.own_space(instance).await?.is_some();
        let put = async |room: Room| {
            let options = query::UploadToContainerOptionsBuilder::default().path(deployment.data_path).build();
            let files = bollard::body_full(container::files(&deployment.files, room)?.into());
            let name = instance.to_string();
            within(SLOW, client.upload_to_container(&name, Some(options), files)).await.map_err(failure)
        };
        let is_full = |outcome: &Result<()>| {
            has_limit && matches!(outcome, Err(EngineError::Refused { code: ErrorCode::NoSpace, .. }))
        };
        let mut outcome = put(if has_limit { Room::SetAside } else { Room::Unlimited }).await;
        if is_full(&outcome) {
            outcome = put(Room::GivenBack).await;
        }
        if is_full(&outcome) {
            let message = "Its volume is full: there is no room for what a start needs.".to_owned();
            return Err(EngineError::Refused { code: ErrorCode::NoSpace, message });
        }
        outcome
    }

    fn filter(&self) -> Option<HashMap<String, Vec<String>>> {
        Some(HashMap::from([("label".to_owned(), vec![self.labels.installation_filter()])]))
    }
}

#[async_trait]
impl Engine for DockerEngine {
    async fn ping(&self) -> Result<()> {
        within(QUICK, self.client().await?.ping()).await.map(|_| ()).map_err(failure)
    }

    async fn describe(&self) -> Result<Description> {
        let told = within(QUICK, self.client().await?.info()).await.map_err(failure)?;
        let swarm = told.swarm.filter(|swarm| swarm.local_node_state == Some(LocalNodeState::ACTIVE));
        Ok(Description {
            version: told.server_version.unwrap_or_default(),
            memory_mib: u64::try_from(told.mem_total.unwrap_or_default()).unwrap_or_default() >> 20,
            swarm: swarm.map(|swarm| Membership {
                cluster: swarm.cluster.and_then(|cluster| cluster.id),
                is_manager: swarm.control_available.unwrap_or_default(),
            }),
        })
    }

    async fn look(&self, instance: InstanceId, image: &str) -> Result<Observed> {
        let client = self.client().await?;
        let (container, volume) = tokio::try_join!(self.container(instance), self.volume(instance))?;
        let would_be = async || Ok::<_, EngineError>(image::find(client, image).await?.map(|image| image.id));
        let Some(container) = container else {
            return Ok(Observed { container: None, volume, image: would_be().await? });
        };
        let found_labels = container.config.as_ref().and_then(|config| config.labels.as_ref());
        if !self.labels.are_of(instance, found_labels) {
            return Err(EngineError::Refused {
                code: ErrorCode::NameTaken,
                message: format!("A container named {instance} exists that this installation did not make."),
            });
        }
        let project = found_labels.and_then(labels::project);
        let connected = self.networks.connects(&container, project.as_ref());
        let limits_swap = self.limits_swap(container.host_config.as_ref()).await?;
        let runs_from = self.digests.image(client, container.image.as_deref().unwrap_or_default(), image).await?;
        let container = observe::container(&container, runs_from, connected, limits_swap);
        let image = if container.status == ContainerStatus::Running { None } else { would_be().await? };
        Ok(Observed { container: Some(container), volume, image })
    }

    async fn pull(&self, image: &str, when: Pull, progress: watch::Sender<Option<u8>>) -> Result<Image> {
        let client = self.client().await?;
        if when == Pull::Absent
            && let Some(there) = image::find(client, image).await?
        {
            return Ok(there);
        }
        pull::pull(client, image, progress).await?;
        self.digests.forget();
        image::find(client, image).await?.ok_or_else(|| pull::failed(image, "it is not there afterwards"))
    }

    async fn ensure(&self, thing: &Thing) -> Result<()> {
        match thing {
            Thing::Network(project) => self.ensure_network(project).await,
            Thing::Volume(volume) => self.ensure_volume(volume).await,
            Thing::Container(container) => self.ensure_container(container).await,
            Thing::Endpoint(endpoint) => self.ensure_endpoint(endpoint).await,
        }
    }

    async fn start(&self, instance: InstanceId, deployment: &Deployment) -> Result<()> {
        let client = self.client().await?;
        let name = instance.to_string();
        let inspected = within(QUICK, client.inspect_container(&name, None::<query::InspectContainerOptions>))
            .await
            .map_err(failure)?;
        let state = inspected.state.clone().unwrap_or_default();
        if state.paused == Some(true) {
            within(SLOW, client.unpause_container(&name)).await.map_err(failure)?;
        }
        let runs = state.running == Some(true);
        if !runs && container::lacks_init(inspected.host_config.as_ref()) {
            // An earlier version made it, and neither this nor its health check can be changed. Its data is in the volume,
            // so it is made anew.
            return self.remove_container(&name).await;
        }
        if !runs {
            self.attach_volume(instance, deployment.tier.storage_mib).await?;
            if !deployment.files.is_empty() {
                self.put_files(instance, deployment).await?;
            }
        }
        // Not before its files are there: the engine would start it without them, again and again.
        if !observe::brought_back(inspected.host_config.as_ref()) {
            self.set_restart_policy(instance, RestartPolicyNameEnum::ALWAYS).await?;
        }
        if runs {
            // What has started it may have been killed right then.
            return self.networks.leave_start(client, &self.labels, &inspected).await;
        }
        match within(SLOW, client.start_container(&name, None::<query::StartContainerOptions>)).await {
            Ok(()) => self.networks.leave_start(client, &self.labels, &inspected).await,
            Err(error) if container::is_network_lost(&error) => {
                // A container keeps the id of its network; once that is gone it never starts again. Its data is in
                // the volume, so it is made anew.
                let remove = query::RemoveContainerOptionsBuilder::default().force(true).build();
                within(SLOW, client.remove_container(&name, Some(remove))).await.map_err(failure)?;
                Err(failure(error))
            }
            Err(error) => Err(failure(error)),
        }
    }

    async fn stop(&self, instance: InstanceId, grace: Duration) -> Result<()> {
        let client = self.client().await?;
        let name = instance.to_string();
        self.set_restart_policy(instance, RestartPolicyNameEnum::NO).await?;
        let inspected = within(QUICK, client.inspect_container(&name, None::<query::InspectContainerOptions>)).await;
        if inspected.map_err(failure)?.state.is_some_and(|state| state.paused == Some(true)) {
            // A paused server can't shut down.
            within(SLOW, client.unpause_container(&name)).await.map_err(failure)?;
        }
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = query::StopContainerOptionsBuilder::default().t(seconds).build();
        within(grace + SLOW, client.stop_container(&name, Some(options))).await.map_err(failure)
    }

    async fn adjust(&self, instance: InstanceId, limits: &Limits) -> Result<()> {
        let client = self.client().await?;
        let name = instance.to_string();
        within(QUICK, client.update_container(&name, container::update(limits))).await.map_err(failure)?;
        let inspected = within(QUICK, client.inspect_container(&name, None::<query::InspectContainerOptions>)).await;
        let host = inspected.map_err(failure)?.host_config;
        let limits_swap = self.limits_swap(host.as_ref()).await?;
        if observe::limits(host.as_ref(), limits_swap) == *limits {
            return Ok(());
        }
        let message = "The engine does not give the container the limits of its size.".to_owned();
        Err(EngineError::Refused { code: ErrorCode::EngineRefused, message })
    }

    async fn grow(&self, instance: InstanceId, storage_mib: u32) -> Result<Grown> {
        self.grow_volume(instance, storage_mib).await
    }

    async fn remove(&self, target: &Target) -> Result<()> {
        match target {
            Target::Container(instance) => self.remove_container_of(*instance).await,
            Target::Volume(instance) => self.remove_volume_of(*instance).await,
            Target::Unused { instance, data_path } => self.remove_unused(*instance, data_path).await,
            // A name that can't be a project's own was never given to a network.
            Target::Network(project) => match self.networks.name(project) {
                Ok(name) => self.remove_network(&name).await,
                Err(_) => Ok(()),
            },
            Target::Found(Owned { what: OwnedThing::Container(_), name, .. }) => self.remove_container(name).await,
            Target::Found(Owned { what: OwnedThing::Volume(_), name, .. }) => self.remove_volume(name).await,
            Target::Found(Owned { what: OwnedThing::Network(_), name, .. }) => self.remove_network(name).await,
        }
    }

    async fn run(&self, instance: InstanceId, command: &Command) -> Result<Ended> {
        exec::run(self.client().await?, instance, command).await.map_err(failure)
    }

    async fn pump(&self, instance: InstanceId, command: &Command, flow: Flow) -> Result<Ended> {
        exec::pump(self.client().await?, instance, command, flow).await.map_err(failure)
    }

    async fn survey(&self) -> Result<Survey> {
        self.digests.forget();
        survey::survey(self).await
    }

    fn network_name(&self, project: &ProjectId) -> Option<String> {
        self.networks.name(project).ok()
    }

    async fn watch(&self) -> Result<BoxStream<'static, Happening>> {
        events::watch(self.client().await?, self.filter().unwrap_or_default()).await
    }

    async fn await_output(&self, instance: InstanceId, text: &str) -> Result<()> {
        let client = self.client().await?;
        let options = query::LogsOptionsBuilder::default().stdout(true).stderr(true).follow(true).tail("all").build();
        let mut output = std::pin::pin!(client.logs(&instance.to_string(), Some(options)));
        while let Some(Ok(line)) = output.next().await {
            if String::from_utf8_lossy(line.as_ref()).contains(text) {
                break;
            }
        }
        Ok(())
    }

    async fn logs(&self, instance: InstanceId, lines: usize) -> Result<Vec<String>> {
        let client = self.client().await?;
        let tail = lines.to_string();
        let options = query::LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&tail).build();
        let output = client.logs(&instance.to_string(), Some(options)).map_ok(LogOutput::into_bytes);
        let chunks: Vec<_> = within(QUICK, output.try_collect()).await.map_err(failure)?;
        Ok(chunks
            .iter()
            .flat_map(|chunk| String::from_utf8_lossy(chunk).lines().map(str::to_owned).collect::<Vec<_>>())
            .collect())
    }
}

/// Bounds a call in time. What did not answer in time may have happened.
async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, BollardError>>) -> Result<T, BollardError> {
    tokio::time::timeout(limit, call).await.unwrap_or(Err(BollardError::RequestTimeoutError))
}

/// None for what the engine says is not there.
fn found<T>(outcome: Result<T, BollardError>) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(failure(error)),
    }
}

fn failure(error: BollardError) -> EngineError {
    match error {
        BollardError::DockerResponseServerError { message, .. } => refusal(message),
        BollardError::DockerStreamError { error } => refusal(error),
        BollardError::SocketNotFoundError(_) => EngineError::Unavailable(Box::new(error)),
        BollardError::HyperLegacyError { ref err } if err.is_connect() => EngineError::Unavailable(Box::new(error)),
        other => EngineError::Unknown(Box::new(other)),
    }
}

/// What the engine's refusal means. Its API has no codes for these, only sentences.
fn refusal(message: String) -> EngineError {
    tracing::debug!(message, "The engine refused");
    let lower = message.to_lowercase();
    let any = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
    let (code, message) =
        if any(&["port is already allocated", "address already in use", "cannot assign requested address"]) {
            (ErrorCode::PortInUse, "The host port that it is published on is taken by something else.".to_owned())
        } else if network::is_exhausted(&lower) {
            (ErrorCode::NetworkPoolExhausted, network::EXHAUSTED.to_owned())
        } else if any(&["no space left on device", "disk quota exceeded"]) {
            (ErrorCode::NoSpace, "The engine's host has no disk space left.".to_owned())
        } else {
            (ErrorCode::EngineRefused, message)
        };
    EngineError::Refused { code, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_by_what_the_engine_says() {
        let code = |message: &str| match refusal(message.to_owned()) {
            EngineError::Refused { code, .. } => code,
            other => panic!("{other}"),
        };
        let port = "driver failed programming external connectivity on endpoint x: \
                    Bind for 127.0.0.1:20000 failed: port is already allocated";
        assert_eq!(code(port), ErrorCode::PortInUse);
        assert_eq!(code("write /var/lib/x: no space left on device"), ErrorCode::NoSpace);
        for networks in [
            "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
            "all predefined address pools have been fully subnetted",
            "could not find free subnet from subnet pools",
        ] {
            assert_eq!(code(networks), ErrorCode::NetworkPoolExhausted);
        }
        assert_eq!(code("something else"), ErrorCode::EngineRefused);
    }
}
