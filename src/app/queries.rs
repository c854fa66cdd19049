//! Reading. What a viewer can't see does not exist.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::{App, Result, now, visible};
use crate::audit::{self, Object};
use crate::domain::event::ServiceEvent;
use crate::domain::history::{History, HistoryRange};
use crate::domain::id::{Cursor, ProjectId, ServiceId};
use crate::domain::page::{Page, ServiceFilter, Slice};
use crate::domain::permission::{Denied, Principal};
use crate::domain::service::Service;

/// A page of a service's events.
pub type EventPage = (ServiceId, Page<i64>);

/// How much of a project's log can be read.
#[derive(Debug, Clone, Default)]
pub struct LogCursors {
    /// Ahead of the oldest event from which on all are there.
    pub oldest: String,
    /// Of the newest event.
    pub newest: String,
}

impl App {
    /// None when it does not exist or is of a project that the viewer does not see.
    pub async fn service(&self, viewer: &Principal, id: ServiceId) -> Result<Option<Service>> {
        let service = self.store.service_get(id).await?;
        if service.as_ref().is_some_and(|service| !viewer.sees(&service.project)) {
            audit::refused(viewer, "READ", Object::Service(id), Denied::NotVisible);
            return Ok(None);
        }
        Ok(service)
    }

    /// The same of several; those that do not exist for the viewer are left out.
    pub async fn services_seen(&self, viewer: &Principal, ids: &[ServiceId]) -> Result<HashMap<ServiceId, Service>> {
        if let [id] = *ids {
            return Ok(self.service(viewer, id).await?.map(|service| (id, service)).into_iter().collect());
        }
        let mut found: HashMap<_, _> =
            self.store.service_list_of(ids).await?.into_iter().map(|service| (service.id, service)).collect();
        found.retain(|id, service| {
            let is_visible = viewer.sees(&service.project);
            if !is_visible {
                audit::refused(viewer, "READ", Object::Service(*id), Denied::NotVisible);
            }
            is_visible
        });
        Ok(found)
    }

    /// What a service took and held, up to now; None where the viewer sees no such service.
    pub async fn service_history(
        &self,
        viewer: &Principal,
        id: ServiceId,
        range: HistoryRange,
    ) -> Result<Option<(Service, History)>> {
        let Some(service) = self.service(viewer, id).await? else { return Ok(None) };
        let now = now();
        let (from, _) = History::span(range, now);
        let records = self.store.usage_list(id, from).await?;
        Ok(Some((service, History::of(&records, range, now))))
    }

    /// A page of a project's services, oldest first.
    pub async fn services(
        &self,
        viewer: &Principal,
        project: &ProjectId,
        filter: &ServiceFilter,
        page: Page<ServiceId>,
    ) -> Result<Slice<Arc<Service>>> {
        visible(viewer, project)?;
        Ok(self.store.service_list(project, filter, page).await?)
    }

    /// The same, with the cursors of what there was of the project's log at the moment that the page shows.
    pub async fn services_at(
        &self,
        viewer: &Principal,
        project: &ProjectId,
        filter: &ServiceFilter,
        page: Page<ServiceId>,
    ) -> Result<(Slice<Arc<Service>>, LogCursors)> {
        visible(viewer, project)?;
        let (slice, span) = self.store.service_list_at(project, filter, page).await?;
        let (oldest, newest) = (Cursor::encode(project, span.start()), Cursor::encode(project, span.last));
        Ok((slice, LogCursors { oldest, newest }))
    }

    /// How many services the filter finds.
    pub async fn service_count(&self, viewer: &Principal, project: &ProjectId, filter: &ServiceFilter) -> Result<u64> {
        visible(viewer, project)?;
        Ok(self.store.service_count(project, filter).await?)
    }

    /// The project, where the viewer sees it.
    pub fn sees(&self, viewer: &Principal, project: &ProjectId) -> bool {
        visible(viewer, project).is_ok()
    }

    /// A page of a project's events, oldest first, as far as they are kept.
    pub async fn events(
        &self,
        viewer: &Principal,
        project: &ProjectId,
        page: Page<i64>,
    ) -> Result<Slice<ServiceEvent>> {
        visible(viewer, project)?;
        Ok(self.store.event_list(project, page).await?)
    }

    /// Pages of services' events, oldest first, with one query for each page that differs. The services are such that the viewer
    /// was given; one without events may be left out.
    pub async fn events_of(&self, pages: &[EventPage]) -> Result<HashMap<EventPage, Slice<ServiceEvent>>> {
        let mut found = HashMap::new();
        for (page, services) in by_page(pages) {
            if let [service] = *services {
                found.insert((service, page), self.store.event_list_of_service(service, page).await?);
                continue;
            }
            let slices = self.store.event_list_of_services(&services, page).await?;
            found.extend(slices.into_iter().map(|(service, slice)| ((service, page), slice)));
        }
        Ok(found)
    }
}

/// The services of which the same page is asked for, each once.
pub(super) fn by_page<P: Copy + Eq + Hash>(pages: &[(ServiceId, Page<P>)]) -> HashMap<Page<P>, Vec<ServiceId>> {
    let mut services: HashMap<_, Vec<_>> = HashMap::new();
    for (service, page) in pages {
        services.entry(*page).or_default().push(*service);
    }
    for services in services.values_mut() {
        services.sort_unstable();
        services.dedup();
    }
    services
}
