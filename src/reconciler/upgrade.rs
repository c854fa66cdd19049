//! A service is brought to another version: an instance of that is made beside it, takes over the data, and takes its place.
//!
//! It is one step, which begins anew wherever it was broken off: until the place is taken, which is one write to the store,
//! the service is what it was, and what was made beside it is thrown away. Whatever is done to the old instance is noted
//! before, and put right here or by the rules.

use std::time::Duration;

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::execute::{COMPLAINT, Done, command, image};
use super::look::pause_after;
use super::rules::Failure;
use super::steps::{Left, Step};
use super::{Reconciler, things};
use crate::catalog::access::Access;
use crate::catalog::deployment::Change;
use crate::catalog::upgrade::{REFUSED, Transfer, Upgrade};
use crate::catalog::{Offer, definition};
use crate::domain::event::NewEvent;
use crate::domain::id::InstanceId;
use crate::domain::instance::{Instance, Role};
use crate::domain::service::{
    Address, ContainerStatus, ErrorCode, Evidence, Operation, OperationKind, OperationPhase, Power, RunId, Service,
    ServiceState,
};
use crate::domain::task::{Task, TaskId};
use crate::engine::{Command, Pull, Target};
use crate::store::{Guard, StoreError, Write};

mod halt;
mod progress;

use halt::Halt;

/// How long a server may take to be told something.
const TELLING: Duration = Duration::from_secs(90);
/// How long a new instance may take to answer.
const READY: Duration = Duration::from_secs(300);
/// How long the data may take to go over, or to be counted.
const COPYING: Duration = Duration::from_secs(6 * 3600);

/// How often a write is tried that a measurement was ahead of.
const TRIES: u32 = 20;

/// A service on its way.
struct Moving<'a> {
    /// As it was last written.
    service: Service,
    task: Task,
    step: Step,
    interrupt: &'a Notify,
    access: Access,
    offer: &'static Offer,
    upgrade: &'static Upgrade,
    /// The instance to be, as if it ran the service already, at an address of its own.
    new: Service,
    /// The run of the old instance that was frozen.
    run: Option<RunId>,
    mark: String,
}

impl Reconciler {
    pub(super) async fn upgrade(&self, service: &Service, task: TaskId, interrupt: &Notify) -> Done {
        let mut moving = match self.moving(service, task, interrupt).await {
            Ok(moving) => moving,
            Err(done) => return done,
        };
        match self.bring_over(&mut moving).await {
            Ok(()) => {
                self.hints.project_changed(&service.project);
                Done::Tried
            }
            // What came of the last write nobody knows: the next look finds out.
            Err(Halt::Store(error)) => Done::StoreFailed(error),
            Err(halt) => self.take_back(moving, halt).await,
        }
    }

    async fn moving<'a>(&self, service: &Service, id: TaskId, interrupt: &'a Notify) -> Result<Moving<'a>, Done> {
        let open = self.store.task_list_open(service.id).await.map_err(Done::StoreFailed)?;
        let Some(task) = open.into_iter().find(|task| task.id == id) else { return Err(Done::Tried) };
        let offer = definition(service.wish.kind).offer.as_ref();
        let able = offer.and_then(|offer| Some((offer, offer.upgrade.as_ref()?))).zip(task.version.clone());
        let Some(((offer, upgrade), version)) = able else {
            let message = "The catalog no longer offers a way to another version.".to_owned();
            return Err(Done::Failed(Failure { code: ErrorCode::UpgradeFailed, message }));
        };
        let id = InstanceId(Uuid::now_v7());
        let mut new = service.run_by(id, &version, None);
        new.evidence = Evidence::default();
        new.address = Address { hostname: id.to_string(), published: None };
        Ok(Moving {
            access: self.access(service).await?,
            service: service.clone(),
            step: Step::Upgrade(task.id),
            task,
            interrupt,
            offer,
            upgrade,
            new,
            run: None,
            mark: String::new(),
        })
    }

    async fn bring_over(&self, moving: &mut Moving<'_>) -> Result<(), Halt> {
        let project = moving.service.project.clone();
        let _slot = self.unless_left(moving, async { Ok(self.lanes.bulk(&project).await) }).await?;
        self.prepare(moving).await?;
        let Upgrade { check, freeze, compare, close, .. } = *moving.upgrade;
        let (old, new) = (moving.service.instance, moving.new.instance);
        self.unless_left(moving, self.instruct(moving, new, check, TELLING)).await?;

        let seen = self.engine.look(old, &image(&moving.service)).await?;
        moving.run = seen.container.and_then(|container| container.run);
        self.note(moving, OperationPhase::CopyingData).await?;
        moving.mark = self.unless_gone(moving, self.instruct(moving, old, freeze, TELLING)).await?;
        self.copy(moving).await?;
        self.note(moving, OperationPhase::Comparing).await?;
        self.unless_left(moving, self.instruct(moving, new, compare, COPYING)).await?;

        self.note(moving, OperationPhase::Switching).await?;
        self.unless_gone(moving, self.instruct(moving, old, close, TELLING)).await?;
        self.shut_down(moving).await?;
        self.switch(moving).await
    }

    /// Writes down that the new instance is about to be made, in the place of those that were `half_made`.
    async fn register(&self, moving: &mut Moving<'_>, half_made: &[Instance]) -> Result<(), Halt> {
        for _ in 0..TRIES {
            self.catch_up(moving).await?;
            let now = (self.clock)();
            let building = Instance::building(moving.new.instance, &moving.service, &moving.new.wish.version, now);
            let write = Write {
                forgotten: half_made,
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

    /// Makes the new instance, at an address of its own, and waits until it answers.
    async fn prepare(&self, moving: &mut Moving<'_>) -> Result<(), Halt> {
        let known = self.store.instance_list(moving.service.id).await?;
        let half_made: Vec<_> = known.into_iter().filter(|instance| instance.role == Role::Building).collect();
        for instance in &half_made {
            self.remove_instance(instance.id).await?;
        }
        let id = moving.new.instance;
        self.register(moving, &half_made).await?;
        let image = image(&moving.new);
        let pull = async { Ok(self.engine.pull(&image, Pull::Absent, watch::channel(None).0).await?) };
        self.unless_left(moving, pull).await?;
        self.engine.ensure(&things::volume(&moving.new)).await?;
        match self.create_container(&moving.new).await {
            Done::Tried => {}
            other => return Err(other.into()),
        }
        let deployment = self.deployment(&moving.new).await?;
        self.engine.start(id, &deployment).await?;
        let ready = async {
            let answers = self.answers(id, deployment.ready_check.clone(), deployment.ready_hint);
            match tokio::time::timeout(READY, answers).await {
                Ok(Ok(true)) => Ok(()),
                Ok(Ok(false)) | Err(_) => Err(Halt::Failed("the new instance does not answer.".to_owned())),
                Ok(Err(error)) => Err(error.into()),
            }
        };
        self.unless_left(moving, ready).await
    }

    /// Shuts both down, the old one for good and the new one to be made anew at the service's address. What either of them was
    /// told holds for its run.
    async fn shut_down(&self, moving: &mut Moving<'_>) -> Result<(), Halt> {
        let grace = moving.offer.stop_grace;
        let (old, new) = (moving.service.instance, moving.new.instance);
        let (stopped, shut) = tokio::join!(self.engine.stop(old, grace), self.engine.stop(new, grace));
        stopped?;
        shut?;
        let before = self.engine.look(old, &image(&moving.service)).await?.container;
        if before.and_then(|container| container.run) != moving.run {
            return Err(Halt::Failed("it was restarted while it was being copied.".to_owned()));
        }
        let after = self.engine.look(new, &image(&moving.new)).await?.container;
        match after.map(|container| (container.status, container.image)) {
            Some((ContainerStatus::Exited { exit_code: 0, .. }, image)) => moving.new.evidence.image = Some(image),
            _ => return Err(Halt::Failed("the new instance did not shut down cleanly.".to_owned())),
        }
        self.engine.remove(&Target::Container(old)).await?;
        self.engine.remove(&Target::Container(new)).await?;
        Ok(())
    }

    /// From here on the new instance runs the service, and the old one is kept.
    async fn switch(&self, moving: &mut Moving<'_>) -> Result<(), Halt> {
        for _ in 0..TRIES {
            self.catch_up(moving).await?;
            match self.try_to_switch(moving).await {
                Err(StoreError::Stale) => {}
                switched => return switched.map_err(Halt::from),
            }
        }
        Err(StoreError::Stale.into())
    }

    async fn try_to_switch(&self, moving: &Moving<'_>) -> Result<(), StoreError> {
        let (now, before, new) = ((self.clock)(), &moving.service, &moving.new);
        let mut after = before.run_by(new.instance, &new.wish.version, new.evidence.image.clone());
        after.state = ServiceState::Provisioning;
        let known = self.store.instance_list(before.id).await?;
        let (building, others): (Vec<_>, Vec<_>) = known.into_iter().partition(|known| known.id == new.instance);
        let replaced = Instance::replaced(before, Role::Replaced, self.settings.keep_replaced, now);
        let event = NewEvent::switched(before, &after, replaced.purge_at.unwrap_or(now), now);
        // Of what it was before, the last is kept.
        let gone = others.iter().map(|other| other.with_role(Role::Going));
        let instances: Vec<_> = gone.chain([replaced]).collect();
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

    /// The service goes on as what it was.
    async fn take_back(&self, mut moving: Moving<'_>, halt: Halt) -> Done {
        let row = match self.store.service_get(moving.service.id).await {
            Ok(Some(row)) => row,
            Ok(None) => return Done::Tried,
            Err(error) => return Done::StoreFailed(error),
        };
        // What runs it is never removed, whoever has written that.
        if row.instance == moving.new.instance {
            return Done::Tried;
        }
        if moving.service.evidence.frozen
            && row.wish.power != Power::Deleted
            && self.instruct(&moving, moving.service.instance, moving.upgrade.thaw, TELLING).await.is_ok()
        {
            moving.service.evidence.frozen = false;
        }
        let removed = self.remove_instance(moving.new.instance).await;
        let service = match self.store.service_get(moving.service.id).await {
            Ok(Some(service)) => service,
            Ok(None) => return Done::Tried,
            Err(error) => return Done::StoreFailed(error),
        };
        let mut after = service.clone();
        after.evidence.frozen &= moving.service.evidence.frozen;
        after.evidence.storage.forget_told();
        let known = match self.store.instance_list(service.id).await {
            Ok(known) if removed.is_ok() => known,
            Ok(_) => Vec::new(),
            Err(error) => return Done::StoreFailed(error),
        };
        let gone: Vec<_> = known.into_iter().filter(|known| known.id == moving.new.instance).collect();
        let is_wanted = service.generation == moving.service.generation && service.wish.power == Power::On;
        let failed = self.failed(&moving, halt).filter(|_| is_wanted);
        let tasks: Vec<_> = failed.iter().map(|(task, _)| task.clone()).collect();
        let write = Write {
            service: (after != service).then_some(&after),
            tasks: &tasks,
            forgotten: &gone,
            ..Write::new(self.term_of(&service), (self.clock)())
        };
        match self.store.commit(write).await {
            Ok(_) => failed.map_or(Done::Tried, |(_, failure)| Done::Noted(failure)),
            Err(error) => Done::StoreFailed(error),
        }
    }

    /// The task as it is after a try that failed, and why.
    fn failed(&self, moving: &Moving<'_>, halt: Halt) -> Option<(Task, Failure)> {
        let (old, new) = (&moving.service.wish.version, &moving.new.wish.version);
        let (why, for_good) = match halt {
            Halt::Failed(why) => (why, false),
            Halt::Refused(why) => (why, true),
            Halt::Left | Halt::Store(_) => return None,
        };
        let message = format!("It could not be brought to version {new}, and is what it was in {old}: {why}");
        let failure = Failure { code: ErrorCode::UpgradeFailed, message };
        let (code, message, now) = (failure.code, failure.message.clone(), (self.clock)());
        let task = match for_good {
            true => moving.task.refused(code, message, now),
            false => moving.task.failed(code, message, pause_after(moving.task.attempts.saturating_add(1)), now),
        };
        Some((task, failure))
    }

    /// Writes down how far it is, and from the first copy on that the service may take no writes.
    async fn note(&self, moving: &mut Moving<'_>, phase: OperationPhase) -> Result<(), Halt> {
        for _ in 0..TRIES {
            self.catch_up(moving).await?;
            let now = (self.clock)();
            let mut after = moving.service.clone();
            after.evidence.frozen = true;
            let operation = after.operation.take().unwrap_or_else(|| Operation::queued(OperationKind::Upgrade, now));
            after.operation = Some(Operation { phase, progress_percent: None, ..operation });
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
    async fn catch_up(&self, moving: &mut Moving<'_>) -> Result<(), Halt> {
        match self.store.service_get(moving.service.id).await? {
            Some(row) if row.generation == moving.service.generation => {
                moving.service = row;
                Ok(())
            }
            _ => Err(Halt::Left),
        }
    }

    /// Has an instance do what a step of the upgrade calls for, and gives what it says.
    async fn instruct(
        &self,
        moving: &Moving<'_>,
        on: InstanceId,
        make: fn(&Transfer<'_>) -> Change,
        limit: Duration,
    ) -> Result<String, Halt> {
        let transfer = Transfer {
            wish: &moving.service.wish,
            access: &moving.access,
            policy: &self.settings.policy,
            from: &moving.service.address.hostname,
            mark: &moving.mark,
        };
        let command = Command { limit: Some(limit), kept: COMPLAINT, ..command(make(&transfer)) };
        let ended = self.engine.run(on, &command).await?;
        let said = moving.access.redact(&ended.output);
        match ended.exit_code {
            Some(0) => Ok(ended.output),
            Some(REFUSED) => Err(Halt::Refused(said)),
            Some(code) if said.is_empty() => Err(Halt::Failed(format!("what copies its data ended with {code}."))),
            Some(_) => Err(Halt::Failed(said)),
            None => Err(Halt::Failed("what copies its data was broken off.".to_owned())),
        }
    }

    /// Waits for `doing`, unless something else is wanted meanwhile.
    async fn unless_left<T>(
        &self,
        moving: &Moving<'_>,
        doing: impl Future<Output = Result<T, Halt>>,
    ) -> Result<T, Halt> {
        self.unless(moving, moving.step.traits().left, doing).await
    }

    /// The same of what is told to the old instance. It is not left half-way, for what undoes it might be overtaken, unless that
    /// is of no use any more.
    async fn unless_gone<T>(
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

    /// Has the server inside take writes again.
    pub(super) async fn thaw(&self, service: &Service) -> Done {
        let access = match self.access(service).await {
            Ok(access) => access,
            Err(done) => return done,
        };
        if let Some(upgrade) = definition(service.wish.kind).offer.as_ref().and_then(|offer| offer.upgrade) {
            let (wish, from, policy) = (&service.wish, service.address.hostname.as_str(), &self.settings.policy);
            let change = (upgrade.thaw)(&Transfer { wish, access: &access, policy, from, mark: "" });
            match self.engine.run(service.instance, &Command { limit: Some(TELLING), ..command(change) }).await {
                Ok(ended) if ended.exit_code == Some(0) => {}
                Ok(ended) => {
                    let why = access.redact(&ended.output);
                    let message = format!("The server inside does not take writes again yet: {why}");
                    return Done::Failed(Failure { code: ErrorCode::UpgradeFailed, message });
                }
                Err(error) => return error.into(),
            }
        }
        let mut after = service.clone();
        after.evidence.frozen = false;
        after.evidence.storage.forget_told();
        self.observe(service, &after, None, (self.clock)()).await.map_or_else(Done::StoreFailed, |_| Done::Tried)
    }

    /// Pulls the image that the service's version names, and has the service made anew from it where that is another one. Where
    /// it can't be pulled, one that bears the name already and is another will do.
    pub(super) async fn update_image(&self, service: &Service, task: TaskId) -> Done {
        let name = image(service);
        let pull = async |when| self.engine.pull(&name, when, watch::channel(None).0).await;
        let newest = match pull(Pull::Always).await {
            Ok(id) => id,
            Err(error) => match pull(Pull::Absent).await {
                Ok(id) if Some(&id) != service.evidence.image.as_ref() => id,
                _ => return error.into(),
            },
        };
        let open = match self.store.task_list_open(service.id).await {
            Ok(open) => open,
            Err(error) => return Done::StoreFailed(error),
        };
        let Some(task) = open.into_iter().find(|open| open.id == task) else { return Done::Tried };
        let now = (self.clock)();
        let mut after = service.clone();
        let event = if service.evidence.image.as_ref() == Some(&newest) {
            (after.operation, after.error) = (None, None);
            NewEvent::image_current(service, now)
        } else {
            after.evidence.image = None;
            after.state = ServiceState::Provisioning;
            let begun = after.operation.take().unwrap_or_else(|| Operation::queued(OperationKind::UpdateImage, now));
            after.operation = Some(Operation { phase: OperationPhase::Stopping, ..begun });
            NewEvent::image_pulled(service, now)
        };
        let tasks = &[task.done(now)];
        let write =
            Write { service: Some(&after), tasks, event: Some(&event), ..Write::new(self.term_of(service), now) };
        match self.store.commit(write).await {
            Ok(_) => {
                self.hints.project_changed(&service.project);
                Done::Tried
            }
            Err(error) => Done::StoreFailed(error),
        }
    }

    fn term_of<'a>(&self, read: &'a Service) -> Guard<'a> {
        Guard::Term { epoch: self.epoch(), read }
    }
}
