//! The audit trail: what was done, by whom, and who was refused.
//!
//! It is the log's lines of one target, so that they can be kept apart. The request's span gives each its request id and
//! the client's address. What was done to a service is an event of it as well; a refusal is not, for who may change nothing
//! must not write into what others read.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::id::{ProjectId, ServiceId};
use crate::domain::node::NodeName;
use crate::domain::permission::Principal;

/// What the audit trail's lines bear instead of a module's name.
pub const TARGET: &str = "audit";

/// What an action was about.
#[derive(Debug, Clone, Copy)]
pub enum Object<'a> {
    Project(&'a ProjectId),
    Service(ServiceId),
    Node(&'a NodeName),
    /// All nodes.
    Nodes,
}

impl Object<'_> {
    fn project(&self) -> Option<&str> {
        match self {
            Self::Project(project) => Some(project.as_str()),
            _ => None,
        }
    }

    fn service(&self) -> Option<String> {
        match self {
            Self::Service(service) => Some(service.to_string()),
            _ => None,
        }
    }

    fn node(&self) -> Option<String> {
        match self {
            Self::Node(node) => Some(node.to_string()),
            _ => None,
        }
    }
}

/// A viewer did something, or asked for it with success.
pub fn accepted(viewer: &Principal, action: impl Display, object: Object<'_>) {
    let (project, service, node) = (object.project(), object.service(), object.node());
    tracing::info!(target: TARGET, subject = viewer.subject, %action, project, service, node, "Accepted");
}

/// A viewer may not do what they asked for.
pub fn refused(viewer: &Principal, action: impl Display, object: Object<'_>, why: impl Display) {
    let (project, service, node) = (object.project().map(str::to_owned), object.service(), object.node());
    let (subject, action, why) = (viewer.subject.clone(), action.to_string(), why.to_string());
    write(move || tracing::warn!(target: TARGET, subject, %action, project, service, node, %why, "Refused"));
}

/// A request was refused whoever sent it, such as one without a good token.
pub fn request_refused(why: &str) {
    let why = why.to_owned();
    write(move || tracing::warn!(target: TARGET, why, "Refused"));
}

/// The manifests of backups were sealed with another key, on the operator's command.
pub fn manifests_rotated(key: &str, resealed: u64, unreadable: u64) {
    tracing::info!(target: TARGET, action = "ROTATE_MANIFEST_KEYS", key, resealed, unreadable, "Accepted");
}

/// The stored credentials were sealed with another key, on the operator's command.
pub fn keys_rotated(key: &str, resealed: u64, unreadable: u64) {
    tracing::info!(target: TARGET, action = "ROTATE_KEYS", key, resealed, unreadable, "Accepted");
}

/// A line, to be written.
type Line = Box<dyn FnOnce() + Send>;

tokio::task_local! {
    static WITHHELD: Arc<Mutex<Vec<Line>>>;
}

/// Lines of refusals that are yet to be written: when this is dropped, unless they are discarded.
pub struct Withheld(Arc<Mutex<Vec<Line>>>);

/// Does what may be done again in another way, and gives back the lines that it would have written.
pub async fn withholding<T>(work: impl Future<Output = T>) -> (T, Withheld) {
    // Of what is broken off they are written as well.
    let withheld = Withheld(Arc::default());
    let done = WITHHELD.scope(Arc::clone(&withheld.0), work).await;
    (done, withheld)
}

impl Withheld {
    /// All of it is done again.
    pub fn discard(self) {
        self.take();
    }

    fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Withheld {
    fn drop(&mut self) {
        self.take().into_iter().for_each(|line| line());
    }
}

fn write(line: impl FnOnce() + Send + 'static) {
    let mut line = Some(line);
    let withheld = WITHHELD.try_with(|lines| {
        let lines = &mut lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend(line.take().map(|line| Box::new(line) as Line));
    });
    if let (Err(_), Some(line)) = (withheld, line) {
        line();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_is_withheld_is_written_once_or_never() {
        let written = Arc::new(AtomicU32::new(0));
        let line = || {
            let written = Arc::clone(&written);
            write(move || {
                written.fetch_add(1, Ordering::Relaxed);
            });
        };
        let ((), withheld) = withholding(async { line() }).await;
        withheld.discard();
        let ((), withheld) = withholding(async { line() }).await;
        assert_eq!(written.load(Ordering::Relaxed), 0);
        drop(withheld);
        assert_eq!(written.load(Ordering::Relaxed), 1);
        let broken_off = withholding(async {
            line();
            std::future::pending::<()>().await;
        });
        assert!(broken_off.now_or_never().is_none());
        assert_eq!(written.load(Ordering::Relaxed), 2);
        line();
        assert_eq!(written.load(Ordering::Relaxed), 3);
    }
}
