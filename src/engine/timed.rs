//! An engine whose calls are timed and traced. Those that go on for as long as something lasts are timed until they begin.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::sync::watch;

use super::{
    Command, Description, Ended, Engine, EngineError, Flow, Grown, Happening, Pull, Result, Survey, Target, Thing,
};
use crate::catalog::deployment::Deployment;
use crate::domain::id::{InstanceId, ProjectId};
use crate::domain::image::Image;
use crate::domain::limits::Limits;
use crate::domain::observed::Observed;
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

    async fn describe(&self) -> Result<Description> {
        timed("describe", self.0.describe()).await
    }

    async fn look(&self, instance: InstanceId, image: &str) -> Result<Observed> {
        timed("look", self.0.look(instance, image)).await
    }

    async fn pull(&self, image: &str, when: Pull, progress: watch::Sender<Option<u8>>) -> Result<Image> {
        timed("pull", self.0.pull(image, when, progress)).await
    }

    async fn ensure(&self, thing: &Thing) -> Result<()> {
        let call = match thing {
            Thing::Network(_) => "ensure_network",
            Thing::Volume(_) => "ensure_volume",
            Thing::Container(_) => "ensure_container",
            Thing::Endpoint(_) => "ensure_endpoint",
        };
        timed(call, self.0.ensure(thing)).await
    }

    async fn start(&self, instance: InstanceId, deployment: &Deployment) -> Result<()> {
        timed("start", self.0.start(instance, deployment)).await
    }

    async fn stop(&self, instance: InstanceId, grace: Duration) -> Result<()> {
        timed("stop", self.0.stop(instance, grace)).await
    }

    async fn adjust(&self, instance: InstanceId, limits: &Limits) -> Result<()> {
        timed("adjust", self.0.adjust(instance, limits)).await
    }

    async fn grow(&self, instance: InstanceId, storage_mib: u32) -> Result<Grown> {
        timed("grow", self.0.grow(instance, storage_mib)).await
    }

    async fn remove(&self, target: &Target) -> Result<()> {
        let call = match target {
            Target::Container(_) => "remove_container",
            Target::Volume(_) => "remove_volume",
            Target::Unused { .. } => "remove_unused",
            Target::Network(_) => "remove_network",
            Target::Found(_) => "remove_found",
        };
        timed(call, self.0.remove(target)).await
    }

    async fn run(&self, instance: InstanceId, command: &Command) -> Result<Ended> {
        timed("run", self.0.run(instance, command)).await
    }

    async fn pump(&self, instance: InstanceId, command: &Command, flow: Flow) -> Result<Ended> {
        timed("pump", self.0.pump(instance, command, flow)).await
    }

    async fn await_output(&self, instance: InstanceId, text: &str) -> Result<()> {
        timed("await_output", self.0.await_output(instance, text)).await
    }

    async fn logs(&self, instance: InstanceId, lines: usize) -> Result<Vec<String>> {
        timed("logs", self.0.logs(instance, lines)).await
    }

    async fn watch(&self) -> Result<BoxStream<'static, Happening>> {
        timed("watch", self.0.watch()).await
    }

    async fn survey(&self) -> Result<Survey> {
        timed("survey", self.0.survey()).await
    }

    fn network_name(&self, project: &ProjectId) -> Option<String> {
        self.0.network_name(project)
    }
}
