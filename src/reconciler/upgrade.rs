//! A service is brought to another version: an instance of that is made beside it, takes over the data, and takes its place.
//!
//! It is one step, which begins anew wherever it was broken off: until the place is taken, which is one write to the store,
//! the service is what it was, and what was made beside it is thrown away. Whatever is done to the old instance is noted
//! before, and put right here or by the rules.

use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::execute::{COMPLAINT, Done, command};
use super::replace::{Halt, Kept, Moving, instance_to_be};
use super::rules::Failure;
use super::steps::Step;
use super::{Reconciler, things};
use crate::catalog::definition;
use crate::catalog::deployment::Change;
use crate::catalog::upgrade::{REFUSED, Transfer, Upgrade};
use crate::domain::event::NewEvent;
use crate::domain::id::InstanceId;
use crate::domain::service::{ErrorCode, OperationPhase, Power, RunId, Service};
use crate::domain::task::{Task, TaskId};
use crate::engine::{Command, Pull};

mod progress;

/// How long a server may take to be told something.
const TELLING: Duration = Duration::from_secs(90);
/// How long a new instance may take to answer.
const READY: Duration = Duration::from_secs(300);
/// How long the data may take to go over, or to be counted.
const COPYING: Duration = Duration::from_secs(6 * 3600);

/// A service on its way to another version.
struct Upgrading<'a> {
    moving: Moving<'a>,
    upgrade: &'static Upgrade,
    /// The run of the old instance that was frozen.
    run: Option<RunId>,
    mark: String,
}

impl Reconciler {
    pub(super) async fn upgrade(&self, service: &Service, task: TaskId, interrupt: &Notify) -> Done {
        let mut upgrading = match self.upgrading(service, task, interrupt).await {
            Ok(upgrading) => upgrading,
            Err(done) => return done,
        };
        match self.bring_over(&mut upgrading).await {
            Ok(()) => {
                self.hints.project_changed(&service.project);
                Done::Tried
            }
            // What came of the last write nobody knows: the next look finds out.
            Err(Halt::Store(error)) => Done::StoreFailed(error),
            Err(halt) => self.undo(upgrading, halt).await,
        }
    }

    async fn upgrading<'a>(&self, service: &Service, id: TaskId, interrupt: &'a Notify) -> Result<Upgrading<'a>, Done> {
        let open = self.store.task_list_open(service.id).await.map_err(Done::StoreFailed)?;
        let Some(task) = open.into_iter().find(|task| task.id == id) else { return Err(Done::Tried) };
        let offer = definition(service.wish.kind).offer.as_ref();
        let able = offer.and_then(|offer| Some((offer, offer.can.upgrade.as_ref()?))).zip(task.version.clone());
        let Some(((offer, upgrade), version)) = able else {
            let message = "The catalog no longer offers a way to another version.".to_owned();
            return Err(Done::Failed(Failure { code: ErrorCode::UpgradeFailed, message }));
        };
        let moving = Moving {
            access: self.access(service).await?,
            service: service.clone(),
            step: Step::Upgrade(task.id),
            task,
            interrupt,
            offer,
            new: instance_to_be(service, &version),
            keeps: true,
        };
        Ok(Upgrading { moving, upgrade, run: None, mark: String::new() })
    }

    async fn bring_over(&self, upgrading: &mut Upgrading<'_>) -> Result<(), Halt> {
        let project = upgrading.moving.service.project.clone();
        let _slot = self.unless_left(&upgrading.moving, async { Ok(self.lanes.bulk(&project).await) }).await?;
        self.register(&mut upgrading.moving).await?;
        self.prepare(&upgrading.moving).await?;
        let Upgrade { check, freeze, compare, close, .. } = *upgrading.upgrade;
        let (old, new) = (upgrading.moving.service.instance, upgrading.moving.new.instance);
        self.unless_left(&upgrading.moving, self.instruct(upgrading, new, check, TELLING)).await?;

        let seen = self.engine.look(old, &self.image(&upgrading.moving.service)).await?;
        upgrading.run = seen.container.and_then(|container| container.run);
        self.note(upgrading, OperationPhase::CopyingData).await?;
        upgrading.mark = self.unless_gone(&upgrading.moving, self.instruct(upgrading, old, freeze, TELLING)).await?;
        self.copy(upgrading).await?;
        self.note(upgrading, OperationPhase::Comparing).await?;
        self.unless_left(&upgrading.moving, self.instruct(upgrading, new, compare, COPYING)).await?;

        self.note(upgrading, OperationPhase::Switching).await?;
        self.unless_gone(&upgrading.moving, self.instruct(upgrading, old, close, TELLING)).await?;
        self.shut_down(upgrading).await?;
        let told = |before: &Service, after: &Service, kept: Kept| {
            NewEvent::switched(before, after, kept.until.unwrap_or(kept.now), kept.now)
        };
        self.switch(&mut upgrading.moving, told).await
    }

    /// Makes the new instance, at an address of its own, and waits until it answers.
    async fn prepare(&self, moving: &Moving<'_>) -> Result<(), Halt> {
        let id = moving.new.instance;
        let image = self.image(&moving.new);
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

    /// Shuts both down, the old one for good. What either of them was told holds for its run.
    async fn shut_down(&self, upgrading: &mut Upgrading<'_>) -> Result<(), Halt> {
        let grace = upgrading.moving.offer.stop_grace;
        let (old, new) = (upgrading.moving.service.instance, upgrading.moving.new.instance);
        let (stopped, shut) = tokio::join!(self.engine.stop(old, grace), self.engine.stop(new, grace));
        stopped?;
        shut?;
        let before = self.engine.look(old, &self.image(&upgrading.moving.service)).await?.container;
        if before.and_then(|container| container.run) != upgrading.run {
            return Err(Halt::Failed("it was restarted while it was being copied.".to_owned()));
        }
        self.note_end_of_new(&mut upgrading.moving).await?;
        self.clear_places(&upgrading.moving).await
    }

    /// The service goes on as what it was.
    async fn undo(&self, upgrading: Upgrading<'_>, halt: Halt) -> Done {
        let moving = &upgrading.moving;
        let row = match self.unswitched(moving).await {
            Ok(row) => row,
            Err(done) => return done,
        };
        let mut frozen = moving.service.evidence.frozen;
        if frozen
            && row.wish.power != Power::Deleted
            && self.instruct(&upgrading, moving.service.instance, upgrading.upgrade.thaw, TELLING).await.is_ok()
        {
            frozen = false;
        }
        let (old, new) = (&moving.service.wish.version, &moving.new.wish.version);
        let failed = halt.told().map(|(why, for_good)| {
            let message = format!("It could not be brought to version {new}, and is what it was in {old}: {why}");
            self.failed(&moving.task, Failure { code: ErrorCode::UpgradeFailed, message }, for_good)
        });
        let mend = |after: &mut Service, _: Option<&Task>| {
            after.evidence.frozen &= frozen;
            after.evidence.storage.forget_told();
        };
        self.take_back(moving, failed, mend).await
    }

    /// Writes down how far it is, and from the first copy on that the service may take no writes.
    async fn note(&self, upgrading: &mut Upgrading<'_>, phase: OperationPhase) -> Result<(), Halt> {
        self.note_phase(&mut upgrading.moving, phase, |after| after.evidence.frozen = true).await
    }

    /// Has an instance do what a step of the upgrade calls for, and gives what it says.
    async fn instruct(
        &self,
        upgrading: &Upgrading<'_>,
        on: InstanceId,
        make: fn(&Transfer<'_>) -> Change,
        limit: Duration,
    ) -> Result<String, Halt> {
        let moving = &upgrading.moving;
        let transfer = Transfer {
            wish: &moving.service.wish,
            access: &moving.access,
            policy: &self.settings.policy,
            from: &moving.service.address.hostname,
            mark: &upgrading.mark,
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

    /// Has the server inside take writes again.
    pub(super) async fn thaw(&self, service: &Service) -> Done {
        let access = match self.access(service).await {
            Ok(access) => access,
            Err(done) => return done,
        };
        if let Some(upgrade) = definition(service.wish.kind).offer.as_ref().and_then(|offer| offer.can.upgrade) {
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
}
