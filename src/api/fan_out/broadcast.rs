//! What is told to all who want the same.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use futures_util::StreamExt;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use super::{FanOut, Pursuit, Reading, Topic, Wish};
use crate::api::{ExecutionPermit, RequestId, Schema};
use crate::telemetry::metrics;

/// A response as it is written, the same for all.
pub type Payload = Arc<str>;

/// What may wait for one listener beyond what its connection takes at once. Who is further behind catches up by itself.
const BACKLOG: usize = 16;

/// Of how many callers one's turn is waited for.
const CALLERS: usize = 8;

/// One topic's, for as long as somebody listens.
pub struct Broadcast {
    topic: Arc<Topic>,
    fan_out: Weak<FanOut>,
    told: Mutex<Told>,
    reading: OnceLock<AbortOnDropHandle<()>>,
}

struct Told {
    /// All up to this place.
    position: i64,
    ending: Option<Ending>,
    /// For the numbers of listeners.
    next: u64,
    listeners: HashMap<u64, Arc<Ear>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// There is no more to tell.
    Over,
    /// Something could not be told to all alike.
    Failed,
}

/// A listener as it is heard by.
struct Ear {
    permit: ExecutionPermit,
    direct: Arc<dyn Fn(Payload) -> Result<(), Payload> + Send + Sync>,
    state: Mutex<EarState>,
    woken: Notify,
}

struct EarState {
    /// Up to where it was told all.
    position: i64,
    /// What found no room, oldest first.
    backlog: VecDeque<(i64, Payload)>,
    /// Whether something from the backlog is on its way, which nothing must overtake.
    is_passing_on: bool,
    is_behind: bool,
    ending: Option<Ending>,
}

/// What a listener has to do something about. What finds room at once is not among it.
pub enum Heard {
    /// This goes next, and nothing else before it was taken.
    Payload(Payload),
    /// It is too far behind, and goes on from here by itself.
    Behind(i64),
    /// It goes on from here by itself, since not all could be told the same.
    Failed(i64),
    Over,
}

/// A place among those who listen, until it is dropped.
pub struct Listener {
    broadcast: Arc<Broadcast>,
    number: u64,
    ear: Arc<Ear>,
}

impl Broadcast {
    pub fn new(topic: Arc<Topic>, position: i64, fan_out: Weak<FanOut>) -> Self {
        let told = Told { position, ending: None, next: 0, listeners: HashMap::new() };
        Self { topic, fan_out, told: Mutex::new(told), reading: OnceLock::new() }
    }

    /// Takes a listener in. None when it is behind; fails when the broadcast has ended.
    pub fn listen(self: &Arc<Self>, wish: Wish) -> Result<Option<Listener>, Wish> {
        let mut told = self.told();
        if told.ending.is_some() {
            return Err(wish);
        }
        if told.position > wish.position {
            return Ok(None);
        }
        let state = EarState {
            position: wish.position,
            backlog: VecDeque::new(),
            is_passing_on: false,
            is_behind: false,
            ending: None,
        };
        let ear =
            Arc::new(Ear { permit: wish.permit, direct: wish.direct, state: Mutex::new(state), woken: Notify::new() });
        let number = told.next;
        told.next += 1;
        told.listeners.insert(number, Arc::clone(&ear));
        Ok(Some(Listener { broadcast: Arc::clone(self), number, ear }))
    }

    /// Begins to execute what is to be told, from where the first listener is.
    pub fn begin(self: &Arc<Self>, reading: Reading<'_>) {
        let Reading { schema, executor, id, write } = reading;
        let pursuit = Pursuit::shared(self.told().position);
        let work = read(Arc::downgrade(self), schema.clone(), pursuit, id, write);
        let _ = self.reading.set(AbortOnDropHandle::new(executor.spawn(work)));
    }

    /// Tells all who have not heard it.
    fn tell(&self, position: i64, payload: &Payload) {
        let mut told = self.told();
        told.position = position;
        metrics::answer_shared(told.listeners.len());
        told.listeners.retain(|_, ear| ear.hear(position, payload));
    }

    fn end(&self, ending: Ending) {
        let mut told = self.told();
        told.ending = Some(ending);
        for ear in std::mem::take(&mut told.listeners).into_values() {
            ear.state().ending = Some(ending);
            ear.woken.notify_one();
        }
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.told().listeners.len()
    }

    /// Some of those who listen, each caller once.
    fn callers(&self) -> Vec<Arc<Semaphore>> {
        let mut callers: Vec<Arc<Semaphore>> = Vec::new();
        for ear in self.told().listeners.values() {
            let caller = ear.permit.caller();
            if !caller.is_none_or(|caller| callers.iter().any(|known| Arc::ptr_eq(known, caller))) {
                callers.extend(caller.cloned());
            }
            if callers.len() == CALLERS {
                break;
            }
        }
        callers
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        if let Some(fan_out) = self.fan_out.upgrade() {
            fan_out.end(&self.topic);
        }
    }
}

/// Executes a topic, in the turn of whichever of its callers comes first, and tells all what comes of it.
async fn read(
    broadcast: Weak<Broadcast>,
    schema: Schema,
    pursuit: Arc<Pursuit>,
    id: RequestId,
    write: fn(&async_graphql::Response) -> String,
) {
    let Some(topic) = broadcast.upgrade().map(|broadcast| Arc::clone(&broadcast.topic)) else { return };
    let permit = {
        let broadcast = Weak::clone(&broadcast);
        ExecutionPermit::of_any(Arc::new(move || {
            broadcast.upgrade().map(|broadcast| broadcast.callers()).unwrap_or_default()
        }))
    };
    permit.acquire().await;
    let request = topic.request().data(topic.reader()).data(id).data(permit.clone());
    let mut responses = schema.execute_for(&pursuit, request);
    while let Some(response) = responses.next().await {
        permit.release();
        let Some(broadcast) = broadcast.upgrade() else { return };
        if !response.errors.is_empty() {
            return broadcast.end(Ending::Failed);
        }
        if let Some(fan_out) = broadcast.fan_out.upgrade() {
            fan_out.executed.fetch_add(1, Ordering::Relaxed);
        }
        broadcast.tell(pursuit.position(), &write(&response).into());
    }
    if let Some(broadcast) = broadcast.upgrade() {
        broadcast.end(Ending::Over);
    }
}

impl Ear {
    /// False when it hears no more.
    fn hear(&self, position: i64, payload: &Payload) -> bool {
        let mut state = self.state();
        if position <= state.position {
            return true;
        }
        let mut payload = Arc::clone(payload);
        if state.backlog.is_empty() && !state.is_passing_on {
            match (self.direct)(payload) {
                Ok(()) => {
                    state.position = position;
                    return true;
                }
                Err(given_back) => payload = given_back,
            }
        }
        if state.backlog.len() < BACKLOG {
            state.backlog.push_back((position, payload));
        } else {
            state.backlog = VecDeque::new();
            state.is_behind = true;
        }
        self.woken.notify_one();
        !state.is_behind
    }

    fn state(&self) -> MutexGuard<'_, EarState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    pub fn topic(&self) -> &Arc<Topic> {
        &self.broadcast.topic
    }

    /// What is to be done next. What it gave back before has been taken when this is asked again.
    pub async fn next(&self) -> Heard {
        loop {
            if let Some(heard) = self.ear.state().next() {
                return heard;
            }
            self.ear.woken.notified().await;
        }
    }

    /// Hears no more: up to where it was told all.
    pub fn leave(self) -> i64 {
        self.broadcast.told().listeners.remove(&self.number);
        self.ear.state().position
    }
}

impl EarState {
    fn next(&mut self) -> Option<Heard> {
        self.is_passing_on = false;
        if let Some((position, payload)) = self.backlog.pop_front() {
            self.is_passing_on = true;
            self.position = position;
            return Some(Heard::Payload(payload));
        }
        if self.is_behind {
            return Some(Heard::Behind(self.position));
        }
        self.ending.map(|ending| match ending {
            Ending::Over => Heard::Over,
            Ending::Failed => Heard::Failed(self.position),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.broadcast.told().listeners.remove(&self.number);
    }
}
