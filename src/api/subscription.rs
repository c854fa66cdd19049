//! Watching. A stream ends itself when its viewer's token expires: the guard looks once, at its beginning.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ID, Subscription};
use async_stream::stream;
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;

use super::app;
use super::error::{Error, Result};
use super::guard::{Authenticated, expired, viewer};
use super::subscription_quota::{SubscriptionPermit, SubscriptionQuota};
use super::types::date_time::DateTime;
use super::types::ids::{parse_project, parse_service};
use super::types::live::{LogLine, ServiceMetrics};
use super::types::service::Service;
use super::types::service_event::ServiceEvent;
use crate::app::AppError;
use crate::app::live::MAX_TAIL;

/// How long a stream sleeps at most before it looks at the clock again, which may have been set or have slept itself.
const CLOCK_CHECK: Duration = Duration::from_secs(30);

pub struct Subscription;

/// What can be watched, over a WebSocket or as an event stream. A stream ends with an UNAUTHENTICATED error when your
/// token expires; come back with a new token and the last cursor that you saw.
#[Subscription(guard = "Authenticated")]
impl Subscription {
    /// Each change of the project's services, in order, none lost, none twice. With `after`, all that came since that
    /// cursor first, however long ago that was; without it, what happens from now on.
    async fn service_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The project to watch.")] project_id: ID,
        #[graphql(desc = "The cursor of the last event that you have seen.")] after: Option<String>,
    ) -> Result<impl Stream<Item = Result<ServiceEvent>>> {
        let viewer = viewer(ctx)?;
        let permit = ctx.data_unchecked::<Arc<SubscriptionQuota>>().acquire(&viewer.subject, "serviceEvents")?;
        let project = parse_project("projectId", &project_id)?;
        let events = app(ctx).service_events(viewer, project, after.as_deref()).await?;
        Ok(until(viewer.ends_at(), permit, events.map(|event| event.map(ServiceEvent))))
    }

    /// The service as it is now, at once, and again after each change. Ends when the service is destroyed.
    async fn service_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to watch.")] id: ID,
    ) -> Result<impl Stream<Item = Result<Service>>> {
        let viewer = viewer(ctx)?;
        let permit = ctx.data_unchecked::<Arc<SubscriptionQuota>>().acquire(&viewer.subject, "serviceChanged")?;
        let id = parse_service("id", &id)?;
        let services = app(ctx).service_changes(viewer, id).await?;
        Ok(until(viewer.ends_at(), permit, services.map(|service| service.map(Service))))
    }

    /// What the service's server writes: its last lines, and then each as it comes, also after restarts. Ends when the
    /// service is destroyed. Needs the permission `project:settings`.
    async fn service_logs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to listen to.")] id: ID,
        #[graphql(desc = "How many lines of the past to begin with, at most 5000.", default_with = "Some(100)")]
        tail: Option<i32>,
        #[graphql(desc = "Leaves out lines that are older.")] since: Option<DateTime>,
    ) -> Result<impl Stream<Item = Result<LogLine>>> {
        let viewer = viewer(ctx)?;
        let permit = ctx.data_unchecked::<Arc<SubscriptionQuota>>().acquire(&viewer.subject, "serviceLogs")?;
        let id = parse_service("id", &id)?;
        let tail = u32::try_from(tail.unwrap_or(100)).ok().filter(|tail| *tail <= MAX_TAIL);
        let tail = tail.ok_or_else(|| Error::bad_input("tail", format!("It is from 0 to {MAX_TAIL}.")))?;
        let lines = app(ctx).service_logs(viewer, id, tail, since.map(|since| since.0)).await?;
        Ok(until(viewer.ends_at(), permit, lines.map(|line| line.map(LogLine))))
    }

    /// What the service takes and holds, about once a second while its container runs. Ends when the service is
    /// destroyed.
    async fn service_metrics(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to measure.")] id: ID,
    ) -> Result<impl Stream<Item = Result<ServiceMetrics>>> {
        let viewer = viewer(ctx)?;
        let permit = ctx.data_unchecked::<Arc<SubscriptionQuota>>().acquire(&viewer.subject, "serviceMetrics")?;
        let id = parse_service("id", &id)?;
        let (service, metrics) = app(ctx).service_metrics(viewer, id).await?;
        let tier = service.spec.tier;
        Ok(until(viewer.ends_at(), permit, metrics.map(move |measured| Ok(ServiceMetrics { measured, tier }))))
    }
}

/// `items` until `ends_at`; then, or when an item is an error, that error and the end. Keeps `permit` for as long.
fn until<T>(
    ends_at: Timestamp,
    permit: SubscriptionPermit,
    items: impl Stream<Item = Result<T, AppError>>,
) -> impl Stream<Item = Result<T>> {
    stream! {
        let _permit = permit;
        let mut items = pin!(items);
        let mut expiry = pin!(reached(ends_at));
        loop {
            let item = tokio::select! {
                biased;
                () = &mut expiry => Some(Err(expired())),
                item = items.next() => item.map(|item| item.map_err(Error::from)),
            };
            match item {
                None => return,
                Some(Ok(item)) => yield Ok(item),
                Some(Err(error)) => {
                    yield Err(error);
                    return;
                }
            }
        }
    }
}

async fn reached(time: Timestamp) {
    while let Ok(left) = Duration::try_from(time.duration_since(Timestamp::now()))
        && !left.is_zero()
    {
        tokio::time::sleep(left.min(CLOCK_CHECK)).await;
    }
}
