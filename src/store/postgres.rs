//! PostgreSQL, with TLS by rustls. Any number of replicas may use one database.

use std::path::Path;
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

use super::fault::{Fault, Verdict};
use super::inventory;
use super::trouble::{Condition, Purpose, Trouble};
use super::{BoxError, Notice, Result, StoreError, listen};
use crate::domain::id::{ProjectId, ServiceId};
use crate::tls;

type Conn = AsyncPgConnection;
type Db = diesel::pg::Pg;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

const IS_SHARED: bool = true;

/// Connections of one replica at the most; PostgreSQL allows 100 in all, unless told otherwise.
const CONNECTIONS: usize = 10;

/// Unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Held while migrations run; any number that nobody else uses. These are the letters "projserv".
const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"projserv");

/// For each connection. The queries rely on seeing what others committed while they waited for a lock, whatever the
/// database's default. The timeout is for a replica that vanished without a word in the midst of a transaction: its locks
/// would hold up the project's others until TCP gives up, hours later.
const SETTINGS: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
                        SET idle_in_transaction_session_timeout = '20s';";

/// Of the schemas in which tables are looked for, apart from PostgreSQL's own.
const TABLES: &str = "SELECT relname::text AS name FROM pg_class \
                      WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid) \
                      AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)";

macro_rules! transaction {
    ($connection:expr, $body:expr) => {
        diesel_async::AsyncConnection::transaction($connection, $body)
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
    pool: Pool<Conn>,
    config: Config,
    tls: MakeRustlsConnect,
    condition: Condition,
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
        let migrating = establish(&config, tls.clone()).await.map_err(|error| StoreError::Unavailable(error.into()))?;
        migrate(migrating).await?;

        let mut manager = ManagerConfig::<Conn>::default();
        // A connection that the server or something in between has closed is found here, not by a call.
        manager.recycling_method = RecyclingMethod::Verified;
        let (own_config, own_tls) = (config.clone(), tls.clone());
        manager.custom_setup = Box::new(move |_| {
            let (config, tls) = (config.clone(), tls.clone());
            async move { establish(&config, tls).await }.boxed()
        });
        // The configuration stands in for a URL, so that the password is in no text.
        let pool = Pool::builder(AsyncDieselConnectionManager::new_with_config("", manager))
            .max_size(CONNECTIONS)
            .build()
            .map_err(|error| StoreError::Failed(error.into()))?;
        Ok(Self { pool, config: own_config, tls: own_tls, condition: Condition::new(name) })
    }

    /// Follows the notices on a connection of its own, for as long as the stream is kept.
    fn listen(&self) -> BoxStream<'static, Notice> {
        listen::notices(self.config.clone(), self.tls.clone()).boxed()
    }

    async fn reader(&self) -> Result<Lease> {
        let connection = self.pool.get().await.map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Lease::new(connection, None))
    }

    async fn writer(&self, purpose: Purpose) -> Result<Lease> {
        self.admit(purpose)?;
        self.reader().await
    }

    /// Space for what has to be recorded is the server's own to keep.
    fn admit(&self, _: Purpose) -> Result<()> {
        self.condition.damage().map_or(Ok(()), |damage| Err(StoreError::Trouble(damage)))
    }

    /// The server's word for a commit is good.
    fn confirm(&self) -> Result<()> {
        Ok(())
    }

    fn condition(&self) -> &Condition {
        &self.condition
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

/// Says what a fault is for the caller.
async fn judge(fault: Fault, connection: &mut Conn) -> StoreError {
    if let Fault::Database(error) = &fault
        && let Some(trouble) = diagnose(error)
    {
        return StoreError::Trouble(trouble);
    }
    match fault.verdict() {
        Verdict::Known(error) => error,
        // A server that shuts down says so in an error of its own, in its own language, and hangs up.
        Verdict::Unclear(error) => match connection.batch_execute("").await {
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

async fn establish(config: &Config, tls: MakeRustlsConnect) -> ConnectionResult<Conn> {
    let (client, connection) = config.connect(tls).await.map_err(|error| {
        // Its own text only says at which step it failed.
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        ConnectionError::BadConnection(format!("{error}{cause}"))
    })?;
    let mut connection = Conn::try_from_client_and_connection(client, connection).await?;
    connection.batch_execute(SETTINGS).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
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
