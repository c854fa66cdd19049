//! The one connection that writes, and the thread that owns it.
//!
//! Writes that come while the disk is waited for share the next transaction: each is a savepoint in it, in the order in which
//! they came, and all are answered once it is committed. So a write that fails takes back itself alone, and nobody hears of
//! anything that is not kept. One that comes alone waits for nobody, unless it is patient: such a one goes with the next that
//! somebody waits for, ahead of it.

use std::collections::VecDeque;
use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::result::{DatabaseErrorKind, Error};
use tokio::sync::oneshot;

use super::keeper::Keeper;
use super::threads::at_once;
use super::{BoxError, Conn, Fault, Result, StoreError, Threads, open, told};

/// How many writes share a transaction at most, so that the first of them does not wait long for the last.
const TOGETHER: usize = 64;

/// What is asked of the thread. Ends with it.
pub struct Writer {
    jobs: Option<Sender<Queued>>,
    thread: Option<JoinHandle<()>>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    /// Begins the thread. It opens its connection when something is to be written.
    pub fn start(url: String, keeper: Arc<Keeper>) -> std::io::Result<Self> {
        let (jobs, asked) = mpsc::channel();
        let commits = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&commits);
        let mut writing = Writing { connection: None, commits: counted, url, keeper };
        let thread = thread::Builder::new().name("writer of the store".to_owned());
        let thread = thread.spawn(move || writing.serve(&asked))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), commits })
    }

    /// Has `work` done in a transaction, and answers once that is committed. With `patience` it waits so long for another one to share
    /// it with. Where it is dropped before its turn comes, nothing is done.
    pub async fn write<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce(&mut Conn) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let ended = |error: BoxError| StoreError::Unavailable(error);
        let jobs = self.jobs.as_ref().expect("the thread takes jobs until it is ended");
        let queued = Queued { due: Instant::now() + patience, job: Box::new(Asked { work, reply }) };
        jobs.send(queued).map_err(|_| ended("the thread that writes has ended".into()))?;
        // Without an answer, a panic has ended its transaction.
        answer.await.unwrap_or_else(|error| Err(ended(error.into())))
    }

    /// How many transactions were committed so far.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    /// Its connection is closed then.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A write, and how long it may wait for company.
struct Queued {
    due: Instant,
    job: Box<dyn Job>,
}

/// A write that somebody waits for.
trait Job: Send {
    /// Whether somebody still waits for it.
    fn is_wanted(&self) -> bool;

    fn run(self: Box<Self>, connection: &mut Conn) -> Ran;

    /// Nothing could be begun.
    fn refuse(self: Box<Self>, error: StoreError);
}

/// Tells who asked, once it is committed, or why it is lost.
type Tell = Box<dyn FnOnce(Option<&StoreError>)>;

/// A write that was done and is not committed yet.
struct Ran {
    tell: Tell,
    /// Whether there is something to be kept.
    wrote: bool,
    /// Why nobody knows what is left of the transaction.
    broke: Option<StoreError>,
}

struct Asked<T, W> {
    work: W,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, W> Job for Asked<T, W>
where
    T: Send + 'static,
    W: FnOnce(&mut Conn) -> Result<T, Fault> + Send,
{
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn run(self: Box<Self>, connection: &mut Conn) -> Ran {
        let Self { work, reply } = *self;
        let worked = work(connection);
        let breaks = worked.as_ref().is_err_and(breaks);
        let worked = worked.map_err(told);
        let wrote = worked.is_ok();
        let broke = worked.as_ref().err().filter(|_| breaks).map(lost_with);
        let tell = move |lost: Option<&StoreError>| {
            let answer = match lost {
                // What it was refused for may be lost as well, such as a name that another one took.
                Some(error) if !breaks => Err(lost_with(error)),
                _ => worked,
            };
            // Who does not wait any more has given it up.
            let _ = reply.send(answer);
        };
        Ran { tell: Box::new(tell), wrote, broke }
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }
}

/// Whether SQLite may have taken the whole transaction back by itself (<https://sqlite.org/lang_transaction.html>, "Response To
/// Errors Within A Transaction"). A constraint that does not hold takes back its own statement only.
fn breaks(fault: &Fault) -> bool {
    let Fault::Database(error) = fault else { return false };
    match error {
        Error::DatabaseError(kind, _) => !matches!(
            kind,
            DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::CheckViolation
        ),
        Error::NotFound
        | Error::QueryBuilderError(_)
        | Error::SerializationError(_)
        | Error::DeserializationError(_) => false,
        _ => true,
    }
}

/// What those hear whose transaction is lost because of another's `error`.
fn lost_with(error: &StoreError) -> StoreError {
    match error {
        StoreError::Trouble(trouble) => StoreError::Trouble(trouble.clone()),
        error => {
            let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            StoreError::Unavailable(format!("the transaction that it shared failed: {why}").into())
        }
    }
}

/// What the thread has.
struct Writing {
    // Ends before the keeper, whose connection has to be the last one.
    connection: Option<Conn>,
    commits: Arc<AtomicU64>,
    url: String,
    keeper: Arc<Keeper>,
}

impl Writing {
    /// Works until nobody can ask for anything any more.
    fn serve(&mut self, asked: &Receiver<Queued>) {
        let mut waiting: VecDeque<Queued> = VecDeque::new();
        let mut is_over = false;
        while !is_over || !waiting.is_empty() {
            let first = match waiting.iter().map(|queued| queued.due).min() {
                None => asked.recv().map_err(RecvTimeoutError::from),
                Some(due) => asked.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            is_over = first.as_ref().is_err_and(|error| *error == RecvTimeoutError::Disconnected);
            waiting.extend(first);
            let now = Instant::now();
            if !is_over && waiting.len() < TOGETHER && waiting.iter().all(|queued| queued.due > now) {
                continue;
            }
            // Those that come while it is at it go along.
            let next = || waiting.pop_front().or_else(|| asked.try_recv().ok()).map(|queued| queued.job);
            let jobs = std::iter::from_fn(next).take(TOGETHER);
            if catch_unwind(AssertUnwindSafe(|| self.write_together(jobs))).is_err() {
                self.connection = None;
            }
        }
    }

    fn write_together(&mut self, jobs: impl Iterator<Item = Box<dyn Job>>) {
        let mut jobs = jobs.filter(|job| job.is_wanted());
        let Some(first) = jobs.next() else { return };
        let mut connection = match self.begin() {
            Ok(connection) => connection,
            // The others have their turn to try.
            Err(error) => return first.refuse(error),
        };
        let mut waiting = Vec::new();
        let mut outcome = Ok(());
        let mut is_written = false;
        // What was to be begun may have been waited for.
        for job in std::iter::once(first).filter(|job| job.is_wanted()).chain(jobs) {
            let Ran { tell, wrote, broke } = job.run(&mut connection);
            waiting.push(tell);
            is_written |= wrote;
            if let Some(error) = broke {
                outcome = Err(error);
                break;
            }
        }
        let outcome = outcome.and_then(|()| inside(&mut connection, AnsiTransactionManager::commit_transaction));
        match &outcome {
            Ok(()) => {
                self.commits.fetch_add(u64::from(is_written), Ordering::Relaxed);
                self.connection = Some(connection);
            }
            // Its end takes back whatever is left.
            Err(_) => drop(connection),
        }
        for tell in waiting {
            tell(outcome.as_ref().err());
        }
    }

    /// The connection, with a transaction that has the write lock.
    fn begin(&mut self) -> Result<Conn> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let opened = open(&self.url, &self.keeper);
                let opened =
                    opened.or_else(|error| self.keeper.in_place().and(Err(StoreError::Unavailable(error.into()))));
                Conn::with_runtime(opened?, Threads::Here)
            }
        };
        // A transaction that reads before it writes would fail when another process wrote in between, whatever the timeout.
        let immediate =
            |connection: &mut _| AnsiTransactionManager::begin_transaction_sql(connection, "BEGIN IMMEDIATE");
        inside(&mut connection, immediate)?;
        Ok(connection)
    }
}

/// Does something with the connection inside.
fn inside(
    connection: &mut Conn,
    work: impl FnOnce(&mut diesel::SqliteConnection) -> Result<(), Error> + Send + 'static,
) -> Result<()> {
    at_once(connection.spawn_blocking(work)).map_err(|error| told(error.into()))
}
