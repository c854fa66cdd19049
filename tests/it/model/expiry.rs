//! Services that expire.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use project_services::domain::id::InstanceId;
use project_services::domain::lifecycle::ServiceAction;
use project_services::domain::lifetime::Lifetime;
use project_services::domain::node::NodeName;
use project_services::domain::service::{Service, ServiceKind, ServiceState};
use project_services::domain::term::ReplicaId;
use project_services::store::{Guard, Write};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{CLOCK, World, clock};

/// One that runs, and is to be destroyed in so many minutes.
async fn expiring(minutes: i64) -> (World, Timestamp) {
    let mut world = World::new(ServiceKind::Redis).await;
    assert_eq!(world.settle().await.state, ServiceState::Running);
    CLOCK.set(Timestamp::from_second(Timestamp::now().as_second()).unwrap());
    let at = clock() + SignedDuration::from_mins(minutes);
    world.app.set_expiry(&world.viewer, world.id, Some(at)).await.unwrap();
    (world, at)
}

impl World {
    /// The messages of events since the expiry was set, in a round of a reconciler that knows nothing of the last one.
    async fn round(&mut self, at: Timestamp) -> Vec<String> {
        CLOCK.set(at);
        self.reconciler = Self::reconciler(&self.store, &self.engine, &self.sealer, &self.hints, self.directory.path());
        let before = self.events().await.len();
        self.reconciler.end_expired().await;
        let events = self.events().await.split_off(before);
        assert!(events.iter().all(|event| event.actor.is_none()));
        events.into_iter().map(|event| event.message).collect()
    }

    async fn set(&self, lifetime: Lifetime) {
        let before = self.service().await;
        let after = Service { lifetime, ..before.clone() };
        let write = Write::new(Guard::Revision(&before), clock());
        self.store.commit(Write { service: Some(&after), ..write }).await.unwrap();
    }
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_expiry_is_told_of_once_an_hour_before_and_ends_the_service_when_it_comes() {
    let (mut world, at) = expiring(120).await;
    assert_eq!(world.round(clock()).await, [""; 0]);
    assert_eq!(world.round(at - HOUR - SECOND).await, [""; 0]);
    let near = format!("redis is about to expire: it is destroyed at {at}, with its data, unless that is changed.");
    assert_eq!(world.round(at - HOUR).await, [near]);
    for told in [at - HOUR, at - HOUR + SECOND, at - SECOND] {
        assert_eq!(world.round(told).await, [""; 0], "it was told of");
        assert_eq!(world.service().await.state, ServiceState::Running);
    }
    assert_eq!(world.round(at).await, ["redis has expired, and is removed with its data."]);
    assert!(world.reconciler.inbox().woken().await.contains(&world.id));
    assert_eq!(world.service().await.state, ServiceState::Destroying);
    assert_eq!(world.round(at + SECOND).await, [""; 0]);
    world.engine.may_remove_data(true);
    assert_eq!(world.settle().await.state, ServiceState::Destroyed);
    assert_eq!(world.engine.state(InstanceId::first_of(world.id)), (None, false));
    assert_eq!(world.round(at + HOUR).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_expiry_within_the_hour_is_told_of_as_it_is_set() {
    let (mut world, at) = expiring(30).await;
    let told = format!("redis is to be destroyed at {at}, with its data.");
    assert_eq!(world.events().await.last().unwrap().message, told);
    assert_eq!(world.round(clock()).await, [""; 0]);
    assert_eq!(world.round(at - SECOND).await, [""; 0]);
    // Put off, it is told of anew.
    let later = at + HOUR + HOUR;
    world.app.set_expiry(&world.viewer, world.id, Some(later)).await.unwrap();
    assert_eq!(world.round(later - SECOND).await.len(), 1);
    assert_eq!(world.service().await.state, ServiceState::Running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_expired_while_no_server_ran_goes_at_once_and_whatever_it_did() {
    for pending in [false, true] {
        let (mut world, at) = expiring(120).await;
        if pending {
            world.app.act(&world.viewer, world.id, ServiceAction::RotateCredentials).await.unwrap();
        }
        assert_eq!(world.round(at + HOUR).await, ["redis has expired, and is removed with its data."]);
        world.engine.may_remove_data(true);
        assert_eq!(world.settle().await.state, ServiceState::Destroyed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_protected_or_does_not_expire_any_more_stays() {
    let (mut world, at) = expiring(120).await;
    world.set(Lifetime { protected: true, expires_at: Some(at), told: false }).await;
    assert_eq!(world.round(at + HOUR).await, [""; 0]);
    world.set(Lifetime { protected: false, expires_at: Some(at), told: true }).await;
    world.app.set_expiry(&world.viewer, world.id, None).await.unwrap();
    assert_eq!(world.round(at + HOUR).await, [""; 0]);
    assert_eq!(world.service().await.state, ServiceState::Running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reconciler_whose_term_is_over_ends_nothing() {
    let (mut world, at) = expiring(120).await;
    let free = world.store.term_current(&NodeName::default()).await.unwrap();
    assert!(world.store.term_take(&free, ReplicaId(Uuid::now_v7())).await.unwrap().is_some());
    assert_eq!(world.round(at - SECOND).await, [""; 0]);
    assert_eq!(world.round(at).await, [""; 0]);
    assert_eq!(world.service().await.state, ServiceState::Running);
}

/// On one thread, where all tasks have the test's clock. Nothing runs, so that nothing is asked of a server inside.
#[tokio::test]
async fn a_server_that_runs_ends_what_expires() {
    let (mut world, at) = expiring(120).await;
    world.app.act(&world.viewer, world.id, ServiceAction::Stop).await.unwrap();
    assert_eq!(world.settle().await.state, ServiceState::Stopped);
    CLOCK.set(at + SECOND);
    world.engine.may_remove_data(true);
    let shutdown = CancellationToken::new();
    let reconciler =
        World::reconciler(&world.store, &world.engine, &world.sealer, &world.hints, world.directory.path());
    let running = tokio::spawn(Arc::new(reconciler).run(shutdown.clone()));
    crate::harness::eventually("the end of what has expired", async || {
        (world.service().await.state == ServiceState::Destroyed).then_some(())
    })
    .await;
    shutdown.cancel();
    running.await.unwrap();
}
