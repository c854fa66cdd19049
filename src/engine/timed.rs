//! An engine whose calls are timed and traced. Those that go on for as long as something lasts are timed until they begin.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::sync::watch;

use super::{Engine, EngineError, Owned, Readiness, Result};
use crate::catalog::deployment::{CredentialChange, Deployment};
use crate::domain::id::{ProjectId, ServiceId};
use crate::domain::service::{Observed, Service};
use crate::telemetry::{metrics, traces};

pub struct Timed<E>(pub Arc<E>);

async fn timed<T>(call: &'static str, outcome: impl Future<Output = Result<T>>) -> Result<T> {
    let started = Instant::now();
    let span = traces::engine_call(call);
    let result = span.around(outcome).await;
    let outcome = match &result {
        Ok(_) => "ok",
        Err(EngineError::Unavailable(_)) => "unavailable",
        Err(EngineError::Unknown(_)) => "unknown",
        Err(EngineError::Refused { .. }) => "refused",
    };
    metrics::engine_call(call, outcome, started.elapsed());
    if result.is_err() {
        span.failed(outcome);
    }
    result
}

#[async_trait]
impl<E: Engine> Engine for Timed<E> {
    async fn ping(&self) -> Result<()> {
        timed("ping", self.0.ping()).await
    }

    async fn inspect(&self, service: ServiceId, image: &str) -> Result<Observed> {
        timed("inspect", self.0.inspect(service, image)).await
    }

    async fn ensure_image(&self, image: &str, progress: watch::Sender<Option<u8>>) -> Result<()> {
        timed("ensure_image", self.0.ensure_image(image, progress)).await
    }

    async fn ensure_storage(&self, service: &Service) -> Result<()> {
        timed("ensure_storage", self.0.ensure_storage(service)).await
    }

    async fn ensure_container(&self, service: &Service, deployment: &Deployment) -> Result<()> {
        timed("ensure_container", self.0.ensure_container(service, deployment)).await
    }

    async fn ensure_started(&self, service: &Service, deployment: &Deployment) -> Result<()> {
        timed("ensure_started", self.0.ensure_started(service, deployment)).await
    }

    async fn ensure_connected(&self, service: &Service) -> Result<()> {
        timed("ensure_connected", self.0.ensure_connected(service)).await
    }

    async fn await_ready(&self, service: ServiceId, check: &[String], hint: Option<&str>) -> Result<Readiness> {
        timed("await_ready", self.0.await_ready(service, check, hint)).await
    }

    async fn ensure_credentials(&self, service: ServiceId, change: &CredentialChange) -> Result<()> {
        timed("ensure_credentials", self.0.ensure_credentials(service, change)).await
    }

    async fn ensure_stopped(&self, service: ServiceId, grace: Duration) -> Result<()> {
        timed("ensure_stopped", self.0.ensure_stopped(service, grace)).await
    }

    async fn ensure_removed(&self, service: ServiceId) -> Result<()> {
        timed("ensure_removed", self.0.ensure_removed(service)).await
    }

    async fn ensure_network_removed(&self, project: &ProjectId) -> Result<()> {
        timed("ensure_network_removed", self.0.ensure_network_removed(project)).await
    }

    async fn list_owned(&self) -> Result<Vec<Owned>> {
        timed("list_owned", self.0.list_owned()).await
    }

    fn network_name(&self, project: &ProjectId) -> String {
        self.0.network_name(project)
    }

    async fn ensure_orphan_removed(&self, orphan: &Owned) -> Result<()> {
        timed("ensure_orphan_removed", self.0.ensure_orphan_removed(orphan)).await
    }

    async fn watch(&self) -> Result<BoxStream<'static, ServiceId>> {
        timed("watch", self.0.watch()).await
    }

    async fn logs(&self, service: ServiceId, lines: usize) -> Result<Vec<String>> {
        timed("logs", self.0.logs(service, lines)).await
    }
}
