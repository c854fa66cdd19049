//! What a provisioning costs in transactions, each of which waits for the disk.

use project_services::domain::service::{ServiceKind, ServiceState};
use project_services::store::Page;

use super::{World, request};

#[tokio::test]
async fn a_provisioning_commits_once_for_each_of_its_events() {
    let mut world = World::new(ServiceKind::Redis).await;
    world.settle().await;
    let before = world.store.commit_count();
    world.id =
        world.app.provision(&world.viewer, request(&world.project, ServiceKind::Redis)).await.unwrap().service.id;
    world.memory = None;
    assert_eq!(world.store.commit_count() - before, 1);
    world.settle().await;
    assert_eq!(world.service().await.state, ServiceState::Running);
    let all = Page { after: None, before: None, limit: 100, from_end: false };
    let events = world.store.event_list_of_service(world.id, all).await.unwrap().rows;
    let messages: Vec<_> = events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(world.store.commit_count() - before, u64::try_from(events.len()).unwrap(), "{messages:?}");
}
