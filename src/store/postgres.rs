//! PostgreSQL, with TLS by rustls. Any number of replicas may use one database.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel::result::Error;
use diesel::sql_types::Text;
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::copied::Copied;
use super::fault::{CALL_TIMEOUT, Fault, Verdict};
use super::inventory;
use super::kept::KeptServices;
use super::trouble::{Condition, Purpose, Trouble};
use super::{BoxError, Notice, Result, StoreError, listen};
use crate::domain::id::{ProjectId, ServiceId};
use crate::tls;

type Conn = AsyncPgConnection;
type Db = diesel::pg::Pg;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

const IS_SHARED: bool = true;

/// Connections of one replica at the most; PostgreSQL allows 100 in all, unless told otherwise. Those that write, which may
/// have to wait for a lock, are others than those that only read.
const READERS: usize = 6;
const WRITERS: usize = 6;
/// The same for who has connections reserved.
const RESERVED_READERS: usize = 2;
const RESERVED_WRITERS: usize = 8;
/// For the term, so that its holder's signs of life wait for nothing else.
const TERM: usize = 2;

/// How long a statement waits for a lock before it fails. Who has connections reserved works for all projects and comes again
/// by itself, so that it leaves one that is held up for the others sooner.
const LOCK_TIMEOUT: Duration = Duration::from_secs(6);
const RESERVED_LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a statement may take in all; less than [`CALL_TIMEOUT`], so that the server breaks it off and the connection is
/// still good.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(8);

/// Unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Held while migrations run; any number that nobody else uses. These are the letters "projserv".
const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"projserv");

/// For each connection. The queries rely on seeing what others committed while they waited for a lock, whatever the
/// database's default. The last timeout is for a replica that vanished without a word in the midst of a transaction: its locks
/// would hold up the project's others until TCP gives up, hours later.
fn settings(lock_timeout: Duration) -> String {
    format!(
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; SET lock_timeout = {}; \
         SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {};",
        lock_timeout.as_millis(),
        STATEMENT_TIMEOUT.as_millis(),
        CALL_TIMEOUT.as_millis(),
    )
}

/// Of the schemas in which tables are looked for, apart from PostgreSQL's own.
const TABLES: &str = "SELECT relname::text AS name FROM pg_class \
                      WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid) \
                      AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)";

/// Runs a query in a transaction of its own.
macro_rules! transaction {
    ($backend:ident, $purpose:expr, $lane:ident, $query:expr) => {
        async {
            let mut lease = $backend.$lane($purpose).await?;
            let result = diesel_async::AsyncConnection::transaction(lease.connection(), $query).await;
            let written = settle(lease, result).await?;
            $backend.commits.fetch_add(1, Ordering::Relaxed);
            Ok(written)
        }
    };
}

/// Sees what was committed when its first query began.
macro_rules! snapshot {
    ($connection:expr, $body:expr) => {
        $connection.build_transaction().repeatable_read().read_only().run($body)
    };
}

/// The rows that a query finds.
macro_rules! rows {
    ($connection:expr, $query:expr) => {
        diesel_async::RunQueryDsl::load($query, $connection).await
    };
}

/// Locks the rows that a query finds until the transaction ends
/// (<https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-ROWS>).
macro_rules! lock {
    ($query:expr, $mode:ident) => {
        $query.$mode()
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
    requests: Pools,
    reserved: Pools,
    term: Pool<Conn>,
    server: Server,
    condition: Arc<Condition>,
    reads: AtomicU64,
    commits: Arc<AtomicU64>,
    kept: KeptServices,
}

/// Connections for one purpose. They are made when they are first needed.
#[derive(Clone)]
struct Pools {
    readers: Pool<Conn>,
    writers: Pool<Conn>,
}

/// How to connect.
#[derive(Clone)]
struct Server {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Backend {
    /// Connects, and brings the tables up to date. With TLS the server's certificate is always verified, against the
    /// authorities in `ca_file` or else the system's. `name` is what the operator knows the database by.
    pub async fn connect(config: &Config, ca_file: Option<&Path>, name: String) -> Result<Self> {
        let mut config = config.clone();
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("project-services");
        }
        let tls = tls(&config, ca_file).map_err(StoreError::Failed)?;
        let server = Server { config, tls };
        let migrating = server.establish("").await.map_err(|error| StoreError::Unavailable(error.into()))?;
        migrate(migrating).await?;
        Ok(Self {
            requests: server.pools(READERS, WRITERS, LOCK_TIMEOUT)?,
            reserved: server.pools(RESERVED_READERS, RESERVED_WRITERS, RESERVED_LOCK_TIMEOUT)?,
            term: server.pool(TERM, RESERVED_LOCK_TIMEOUT)?,
            server,
            condition: Arc::new(Condition::new(name)),
            reads: AtomicU64::new(0),
            commits: Arc::default(),
            kept: KeptServices::default(),
        })
    }

    /// A server's database has ways of its own.
    async fn copy(&self, _: &Path) -> Result<Option<Copied>> {
        Ok(None)
    }

    /// The same store by way of the connections that are reserved.
    fn with_reserved(self: Arc<Self>) -> Arc<Self> {
        let reserved = self.reserved.clone();
        Arc::new(Self {
            requests: reserved.clone(),
            reserved,
            term: self.term.clone(),
            server: self.server.clone(),
            condition: Arc::clone(&self.condition),
            reads: AtomicU64::new(0),
            commits: Arc::clone(&self.commits),
            kept: KeptServices::default(),
        })
    }

    /// Follows the notices on a connection of its own, for as long as the stream is kept.
    fn listen(&self) -> BoxStream<'static, Notice> {
        listen::notices(self.server.config.clone(), self.server.tls.clone()).boxed()
    }

    async fn reader(&self) -> Result<Lease> {
        lease(&self.requests.readers).await
    }

    async fn writer(&self, purpose: Purpose) -> Result<Lease> {
        self.admit(purpose)?;
        lease(&self.requests.writers).await
    }

    async fn term_reader(&self) -> Result<Lease> {
        lease(&self.term).await
    }

    async fn term_writer(&self, purpose: Purpose) -> Result<Lease> {
        self.admit(purpose)?;
        lease(&self.term).await
    }

    /// Space for what has to be recorded is the server's own to keep.
    fn admit(&self, _: Purpose) -> Result<()> {
        self.condition.damage().map_or(Ok(()), |damage| Err(StoreError::Trouble(damage)))
    }

    /// The server's word for a commit is good.
    fn confirm(&self) -> Result<()> {
        Ok(())
    }

    fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    fn condition(&self) -> &Condition {
        &self.condition
    }
}

async fn lease(pool: &Pool<Conn>) -> Result<Lease> {
    let connection = pool.get().await.map_err(|error| StoreError::Unavailable(error.into()))?;
    Ok(Lease::new(connection))
}

impl Server {
    fn pools(&self, readers: usize, writers: usize, lock_timeout: Duration) -> Result<Pools> {
        Ok(Pools { readers: self.pool(readers, lock_timeout)?, writers: self.pool(writers, lock_timeout)? })
    }

    fn pool(&self, size: usize, lock_timeout: Duration) -> Result<Pool<Conn>> {
        let mut manager = ManagerConfig::<Conn>::default();
        // A connection that the server or something in between has closed is found here, not by a call.
        manager.recycling_method = RecyclingMethod::Verified;
        let server = self.clone();
        manager.custom_setup = Box::new(move |_| {
            let server = server.clone();
            async move { server.establish(&settings(lock_timeout)).await }.boxed()
        });
        // The configuration stands in for a URL, so that the password is in no text.
        let pool = Pool::builder(AsyncDieselConnectionManager::new_with_config("", manager)).max_size(size).build();
        pool.map_err(|error| StoreError::Failed(error.into()))
    }

    async fn establish(&self, settings: &str) -> ConnectionResult<Conn> {
        let (client, connection) = self.config.connect(self.tls.clone()).await.map_err(|error| {
            // Its own text only says at which step it failed.
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            ConnectionError::BadConnection(format!("{error}{cause}"))
        })?;
        let mut connection = Conn::try_from_client_and_connection(client, connection).await?;
        connection.batch_execute(settings).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok(connection)
    }
}

/// Tells the other replicas, once the transaction has committed.
async fn notify(connection: &mut Conn, project: &ProjectId, service: ServiceId) -> Result<(), Fault> {
    use diesel_async::RunQueryDsl as _;
    diesel::sql_query("SELECT pg_notify($1, $2)")
        .bind::<Text, _>(listen::CHANNEL)
        .bind::<Text, _>(listen::payload(project, service))
        .execute(connection)
        .await?;
    Ok(())
}

/// Says what a fault is for the caller, of a call that has had its connection for `age`.
async fn judge(fault: Fault, connection: &mut Conn, age: Duration) -> StoreError {
    if let Fault::Database(error) = &fault
        && let Some(trouble) = diagnose(error)
    {
        return StoreError::Trouble(trouble);
    }
    match fault.verdict() {
        Verdict::Known(error) => error,
        // A server that shuts down says so in an error of its own, in its own language, and hangs up. A timeout is in its own
        // language as well; what failed so late and left the connection good is taken for one.
        Verdict::Unclear(error) => match connection.batch_execute("").await {
            Ok(()) if age >= RESERVED_LOCK_TIMEOUT => StoreError::Busy(error.into()),
            Ok(()) => StoreError::Failed(error.into()),
            Err(_) => StoreError::Unavailable(error.into()),
        },
    }
}

/// What is wrong with the server's disk, as far as its message tells, for its codes (53100, XX001, XX002) don't get through
/// diesel. One in another language is a failure like others.
fn diagnose(error: &Error) -> Option<Trouble> {
    let Error::DatabaseError(_, detail) = error else { return None };
    let message = detail.message();
    if message.contains("No space left on device") {
        return Some(Trouble::Full);
    }
    let is_damage = ["invalid page in block", "could not read block", "missing chunk number"];
    is_damage.iter().any(|known| message.contains(known)).then(|| Trouble::Damaged(message.to_owned()))
}

fn tls(config: &Config, ca_file: Option<&Path>) -> Result<MakeRustlsConnect, BoxError> {
    let roots = if let Some(path) = ca_file {
        let mut roots = RootCertStore::empty();
        let unreadable = |error| format!("the CA file {} can't be read: {error}", path.display());
        for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            roots.add(certificate.map_err(unreadable)?)?;
        }
        if roots.is_empty() {
            return Err(format!("the CA file {} holds no certificate", path.display()).into());
        }
        roots
    } else if config.get_ssl_mode() != SslMode::Disable {
        // None at all is no failure yet: with "prefer" the server may offer no TLS.
        tls::system_roots()
    } else {
        RootCertStore::empty()
    };
    Ok(MakeRustlsConnect::new(tls::client(roots)?))
}

/// Runs what is pending on a connection of its own. Its end frees the lock, however it comes about.
async fn migrate(mut connection: Conn) -> Result<()> {
    let unavailable = |error: Error| StoreError::Unavailable(error.into());
    connection.batch_execute("SET lock_timeout = '60s'").await.map_err(unavailable)?;
    connection.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")).await.map_err(unavailable)?;
    // diesel's migrations block, which a runtime with one thread allows on other threads only.
    let applied = tokio::task::spawn_blocking(move || {
        let mut connection = AsyncConnectionWrapper::<Conn>::from(connection);
        let stock = inventory::look(&mut connection, TABLES).map_err(|error| StoreError::Failed(error.into()))?;
        stock.map_err(|what| {
            StoreError::NotOurs(format!(
                "The database is no whole installation: {what}. Nothing was changed. Put back a copy of it; to begin a new \
                 installation, name an empty database"
            ))
        })?;
        let applied = connection.run_pending_migrations(MIGRATIONS).map_err(StoreError::Failed)?;
        Ok::<_, StoreError>(applied.iter().map(ToString::to_string).collect::<Vec<_>>())
    });
    let applied = applied.await.map_err(|error| StoreError::Failed(error.into()))??;
    if !applied.is_empty() {
        tracing::info!(?applied, "The database's tables were brought up to date.");
    }
    Ok(())
}
