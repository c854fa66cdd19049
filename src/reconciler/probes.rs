//! Asks servers whether they answer, where the engine does not: by a process that stays in each container, so that a question is
//! a line to it and none of the engine's own. Whoever looks at an instance is told what was heard in this run of it as though
//! the engine had asked. It is remembered for as long as the process lives that reconciles; losing it costs a few questions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::JoinSet;

use super::Reconciler;
use crate::catalog::access::Access;
use crate::catalog::definition;
use crate::catalog::deployment::{Check, UNHEALTHY_AFTER};
use crate::domain::id::{InstanceId, ServiceId};
use crate::domain::observed::{ContainerStatus, Health, Observed};
use crate::domain::service::RunId;
use crate::engine::survey::{Activity, Sighting};
use crate::engine::{EngineError, Probe};

/// How long after an answer a server is asked again.
const INTERVAL: Duration = Duration::from_secs(6);
/// How long after one that did not come. A client waits 3 seconds for one as a rule, so with two of them it takes 14 seconds at
/// the most until a server that hangs does not count as healthy any more.
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Probes {
    subjects: Mutex<HashMap<InstanceId, Arc<Subject>>>,
    new: Mutex<Vec<Weak<Subject>>>,
    more: Notify,
}

/// An instance whose server is asked, for as long as its container runs.
struct Subject {
    instance: InstanceId,
    known: Mutex<Known>,
    probe: AsyncMutex<Option<Box<dyn Probe>>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    /// Whom it runs; None while it is the pool's.
    owner: Option<ServiceId>,
    /// The run that the rest is about.
    run: Option<RunId>,
    has_answered: bool,
    /// Questions that were left open in a row.
    failed: u32,
}

impl Probes {
    /// Has an instance's server asked, and `seen` tell what was heard of it. Where the engine asks, which it does in containers
    /// that an earlier version made, that is left to it.
    pub(super) fn see(&self, instance: InstanceId, owner: Option<ServiceId>, seen: &mut Observed) {
        let mut subjects = locked(&self.subjects);
        let is_unasked = seen
            .container
            .as_mut()
            .filter(|container| container.status == ContainerStatus::Running && container.health == Health::Starting);
        let Some(container) = is_unasked else {
            subjects.remove(&instance);
            return;
        };
        let subject = subjects.entry(instance).or_insert_with(|| {
            let known = Mutex::new(Known { owner, ..Known::default() });
            let subject = Subject { instance, known, probe: AsyncMutex::default() };
            let subject = Arc::new(subject);
            locked(&self.new).push(Arc::downgrade(&subject));
            self.more.notify_one();
            subject
        });
        let mut known = locked(&subject.known);
        if known.run != container.run {
            *known = Known { run: container.run.clone(), ..Known::default() };
        }
        known.owner = owner;
        (container.health, container.failed_checks) = (known.health(), known.failed);
    }

    /// Has a survey tell what was heard.
    pub(super) fn tell(&self, instances: &mut HashMap<InstanceId, Sighting>) {
        for (instance, subject) in &*locked(&self.subjects) {
            if let Some(container) = instances.get_mut(instance).and_then(|seen| seen.container.as_mut())
                && container.activity == Activity::Running
                && container.health == Health::Starting
            {
                container.health = locked(&subject.known).health();
            }
        }
    }

    /// Takes note that an instance's server has answered somebody else in that run: what was left open before counts no more.
    pub(super) fn note_answer(&self, instance: InstanceId, run: &RunId) {
        if let Some(subject) = locked(&self.subjects).get(&instance) {
            let mut known = locked(&subject.known);
            if known.run.as_ref() == Some(run) {
                known.hear(true);
            }
        }
    }

    pub(super) fn forget(&self, instance: InstanceId) {
        locked(&self.subjects).remove(&instance);
    }

    /// Those that have come since the last call; waits until there is one.
    async fn arrivals(&self) -> Vec<Weak<Subject>> {
        loop {
            let new = std::mem::take(&mut *locked(&self.new));
            if !new.is_empty() {
                return new;
            }
            self.more.notified().await;
        }
    }
}

impl Known {
    fn health(&self) -> Health {
        match self.failed {
            failed if failed >= UNHEALTHY_AFTER => Health::Unhealthy,
            _ if self.has_answered => Health::Healthy,
            _ => Health::Starting,
        }
    }

    /// Takes note of an answer, or of none.
    fn hear(&mut self, answers: bool) {
        self.has_answered |= answers;
        self.failed = if answers { 0 } else { self.failed.saturating_add(1) };
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reconciler {
    pub(super) async fn ask_servers(self: Arc<Self>) {
        // Nobody asks those of an earlier term. Each is seen anew.
        locked(&self.probes.subjects).clear();
        let mut askers = JoinSet::new();
        loop {
            tokio::select! {
                new = self.probes.arrivals() => for subject in new {
                    askers.spawn(Arc::clone(&self).ask_on(subject));
                },
                Some(_) = askers.join_next() => {}
            }
        }
    }

    /// Asks a service's a little later, for it may have just been started, which gives it time to come up. The pool's has answered
    /// already, and whoever takes it finds somebody there who asks.
    async fn ask_on(self: Arc<Self>, subject: Weak<Subject>) {
        let is_pools = subject.upgrade().is_some_and(|subject| locked(&subject.known).owner.is_none());
        let mut pause = if is_pools { Duration::ZERO } else { AGAIN };
        loop {
            tokio::time::sleep(pause).await;
            let Some(subject) = subject.upgrade() else { return };
            pause = self.ask(&subject).await;
        }
    }

    /// Asks a server, and notes what comes of it; tells when to ask again.
    async fn ask(&self, subject: &Subject) -> Duration {
        let asked = locked(&subject.known).run.clone();
        let answers = match self.question(subject).await {
            Ok(Some(answers)) => answers,
            Ok(None) => return INTERVAL,
            Err(EngineError::Unavailable(_)) => false,
            Err(error) => {
                tracing::debug!(instance = %subject.instance, error = ?error, "A server could not be asked");
                false
            }
        };
        // Of an engine that is away nobody knows what its servers do.
        if !answers && self.engine.ping().await.is_err() {
            return AGAIN;
        }
        let mut known = locked(&subject.known);
        tracing::trace!(instance = %subject.instance, answers, "A server was asked");
        if known.run == asked {
            let before = known.health();
            known.hear(answers);
            if known.health() != before {
                known.owner.into_iter().for_each(|service| self.inbox.wake(service));
            }
        }
        if answers { INTERVAL } else { AGAIN }
    }

    /// Whether a server answers; None where it is nobody's any more, or that can't be told.
    async fn question(&self, subject: &Subject) -> Result<Option<bool>, EngineError> {
        let mut probe = subject.probe.lock().await;
        if let Some(open) = probe.as_mut() {
            if let Ok(answers) = open.answers().await {
                return Ok(Some(answers));
            }
            // It has ended, as each does in time: that says nothing of the server.
            *probe = None;
        }
        let owner = locked(&subject.known).owner;
        let Some(check) = self.check_of(subject.instance, owner).await else { return Ok(None) };
        let open = probe.insert(self.instruments.probe(subject.instance, &check).await?);
        open.answers().await.map(Some)
    }

    /// What a server is asked by.
    async fn check_of(&self, instance: InstanceId, owner: Option<ServiceId>) -> Option<Check> {
        let (is_owned, check) = match owner {
            Some(owner) => {
                let service = self.store.service_get(owner).await.ok()?.filter(|service| service.instance == instance);
                match service {
                    Some(service) => (true, self.deployment(&service).await.ok().map(|made| made.health_check)),
                    None => (false, None),
                }
            }
            None => match self.store.pool_get(instance).await.ok()? {
                Some((member, sealed)) => {
                    let clear = self.sealer.open(ServiceId(instance.0), &sealed).ok()?;
                    let access = Access::from_bytes(&clear).ok()?;
                    let offer = definition(member.kind).offer.as_ref()?;
                    (true, Some((offer.deployment)(&member.wish(), &access, &self.settings.policy).health_check))
                }
                None => (false, None),
            },
        };
        if !is_owned {
            self.probes.forget(instance);
        }
        check
    }

    /// Whether the server of an instance answers now, where somebody is there to ask it at once.
    pub(super) async fn answers_at_once(&self, instance: InstanceId) -> bool {
        let Some(subject) = locked(&self.probes.subjects).get(&instance).map(Arc::clone) else { return false };
        let Ok(mut probe) = subject.probe.try_lock() else { return false };
        match probe.as_mut() {
            Some(open) => open.answers().await.unwrap_or(false),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::image::Image;
    use crate::domain::limits::Limits;
    use crate::domain::observed::{Container, Volume};

    fn instance() -> InstanceId {
        InstanceId(Uuid::from_u128(1))
    }

    /// What a look finds in a run of a container, in which the engine has found out that.
    fn look(probes: &Probes, run: &str, health: Health) -> (Health, u32) {
        let container = Container {
            status: ContainerStatus::Running,
            run: Some(RunId(run.to_owned())),
            health,
            failed_checks: 0,
            restarts: true,
            connected: true,
            published: Vec::new(),
            limits: Limits { memory_bytes: 0, memory_and_swap_bytes: 0, cpu_nanos: 0, pids: 0 },
            tier: None,
            build: None,
            image: Image { id: String::new(), digest: None },
        };
        let mut seen = Observed { container: Some(container), volume: Volume::Ours, image: None };
        probes.see(instance(), None, &mut seen);
        let container = seen.container.unwrap();
        (container.health, container.failed_checks)
    }

    fn hear(probes: &Probes, answers: bool) {
        locked(&locked(&probes.subjects)[&instance()].known).hear(answers);
    }

    #[test]
    fn a_look_tells_what_was_heard_in_its_run() {
        let probes = Probes::default();
        assert_eq!(look(&probes, "1", Health::Starting), (Health::Starting, 0));
        hear(&probes, true);
        assert_eq!(look(&probes, "1", Health::Starting), (Health::Healthy, 0));
        hear(&probes, false);
        assert_eq!(look(&probes, "1", Health::Starting), (Health::Healthy, 1), "once is no proof");
        hear(&probes, false);
        assert_eq!(look(&probes, "1", Health::Starting), (Health::Unhealthy, 2));
        assert_eq!(look(&probes, "2", Health::Starting), (Health::Starting, 0), "it is another run");
        hear(&probes, false);
        hear(&probes, false);
        hear(&probes, true);
        assert_eq!(look(&probes, "2", Health::Starting), (Health::Healthy, 0));
    }

    #[test]
    fn what_was_left_open_before_an_answer_counts_no_more() {
        let probes = Probes::default();
        look(&probes, "1", Health::Starting);
        hear(&probes, false);
        probes.note_answer(instance(), &RunId("1".to_owned()));
        hear(&probes, false);
        assert_eq!(look(&probes, "1", Health::Starting), (Health::Healthy, 1));
        hear(&probes, false);
        probes.note_answer(instance(), &RunId("0".to_owned()));
        assert_eq!(look(&probes, "1", Health::Starting), (Health::Unhealthy, 2));
    }

    #[test]
    fn where_the_engine_asks_nobody_else_does() {
        let probes = Probes::default();
        for health in [Health::Healthy, Health::Unhealthy] {
            look(&probes, "1", Health::Starting);
            assert_eq!(look(&probes, "1", health), (health, 0));
            assert!(locked(&probes.subjects).is_empty());
        }
    }
}
