//! Finds an instance's container.

use std::collections::HashMap;

use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters as query;

use super::labels::Labels;
use super::{DockerEngine, QUICK, failure, found, within};
use crate::domain::id::InstanceId;
use crate::engine::Result;

impl DockerEngine {
    /// An instance's container, whoever made it. One of ours that was renamed by hand gets its name back: a second one
    /// beside it would work on the same volume.
    pub(super) async fn container(&self, instance: InstanceId) -> Result<Option<ContainerInspectResponse>> {
        let client = self.client().await?;
        let name = instance.to_string();
        let by_name = || within(QUICK, client.inspect_container(&name, None::<query::InspectContainerOptions>));
        if let Some(container) = found(by_name().await)? {
            return Ok(Some(container));
        }
        let labelled = futures_util::future::try_join_all(Labels::instance_filters(instance).map(|filter| {
            let filters = HashMap::from([("label".to_owned(), vec![self.labels.installation_filter(), filter])]);
            let options = query::ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
            within(QUICK, client.list_containers(Some(options)))
        }));
        let mut labelled = labelled.await.map_err(failure)?.into_iter().flatten();
        let labelled = labelled.find(|container| self.labels.are_of(instance, container.labels.as_ref()));
        let Some(container) = labelled else { return Ok(None) };
        // It may have been made, or got its name back, since that was asked for.
        if !is_named(&container, &name)
            && let Some(id) = &container.id
        {
            tracing::warn!(%instance, container = id, "A container was renamed by hand and gets its name back");
            let options = query::RenameContainerOptions { name: name.clone() };
            found(within(QUICK, client.rename_container(id, options)).await)?;
        }
        found(by_name().await)
    }
}

/// The engine puts a slash before a container's names.
fn is_named(container: &ContainerSummary, name: &str) -> bool {
    container.names.iter().flatten().any(|known| known.strip_prefix('/') == Some(name))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::extract::Request;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse, Response};
    use axum::{Json, Router};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::domain::id::InstallationId;
    use crate::domain::storage::{Reserve, StorageBackend};
    use crate::engine::docker::{DockerSettings, Host, LoopSettings, StorageSettings};

    /// An engine with one container of an instance, which comes to be there, or is renamed, after it was asked for by its name.
    struct Fake {
        instance: InstanceId,
        installation: InstallationId,
        /// What it is called in a list.
        listed: String,
        is_there: Mutex<bool>,
        renamed: Mutex<Vec<String>>,
    }

    impl Fake {
        fn answer(&self, request: &Request) -> Response {
            let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
            let labels = json!({
                "dev.project-services.installation": self.installation.to_string(),
                "dev.project-services.instance": self.instance.to_string(),
            });
            let container = || json!({"Id": "c0ffee", "Config": {"Labels": labels}});
            let mut is_there = self.is_there.lock().unwrap();
            let answer: Value = match path.rsplit('/').next().unwrap() {
                "version" => json!({"ApiVersion": "1.41"}),
                "rename" => {
                    self.renamed.lock().unwrap().push(query.to_owned());
                    return StatusCode::NO_CONTENT.into_response();
                }
                "json" if path.ends_with("containers/json") => {
                    *is_there = true;
                    json!([{"Id": "c0ffee", "Names": [self.listed], "Labels": labels}])
                }
                "json" if *is_there => container(),
                _ => return (StatusCode::NOT_FOUND, Json(json!({"message": "No such container"}))).into_response(),
            };
            Json(answer).into_response()
        }
    }

    /// What is found of a container that a list names so, and what is renamed.
    async fn find(instance: InstanceId, listed: String) -> (Option<String>, Vec<String>) {
        let installation = InstallationId(Uuid::from_u128(1));
        let fake =
            Arc::new(Fake { instance, installation, listed, is_there: Mutex::default(), renamed: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Host { address: format!("tcp://{}", listener.local_addr().unwrap()), tls: None };
        let answering = Arc::clone(&fake);
        let router = Router::new().fallback(move |request: Request| async move { answering.answer(&request) });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        let settings = DockerSettings {
            installation,
            network_template: "{project}".parse().unwrap(),
            network_pool: None,
            extra_labels: Vec::new(),
            storage: StorageSettings {
                backend: StorageBackend::Volume,
                files: LoopSettings { directory: String::new(), image: String::new(), reserve: Reserve(0) },
            },
        };
        let engine = DockerEngine::new(host, &settings);
        let container = engine.container(instance).await.unwrap();
        serving.abort();
        let renamed = fake.renamed.lock().unwrap().clone();
        (container.and_then(|container| container.id), renamed)
    }

    #[tokio::test]
    async fn only_one_that_was_renamed_gets_its_name_back() {
        let instance = InstanceId(Uuid::from_u128(2));
        let found = Some("c0ffee".to_owned());
        // It was made after it had been asked for by its name.
        assert_eq!(find(instance, format!("/{instance}")).await, (found.clone(), Vec::new()));
        assert_eq!(find(instance, "/renamed".to_owned()).await, (found, vec![format!("name={instance}")]));
    }
}
