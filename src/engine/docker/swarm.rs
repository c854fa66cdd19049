//! The Docker Swarm that several engines are joined to: it has the networks that reach over all of them. Containers are each
//! engine's own, for what a swarm runs by itself it would also start a second time, beside its data.
//!
//! Networks are made and removed at a manager, and given to engines by their ids: asked by a name that it does not know yet,
//! an engine that is none makes a network of its own, which others don't reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bollard::Docker;
use bollard::models::{NetworkCreateRequest, NetworkInspect};
use bollard::query_parameters::InspectNetworkOptionsBuilder;

use super::connection::Connection;
use super::{QUICK, SLOW, failure, found, within};
use crate::domain::service::ErrorCode;
use crate::engine::{EngineError, Result};

pub(super) struct Swarm {
    members: Vec<Arc<Connection>>,
    /// Which of them was a manager last.
    manager: AtomicUsize,
    is_encrypted: bool,
}

impl Swarm {
    pub(super) fn new(members: Vec<Arc<Connection>>, is_encrypted: bool) -> Self {
        Self { members, manager: AtomicUsize::new(0), is_encrypted }
    }

    /// The first manager that answers.
    async fn manager(&self) -> Result<&Docker> {
        let first = self.manager.load(Ordering::Relaxed);
        for at in (first..self.members.len()).chain(0..first) {
            let Ok(client) = self.members[at].client().await else { continue };
            if is_manager(client).await.unwrap_or_default() {
                self.manager.store(at, Ordering::Relaxed);
                return Ok(client);
            }
        }
        Err(EngineError::Unavailable("none of the nodes is a manager of the swarm that answers".into()))
    }

    /// The network of that name, if there is one.
    pub(super) async fn find(&self, name: &str) -> Result<Option<NetworkInspect>> {
        inspect(self.manager().await?, name).await
    }

    /// Makes a network unless it is there.
    pub(super) async fn ensure(&self, request: NetworkCreateRequest) -> Result<()> {
        let manager = self.manager().await?;
        if inspect(manager, &request.name).await?.is_some() {
            return Ok(());
        }
        let mut options = request.options.clone().unwrap_or_default();
        if self.is_encrypted {
            options.insert("encrypted".to_owned(), String::new());
        }
        let name = request.name.clone();
        let request = NetworkCreateRequest {
            driver: Some("overlay".to_owned()),
            attachable: Some(true),
            options: Some(options),
            ..request
        };
        match within(SLOW, manager.create_network(request)).await {
            Ok(_) => Ok(()),
            // Another replica may have been quicker.
            Err(error) => match inspect(manager, &name).await? {
                Some(_) => Ok(()),
                None => Err(failure(error)),
            },
        }
    }

    /// Removes a network, unless something is attached to it anywhere.
    pub(super) async fn remove(&self, id: &str) -> Result<()> {
        match found(within(SLOW, self.manager().await?.remove_network(id)).await) {
            Ok(_) => Ok(()),
            Err(EngineError::Refused { message, .. }) if message.contains("in use") => Ok(()),
            Err(error) => Err(error),
        }
    }
}

async fn is_manager(client: &Docker) -> Result<bool> {
    let told = within(QUICK, client.info()).await.map_err(failure)?;
    Ok(told.swarm.and_then(|swarm| swarm.control_available).unwrap_or_default())
}

/// The swarm's network of that name, as a manager knows it.
async fn inspect(manager: &Docker, name: &str) -> Result<Option<NetworkInspect>> {
    let options = InspectNetworkOptionsBuilder::default().scope("swarm").build();
    let network = found(within(QUICK, manager.inspect_network(name, Some(options))).await)?;
    Ok(network.filter(|network| network.name.as_deref() == Some(name)))
}

/// What an engine has under the name of a network of the swarm that is none.
pub(super) fn is_another(network: &NetworkInspect) -> bool {
    network.scope.as_deref() != Some("swarm")
}

pub(super) fn taken(name: &str) -> EngineError {
    let message = format!("A network {name} of this node's own is in the place of the swarm's; remove it.");
    EngineError::Refused { code: ErrorCode::NameTaken, message }
}
