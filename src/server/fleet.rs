//! The engines that the server works with.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::BoxError;
use crate::config::{NodeSpec, ServeArgs, TlsFiles};
use crate::domain::id::InstallationId;
use crate::engine::docker::{ClientTls, DockerEngine, DockerSettings, Host, LoopSettings, StorageSettings};
use crate::engine::timed::Timed;
use crate::engine::{EngineError, Fleet, Node};
use crate::store::{Store, StoreError};

/// The nodes that the operator names. Several are to be members of one Docker Swarm, as far as they answer.
pub async fn fleet(args: &ServeArgs, installation: InstallationId) -> Result<Fleet, BoxError> {
    let specs = args.nodes.specs(&args.docker_host)?;
    let settings = DockerSettings {
        installation,
        network_template: args.network_template.clone(),
        network_pool: args.network_pool,
        extra_labels: args.extra_labels.clone(),
        storage: StorageSettings {
            backend: args.storage_backend,
            files: LoopSettings {
                directory: args.storage_directory.clone(),
                image: args.storage_image.clone(),
                reserve: args.host_reserve,
            },
        },
    };
    let engines = DockerEngine::all(specs.iter().map(host).collect(), &settings, args.nodes.encrypt_networks);
    let nodes = specs.into_iter().zip(engines).map(|(spec, engine)| {
        let engine = Arc::new(engine);
        let NodeSpec { name, labels, capacity, .. } = spec;
        Node { labels, capacity, ..Node::new(name, Arc::new(Timed(Arc::clone(&engine))), engine) }
    });
    let fleet = Fleet::new(nodes);
    if fleet.nodes().len() > 1 {
        check_swarm(&fleet).await?;
    }
    Ok(fleet)
}

/// The nodes that are not named any more. What is on one waits for it, and shows that; backups of what was on it are seen to.
pub async fn unnamed(store: &dyn Store, fleet: &Fleet) -> Result<Vec<Node>, StoreError> {
    let known = store.node_list().await?.into_iter().map(|node| node.name);
    let promised = store.promised_list().await?.into_iter().map(|(name, _)| name);
    let names: BTreeSet<_> = known.chain(promised).filter(|name| !fleet.names(name)).collect();
    Ok(names.into_iter().map(Node::absent).collect())
}

fn host(spec: &NodeSpec) -> Host {
    let tls = spec.tls.clone().map(|TlsFiles { ca, certificate, key }| ClientTls { ca, certificate, key });
    Host { address: spec.endpoint.clone(), tls }
}

/// Without one there is no network that reaches over nodes, and a project's services would not find each other.
async fn check_swarm(fleet: &Fleet) -> Result<(), BoxError> {
    let described = fleet.nodes().map(async |node| (node, node.engine.describe().await));
    let mut clusters = Vec::new();
    for (node, described) in futures_util::future::join_all(described).await {
        match described.map(|described| described.swarm) {
            Ok(Some(membership)) => clusters.extend(membership.cluster.map(|cluster| (&node.name, cluster))),
            Ok(None) => {
                let name = &node.name;
                return Err(format!(
                    "The node {name} is in no Docker Swarm. Several nodes have to be joined to one (docker swarm init, \
                     docker swarm join), for its networks reach over all of them."
                )
                .into());
            }
            Err(EngineError::Refused { message, .. }) => {
                return Err(format!("The node {}: {message}", node.name).into());
            }
            Err(error) => tracing::warn!(node = %node.name, error = ?error, "The node does not answer"),
        }
    }
    match clusters.as_slice() {
        [(first, cluster), others @ ..] => match others.iter().find(|(_, other)| other != cluster) {
            Some((other, _)) => Err(format!("The nodes {first} and {other} are in different Docker Swarms.").into()),
            None => Ok(()),
        },
        [] => Ok(()),
    }
}
