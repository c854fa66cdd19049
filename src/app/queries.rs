//! Reading. What a viewer can't see does not exist.

use super::{App, Result, visible};
use crate::audit::{self, Object};
use crate::domain::event::ServiceEvent;
use crate::domain::id::{Cursor, ProjectId, ServiceId};
use crate::domain::page::{Page, ServiceFilter, Slice};
use crate::domain::permission::{Denied, Principal};
use crate::domain::service::Service;

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

    /// A page of a project's services, oldest first.
    pub async fn services(
        &self,
        viewer: &Principal,
        project: &ProjectId,
        filter: &ServiceFilter,
        page: Page<ServiceId>,
    ) -> Result<Slice<Service>> {
        visible(viewer, project)?;
        Ok(self.store.service_list(project, filter, page).await?)
    }

    /// The cursor of the project's newest event. What is read after it holds all that happened up to it.
    pub async fn event_cursor(&self, viewer: &Principal, project: &ProjectId) -> Result<String> {
        visible(viewer, project)?;
        Ok(Cursor::encode(project, self.store.event_last(project).await?))
    }

    /// How many services the filter finds.
    pub async fn service_count(&self, viewer: &Principal, project: &ProjectId, filter: &ServiceFilter) -> Result<u64> {
        visible(viewer, project)?;
        Ok(self.store.service_count(project, filter).await?)
    }

    /// A page of a service's events, oldest first. `service` is one that the viewer was given.
    pub async fn events_of(&self, service: ServiceId, page: Page<i64>) -> Result<Slice<ServiceEvent>> {
        Ok(self.store.event_list_of_service(service, page).await?)
    }
}
