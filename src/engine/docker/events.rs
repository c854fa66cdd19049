//! What happens on the engine, as it happens.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters as query;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::{QUICK, failure, labels, within};
use crate::domain::id::InstanceId;
use crate::engine::Result;

/// The instances that something happens to, of the containers that the filter `ours` finds. It ends with the connection.
pub(super) async fn watch(
    client: &Docker,
    ours: HashMap<String, Vec<String>>,
) -> Result<BoxStream<'static, InstanceId>> {
    within(QUICK, client.ping()).await.map_err(failure)?;
    // Health checks flood the stream with exec events, hence the names.
    let of_containers =
        ["create", "start", "die", "oom", "stop", "pause", "unpause", "rename", "destroy", "update", "health_status"];
    let events = |types: &[&str], names: &[&str], mut filters: HashMap<String, Vec<String>>| {
        let list = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        filters.insert("type".to_owned(), list(types));
        filters.insert("event".to_owned(), list(names));
        client.events(Some(query::EventsOptions { filters: Some(filters), ..Default::default() }))
    };
    let containers = events(&["container"], &of_containers, ours);
    // The events of networks and volumes don't bear their labels.
    let others = events(&["network", "volume"], &["connect", "disconnect", "destroy"], HashMap::new());
    let client = client.clone();
    let stream = futures_util::stream::select(containers, others)
        .take_while(|event| std::future::ready(event.is_ok()))
        .filter_map(move |event| {
            let client = client.clone();
            async move { concerned(&client, event.ok()?).await }
        });
    Ok(stream.boxed())
}

/// The instance that an event concerns.
async fn concerned(client: &Docker, event: EventMessage) -> Option<InstanceId> {
    let actor = event.actor?;
    match event.typ? {
        EventMessageTypeEnum::CONTAINER => labels::instance(&actor.attributes?),
        EventMessageTypeEnum::VOLUME => actor.id?.parse().ok(),
        EventMessageTypeEnum::NETWORK => {
            let mut attributes = actor.attributes?;
            // Podman has the container's name where Docker has the network's.
            let container = attributes.remove("container").or_else(|| attributes.remove("name"))?;
            let inspect = client.inspect_container(&container, None::<query::InspectContainerOptions>);
            labels::instance(&within(QUICK, inspect).await.ok()?.config?.labels?)
        }
        _ => None,
    }
}
