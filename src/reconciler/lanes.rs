//! How much is done at once. Nothing that waits holds what others need: looks and quick calls share a lane, a call that
//! turns out not to be quick gives its slot back, whoever waits for a server inside has none, and what moves much data has
//! a lane of its own, in which no project has more than its share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::id::ProjectId;

/// How long a look or a quick call keeps its slot. The engine answers most within a tenth of this.
const HOLD: Duration = Duration::from_secs(2);
/// Pulls, copies and dumps at once on a node: a few saturate its disk and its line.
const BULK: usize = 4;
/// The same of one project.
const BULK_OF_A_PROJECT: usize = 2;

pub(super) struct Lanes {
    quick: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
    bulk_of_projects: Mutex<HashMap<ProjectId, Arc<Semaphore>>>,
    looks: AtomicUsize,
}

/// A place in the lane of looks and quick calls, until it is given back or dropped.
pub(super) struct Slot {
    quick: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

/// A place in the lane of what moves much data, until it is dropped.
#[must_use]
pub(super) struct BulkSlot {
    _of_project: Option<OwnedSemaphorePermit>,
    _of_node: Option<OwnedSemaphorePermit>,
}

impl Lanes {
    /// `quick` looks and quick calls at once.
    pub(super) fn new(quick: usize) -> Self {
        Self {
            quick: Arc::new(Semaphore::new(quick.max(1))),
            bulk: Arc::new(Semaphore::new(BULK)),
            bulk_of_projects: Mutex::default(),
            looks: AtomicUsize::new(0),
        }
    }

    /// Waits for a slot; in the order of asking.
    pub(super) async fn quick(&self) -> Slot {
        let mut slot = Slot { quick: Arc::clone(&self.quick), permit: None };
        slot.take().await;
        slot
    }

    /// So many services are looked at, or wait for that.
    pub(super) fn note_looks(&self, looks: usize) {
        self.looks.store(looks, Ordering::Relaxed);
    }

    /// Whether anything is being done for any service.
    pub(super) fn are_in_use(&self) -> bool {
        self.looks.load(Ordering::Relaxed) > 0 || self.bulk.available_permits() < BULK
    }

    /// Waits for a slot of `project`'s. It waits for its project's share first, so that of one which wants a great many
    /// only a few stand in everybody's queue.
    pub(super) async fn bulk(&self, project: &ProjectId) -> BulkSlot {
        let of_project = {
            let mut projects = self.bulk_of_projects.lock().unwrap_or_else(PoisonError::into_inner);
            projects.retain(|_, share| Arc::strong_count(share) > 1);
            let share = projects.entry(project.clone()).or_insert_with(|| Arc::new(Semaphore::new(BULK_OF_A_PROJECT)));
            Arc::clone(share)
        };
        // Neither is ever closed.
        let of_project = of_project.acquire_owned().await.ok();
        BulkSlot { _of_project: of_project, _of_node: Arc::clone(&self.bulk).acquire_owned().await.ok() }
    }
}

impl Slot {
    /// Waits for a slot again, where it was given back.
    pub(super) async fn take(&mut self) {
        if self.permit.is_none() {
            self.permit = Arc::clone(&self.quick).acquire_owned().await.ok();
        }
    }

    pub(super) fn give_back(&mut self) {
        self.permit = None;
    }

    /// Does what should be quick, and gives the slot back where it is not.
    pub(super) async fn briefly<T>(&mut self, call: impl Future<Output = T>) -> T {
        let mut call = std::pin::pin!(call);
        match tokio::time::timeout(HOLD, &mut call).await {
            Ok(done) => done,
            Err(_) => {
                self.give_back();
                call.await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_long_makes_room() {
        let lanes = Arc::new(Lanes::new(1));
        let hung = tokio::spawn({
            let lanes = Arc::clone(&lanes);
            async move { lanes.quick().await.briefly(std::future::pending::<()>()).await }
        });
        tokio::task::yield_now().await;
        assert!(lanes.quick().now_or_never().is_none());
        tokio::time::timeout(HOLD * 2, lanes.quick()).await.expect("a slot");
        hung.abort();
    }

    #[tokio::test]
    async fn a_project_that_wants_a_great_many_keeps_others_from_nothing() {
        let lanes = Lanes::new(1);
        let (greedy, modest): (ProjectId, ProjectId) = ("greedy".parse().unwrap(), "modest".parse().unwrap());
        let held = [(); BULK_OF_A_PROJECT].map(|()| lanes.bulk(&greedy).now_or_never().expect("a slot"));
        let mut third = Box::pin(lanes.bulk(&greedy));
        assert!(third.as_mut().now_or_never().is_none());
        assert!(lanes.bulk(&modest).now_or_never().is_some());
        drop(held);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_node_has_its_bound() {
        let lanes = Lanes::new(1);
        let projects: Vec<ProjectId> = (0..=BULK).map(|n| format!("p{n}").parse().unwrap()).collect();
        let held: Vec<_> = projects[..BULK].iter().map(|p| lanes.bulk(p).now_or_never().expect("a slot")).collect();
        assert!(lanes.bulk(&projects[BULK]).now_or_never().is_none());
        drop(held);
        assert!(lanes.bulk(&projects[BULK]).now_or_never().is_some());
    }
}
