//! What is kept in mind of each service that is not DESTROYED, so that a tick reads only what has changed: a few words, from
//! which a survey of the node tells whether it is as it should be. It decides nothing; losing it costs that all is read again.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use tokio::sync::{Mutex, MutexGuard};

use super::login;
use crate::domain::id::{InstanceId, ProjectId, ServiceId};
use crate::domain::node::NodeName;
use crate::domain::observed::Health;
use crate::domain::service::{Power, Service, ServiceKind, ServiceState};
use crate::engine::survey::{Activity, Sighting};
use crate::store::{Store, StoreError};

/// How many rows are read at once, so that they are never all in memory. The system's allocator keeps for each thread that
/// reads what it once took.
const BATCH: usize = 50;

#[derive(Default)]
pub(super) struct Roster(Mutex<Known>);

/// The services, and whose turn was last.
#[derive(Default)]
pub(super) struct Known {
    pub services: BTreeMap<ServiceId, Entry>,
    last: Option<ServiceId>,
}

pub(super) struct Entry {
    revision: i64,
    pub instance: InstanceId,
    pub project: ProjectId,
    pub kind: ServiceKind,
    rest: Rest,
    pub is_running: bool,
    /// Whether it is tried whether its user is let in.
    pub is_checked: bool,
    /// Whether it shows that the engine is away.
    pub minds_silence: bool,
}

/// What a service is to be seen as, where nothing is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Something is under way or amiss.
    None,
    Runs,
    Stopped {
        has_data: bool,
    },
}

impl Roster {
    /// Reads what has changed since it was last read, and gives the services that did.
    pub(super) async fn refresh(&self, store: &dyn Store, node: &NodeName) -> Result<Vec<ServiceId>, StoreError> {
        let mut known = self.0.lock().await;
        let revisions = store.service_list_revisions(node).await?;
        let is_known = |(id, revision): &&(ServiceId, i64)| {
            known.services.get(id).is_some_and(|entry| entry.revision == *revision)
        };
        let changed: Vec<_> = revisions.iter().filter(|of| !is_known(of)).map(|(id, _)| *id).collect();
        if revisions.len() - changed.len() < known.services.len() {
            let there: HashSet<_> = revisions.iter().filter(is_known).map(|(id, _)| *id).collect();
            known.services.retain(|id, _| there.contains(id));
        }
        for ids in changed.chunks(BATCH) {
            let services = store.service_list_active_of(ids).await?;
            known.services.extend(services.iter().map(|service| (service.id, Entry::of(service))));
        }
        Ok(changed)
    }

    pub(super) async fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().await
    }
}

impl Known {
    /// The next `number` of services in the order of ids, which begins anew at its end.
    pub(super) fn turn(&mut self, number: usize) -> HashSet<ServiceId> {
        let behind = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = self.services.range((behind, Bound::Unbounded)).chain(&self.services).map(|(id, _)| *id);
        let turn: Vec<_> = ids.take(number.min(self.services.len())).collect();
        self.last = turn.last().copied().or(self.last);
        turn.into_iter().collect()
    }
}

impl Entry {
    fn of(service: &Service) -> Self {
        let is_amiss = service.operation.is_some() || service.error.is_some() || service.is_outgrown();
        let rest = match (service.wish.power, service.state) {
            _ if is_amiss => Rest::None,
            (Power::On, ServiceState::Running) => Rest::Runs,
            (Power::Off, ServiceState::Stopped) => Rest::Stopped { has_data: service.evidence.initialised },
            _ => Rest::None,
        };
        let minds_silence = match service.state {
            ServiceState::Stopped => service.operation.is_some(),
            state => state != ServiceState::Error,
        };
        Self {
            revision: service.revision,
            instance: service.instance,
            project: service.project.clone(),
            kind: service.wish.kind,
            rest,
            is_running: service.state == ServiceState::Running,
            is_checked: login::is_checked(service),
            minds_silence,
        }
    }

    /// Whether nothing is under way or amiss, by what its row says.
    pub(super) fn is_at_rest(&self) -> bool {
        self.rest != Rest::None
    }

    /// The same, and what is seen of it is what its row says. A task that could go on shows as the operation.
    pub(super) fn is_settled(&self, seen: Option<&Sighting>) -> bool {
        let volume = seen.is_some_and(|seen| seen.volume);
        let container = seen.and_then(|seen| seen.container.as_ref());
        match self.rest {
            Rest::None => false,
            Rest::Runs => {
                let well = container.is_some_and(|container| {
                    container.activity == Activity::Running
                        && container.health == Health::Healthy
                        && container.connected
                });
                well && volume
            }
            Rest::Stopped { has_data } => {
                let at_rest = container.is_none_or(|container| container.activity == Activity::AtRest);
                at_rest && (volume || !has_data)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::tests::service;
    use crate::domain::service::{Operation, OperationKind};
    use crate::engine::survey::Glimpse;

    fn well() -> (Service, Sighting) {
        let mut service = service(ServiceState::Running, Power::On);
        (service.operation, service.error) = (None, None);
        service.evidence.initialised = true;
        let container = Glimpse {
            activity: Activity::Running,
            health: Health::Healthy,
            connected: true,
            build: None,
            image: String::new(),
        };
        (service, Sighting { container: Some(container), volume: true })
    }

    /// Whether what is well counts as settled after a change.
    fn settled(change: impl FnOnce(&mut Service, &mut Sighting)) -> bool {
        let (mut service, mut seen) = well();
        change(&mut service, &mut seen);
        Entry::of(&service).is_settled(Some(&seen))
    }

    fn container(seen: &mut Sighting) -> &mut Glimpse {
        seen.container.as_mut().unwrap()
    }

    #[test]
    fn what_runs_is_settled_while_nothing_of_it_is_missing() {
        assert!(settled(|_, _| {}));
        assert!(!Entry::of(&well().0).is_settled(None));
        assert!(!settled(|_, seen| seen.container = None));
        assert!(!settled(|_, seen| seen.volume = false));
        assert!(!settled(|_, seen| container(seen).activity = Activity::AtRest));
        assert!(!settled(|_, seen| container(seen).activity = Activity::Between));
        assert!(!settled(|_, seen| container(seen).health = Health::Unhealthy));
        assert!(!settled(|_, seen| container(seen).health = Health::Starting));
        assert!(!settled(|_, seen| container(seen).connected = false));
    }

    #[test]
    fn what_is_stopped_is_settled_while_nothing_runs_and_its_data_is_there() {
        let stop = |service: &mut Service| (service.state, service.wish.power) = (ServiceState::Stopped, Power::Off);
        assert!(!settled(|service, _| stop(service)), "its container runs");
        let at_rest = |service: &mut Service, seen: &mut Sighting| {
            stop(service);
            container(seen).activity = Activity::AtRest;
        };
        assert!(settled(at_rest));
        assert!(settled(|service, seen| {
            stop(service);
            seen.container = None;
        }));
        let without_volume = |initialised| {
            settled(|service, seen| {
                at_rest(service, seen);
                (seen.volume, service.evidence.initialised) = (false, initialised);
            })
        };
        assert!(!without_volume(true));
        assert!(without_volume(false));
    }

    #[test]
    fn what_is_on_its_way_is_never_settled() {
        assert!(!settled(|service, _| service.wish.power = Power::Off));
        assert!(!settled(|service, _| service.state = ServiceState::Error));
        assert!(!settled(|service, _| {
            service.operation = Some(Operation::queued(OperationKind::Recover, service.created_at));
        }));
    }

    #[test]
    fn each_has_its_turn_whoever_comes_and_goes() {
        let id = |n| ServiceId(uuid::Uuid::from_u128(n));
        let mut known = Known::default();
        assert!(known.turn(3).is_empty());
        let (service, _) = well();
        known.services = (1..=5).map(|n| (id(n), Entry::of(&service))).collect();
        assert_eq!(known.turn(2), HashSet::from([id(1), id(2)]));
        assert!(known.turn(0).is_empty());
        known.services.remove(&id(2));
        known.services.insert(id(6), Entry::of(&service));
        assert_eq!(known.turn(2), HashSet::from([id(3), id(4)]));
        assert_eq!(known.turn(3), HashSet::from([id(5), id(6), id(1)]));
        assert_eq!(known.turn(9).len(), 5);
    }
}
