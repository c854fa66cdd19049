//! What a provisioning costs in transactions, each of which waits for the disk, and what is seen of it all the same.

use std::time::Duration;

use futures_util::future::{join_all, select_all};
use project_services::domain::event::ServiceEvent;
use project_services::domain::service::{OperationPhase, ServiceKind, ServiceState};
use project_services::store::Page;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::faults::Fault;
use super::{World, request};

/// More calls to the engine than a provisioning takes.
const CALLS: usize = 30;

async fn events(world: &World) -> Vec<ServiceEvent> {
    let all = Page { after: None, before: None, limit: 100, from_end: false };
    world.store.event_list_of_service(world.id, all).await.unwrap().rows
}

fn phases(events: &[ServiceEvent]) -> Vec<Option<OperationPhase>> {
    events.iter().map(|event| event.operation.as_ref().map(|operation| operation.phase)).collect()
}

#[tokio::test]
async fn phases_that_pass_within_moments_share_a_commit_and_each_has_its_event() {
    let mut world = World::new(ServiceKind::Redis).await;
    world.settle().await;
    let before = world.store.commit_count();
    world.id =
        world.app.provision(&world.viewer, request(&world.project, ServiceKind::Redis)).await.unwrap().service.id;
    world.memory = None;
    world.settle().await;
    let commits = world.store.commit_count() - before;
    let (service, events) = (world.service().await, events(&world).await);
    assert_eq!((service.state, commits), (ServiceState::Running, 3), "asked for, begun, and there");
    use OperationPhase::{CreatingContainer, CreatingVolume, Queued, Starting, WaitingForReady};
    let on_its_way = [Queued, CreatingVolume, CreatingContainer, Starting, WaitingForReady].map(Some);
    assert_eq!(phases(&events), [&on_its_way[..], &[None]].concat());
    let of = |number: fn(&ServiceEvent) -> i64| events.iter().map(number).collect::<Vec<_>>();
    let first = events[0].sequence;
    assert_eq!(of(|event| event.sequence), (first..first + 6).collect::<Vec<_>>());
    assert_eq!(of(|event| event.revision.unwrap()), (1..=6).collect::<Vec<_>>());
    assert_eq!(service.revision, 6);
}

/// Of worlds in each of which another call is never answered, one has to show the phase while it is so.
#[tokio::test]
async fn a_phase_that_lasts_is_shown_while_it_does() {
    let shown = async |phase: OperationPhase| {
        let worlds = join_all((0..CALLS).map(async |_| World::new(ServiceKind::Redis).await)).await;
        let hung = worlds.into_iter().zip(0..).map(|(world, n)| {
            Box::pin(async move {
                world.engine.script([vec![Fault::None; n], vec![Fault::CutOffBefore]].concat());
                let interrupt = Notify::new();
                let looking = world.reconciler.look(world.id, None, &interrupt);
                let showing = async {
                    while world.service().await.operation.is_none_or(|operation| operation.phase != phase) {
                        sleep(Duration::from_millis(20)).await;
                    }
                };
                tokio::select! {
                    _ = looking => std::future::pending().await,
                    () = showing => events(&world).await,
                }
            })
        });
        let (events, ..) = timeout(Duration::from_secs(60), select_all(hung)).await.expect("it is shown");
        assert_eq!(phases(&events).last(), Some(&Some(phase)));
    };
    shown(OperationPhase::CreatingContainer).await;
    shown(OperationPhase::Starting).await;
}

#[tokio::test]
async fn what_was_refused_shows_its_phase() {
    let mut shown = Vec::new();
    for n in 0..CALLS {
        let mut world = World::new(ServiceKind::Redis).await;
        world.look([vec![Fault::None; n], vec![Fault::Refused]].concat()).await;
        let phase = world.service().await.operation.map(|operation| operation.phase);
        assert_eq!(phases(&events(&world).await).last(), Some(&phase), "{n}");
        shown.push(phase);
    }
    assert_eq!(shown.last(), Some(&None), "so many calls do");
    for phase in [OperationPhase::CreatingVolume, OperationPhase::CreatingContainer, OperationPhase::Starting] {
        assert!(shown.contains(&Some(phase)), "{phase}: {shown:?}");
    }
}
