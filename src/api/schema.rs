//! What executes requests: the library's schema, and what is done around it.
//!
//! The library has each field of a schema with extensions go through all of them, which costs more than most fields do. So
//! there are two schemas: the exact one, with what [`ErrorCodes`] sees to, and a quick one without it, for queries that were
//! executed before without an error. What fails in the quick one is executed again in the exact one, which tells how it fails.

use std::any::TypeId;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{Data, Request, Response, ValidationMode};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

use super::batches::Batches;
use super::documents::limits::Limits;
use super::documents::operation::Asked;
use super::documents::proven::{Identified, Proven, ProvenDocuments};
use super::error_codes::ErrorCodes;
use super::fan_out::{FanOut, Pursuit};
use super::meter::Meter;
use super::mutation::Mutation;
use super::query::Query;
use super::subscription::Subscription;
use super::types::list::AtOnce;
use super::{Identity, Operation, documents, guard};
use crate::audit;
use crate::clock::Clock;

pub type Plain = async_graphql::Schema<Query, Mutation, Subscription>;

/// The schema that [`super::schema`] builds.
#[derive(Clone)]
pub struct Schema(Arc<Inner>);

struct Inner {
    exact: Plain,
    quick: Plain,
    limits: Arc<Limits>,
    clock: Clock,
    fan_out: Arc<FanOut>,
    proven: ProvenDocuments,
}

/// A document and what it asks for, once they have turned out to be valid. Part of a request's data.
pub type Validated = OnceLock<(ExecutableDocument, Arc<Asked>)>;

impl Schema {
    /// `builder` gives the same schema each time, with all its data.
    pub(super) fn new(
        builder: impl Fn() -> async_graphql::SchemaBuilder<Query, Mutation, Subscription>,
        limits: Arc<Limits>,
        clock: Clock,
    ) -> Self {
        let exact = builder().extension(ErrorCodes { limits: Arc::clone(&limits) }).finish();
        // All that it is given is valid.
        let quick = builder().data(AtOnce).validation_mode(ValidationMode::Fast).finish();
        let (proven, fan_out) = (ProvenDocuments::default(), Arc::default());
        Self(Arc::new(Inner { exact, quick, limits, clock, fan_out, proven }))
    }

    /// Executes a query or a mutation.
    pub async fn execute(&self, mut request: Request) -> Response {
        let meter = Arc::new(Meter::begin());
        let execution = async {
            if let Some(proven) = self.proven(&request) {
                meter.learn(&proven.asked);
                if let Some(response) = self.execute_proven(&proven, &request).await {
                    return response;
                }
                return self.0.exact.execute(prepared(request, &meter)).await;
            }
            let validated = Arc::new(Validated::new());
            let identified = self.is_viewers(&request).then(|| Identified::of(&request)).flatten();
            request.data.insert(Arc::clone(&validated));
            let response = self.0.exact.execute(prepared(request, &meter)).await;
            if let (Some(identified), Some((document, asked)), []) = (identified, validated.get(), &*response.errors)
                && asked.kind == OperationType::Query
                && let Some(operation) = self.operation_in(document, asked.name.as_deref())
            {
                self.0.proven.remember(identified, document, asked, operation);
            }
            response
        };
        meter.around(execution).await
    }

    /// Executes any operation; a subscription has many responses.
    pub fn execute_stream(&self, request: Request) -> BoxStream<'static, Response> {
        let meter = Arc::new(Meter::begin());
        let responses = self.0.exact.execute_stream(prepared(request, &meter)).boxed();
        meter.follow(None, responses)
    }

    /// The same of a subscription that may be executed several times, or for several who listen.
    pub fn execute_for(&self, pursuit: &Arc<Pursuit>, request: Request) -> BoxStream<'static, Response> {
        let meter = Arc::new(Meter::begin());
        let mut session = Data::default();
        session.insert(Arc::clone(pursuit));
        let request = prepared(request, &meter);
        let responses = self.0.exact.execute_stream_with_session_data(request, Arc::new(session)).boxed();
        meter.follow(Some(pursuit), responses)
    }

    pub fn fan_out(&self) -> &Arc<FanOut> {
        &self.0.fan_out
    }

    /// What operation `request` would run; None when its document does not say, for instance because it is no GraphQL at all, or
    /// too much of it.
    pub(super) fn operation(&self, request: &mut Request) -> Option<Operation> {
        if let Some(proven) = self.0.proven.find(request) {
            return Some(proven.operation(&request.variables));
        }
        self.0.limits.check_text(&request.query).ok()?;
        let name = request.operation_name.clone();
        self.operation_in(request.parsed_query().ok()?, name.as_deref())
    }

    fn operation_in(&self, document: &ExecutableDocument, name: Option<&str>) -> Option<Operation> {
        let selected = documents::operation::selected(document, name)?;
        let root_fields = documents::root_fields(document, selected).clamp(1, self.0.limits.root_fields.max(1));
        let root_fields = u32::try_from(root_fields).unwrap_or(u32::MAX);
        Some(Operation { kind: selected.ty, root_fields, is_brief: false })
    }

    /// The request's document, where it needs neither parsing nor validation.
    fn proven(&self, request: &Request) -> Option<Arc<Proven>> {
        let proven = self.0.proven.find(request).filter(|_| self.is_viewers(request))?;
        proven.takes(&request.variables).then_some(proven)
    }

    /// Whether the guard lets the sender through.
    fn is_viewers(&self, request: &Request) -> bool {
        guard::refusal(identity(request), self.0.clock.now()).is_none()
    }

    /// None where anything in it fails; then nothing has come of it. It is a query, so that it can be executed again.
    async fn execute_proven(&self, proven: &Proven, request: &Request) -> Option<Response> {
        let mut quick = Request::new("").variables(request.variables.clone()).data(Arc::<Batches>::default());
        quick.operation_name.clone_from(&request.operation_name);
        quick.set_parsed_query(proven.document.clone());
        if let Some(identity) = identity(request) {
            quick.data.insert(identity.clone());
        }
        let mut kept = Duration::ZERO;
        let execution = AssertUnwindSafe(timed(self.0.quick.execute(quick), &mut kept)).catch_unwind();
        let (executed, withheld) = audit::withholding(execution).await;
        proven.executed(kept);
        let response = executed.ok().filter(|response| response.errors.is_empty());
        if response.is_none() {
            withheld.discard();
        }
        response
    }
}

/// Does it, and measures for how long at a time it keeps its thread.
async fn timed<T>(work: impl Future<Output = T>, longest: &mut Duration) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let begun = Instant::now();
        let polled = work.as_mut().poll(cx);
        *longest = (*longest).max(begun.elapsed());
        polled
    })
    .await
}

/// The request with what the exact schema finds in its data.
fn prepared(request: Request, meter: &Arc<Meter>) -> Request {
    request.data(Arc::clone(meter)).data(Arc::<Batches>::default())
}

fn identity(request: &Request) -> Option<&Identity> {
    request.data.get(&TypeId::of::<Identity>())?.downcast_ref()
}
