//! What happens in a project, read once for all who follow it.
//!
//! Nobody reads on another's behalf: whoever comes first after a hint does, and who comes after that takes what was read. So
//! there is no task that could fail or be left over. Who is further behind than what is kept reads the log alone.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;

use super::Result;
use crate::domain::event::ServiceEvent;
use crate::domain::id::{ProjectId, ServiceId};
use crate::domain::service::Service;
use crate::hints::Hints;
use crate::store::{Store, StoreError};

/// How many events are read at once.
const PAGE: u32 = 100;

/// How many events are kept at least, for who is a little late. Each may hold on to its service.
const KEPT: usize = 16;

/// An event, and the service that it happened to as it was when the event was read, if it was there.
#[derive(Debug, Clone)]
pub struct Happened {
    pub event: Arc<ServiceEvent>,
    pub service: Option<Arc<Service>>,
}

/// The projects that somebody follows.
#[derive(Default)]
pub(super) struct Feeds(Mutex<HashMap<ProjectId, Weak<Feed>>>);

/// One project's, for as long as somebody follows it.
pub(super) struct Feed {
    project: ProjectId,
    hints: watch::Receiver<u64>,
    /// None until somebody has looked. Whoever looks holds it, and the others wait for what comes of that.
    read: tokio::sync::Mutex<Option<Read>>,
}

struct Read {
    /// The count of hints as of which all was read; None while there is more to be read.
    complete_at: Option<u64>,
    /// Ahead of the first event that is kept.
    start: i64,
    events: VecDeque<Happened>,
    /// As they were found at the last look; None for one that is not there.
    services: HashMap<ServiceId, Option<Arc<Service>>>,
    /// The services that were asked for since, which are read along with what happens next.
    asked: HashSet<ServiceId>,
}

impl Feeds {
    pub fn of(&self, project: &ProjectId, hints: &Hints) -> Arc<Feed> {
        let mut feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = feeds.get(project).and_then(Weak::upgrade) {
            return feed;
        }
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let read = tokio::sync::Mutex::default();
        let feed = Arc::new(Feed { project: project.clone(), hints: hints.subscribe(project), read });
        feeds.insert(project.clone(), Arc::downgrade(&feed));
        feed
    }
}

impl Feed {
    /// Changes whenever there may be news. Mark it unchanged before you read.
    pub fn hints(&self) -> watch::Receiver<u64> {
        self.hints.clone()
    }

    /// The next events behind `position`, up to a page of them; none where there are none. `known` is the place of an event
    /// that the caller knows to be there.
    pub async fn events(&self, store: &dyn Store, position: i64, known: i64) -> Result<Vec<Happened>> {
        let mut read = self.read.lock().await;
        // What a look of our own does not find is not kept any more.
        let mut has_looked = false;
        loop {
            match &*read {
                Some(read) if position < read.start => break,
                Some(read) => {
                    let behind = read.behind(position);
                    let is_known = has_looked || known <= read.end();
                    if !behind.is_empty() || (is_known && self.is_complete(read)) {
                        return Ok(behind);
                    }
                }
                None => {}
            }
            self.look(store, &mut read).await?;
            has_looked = true;
        }
        drop(read);
        let events = store.event_list_since(&self.project, position, PAGE).await?;
        let services = services(store, events.iter().map(|event| event.service).collect()).await?;
        Ok(happened(events, &services).collect())
    }

    /// A service as it is by the newest hint; None where there is none of that id.
    pub async fn service(&self, store: &dyn Store, id: ServiceId) -> Result<Option<Arc<Service>>> {
        let mut guard = self.read.lock().await;
        loop {
            if let Some(read) = &mut *guard {
                read.asked.insert(id);
                if self.is_complete(read) {
                    if let Some(service) = read.services.get(&id) {
                        return Ok(service.clone());
                    }
                    let service = store.service_get(id).await?.map(Arc::new);
                    read.services.insert(id, service.clone());
                    return Ok(service);
                }
            }
            self.look(store, &mut guard).await?;
        }
    }

    fn is_complete(&self, read: &Read) -> bool {
        read.complete_at == Some(*self.hints.borrow())
    }

    /// Reads on, and the services again that it touches or that somebody asks for. Where it is broken off it has read nothing.
    async fn look(&self, store: &dyn Store, read: &mut Option<Read>) -> Result<()> {
        // Of what comes while it is being read another hint will tell.
        let at = *self.hints.borrow();
        let Some(before) = read else {
            let start = store.event_span(&self.project).await?.last;
            *read = Some(Read::new(start, at));
            return Ok(());
        };
        let events = match store.event_list_since(&self.project, before.end(), PAGE).await {
            // It has not been looked for so long that some of it is gone.
            Err(StoreError::Expired) => {
                *read = None;
                return Ok(());
            }
            events => events?,
        };
        let touched = events.iter().map(|event| event.service);
        let services = services(store, before.asked.iter().copied().chain(touched).collect()).await?;
        before.complete_at = (events.len() < PAGE as usize).then_some(at);
        let kept = events.len().max(KEPT);
        before.events.extend(happened(events, &services));
        while before.events.len() > kept {
            before.start = before.events.pop_front().map_or(before.start, |oldest| oldest.event.sequence);
        }
        before.asked.clear();
        before.services = services;
        Ok(())
    }
}

impl Read {
    fn new(start: i64, at: u64) -> Self {
        let (events, services, asked) = Default::default();
        Self { complete_at: Some(at), start, events, services, asked }
    }

    /// The place of the last event that was read.
    fn end(&self) -> i64 {
        self.events.back().map_or(self.start, |last| last.event.sequence)
    }

    fn behind(&self, position: i64) -> Vec<Happened> {
        let first = self.events.partition_point(|happened| happened.event.sequence <= position);
        self.events.range(first..).cloned().collect()
    }
}

async fn services(store: &dyn Store, ids: HashSet<ServiceId>) -> Result<HashMap<ServiceId, Option<Arc<Service>>>> {
    let ids: Vec<ServiceId> = ids.into_iter().collect();
    let mut services: HashMap<_, _> = ids.iter().map(|id| (*id, None)).collect();
    for some in ids.chunks(PAGE as usize) {
        let found = store.service_list_of(some).await?;
        services.extend(found.into_iter().map(|service| (service.id, Some(Arc::new(service)))));
    }
    Ok(services)
}

fn happened(
    events: Vec<ServiceEvent>,
    services: &HashMap<ServiceId, Option<Arc<Service>>>,
) -> impl Iterator<Item = Happened> {
    events.into_iter().map(|event| {
        let service = services.get(&event.service).cloned().flatten();
        Happened { event: Arc::new(event), service }
    })
}
