//! On which threads a connection's statements run.

use std::sync::Arc;

use diesel_async::sync_connection_wrapper::SpawnBlocking;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::keeper::Keeper;
use crate::store::BoxError;

pub enum Threads {
    /// Where they are called, for a thread that has the connection to itself.
    Here,
    /// On one of those that may wait. The keeper outlives a statement that nobody waits for any more.
    Any(Arc<Keeper>),
}

impl SpawnBlocking for Threads {
    fn spawn_blocking<'a, R: Send + 'static>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'a, Result<R, BoxError>> {
        match self {
            Self::Here => ready(Ok(task())).boxed(),
            Self::Any(keeper) => {
                let keeper = Arc::clone(keeper);
                let done = tokio::task::spawn_blocking(move || {
                    let done = task();
                    drop(keeper);
                    done
                });
                done.map(|done| done.map_err(BoxError::from)).boxed()
            }
        }
    }

    fn get_runtime() -> Self {
        Self::Here
    }
}

/// What comes of something that never waits, such as statements that run where they are called.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing in it waits")
}
