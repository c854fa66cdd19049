//! The projects' networks on the engine, and the subnets that they get. Only networks of this installation are ever
//! removed; one of somebody else that has a project's name is used as it is.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::models::{
    ContainerInspectResponse, EndpointSettings, Ipam, IpamConfig, NetworkCreateRequest, NetworkDisconnectRequest,
    NetworkInspect,
};
use bollard::query_parameters::ListNetworksOptions;
use ipnet::Ipv4Net;
use tokio::sync::{Mutex, OnceCell};

use super::container::NO_NETWORK;
use super::labels::Labels;
use super::swarm::{self, Swarm};
use super::{DockerSettings, QUICK, SLOW, failure, found, within};
use crate::domain::id::ProjectId;
use crate::domain::network::{AddressPool, NetworkTemplate};
use crate::domain::service::ErrorCode;
use crate::engine::{EngineError, Result};
use crate::telemetry::metrics;

/// What the engine's own pools are where it was not told of others.
/// <https://github.com/moby/moby/blob/v28.5.2/daemon/libnetwork/ipamutils/utils.go>
const ENGINES_POOLS: &[(&str, i64)] = &[
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
];

/// How many subnets are tried that overlap with something that the engine does not list.
const OVERLAPS: usize = 64;

/// Of so many subnets one has to be free, or it is said that few are left.
const FEW: usize = 10;

/// What is to be done where the engine has no addresses left.
pub(super) const EXHAUSTED: &str = "The engine has no addresses left for another project's network. Destroy what is not \
    needed any more, remove networks that nobody uses (docker network prune), set NETWORK_POOL, or give the engine more \
    with default-address-pools.";

/// Whether a refusal, in lower case, is for want of addresses: Engine 20.10, 25 and later, Podman.
pub(super) fn is_exhausted(refusal: &str) -> bool {
    ["non-overlapping ipv4 address pool", "address pools have been fully subnetted", "could not find free subnet"]
        .iter()
        .any(|text| refusal.contains(text))
}

pub(super) struct Networks {
    template: NetworkTemplate,
    /// Where those of projects are made that reach over several nodes.
    swarm: Option<Arc<Swarm>>,
    /// The name of the network on which what is nobody's yet is started.
    start: String,
    /// Where their subnets come from; None leaves that to the engine.
    pool: Option<AddressPool>,
    /// Network names are not unique to the engine (before API 1.44): two creations at once would make two.
    making: Mutex<()>,
    /// Where the engine takes subnets from by itself, once that was asked for.
    engines_pools: OnceCell<Vec<AddressPool>>,
    /// How many more there are addresses for, as it was said last; `usize::MAX` before it was.
    left: AtomicUsize,
}

impl Networks {
    pub(super) fn new(settings: &DockerSettings, swarm: Option<Arc<Swarm>>) -> Self {
        let (engines_pools, left) = (OnceCell::new(), AtomicUsize::new(usize::MAX));
        let start = format!("{}-start", settings.installation);
        let (template, pool) = (settings.network_template.clone(), settings.network_pool);
        Self { template, swarm, start, pool, making: Mutex::new(()), engines_pools, left }
    }

    /// The name of the network that a project's services are attached to.
    pub(super) fn name(&self, project: &ProjectId) -> Result<String> {
        self.template.name(project).map_err(|invalid| EngineError::Refused {
            code: ErrorCode::EngineRefused,
            message: format!("The project {project} can't have services with this NETWORK_TEMPLATE: {invalid}."),
        })
    }

    /// Whether the container is on its project's network.
    pub(super) fn connects(&self, container: &ContainerInspectResponse, project: Option<&ProjectId>) -> bool {
        let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        networks.is_some_and(|networks| self.is_among(networks, project))
    }

    /// Whether the network of `project` is among those. One that was made before it had a project is on no other than that of the
    /// project that it was given to.
    pub(super) fn is_among(&self, networks: &HashMap<String, EndpointSettings>, project: Option<&ProjectId>) -> bool {
        match project {
            Some(project) => self.name(project).is_ok_and(|name| networks.contains_key(&name)),
            None => networks.keys().any(|name| name != NO_NETWORK && *name != self.start),
        }
    }

    /// By what the engine is told of a project's network that is there.
    pub(super) async fn handle(&self, project: &ProjectId) -> Result<String> {
        let name = self.name(project)?;
        let Some(swarm) = &self.swarm else { return Ok(name) };
        let gone = || EngineError::Refused {
            code: ErrorCode::EngineRefused,
            message: format!("The network {name} was removed from the swarm meanwhile."),
        };
        swarm.find(&name).await?.and_then(|network| network.id).ok_or_else(gone)
    }

    /// Makes the project's network unless it is there.
    pub(super) async fn ensure(&self, client: &Docker, labels: &Labels, project: &ProjectId) -> Result<()> {
        let request = NetworkCreateRequest {
            name: self.name(project)?,
            labels: Some(labels.of_network(project)),
            ..Default::default()
        };
        let Some(swarm) = &self.swarm else { return self.make(client, request).await };
        // What has its name here and is none of the swarm's would be taken for it.
        if inspect(client, &request.name).await?.as_ref().is_some_and(swarm::is_another) {
            return Err(swarm::taken(&request.name));
        }
        swarm.ensure(request).await.map(|_| ())
    }

    /// Makes the network on which what is nobody's yet is started, and gives its name. With a container's first network the engine
    /// begins to resolve names for it, which takes longer than all else: so nobody waits for that later. Those on it reach
    /// nobody, not even each other.
    pub(super) async fn ensure_start(&self, client: &Docker, labels: &Labels) -> Result<String> {
        let request = NetworkCreateRequest {
            name: self.start.clone(),
            labels: Some(labels.of_nobody()),
            internal: Some(true),
            options: Some(HashMap::from([("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned())])),
            ..Default::default()
        };
        self.make(client, request).await?;
        Ok(self.start.clone())
    }

    /// Takes a container off that network once it is started. The network goes with the last of them.
    pub(super) async fn leave_start(
        &self,
        client: &Docker,
        labels: &Labels,
        container: &ContainerInspectResponse,
    ) -> Result<()> {
        let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        if !networks.is_some_and(|networks| networks.contains_key(&self.start)) {
            return Ok(());
        }
        let container = container.id.clone().unwrap_or_default();
        let request = NetworkDisconnectRequest { container, force: None };
        within(SLOW, client.disconnect_network(&self.start, request)).await.map_err(failure)?;
        self.remove(client, labels, &self.start).await
    }

    async fn make(&self, client: &Docker, request: NetworkCreateRequest) -> Result<()> {
        let request = NetworkCreateRequest { driver: Some("bridge".to_owned()), ..request };
        let guard = self.making.lock().await;
        if inspect(client, &request.name).await?.is_some() {
            return Ok(());
        }
        match self.pool {
            Some(pool) => create_in(client, pool, request).await?,
            None => create(client, request).await.map_err(failure)?,
        }
        drop(guard);
        self.count(client).await;
        Ok(())
    }

    /// Removes a network of ours unless something is attached to it.
    pub(super) async fn remove(&self, client: &Docker, labels: &Labels, name: &str) -> Result<()> {
        if let Some(swarm) = self.swarm.as_ref().filter(|_| name != self.start) {
            let network = swarm.find(name).await?.filter(|network| labels.are_ours(network.labels.as_ref()));
            let Some(id) = network.and_then(|network| network.id) else { return Ok(()) };
            return swarm.remove(&id).await;
        }
        let _guard = self.making.lock().await;
        let Some(network) = inspect(client, name).await? else { return Ok(()) };
        let attached = network.containers.is_some_and(|containers| !containers.is_empty());
        if attached || !labels.are_ours(network.labels.as_ref()) {
            return Ok(());
        }
        match found(within(SLOW, client.remove_network(name)).await) {
            Ok(_) => {
                self.count(client).await;
                Ok(())
            }
            // Somebody attached to it in the meantime: it is in use.
            Err(EngineError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Says how many more networks there are addresses for, where that is known. Nothing depends on it.
    pub(super) async fn count(&self, client: &Docker) {
        let counted = async {
            let pools = match &self.pool {
                Some(pool) => std::slice::from_ref(pool),
                None => self.engines_pools.get_or_try_init(|| engines_pools(client)).await?,
            };
            let taken = taken(client).await?;
            let left = pools.iter().map(|pool| pool.free(&taken).count()).sum::<usize>();
            Ok::<_, EngineError>((left, pools.iter().map(AddressPool::size).sum::<usize>()))
        };
        match counted.await {
            Ok((_, 0)) => {}
            Ok((left, of)) => self.say_left(left, of),
            Err(error) => tracing::debug!(error = ?error, "The networks that are left could not be counted"),
        }
    }

    fn say_left(&self, left: usize, of: usize) {
        metrics::networks_left(left);
        let are_few = |left: usize| left.saturating_mul(FEW) <= of;
        let before = self.left.swap(left, Ordering::Relaxed);
        if are_few(left) && !are_few(before) {
            tracing::warn!(left, of, "There are addresses for few more projects' networks: NETWORK_POOL gives more");
        } else if before == usize::MAX {
            tracing::info!(left, of, "There are addresses for more projects' networks");
        }
    }
}

/// The network of that name. The engine also takes the beginning of an id for a name, and a project's name may be one.
async fn inspect(client: &Docker, name: &str) -> Result<Option<NetworkInspect>> {
    let network = found(within(QUICK, client.inspect_network(name, None)).await)?;
    Ok(network.filter(|network| network.name.as_deref() == Some(name)))
}

async fn create(client: &Docker, request: NetworkCreateRequest) -> Result<(), BollardError> {
    match within(SLOW, client.create_network(request)).await {
        Ok(_) | Err(BollardError::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a network with the pool's first subnet that is free. Another installation may be quicker to take it, and the
/// engine may know of addresses that it does not list.
async fn create_in(client: &Docker, pool: AddressPool, request: NetworkCreateRequest) -> Result<()> {
    let taken = taken(client).await?;
    for subnet in pool.free(&taken).take(OVERLAPS) {
        let config = IpamConfig { subnet: Some(subnet.to_string()), ..Default::default() };
        let ipam = Ipam { config: Some(vec![config]), ..Default::default() };
        match create(client, NetworkCreateRequest { ipam: Some(ipam), ..request.clone() }).await {
            Err(BollardError::DockerResponseServerError { message, .. }) if message.contains("overlap") => {
                tracing::debug!(%subnet, message, "The subnet is taken");
            }
            outcome => return outcome.map_err(failure),
        }
    }
    let message = format!(
        "None of the {} subnets of NETWORK_POOL ({pool}) is free for another project's network. Destroy what is not \
         needed any more, remove networks that nobody uses (docker network prune), or give NETWORK_POOL more addresses.",
        pool.size()
    );
    Err(EngineError::Refused { code: ErrorCode::NetworkPoolExhausted, message })
}

/// The subnets of all networks, whoever made them.
async fn taken(client: &Docker) -> Result<Vec<Ipv4Net>> {
    let networks = within(QUICK, client.list_networks(None::<ListNetworksOptions>)).await.map_err(failure)?;
    let subnets = networks.into_iter().filter_map(|network| network.ipam?.config).flatten();
    Ok(subnets.filter_map(|config| config.subnet?.parse().ok()).collect())
}

/// What the engine takes subnets from by itself; empty where they are more than it could ever have networks.
async fn engines_pools(client: &Docker) -> Result<Vec<AddressPool>> {
    let given = within(QUICK, client.info()).await.map_err(failure)?.default_address_pools.unwrap_or_default();
    let given = given.into_iter().map(|pool| (pool.base.unwrap_or_default(), pool.size.unwrap_or_default()));
    let mut pools: Vec<_> = given.collect();
    if pools.is_empty() {
        pools = ENGINES_POOLS.iter().map(|(base, size)| ((*base).to_owned(), *size)).collect();
    }
    let parsed = pools
        .into_iter()
        .filter(|(base, _)| !base.contains(':'))
        .map(|(base, size)| AddressPool::new(base.parse().ok()?, u8::try_from(size).ok()?).ok());
    Ok(parsed.collect::<Option<_>>().unwrap_or_default())
}
