//! The GraphQL schema: what clients see of the use cases in [`crate::app`].
//!
//! Nothing here decides what is allowed beyond who is asking, and nothing here touches the store or the engine. The one
//! mapping from errors to codes is [`error`]; every root field stands behind `guard::Authenticated`.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Context, Request, SDLExportOptions};

use crate::app::App;
use crate::clock::Clock;
use crate::domain::permission::Principal;

mod batches;
mod documents;
pub mod error;
mod error_codes;
mod execution_permit;
pub mod fan_out;
mod guard;
mod meter;
mod mutation;
mod query;
mod schema;
mod subscription;
mod subscription_quota;
mod types;

pub use documents::limits::Limits;
pub use execution_permit::ExecutionPermit;
pub use schema::Schema;

/// Who sent a request. The HTTP layer puts it into the request's data; a request without it is anonymous.
#[derive(Debug, Clone)]
pub enum Identity {
    Known(Principal),
    /// Why nobody is known, as a clause for the sender to read, such as "the token is expired".
    Anonymous(String),
}

/// The id under which the log tells what a client only hears as an internal error. Part of a request's data.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// The schema over the use cases. Tokens expire by `clock`.
pub fn schema(app: Arc<App>, limits: Limits, clock: Clock) -> Schema {
    let quota = Arc::new(subscription_quota::SubscriptionQuota::new(&limits));
    let limits = Arc::new(limits);
    let builder = || {
        let mut builder = builder();
        if !limits.introspection {
            builder = builder.disable_introspection().disable_suggestions();
        }
        let builder = builder.data(Arc::clone(&limits)).data(Arc::clone(&quota));
        builder.data(clock.clone()).data(Arc::clone(&app))
    };
    Schema::new(builder, Arc::clone(&limits), clock.clone())
}

/// The schema in GraphQL's definition language, as it is committed in `schema.graphql`.
pub fn sdl() -> String {
    builder().finish().sdl_with_options(SDLExportOptions::new().use_space_ident())
}

/// What a request would run.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    pub kind: OperationType,
    /// Fields at its root, those in fragments included, each as often as it is asked for; never more than are let through.
    pub root_fields: u32,
    /// Whether it has kept its thread for next to no time when it was executed last.
    pub is_brief: bool,
}

/// What operation `request` would run; None when its document does not say, for instance because it is no GraphQL at all, or
/// too much of it.
pub fn operation(schema: &Schema, request: &mut Request) -> Option<Operation> {
    schema.operation(request)
}

fn builder() -> async_graphql::SchemaBuilder<query::Query, mutation::Mutation, subscription::Subscription> {
    async_graphql::Schema::build(query::Query, mutation::Mutation, subscription::Subscription)
}

/// The use cases, which [`schema`] put into the schema's data.
fn app<'a>(ctx: &Context<'a>) -> &'a Arc<App> {
    ctx.data_unchecked()
}
