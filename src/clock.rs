//! What time it is, and when a time is reached. What only decides something is given the time as an argument; what writes it
//! down or waits for it asks here.
//!
//! Timers run by a clock that nobody can set, and that stands still while the machine sleeps. Whoever waits for a time of day
//! has to hear when the two part.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// How often the two clocks are compared. So late is noticed that one was set.
const COMPARED: Duration = Duration::from_secs(1);

/// What the clocks may part by in that time without one having been set. A clock that is brought right slowly, as NTP does,
/// parts by half a millisecond.
const TOLERATED: SignedDuration = SignedDuration::from_millis(200);

/// The time, in the microseconds that both databases keep.
pub fn now() -> Timestamp {
    in_microseconds(Timestamp::now())
}

/// `time` without what is finer than a microsecond.
pub fn in_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// What tells the time of day.
type Reading = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A clock that can be waited for.
#[derive(Clone)]
pub struct Clock {
    read: Reading,
    /// Changes whenever it was set.
    set: watch::Receiver<()>,
    _comparing: Arc<AbortOnDropHandle<()>>,
}

impl Clock {
    /// The system's, watched on the current runtime.
    pub fn system() -> Self {
        Self::reading(Timestamp::now)
    }

    /// The one that `read` reads.
    pub fn reading(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let read: Reading = Arc::new(read);
        let (sender, set) = watch::channel(());
        let comparing = AbortOnDropHandle::new(tokio::spawn(compare(Arc::clone(&read), sender)));
        Self { read, set, _comparing: Arc::new(comparing) }
    }

    pub fn now(&self) -> Timestamp {
        (self.read)()
    }

    /// Until it is `time`, whatever becomes of the clock meanwhile.
    pub async fn reached(&self, time: Timestamp) {
        let mut set = self.set.clone();
        while let Ok(left) = Duration::try_from(time.duration_since(self.now()))
            && !left.is_zero()
        {
            tokio::select! {
                () = sleep(left) => {}
                // It is watched for as long as it is there.
                _ = set.changed() => {}
            }
        }
    }
}

async fn compare(read: Reading, set: watch::Sender<()>) {
    let mut before = (read(), Instant::now());
    loop {
        sleep(COMPARED).await;
        let after = (read(), Instant::now());
        let elapsed = SignedDuration::try_from(after.1 - before.1).unwrap_or(SignedDuration::MAX);
        let apart = after.0.duration_since(before.0).saturating_sub(elapsed);
        if apart.abs() > TOLERATED {
            tracing::info!(%apart, "The clock was set");
            set.send_replace(());
        }
        before = after;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_time_is_reached_also_by_a_clock_that_is_set() {
        let began = Instant::now();
        let offset = Arc::new(AtomicI64::new(0));
        let read = {
            let offset = Arc::clone(&offset);
            move || {
                let elapsed = i64::try_from(began.elapsed().as_secs()).unwrap();
                Timestamp::from_second(1_000_000 + elapsed + offset.load(Ordering::Relaxed)).unwrap()
            }
        };
        let clock = Clock::reading(read);
        clock.reached(clock.now() + SignedDuration::from_secs(60)).await;
        assert_eq!(began.elapsed().as_secs(), 60);

        let mut later = Box::pin(clock.reached(clock.now() + SignedDuration::from_hours(1)));
        assert!(later.as_mut().now_or_never().is_none());
        offset.store(7200, Ordering::Relaxed);
        later.await;
        assert!(began.elapsed() < Duration::from_secs(63), "{:?}", began.elapsed());
        // What was put back is not reached by the time that it would have taken.
        let mut later = Box::pin(clock.reached(clock.now() + SignedDuration::from_secs(60)));
        assert!(later.as_mut().now_or_never().is_none());
        offset.store(3600, Ordering::Relaxed);
        sleep(Duration::from_secs(120)).await;
        assert!(later.as_mut().now_or_never().is_none());
    }
}
