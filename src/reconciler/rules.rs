//! What to do next about one service: pure, from what is wished for, what was observed and the time, to what has to be noted
//! and at most one step. It takes no word of what changed; it is given what is.
//!
//! Rules stand in a row, one file for each thing that they are about. Each looks at the same [`Facts`]; the first that does
//! not pass wins, and where all pass the service is where its user sent it. What a verdict does to the service is
//! [`outcome`]'s.

use jiff::{SignedDuration, Timestamp};

use super::steps::Step;
use crate::domain::instance::Instance;
use crate::domain::observed::{Container, ContainerStatus, Observed};
use crate::domain::service::{ErrorCode, Evidence, Power, RunId, Service, ServiceState};
use crate::domain::task::Task;

mod address;
mod container;
mod crash;
mod deleted;
mod image;
mod limits;
mod off;
mod outcome;
mod power;
mod ready;
mod repair;
mod restore;
mod secret;
mod size;
mod spare;
mod storage;
mod version;
mod volume;

pub(super) use limits::SILENCE;
use outcome::Outcome;
pub use restore::holds_up;

/// How many refusals in a row, or unasked ends since it was last stable, make an ERROR.
const LIMIT: u32 = 3;
/// How soon to look again at what the engine is about to change.
const SOON: SignedDuration = SignedDuration::from_secs(1);

/// Until the service runs and answers.
const TOWARDS_RUNNING: &[Rule] = &[
    restore::unfilled,
    volume::half_made,
    spare::leaving,
    restore::in_place,
    volume::lost,
    volume::emptied,
    storage::halted,
    power::shut_down_first,
    size::shut_down_first,
    container::going,
    repair::made_anew,
    address::taken,
    version::image_first,
    image::wrong,
    size::outgrown,
    size::outdated,
    crash::looping,
    volume::foreign,
    image::absent,
    volume::absent,
    container::absent,
    power::coming_back,
    power::off,
    address::disconnected,
    ready::unstable,
    ready::silent,
    ready::waiting,
    version::frozen,
    repair::refused,
];
/// Once it does.
const WHILE_RUNNING: &[Rule] = &[
    power::not_brought_back,
    storage::cramped,
    storage::writes,
    size::limits,
    size::untold,
    spare::unwanted,
    secret::changing,
    version::changing,
    storage::cleaned_up,
];
const TOWARDS_STOPPED: &[Rule] = &[restore::half_cloned, spare::leaving, container::going, off::on, volume::lost];
/// Once it is.
const WHILE_STOPPED: &[Rule] = &[spare::unwanted];
const TOWARDS_DESTROYED: &[Rule] = &[deleted::there];

type Rule = fn(&Facts<'_>) -> Verdict;

/// What a rule may know.
#[derive(Debug)]
struct Facts<'a> {
    /// Without the operation of a task, which leads to no state.
    service: &'a Service,
    /// Its tasks that have not ended.
    tasks: &'a [Task],
    /// Those that it has besides the one that runs it.
    instances: &'a [Instance],
    seen: &'a Observed,
    attempts: &'a Attempts,
    /// What is proved, this look's own part included.
    evidence: &'a Evidence,
    /// The container's newest run has ended, and no earlier look knew of it.
    ended_anew: bool,
    now: Timestamp,
}

/// What a rule says.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    Do(Step, Why),
    Wait(Wait, Why),
    Fail(Failing, Why),
}

/// For logs and metrics.
type Why = &'static str;

/// Nothing is to be done for now.
#[derive(Debug, PartialEq, Eq)]
struct Wait {
    /// When to look again; None: when somebody asks, or at the next tick.
    until: Option<Timestamp>,
    /// What the engine is doing by itself in the meantime.
    under_way: Option<Step>,
}

/// It is in ERROR.
#[derive(Debug, PartialEq, Eq)]
struct Failing {
    failure: Failure,
    /// When to look again.
    until: Option<Timestamp>,
    /// What has to be done all the same, beside what is shown.
    then: Option<Step>,
}

/// What comes of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The service as it has to be stored before the step is tried.
    pub after: Service,
    pub step: Option<Step>,
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

/// Why a step or a look failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: ErrorCode,
    pub message: String,
}

/// What is remembered of a service between looks, and may be lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Steps that failed since one succeeded.
    pub failures: u32,
    pub last: Option<Failure>,
    /// When nothing is to be tried again.
    pub pause: Option<Pause>,
    /// Since when looks have failed.
    pub unseen_since: Option<Timestamp>,
    /// The run whose server answered just now, until that is noted.
    pub answered: Option<RunId>,
}

/// A while. A clock that was put back to before it began ends it: nobody knows how much of it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Pause {
    /// When it ends; None where it has.
    fn end(self, now: Timestamp) -> Option<Timestamp> {
        (self.from <= now && now < self.until).then_some(self.until)
    }
}

/// What a service has besides itself.
#[derive(Debug, Clone, Copy)]
pub struct Belongings<'a> {
    /// Its tasks that have not ended.
    pub tasks: &'a [Task],
    /// Its instances besides the one that runs it.
    pub instances: &'a [Instance],
}

/// Decides what comes of a look at `service`.
pub fn decide(service: &Service, has: Belongings<'_>, look: &Look, attempts: &Attempts, now: Timestamp) -> Plan {
    let Belongings { tasks, instances } = has;
    // A task leads to no state. It is shown only while there is nothing else to do, so that all else is decided without it.
    // Once what is to run it is there, a change of that leads to RUNNING as a start does.
    let mut bare = service.clone();
    let beside = bare.state == ServiceState::Running;
    let of_task = bare.operation.take_if(|operation| operation.kind.is_task() && beside);
    let mut outcome = Outcome::new(&bare, tasks, of_task, attempts, now);
    let seen = match look {
        _ if bare.state == ServiceState::Destroyed => return outcome.settled("destroyed"),
        Look::Unseen(failure) => return outcome.unseen(failure),
        Look::Seen(seen) => seen,
    };
    outcome.engine_answers(seen);
    outcome.note_container(seen);
    let (rules, ended_anew) = match bare.wish.power {
        Power::Deleted => {
            outcome.begin_destroying();
            (TOWARDS_DESTROYED, false)
        }
        Power::Off => (TOWARDS_STOPPED, false),
        Power::On => (TOWARDS_RUNNING, outcome.note_end(seen)),
    };
    let evidence = outcome.evidence();
    let facts = Facts { service: &bare, tasks, instances, seen, attempts, evidence: &evidence, ended_anew, now };
    let verdict = first(rules, &facts);
    if verdict != Verdict::Pass {
        return outcome.take(verdict);
    }
    outcome.arrive(seen, storage::shown(&facts));
    match bare.wish.power {
        Power::On => outcome.take_beside(first(WHILE_RUNNING, &facts)),
        Power::Off => outcome.take_beside(first(WHILE_STOPPED, &facts)),
        Power::Deleted => outcome.settled("it is where its user sent it"),
    }
}

fn first(rules: &[Rule], facts: &Facts<'_>) -> Verdict {
    rules.iter().map(|rule| rule(facts)).find(|verdict| *verdict != Verdict::Pass).unwrap_or(Verdict::Pass)
}

impl Facts<'_> {
    fn container(&self) -> Option<&Container> {
        self.seen.container.as_ref()
    }

    /// The container, where it runs.
    fn running(&self) -> Option<&Container> {
        self.container().filter(|container| container.status == ContainerStatus::Running)
    }

    /// The container, where there is one that does not run.
    fn idle(&self) -> Option<&Container> {
        self.container().filter(|container| container.status != ContainerStatus::Running)
    }

    /// The code of the error that is shown while nothing is under way.
    fn settled_error(&self) -> Option<ErrorCode> {
        self.service.error.as_ref().filter(|_| self.service.operation.is_none()).map(|error| error.code)
    }

    fn soon(&self) -> Option<Timestamp> {
        Some(self.now + SOON)
    }
}

impl Verdict {
    fn wait(until: Option<Timestamp>, why: Why) -> Self {
        Self::Wait(Wait { until, under_way: None }, why)
    }

    /// The engine is at `step` by itself.
    fn under_way(until: Option<Timestamp>, step: Step, why: Why) -> Self {
        Self::Wait(Wait { until, under_way: Some(step) }, why)
    }

    fn fail(code: ErrorCode, message: impl Into<String>, why: Why) -> Self {
        let failure = Failure { code, message: message.into() };
        Self::Fail(Failing { failure, until: None, then: None }, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::image::Image;
    use crate::domain::lifecycle::tests::service;
    use crate::domain::observed::{Health, Volume};
    use crate::domain::service::{Operation, OperationKind, OperationPhase};

    /// Facts of a service that runs and answers, to be changed at will.
    pub(super) struct Case {
        pub service: Service,
        pub tasks: Vec<Task>,
        pub instances: Vec<Instance>,
        pub seen: Observed,
        pub attempts: Attempts,
        pub ended_anew: bool,
        pub now: Timestamp,
    }

    pub(super) fn run_id(text: &str) -> Option<RunId> {
        Some(RunId(text.to_owned()))
    }

    impl Case {
        pub fn new() -> Self {
            let mut service = service(ServiceState::Running, Power::On);
            service.evidence.initialised = true;
            service.evidence.ready_run = run_id("1");
            service.evidence.image = Some("sha256:1".to_owned());
            service.evidence.made_for = Some(service.wish.tier.tier);
            let container = Container {
                status: ContainerStatus::Running,
                run: run_id("1"),
                health: Health::Healthy,
                failed_checks: 0,
                restarts: true,
                connected: true,
                published: Vec::new(),
                limits: crate::catalog::limits(&service.wish).unwrap(),
                tier: Some(service.wish.tier.tier),
                build: None,
                image: Image { id: "sha256:1".to_owned(), digest: None },
            };
            Self {
                service,
                tasks: Vec::new(),
                instances: Vec::new(),
                seen: Observed { container: Some(container), volume: Volume::Ours, image: Some("sha256:1".to_owned()) },
                attempts: Attempts::default(),
                ended_anew: false,
                now: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1),
            }
        }

        /// One that is on its way, with neither container nor volume.
        pub fn fresh() -> Self {
            let mut case = Self::new();
            case.service = service(ServiceState::Pending, Power::On);
            case.service.operation = Some(Operation::queued(OperationKind::Provision, case.now));
            case.seen = Observed { container: None, volume: Volume::Absent, image: Some("sha256:1".to_owned()) };
            case
        }

        pub fn status(mut self, status: ContainerStatus) -> Self {
            self.container().status = status;
            self
        }

        pub fn container(&mut self) -> &mut Container {
            self.seen.container.as_mut().unwrap()
        }

        pub fn operation(mut self, kind: OperationKind, phase: OperationPhase) -> Self {
            self.service.operation = Some(Operation { phase, ..Operation::queued(kind, self.now) });
            self
        }

        pub fn says(&self, rule: Rule) -> Verdict {
            rule(&Facts {
                service: &self.service,
                tasks: &self.tasks,
                instances: &self.instances,
                seen: &self.seen,
                attempts: &self.attempts,
                evidence: &self.service.evidence,
                ended_anew: self.ended_anew,
                now: self.now,
            })
        }

        pub fn plan(&self) -> Plan {
            let has = Belongings { tasks: &self.tasks, instances: &self.instances };
            decide(&self.service, has, &Look::Seen(self.seen.clone()), &self.attempts, self.now)
        }
    }

    pub(super) fn exited(exit_code: i64) -> ContainerStatus {
        ContainerStatus::Exited { exit_code, out_of_memory: false }
    }

    #[test]
    fn what_runs_and_answers_is_left_alone() {
        let case = Case::new();
        let plan = case.plan();
        assert_eq!((plan.after, plan.step, plan.again), (case.service, None, None));
    }

    #[test]
    fn a_clock_that_is_put_back_makes_nothing_wait_for_it() {
        let hour = SignedDuration::from_hours(1);
        let mut case = Case::fresh();
        let until = case.now + SignedDuration::from_secs(60);
        case.attempts.pause = Some(Pause { from: case.now, until });
        assert_eq!((case.plan().step, case.plan().again), (None, Some(until)));
        case.now -= hour;
        assert_eq!(case.plan().step, Some(Step::CreateStorage));

        let mut late = Case::fresh();
        late.service = late.plan().after;
        let deadline = late.service.operation.as_ref().unwrap().deadline.unwrap();
        late.now -= hour;
        late.seen.volume = Volume::Ours;
        let sooner = late.plan().after.operation.unwrap().deadline.unwrap();
        assert_eq!(deadline - hour, sooner, "it may take no longer than before");

        let mut looped = Case::new().status(exited(1));
        (looped.service.evidence.crashes, looped.service.evidence.ended_run) = (2, run_id("1"));
        looped.service.evidence.crashed_at = Some(looped.now + hour);
        assert_eq!(looped.plan().step, Some(Step::Start));
    }

    #[test]
    fn a_new_service_takes_its_steps_in_order() {
        let mut case = Case::fresh();
        case.seen.image = None;
        let step = |case: &Case| case.plan().step;
        assert_eq!(step(&case), Some(Step::PullImage));
        case.seen.image = Some("sha256:1".to_owned());
        assert_eq!(step(&case), Some(Step::CreateStorage));
        case.seen.volume = Volume::Ours;
        assert_eq!(step(&case), Some(Step::CreateContainer));
        case.seen.container = Case::new().status(ContainerStatus::Created).seen.container;
        case.container().run = None;
        assert_eq!(step(&case), Some(Step::Start));
        case.container().status = ContainerStatus::Running;
        (case.container().run, case.container().health) = (run_id("1"), Health::Starting);
        assert_eq!(step(&case), Some(Step::AwaitReady(RunId("1".to_owned()))));
        assert_eq!(case.plan().after.state, ServiceState::Provisioning);
        case.attempts.answered = run_id("1");
        let plan = case.plan();
        assert_eq!((plan.after.state, plan.after.operation, plan.step), (ServiceState::Running, None, None));
    }
}
