//! Another instance takes the place of the one that runs a service. Until that is done, which is one write to the store, the
//! service is what it was, and what was made beside it is thrown away. What the other one holds, and how it comes to that, is
//! the business of who replaces.

use jiff::Timestamp;
use tokio::sync::Notify;
use uuid::Uuid;

use super::Reconciler;
use super::execute::Done;
use super::look::pause_after;
use super::rules::Failure;
use super::steps::{Left, Step};
use crate::catalog::Offer;
use crate::catalog::access::Access;
use crate::domain::event::NewEvent;
use crate::domain::id::InstanceId;
use crate::domain::instance::{Instance, Role};
use crate::domain::observed::ContainerStatus;
use crate::domain::service::{Address, Operation, OperationPhase, Power, Service, ServiceState};
use crate::domain::task::Task;
use crate::engine::Target;
use crate::store::{Guard, StoreError, Write};

mod halt;

pub(super) use halt::Halt;

/// How often a write is tried that a measurement was ahead of.
const TRIES: u32 = 20;

/// When the switch is, and until when what ran the service before is kept, if it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub until: Option<Timestamp>,
    pub now: Timestamp,
}

/// A service on its way to another instance.
pub(super) struct Moving<'a> {
    /// As it was last written.
    pub service: Service,
    pub task: Task,
    pub step: Step,
    pub interrupt: &'a Notify,
    pub access: Access,
    pub offer: &'static Offer,
    /// The instance to be, as if it ran the service already, at an address of its own.
    pub new: Service,
    /// Whether the old instance is kept to go back to.
    pub keeps: bool,
}

/// An instance that is yet to be made for `service`, as if it ran it in `version`, where only who knows its id finds it.
pub(super) fn instance_to_be(service: &Service, version: &str) -> Service {
    let id = InstanceId(Uuid::now_v7());
    // Of its own version what runs it fits the data best; nobody knows what does of another one.
    let image = service.evidence.served().filter(|_| service.wish.version == version);
    let mut new = service.run_by(id, version, image);
    new.evidence.initialised = false;
    new.address = Address { hostname: id.to_string(), published: None };
    new
}

impl Reconciler {
    /// Writes down that the new instance is about to be made, in the place of those that were half made, which are removed.
    pub(super) async fn register(&self, moving: &mut Moving<'_>) -> Result<(), Halt> {
        let known = self.store.instance_list(moving.service.id).await?;
        let half_made: Vec<_> = known.into_iter().filter(|instance| instance.role == Role::Building).collect();
        for instance in &half_made {
            self.remove_instance(instance.id).await?;
        }
        for _ in 0..TRIES {
            self.catch_up(moving).await?;
            let now = (self.clock)();
            let building = Instance::building(moving.new.instance, &moving.service, &moving.new.wish.version, now);
            let write = Write {
                forgotten: &half_made,
                instances: &[building],
                ..Write::new(self.term_of(&moving.service), now)
            };
            match self.store.commit(write).await {
                Err(StoreError::Stale) => {}
                registered => return registered.map(|_| ()).map_err(Halt::from),
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Takes note of how the new instance has ended, which was told to shut down.
    pub(super) async fn note_end_of_new(&self, moving: &mut Moving<'_>) -> Result<(), Halt> {
        let ended = self.engine.look(moving.new.instance, &self.image(&moving.new)).await?.container;
        match ended.map(|container| (container.status, container.image)) {
            Some((ContainerStatus::Exited { exit_code: 0, .. }, image)) => {
                moving.new.evidence.note_served(Some(image));
                Ok(())
            }
            _ => Err(Halt::Failed("the new instance did not shut down cleanly.".to_owned())),
        }
    }

    /// Removes the containers of both, which were shut down: the new one is made anew at the service's address.
    pub(super) async fn clear_places(&self, moving: &Moving<'_>) -> Result<(), Halt> {
        self.engine.remove(&Target::Container(moving.service.instance)).await?;
        self.engine.remove(&Target::Container(moving.new.instance)).await?;
        Ok(())
    }

    /// From here on the new instance runs the service, and the old one is kept. `event` tells of it, by the
    /// service before and after.
    pub(super) async fn switch(
        &self,
        moving: &mut Moving<'_>,
        event: impl Fn(&Service, &Service, Kept) -> NewEvent + Send + Sync,
    ) -> Result<(), Halt> {
        for _ in 0..TRIES {
            self.catch_up(moving).await?;
            match self.try_to_switch(moving, &event).await {
                Err(StoreError::Stale) => {}
                switched => return switched.map_err(Halt::from),
            }
        }
        Err(StoreError::Stale.into())
    }

    async fn try_to_switch(
        &self,
        moving: &Moving<'_>,
        event: impl Fn(&Service, &Service, Kept) -> NewEvent,
    ) -> Result<(), StoreError> {
        let (now, before, new) = ((self.clock)(), &moving.service, &moving.new);
        let mut after = before.run_by(new.instance, &new.wish.version, new.evidence.served());
        (after.state, after.error) = (ServiceState::Provisioning, None);
        let known = self.store.instance_list(before.id).await?;
        let building: Vec<_> = known.into_iter().filter(|known| known.id == new.instance).collect();
        let replaced = Instance::replaced(before, Role::Replaced, self.settings.keep_replaced, now);
        let until = replaced.purge_at.filter(|_| moving.keeps);
        let event = event(before, &after, Kept { until, now });
        // What was kept before stays for its own time.
        let instances: Vec<_> = moving.keeps.then_some(replaced).into_iter().collect();
        let tasks = &[moving.task.done(now)];
        let write = Write {
            service: Some(&after),
            tasks,
            forgotten: &building,
            instances: &instances,
            event: Some(&event),
            ..Write::new(self.term_of(before), now)
        };
        self.store.commit(write).await.map(|_| ())
    }

    /// The service as it is, where the old instance runs it still. What runs it is never removed, whoever has written that.
    pub(super) async fn unswitched(&self, moving: &Moving<'_>) -> Result<Service, Done> {
        match self.store.service_get(moving.service.id).await {
            Ok(Some(row)) if row.instance != moving.new.instance => Ok(row),
            Ok(_) => Err(Done::Tried),
            Err(error) => Err(Done::StoreFailed(error)),
        }
    }

    /// The service goes on as what it was, and as `mend` has it: the new instance is removed. `failed` is what is written of
    /// its task, if its user still wants that.
    pub(super) async fn take_back(
        &self,
        moving: &Moving<'_>,
        failed: Option<(Task, Failure)>,
        mend: impl FnOnce(&mut Service, Option<&Task>) + Send,
    ) -> Done {
        if let Err(done) = self.unswitched(moving).await {
            return done;
        }
        let removed = self.remove_instance(moving.new.instance).await;
        let service = match self.unswitched(moving).await {
            Ok(service) => service,
            Err(done) => return done,
        };
        let known = match self.store.instance_list(service.id).await {
            Ok(known) if removed.is_ok() => known,
            Ok(_) => Vec::new(),
            Err(error) => return Done::StoreFailed(error),
        };
        let gone: Vec<_> = known.into_iter().filter(|known| known.id == moving.new.instance).collect();
        let is_wanted = service.generation == moving.service.generation && service.wish.power == Power::On;
        let failed = failed.filter(|_| is_wanted);
        let mut after = service.clone();
        mend(&mut after, failed.as_ref().map(|(task, _)| task));
        let tasks: Vec<_> = failed.iter().map(|(task, _)| task.clone()).collect();
        let now = (self.clock)();
        let event = NewEvent::of_change(&service, &after, None, now);
        let write = Write {
            service: (after != service).then_some(&after),
            tasks: &tasks,
            forgotten: &gone,
            event: event.as_ref(),
            ..Write::new(self.term_of(&service), now)
        };
        match self.store.commit(write).await {
            Ok(_) => {
                if event.is_some() {
                    self.hints.project_changed(&service.project);
                }
                failed.map_or(Done::Tried, |(_, failure)| Done::Noted(failure))
            }
            Err(error) => Done::StoreFailed(error),
        }
    }

    /// The task as it is after a try that failed, and why.
    pub(super) fn failed(&self, task: &Task, failure: Failure, for_good: bool) -> (Task, Failure) {
        let (code, message, now) = (failure.code, failure.message.clone(), (self.clock)());
        let task = match for_good {
            true => task.refused(code, message, now),
            false => task.failed(code, message, pause_after(task.attempts.saturating_add(1)), now),
        };
        (task, failure)
    }

    /// Writes down how far it is, and what `change` makes of the service.
    pub(super) async fn note_phase(
        &self,
        moving: &mut Moving<'_>,
        phase: OperationPhase,
        change: impl Fn(&mut Service) + Send + Sync,
    ) -> Result<(), Halt> {
        for _ in 0..TRIES {
            self.catch_up(moving).await?;
            let now = (self.clock)();
            let mut after = moving.service.clone();
            change(&mut after);
            let kind = moving.task.job.operation();
            let operation = after.operation.take().unwrap_or_else(|| Operation::queued(kind, now));
            // What follows has its own time.
            after.operation = Some(Operation { phase, progress_percent: None, deadline: None, ..operation });
            let event = NewEvent::of_change(&moving.service, &after, None, now);
            match self.observe(&moving.service, &after, event.as_ref(), now).await {
                Err(StoreError::Stale) => {}
                noted => {
                    moving.service = noted?;
                    self.hints.project_changed(&moving.service.project);
                    return Ok(());
                }
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Reads what was measured of the service meanwhile, which is noted beside this. Where its user wants something else, this is
    /// over.
    pub(super) async fn catch_up(&self, moving: &mut Moving<'_>) -> Result<(), Halt> {
        match self.store.service_get(moving.service.id).await? {
            Some(row) if row.generation == moving.service.generation => {
                moving.service = row;
                Ok(())
            }
            _ => Err(Halt::Left),
        }
    }

    /// Waits for `doing`, unless something else is wanted meanwhile.
    pub(super) async fn unless_left<T>(
        &self,
        moving: &Moving<'_>,
        doing: impl Future<Output = Result<T, Halt>>,
    ) -> Result<T, Halt> {
        self.unless(moving, moving.step.traits().left, doing).await
    }

    /// The same of what is told to the old instance. It is not left half-way, for what undoes it might be overtaken, unless that
    /// is of no use any more.
    pub(super) async fn unless_gone<T>(
        &self,
        moving: &Moving<'_>,
        doing: impl Future<Output = Result<T, Halt>>,
    ) -> Result<T, Halt> {
        self.unless(moving, Left { deleted: true, silent: true, ..Left::default() }, doing).await
    }

    async fn unless<T>(
        &self,
        moving: &Moving<'_>,
        left: Left,
        doing: impl Future<Output = Result<T, Halt>>,
    ) -> Result<T, Halt> {
        let mut doing = std::pin::pin!(doing);
        loop {
            tokio::select! {
                done = &mut doing => return done,
                () = moving.interrupt.notified() => {
                    if self.is_left(&moving.service, &moving.step, left).await {
                        return Err(Halt::Left);
                    }
                }
            }
        }
    }

    pub(super) fn term_of<'a>(&self, read: &'a Service) -> Guard<'a> {
        Guard::Term { epoch: self.epoch(), read }
    }
}
