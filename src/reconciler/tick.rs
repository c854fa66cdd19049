//! The tick, which makes up for hints that never came. One survey of the node tells of all services, so that a tick costs by
//! node and not by service. What a survey does not tell, such as how often a container was started, a look at each service
//! does now and then.

use std::sync::Arc;

use super::Reconciler;
use crate::domain::observed::Health;
use crate::domain::service::{Power, Service, ServiceState};
use crate::engine::survey::{Activity, Sighting};

/// Every tenth tick each service is looked at, whatever the survey shows.
const WHOLE: u32 = 10;

impl Reconciler {
    pub(super) async fn tick(self: Arc<Self>) {
        let mut interval = self.interval();
        for number in (0..WHOLE).cycle() {
            interval.tick().await;
            if number == 0 {
                self.wake_all().await;
            } else {
                self.wake_differing().await;
            }
        }
    }

    pub(super) async fn wake_all(&self) {
        self.wake(&self.active().await);
    }

    /// Wakes the services with something under way or amiss, and those that a survey shows to be otherwise than their rows
    /// say. Where the engine tells nothing all are woken: what that means for each, its look finds out.
    pub async fn wake_differing(&self) {
        // Rows come first: what is done in between is seen by the survey at worst, and then a look was in vain.
        let mut services = self.active().await;
        match self.engine.survey().await {
            Ok(survey) => {
                services.retain(|service| !is_settled(service, survey.instances.get(&service.instance)));
            }
            Err(error) => tracing::debug!(error = ?error, "The engine could not be surveyed"),
        }
        tracing::debug!(differing = services.len(), "Surveyed the engine");
        self.wake(&services);
    }

    pub(super) async fn active(&self) -> Vec<Service> {
        self.store.service_list_active().await.unwrap_or_else(|error| {
            tracing::warn!(error = ?error, "The services could not be listed; the next tick tries again");
            Vec::new()
        })
    }

    fn wake(&self, services: &[Service]) {
        services.iter().for_each(|service| self.hints.wake(service.id));
    }
}

/// Whether nothing is under way for a service, and what is seen of it is what its row says. A task that could go on shows as
/// the operation.
fn is_settled(service: &Service, seen: Option<&Sighting>) -> bool {
    if service.operation.is_some() || service.error.is_some() || service.is_outgrown() {
        return false;
    }
    let volume = seen.is_some_and(|seen| seen.volume);
    let container = seen.and_then(|seen| seen.container.as_ref());
    match (service.wish.power, service.state) {
        (Power::On, ServiceState::Running) => {
            let well = container.is_some_and(|container| {
                container.activity == Activity::Running && container.health == Health::Healthy && container.connected
            });
            well && volume
        }
        (Power::Off, ServiceState::Stopped) => {
            let at_rest = container.is_none_or(|container| container.activity == Activity::AtRest);
            at_rest && (volume || !service.evidence.initialised)
        }
        _ => false,
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
        is_settled(&service, Some(&seen))
    }

    fn container(seen: &mut Sighting) -> &mut Glimpse {
        seen.container.as_mut().unwrap()
    }

    #[test]
    fn what_runs_is_settled_while_nothing_of_it_is_missing() {
        assert!(settled(|_, _| {}));
        assert!(!is_settled(&well().0, None));
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
}
