//! Watches how full volumes are, where no file system sets them a limit, and has servers take no more writes in time.
//!
//! Each container that runs has a gauge, which is asked the sooner the less room there is. What it finds is noted; what
//! follows of that, the `rules` decide.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Reconciler;
use super::execute::Done;
use super::rules::Failure;
use crate::catalog::definition;
use crate::domain::event::NewEvent;
use crate::domain::id::ServiceId;
use crate::domain::observed::{ContainerStatus, Observed};
use crate::domain::service::{ErrorCode, Service};
use crate::domain::storage::{Closed, Fill, Storage};
use crate::engine::{EngineError, Gauge, Grown};
use crate::store::StoreError;

/// When a gauge is opened anew that has failed, such as one that somebody inside has ended.
const REOPENED: Duration = Duration::from_millis(500);
/// How often a measurement is written down that somebody else's write was ahead of.
const TRIES: u32 = 5;
/// After so many measurements that found no change it counts as at rest.
const AT_REST: u32 = 5;

/// The services whose container runs, by what was seen of them last.
#[derive(Default)]
pub(super) struct Watched {
    services: Mutex<HashMap<ServiceId, watch::Sender<Service>>>,
    /// What was measured first of those that do not serve yet. It is noted with that they do.
    first: Mutex<HashMap<ServiceId, Storage>>,
    new: Mutex<Vec<watch::Receiver<Service>>>,
    more: Notify,
}

impl Watched {
    /// Has a service watched for as long as its container runs.
    pub(super) fn see(&self, service: &Service, seen: &Observed) {
        let mut services = locked(&self.services);
        if seen.container.as_ref().is_none_or(|container| container.status != ContainerStatus::Running) {
            services.remove(&service.id);
            locked(&self.first).remove(&service.id);
            return;
        }
        let matters = |service: &Service| {
            let log = service.backup_plan.keeps_log();
            let serves = service.evidence.initialised;
            (service.instance, service.storage_limit_mib(), service.evidence.storage.clone(), log, serves)
        };
        if let Some(sender) = services.get(&service.id).filter(|sender| !sender.is_closed()) {
            sender.send_if_modified(|known| {
                let differs = matters(known) != matters(service);
                known.clone_from(service);
                differs
            });
            return;
        }
        let (sender, receiver) = watch::channel(service.clone());
        services.insert(service.id, sender);
        locked(&self.new).push(receiver);
        self.more.notify_one();
    }

    /// Adds to a service that begins to serve what was measured of it before.
    pub(super) fn add_first(&self, service: &mut Service) {
        let first = locked(&self.first).remove(&service.id);
        if let Some(first) = first.filter(|_| service.evidence.storage == Storage::default()) {
            service.evidence.storage = first;
        }
    }

    /// Whether a service is watched.
    pub(super) fn has(&self, service: ServiceId) -> bool {
        locked(&self.services).get(&service).is_some_and(|sender| !sender.is_closed())
    }

    /// Those that have come to run since the last call; waits until there is one.
    async fn arrivals(&self) -> Vec<watch::Receiver<Service>> {
        loop {
            let new = std::mem::take(&mut *locked(&self.new));
            if !new.is_empty() {
                return new;
            }
            self.more.notified().await;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of a volume from one measurement to the next.
#[derive(Default)]
struct Course {
    used: u64,
    unchanged: u32,
    /// What it held when its host came to have too little space.
    at_shortage: Option<u64>,
}

impl Course {
    /// Takes note of a measurement; tells by how much it has grown while its host had too little space.
    fn follow(&mut self, fill: &Fill, is_short: bool) -> u64 {
        self.unchanged = if fill.used == self.used { self.unchanged.saturating_add(1) } else { 0 };
        self.used = fill.used;
        self.at_shortage = is_short.then(|| self.at_shortage.unwrap_or(fill.used));
        self.at_shortage.map_or(0, |at| fill.used.saturating_sub(at))
    }
}

impl Reconciler {
    pub(super) async fn watch_storage(self: Arc<Self>) {
        let mut watchers = JoinSet::new();
        loop {
            tokio::select! {
                new = self.watched.arrivals() => for service in new {
                    watchers.spawn(Arc::clone(&self).keep_log(service.clone()));
                    watchers.spawn(Arc::clone(&self).watch_volume(service));
                },
                Some(_) = watchers.join_next() => {}
            }
        }
    }

    /// Measures a service's volume for as long as its container runs.
    async fn watch_volume(self: Arc<Self>, mut seen: watch::Receiver<Service>) {
        let mut gauge: Option<Box<dyn Gauge>> = None;
        let mut course = Course::default();
        let mut instance = seen.borrow().instance;
        loop {
            let service = seen.borrow_and_update().clone();
            if std::mem::replace(&mut instance, service.instance) != instance {
                (gauge, course) = (None, Course::default());
            }
            let asked = Instant::now();
            let pause = match self.measure(&mut gauge, &service).await {
                Ok(fill) => self.follow(&service, &mut course, &fill, asked.elapsed()).await,
                Err(error) => {
                    tracing::debug!(service = %service.id, error = ?error, "A volume could not be measured");
                    gauge = None;
                    self.presence.there().await;
                    // What takes too long may still be at it.
                    REOPENED.max(asked.elapsed())
                }
            };
            // What was noted comes back by the next look, and so does another size.
            if let Ok(Err(_)) = timeout(pause, seen.changed()).await {
                return;
            }
        }
    }

    async fn measure(&self, gauge: &mut Option<Box<dyn Gauge>>, service: &Service) -> Result<Fill, EngineError> {
        let Some(offer) = &definition(service.wish.kind).offer else {
            return Err(EngineError::Unknown("nobody knows where its data is".into()));
        };
        let open = match gauge {
            Some(open) => open,
            None => gauge.insert(self.instruments.gauge(service.instance, offer.data_path).await?),
        };
        open.fill().await
    }

    /// Notes what a measurement has come to; tells when to measure again.
    async fn follow(&self, service: &Service, course: &mut Course, fill: &Fill, took: Duration) -> Duration {
        let reserve = self.settings.host_reserve;
        let grown = course.follow(fill, fill.is_short(reserve));
        let judge =
            |service: &Service| service.evidence.storage.judged(fill, service.storage_limit_mib(), reserve, grown);
        let (was, is) = (&service.evidence.storage, judge(service));
        let is_first = !service.evidence.initialised && *was == Storage::default();
        if is_first && is == (Storage { used_mib: is.used_mib, ..Storage::default() }) {
            locked(&self.watched.first).insert(service.id, is);
        } else if is != *was
            && let Err(error) = self.note_storage(service.id, judge).await
        {
            tracing::warn!(service = %service.id, error = ?error, "How full a volume is could not be noted");
        }
        let is_at_rest = course.unchanged >= AT_REST;
        let pause = fill.pause(service.storage_limit_mib(), reserve, took, is_at_rest);
        tracing::trace!(service = %service.id, fill.used, ?took, ?pause, "A volume was measured");
        pause
    }

    async fn note_storage(&self, id: ServiceId, judge: impl Fn(&Service) -> Storage) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let Some(before) = self.store.service_get(id).await? else { return Ok(()) };
            let mut after = before.clone();
            after.evidence.storage = judge(&before);
            let (was, is) = (&before.evidence.storage, &after.evidence.storage);
            if was == is || !before.understood {
                return Ok(());
            }
            let now = (self.clock)();
            let is_warned = is.warned > was.warned && is.full.is_none();
            let event = is_warned.then(|| NewEvent::storage_filling(&before, is.warned, now));
            match self.observe(&before, &after, event.as_ref(), now).await {
                Err(StoreError::Stale) => {}
                noted => {
                    noted?;
                    if event.is_some() {
                        self.hints.project_changed(&before.project);
                    }
                    self.inbox.wake(id);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Gives its volume the room of its size. What can't be done while it runs is done when it is started; whether it was then, the
    /// next look finds out here.
    pub(super) async fn grow_storage(&self, service: &Service) -> Done {
        let size_mib = service.wish.tier.storage_mib;
        let mut storage = service.evidence.storage.clone();
        match self.engine.grow(service.instance, size_mib).await {
            Ok(Grown::To(mib)) => (storage.own_mib, storage.grows_after) = (Some(mib), None),
            Ok(Grown::AtStart) if storage.grows_after.is_none() => {
                storage.grows_after = service.evidence.ready_run.clone()
            }
            Ok(Grown::AtStart) => {}
            Err(error) => return error.into(),
        }
        if storage == service.evidence.storage || (storage.grows_after.is_none() && storage.is_cramped(size_mib)) {
            let message = "Its volume could not be made larger.".to_owned();
            return Done::Failed(Failure { code: ErrorCode::EngineRefused, message });
        }
        let mut after = service.clone();
        after.evidence.storage = storage;
        self.observe(service, &after, None, (self.clock)()).await.map_or_else(Done::StoreFailed, |_| Done::Tried)
    }

    /// Has the server inside take no more writes, and notes that this run of it does not.
    pub(super) async fn forbid_writes(&self, service: &Service) -> Done {
        let Some(guard) = definition(service.wish.kind).offer.as_ref().and_then(|offer| offer.can.storage_guard) else {
            return Done::Tried;
        };
        let complaint = "Its storage is full, and the server inside takes writes all the same";
        if let Err(done) = self.tell(service, guard.forbid, complaint).await {
            return done;
        }
        let at_mib = service.evidence.storage.used_mib.unwrap_or_default();
        let run = service.evidence.ready_run.clone();
        self.note_closed(service, Some(Closed { run, at_mib })).await
    }

    /// Has the server inside take writes again.
    pub(super) async fn allow_writes(&self, service: &Service) -> Done {
        if let Some(guard) = definition(service.wish.kind).offer.as_ref().and_then(|offer| offer.can.storage_guard)
            && let Err(done) = self.tell(service, guard.allow, "The server inside takes no writes yet").await
        {
            return done;
        }
        self.note_closed(service, None).await
    }

    async fn note_closed(&self, service: &Service, closed: Option<Closed>) -> Done {
        let mut after = service.clone();
        after.evidence.storage.closed = closed;
        self.observe(service, &after, None, (self.clock)()).await.map_or_else(Done::StoreFailed, |_| Done::Tried)
    }
}
