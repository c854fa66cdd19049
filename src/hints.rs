//! Wakes those who wait for news: subscribers of a project, and the reconciler. It carries hints, never facts: who is
//! woken looks for itself, and a hint that is lost or doubled costs time only.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, watch};

use crate::domain::id::{ProjectId, ServiceId};

/// Says "look" to subscribers and to the reconciler. Its memory is bounded by the projects that are watched and the
/// services that wait for a look.
#[derive(Default)]
pub struct Hints {
    projects: Mutex<HashMap<ProjectId, watch::Sender<u64>>>,
    services: Mutex<HashSet<ServiceId>>,
    woken: Notify,
    backups: Notify,
    database: Notify,
    pool: Notify,
    missed: Notify,
}

impl Hints {
    /// Says that the project's log has grown. Call it after the commit.
    pub fn project_changed(&self, project: &ProjectId) {
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = projects.get(project) {
            sender.send_modify(|count| *count = count.wrapping_add(1));
            if sender.is_closed() {
                projects.remove(project);
            }
        }
    }

    /// Says that hints may have been missed: any project's log may have grown, and any service may have to be looked at.
    pub fn all_changed(&self) {
        self.missed.notify_one();
        let projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in projects.values() {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Returns when that was said since the last call. For one caller at a time.
    pub async fn missed(&self) {
        self.missed.notified().await;
    }

    /// A receiver that changes whenever the project may have news. Subscribe before you read.
    pub fn subscribe(&self, project: &ProjectId) -> watch::Receiver<u64> {
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        projects.retain(|_, sender| !sender.is_closed());
        projects.entry(project.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Asks the reconciler to look at a service.
    pub fn wake(&self, service: ServiceId) {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).insert(service);
        self.woken.notify_one();
    }

    /// Asks for a look at the backups.
    pub fn ask_for_backups(&self) {
        self.backups.notify_one();
    }

    /// Returns when a look at the backups was asked for since the last call. For one caller at a time.
    pub async fn backup_asked_for(&self) {
        self.backups.notified().await;
    }

    /// Says that something was written which a lost machine must not take along. Call it after the commit.
    pub fn ask_for_snapshot(&self) {
        self.database.notify_one();
    }

    /// Returns when that was said since the last call. For one caller at a time.
    pub async fn snapshot_asked_for(&self) {
        self.database.notified().await;
    }

    /// Says that an instance of the pool was taken. Call it after the commit.
    pub fn ask_for_pool(&self) {
        self.pool.notify_one();
    }

    /// Returns when that was said since the last call. For one caller at a time.
    pub async fn pool_asked_for(&self) {
        self.pool.notified().await;
    }

    /// The services that a look was asked for since the last call; waits until there is one. For one caller at a time.
    pub async fn woken(&self) -> HashSet<ServiceId> {
        loop {
            let services = std::mem::take(&mut *self.services.lock().unwrap_or_else(PoisonError::into_inner));
            if !services.is_empty() {
                return services;
            }
            self.woken.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hint_before_the_wait_is_not_lost_and_many_are_one() {
        let hints = Hints::default();
        let service = ServiceId(uuid::Uuid::from_u128(1));
        hints.wake(service);
        hints.wake(service);
        assert_eq!(hints.woken().await, HashSet::from([service]));
    }

    #[tokio::test]
    async fn subscribers_hear_of_their_project_only() {
        let hints = Hints::default();
        let (demo, other) = ("demo".parse().unwrap(), "other".parse().unwrap());
        let receiver = hints.subscribe(&demo);
        hints.project_changed(&other);
        assert!(!receiver.has_changed().unwrap());
        hints.project_changed(&demo);
        assert!(receiver.has_changed().unwrap());
    }
}
