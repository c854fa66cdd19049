//! What one execution of a subscription is to whoever follows it, and what lasts from one of them to the next.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use crate::api::error::Result;
use crate::api::subscription_quota::SubscriptionPermit;
use crate::clock::Clock;

/// A subscription that may be executed several times, each time from where the last one ended.
#[derive(Default)]
pub struct Subscriber {
    permit: OnceLock<SubscriptionPermit>,
    expiry: OnceLock<(Clock, Timestamp)>,
    /// What counts its answers.
    counted: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Subscriber {
    /// Has it be open until it is dropped, and until its token expires.
    pub fn open(
        &self,
        expiry: impl FnOnce() -> (Clock, Timestamp),
        permit: impl FnOnce() -> Result<SubscriptionPermit>,
    ) -> Result<()> {
        if self.permit.get().is_none() {
            let _ = self.permit.set(permit()?);
        }
        self.expiry.get_or_init(expiry);
        Ok(())
    }

    pub fn is_open(&self) -> bool {
        self.permit.get().is_some()
    }

    /// What counts its answers, for as long as it is open.
    pub fn counted<T: Any + Send + Sync>(&self, begin: impl FnOnce() -> T) -> Option<Arc<T>> {
        Arc::clone(self.counted.get_or_init(|| Arc::new(begin()))).downcast().ok()
    }

    /// Until its token expires.
    pub async fn expired(&self) {
        match self.expiry.get() {
            Some((clock, ends_at)) => clock.reached(*ends_at).await,
            None => std::future::pending().await,
        }
    }
}

/// Part of the session data of an execution.
pub struct Pursuit {
    /// Behind this place it begins, rather than where its arguments say.
    from: Option<i64>,
    /// None where it is executed for all who listen.
    subscriber: Option<Arc<Subscriber>>,
    /// Whether it ends when all that there is was told.
    hands_over: bool,
    /// Of what is executed.
    position: AtomicI64,
    is_caught_up: AtomicBool,
}

impl Pursuit {
    /// Of one subscriber, who was told what is up to `from`.
    pub fn own(subscriber: Arc<Subscriber>, from: Option<i64>, hands_over: bool) -> Arc<Self> {
        Self::new(Some(subscriber), from, hands_over)
    }

    /// Of all who listen to a broadcast.
    pub fn shared(from: i64) -> Arc<Self> {
        Self::new(None, Some(from), false)
    }

    fn new(subscriber: Option<Arc<Subscriber>>, from: Option<i64>, hands_over: bool) -> Arc<Self> {
        let (position, is_caught_up) = (AtomicI64::new(from.unwrap_or_default()), AtomicBool::new(false));
        Arc::new(Self { from, subscriber, hands_over, position, is_caught_up })
    }

    pub const fn from(&self) -> Option<i64> {
        self.from
    }

    pub const fn subscriber(&self) -> Option<&Arc<Subscriber>> {
        self.subscriber.as_ref()
    }

    /// Whether it goes on with what was let through already.
    pub fn goes_on(&self) -> bool {
        self.subscriber.as_ref().is_none_or(|subscriber| subscriber.is_open())
    }

    /// Notes that what has this place is about to be executed.
    pub fn reach(&self, position: i64) {
        self.position.store(position, Ordering::Release);
    }

    /// Notes that all up to this place was told. Whether it is to end there.
    pub fn catch_up(&self, position: i64) -> bool {
        if self.hands_over {
            self.reach(position);
            self.is_caught_up.store(true, Ordering::Release);
        }
        self.hands_over
    }

    /// The place of what was executed last.
    pub fn position(&self) -> i64 {
        self.position.load(Ordering::Acquire)
    }

    /// Up to where all was told, where it ended for that.
    pub fn caught_up(&self) -> Option<i64> {
        self.is_caught_up.load(Ordering::Acquire).then(|| self.position())
    }
}
