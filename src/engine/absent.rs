//! An engine that nobody names any more, or not yet: it is away for good, so that whatever is bound to it is neither done nor done
//! elsewhere.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::{
    Command, Description, Ended, Engine, EngineError, Flow, Gauge, Grown, Happening, Instruments, Probe, Pull, Result,
    Survey, Target, Thing,
};
use crate::catalog::deployment::{Check, Deployment};
use crate::catalog::inquiry::{Answer, Inquiry};
use crate::domain::id::{InstanceId, ProjectId};
use crate::domain::image::Image;
use crate::domain::limits::Limits;
use crate::domain::live::{Holdings, LogLine, Reading, Usage};
use crate::domain::observed::Observed;

pub struct Absent;

fn away<T>() -> Result<T> {
    Err(EngineError::Unavailable("no node of this name is among those that the server was started with".into()))
}

#[async_trait]
impl Engine for Absent {
    async fn ping(&self) -> Result<()> {
        away()
    }

    async fn describe(&self) -> Result<Description> {
        away()
    }

    async fn look(&self, _: InstanceId, _: &str) -> Result<Observed> {
        away()
    }

    async fn pull(&self, _: &str, _: Pull, _: watch::Sender<Option<u8>>) -> Result<Image> {
        away()
    }

    async fn ensure(&self, _: &Thing) -> Result<()> {
        away()
    }

    async fn start(&self, _: InstanceId, _: &Deployment) -> Result<()> {
        away()
    }

    async fn stop(&self, _: InstanceId, _: Duration) -> Result<()> {
        away()
    }

    async fn adjust(&self, _: InstanceId, _: &Limits) -> Result<()> {
        away()
    }

    async fn grow(&self, _: InstanceId, _: u32) -> Result<Grown> {
        away()
    }

    async fn remove(&self, _: &Target) -> Result<()> {
        away()
    }

    async fn run(&self, _: InstanceId, _: &Command) -> Result<Ended> {
        away()
    }

    async fn pump(&self, _: InstanceId, _: &Command, _: Flow) -> Result<Ended> {
        away()
    }

    async fn await_output(&self, _: InstanceId, _: &str) -> Result<()> {
        away()
    }

    async fn logs(&self, _: InstanceId, _: usize) -> Result<Vec<String>> {
        away()
    }

    async fn watch(&self) -> Result<BoxStream<'static, Happening>> {
        away()
    }

    async fn survey(&self) -> Result<Survey> {
        away()
    }

    fn network_name(&self, _: &ProjectId) -> Option<String> {
        None
    }
}

#[async_trait]
impl Instruments for Absent {
    async fn follow_logs(
        &self,
        _: InstanceId,
        _: u32,
        _: Option<Timestamp>,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        away()
    }

    async fn usage(&self, _: InstanceId) -> Result<BoxStream<'static, Result<Usage>>> {
        away()
    }

    async fn read(&self, _: InstanceId) -> Result<Reading> {
        away()
    }

    async fn holdings(&self, _: InstanceId, _: &str, _: u16) -> Result<Holdings> {
        away()
    }

    async fn gauge(&self, _: InstanceId, _: &str) -> Result<Box<dyn Gauge>> {
        away()
    }

    async fn probe(&self, _: InstanceId, _: &Check) -> Result<Box<dyn Probe>> {
        away()
    }

    async fn ask(&self, _: InstanceId, _: Inquiry) -> Result<Answer> {
        away()
    }

    async fn listen(&self, _: InstanceId, _: Inquiry, _: mpsc::Sender<Bytes>) -> Result<Ended> {
        away()
    }
}
