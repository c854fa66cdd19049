//! An engine that goes away and comes back, and many services.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::harness::eventually;

/// Enough that one question for all is told from one for each.
const SEVERAL: u32 = 12;

impl World {
    async fn all_are(&self, ids: &[ServiceId], state: ServiceState, code: Option<ErrorCode>) -> Option<()> {
        let services = self.store.service_list_of(ids).await.unwrap();
        let is_it =
            |service: &Service| service.state == state && service.error.as_ref().map(|error| error.code) == code;
        (services.len() == ids.len() && services.iter().all(is_it)).then_some(())
    }
}

// On one thread, for the clock is each thread's own.
#[tokio::test]
async fn an_engine_that_is_away_is_asked_for_all_at_once_and_each_service_shows_it_once() {
    let (world, ids) = World::with_running(SEVERAL).await;
    let reconciler =
        World::reconciler(&world.store, &world.engine, &world.sealer, &world.hints, world.directory.path());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(Arc::new(reconciler).run(shutdown.clone()));
    let begun = world.engine.calls();
    eventually("a look at each", async || (world.engine.calls() - begun > SEVERAL).then_some(())).await;

    world.engine.leave(true);
    let watches = world.engine.watches();
    let asked = async || (world.engine.watches() - watches >= 2).then_some(());
    eventually("it to be missed", asked).await;
    let wake = || ids.iter().for_each(|id| world.hints.wake(*id));
    assert!(world.all_are(&ids, ServiceState::Running, None).await.is_some(), "not at once");
    advance(SignedDuration::from_secs(11));
    wake();
    let unavailable = Some(ErrorCode::EngineUnavailable);
    eventually("each to show it", async || world.all_are(&ids, ServiceState::Error, unavailable).await).await;

    let (events, calls, watches) = (world.events().await.len(), world.engine.calls(), world.engine.watches());
    eventually("some questions", async || {
        wake();
        (world.engine.watches() - watches >= 4).then_some(())
    })
    .await;
    assert_eq!(world.engine.calls() - calls, world.engine.watches() - watches, "it is asked for all at once");
    assert_eq!(world.events().await.len(), events, "what is shown is written once");

    world.engine.leave(false);
    eventually("each to run", async || world.all_are(&ids, ServiceState::Running, None).await).await;
    shutdown.cancel();
    running.await.unwrap();
}
