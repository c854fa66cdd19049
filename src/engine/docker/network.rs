//! The projects' networks on the engine. Only networks of this installation are ever removed; one of somebody else that
//! has a project's name is used as it is.

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::models::NetworkCreateRequest;
use tokio::sync::Mutex;

use super::labels::Labels;
use super::{QUICK, SLOW, failure, found, within};
use crate::domain::id::ProjectId;
use crate::engine::{EngineError, Result};

pub(super) struct Networks {
    /// The name of a project's network; `{project}` stands for the project's id.
    template: String,
    /// Network names are not unique to the engine (before API 1.44): two creations at once would make two.
    making: Mutex<()>,
}

impl Networks {
    pub(super) fn new(template: String) -> Self {
        Self { template, making: Mutex::new(()) }
    }

    /// The name of the network that a project's services are attached to.
    pub(super) fn name(&self, project: &ProjectId) -> String {
        self.template.replace("{project}", project.as_str())
    }

    /// Makes the project's network unless it is there.
    pub(super) async fn ensure(&self, client: &Docker, labels: &Labels, project: &ProjectId) -> Result<()> {
        let name = self.name(project);
        let _guard = self.making.lock().await;
        if found(within(QUICK, client.inspect_network(&name, None)).await)?.is_some() {
            return Ok(());
        }
        let request = NetworkCreateRequest {
            name,
            driver: Some("bridge".to_owned()),
            labels: Some(labels.of_network(project)),
            ..Default::default()
        };
        match within(SLOW, client.create_network(request)).await {
            Ok(_) | Err(BollardError::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
            Err(error) => Err(failure(error)),
        }
    }

    /// Removes a network of ours unless something is attached to it.
    pub(super) async fn remove(&self, client: &Docker, labels: &Labels, name: &str) -> Result<()> {
        let _guard = self.making.lock().await;
        let Some(network) = found(within(QUICK, client.inspect_network(name, None)).await)? else { return Ok(()) };
        let attached = network.containers.is_some_and(|containers| !containers.is_empty());
        if attached || !labels.are_ours(network.labels.as_ref()) {
            return Ok(());
        }
        match found(within(SLOW, client.remove_network(name)).await) {
            // Somebody attached to it in the meantime: it is in use.
            Ok(_) | Err(EngineError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
