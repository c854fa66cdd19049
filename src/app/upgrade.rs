//! Bringing a service to another version, and back.

use std::collections::HashMap;

use uuid::Uuid;

use super::actions::{ATTEMPTS, busy, too_fast};
use super::{App, AppError, Committed, Result, now};
use crate::catalog::{Definition, definition};
use crate::domain::event::NewEvent;
use crate::domain::id::ServiceId;
use crate::domain::instance::{Instance, Role};
use crate::domain::lifecycle::{NotNow, Privilege, Requested, ServiceAction, change_version, revert};
use crate::domain::permission::Principal;
use crate::domain::service::{OperationKind, Service, ServiceState};
use crate::domain::task::{Job, Task, TaskId};
use crate::store::{Guard, StoreError, Write};
use crate::telemetry::traces;

impl App {
    /// Has a service brought to a later version, and returns before it is. One that is on its way there is given back as it is,
    /// with no event.
    pub async fn upgrade(&self, viewer: &Principal, id: ServiceId, version: &str) -> Result<Committed> {
        for _ in 0..ATTEMPTS {
            let before = self.changeable(viewer, id, ServiceAction::Upgrade).await?;
            if before.is_changing_version() && before.wish.version == version {
                return Ok(Committed { service: before, event: None });
            }
            check_version(&before, definition(before.wish.kind), version)?;
            let now = now();
            let task = Task::new(TaskId(Uuid::now_v7()), id, Job::Upgrade, now);
            let task = Task { version: Some(version.to_owned()), ..task };
            let event = NewEvent::upgrade_requested(&before, version, &viewer.subject, now);
            if let Some(committed) = self.have_changed(viewer, &before, ServiceAction::Upgrade, task, &event).await? {
                return Ok(committed);
            }
        }
        Err(too_fast())
    }

    /// Has a service run from what the name of its image means by now.
    pub async fn update_image(&self, viewer: &Principal, id: ServiceId) -> Result<Committed> {
        for _ in 0..ATTEMPTS {
            let before = self.changeable(viewer, id, ServiceAction::UpdateImage).await?;
            let now = now();
            let task = Task::new(TaskId(Uuid::now_v7()), id, Job::UpdateImage, now);
            let event = NewEvent::update_requested(&before, &viewer.subject, now);
            if let Some(committed) =
                self.have_changed(viewer, &before, ServiceAction::UpdateImage, task, &event).await?
            {
                return Ok(committed);
            }
        }
        Err(too_fast())
    }

    /// Has a service go back to what it was before its last upgrade or restore that it did not go back from. What it is now is kept in
    /// turn.
    pub async fn revert(&self, viewer: &Principal, id: ServiceId) -> Result<Committed> {
        let action = ServiceAction::Revert;
        for _ in 0..ATTEMPTS {
            let before = self.changeable(viewer, id, action).await?;
            if before.operation.as_ref().is_some_and(|operation| operation.kind == OperationKind::Revert) {
                return Ok(Committed { service: before, event: None });
            }
            let Some(replaced) = self.replaced(&before).await? else {
                let message = "Nothing is kept that it could go back to.".to_owned();
                return Err(AppError::Conflict { field: "id", message });
            };
            let open = self.store.task_list_open(id).await?;
            let now = now();
            let (mut after, tasks) =
                match revert(&before, &open, &replaced, now).map_err(|why| not_now(&before, why))? {
                    Requested::Unchanged => return Ok(Committed { service: before, event: None }),
                    Requested::Changed(after, tasks) => (after, tasks),
                };
            after.trace = traces::here();
            let written = self.written_since(&before).await;
            let event = NewEvent::reverted(&before, &after, &written, &viewer.subject, now);
            let write = Write {
                service: Some(&after),
                tasks: &tasks,
                forgotten: &[replaced],
                instances: &[Instance::replaced(&before, Role::Leaving, self.terms.keep_replaced, now)],
                event: Some(&event),
                ..Write::new(Guard::Revision(&before), now)
            };
            match self.store.commit(write).await {
                Ok(committed) => return Ok(self.accepted(viewer, action, committed)),
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_fast())
    }

    /// What a service can go back to.
    pub async fn replaced(&self, service: &Service) -> Result<Option<Instance>> {
        let instances = self.store.instance_list(service.id).await?;
        Ok(Instance::gone_back_to(&instances, now()).cloned())
    }

    /// The same of several services; those that can't are left out.
    pub async fn replaced_of(&self, services: &[ServiceId]) -> Result<HashMap<ServiceId, Instance>> {
        let (instances, now) = (self.store.instance_list_of(services).await?, now());
        let mut of_each: HashMap<ServiceId, Vec<Instance>> = HashMap::new();
        for instance in instances {
            of_each.entry(instance.service).or_default().push(instance);
        }
        let gone_back_to = |(id, of_it): (ServiceId, Vec<_>)| Some((id, Instance::gone_back_to(&of_it, now)?.clone()));
        Ok(of_each.into_iter().filter_map(gone_back_to).collect())
    }

    async fn changeable(&self, viewer: &Principal, id: ServiceId, action: ServiceAction) -> Result<Service> {
        let service = self.permitted(viewer, id, Privilege::Act(action)).await?;
        let kind = definition(service.wish.kind);
        if !kind.is_able(action) {
            return Err(AppError::NotSupported { kind: kind.name, action });
        }
        if service.understood { Ok(service) } else { Err(AppError::NotUnderstood) }
    }

    /// Writes a task down that changes what a service runs; None where somebody was quicker.
    pub(super) async fn have_changed(
        &self,
        viewer: &Principal,
        before: &Service,
        action: ServiceAction,
        task: Task,
        event: &NewEvent,
    ) -> Result<Option<Committed>> {
        let now = task.created_at;
        let open = self.store.task_list_open(before.id).await?;
        let requested = change_version(before, &open, task, now).map_err(|why| not_now(before, why))?;
        let (mut after, tasks) = match requested {
            Requested::Unchanged => return Ok(Some(Committed { service: before.clone(), event: None })),
            Requested::Changed(after, tasks) => (after, tasks),
        };
        after.trace = traces::here();
        let write = Write {
            service: Some(&after),
            tasks: &tasks,
            event: Some(event),
            ..Write::new(Guard::Revision(before), now)
        };
        match self.store.commit(write).await {
            Ok(committed) => Ok(Some(self.accepted(viewer, action, committed))),
            Err(StoreError::Stale) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What was written to a service since it is of its version, as a clause.
    async fn written_since(&self, service: &Service) -> String {
        const UNKNOWN: &str = "what was written since can't be told, for it does not answer";
        let upgrade = definition(service.wish.kind).offer.as_ref().and_then(|offer| offer.can.upgrade);
        let Some(upgrade) = upgrade.filter(|_| service.state == ServiceState::Running) else {
            return UNKNOWN.to_owned();
        };
        let Ok(Some(access)) = self.access(service.id).await else { return UNKNOWN.to_owned() };
        let answer = self.instruments(service).ask(service.instance, (upgrade.written.ask)(&access)).await;
        answer.ok().and_then(|answer| (upgrade.written.read)(&answer)).unwrap_or_else(|| UNKNOWN.to_owned())
    }
}

fn not_now(service: &Service, why: NotNow) -> AppError {
    match why {
        NotNow::State(invalid) => AppError::InvalidState(invalid),
        NotNow::Busy => busy(service),
    }
}

/// Refuses a version that the service can't be brought to.
fn check_version(service: &Service, kind: &Definition, version: &str) -> Result<()> {
    if kind.upgrades(&service.wish.version).contains(&version) {
        return Ok(());
    }
    let field = "version";
    let versions = kind.offer.as_ref().map(|offer| offer.versions).unwrap_or_default();
    if !versions.contains(&version) {
        return Err(AppError::BadInput { field, message: "There is no such version.".to_owned() });
    }
    let message = match version == service.wish.version {
        true => format!("It is of version {version}."),
        false => format!("It is of version {}, and is brought to later ones only.", service.wish.version),
    };
    Err(AppError::Conflict { field, message })
}
