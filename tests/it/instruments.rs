//! Instruments that show what a test wants.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_stream::stream;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use jiff::Timestamp;
use project_services::catalog::deployment::Check;
use project_services::catalog::inquiry::{Answer, Inquiry};
use project_services::domain::id::InstanceId;
use project_services::domain::live::{Holdings, LogLine, LogStream, Reading, Usage};
use project_services::domain::node::NodeName;
use project_services::engine::absent::Absent;
use project_services::engine::{Ended, EngineError, Fleet, Gauge, Instruments, Node, Probe, Result};
use tokio::sync::{Semaphore, mpsc, watch};

#[derive(Default)]
pub struct FakeInstruments {
    lines: watch::Sender<Vec<LogLine>>,
    /// Whether the container runs; one that has stopped writes no more.
    pub running: AtomicBool,
    /// Whether counting what is held takes for ever.
    pub counting_hangs: AtomicBool,
    /// How many measurements are under way.
    pub measuring: Arc<AtomicUsize>,
    /// What the next questions are answered; without one the engine can't be reached.
    answers: Mutex<VecDeque<Answer>>,
    /// How many questions came.
    pub asked: AtomicUsize,
    /// Where it is there, each answer takes one of these.
    pub turns: Mutex<Option<Arc<Semaphore>>>,
}

/// The fleet of one node that has these.
pub fn fleet(instruments: Arc<FakeInstruments>) -> Fleet {
    Fleet::new([Node::new(NodeName::default(), Arc::new(Absent), instruments)])
}

/// One measurement, counted for as long as it goes on.
struct Measuring(Arc<AtomicUsize>);

impl Drop for Measuring {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A server that always answers.
struct Answers;

#[async_trait]
impl Probe for Answers {
    async fn answers(&mut self) -> Result<bool> {
        Ok(true)
    }
}

impl FakeInstruments {
    /// Lets the container write a line.
    pub fn write(&self, text: &str) {
        let line = LogLine { occurred_at: Timestamp::now(), stream: LogStream::Stderr, text: text.to_owned() };
        self.lines.send_modify(|lines| lines.push(line));
    }

    /// Has a command that the next question comes by end well and say this.
    pub fn answer(&self, stdout: &str) {
        let answer = Answer { exit_code: Some(0), stdout: stdout.into(), stderr: Vec::new() };
        self.answer_with(answer);
    }

    /// Has it end so.
    pub fn answer_with(&self, answer: Answer) {
        self.answers.lock().unwrap().push_back(answer);
    }
}

#[async_trait]
impl Instruments for FakeInstruments {
    async fn follow_logs(
        &self,
        _instance: InstanceId,
        tail: u32,
        since: Option<Timestamp>,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let mut written = self.lines.subscribe();
        let lines = written.borrow_and_update().clone();
        let mut shown = lines.len();
        let skip = lines.len().saturating_sub(tail.try_into().unwrap());
        let lines: Vec<_> =
            lines.into_iter().skip(skip).filter(|line| since.is_none_or(|since| line.occurred_at >= since)).collect();
        let past = stream::iter(lines.into_iter().map(Ok));
        if !self.running.load(Ordering::SeqCst) {
            return Ok(past.boxed());
        }
        let to_come = stream! {
            while written.changed().await.is_ok() {
                let lines = written.borrow_and_update()[shown..].to_vec();
                shown += lines.len();
                for line in lines {
                    yield Ok(line);
                }
            }
        };
        Ok(past.chain(to_come).boxed())
    }

    async fn usage(&self, _instance: InstanceId) -> Result<BoxStream<'static, Result<Usage>>> {
        self.measuring.fetch_add(1, Ordering::SeqCst);
        let measuring = Measuring(Arc::clone(&self.measuring));
        let usage = Usage { measured_at: Timestamp::now(), cpu_millis: 125, memory_bytes: 3 << 19 };
        Ok(stream::repeat(usage)
            .then(async |usage| {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(usage)
            })
            .inspect(move |_| {
                let _ = &measuring;
            })
            .boxed())
    }

    async fn gauge(&self, _instance: InstanceId, _path: &str) -> Result<Box<dyn Gauge>> {
        Err(EngineError::Unknown("nothing is measured here".into()))
    }

    async fn probe(&self, _instance: InstanceId, _check: &Check) -> Result<Box<dyn Probe>> {
        Ok(Box::new(Answers))
    }

    async fn read(&self, _instance: InstanceId) -> Result<Reading> {
        let at = Timestamp::now();
        Ok(Reading { at, cpu_nanos: at.as_millisecond().unsigned_abs() * 125_000, memory_bytes: 3 << 19 })
    }

    async fn holdings(&self, _instance: InstanceId, _path: &str, _port: u16) -> Result<Holdings> {
        if self.counting_hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(Holdings { storage_bytes: 1 << 22, connections: 2 })
    }

    async fn ask(&self, _instance: InstanceId, _inquiry: Inquiry) -> Result<Answer> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let turns = self.turns.lock().unwrap().clone();
        if let Some(turns) = turns {
            turns.acquire().await.unwrap().forget();
        }
        let answer = self.answers.lock().unwrap().pop_front();
        answer.ok_or_else(|| EngineError::Unavailable("nobody is there".into()))
    }

    async fn listen(&self, instance: InstanceId, inquiry: Inquiry, output: mpsc::Sender<Bytes>) -> Result<Ended> {
        let Answer { exit_code, stdout, stderr } = self.ask(instance, inquiry).await?;
        let _ = output.send(stdout.into()).await;
        Ok(Ended { exit_code, output: String::from_utf8(stderr).unwrap() })
    }
}
