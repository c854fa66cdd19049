//! The reconciler against a model of an engine that fails before and after each effect, is cut off in the middle, and
//! whose containers meet with everything that can befall one; with user actions and clock steps in between.
//!
//! Whatever the order: never two containers for a service, no volume with data removed unless its service is to be
//! destroyed, no data replaced by an empty volume or given to another image than has served it, and always a password in the
//! store that the server takes. Once faults
//! stop, everything settles where its user sent it, a settled plan is empty, and the events replay to the state.

mod backup_policies;
mod engine;
mod expiry;
mod faults;
mod images;
mod passwords;
mod presence;
mod writes;

use std::cell::Cell;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use project_services::app::provision::ProvisionRequest;
use project_services::app::{App, Terms};
use project_services::catalog;
use project_services::catalog::access::Access;
use project_services::catalog::offering::Offering;
use project_services::catalog::policy::Policy;
use project_services::crypto::Sealer;
use project_services::domain::event::ServiceEvent;
use project_services::domain::id::{InstallationId, InstanceId, ProjectId, ServiceId};
use project_services::domain::lifecycle::{Apply, ServiceAction};
use project_services::domain::network::NetworkTemplate;
use project_services::domain::node::NodeName;
use project_services::domain::permission::{Principal, Projects};
use project_services::domain::service::{ErrorCode, Power, Service, ServiceKind, ServiceState, SizeTier};
use project_services::domain::storage::Reserve;
use project_services::domain::term::ReplicaId;
use project_services::engine::{Engine, Node};
use project_services::hints::Hints;
use project_services::reconciler::{
    BackupSettings, Besides, EventRetention, Memory, OwnBackups, Reconciler, ReconcilerSettings,
};
use project_services::store::{self, Store};
use proptest::prelude::*;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::chain::Logs;
use crate::harness::repository;
use crate::instruments::{FakeInstruments, fleet};
use engine::FakeEngine;
use faults::{Befalls, Fault};
use passwords::digest;

thread_local! {
    static CLOCK: Cell<Timestamp> = const { Cell::new(Timestamp::UNIX_EPOCH) };
}

fn clock() -> Timestamp {
    CLOCK.get()
}

fn advance(by: SignedDuration) {
    CLOCK.set(CLOCK.get() + by);
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Act(ServiceAction),
    /// A look at the service, during which the engine's calls fail in this order.
    Look(Vec<Fault>),
    Befall(Befalls),
    Resize(SizeTier, Apply),
    Wait(u32),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::Unavailable),
        1 => Just(Fault::LostBefore),
        1 => Just(Fault::LostAfter),
        1 => Just(Fault::Refused),
        1 => Just(Fault::CutOffBefore),
        1 => Just(Fault::CutOffAfter),
    ];
    let action = prop_oneof![
        4 => Just(ServiceAction::Start),
        4 => Just(ServiceAction::Stop),
        3 => Just(ServiceAction::Restart),
        2 => Just(ServiceAction::Repair),
        4 => Just(ServiceAction::RotateCredentials),
        1 => Just(ServiceAction::Destroy),
    ];
    prop_oneof![
        3 => action.prop_map(Step::Act),
        8 => prop::collection::vec(fault, 0..8).prop_map(Step::Look),
        4 => prop::sample::select(Befalls::ALL).prop_map(Step::Befall),
        2 => (prop::sample::select(&SIZES), prop::sample::select(Apply::ALL)).prop_map(|(size, apply)| Step::Resize(size, apply)),
        2 => (0u32..400).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

const SIZES: [SizeTier; 2] = [SizeTier::Dev, SizeTier::Standard];

fn request(project: &ProjectId, kind: ServiceKind) -> ProvisionRequest {
    ProvisionRequest {
        project: project.clone(),
        kind,
        tier: SizeTier::Dev,
        version: None,
        name: None,
        protected: false,
        expires_at: None,
        idempotency_key: None,
        origin: None,
    }
}

struct World {
    app: App,
    store: Arc<dyn Store>,
    engine: Arc<FakeEngine>,
    sealer: Arc<Sealer>,
    hints: Arc<Hints>,
    viewer: Principal,
    project: ProjectId,
    id: ServiceId,
    memory: Option<Memory>,
    reconciler: Reconciler,
    directory: tempfile::TempDir,
}

impl World {
    /// A world with so many services that run, of which the first is this one's.
    async fn with_running(number: u32) -> (Self, Vec<ServiceId>) {
        let mut world = Self::new(ServiceKind::Redis).await;
        let first = world.id;
        let mut ids = vec![first];
        for _ in 1..number {
            let request = request(&world.project, ServiceKind::Redis);
            ids.push(world.app.provision(&world.viewer, request).await.unwrap().service.id);
        }
        for &id in &ids {
            (world.id, world.memory) = (id, None);
            world.settle().await;
            world.engine.heal(InstanceId::first_of(id));
        }
        (world.id, world.memory) = (first, None);
        world.reconciler.inbox().woken().await;
        (world, ids)
    }

    async fn new(kind: ServiceKind) -> Self {
        CLOCK.set(Timestamp::now());
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("model.db").display());
        let store = store::connect(&url.parse().unwrap(), None).await.unwrap();
        let sealer: Arc<Sealer> = Arc::new("a:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".parse().unwrap());
        let hints = Arc::new(Hints::default());
        let app = Self::app(&store, &sealer, &hints, directory.path(), Offering::default());
        let viewer = Principal {
            subject: "model".to_owned(),
            projects: Projects::All,
            permissions: vec!["project:settings".to_owned(), "project:delete".to_owned()],
            expires_at: Timestamp::MAX,
        };
        let project: ProjectId = "model".parse().unwrap();
        let id = app.provision(&viewer, request(&project, kind)).await.unwrap().service.id;
        let engine = Arc::new(FakeEngine::default());
        let reconciler = Self::reconciler(&store, &engine, &sealer, &hints, directory.path());
        Self { app, store, engine, sealer, hints, viewer, project, id, memory: None, reconciler, directory }
    }

    fn app(
        store: &Arc<dyn Store>,
        sealer: &Arc<Sealer>,
        hints: &Arc<Hints>,
        directory: &Path,
        offering: Offering,
    ) -> App {
        let terms = Terms {
            networks: NetworkTemplate::default(),
            publishing: None,
            services_per_project: MANY,
            keep_replaced: SignedDuration::from_hours(1),
            backup_policy: None,
            recovery_days: 7,
            repository: repository(directory),
            policy: Policy::default(),
            offering,
            placement: Default::default(),
            has_pool: true,
        };
        let instruments = Arc::<FakeInstruments>::default();
        App::new(Arc::clone(store), Arc::clone(sealer), Arc::clone(hints), fleet(instruments), terms)
    }

    fn reconciler(
        store: &Arc<dyn Store>,
        engine: &Arc<FakeEngine>,
        sealer: &Arc<Sealer>,
        hints: &Arc<Hints>,
        directory: &Path,
    ) -> Reconciler {
        let settings = ReconcilerSettings {
            concurrency: 1,
            interval: Duration::from_secs(30),
            orphan_grace: SignedDuration::from_secs(600),
            keep_replaced: SignedDuration::from_hours(1),
            publishing: None,
            retention: EventRetention { newest: 1_000, age: SignedDuration::from_hours(24) },
            host_reserve: Reserve(500),
            builds_images: false,
            policy: Policy::default(),
            offering: Offering::default(),
            capacity: Default::default(),
            has_neighbours: false,
            keeps_house: true,
            pool: Vec::new(),
            backups: BackupSettings {
                repository: repository(directory),
                installation: InstallationId(Uuid::nil()),
                own: OwnBackups { directory: directory.to_owned(), interval: Duration::from_secs(3600) },
                recovery_days: 7,
            },
        };
        let engine: Arc<dyn Engine> = Arc::clone(engine) as Arc<dyn Engine>;
        let instruments = Arc::new(FakeInstruments::default());
        let node = Node::new(NodeName::default(), engine, instruments);
        Reconciler::new(Arc::clone(store), node, Arc::clone(sealer), Arc::clone(hints), settings).with_clock(clock)
    }

    fn instance(&self) -> InstanceId {
        InstanceId::first_of(self.id)
    }

    async fn service(&self) -> Service {
        self.store.service_get(self.id).await.unwrap().unwrap()
    }

    /// Looks once; a cut-off is the process's end, with all that it remembered.
    async fn look(&mut self, faults: Vec<Fault>) -> Option<Duration> {
        self.engine.script(faults);
        let interrupt = Notify::new();
        let memory = self.memory.take();
        tokio::select! {
            looked = self.reconciler.look(self.id, memory, &interrupt) => {
                self.memory = looked.memory;
                looked.again
            }
            () = self.engine.cut_off() => {
                self.reconciler = Self::reconciler(&self.store, &self.engine, &self.sealer, &self.hints, self.directory.path());
                None
            }
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Act(action) => {
                self.engine.may_remove_data(action == ServiceAction::Destroy);
                // What the state does not allow is refused; that is the table's test, not this one's.
                let _ = self.app.act(&self.viewer, self.id, action).await;
            }
            Step::Look(faults) => {
                self.look(faults).await;
            }
            Step::Resize(size, apply) => {
                let _ = self.app.resize(&self.viewer, self.id, size, apply).await;
            }
            Step::Befall(what) => self.engine.befall(self.instance(), what),
            Step::Wait(seconds) => advance(SignedDuration::from_secs(i64::from(seconds))),
            Step::Restart => {
                self.memory = None;
                self.reconciler =
                    Self::reconciler(&self.store, &self.engine, &self.sealer, &self.hints, self.directory.path());
            }
        }
    }

    /// Looks, as time goes by, until a look changes nothing and none is asked for.
    async fn settle(&mut self) -> Service {
        for _ in 0..200 {
            let before = self.service().await;
            let again = self.look(Vec::new()).await;
            let after = self.service().await;
            match again {
                Some(pause) => advance(SignedDuration::try_from(pause).unwrap() + SignedDuration::from_millis(1)),
                None if after == before => return after,
                None => {}
            }
        }
        panic!("it does not settle: {:?}, {:?}", self.service().await, self.engine);
    }

    /// None once the service is destroyed.
    async fn access(&self) -> Option<Access> {
        let sealed = self.store.sealed_get(self.id).await.unwrap()?;
        Some(Access::from_bytes(&self.sealer.open(self.id, &sealed).unwrap()).unwrap())
    }

    /// It has the limits of its size, but for what PostgreSQL takes only with a restart; and Redis goes by it.
    fn assert_sized(&self, service: &Service) {
        let (limits, maxmemory) = self.engine.size(self.instance()).unwrap();
        let wanted = catalog::limits(&service.wish).unwrap();
        if service.wish.kind == ServiceKind::Redis {
            assert_eq!(limits, wanted, "{service:?}");
            assert_eq!(maxmemory, Some(format!("{}mb", service.wish.tier.memory_mib * 5 / 8)), "{service:?}");
        } else {
            assert!(
                limits == wanted || service.is_outgrown() && limits.memory_bytes > wanted.memory_bytes,
                "{service:?}"
            );
        }
    }

    /// At no point may nobody know what lets a client in. Redis takes what a reveal shows at any time; once nothing is
    /// under way, it takes nothing else.
    async fn assert_admitted(&self) {
        let Some(access) = self.access().await else { return };
        let (kept, live) = self.engine.passwords(self.instance());
        let service = self.service().await;
        let rotating = !self.store.task_list_open(self.id).await.unwrap().is_empty();
        if service.wish.kind == ServiceKind::Redis {
            let known: Vec<_> = access.passwords().map(digest).collect();
            for taken in [live, kept.map(|kept| kept.digests())].into_iter().flatten() {
                assert!(taken.contains(&known[0]), "what is revealed works: {taken:?}, {known:?}");
                assert!(rotating || taken == known, "nothing else works: {taken:?}, {known:?}");
            }
        } else if let Some(kept) = kept {
            assert!(access.passwords().any(|password| kept.is_verified(password)));
        }
    }

    async fn events(&self) -> Vec<ServiceEvent> {
        let mut events = Vec::new();
        loop {
            let last = events.last().map_or(0, |event: &ServiceEvent| event.sequence);
            let page = self.store.event_list_since(&self.project, last, 100).await.unwrap();
            if page.is_empty() {
                return events;
            }
            events.extend(page);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        Logs::of_sqlite(&self.directory.path().join("model.db")).check();
    }
}

async fn run(kind: ServiceKind, steps: Vec<Step>) {
    let mut world = World::new(kind).await;
    let mut served = None;
    for step in steps {
        world.take(step).await;
        world.engine.assert_sound();
        let image = world.service().await.evidence.image;
        assert!(served.is_none() || image == served, "what has served is not forgotten: {served:?}, {image:?}");
        served = image;
        // PostgreSQL's verifiers take too long to be checked at each step.
        if kind == ServiceKind::Redis {
            world.assert_admitted().await;
        }
    }
    world.assert_admitted().await;
    world.engine.heal(world.instance());
    let service = world.settle().await;
    world.engine.assert_sound();

    assert!(service.operation.is_none(), "no passing state: {service:?}");
    let lost = world.engine.has_lost_data(world.instance());
    let engine = world.engine.state(world.instance());
    match (service.wish.power, service.state) {
        (Power::Deleted, ServiceState::Destroyed) => {
            assert_eq!(engine, (None, false), "nothing is left");
            assert!(world.store.sealed_get(world.id).await.unwrap().is_none());
        }
        (_, ServiceState::Error) => {
            assert!(lost, "only lost data is not repaired: {service:?}");
            assert_eq!(service.error.unwrap().code, ErrorCode::VolumeLost);
        }
        (Power::On, ServiceState::Running) => {
            assert_eq!(engine, (Some(true), true));
            assert!(world.engine.is_connected(world.instance()));
            assert_eq!(world.engine.image(world.instance()), service.evidence.image);
            world.assert_sized(&service);
            assert!(world.store.task_list_open(world.id).await.unwrap().is_empty());
            assert!(service.error.is_none(), "{service:?}");
            world.assert_admitted().await;
            assert_eq!(world.access().await.unwrap().passwords().count(), 1, "what works is what is revealed");
        }
        (Power::Off, ServiceState::Stopped) => assert_ne!(engine.0, Some(true)),
        other => panic!("desired and state differ: {other:?}"),
    }

    let events = world.events().await;
    let last = events.last().unwrap();
    assert_eq!((last.state, &last.operation), (service.state, &service.operation));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reconciler_whose_term_is_over_makes_nothing() {
    for calls in 0..12 {
        let mut world = World::new(ServiceKind::Redis).await;
        let mut faults = vec![Fault::None; calls];
        faults.push(Fault::CutOffBefore);
        world.look(faults).await;
        let made = |(container, volume): (Option<bool>, bool)| (container.is_some(), volume);
        let before = made(world.engine.state(world.instance()));
        let free = world.store.term_current(&NodeName::default()).await.unwrap();
        assert!(world.store.term_take(&free, ReplicaId(Uuid::now_v7())).await.unwrap().is_some());
        world.look(Vec::new()).await;
        assert_eq!(made(world.engine.state(world.instance())), before, "after {calls} calls");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whatever_befalls_a_first_start_that_was_cut_off_it_arrives() {
    for calls in 0..10 {
        for &what in Befalls::ALL {
            let mut faults = vec![Fault::None; calls];
            faults.push(Fault::CutOffAfter);
            run(ServiceKind::Redis, vec![Step::Look(faults), Step::Befall(what)]).await;
        }
    }
}

/// It may have been told of its new size, and nobody knows, when it is to have the old one again.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_size_that_is_taken_back_while_the_server_inside_is_told_leaves_it_as_it_was() {
    for calls in 0..8 {
        for cut in [Fault::CutOffBefore, Fault::CutOffAfter, Fault::LostAfter] {
            let settle = vec![Step::Look(Vec::new()); 4];
            let mut faults = vec![Fault::None; calls];
            faults.push(cut);
            let there = Step::Resize(SizeTier::Standard, Apply::Now);
            let back = Step::Resize(SizeTier::Dev, Apply::Now);
            run(ServiceKind::Redis, [settle, vec![there, Step::Look(faults), back]].concat()).await;
        }
    }
}

/// What its server is to go by is put into the volume at a start, and somebody else may start it before.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_of_another_size_that_somebody_starts_goes_by_that_size() {
    for calls in 0..6 {
        for cut in [Fault::CutOffAfter, Fault::LostAfter] {
            let mut faults = vec![Fault::None; calls];
            faults.push(cut);
            let resize = Step::Resize(SizeTier::Standard, Apply::Now);
            let settle = vec![Step::Look(Vec::new()); 4];
            let made_anew =
                vec![resize, Step::Befall(Befalls::Remove), Step::Look(faults), Step::Befall(Befalls::Start)];
            run(ServiceKind::Redis, [settle, made_anew].concat()).await;
        }
    }
}

/// How many services a node has, to tell what costs by node from what costs by service.
const MANY: u32 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_tick_costs_by_node_and_wakes_only_what_is_not_as_it_should_be() {
    let (world, ids) = World::with_running(MANY).await;

    let before = world.engine.calls();
    world.reconciler.wake_differing(Besides::Nothing).await;
    assert_eq!(world.engine.calls() - before, 1, "one survey, whatever the number of services");
    assert_eq!(world.reconciler.inbox().woken().now_or_never(), None, "nobody is woken");

    let seen = [Befalls::Kill, Befalls::Crash, Befalls::Stop, Befalls::Remove, Befalls::Pause, Befalls::Sick];
    let seen = [&seen[..], &[Befalls::Disconnected]].concat();
    for (&id, &what) in ids.iter().zip(&seen) {
        world.engine.befall(InstanceId::first_of(id), what);
    }
    let stopped = *ids.last().unwrap();
    world.app.act(&world.viewer, stopped, ServiceAction::Stop).await.unwrap();
    world.reconciler.inbox().woken().await;
    world.reconciler.wake_differing(Besides::Nothing).await;
    let expected: HashSet<_> = ids[..seen.len()].iter().copied().chain([stopped]).collect();
    assert_eq!(world.reconciler.inbox().woken().await, expected, "what something has befallen, and what is on its way");

    world.engine.script(vec![Fault::Unavailable]);
    world.reconciler.wake_differing(Besides::Nothing).await;
    assert_eq!(world.reconciler.inbox().woken().await, HashSet::from([stopped]), "rows tell what is on its way");

    let mut in_turn = HashSet::new();
    for _ in 0..10 {
        let before = world.engine.calls();
        world.reconciler.wake_differing(Besides::Turn).await;
        assert_eq!(world.engine.calls() - before, 1);
        let woken = world.reconciler.inbox().woken().await;
        assert!(woken.difference(&expected).count() <= ids.len() / 10);
        in_turn.extend(woken);
    }
    assert_eq!(in_turn.len(), ids.len(), "in ten ticks each has its turn");
    world.reconciler.wake_differing(Besides::Running).await;
    assert_eq!(world.reconciler.inbox().woken().await.len(), ids.len(), "what happened to one that runs may be over");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_happens_it_arrives_where_its_user_sent_it(
        kind in prop::sample::select(&[ServiceKind::Postgresql, ServiceKind::Redis]),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(run(kind, steps));
    }
}
