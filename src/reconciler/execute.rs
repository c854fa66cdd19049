//! One step on the engine, for one service.

use std::time::Duration;

use tokio::sync::Notify;

use super::rules::Failure;
use super::steps::{Left, Step};
use super::{Reconciler, things};
use crate::catalog::access::Access;
use crate::catalog::deployment::{Change, Deployment};
use crate::catalog::{definition, free_port};
use crate::crypto::Sealed;
use crate::domain::event::NewEvent;
use crate::domain::id::InstanceId;
use crate::domain::observed::ContainerStatus;
use crate::domain::service::{ErrorCode, OperationKind, Power, RunId, Service, ServiceState, Wish};
use crate::engine::{Command, EngineError, Target, Thing};
use crate::store::{Guard, Reseal, ServiceFilter, StoreError, Write};
use crate::telemetry::traces;

/// How long a server may take what it is told, such as its passwords; longer than what tells it tries.
const TELLING: Duration = Duration::from_secs(30);
/// How much is kept of what is said of a change that failed, in bytes.
pub(super) const COMPLAINT: usize = 2000;
/// How long a check for readiness waits for a hint that it may be worth while.
const HINT_PATIENCE: Duration = Duration::from_secs(8);

/// What a step came to.
pub(super) enum Done {
    /// It was tried, or something newer came up; look again.
    Tried,
    /// The server inside answered.
    Ready(RunId),
    /// The task is done; this is the event of it.
    Finished(NewEvent),
    Failed(Failure),
    /// It failed, and that is written down.
    Noted(Failure),
    StoreFailed(StoreError),
}

impl Done {
    /// What it is called in metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Tried | Self::Ready(_) | Self::Finished(_) => "OK",
            Self::Failed(failure) | Self::Noted(failure) => failure.code.as_str(),
            Self::StoreFailed(StoreError::Stale) => traces::OVERTAKEN,
            Self::StoreFailed(_) => "UNAVAILABLE",
        }
    }
}

impl From<EngineError> for Done {
    fn from(error: EngineError) -> Self {
        Self::Failed(failure(&error))
    }
}

/// What a viewer reads of an engine error. The cause goes to the log.
pub(super) fn failure(error: &EngineError) -> Failure {
    match error {
        EngineError::Unavailable(_) => Failure {
            code: ErrorCode::EngineUnavailable,
            message: "The engine is not reachable; it is tried again.".to_owned(),
        },
        EngineError::Unknown(_) => Failure {
            code: ErrorCode::EngineUnavailable,
            message: "The engine did not answer in time; it is tried again.".to_owned(),
        },
        EngineError::Refused { code, message } => Failure { code: *code, message: message.clone() },
    }
}

impl Reconciler {
    /// Does `step`, whose parts are too large to lie on the stack within each other. `interrupt` tells that something may have changed: it is then looked whether the step still makes sense.
    /// What came of one that is left, the look that follows finds out.
    pub(super) async fn execute(&self, service: &Service, step: &Step, interrupt: &Notify) -> Done {
        if let Step::Upgrade(task) = step {
            return Box::pin(self.upgrade(service, *task, interrupt)).await;
        }
        if let Step::Restore(task) = step {
            return Box::pin(self.restore(service, *task, interrupt)).await;
        }
        let left = step.traits().left;
        let mut attempt = Box::pin(self.attempt(service, step));
        loop {
            tokio::select! {
                done = &mut attempt => return done,
                () = interrupt.notified() => if self.is_left(service, step, left).await { return Done::Tried },
            }
        }
    }

    async fn attempt(&self, service: &Service, step: &Step) -> Done {
        let outcome = match step {
            Step::PullImage => {
                let _slot = self.lanes.bulk(&service.project).await;
                return self.pull(service).await;
            }
            Step::AwaitReady(run) => return self.await_ready(service, run).await,
            Step::Join(run) => return self.join(service, run).await,
            Step::RotateCredentials(_) => return self.rotate(service).await,
            // Seen to where it is executed.
            Step::Upgrade(_) | Step::Restore(_) => return Done::Tried,
            Step::UpdateImage(task) => {
                let _slot = self.lanes.bulk(&service.project).await;
                return self.update_image(service, *task).await;
            }
            Step::Thaw => return self.thaw(service).await,
            Step::Retire(instance) => return self.retire(service, *instance).await,
            Step::Purge(instance) => return self.purge(service, *instance).await,
            Step::ChangePort => return self.change_port(service).await,
            Step::Discard | Step::Remove => return self.remove(service).await,
            Step::CreateStorage => match self.engine.ensure(&Thing::Network(service.project.clone())).await {
                Ok(()) => self.engine.ensure(&things::volume(service)).await,
                Err(error) => Err(error),
            },
            Step::Connect => self.engine.ensure(&Thing::Endpoint(things::endpoint(service))).await,
            Step::CreateContainer => return self.create_container(service).await,
            Step::Adjust(limits) => return self.adjust(service, limits).await,
            Step::GrowStorage => return self.grow_storage(service).await,
            Step::Tell => return self.tell_size(service).await,
            Step::ForbidWrites => return self.forbid_writes(service).await,
            Step::AllowWrites => return self.allow_writes(service).await,
            Step::Refresh => return self.refresh(service).await,
            Step::Replace | Step::Renew => return self.replace(service).await,
            Step::Start => match self.deployment(service).await {
                Ok(deployment) => self.engine.start(service.instance, &deployment).await,
                Err(done) => return done,
            },
            Step::Stop => {
                let grace = definition(service.wish.kind).offer.as_ref().map(|offer| offer.stop_grace);
                self.engine.stop(service.instance, grace.unwrap_or_default()).await
            }
        };
        outcome.map_or_else(Done::from, |()| Done::Tried)
    }

    pub(super) async fn create_container(&self, service: &Service) -> Done {
        let deployment = match self.deployment(service).await {
            Ok(deployment) => deployment,
            Err(done) => return done,
        };
        let container = things::container(service, self.image(service), deployment);
        self.engine.ensure(&container).await.map_or_else(Done::from, |()| Done::Tried)
    }

    pub(super) async fn is_left(&self, service: &Service, step: &Step, left: Left) -> bool {
        if left.deleted || left.superseded {
            match self.store.service_get(service.id).await {
                Ok(Some(row)) if left.superseded && row.generation != service.generation => return true,
                Ok(Some(row)) if left.deleted && row.wish.power == Power::Deleted => return true,
                // Who can't be told in time is stopped.
                Ok(Some(row)) if *step == Step::ForbidWrites && row.evidence.storage.is_stopped((self.clock)()) => {
                    return true;
                }
                Ok(None) => return true,
                Ok(Some(_)) | Err(_) => {}
            }
        }
        let over = match step {
            Step::AwaitReady(run) => left.ended && !self.still_runs(service, run).await,
            Step::Restore(_) => self.is_held_up(service).await,
            _ => false,
        };
        over || (left.silent && self.is_silent(service).await)
    }

    async fn is_silent(&self, service: &Service) -> bool {
        let looked = self.engine.look(service.instance, &self.image(service)).await;
        matches!(looked, Err(EngineError::Unavailable(_) | EngineError::Unknown(_)))
    }

    /// Removes what the service had, and its project's network if no service stays that uses it. Of several that are
    /// destroyed at once each tries that, and the one whose container goes last succeeds.
    async fn remove(&self, service: &Service) -> Done {
        let spare = match self.store.instance_list(service.id).await {
            Ok(instances) => instances,
            Err(error) => return Done::StoreFailed(error),
        };
        for instance in spare.iter().map(|instance| instance.id).chain([service.instance]) {
            if let Err(error) = self.remove_instance(instance).await {
                return error.into();
            }
        }
        if let Err(error) = self.forget(service, &spare).await {
            return Done::StoreFailed(error);
        }
        match self.is_last_of_project(service).await {
            Ok(true) => {
                let removed = self.engine.remove(&Target::Network(service.project.clone())).await;
                removed.map_or_else(Done::from, |()| Done::Tried)
            }
            Ok(false) => Done::Tried,
            Err(error) => Done::StoreFailed(error),
        }
    }

    /// Whether all that the project has is going as well, whatever state a newer version may have for what stays.
    async fn is_last_of_project(&self, service: &Service) -> Result<bool, StoreError> {
        let states = Some(vec![ServiceState::Destroying]);
        let all = ServiceFilter::default();
        let those = ServiceFilter { states, ..ServiceFilter::default() };
        let going = async || self.store.service_count(&service.project, &those).await;
        let mut before = going().await?;
        loop {
            // In this order, so that one that is gone in between counts as staying.
            let there = self.store.service_count(&service.project, &all).await?;
            let now = going().await?;
            if there <= now {
                return Ok(true);
            }
            // Of two that go at the same time each may take the other one for what stays.
            if now == before {
                return Ok(false);
            }
            before = now;
        }
    }

    /// Removes the container, to make it anew. A volume that was laid out for it goes as well, but only if nothing is in it:
    /// whoever has the credentials may have used a server that answered before that was noted.
    async fn replace(&self, service: &Service) -> Done {
        let instance = service.instance;
        let target = match &definition(service.wish.kind).offer {
            Some(offer) if !service.evidence.initialised => {
                // The engine must not bring it back between the look into its volume and the removal.
                if let Err(error) = self.engine.stop(instance, offer.stop_grace).await {
                    return error.into();
                }
                Target::Unused { instance, data_path: offer.data_path }
            }
            _ => Target::Container(instance),
        };
        self.engine.remove(&target).await.map_or_else(Done::from, |()| Done::Tried)
    }

    /// What is there knows the old port, and nobody has used it yet.
    async fn change_port(&self, service: &Service) -> Done {
        let (Some(publishing), Some(published)) = (&self.settings.publishing, service.address.published) else {
            return Done::Failed(Failure {
                code: ErrorCode::PortInUse,
                message: "The host port that it is published on is taken by something else.".to_owned(),
            });
        };
        if let Err(error) = self.engine.remove(&Target::Container(service.instance)).await {
            return error.into();
        }
        let taken = match self.store.port_list().await {
            Ok(taken) => taken,
            Err(error) => return Done::StoreFailed(error),
        };
        let mut after = service.clone();
        let kind = service.wish.kind;
        let next = free_port(publishing, kind, &taken, publishing.place_behind(published.port));
        after.address.published = next.or(Some(published));
        match self.observe(service, &after, None, (self.clock)()).await {
            Ok(_) => {
                self.hints.project_changed(&service.project);
                Done::Tried
            }
            Err(StoreError::PortTaken) => Done::Tried,
            Err(error) => Done::StoreFailed(error),
        }
    }

    async fn await_ready(&self, service: &Service, run: &RunId) -> Done {
        let deployment = match self.deployment(service).await {
            Ok(deployment) => deployment,
            Err(done) => return done,
        };
        let hint = deployment.ready_hint.filter(|_| !service.evidence.initialised);
        let deadline = service.operation.as_ref().and_then(|operation| operation.deadline);
        let left = deadline.map_or(Duration::from_secs(300), |deadline| {
            deadline.duration_since((self.clock)()).try_into().unwrap_or_default()
        });
        let wait = self.answers(service.instance, deployment.ready_check, hint);
        match tokio::time::timeout(left, wait).await {
            Ok(Ok(true)) => Done::Ready(run.clone()),
            Ok(Ok(false)) => self.why_not_ready(service, run).await,
            Ok(Err(error)) => error.into(),
            Err(_) => Done::Tried,
        }
    }

    /// Neither of the two needs the other.
    async fn join(&self, service: &Service, run: &RunId) -> Done {
        let endpoint = Thing::Endpoint(things::endpoint(service));
        let ready = async {
            match self.answers_at_once(service.instance).await {
                true => Done::Ready(run.clone()),
                false => self.await_ready(service, run).await,
            }
        };
        let (connected, ready) = tokio::join!(self.engine.ensure(&endpoint), ready);
        match connected {
            Ok(()) => ready,
            Err(error) => error.into(),
        }
    }

    /// Waits until the server in the running container answers `check`, which may take long; false where the container ended
    /// or the check gave up. With a `hint`, `check` begins when the container's output has it, or a few seconds later: until
    /// then it would only take CPU time from what it waits for.
    pub(super) async fn answers(
        &self,
        instance: InstanceId,
        check: Vec<String>,
        hint: Option<&str>,
    ) -> Result<bool, EngineError> {
        if let Some(hint) = hint {
            // Whatever becomes of it: the check is what tells.
            let _ = tokio::time::timeout(HINT_PATIENCE, self.engine.await_output(instance, hint)).await;
        }
        let command = Command { words: check, ..Command::default() };
        match self.engine.run(instance, &command).await {
            Ok(ended) => Ok(ended.exit_code == Some(0)),
            Err(EngineError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has the server inside take what the store holds. Once it takes a password to be, that one is put into the store as
    /// the password; the look that follows then has the server take it alone. Whatever is broken off is done again, and at
    /// each point a password that the server takes is in the store.
    async fn rotate(&self, service: &Service) -> Done {
        let (sealed, access) = match self.unsealed(service).await {
            Ok(unsealed) => unsealed,
            Err(done) => return done,
        };
        let rotation = definition(service.wish.kind).offer.as_ref().and_then(|offer| offer.can.rotation);
        let Some(rotation) = rotation else { return Done::Failed(withdrawn()) };
        let command = command((rotation.change)(&service.wish, &access));
        let complaint = match self.engine.run(service.instance, &command).await {
            Ok(ended) if ended.exit_code == Some(0) => None,
            Ok(ended) => Some(ended.output),
            Err(error) => Some(failure(&error).message),
        };
        if let Some(complaint) = complaint {
            let why = access.redact(&complaint);
            let message = format!("Its password could not be changed yet: {why}");
            return Done::Failed(Failure { code: ErrorCode::RotationFailed, message });
        }
        let Some(promoted) = access.promoted() else {
            return Done::Finished(NewEvent::credentials_rotated(service, (self.clock)()));
        };
        let new = match self.sealer.seal(service.id, &promoted.to_bytes()) {
            Ok(new) => new,
            Err(error) => return Done::StoreFailed(StoreError::Failed(error.into())),
        };
        let reseal = Reseal { old: sealed, new };
        let guard = Guard::Term { epoch: self.epoch(), read: service };
        let write = Write { sealed: Some(&reseal), ..Write::new(guard, (self.clock)()) };
        // Where somebody was quicker, such as a rotation of keys, it is done again.
        self.store.commit(write).await.map_or_else(Done::StoreFailed, |_| Done::Tried)
    }

    /// Has the server inside take `change`; where it does not, that is told after `complaint`.
    pub(super) async fn tell(
        &self,
        service: &Service,
        change: fn(&Wish, &Access) -> Change,
        complaint: &str,
    ) -> Result<(), Done> {
        let access = self.access(service).await?;
        let command = command(change(&service.wish, &access));
        match self.engine.run(service.instance, &command).await {
            Ok(ended) if ended.exit_code == Some(0) => Ok(()),
            Ok(ended) => {
                let message = format!("{complaint}: {}", access.redact(&ended.output));
                Err(Done::Failed(Failure { code: ErrorCode::EngineRefused, message }))
            }
            Err(error) => Err(Done::Failed(failure(&error))),
        }
    }

    /// A run that is over is the next look's business; one that goes on and does not answer is a failure.
    async fn why_not_ready(&self, service: &Service, run: &RunId) -> Done {
        if !self.still_runs(service, run).await {
            return Done::Tried;
        }
        Done::Failed(Failure {
            code: ErrorCode::StartTimeout,
            message: "The server inside did not answer its health check in time.".to_owned(),
        })
    }

    async fn still_runs(&self, service: &Service, run: &RunId) -> bool {
        match self.engine.look(service.instance, &self.image(service)).await {
            Ok(observed) => observed.container.is_some_and(|container| {
                container.status == ContainerStatus::Running && container.run.as_ref() == Some(run)
            }),
            // The next look tells what is known then.
            Err(_) => false,
        }
    }

    pub(super) async fn deployment(&self, service: &Service) -> Result<Deployment, Done> {
        let access = self.access(service).await?;
        let offer = definition(service.wish.kind).offer.as_ref().ok_or_else(|| Done::Failed(withdrawn()))?;
        let mut deployment = (offer.deployment)(&service.wish, &access, &self.settings.policy);
        if service.evidence.initialised {
            deployment.expect_data();
        }
        let repairs = service.operation.as_ref().is_some_and(|operation| operation.kind == OperationKind::Repair);
        let repair = offer.can.repair.filter(|_| repairs).map(|repair| repair(&access, &self.settings.policy));
        deployment.files.extend(repair);
        Ok(deployment)
    }

    pub(super) async fn access(&self, service: &Service) -> Result<Access, Done> {
        self.unsealed(service).await.map(|(_, access)| access)
    }

    async fn unsealed(&self, service: &Service) -> Result<(Sealed, Access), Done> {
        let unreadable = |why: String| {
            tracing::error!(service = %service.id, why, "The sealed credentials do not open");
            Done::Failed(Failure {
                code: ErrorCode::CredentialsUnreadable,
                message: "No key in the key ring opens the service's credentials.".to_owned(),
            })
        };
        let sealed = self.store.sealed_get(service.id).await.map_err(Done::StoreFailed)?;
        let sealed = sealed.ok_or_else(|| unreadable("there are none".to_owned()))?;
        let clear = self.sealer.open(service.id, &sealed).map_err(|error| unreadable(error.to_string()))?;
        let access = Access::from_bytes(&clear).map_err(|error| unreadable(error.to_string()))?;
        Ok((sealed, access))
    }
}

/// What tells a running server something.
pub(super) fn command(change: Change) -> Command {
    Command {
        words: change.command,
        user: Some(change.user),
        input: Some(change.input),
        kept: COMPLAINT,
        limit: Some(TELLING),
    }
}

fn withdrawn() -> Failure {
    Failure {
        code: ErrorCode::CredentialsUnreadable,
        message: "The catalog no longer offers this kind of service.".to_owned(),
    }
}
