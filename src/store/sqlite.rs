//! SQLite, built in. Any number of readers beside one writer; other processes may use the same file.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::result::Error;
use diesel::{Connection, ConnectionError, ConnectionResult, SqliteConnection};
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

use super::copied::Copied;
use super::fault::{Fault, Verdict};
use super::kept::KeptServices;
use super::trouble::{Condition, Purpose, Trouble};
use super::{BoxError, Notice, Result, StoreError};
use crate::domain::id::{ProjectId, ServiceId};

type Conn = SyncConnectionWrapper<SqliteConnection, Threads>;
type Db = diesel::sqlite::Sqlite;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Readers at once; more than a few gain nothing on one file.
const CONNECTIONS: usize = 8;

/// One server a file; other processes only for a moment, such as a rotation of keys.
const IS_SHARED: bool = false;

/// For each connection (<https://sqlite.org/pragma.html>). FULL makes a commit outlive a loss of power, also with a
/// write-ahead log. `secure_delete` overwrites what is erased. What is sorted stays in memory, for there may be no other disk
/// to write on. The timeout, in milliseconds, is for other processes: writers of this one queue. Each connection may keep 512
/// KiB of pages, a quarter of SQLite's own choice: each commit of another one empties that, and the system keeps them anyway.
const SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                        PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -512;";

/// Has a query run by the thread that writes, whatever it is for, and waits until it is committed.
macro_rules! transaction {
    ($backend:ident, $purpose:expr, $lane:ident, $query:expr) => {
        async {
            $backend.admit($purpose)?;
            let savepoint = move |connection: &mut Conn| {
                super::threads::at_once(diesel_async::AsyncConnection::transaction(connection, $query))
            };
            $backend.writer.write($purpose.patience(), savepoint).await
        }
    };
}

/// A deferred transaction: it reads what was committed when its first query began.
macro_rules! snapshot {
    ($connection:expr, $body:expr) => {
        diesel_async::AsyncConnection::transaction($connection, $body)
    };
}

/// The rows that a query finds. They are decoded by the thread that reads them: to hand them on, each value would be copied.
macro_rules! rows {
    ($connection:expr, $query:expr) => {{
        let query = $query;
        $connection.spawn_blocking(move |connection| diesel::RunQueryDsl::load(query, connection)).await
    }};
}

/// There are no locks of rows: the one writer has them all.
macro_rules! lock {
    ($query:expr, $mode:ident) => {
        $query
    };
}

mod birth;
mod keeper;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "lease.rs"]
mod lease;
mod pending;
mod place;
#[expect(clippy::duplicate_mod, reason = "one text, compiled for each backend")]
#[path = "queries.rs"]
mod queries;
mod threads;
mod writer;

pub use birth::make_way;
use keeper::Keeper;
pub use keeper::check_file as check;
use lease::Lease;
pub use pending::copy_before;
use threads::Threads;
use writer::Writer;

pub struct Backend {
    // Both end before the keeper, whose connection has to be the last one.
    pool: Pool<Conn>,
    writer: Writer,
    keeper: Arc<Keeper>,
    reads: AtomicU64,
    kept: KeptServices,
}

impl Backend {
    /// Opens the file, creating it if there is none, and brings its tables up to date. Fails with `NotOurs` where
    /// something else is in its place, and with `Unavailable` where there is too little space.
    pub async fn connect(path: &Path) -> Result<Self> {
        // Never relative: SQLite gives names such as ":memory:" and "file:…" a meaning of their own.
        let path = std::path::absolute(path).map_err(|error| StoreError::Unavailable(error.into()))?;
        let url = path.to_str().ok_or_else(|| StoreError::Failed("the path is not UTF-8".into()))?.to_owned();
        let opened = tokio::task::spawn_blocking({
            let url = url.clone();
            move || Keeper::open(&path, &url)
        });
        let keeper = Arc::new(opened.await.map_err(|error| StoreError::Failed(error.into()))??);

        let mut config = ManagerConfig::<Conn>::default();
        config.recycling_method = RecyclingMethod::Fast;
        let watched = Arc::clone(&keeper);
        config.custom_setup = Box::new(move |url| {
            let (url, keeper) = (url.to_owned(), Arc::clone(&watched));
            async move {
                let opened = tokio::task::spawn_blocking({
                    let keeper = Arc::clone(&keeper);
                    move || open(&url, &keeper)
                });
                let opened = opened.await.map_err(|error| ConnectionError::BadConnection(error.to_string()))?;
                Ok(Conn::with_runtime(opened?, Threads::Any(keeper)))
            }
            .boxed()
        });
        let pool = Pool::builder(AsyncDieselConnectionManager::new_with_config(url.clone(), config))
            .max_size(CONNECTIONS)
            .build()
            .map_err(|error| StoreError::Failed(error.into()))?;
        tokio::spawn(keeper::watch(Arc::downgrade(&keeper)));
        keeper::check(&keeper).map_err(|error| StoreError::Unavailable(error.into()))?;
        let writer = Writer::start(url, Arc::clone(&keeper)).map_err(|error| StoreError::Unavailable(error.into()))?;
        let backend = Self { pool, writer, keeper, reads: AtomicU64::new(0), kept: KeptServices::default() };
        // Should the file be taken away, there is one that reads what it held.
        backend.reader().await?.give_back();
        Ok(backend)
    }

    async fn reader(&self) -> Result<Lease> {
        match self.pool.get().await {
            Ok(connection) => Ok(Lease::new(connection)),
            Err(error) => self.keeper.in_place().and(Err(StoreError::Unavailable(error.into()))),
        }
    }

    /// Whether a write of that purpose may be tried.
    fn admit(&self, purpose: Purpose) -> Result<()> {
        self.keeper.admit(purpose)
    }

    /// Whether what was written is where it will be found.
    fn confirm(&self) -> Result<()> {
        self.keeper.in_place()
    }

    fn condition(&self) -> &Condition {
        &self.keeper.condition
    }
}

impl Backend {
    /// Nobody waits for this server's signs of life.
    async fn term_reader(&self) -> Result<Lease> {
        self.reader().await
    }

    fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Who waits to write holds no connection, and waits in order, so that there is nothing to be reserved.
    fn with_reserved(self: Arc<Self>) -> Arc<Self> {
        self
    }

    async fn copy(&self, directory: &Path) -> Result<Option<Copied>> {
        let (keeper, directory) = (Arc::clone(&self.keeper), directory.to_owned());
        let copied = tokio::task::spawn_blocking(move || {
            let copied = Copied::begin(&directory).map_err(|error| StoreError::Failed(error.into()))?;
            keeper.copy_to(copied.path())?;
            Ok(Some(copied))
        });
        copied.await.map_err(|error| StoreError::Failed(error.into()))?
    }

    /// There is nobody else to hear of.
    fn listen(&self) -> BoxStream<'static, Notice> {
        futures_util::stream::pending().boxed()
    }
}

/// There is nobody else to tell.
async fn notify(_: &mut Conn, _: &ProjectId, _: ServiceId) -> Result<(), Fault> {
    Ok(())
}

/// A connection as all are, to the file that the keeper has open.
fn open(url: &str, keeper: &Keeper) -> ConnectionResult<SqliteConnection> {
    let in_place = || keeper.in_place().map_err(|error| ConnectionError::BadConnection(error.to_string()));
    // Where there is none, another one would be begun.
    in_place()?;
    let mut connection = SqliteConnection::establish(url)?;
    connection.batch_execute(SETTINGS).map_err(ConnectionError::CouldntSetupConfiguration)?;
    // It may have opened another file by now.
    in_place()?;
    Ok(connection)
}

/// The error tells it all, whatever has become of the connection.
async fn judge(fault: Fault, _: &mut Conn, _: Duration) -> StoreError {
    told(fault)
}

/// Says what a fault is for the caller.
fn told(fault: Fault) -> StoreError {
    if let Fault::Database(error) = &fault
        && let Some(trouble) = diagnose(error)
    {
        return StoreError::Trouble(trouble);
    }
    match fault.verdict() {
        Verdict::Known(error) => error,
        Verdict::Unclear(error) if is_passing(&error) => StoreError::Unavailable(error.into()),
        Verdict::Unclear(error) => StoreError::Failed(error.into()),
    }
}

/// What is wrong with the file, as far as an error tells. SQLite's messages are fixed (`sqlite3ErrStr` in its main.c).
fn diagnose(error: &Error) -> Option<Trouble> {
    let message = match error {
        Error::DatabaseError(_, detail) => detail.message(),
        Error::RollbackErrorOnCommit { commit_error, .. } => return diagnose(commit_error),
        _ => return None,
    };
    match message {
        "database or disk is full" => Some(Trouble::Full),
        "database disk image is malformed" | "file is not a database" => Some(Trouble::Damaged(message.to_owned())),
        // The message of a damaged first page goes on.
        _ if message.starts_with("malformed database schema") => Some(Trouble::Damaged(message.to_owned())),
        _ => None,
    }
}

/// Whether the file may be usable later.
fn is_passing(error: &Error) -> bool {
    let Error::DatabaseError(_, detail) = error else { return false };
    ["database is locked", "disk I/O error", "unable to open database file", "attempt to write a readonly database"]
        .contains(&detail.message())
}

fn migrate(connection: &mut SqliteConnection) -> Result<()> {
    // One write transaction around all of them: a process that starts at the same time waits, and finds nothing to do.
    let applied = connection.immediate_transaction(|connection| {
        let applied = connection.run_pending_migrations(MIGRATIONS).map_err(Error::QueryBuilderError)?;
        Ok::<_, Error>(applied.iter().map(ToString::to_string).collect::<Vec<_>>())
    });
    let applied = applied.map_err(|error| match diagnose(&error) {
        Some(trouble) => StoreError::Trouble(trouble),
        None if is_passing(&error) => StoreError::Unavailable(error.into()),
        None => StoreError::Failed(error.into()),
    })?;
    if !applied.is_empty() {
        tracing::info!(?applied, "The database's tables were brought up to date.");
    }
    Ok(())
}
