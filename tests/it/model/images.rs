//! The image of what is made anew, and a kind that is offered no more.

use project_services::app::AppError;
use project_services::catalog::offering::{Images, Kinds};

use super::*;

impl World {
    fn image(&self) -> Option<String> {
        self.engine.image(self.instance())
    }

    fn befall(&self, what: &[Befalls]) {
        what.iter().for_each(|what| self.engine.befall(self.instance(), *what));
    }

    /// Looks, as time goes by, until it is in error.
    async fn failed(&mut self) -> Service {
        for _ in 0..50 {
            let again = self.look(Vec::new()).await.unwrap_or_default();
            advance(SignedDuration::try_from(again).unwrap() + SignedDuration::from_millis(1));
            let service = self.service().await;
            if service.state == ServiceState::Error {
                return service;
            }
        }
        panic!("it does not fail: {:?}", self.service().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_made_anew_is_made_from_the_image_that_has_served_until_another_is_asked_for() {
    use Befalls::{ImageMoved, ImageRemoved, Remove};
    let mut world = World::new(ServiceKind::Postgresql).await;
    world.settle().await;
    let served = world.image();
    let resized = Step::Resize(SizeTier::Standard, Apply::Now);
    for (befalls, step) in [
        (&[ImageMoved, Remove][..], None),
        (&[ImageRemoved, Remove], None),
        (&[ImageMoved, ImageRemoved], Some(resized)),
        (&[ImageRemoved], Some(Step::Act(ServiceAction::Repair))),
    ] {
        world.befall(befalls);
        if let Some(step) = step.clone() {
            world.take(step).await;
        }
        let service = world.settle().await;
        assert_eq!((service.state, world.image()), (ServiceState::Running, served.clone()), "{befalls:?} {step:?}");
        assert_eq!(service.evidence.image, served);
    }
    world.app.update_image(&world.viewer, world.id).await.unwrap();
    let service = world.settle().await;
    assert_eq!(service.state, ServiceState::Running);
    assert_ne!(world.image(), served, "what the name means by now");
    let newest = project_services::domain::image::Image {
        digest: world.image().map(|id| format!("redis@{id}")),
        id: world.image().unwrap(),
    };
    assert_eq!(service.evidence.served(), Some(newest));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_image_that_no_registry_has_is_missed_until_it_is_loaded_again_or_another_is_asked_for() {
    use Befalls::{ImageRemoved, Remove};
    for asks in [false, true] {
        let mut world = World::new(ServiceKind::Redis).await;
        world.engine.be_alone(true);
        world.engine.load(1);
        assert_eq!(world.settle().await.evidence.image_digest, None);
        let served = world.image();
        world.befall(&[ImageRemoved, Remove]);
        world.engine.load(2);
        let error = world.failed().await.error.unwrap();
        assert_eq!(error.code, ErrorCode::PullFailed);
        let told = format!("{}, is gone from the engine, and came from no registry", served.as_ref().unwrap());
        assert!(error.message.contains(&told) && error.message.contains("redis:7"), "{}", error.message);
        assert_eq!(world.image(), None, "no other takes its place");
        match asks {
            true => drop(world.app.update_image(&world.viewer, world.id).await.unwrap()),
            false => world.engine.load(1),
        }
        let service = world.settle().await;
        assert_eq!((service.state, service.error.as_ref()), (ServiceState::Running, None));
        assert_eq!(world.image() == served, !asks);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_a_kind_that_is_withdrawn_services_go_on_and_none_begins() {
    let mut world = World::new(ServiceKind::Redis).await;
    world.settle().await;
    let offering = Offering::new(Some(Kinds::parse("-REDIS").unwrap()), Images::default());
    world.app = World::app(&world.store, &world.sealer, &world.hints, world.directory.path(), offering);
    for action in [ServiceAction::Stop, ServiceAction::Start, ServiceAction::RotateCredentials, ServiceAction::Restart]
    {
        world.app.act(&world.viewer, world.id, action).await.unwrap();
        let service = world.settle().await;
        assert_eq!(service.state == ServiceState::Running, action != ServiceAction::Stop, "{action}");
    }
    world.app.resize(&world.viewer, world.id, SizeTier::Standard, Apply::Now).await.unwrap();
    let resized = world.settle().await;
    world.assert_sized(&resized);
    let refused = world.app.provision(&world.viewer, request(&world.project, ServiceKind::Redis)).await;
    let Err(AppError::BadInput { field: "kind", message }) = refused else { panic!("{refused:?}") };
    assert_eq!(message, "Redis is not offered here.");
    world.app.provision(&world.viewer, request(&world.project, ServiceKind::Postgresql)).await.unwrap();
}

/// Whoever has the credentials may use it from the moment that it answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn data_from_before_running_was_noted_outlives_an_image_whose_name_moved() {
    for calls in 0..10 {
        let mut faults = vec![Fault::None; calls];
        faults.push(Fault::CutOffAfter);
        let befalls = [Befalls::ImageMoved, Befalls::Crash].map(Step::Befall);
        run(ServiceKind::Redis, [vec![Step::Look(faults)], befalls.to_vec()].concat()).await;
    }
}
