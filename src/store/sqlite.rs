//! SQLite, built in. Any number of readers beside one writer; other processes may use the same file.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backon::{BlockingRetryable, ConstantBuilder};
use diesel::connection::SimpleConnection;
use diesel::result::Error;
use diesel::{Connection, ConnectionError, SqliteConnection};
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::Semaphore;

use super::fault::{Fault, Verdict};
use super::{BoxError, Notice, Result, StoreError};
use crate::domain::id::{ProjectId, ServiceId};

type Conn = SyncConnectionWrapper<SqliteConnection>;
type Db = diesel::sqlite::Sqlite;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Readers at once; more than a few gain nothing on one file.
const CONNECTIONS: usize = 8;

/// One server a file; other processes only for a moment, such as a rotation of keys.
const IS_SHARED: bool = false;

/// For each connection (<https://sqlite.org/pragma.html>). FULL makes a commit outlive a loss of power, also with a
/// write-ahead log. `secure_delete` overwrites what is erased. The timeout, in milliseconds, is for other processes:
/// writers of this one queue.
const SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                        PRAGMA secure_delete = ON;";

/// Takes the write lock at once: a transaction that reads before it writes would fail when another one wrote in between,
/// whatever the timeout.
macro_rules! transaction {
    ($connection:expr, $body:expr) => {
        $connection.immediate_transaction($body)
    };
}

/// There are no locks of rows: the one writer has them all.
macro_rules! lock {
    ($query:expr, $mode:ident) => {
        $query
    };
}

#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "lease.rs"]
mod lease;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries.rs"]
mod queries;

use lease::Lease;

pub struct Backend {
    pool: Pool<Conn>,
    /// SQLite lets waiting writers poll, unfairly and with growing pauses; a queue hands over at once, in order.
    writer: Arc<Semaphore>,
}

impl Backend {
    /// Opens the file, creating it if need be, and brings its tables up to date.
    pub async fn connect(path: &Path) -> Result<Self> {
        // Never relative: SQLite gives names such as ":memory:" and "file:…" a meaning of their own.
        let path = std::path::absolute(path).map_err(|error| StoreError::Unavailable(error.into()))?;
        let url = path.to_str().ok_or_else(|| StoreError::Failed("the path is not UTF-8".into()))?.to_owned();
        let prepared = tokio::task::spawn_blocking({
            let url = url.clone();
            move || create(&path).and_then(|()| migrate(&url))
        });
        prepared.await.map_err(|error| StoreError::Failed(error.into()))??;

        let mut config = ManagerConfig::<Conn>::default();
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(|url| {
            let url = url.to_owned();
            async move {
                let mut connection = Conn::establish(&url).await?;
                connection.batch_execute(SETTINGS).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
                Ok(connection)
            }
            .boxed()
        });
        let pool = Pool::builder(AsyncDieselConnectionManager::new_with_config(url, config))
            .max_size(CONNECTIONS)
            .build()
            .map_err(|error| StoreError::Failed(error.into()))?;
        Ok(Self { pool, writer: Arc::new(Semaphore::new(1)) })
    }

    async fn reader(&self) -> Result<Lease> {
        let connection = self.pool.get().await.map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Lease::new(connection, None))
    }

    async fn writer(&self) -> Result<Lease> {
        // Queued ahead of the pool, so that waiting writers leave its connections to readers.
        let writer = Arc::clone(&self.writer).acquire_owned().await;
        let writer = writer.map_err(|error| StoreError::Unavailable(error.into()))?;
        let connection = self.pool.get().await.map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Lease::new(connection, Some(writer)))
    }
}

impl Backend {
    /// There is nobody else to hear of.
    fn listen(&self) -> BoxStream<'static, Notice> {
        futures_util::stream::pending().boxed()
    }
}

/// There is nobody else to tell.
async fn notify(_: &mut Conn, _: &ProjectId, _: ServiceId) -> Result<(), Fault> {
    Ok(())
}

/// Says what a fault is for the caller.
async fn judge(fault: Fault, _: &mut Conn) -> StoreError {
    match fault.verdict() {
        Verdict::Known(error) => error,
        Verdict::Unclear(error) if is_passing(&error) => StoreError::Unavailable(error.into()),
        Verdict::Unclear(error) => StoreError::Failed(error.into()),
    }
}

/// Whether the file may be usable later. SQLite's messages are fixed (`sqlite3ErrStr` in its main.c).
fn is_passing(error: &Error) -> bool {
    let Error::DatabaseError(_, detail) = error else { return false };
    ["database is locked", "database or disk is full", "disk I/O error"].contains(&detail.message())
}

/// Creates the file where there is none, for its owner only; the write-ahead log takes over its mode.
fn create(path: &Path) -> Result<()> {
    let made = match path.parent() {
        Some(parent) if !parent.is_dir() => DirBuilder::new().recursive(true).mode(0o700).create(parent),
        _ => Ok(()),
    };
    made.and_then(|()| OpenOptions::new().append(true).create(true).mode(0o600).open(path))
        .map(drop)
        .map_err(|error| StoreError::Unavailable(format!("{} can't be opened: {error}", path.display()).into()))
}

fn migrate(url: &str) -> Result<()> {
    let unavailable = |error: BoxError| StoreError::Unavailable(error);
    let mut connection = SqliteConnection::establish(url).map_err(|error| unavailable(error.into()))?;
    connection.batch_execute(SETTINGS).map_err(|error| unavailable(error.into()))?;
    // Kept in the file from then on. Where others switch as well, SQLite refuses one of them at once rather than have both
    // wait for each other (<https://sqlite.org/c3ref/busy_handler.html>). In all that is as long as the timeout.
    let pauses = ConstantBuilder::new().with_delay(Duration::from_millis(10)).with_max_times(500);
    let switch = || connection.batch_execute("PRAGMA journal_mode = WAL;");
    switch.retry(pauses).when(is_passing).call().map_err(|error| unavailable(error.into()))?;
    // One write transaction around all of them: a process that starts at the same time waits, and finds nothing to do.
    let applied = connection.immediate_transaction(|connection| {
        let applied = connection.run_pending_migrations(MIGRATIONS).map_err(Error::QueryBuilderError)?;
        Ok::<_, Error>(applied.iter().map(ToString::to_string).collect::<Vec<_>>())
    });
    let applied = applied.map_err(|error| StoreError::Failed(error.into()))?;
    if !applied.is_empty() {
        tracing::info!(?applied, "The database's tables were brought up to date.");
    }
    Ok(())
}
