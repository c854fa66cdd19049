//! What to do next about one service: pure, from what is desired, what was observed and the time, to what has to be
//! noted and at most one action. It takes no word of what changed; it is given what is.

use jiff::{SignedDuration, Timestamp};

use crate::catalog::deployment::DATA_GONE;
use crate::domain::service::{
    Container, ContainerStatus, Desired, ErrorCode, Health, Observed, Operation, OperationKind, OperationPhase, RunId,
    Service, ServiceError, ServiceState, Volume,
};

mod action;
mod crash;

pub use action::Action;
use crash::{STABLE, pause};

/// How many refusals in a row, or unasked ends since it was last stable, make an ERROR.
const LIMIT: u32 = 3;
/// How long an engine may be silent before what was RUNNING no longer counts as known.
const SILENCE: SignedDuration = SignedDuration::from_secs(10);
/// How soon to look again at what the engine is about to change.
const SOON: SignedDuration = SignedDuration::from_secs(1);

/// What comes of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The service as it has to be stored before the action is tried.
    pub after: Service,
    pub action: Option<Action>,
    /// Why, for logs and metrics.
    pub reason: &'static str,
    /// When to look again even if nobody wakes us; None: at the next tick.
    pub again: Option<Timestamp>,
}

/// What a look at the engine came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    Seen(Observed),
    /// The engine did not tell.
    Unseen(Failure),
}

/// Why an action or a look failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: ErrorCode,
    pub message: String,
}

/// What is remembered of a service between looks, and may be lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Actions that failed since one succeeded.
    pub failures: u32,
    pub last: Option<Failure>,
    /// Not to be tried again before this.
    pub not_before: Option<Timestamp>,
    /// Since when looks have failed.
    pub unseen_since: Option<Timestamp>,
    /// The run whose server answered just now, until that is noted.
    pub answered: Option<RunId>,
    /// The server took the new password only, until that is noted.
    pub rotated: bool,
}

/// How long an operation may take once it has begun. Destroying never gives up, and a rotation is given up by the number of
/// its failures.
fn time_limit(kind: OperationKind) -> Option<SignedDuration> {
    match kind {
        // A pull of several hundred megabytes on a slow line is in it.
        OperationKind::Provision => Some(SignedDuration::from_mins(15)),
        OperationKind::Start | OperationKind::Restart | OperationKind::Recover => Some(SignedDuration::from_mins(5)),
        OperationKind::Stop => Some(SignedDuration::from_mins(3)),
        OperationKind::Destroy | OperationKind::RotateCredentials => None,
    }
}

pub fn plan(service: &Service, look: &Look, attempts: &Attempts, now: Timestamp) -> Plan {
    // A rotation leads to no state. It is shown only while there is nothing else to do, so that all else is decided without it.
    let mut bare = service.clone();
    let rotation = bare.operation.take_if(|operation| operation.kind == OperationKind::RotateCredentials);
    let planner = Planner { service: &bare, rotation, attempts, now, after: bare.clone() };
    match look {
        Look::Unseen(failure) => planner.unseen(failure),
        Look::Seen(observed) => planner.seen(observed),
    }
}

struct Planner<'a> {
    service: &'a Service,
    /// The operation under way, where it is a rotation of credentials; then `service` has none.
    rotation: Option<Operation>,
    attempts: &'a Attempts,
    now: Timestamp,
    after: Service,
}

impl Planner<'_> {
    fn unseen(mut self, failure: &Failure) -> Plan {
        let silent = self.attempts.unseen_since.is_some_and(|since| self.now.duration_since(since) >= SILENCE);
        match self.service.state {
            ServiceState::Destroyed => return self.settled("destroyed"),
            ServiceState::Pending | ServiceState::Destroying => self.set_error(failure),
            ServiceState::Stopped if self.service.operation.is_some() => self.set_error(failure),
            ServiceState::Running | ServiceState::Provisioning if silent => {
                self.after.state = ServiceState::Error;
                // What has begun is taken up anew when the engine is back; what has not goes on waiting.
                self.after.operation = self.after.operation.filter(|o| o.phase == OperationPhase::Queued);
                self.set_error(failure);
            }
            _ => self.after.operation = self.after.operation.or(self.rotation),
        }
        let again = self.attempts.not_before.or(Some(self.now + SOON));
        Plan { after: self.after, action: None, reason: "the engine does not tell", again }
    }

    fn seen(mut self, observed: &Observed) -> Plan {
        if self.attempts.answered.is_some() {
            self.after.evidence.ready_run.clone_from(&self.attempts.answered);
        }
        if self.service.state != ServiceState::Error
            && self.service.error.as_ref().is_some_and(|error| error.code == ErrorCode::EngineUnavailable)
        {
            self.after.error = None;
        }
        match self.service.desired {
            _ if self.service.state == ServiceState::Destroyed => self.settled("destroyed"),
            Desired::Destroyed => self.towards_destroyed(observed),
            Desired::Stopped => self.towards_stopped(observed),
            Desired::Running => self.towards_running(observed),
        }
    }

    fn towards_destroyed(mut self, observed: &Observed) -> Plan {
        // Also where neither is there a removal is tried once: the project's network may be left.
        let tried = self.service.operation.as_ref().is_some_and(|o| o.phase == OperationPhase::Removing);
        if tried && observed.container.is_none() && matches!(observed.volume, Volume::Absent | Volume::Foreign) {
            self.after.state = ServiceState::Destroyed;
            self.after.operation = None;
            self.after.error = None;
            return self.settled("nothing of it is left");
        }
        self.after.state = ServiceState::Destroying;
        if let Some(failure) = &self.attempts.last {
            self.set_error(failure);
        }
        self.act(OperationKind::Destroy, OperationPhase::Removing, Action::Remove, "it is to be destroyed")
    }

    fn towards_stopped(mut self, observed: &Observed) -> Plan {
        let lost = self.is_volume_lost(observed);
        let Some(container) = &observed.container else {
            if lost {
                return self.volume_lost();
            }
            return self.stopped(None);
        };
        match container.status {
            ContainerStatus::Removing => self.wait(SOON, "its container is being removed"),
            ContainerStatus::Created | ContainerStatus::Exited { .. } if !container.restarts => {
                if lost {
                    return self.volume_lost();
                }
                self.stopped(container.run.clone())
            }
            _ => {
                if let Some(plan) = self.given_up() {
                    return plan;
                }
                self.act(OperationKind::Stop, OperationPhase::Stopping, Action::Stop, "it is to be stopped")
            }
        }
    }

    fn stopped(mut self, run: Option<RunId>) -> Plan {
        self.after.state = ServiceState::Stopped;
        self.after.operation = None;
        self.after.error = None;
        self.after.evidence.ended_run = run;
        self.settled("it is stopped")
    }

    fn towards_running(mut self, observed: &Observed) -> Plan {
        if observed.volume == Volume::Stray && !self.service.evidence.initialised {
            return self.make_anew();
        }
        let Some(container) = &observed.container else { return self.create(observed) };
        let running = container.status == ContainerStatus::Running;
        if !running && self.is_volume_lost(observed) {
            return self.volume_lost();
        }
        let ended_anew = self.count_end(container);
        // How it ended tells nothing any more once it was stopped for it.
        let known_lost = self.service.operation.is_none()
            && self.service.error.as_ref().is_some_and(|error| error.code == ErrorCode::VolumeLost);
        if !running && known_lost {
            return self.data_gone(container);
        }
        if running {
            if self.restart_has_to_stop() {
                return match self.given_up() {
                    Some(plan) => plan,
                    None => self.act(
                        OperationKind::Restart,
                        OperationPhase::Stopping,
                        Action::Stop,
                        "it is to be restarted",
                    ),
                };
            }
            return self.run(container);
        }
        match container.status {
            // With an operation under way the end is an old one: its user has it tried again.
            ContainerStatus::Exited { exit_code: DATA_GONE, .. }
            | ContainerStatus::Restarting { exit_code: DATA_GONE, .. }
                if ended_anew || self.service.operation.is_none() =>
            {
                return self.data_gone(container);
            }
            ContainerStatus::Removing => return self.wait(SOON, "its container is being removed"),
            ContainerStatus::Restarting { .. } if self.restart_has_to_stop() => {
                return self.act(
                    OperationKind::Restart,
                    OperationPhase::Stopping,
                    Action::Stop,
                    "it is to be restarted",
                );
            }
            ContainerStatus::Restarting { .. } | ContainerStatus::Exited { .. } => {
                if let Some(plan) = self.crash_loop(container.status) {
                    return plan;
                }
            }
            _ => {}
        }
        if let Some(plan) = self.given_up() {
            return plan;
        }
        match (container.status, observed.volume) {
            // The engine would make an empty one without our labels by itself.
            (_, Volume::Absent) => self.act_on_the_way(
                OperationPhase::CreatingVolume,
                Action::CreateStorage,
                "its volume is not there yet",
            ),
            (_, Volume::Stray | Volume::Foreign) => self.foreign_volume(),
            (ContainerStatus::Restarting { .. }, _) => {
                self.begin(OperationKind::Recover, OperationPhase::Starting);
                self.wait(SOON, "the engine is bringing it back")
            }
            (ContainerStatus::Paused, _) => {
                self.act_on_the_way(OperationPhase::Starting, Action::Start, "its container is paused")
            }
            _ => self.act_on_the_way(OperationPhase::Starting, Action::Start, "its container does not run"),
        }
    }

    fn create(mut self, observed: &Observed) -> Plan {
        if self.is_volume_lost(observed) {
            return self.volume_lost();
        }
        if let Some(plan) = self.given_up() {
            return plan;
        }
        match observed.volume {
            Volume::Stray | Volume::Foreign => self.foreign_volume(),
            _ if !observed.image => {
                self.act_on_the_way(OperationPhase::PullingImage, Action::PullImage, "its image is not there")
            }
            Volume::Absent => self.act_on_the_way(
                OperationPhase::CreatingVolume,
                Action::CreateStorage,
                "its volume is not there yet",
            ),
            Volume::Ours => self.act_on_the_way(
                OperationPhase::CreatingContainer,
                Action::CreateContainer,
                "its container is not there",
            ),
        }
    }

    /// A full disk or an engine that is killed can leave a volume without labels behind. Nobody has used it yet.
    fn make_anew(mut self) -> Plan {
        match self.given_up() {
            Some(plan) => plan,
            None => self.act_on_the_way(
                OperationPhase::CreatingVolume,
                Action::Remove,
                "its volume was made without labels",
            ),
        }
    }

    /// The container runs, and no stop is due.
    fn run(mut self, container: &Container) -> Plan {
        if !container.connected {
            return match self.given_up() {
                Some(plan) => plan,
                None => {
                    self.act_on_the_way(OperationPhase::Starting, Action::Connect, "it is not on its project's network")
                }
            };
        }
        let known = container.run.is_some() && container.run == self.after.evidence.ready_run;
        let ready = container.health == Health::Healthy || (known && container.health != Health::Unhealthy);
        if ready {
            // The more often it has ended, the longer it has to run before that counts.
            let stable = STABLE.max(pause(self.after.evidence.crashes));
            let stable_at = self.after.evidence.crashed_at.map(|at| at + stable);
            if self.after.evidence.crashes >= LIMIT
                && self.service.state == ServiceState::Error
                && let Some(at) = stable_at.filter(|at| *at > self.now)
            {
                return Plan { after: self.after, action: None, reason: "it runs, but may end again", again: Some(at) };
            }
            self.after.state = ServiceState::Running;
            self.after.operation = None;
            self.after.error = None;
            self.after.evidence.initialised = true;
            self.after.evidence.ready_run = container.run.clone();
            if !container.restarts {
                return self.act_unseen(Action::Start, "the engine would not bring it back");
            }
            return if self.service.rotating { self.rotate() } else { self.settled("it runs and answers") };
        }
        if known {
            self.fail(&Failure {
                code: ErrorCode::Unhealthy,
                message: "The container runs, but the server inside does not answer its health check.".to_owned(),
            });
            return self.settled("it runs and does not answer");
        }
        if let Some(plan) = self.given_up() {
            return plan;
        }
        let timed_out = self.service.state == ServiceState::Error
            && self.service.operation.is_none()
            && self.service.error.as_ref().is_some_and(|error| error.code == ErrorCode::StartTimeout);
        match &container.run {
            // The engine's own health check will tell. It may be of another run than the one that was given up.
            _ if timed_out => self.wait(SOON * 5, "it runs and has not answered yet"),
            None => self.wait(SOON, "its container has just been started"),
            // Our own check may succeed before the engine's next one does, and then it would seem to fail again.
            Some(_) if container.health == Health::Unhealthy => {
                self.begin(OperationKind::Recover, OperationPhase::WaitingForReady);
                self.wait(SOON, "the engine's health check has yet to succeed")
            }
            Some(run) => {
                let action = Action::AwaitReady(run.clone());
                self.act_on_the_way(OperationPhase::WaitingForReady, action, "it has not answered yet")
            }
        }
    }

    /// The server inside runs and is to take another password. That is tried until it does, for nobody knows which one it
    /// takes otherwise; after some failures only the error is shown.
    fn rotate(mut self) -> Plan {
        const REASON: &str = "its password is to be changed";
        if self.attempts.rotated {
            self.after.rotating = false;
            return self.settled("its password was changed");
        }
        match &self.attempts.last {
            Some(failure) if self.attempts.failures >= LIMIT => self.set_error(failure),
            _ => self.after.error = self.service.error.clone().filter(|error| error.code == ErrorCode::RotationFailed),
        }
        if self.after.error.is_some() {
            return self.act_unseen(Action::RotateCredentials, REASON);
        }
        let mut operation =
            self.rotation.take().unwrap_or_else(|| Operation::queued(OperationKind::RotateCredentials, self.now));
        operation.phase = OperationPhase::ChangingPassword;
        self.after.operation = Some(operation);
        self.act_unseen(Action::RotateCredentials, REASON)
    }

    /// A restart begins with a stop. What was stopped is seen as ended, with the phase still telling of the stop.
    fn restart_has_to_stop(&self) -> bool {
        self.service.operation.as_ref().is_some_and(|operation| {
            operation.kind == OperationKind::Restart
                && matches!(operation.phase, OperationPhase::Queued | OperationPhase::Stopping)
        })
    }

    fn is_volume_lost(&self, observed: &Observed) -> bool {
        self.service.evidence.initialised && observed.volume != Volume::Ours
    }

    fn volume_lost(mut self) -> Plan {
        self.fail(&Failure {
            code: ErrorCode::VolumeLost,
            message: "The volume with the service's data is gone. It is not replaced by an empty one.".to_owned(),
        });
        self.settled("its volume is gone")
    }

    /// The volume is there, and what was in it is not. The engine must not try it again and again.
    fn data_gone(self, container: &Container) -> Plan {
        let Self { service, attempts, now, .. } = self;
        let plan = self.volume_lost();
        if !container.restarts {
            return plan;
        }
        Planner { service, rotation: None, attempts, now, after: plan.after }
            .act_unseen(Action::Stop, "its data is gone")
    }

    fn foreign_volume(mut self) -> Plan {
        self.fail(&Failure {
            code: ErrorCode::NameTaken,
            message: format!("A volume named {} exists that this installation did not make.", self.service.id),
        });
        self.settled("its volume is somebody else's")
    }

    /// The plan where time or patience has run out; None where a next try is due.
    fn given_up(&mut self) -> Option<Plan> {
        let operation = self.service.operation.as_ref()?;
        let late = operation.deadline.is_some_and(|deadline| deadline <= self.now);
        let refused = self.attempts.failures >= LIMIT && self.service.state != ServiceState::Error;
        if !late && !refused {
            return None;
        }
        let failure = self.attempts.last.clone().unwrap_or_else(|| timed_out(operation.phase));
        self.fail(&failure);
        let again = self.attempts.not_before.unwrap_or(self.now + SOON);
        Some(Plan {
            after: self.after.clone(),
            action: None,
            reason: "it was tried for long enough",
            again: Some(again),
        })
    }

    fn fail(&mut self, failure: &Failure) {
        self.after.state = ServiceState::Error;
        self.after.operation = None;
        self.set_error(failure);
    }

    fn set_error(&mut self, failure: &Failure) {
        // The stored message may go on with lines from the container's log.
        let known = self.service.error.as_ref().filter(|error| error.code == failure.code);
        self.after.error = Some(match known {
            Some(error) if error.message.starts_with(&failure.message) => error.clone(),
            _ => ServiceError { code: failure.code, message: failure.message.clone(), occurred_at: self.now },
        });
    }

    /// An action on the way to RUNNING.
    fn act_on_the_way(self, phase: OperationPhase, action: Action, reason: &'static str) -> Plan {
        self.act(OperationKind::Recover, phase, action, reason)
    }

    fn act(mut self, kind: OperationKind, phase: OperationPhase, action: Action, reason: &'static str) -> Plan {
        if let Some(not_before) = self.attempts.not_before.filter(|at| *at > self.now) {
            return Plan { after: self.after, action: None, reason, again: Some(not_before) };
        }
        self.begin(kind, phase);
        Plan { after: self.after, action: Some(action), reason, again: None }
    }

    /// An action that changes nothing of what is shown.
    fn act_unseen(self, action: Action, reason: &'static str) -> Plan {
        let again = self.attempts.not_before.filter(|at| *at > self.now);
        Plan { after: self.after, action: again.is_none().then_some(action), reason, again }
    }

    /// Notes that the operation under way, or else one of `kind`, is in `phase`.
    fn begin(&mut self, kind: OperationKind, phase: OperationPhase) {
        let mut operation = match self.after.operation.take() {
            Some(operation) => operation,
            None => Operation::queued(kind, self.now),
        };
        if operation.phase != phase {
            operation.progress_percent = None;
        }
        operation.phase = phase;
        operation.deadline = operation.deadline.or_else(|| time_limit(operation.kind).map(|limit| self.now + limit));
        let leads_to_running = !matches!(phase, OperationPhase::Stopping | OperationPhase::Removing);
        // What is repaired without being asked stays in ERROR until it runs: no flicker.
        let silent_repair = operation.kind == OperationKind::Recover && self.service.state == ServiceState::Error;
        if leads_to_running && !silent_repair {
            self.after.state = ServiceState::Provisioning;
            self.after.error = None;
        }
        self.after.operation = Some(operation);
    }

    fn wait(self, how_long: SignedDuration, reason: &'static str) -> Plan {
        Plan { again: Some(self.now + how_long), after: self.after, action: None, reason }
    }

    fn settled(self, reason: &'static str) -> Plan {
        Plan { after: self.after, action: None, reason, again: None }
    }
}

fn timed_out(phase: OperationPhase) -> Failure {
    let (code, message) = match phase {
        OperationPhase::PullingImage => (ErrorCode::PullFailed, "The image was not pulled in time."),
        OperationPhase::Stopping => (ErrorCode::StopTimeout, "The container did not stop in time."),
        _ => (ErrorCode::StartTimeout, "The server inside did not answer its health check in time."),
    };
    Failure { code, message: message.to_owned() }
}
