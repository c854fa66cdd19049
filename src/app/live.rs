//! Logs and measurements, as they come. They are read from the engine; nothing is stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_stream::try_stream;
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{App, AppError, Result};
use crate::catalog::definition;
use crate::domain::id::ServiceId;
use crate::domain::lifecycle::Privilege;
use crate::domain::live::{Holdings, LogLine, Measured};
use crate::domain::permission::Principal;
use crate::domain::service::{Service, ServiceState, Wish};

/// How soon to look again for a container that is not there or does not run.
const AGAIN: Duration = Duration::from_secs(2);
/// How often what a service holds is counted. It takes a process in its container.
const COUNT: Duration = Duration::from_secs(15);
/// The most lines that are read again where a stream was broken off.
const CATCH_UP: u32 = 1000;
/// The most lines of the past that a viewer may ask for.
pub const MAX_TAIL: u32 = 5000;

/// The measurements that somebody follows: for each service one stream on the engine, however many follow it.
#[derive(Default)]
pub(super) struct Gauges {
    followed: Mutex<HashMap<ServiceId, watch::Sender<Option<Measured>>>>,
}

impl App {
    /// The service's output: the last `tail` lines, of those the ones since `since`, and then what comes, also after
    /// restarts, until it is destroyed. Passwords are left out.
    pub async fn service_logs(
        self: &Arc<Self>,
        viewer: &Principal,
        id: ServiceId,
        tail: u32,
        since: Option<Timestamp>,
    ) -> Result<impl Stream<Item = Result<LogLine>> + use<>> {
        let service = self.permitted(viewer, id, Privilege::ReadLogs).await?;
        let mut hints = self.hints.subscribe(&service.project);
        let app = Arc::clone(self);
        Ok(try_stream! {
            let (mut last, mut tail) = (None::<Timestamp>, tail);
            loop {
                hints.mark_unchanged();
                let Some(service) = app.store.service_get(id).await? else { return };
                if service.state == ServiceState::Destroyed {
                    return;
                }
                // While there is no container there is no output either.
                if let Ok(mut lines) = app.instruments(&service).follow_logs(service.instance, tail, last.or(since)).await {
                    let Some(mut access) = app.access(id).await? else { return };
                    let seen = last;
                    loop {
                        let next = tokio::select! {
                            biased;
                            _ = hints.changed() => None,
                            line = lines.next() => Some(line),
                        };
                        let line = match next {
                            Some(Some(Ok(line))) => line,
                            Some(_) => break,
                            // The password may be another one, or the service gone.
                            None => match app.access(id).await? {
                                Some(now) => {
                                    access = now;
                                    continue;
                                }
                                None => return,
                            },
                        };
                        if seen.is_some_and(|seen| line.occurred_at <= seen) {
                            continue;
                        }
                        last = Some(line.occurred_at);
                        tail = CATCH_UP;
                        let text = access.redact(&line.text);
                        yield LogLine { text, ..line };
                    }
                }
                tokio::select! {
                    _ = hints.changed() => {}
                    () = sleep(AGAIN) => {}
                }
            }
        })
    }

    /// What the service takes and holds beside what it is to have, about once a second while it runs, until it is destroyed.
    pub async fn service_metrics(
        self: &Arc<Self>,
        viewer: &Principal,
        id: ServiceId,
    ) -> Result<impl Stream<Item = Result<(Wish, Measured)>> + use<>> {
        let service = self.service(viewer, id).await?.ok_or(AppError::NotFound("service"))?;
        let mut measured = self.follow(&service);
        let mut hints = self.hints.subscribe(&service.project);
        // What came to be in between is read as well.
        hints.mark_changed();
        let app = Arc::clone(self);
        Ok(try_stream! {
            let mut wish = service.wish;
            loop {
                // It may have been given another size.
                if hints.has_changed().unwrap_or(false) {
                    hints.mark_unchanged();
                    let Some(service) = app.store.service_get(id).await? else { return };
                    wish = service.wish;
                }
                let now = *measured.borrow_and_update();
                if let Some(now) = now {
                    yield (wish.clone(), now);
                }
                if measured.changed().await.is_err() {
                    return;
                }
            }
        })
    }

    fn follow(self: &Arc<Self>, service: &Service) -> watch::Receiver<Option<Measured>> {
        let mut followed = self.gauges.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = followed.get(&service.id) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        followed.insert(service.id, sender.clone());
        tokio::spawn(Arc::clone(self).measure(service.clone(), sender));
        receiver
    }

    /// Measures until nobody follows any more, or the service is destroyed.
    async fn measure(self: Arc<Self>, service: Service, sender: watch::Sender<Option<Measured>>) {
        let id = service.id;
        loop {
            tokio::select! {
                () = sender.closed() => {}
                () = self.measure_run(&service, &sender) => {}
            }
            let destroyed = match self.store.service_get(id).await {
                Ok(service) => service.is_none_or(|service| service.state == ServiceState::Destroyed),
                Err(_) => false,
            };
            {
                let mut followed = self.gauges.followed.lock().unwrap_or_else(PoisonError::into_inner);
                if destroyed || sender.receiver_count() == 0 {
                    followed.remove(&id);
                    return;
                }
            }
            tokio::select! {
                () = sender.closed() => {}
                () = sleep(AGAIN) => {}
            }
        }
    }

    /// Measures one run of the container. Counting what it holds may take long, and is never waited for.
    async fn measure_run(&self, service: &Service, sender: &watch::Sender<Option<Measured>>) {
        let Ok(mut usage) = self.instruments(service).usage(service.instance).await else { return };
        let (counted, holdings) = watch::channel(None);
        let mut counting = std::pin::pin!(self.count(service, &counted));
        loop {
            tokio::select! {
                () = &mut counting => return,
                usage = usage.next() => {
                    let Some(Ok(usage)) = usage else { return };
                    let holdings = *holdings.borrow();
                    sender.send_replace(Some(Measured { usage, holdings }));
                }
            }
        }
    }

    /// Counts what the service holds, again and again. Ends at once where there is no telling how.
    async fn count(&self, service: &Service, counted: &watch::Sender<Option<Holdings>>) {
        let Some(offer) = &definition(service.wish.kind).offer else { return };
        let (instruments, instance) = (self.instruments(service), service.instance);
        let mut again = interval(COUNT);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            again.tick().await;
            if let Ok(holdings) = instruments.holdings(instance, offer.data_path, offer.port()).await {
                counted.send_replace(Some(holdings));
            }
        }
    }
}
