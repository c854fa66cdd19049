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
use futures_util::{FutureExt, StreamExt};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::api::error::Error;
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
        let executing = self.executor.spawn(in_context(async move {
            let _held = held;
            timeout_at(deadline, schema.execute(signed.into_request())).await
        }));
        match executing.await {
            Ok(executed) => executed.map_err(|_| Error::timed_out()),
            Err(error) => {
                tracing::error!(%error, "An execution ended without a response");
                Err(Error::internal())
            }
        }
    }

    /// The responses to any operation: one, unless it is a subscription. To be polled in a task of [`Self::spawn`].
    pub fn responses(&self, operation: Option<OperationType>, signed: Signed) -> BoxStream<'static, Response> {
        let parts = self.clone();
        if operation != Some(OperationType::Subscription) {
            let response = async move { parts.execute(signed).await.unwrap_or_else(Error::into_response) };
            return response.into_stream().boxed();
        }
        let held = (signed.slot.in_use(), Arc::clone(&signed.held));
        let permit = self.limiter.execution(&signed.identity, signed.address);
        let responses = stream! {
            let _held = held;
            permit.acquire().await;
            let mut responses = parts.schema.execute_stream(signed.into_request().data(permit.clone()));
            while let Some(response) = responses.next().await {
                // A client that is slow to take it keeps nothing from its others.
                permit.release();
                yield response;
            }
        };
        responses.boxed()
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
