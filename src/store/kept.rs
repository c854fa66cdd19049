//! Services as lists have read them, so that the next list reads of each only whether it is another one by now: to decode a
//! row takes longer than to find it.
//!
//! A row's revision is another one after each write, so what was read under one is what stands there. Nobody is told anything of
//! a row that is not there: what is listed, and in which order, is always the database's word.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::types::{Id, Instant};
use crate::domain::id::ServiceId;
use crate::domain::service::Service;

/// How many are kept before those that did not come again meanwhile are forgotten; there are up to twice as many, of 2 KiB each.
const MOST: usize = 1000;

/// What tells a service's row from what it was before: its id, its revision, and when that was written. The time is for a
/// database that was put back, whose revisions come again.
pub type Version = (Id, i64, Instant);

#[derive(Default)]
pub struct KeptServices(Mutex<Generations>);

/// What is found in the old generation moves to the young one; once that is full, it becomes the old one.
#[derive(Default)]
struct Generations {
    young: HashMap<ServiceId, Arc<Service>>,
    old: HashMap<ServiceId, Arc<Service>>,
}

impl KeptServices {
    /// The services of these versions, in their order; None where one of them is not kept.
    pub fn find(&self, versions: &[Version]) -> Option<Vec<Arc<Service>>> {
        let mut generations = self.generations();
        versions.iter().map(|version| generations.find(*version)).collect()
    }

    pub fn keep(&self, services: &[Arc<Service>]) {
        let mut generations = self.generations();
        // What is not understood may not be what stands there.
        for service in services.iter().filter(|service| service.understood) {
            generations.keep(Arc::clone(service));
        }
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn find(&mut self, (id, revision, updated_at): Version) -> Option<Arc<Service>> {
        let id = ServiceId(id.0);
        let is_it =
            |service: &Arc<Service>| (service.revision, Instant::from(service.updated_at)) == (revision, updated_at);
        if let Some(service) = self.young.get(&id) {
            return is_it(service).then(|| Arc::clone(service));
        }
        let service = self.old.remove(&id).filter(is_it)?;
        self.keep(Arc::clone(&service));
        Some(service)
    }

    fn keep(&mut self, service: Arc<Service>) {
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(service.id, service);
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::domain::service::{Address, Power, SizeTier, TierSpec, Wish};

    fn service() -> Arc<Service> {
        let tier = TierSpec { tier: SizeTier::Dev, memory_mib: 256, cpu_millis: 500, storage_mib: 1024 };
        let kind = "REDIS".parse().unwrap();
        let wish = Wish { kind, version: "7".to_owned(), tier, power: Power::On };
        let address = Address { hostname: "db".to_owned(), published: None };
        let names = ("demo".parse().unwrap(), "db".parse().unwrap());
        Arc::new(Service::accepted(ServiceId(uuid::Uuid::now_v7()), names, wish, address, Timestamp::UNIX_EPOCH))
    }

    fn version(service: &Service) -> Version {
        (Id(service.id.0), service.revision, service.updated_at.into())
    }

    #[test]
    fn only_what_was_read_in_that_version_is_found() {
        let kept = KeptServices::default();
        let (first, second) = (service(), service());
        kept.keep(&[Arc::clone(&first), Arc::clone(&second)]);
        let found = kept.find(&[version(&second), version(&first)]);
        assert_eq!(found, Some(vec![Arc::clone(&second), Arc::clone(&first)]));
        assert_eq!(kept.find(&[]), Some(vec![]));
        let written = Service { revision: 2, ..(*second).clone() };
        let put_back = Service { updated_at: second.updated_at + SignedDuration::from_secs(1), ..(*second).clone() };
        for other in [&written, &put_back, &*service()] {
            assert_eq!(kept.find(&[version(&first), version(other)]), None);
        }
        let unclear = Service { understood: false, ..written };
        kept.keep(&[Arc::new(unclear.clone())]);
        assert_eq!(kept.find(&[version(&unclear)]), None);
    }

    #[test]
    fn what_does_not_come_again_is_forgotten() {
        let kept = KeptServices::default();
        let first = service();
        kept.keep(&[Arc::clone(&first)]);
        let others: Vec<_> = (0..3 * MOST).map(|_| service()).collect();
        for other in &others {
            kept.keep(&[Arc::clone(other)]);
            assert!(kept.find(&[version(&first)]).is_some());
        }
        let left = others.iter().filter(|other| kept.find(&[version(other)]).is_some()).count();
        assert!((MOST / 2..=2 * MOST).contains(&left), "{left}");
    }
}
