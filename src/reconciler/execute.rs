//! One action on the engine, for one service.

use std::future::Future;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::Reconciler;
use super::plan::{Action, Failure};
use crate::catalog::access::Access;
use crate::catalog::definition;
use crate::catalog::deployment::Deployment;
use crate::crypto::Sealed;
use crate::domain::event::NewEvent;
use crate::domain::service::{ContainerStatus, Desired, ErrorCode, RunId, Service, ServiceState};
use crate::engine::{EngineError, Readiness};
use crate::store::{ServiceFilter, StoreError};

/// How often at most the progress of a pull is written down, in milliseconds.
const PROGRESS_INTERVAL: i64 = 1000;

/// What an action came to.
pub(super) enum Done {
    /// It was tried, or something newer came up; look again.
    Tried,
    /// The server inside answered.
    Ready(RunId),
    /// The server inside takes the password that is in the store, and no other.
    Rotated,
    Failed(Failure),
    StoreFailed(StoreError),
}

impl Done {
    /// What it is called in metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Tried | Self::Ready(_) | Self::Rotated => "OK",
            Self::Failed(failure) => failure.code.as_str(),
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
    /// Does `action`. `interrupt` tells that something may have changed: a long wait then looks whether it still makes
    /// sense, and ends if not.
    pub(super) async fn execute(&self, service: &Service, action: &Action, interrupt: &Notify) -> Done {
        let outcome = match action {
            Action::PullImage => return self.pull(service, interrupt).await,
            Action::AwaitReady(run) => return self.await_ready(service, run, interrupt).await,
            Action::RotateCredentials => return self.rotate(service, interrupt).await,
            Action::Remove => return self.remove(service).await,
            Action::CreateStorage => self.unless_silent(service, self.engine.ensure_storage(service), interrupt).await,
            Action::Connect => self.unless_silent(service, self.engine.ensure_connected(service), interrupt).await,
            Action::CreateContainer => match self.deployment(service).await {
                Ok(deployment) => {
                    let create = self.engine.ensure_container(service, &deployment);
                    self.unless_silent(service, create, interrupt).await
                }
                Err(done) => return done,
            },
            Action::Start => match self.deployment(service).await {
                Ok(deployment) => {
                    let start = self.engine.ensure_started(service, &deployment);
                    self.unless_silent(service, start, interrupt).await
                }
                Err(done) => return done,
            },
            Action::Stop => {
                let grace = definition(service.spec.kind).offer.as_ref().map(|offer| offer.stop_grace);
                let stop = self.engine.ensure_stopped(service.id, grace.unwrap_or_default());
                self.unless_destroyed(service, stop, interrupt).await
            }
        };
        outcome.map_or_else(Done::from, |()| Done::Tried)
    }

    /// Makes a call that may take long, and leaves it where the engine has fallen silent. The look that follows finds out
    /// what came of it.
    async fn unless_silent(
        &self,
        service: &Service,
        call: impl Future<Output = Result<(), EngineError>>,
        interrupt: &Notify,
    ) -> Result<(), EngineError> {
        let mut call = std::pin::pin!(call);
        loop {
            tokio::select! {
                outcome = &mut call => return outcome,
                () = interrupt.notified() => if self.is_silent(service).await { return Ok(()) },
            }
        }
    }

    /// The same for a stop, which is also left where the service is to be destroyed: a removal does not wait for a
    /// shutdown. What makes something is not left for that: it might come to be after the removal.
    async fn unless_destroyed(
        &self,
        service: &Service,
        stop: impl Future<Output = Result<(), EngineError>>,
        interrupt: &Notify,
    ) -> Result<(), EngineError> {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                outcome = &mut stop => return outcome,
                () = interrupt.notified() => {
                    let row = self.store.service_get(service.id).await;
                    let destroyed = matches!(row, Ok(Some(row)) if row.desired == Desired::Destroyed);
                    if destroyed || self.is_silent(service).await {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn is_silent(&self, service: &Service) -> bool {
        let looked = self.engine.inspect(service.id, &image(service)).await;
        matches!(looked, Err(EngineError::Unavailable(_) | EngineError::Unknown(_)))
    }

    /// Removes what the service had, and its project's network if no service stays that uses it. Of several that are
    /// destroyed at once each tries that, and the one whose container goes last succeeds.
    async fn remove(&self, service: &Service) -> Done {
        if let Err(error) = self.engine.ensure_removed(service.id).await {
            return error.into();
        }
        let gone = [ServiceState::Destroying, ServiceState::Destroyed];
        let staying = ServiceState::ALL.iter().copied().filter(|state| !gone.contains(state)).collect();
        let filter = ServiceFilter { states: Some(staying), ..ServiceFilter::default() };
        let staying = match self.store.service_count(&service.project, &filter).await {
            Ok(staying) => staying,
            Err(error) => return Done::StoreFailed(error),
        };
        let removed = if staying == 0 { self.engine.ensure_network_removed(&service.project).await } else { Ok(()) };
        removed.map_or_else(Done::from, |()| Done::Tried)
    }

    async fn await_ready(&self, service: &Service, run: &RunId, interrupt: &Notify) -> Done {
        let deployment = match self.deployment(service).await {
            Ok(deployment) => deployment,
            Err(done) => return done,
        };
        let hint = deployment.ready_hint.filter(|_| !service.evidence.initialised);
        let mut wait = std::pin::pin!(self.engine.await_ready(service.id, &deployment.ready_check, hint));
        let deadline = service.operation.as_ref().and_then(|operation| operation.deadline);
        let left = deadline.map_or(std::time::Duration::from_secs(300), |deadline| {
            deadline.duration_since((self.clock)()).try_into().unwrap_or_default()
        });
        let mut late = std::pin::pin!(tokio::time::sleep(left));
        loop {
            tokio::select! {
                outcome = &mut wait => return match outcome {
                    Ok(Readiness::Ready) => Done::Ready(run.clone()),
                    Ok(Readiness::NotReady) => self.why_not_ready(service, run).await,
                    Err(error) => error.into(),
                },
                () = &mut late => return Done::Tried,
                () = interrupt.notified() => {
                    if self.is_superseded(service).await || !self.still_runs(service, run).await {
                        return Done::Tried;
                    }
                }
            }
        }
    }

    /// Has the server inside take what the store holds. Once it takes a password to be, that one is put into the store as
    /// the password; the look that follows then has the server take it alone. Whatever is broken off is done again, and at
    /// each point a password that the server takes is in the store.
    async fn rotate(&self, service: &Service, interrupt: &Notify) -> Done {
        let (sealed, access) = match self.unsealed(service).await {
            Ok(unsealed) => unsealed,
            Err(done) => return done,
        };
        let Some(offer) = &definition(service.spec.kind).offer else { return Done::Failed(withdrawn()) };
        let admission = (offer.admission)(&service.spec, &access);
        let mut admit = std::pin::pin!(self.engine.ensure_admitted(service.id, &admission));
        let admitted = loop {
            tokio::select! {
                outcome = &mut admit => break outcome,
                () = interrupt.notified() => {
                    if self.is_superseded(service).await || self.is_silent(service).await {
                        return Done::Tried;
                    }
                }
            }
        };
        if let Err(error) = admitted {
            let why = access.redact(&failure(&error).message);
            let message = format!("Its password could not be changed yet: {why}");
            return Done::Failed(Failure { code: ErrorCode::RotationFailed, message });
        }
        let Some(promoted) = access.promoted() else { return Done::Rotated };
        let replaced = match self.sealer.seal(service.id, &promoted.to_bytes()) {
            Ok(new) => self.store.sealed_promote(self.epoch(), service.id, &sealed, &new).await,
            Err(error) => Err(StoreError::Failed(error.into())),
        };
        // Where a rotation of keys was quicker, it is done again.
        replaced.map_or_else(Done::StoreFailed, |_| Done::Tried)
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
        match self.engine.inspect(service.id, &image(service)).await {
            Ok(observed) => observed.container.is_some_and(|container| {
                container.status == ContainerStatus::Running && container.run.as_ref() == Some(run)
            }),
            // The next look tells what is known then.
            Err(_) => false,
        }
    }

    async fn is_superseded(&self, service: &Service) -> bool {
        match self.store.service_get(service.id).await {
            Ok(Some(now)) => now.generation != service.generation,
            Ok(None) => true,
            Err(_) => false,
        }
    }

    async fn pull(&self, service: &Service, interrupt: &Notify) -> Done {
        let (sender, mut progress) = watch::channel(None);
        let image = image(service);
        let mut pull = std::pin::pin!(self.engine.ensure_image(&image, sender));
        let mut service = service.clone();
        let mut written_at = Timestamp::UNIX_EPOCH;
        loop {
            tokio::select! {
                outcome = &mut pull => return outcome.map_or_else(Done::from, |()| Done::Tried),
                Ok(()) = progress.changed() => {
                    let now = (self.clock)();
                    if now.as_millisecond() - written_at.as_millisecond() < PROGRESS_INTERVAL {
                        continue;
                    }
                    written_at = now;
                    let percent = *progress.borrow_and_update();
                    match self.note_progress(&service, percent, now).await {
                        Ok(noted) => service = noted,
                        Err(StoreError::Stale) => return Done::Tried,
                        Err(error) => return Done::StoreFailed(error),
                    }
                }
                () = interrupt.notified() => {
                    if self.is_superseded(&service).await || self.is_silent(&service).await {
                        return Done::Tried;
                    }
                }
            }
        }
    }

    async fn note_progress(
        &self,
        service: &Service,
        percent: Option<u8>,
        now: Timestamp,
    ) -> Result<Service, StoreError> {
        let mut after = service.clone();
        if let Some(operation) = &mut after.operation {
            operation.progress_percent = percent;
        }
        let event = NewEvent::of_change(service, &after, None, now);
        let noted = self.observe(service, &after, event.as_ref(), now).await?;
        self.hints.project_changed(&service.project);
        Ok(noted)
    }

    async fn deployment(&self, service: &Service) -> Result<Deployment, Done> {
        let access = self.access(service).await?;
        let offer = definition(service.spec.kind).offer.as_ref().ok_or_else(|| Done::Failed(withdrawn()))?;
        let mut deployment = (offer.deployment)(&service.spec, &access);
        if service.evidence.initialised {
            deployment.expect_data();
        }
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

fn withdrawn() -> Failure {
    Failure {
        code: ErrorCode::CredentialsUnreadable,
        message: "The catalog no longer offers this kind of service.".to_owned(),
    }
}

/// The image that a service runs.
pub(super) fn image(service: &Service) -> String {
    definition(service.spec.kind).image(&service.spec.version)
}
