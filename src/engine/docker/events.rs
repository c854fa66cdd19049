//! What happens on the engine, as it happens.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters as query;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::{QUICK, failure, found, labels, within};
use crate::domain::id::InstanceId;
use crate::engine::{Happening, Result};

/// What happens to the containers that the filter `ours` finds, and to networks and volumes. It ends with the connection.
pub(super) async fn watch(
    client: &Docker,
    ours: HashMap<String, Vec<String>>,
) -> Result<BoxStream<'static, Happening>> {
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
    // The events of networks and volumes don't bear their labels. Of what a prune removes, some engines tell no more than
    // that there was one.
    let others = events(&["container", "network", "volume"], &["connect", "disconnect", "prune"], HashMap::new());
    let volumes = events(&["volume"], &["destroy"], HashMap::new());
    let others = futures_util::stream::select(others, volumes);
    let client = client.clone();
    let stream = futures_util::stream::select(containers, others)
        .take_while(|event| std::future::ready(event.is_ok()))
        .filter_map(move |event| {
            let client = client.clone();
            async move { concerned(&client, event.ok()?).await }
        });
    Ok(stream.boxed())
}

/// Signals by which servers are told something, and don't end: SIGHUP, SIGUSR1, SIGUSR2 and SIGWINCH of Linux.
const HARMLESS: [&str; 4] = ["1", "10", "12", "28"];

/// Ends once an instance's container is sent a signal to end, as it is by whoever stops or removes it.
pub(super) async fn told_to_end(client: &Docker, instance: InstanceId) {
    let filter = |(key, value): (&str, String)| (key.to_owned(), vec![value]);
    let filters = [("container", instance.to_string()), ("event", "kill".to_owned())].into_iter().map(filter).collect();
    let mut events = client.events(Some(query::EventsOptions { filters: Some(filters), ..Default::default() }));
    while let Some(Ok(event)) = events.next().await {
        let signal = event.actor.and_then(|actor| actor.attributes?.remove("signal"));
        if signal.is_none_or(|signal| !HARMLESS.contains(&signal.as_str())) {
            return;
        }
    }
    // The connection has ended, which tells nothing of the container.
    std::future::pending().await
}

/// What an event concerns; None where that is nothing of ours.
async fn concerned(client: &Docker, event: EventMessage) -> Option<Happening> {
    if event.action.as_deref() == Some("prune") {
        return Some(Happening::ToSome);
    }
    let actor = event.actor?;
    let instance = match event.typ? {
        EventMessageTypeEnum::CONTAINER => labels::instance(&actor.attributes?),
        EventMessageTypeEnum::VOLUME => actor.id?.parse().ok(),
        EventMessageTypeEnum::NETWORK => {
            let mut attributes = actor.attributes?;
            // Podman has the container's name where Docker has the network's.
            let container = attributes.remove("container").or_else(|| attributes.remove("name"));
            let Some(container) = container else { return Some(Happening::ToSome) };
            let inspect = client.inspect_container(&container, None::<query::InspectContainerOptions>);
            // One that is gone had an event of its own.
            let Ok(inspected) = found(within(QUICK, inspect).await) else { return Some(Happening::ToSome) };
            labels::instance(&inspected?.config?.labels?)
        }
        _ => None,
    };
    instance.map(Happening::To)
}
