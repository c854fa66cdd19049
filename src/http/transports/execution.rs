//! Running what clients ask for, in their caller's turn: queries and mutations within the time that they have, subscriptions
//! for as long as somebody listens.
//!
//! It is done on threads of its own. Resolvers can keep a thread for many milliseconds, and while some do for one caller,
//! connections are taken and read and services looked after all the same.

use std::net::IpAddr;
use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Response};
use async_stream::stream;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::answer;
use crate::api::error::Error;
use crate::api::fan_out::{Heard, Listener, Payload, Pursuit, Reading, Subscriber, Topic, Wish};
use crate::api::{Identity, RequestId};
use crate::http::Parts;
use crate::http::limits::{ConnectionSlot, HeldBytes};
use crate::telemetry::traces;

/// After how many steps of tasks a thread looks for what the store and the clock have to tell. The library's own choice,
/// 61, is for steps that are short.
const EVENT_INTERVAL: u32 = 4;

/// The threads that execute operations. Those under way are broken off when it is dropped.
pub struct Executor {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Executor {
    /// As many threads as there are cores.
    ///
    /// # Errors
    /// Where the system has no more threads or files to give.
    pub fn new() -> std::io::Result<Self> {
        let mut threads = Builder::new_multi_thread();
        let runtime = threads.enable_all().thread_name("executor").event_interval(EVENT_INTERVAL).build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// To start operations with.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // A runtime that is simply dropped waits for its threads, which no asynchronous code may do.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What a client is told of an operation.
pub enum Answer {
    Own(Box<Response>),
    /// What others are told as well, as [`answer::json`] writes it.
    Shared(Payload),
}

/// Where what is shared goes at once if there is room for it.
pub type Direct = Arc<dyn Fn(Payload) -> Result<(), Payload> + Send + Sync>;

/// A request, and who sent it.
pub struct Signed {
    pub request: Request,
    pub id: RequestId,
    pub identity: Identity,
    pub address: IpAddr,
    /// Its connection's. It is in use from when the request's turn has come.
    pub slot: Arc<ConnectionSlot>,
    /// What it takes of the memory for requests, until it is executed.
    pub held: Arc<HeldBytes>,
    /// Whether it takes less time than another thread would take to hear of it. It is executed where it was read then.
    pub is_brief: bool,
}

impl Signed {
    fn into_request(self) -> Request {
        self.request.data(self.identity).data(self.id)
    }
}

impl Parts {
    /// Executes a query or a mutation. Fails when that takes too long, waiting for its turn included. What is dropped while
    /// it waits is not executed; what has begun is brought to its end all the same, for a client that goes away between a
    /// commit and the word of it must not keep that from others.
    pub async fn execute(&self, signed: Signed) -> Result<Response, Error> {
        let deadline = Instant::now() + self.limiter.limits().request_time;
        // What has no turn yet must not stand in the executor's queue, which is everybody's.
        let permit = self.limiter.execution(&signed.identity, signed.address);
        timeout_at(deadline, permit.acquire()).await.map_err(|_| Error::timed_out())?;
        let held = (permit, signed.slot.in_use(), Arc::clone(&signed.held));
        let schema = self.schema.clone();
        let is_brief = signed.is_brief;
        let execution = in_context(async move {
            let _held = held;
            timeout_at(deadline, schema.execute(signed.into_request())).await
        });
        let executing = if is_brief { tokio::spawn(execution) } else { self.executor.spawn(execution) };
        match executing.await {
            Ok(executed) => executed.map_err(|_| Error::timed_out()),
            Err(error) => {
                tracing::error!(%error, "An execution ended without a response");
                Err(Error::internal())
            }
        }
    }

    /// The answers to any operation: one, unless it is a subscription. To be polled in a task of [`Self::spawn`].
    ///
    /// What others hear as well goes to `direct`, as long as there is room; the rest comes out here, in its place.
    pub fn answers(
        &self,
        operation: Option<OperationType>,
        mut signed: Signed,
        direct: Direct,
    ) -> BoxStream<'static, Answer> {
        let parts = self.clone();
        if operation != Some(OperationType::Subscription) {
            let response = async move { parts.execute(signed).await.unwrap_or_else(Error::into_response) };
            return response.map(|response| Answer::Own(Box::new(response))).into_stream().boxed();
        }
        let Some(topic) = Topic::of(&mut signed.request, &signed.identity) else {
            return parts.own_answers(signed).boxed();
        };
        parts.shared_answers(signed, Arc::new(topic), direct).boxed()
    }

    /// A subscription's, executed for nobody else.
    fn own_answers(self, signed: Signed) -> impl Stream<Item = Answer> {
        let held = (signed.slot.in_use(), Arc::clone(&signed.held));
        let permit = self.limiter.execution(&signed.identity, signed.address);
        stream! {
            let _held = held;
            permit.acquire().await;
            let mut responses = self.schema.execute_stream(signed.into_request().data(permit.clone()));
            while let Some(response) = responses.next().await {
                // A client that is slow to take it keeps nothing from its others.
                permit.release();
                yield Answer::Own(Box::new(response));
            }
        }
    }

    /// A subscription's, which is executed by itself until it has caught up with what others hear.
    fn shared_answers(self, signed: Signed, mut topic: Arc<Topic>, direct: Direct) -> impl Stream<Item = Answer> {
        let _in_use = signed.slot.in_use();
        let permit = self.limiter.execution(&signed.identity, signed.address);
        let subscriber = Arc::<Subscriber>::default();
        let Signed { request, id, identity, held, .. } = signed;
        let mut first = Some((request, held));
        let (mut from, mut is_alone) = (None, false);
        stream! {
            let _in_use = _in_use;
            loop {
                let pursuit = Pursuit::own(Arc::clone(&subscriber), from, !is_alone);
                permit.acquire().await;
                // It takes memory until it is executed.
                let (request, held) = first.take().map_or_else(|| (topic.request(), None), |(request, held)| (request, Some(held)));
                let request = request.data(identity.clone()).data(id.clone()).data(permit.clone());
                let mut responses = self.schema.execute_for(&pursuit, request);
                while let Some(response) = responses.next().await {
                    permit.release();
                    yield Answer::Own(Box::new(response));
                }
                drop((responses, held));
                permit.release();
                let Some(position) = pursuit.caught_up() else { return };
                let wish = Wish { topic: Arc::clone(&topic), position, permit: permit.clone(), direct: direct.clone() };
                let Some(listener) = self.join(wish, id.clone()) else {
                    from = Some(position);
                    continue;
                };
                topic = Arc::clone(listener.topic());
                loop {
                    let heard = tokio::select! {
                        biased;
                        () = subscriber.expired() => None,
                        heard = listener.next() => Some(heard),
                    };
                    match heard {
                        Some(Heard::Payload(payload)) => yield Answer::Shared(payload),
                        Some(Heard::Over) => return,
                        Some(Heard::Behind(position)) => {
                            from = Some(position);
                            break;
                        }
                        Some(Heard::Failed(position)) => {
                            // Who does not get on together with others does so alone.
                            is_alone = from.replace(position) == Some(position);
                            break;
                        }
                        None => {
                            from = Some(listener.leave());
                            break;
                        }
                    }
                }
            }
        }
    }

    fn join(&self, wish: Wish, id: RequestId) -> Option<Listener> {
        let reading = Reading { schema: &self.schema, executor: &self.executor, id, write: answer::json };
        self.schema.fan_out().join(wish, reading)
    }

    /// Runs `work`, which follows an operation's responses, until it is done or what is given back is dropped.
    pub fn spawn<F>(&self, operation: Option<OperationType>, work: F) -> AbortOnDropHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = in_context(work);
        AbortOnDropHandle::new(match operation {
            // Following it is what resolves it.
            Some(OperationType::Subscription) => self.executor.spawn(work),
            _ => tokio::spawn(work),
        })
    }
}

/// Has `work` be part of the trace here, and of the request in the log.
fn in_context<F: Future>(work: F) -> impl Future<Output = F::Output> {
    traces::going_on(work).in_current_span()
}
