//! Wakes those who wait for news: subscribers of a project, and reconcilers. It carries hints, never facts: who is
//! woken looks for itself, and a hint that is lost or doubled costs time only.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Notify, watch};

use crate::domain::id::{ProjectId, ServiceId};

/// Says "look" to subscribers and to reconcilers. Its memory is bounded by the projects that are watched and the services that
/// wait for a look.
#[derive(Default)]
pub struct Hints {
    projects: Mutex<HashMap<ProjectId, watch::Sender<u64>>>,
    inboxes: Mutex<Vec<Weak<Inbox>>>,
}

/// What one reconciler is told, from when it asks for this on. Each of its calls is for one caller at a time.
#[derive(Default)]
pub struct Inbox {
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
        let mut projects = lock(&self.projects);
        if let Some(sender) = projects.get(project) {
            sender.send_modify(|count| *count = count.wrapping_add(1));
            if sender.is_closed() {
                projects.remove(project);
            }
        }
    }

    /// Says that hints may have been missed: any project's log may have grown, and any service may have to be looked at.
    pub fn all_changed(&self) {
        self.tell(|inbox| inbox.missed.notify_one());
        for sender in lock(&self.projects).values() {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// A receiver that changes whenever the project may have news. Subscribe before you read.
    pub fn subscribe(&self, project: &ProjectId) -> watch::Receiver<u64> {
        let mut projects = lock(&self.projects);
        projects.retain(|_, sender| !sender.is_closed());
        projects.entry(project.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// What a reconciler is told from now on.
    pub fn inbox(&self) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::default());
        let mut inboxes = lock(&self.inboxes);
        inboxes.retain(|inbox| inbox.strong_count() > 0);
        inboxes.push(Arc::downgrade(&inbox));
        inbox
    }

    /// Asks for a look at a service.
    pub fn wake(&self, service: ServiceId) {
        self.tell(|inbox| inbox.wake(service));
    }

    /// Asks for a look at the backups.
    pub fn ask_for_backups(&self) {
        self.tell(|inbox| inbox.backups.notify_one());
    }

    /// Says that something was written which a lost machine must not take along. Call it after the commit.
    pub fn ask_for_snapshot(&self) {
        self.tell(|inbox| inbox.database.notify_one());
    }

    /// Says that an instance of the pool was taken. Call it after the commit.
    pub fn ask_for_pool(&self) {
        self.tell(|inbox| inbox.pool.notify_one());
    }

    fn tell(&self, what: impl Fn(&Inbox)) {
        lock(&self.inboxes).iter().filter_map(Weak::upgrade).for_each(|inbox| what(&inbox));
    }
}

impl Inbox {
    /// Asks for a look at a service, of the one reconciler whose inbox this is.
    pub fn wake(&self, service: ServiceId) {
        lock(&self.services).insert(service);
        self.woken.notify_one();
    }

    /// The services that a look was asked for since the last call; waits until there is one.
    pub async fn woken(&self) -> HashSet<ServiceId> {
        loop {
            let services = std::mem::take(&mut *lock(&self.services));
            if !services.is_empty() {
                return services;
            }
            self.woken.notified().await;
        }
    }

    /// Returns when hints may have been missed since the last call.
    pub async fn missed(&self) {
        self.missed.notified().await;
    }

    /// Returns when a look at the backups was asked for since the last call.
    pub async fn backup_asked_for(&self) {
        self.backups.notified().await;
    }

    /// Returns when something was written since the last call which a lost machine must not take along.
    pub async fn snapshot_asked_for(&self) {
        self.database.notified().await;
    }

    /// Returns when an instance of the pool was taken since the last call.
    pub async fn pool_asked_for(&self) {
        self.pool.notified().await;
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hint_before_the_wait_is_not_lost_and_many_are_one() {
        let hints = Hints::default();
        let (inbox, other) = (hints.inbox(), hints.inbox());
        let service = ServiceId(uuid::Uuid::from_u128(1));
        hints.wake(service);
        hints.wake(service);
        for inbox in [inbox, other] {
            assert_eq!(inbox.woken().await, HashSet::from([service]), "each is told");
        }
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
