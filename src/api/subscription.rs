//! Watching. A stream ends itself when its viewer's token expires: the guard looks once, at its beginning.

use std::pin::pin;
use std::sync::Arc;

use async_graphql::{Context, ID, Subscription};
use async_stream::stream;
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;

use super::error::{Error, Result};
use super::fan_out::Pursuit;
use super::guard::{Authenticated, expired, viewer};
use super::subscription_quota::{SubscriptionPermit, SubscriptionQuota};
use super::types::date_time::DateTime;
use super::types::ids::{parse_project, parse_service};
use super::types::live::{LogLine, ServiceMetrics};
use super::types::service::Service;
use super::types::service_event::ServiceEvent;
use super::{ExecutionPermit, app};
use crate::app::AppError;
use crate::app::live::MAX_TAIL;
use crate::app::subscriptions::{Beginning, News};
use crate::catalog::connections_limit;
use crate::clock::Clock;
use crate::domain::permission::Principal;

pub struct Subscription;

/// What can be watched, over a WebSocket or as an event stream. A stream ends with an UNAUTHENTICATED error when your
/// token expires; come back with a new token and the last cursor that you saw.
#[Subscription(guard = "Authenticated")]
impl Subscription {
    /// Each change of the project's services, in order, none lost, none twice. With `after`, all that came since that
    /// cursor first; without it, what happens from now on. A cursor that is older than the events that are kept fails with
    /// CURSOR_EXPIRED, and so does a reader that falls so far behind: read the services anew then, and go on from their
    /// `eventCursor`.
    async fn service_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The project to watch.")] project_id: ID,
        #[graphql(desc = "The cursor of the last event that you have seen.")] after: Option<String>,
    ) -> Result<impl Stream<Item = Result<ServiceEvent>>> {
        let viewer = viewer(ctx)?;
        let watch = Watch::open(ctx, viewer, "serviceEvents")?;
        let project = parse_project("projectId", &project_id)?;
        let beginning = match (watch.from(), after.as_deref()) {
            (Some(position), _) => Beginning::Behind(position),
            (None, Some(cursor)) => Beginning::After(cursor),
            (None, None) => Beginning::Now,
        };
        let events = app(ctx).service_events(viewer, project, beginning).await?;
        Ok(watch.pursue(events).map(|event| event.map(ServiceEvent::from)))
    }

    /// The service as it is now, at once, and again after each change. Ends when the service is destroyed.
    async fn service_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to watch.")] id: ID,
    ) -> Result<impl Stream<Item = Result<Service>>> {
        let viewer = viewer(ctx)?;
        let watch = Watch::open(ctx, viewer, "serviceChanged")?;
        let id = parse_service("id", &id)?;
        let services = app(ctx).service_changes(viewer, id, watch.from()).await?;
        Ok(watch.pursue(services).map(|service| service.map(Service)))
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
        let watch = Watch::open(ctx, viewer, "serviceLogs")?;
        let id = parse_service("id", &id)?;
        let tail = u32::try_from(tail.unwrap_or(100)).ok().filter(|tail| *tail <= MAX_TAIL);
        let tail = tail.ok_or_else(|| Error::bad_input("tail", format!("It is from 0 to {MAX_TAIL}.")))?;
        let lines = app(ctx).service_logs(viewer, id, tail, since.map(|since| since.0)).await?;
        Ok(watch.follow(lines.map(|line| line.map(LogLine))))
    }

    /// What the service takes and holds, about once a second while its container runs. Ends when the service is
    /// destroyed.
    async fn service_metrics(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service to measure.")] id: ID,
    ) -> Result<impl Stream<Item = Result<ServiceMetrics>>> {
        let viewer = viewer(ctx)?;
        let watch = Watch::open(ctx, viewer, "serviceMetrics")?;
        let id = parse_service("id", &id)?;
        let metrics = app(ctx).service_metrics(viewer, id).await?;
        Ok(watch.follow(metrics.map(|now| {
            let (wish, measured) = now?;
            Ok(ServiceMetrics { measured, tier: wish.tier, connections_limit: connections_limit(&wish) })
        })))
    }
}

/// What a subscription has for as long as it is open.
struct Watch {
    clock: Clock,
    /// When its viewer's token expires.
    ends_at: Timestamp,
    /// Its caller's leave for it to be executed.
    execution: Option<ExecutionPermit>,
    /// Where it goes on by another execution.
    pursuit: Option<Arc<Pursuit>>,
    /// None where it is open for longer than this execution.
    _subscription: Option<SubscriptionPermit>,
}

impl Watch {
    fn open(ctx: &Context<'_>, viewer: &Principal, field: &'static str) -> Result<Self> {
        let acquire = || ctx.data_unchecked::<Arc<SubscriptionQuota>>().acquire(&viewer.subject, field);
        let (clock, ends_at) = (ctx.data_unchecked::<Clock>().clone(), viewer.ends_at());
        let pursuit = ctx.data_opt::<Arc<Pursuit>>().cloned();
        let subscription = match pursuit.as_deref().map(Pursuit::subscriber) {
            None => Some(acquire()?),
            Some(None) => None,
            Some(Some(subscriber)) => {
                subscriber.open(|| (clock.clone(), ends_at), acquire)?;
                None
            }
        };
        let execution = ctx.data_opt::<ExecutionPermit>().cloned();
        Ok(Self { clock, ends_at, execution, pursuit, _subscription: subscription })
    }

    /// Behind which place it begins, where that is known by another one than the client.
    fn from(&self) -> Option<i64> {
        self.pursuit.as_ref().and_then(|pursuit| pursuit.from())
    }

    /// The same as [`Self::follow`]; and the end, where it goes on by another execution once all was told that there is.
    fn pursue<T>(self, news: impl Stream<Item = Result<News<T>, AppError>>) -> impl Stream<Item = Result<T>> {
        let pursuit = self.pursuit.clone();
        let items = stream! {
            let mut news = pin!(news);
            while let Some(told) = news.next().await {
                match (told, pursuit.as_deref()) {
                    (Ok(News::Item(item, position)), pursuit) => {
                        if let Some(pursuit) = pursuit {
                            pursuit.reach(position);
                        }
                        yield Ok(item);
                    }
                    (Ok(News::CaughtUp(position)), Some(pursuit)) if pursuit.catch_up(position) => return,
                    (Ok(News::CaughtUp(_)), _) => {}
                    (Err(error), _) => yield Err(error),
                }
            }
        };
        self.follow(items)
    }

    /// `items` until the token expires; then, or when an item is an error, that error and the end. Whatever follows of an item
    /// is executed in its caller's turn.
    fn follow<T>(self, items: impl Stream<Item = Result<T, AppError>>) -> impl Stream<Item = Result<T>> {
        stream! {
            let mut items = pin!(items);
            let mut expiry = pin!(self.clock.reached(self.ends_at));
            loop {
                let in_turn = async {
                    self.wait();
                    let item = items.next().await;
                    self.go_on().await;
                    item
                };
                let item = tokio::select! {
                    biased;
                    () = &mut expiry => Some(Err(expired())),
                    item = in_turn => item.map(|item| item.map_err(Error::from)),
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

    /// There is nothing to be executed.
    fn wait(&self) {
        if let Some(execution) = &self.execution {
            execution.release();
        }
    }

    async fn go_on(&self) {
        if let Some(execution) = &self.execution {
            execution.acquire().await;
        }
    }
}
