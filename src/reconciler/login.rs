//! Whether servers let their own users in, as an application would come: with the password, from where nobody is trusted.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::MissedTickBehavior;

use super::Reconciler;
use super::execute::command;
use crate::catalog::definition;
use crate::catalog::deployment::REFUSED;
use crate::domain::id::ServiceId;
use crate::domain::service::{ErrorCode, Service, ServiceState};

const INTERVAL: Duration = Duration::from_secs(60);
/// How many log in at once.
const AT_ONCE: usize = 4;

impl Reconciler {
    pub(super) async fn check_logins(self: Arc<Self>) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let services = self.known(|entry| entry.is_checked.then_some(())).await;
            stream::iter(services).for_each_concurrent(AT_ONCE, |(id, ())| self.check_login(id)).await;
        }
    }

    async fn check_login(&self, id: ServiceId) {
        let Ok(Some(service)) = self.store.service_get(id).await else { return };
        if !is_checked(&service) {
            return;
        }
        let Some(refused) = self.is_refused(&service).await.filter(|refused| *refused != service.evidence.refused)
        else {
            return;
        };
        // The password may have been changed between the look into the store and that at the server.
        if self.is_refused(&service).await != Some(refused) {
            return;
        }
        let mut after = service.clone();
        after.evidence.refused = refused;
        match self.observe(&service, &after, None, (self.clock)()).await {
            Ok(_) => self.inbox.wake(service.id),
            Err(error) => {
                tracing::debug!(service = %service.id, error = ?error, "What came of a login could not be noted");
            }
        }
    }

    /// Whether the server inside refuses the service's user; None where that can't be told now, such as while clients have taken
    /// all connections or the password is being changed.
    async fn is_refused(&self, service: &Service) -> Option<bool> {
        let offer = definition(service.wish.kind).offer.as_ref()?;
        let access = self.access(service).await.ok()?;
        if access.promoted().is_some() {
            return None;
        }
        let ended = self.engine.run(service.instance, &command((offer.login)(&service.wish, &access))).await.ok()?;
        match ended.exit_code? {
            0 => Some(false),
            REFUSED => Some(true),
            _ => None,
        }
    }
}

/// While something is being done about it, that may be what keeps its user out.
pub(super) fn is_checked(service: &Service) -> bool {
    let is_refused = service.error.as_ref().is_some_and(|error| error.code == ErrorCode::CredentialsRefused);
    let runs = service.state == ServiceState::Running || (service.state == ServiceState::Error && is_refused);
    runs && service.operation.is_none()
}
