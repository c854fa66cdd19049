//! What many objects of a list load for the same field: one query for all of them instead of one for each.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::Context;
use tokio::sync::oneshot;

use super::app;
use super::error::{Error, Result};
use super::guard::viewer;
use crate::app::Sealed;
use crate::domain::backup::Backup;
use crate::domain::event::ServiceEvent;
use crate::domain::id::{BackupId, ServiceId};
use crate::domain::instance::Instance;
use crate::domain::log::RecoveryWindow;
use crate::domain::page::{Page, Slice};
use crate::domain::service::Service;

/// One request's; part of its data.
#[derive(Default)]
pub struct Batches {
    events: Batch<(ServiceId, Page<i64>), Slice<ServiceEvent>>,
    backups: Batch<(ServiceId, Page<BackupId>), Slice<Backup>>,
    services: Batch<ServiceId, Service>,
    replaced: Batch<ServiceId, Instance>,
    windows: Batch<ServiceId, RecoveryWindow>,
    sealed: Batch<ServiceId, Sealed>,
}

/// A page of a service's events, oldest first. The service is one that the viewer was given.
pub async fn events(ctx: &Context<'_>, service: ServiceId, page: Page<i64>) -> Result<Slice<ServiceEvent>> {
    let app = app(ctx);
    let found = of(ctx).events.load((service, page), |keys| async move { Ok(app.events_of(&keys).await?) }).await?;
    Ok(found.unwrap_or(Slice { rows: Vec::new(), has_more: false }))
}

/// A page of a service's backups, the newest first. The service is one that the viewer was given.
pub async fn backups(ctx: &Context<'_>, service: ServiceId, page: Page<BackupId>) -> Result<Slice<Backup>> {
    let app = app(ctx);
    let found = of(ctx).backups.load((service, page), |keys| async move { Ok(app.backups_of(&keys).await?) }).await?;
    Ok(found.unwrap_or(Slice { rows: Vec::new(), has_more: false }))
}

/// A service, where the viewer sees it.
pub async fn service(ctx: &Context<'_>, id: ServiceId) -> Result<Option<Service>> {
    let (app, viewer) = (app(ctx), viewer(ctx)?);
    of(ctx).services.load(id, |ids| async move { Ok(app.services_seen(viewer, &ids).await?) }).await
}

/// What a service can go back to.
pub async fn replaced(ctx: &Context<'_>, service: ServiceId) -> Result<Option<Instance>> {
    let app = app(ctx);
    of(ctx).replaced.load(service, |services| async move { Ok(app.replaced_of(&services).await?) }).await
}

/// The moments that a service can be brought back to.
pub async fn recovery_window(ctx: &Context<'_>, service: ServiceId) -> Result<Option<RecoveryWindow>> {
    let app = app(ctx);
    of(ctx).windows.load(service, |services| async move { Ok(app.recovery_windows(&services).await?) }).await
}

/// A service's credentials as they are stored.
pub async fn sealed(ctx: &Context<'_>, service: ServiceId) -> Result<Option<Sealed>> {
    let app = app(ctx);
    of(ctx).sealed.load(service, |services| async move { Ok(app.sealed_of(&services).await?) }).await
}

fn of<'a>(ctx: &Context<'a>) -> &'a Batches {
    ctx.data_unchecked::<Arc<Batches>>()
}

/// Who waits for a value, by its key.
type Waiting<K, V> = Vec<(K, oneshot::Sender<Result<Option<V>>>)>;

/// What is being asked for of one kind.
struct Batch<K, V>(Mutex<Waiting<K, V>>);

impl<K, V> Default for Batch<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Batch<K, V> {
    /// The value of `key`, if there is one. Who asks first calls `load` for all who ask before its task is polled again: the
    /// library polls everything that can be resolved at the same time before that.
    async fn load<F>(&self, key: K, load: impl Fn(Vec<K>) -> F) -> Result<Option<V>>
    where
        F: Future<Output = Result<HashMap<K, V>>>,
    {
        loop {
            let (sender, receiver) = oneshot::channel();
            let leads = {
                let mut waiting = self.waiting();
                waiting.push((key.clone(), sender));
                waiting.len() == 1
            };
            if leads {
                let mut round = Round { batch: self, is_taken: false };
                tokio::task::yield_now().await;
                let waiting = round.take();
                let loaded = load(waiting.iter().map(|(key, _)| key.clone()).collect()).await;
                for (key, sender) in waiting {
                    let value: Result<_, Error> =
                        loaded.as_ref().map(|values| values.get(&key).cloned()).map_err(Clone::clone);
                    // Whose field is not wanted any more does not listen.
                    let _ = sender.send(value);
                }
            }
            // Who was to load may have been given up on, because what stands beside its field has failed.
            if let Ok(value) = receiver.await {
                return value;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From when the first one asks until it loads. Where it does not come to that, the others ask anew.
struct Round<'a, K: Clone + Eq + Hash, V: Clone> {
    batch: &'a Batch<K, V>,
    is_taken: bool,
}

impl<K: Clone + Eq + Hash, V: Clone> Round<'_, K, V> {
    fn take(&mut self) -> Waiting<K, V> {
        self.is_taken = true;
        std::mem::take(&mut *self.batch.waiting())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Drop for Round<'_, K, V> {
    fn drop(&mut self) {
        if !self.is_taken {
            self.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    /// Twice the number, of even ones.
    fn doubled(loads: &AtomicUsize, keys: Vec<u32>) -> Result<HashMap<u32, u32>> {
        loads.fetch_add(1, Ordering::Relaxed);
        Ok(keys.into_iter().filter(|key| key % 2 == 0).map(|key| (key, key * 2)).collect())
    }

    #[tokio::test]
    async fn all_that_is_asked_for_at_once_is_loaded_at_once() {
        let (batch, loads) = (Batch::default(), AtomicUsize::new(0));
        for round in 1..=2 {
            let asked = (0..100).map(|key| batch.load(key, |keys| async { doubled(&loads, keys) }));
            let values: Vec<Option<u32>> = join_all(asked).await.into_iter().map(Result::unwrap).collect();
            assert_eq!(values[..4], [Some(0), None, Some(4), None]);
            assert_eq!(loads.load(Ordering::Relaxed), round);
        }
    }

    #[tokio::test]
    async fn who_waits_for_one_that_is_given_up_loads_itself() {
        let (batch, loads) = (Batch::default(), AtomicUsize::new(0));
        let load = |keys| async { doubled(&loads, keys) };
        let mut first = Box::pin(batch.load(2, load));
        let mut second = Box::pin(batch.load(4, load));
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        drop(first);
        assert_eq!(second.await.unwrap(), Some(8));
        assert_eq!(loads.load(Ordering::Relaxed), 1);
    }
}
