//! A model of an engine for one or more instances: it keeps to the engine's rules, and fails as it is told.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use project_services::catalog::deployment::{DATA_GONE, Deployment, UNHEALTHY_AFTER};
use project_services::domain::id::{InstanceId, ProjectId};
use project_services::domain::image::Image;
use project_services::domain::limits::Limits;
use project_services::domain::observed::{Container, ContainerStatus, Health, Observed, Volume};
use project_services::domain::service::{ErrorCode, RunId, SizeTier};
use project_services::engine::survey::{Activity, Glimpse, Survey};
use project_services::engine::thing::Place;
use project_services::engine::{
    Command, Description, Ended, Engine, EngineError, Flow, Grown, Happening, Pull, Result, Target, Thing,
};
use secrecy::ExposeSecret;
use tokio::sync::{Notify, watch};

use super::faults::{Befalls, Fault};
use super::passwords::Kept;

#[derive(Debug, Default)]
struct State {
    containers: HashMap<InstanceId, FakeContainer>,
    volumes: HashMap<InstanceId, FakeVolume>,
    /// The images that are there.
    images: HashSet<u32>,
    /// The image that bears the name now.
    tag: u32,
    /// No registry has anything, or can be reached.
    is_alone: bool,
    runs: u64,
    calls: u32,
    script: VecDeque<Fault>,
    may_remove_data: bool,
    /// Instances whose data was lost by hand, which nobody can repair.
    lost: Vec<InstanceId>,
    violations: Vec<String>,
}

#[derive(Debug, Clone)]
struct FakeContainer {
    status: ContainerStatus,
    run: Option<u64>,
    health: Health,
    restarts: bool,
    connected: bool,
    expects_data: bool,
    /// The digests of the passwords that the server takes, in the case of Redis.
    live: Vec<String>,
    /// The image that it was made from.
    image: u32,
    limits: Limits,
    /// The size that it was made for.
    tier: SizeTier,
    /// The memory that the server inside goes by, in the case of Redis.
    maxmemory: Option<String>,
    /// How often this run was looked at. At the third time the engine's own health check has come.
    looks: u32,
}

#[derive(Debug, Clone, Default)]
struct FakeVolume {
    ours: bool,
    data: bool,
    /// What the server is started with was put there.
    files: bool,
    kept: Kept,
}

#[derive(Debug, Default)]
pub struct FakeEngine {
    state: Mutex<State>,
    cut: Notify,
    /// Nobody takes its calls.
    away: watch::Sender<bool>,
    watches: AtomicU32,
}

impl FakeEngine {
    /// How the next calls fail; those after them don't.
    pub fn script(&self, faults: Vec<Fault>) {
        self.state.lock().unwrap().script = faults.into();
    }

    /// Waits for a call that is to be cut off.
    pub async fn cut_off(&self) {
        self.cut.notified().await;
    }

    /// Has nobody take its calls, and ends what they began, or has it take them again.
    pub fn leave(&self, is_away: bool) {
        self.away.send_replace(is_away);
    }

    /// From now on a volume with data may be removed.
    pub fn may_remove_data(&self, may: bool) {
        self.state.lock().unwrap().may_remove_data |= may;
    }

    /// How many calls were made so far, whatever came of them.
    pub fn calls(&self) -> u32 {
        self.state.lock().unwrap().calls
    }

    /// How many of them asked for its events.
    pub fn watches(&self) -> u32 {
        self.watches.load(Ordering::Relaxed)
    }

    pub fn assert_sound(&self) {
        let state = self.state.lock().unwrap();
        assert!(state.violations.is_empty(), "{:?}", state.violations);
    }

    pub fn has_lost_data(&self, instance: InstanceId) -> bool {
        self.state.lock().unwrap().lost.contains(&instance)
    }

    /// Whether the container runs (None: there is none), and whether there is a volume.
    pub fn state(&self, instance: InstanceId) -> (Option<bool>, bool) {
        let state = self.state.lock().unwrap();
        let running = state.containers.get(&instance).map(|c| c.status == ContainerStatus::Running);
        (running, state.volumes.contains_key(&instance))
    }

    /// What a volume with data has kept of passwords, and what a running Redis takes.
    pub fn passwords(&self, instance: InstanceId) -> (Option<Kept>, Option<Vec<String>>) {
        let state = self.state.lock().unwrap();
        let kept = state.volumes.get(&instance).filter(|volume| volume.data).map(|volume| volume.kept.clone());
        let running = |container: &&FakeContainer| container.status == ContainerStatus::Running;
        (kept, state.containers.get(&instance).filter(running).map(|container| container.live.clone()))
    }

    /// The limits of a container that runs, and the memory that a Redis in it goes by.
    pub fn size(&self, instance: InstanceId) -> Option<(Limits, Option<String>)> {
        let state = self.state.lock().unwrap();
        let container = state.containers.get(&instance)?;
        (container.status == ContainerStatus::Running).then(|| (container.limits, container.maxmemory.clone()))
    }

    /// The engine's id of the image that a container was made from.
    pub fn image(&self, instance: InstanceId) -> Option<String> {
        self.state.lock().unwrap().containers.get(&instance).map(|container| image_id(container.image))
    }

    /// Has no registry be there, or be there again.
    pub fn be_alone(&self, is_alone: bool) {
        self.state.lock().unwrap().is_alone = is_alone;
    }

    /// Puts an image there by hand, under the name.
    pub fn load(&self, image: u32) {
        let mut state = self.state.lock().unwrap();
        state.tag = image;
        state.images.insert(image);
    }

    pub fn is_connected(&self, instance: InstanceId) -> bool {
        self.state.lock().unwrap().containers.get(&instance).is_some_and(|container| container.connected)
    }

    /// Ends what a person has to end: a server that is sick is well again, also one that is paused as well.
    pub fn heal(&self, instance: InstanceId) {
        let mut state = self.state.lock().unwrap();
        state.script.clear();
        if let Some(container) = state.containers.get_mut(&instance)
            && matches!(container.status, ContainerStatus::Running | ContainerStatus::Paused)
        {
            container.health = Health::Healthy;
        }
    }

    pub fn befall(&self, instance: InstanceId, what: Befalls) {
        let mut state = self.state.lock().unwrap();
        let State { containers, volumes, images, tag, runs, lost, .. } = &mut *state;
        let exit = |exit_code, out_of_memory| ContainerStatus::Exited { exit_code, out_of_memory };
        match what {
            Befalls::ImageRemoved => images.clear(),
            Befalls::ImageMoved => *tag += 1,
            _ => {}
        }
        if what == Befalls::VolumeEmptied
            && containers.get(&instance).is_none_or(|container| container.status != ContainerStatus::Running)
            && let Some(volume) = volumes.get_mut(&instance)
            && volume.data
        {
            volume.data = false;
            lost.push(instance);
        }
        let Some(container) = containers.get_mut(&instance) else {
            if what == Befalls::VolumeRemoved
                && let Some(volume) = volumes.remove(&instance)
                && volume.data
            {
                lost.push(instance);
            }
            return;
        };
        let runs_now = container.status == ContainerStatus::Running;
        match what {
            // By hand: the engine does not bring it back.
            Befalls::Kill | Befalls::Stop if runs_now => container.status = exit(137, false),
            // By itself: the engine does.
            Befalls::Crash | Befalls::OutOfMemory if runs_now => {
                let out_of_memory = what == Befalls::OutOfMemory;
                container.status = if container.restarts {
                    ContainerStatus::Restarting { exit_code: 1, out_of_memory }
                } else {
                    exit(1, out_of_memory)
                };
            }
            Befalls::Start | Befalls::EngineRestart => {
                let back = what == Befalls::Start || container.restarts;
                if back {
                    *runs += 1;
                    begin(container, volumes.entry(instance).or_default(), *runs);
                } else if runs_now {
                    container.status = exit(255, false);
                }
            }
            Befalls::Remove => {
                containers.remove(&instance);
            }
            Befalls::Pause if runs_now => container.status = ContainerStatus::Paused,
            Befalls::LimitsChanged => container.limits = container.limits.with_memory(40),
            Befalls::Disconnected if runs_now => container.connected = false,
            Befalls::Sick if runs_now => container.health = Health::Unhealthy,
            Befalls::Well if runs_now => container.health = Health::Healthy,
            _ => {}
        }
    }

    /// Makes one call: fails as scripted, before or after `effect`.
    async fn call<T>(&self, effect: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let lost = || EngineError::Unknown("no answer".into());
        let fault = {
            let mut state = self.state.lock().unwrap();
            state.calls += 1;
            state.script.pop_front().unwrap_or(if *self.away.borrow() { Fault::Unavailable } else { Fault::None })
        };
        match fault {
            Fault::Unavailable => return Err(EngineError::Unavailable("nobody there".into())),
            Fault::LostBefore => return Err(lost()),
            Fault::Refused => {
                return Err(EngineError::Refused { code: ErrorCode::EngineRefused, message: "no".to_owned() });
            }
            Fault::CutOffBefore => self.end().await,
            Fault::None | Fault::LostAfter | Fault::CutOffAfter => {}
        }
        let outcome = effect(&mut self.state.lock().unwrap());
        match fault {
            Fault::LostAfter => Err(lost()),
            Fault::CutOffAfter => {
                self.end().await;
                outcome
            }
            _ => outcome,
        }
    }

    async fn end(&self) {
        self.cut.notify_one();
        std::future::pending::<()>().await;
    }
}

/// Starts a container on its volume, as the image's entry point does.
fn begin(container: &mut FakeContainer, volume: &mut FakeVolume, run: u64) {
    container.run = Some(run);
    container.health = Health::Starting;
    container.looks = 0;
    let failed = |exit_code| match container.restarts {
        true => ContainerStatus::Restarting { exit_code, out_of_memory: false },
        false => ContainerStatus::Exited { exit_code, out_of_memory: false },
    };
    if !volume.files {
        container.status = failed(1);
    } else if container.expects_data && !volume.data {
        container.status = failed(DATA_GONE);
    } else {
        container.status = ContainerStatus::Running;
        if !volume.data {
            volume.kept.initialise();
        }
        volume.data = true;
        container.live = volume.kept.digests();
        container.maxmemory = volume.kept.maxmemory();
    }
}

fn image_id(image: u32) -> String {
    format!("sha256:{image}")
}

impl State {
    /// The image that a name, an id or a digest is of.
    fn meant(&self, name: &str) -> u32 {
        name.rsplit_once("sha256:").map_or(self.tag, |(_, image)| image.parse().unwrap())
    }

    fn shown(&self, image: u32) -> Image {
        let id = image_id(image);
        Image { digest: (!self.is_alone).then(|| format!("redis@{id}")), id }
    }
}

fn refused() -> EngineError {
    EngineError::Refused { code: ErrorCode::EngineRefused, message: "none".to_owned() }
}

/// The container, if it runs, with its volume.
fn running(state: &mut State, instance: InstanceId) -> Result<(&mut FakeContainer, &mut FakeVolume)> {
    let container = state.containers.get_mut(&instance).filter(|c| c.status == ContainerStatus::Running);
    container.zip(state.volumes.get_mut(&instance)).ok_or_else(refused)
}

fn run_id(run: u64) -> RunId {
    RunId(format!("run {run}"))
}

#[async_trait]
impl Engine for FakeEngine {
    async fn ping(&self) -> Result<()> {
        self.call(|_| Ok(())).await
    }

    async fn describe(&self) -> Result<Description> {
        let described = Description { version: "28".to_owned(), memory_mib: 1 << 20, swarm: None };
        self.call(|_| Ok(described)).await
    }

    async fn look(&self, instance: InstanceId, image: &str) -> Result<Observed> {
        self.call(|state| {
            let would_be = Some(state.meant(image)).filter(|image| state.images.contains(image)).map(image_id);
            let runs_from = state.containers.get(&instance).map(|container| state.shown(container.image));
            let container = state.containers.get_mut(&instance).zip(runs_from).map(|(container, image)| {
                container.looks += 1;
                if container.looks >= 3 && container.health == Health::Starting {
                    container.health = Health::Healthy;
                }
                // What the engine brings back by itself is back at the second look.
                let shown = container.clone();
                if matches!(container.status, ContainerStatus::Restarting { .. }) {
                    state.runs += 1;
                    begin(container, state.volumes.entry(instance).or_default(), state.runs);
                }
                Container {
                    status: shown.status,
                    run: shown.run.map(run_id),
                    health: shown.health,
                    failed_checks: if shown.health == Health::Unhealthy { UNHEALTHY_AFTER } else { 0 },
                    restarts: shown.restarts,
                    connected: shown.connected,
                    published: Vec::new(),
                    limits: shown.limits,
                    tier: Some(shown.tier),
                    build: None,
                    image,
                }
            });
            let volume = match state.volumes.get(&instance) {
                None => Volume::Absent,
                Some(volume) if volume.ours => Volume::Ours,
                Some(_) => Volume::Stray,
            };
            Ok(Observed { container, volume, image: would_be })
        })
        .await
    }

    async fn pull(&self, image: &str, when: Pull, progress: watch::Sender<Option<u8>>) -> Result<Image> {
        progress.send_replace(Some(50));
        self.call(|state| {
            let meant = state.meant(image);
            let will_do = when == Pull::Absent && state.images.contains(&meant);
            // An id means nothing to a registry.
            let can_be_pulled = !state.is_alone && !image.starts_with("sha256:");
            if !will_do && !can_be_pulled {
                return Err(EngineError::Refused { code: ErrorCode::PullFailed, message: "none".to_owned() });
            }
            state.images.insert(meant);
            Ok(state.shown(meant))
        })
        .await
    }

    async fn ensure(&self, thing: &Thing) -> Result<()> {
        self.call(|state| {
            match thing {
                Thing::Network(_) => {}
                Thing::Volume(volume) => {
                    let ours = FakeVolume { ours: true, ..FakeVolume::default() };
                    state.volumes.entry(volume.instance).or_insert(ours);
                }
                Thing::Container(container) => {
                    let instance = container.instance;
                    let image = state.meant(&container.image);
                    if !state.images.contains(&image) {
                        return Err(refused());
                    }
                    state.volumes.entry(instance).or_default();
                    state.containers.entry(instance).or_insert(FakeContainer {
                        status: ContainerStatus::Created,
                        run: None,
                        health: Health::Starting,
                        restarts: false,
                        connected: container.place != Place::Unassigned,
                        expects_data: false,
                        live: Vec::new(),
                        image,
                        limits: container.deployment.limits(),
                        tier: container.deployment.tier.tier,
                        maxmemory: None,
                        looks: 0,
                    });
                }
                Thing::Endpoint(endpoint) => {
                    if let Some(container) = state.containers.get_mut(&endpoint.instance) {
                        container.connected = true;
                    }
                }
            }
            Ok(())
        })
        .await
    }

    async fn start(&self, instance: InstanceId, deployment: &Deployment) -> Result<()> {
        let expects_data = deployment.files.iter().any(|file| file.path.ends_with("expect-data"));
        self.call(|state| {
            let Some(container) = state.containers.get_mut(&instance) else {
                return Err(refused());
            };
            container.restarts = true;
            container.expects_data |= expects_data;
            if container.status == ContainerStatus::Paused {
                container.status = ContainerStatus::Running;
            }
            if container.status != ContainerStatus::Running {
                state.runs += 1;
                let volume = state.volumes.entry(instance).or_default();
                volume.files = true;
                volume.kept.upload(&deployment.files);
                begin(container, volume, state.runs);
            }
            Ok(())
        })
        .await
    }

    /// A command with an input is a change of passwords, one without a check for readiness.
    async fn run(&self, instance: InstanceId, command: &Command) -> Result<Ended> {
        let ended = |succeeded: bool| Ok(Ended { exit_code: Some(i64::from(!succeeded)), output: String::new() });
        let Some(input) = &command.input else {
            return self
                .call(|state| {
                    let container = state.containers.get(&instance);
                    let running = container.filter(|container| container.status == ContainerStatus::Running);
                    ended(running.is_some_and(|container| container.health != Health::Unhealthy))
                })
                .await;
        };
        // Whoever asks that has logged in.
        if input.expose_secret().ends_with("\nPING\n") {
            return self.call(|state| running(state, instance).and_then(|_| ended(true))).await;
        }
        self.call(|state| {
            running(state, instance)?.1.kept.prepare(input);
            Ok(())
        })
        .await?;
        self.call(|state| {
            let (container, volume) = running(state, instance)?;
            if let Some(told) = volume.kept.resize(input, &container.live) {
                container.maxmemory = Some(told);
                return ended(true);
            }
            ended(volume.kept.take(input, &mut container.live))
        })
        .await
    }

    /// Nothing flows here: what flows is for real servers to tell.
    async fn pump(&self, instance: InstanceId, _command: &Command, _flow: Flow) -> Result<Ended> {
        self.call(|state| running(state, instance).map(|_| Ended { exit_code: Some(0), output: String::new() })).await
    }

    async fn await_output(&self, _instance: InstanceId, _text: &str) -> Result<()> {
        Ok(())
    }

    async fn grow(&self, _instance: InstanceId, storage_mib: u32) -> Result<Grown> {
        Ok(Grown::To(u64::from(storage_mib) * 6 / 5))
    }

    async fn stop(&self, instance: InstanceId, _grace: Duration) -> Result<()> {
        self.call(|state| {
            let Some(container) = state.containers.get_mut(&instance) else {
                return Err(refused());
            };
            container.restarts = false;
            if !matches!(container.status, ContainerStatus::Created | ContainerStatus::Exited { .. }) {
                container.status = ContainerStatus::Exited { exit_code: 0, out_of_memory: false };
            }
            Ok(())
        })
        .await
    }

    async fn adjust(&self, instance: InstanceId, limits: &Limits) -> Result<()> {
        self.call(|state| {
            state.containers.get_mut(&instance).ok_or_else(refused)?.limits = *limits;
            Ok(())
        })
        .await
    }

    async fn remove(&self, target: &Target) -> Result<()> {
        self.call(|state| {
            match target {
                Target::Container(instance) => {
                    state.containers.remove(instance);
                }
                Target::Volume(instance) => {
                    if let Some(volume) = state.volumes.remove(instance)
                        && volume.ours
                        && volume.data
                        && !state.may_remove_data
                    {
                        state.violations.push("a volume with data was removed".to_owned());
                    }
                }
                Target::Unused { instance, .. } => {
                    state.containers.remove(instance);
                    if state.volumes.get(instance).is_some_and(|volume| volume.ours && !volume.data) {
                        state.volumes.remove(instance);
                    }
                }
                Target::Network(_) | Target::Found(_) => {}
            }
            Ok(())
        })
        .await
    }

    async fn survey(&self) -> Result<Survey> {
        self.call(|state| {
            let mut survey = Survey::default();
            for (instance, container) in &state.containers {
                let activity = match container.status {
                    ContainerStatus::Running => Activity::Running,
                    ContainerStatus::Created | ContainerStatus::Exited { .. } => Activity::AtRest,
                    _ => Activity::Between,
                };
                survey.instances.entry(*instance).or_default().container = Some(Glimpse {
                    activity,
                    health: container.health,
                    connected: container.connected,
                    build: None,
                    image: String::new(),
                });
            }
            for (instance, volume) in &state.volumes {
                survey.instances.entry(*instance).or_default().volume = volume.ours;
            }
            Ok(survey)
        })
        .await
    }

    fn network_name(&self, project: &ProjectId) -> Option<String> {
        Some(project.to_string())
    }

    async fn watch(&self) -> Result<BoxStream<'static, Happening>> {
        self.watches.fetch_add(1, Ordering::Relaxed);
        self.call(|_| Ok(())).await?;
        let mut away = self.away.subscribe();
        let left = async move { away.wait_for(|is_away| *is_away).await.map(|_| ()) };
        Ok(futures_util::stream::pending().take_until(Box::pin(left)).boxed())
    }

    async fn logs(&self, _instance: InstanceId, _lines: usize) -> Result<Vec<String>> {
        self.call(|_| Ok(vec!["the last line".to_owned()])).await
    }
}
