//! A database of its own for each test, on both backends, and services to put into it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::sql_types::{Nullable, Text};
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};
use jiff::Timestamp;
use project_services::crypto::{Sealed, Sealer};
use project_services::domain::event::{NewEvent, ServiceEvent};
use project_services::domain::id::{IdempotencyKey, ProjectId, ServiceId};
use project_services::domain::node::NodeName;
use project_services::domain::service::{
    Address, Power, Published, Service, ServiceKind, ServiceState, SizeTier, TierSpec, Wish,
};
use project_services::domain::term::{ReplicaId, Term};
use project_services::store::{Guard, Idempotency, NewService, Result, Store, Write, connect};
use tokio_postgres::{Client, Config, NoTls};
use uuid::Uuid;

use crate::chain::Logs;

/// An empty database, gone when this is dropped, also by a failed test.
pub enum Database {
    Sqlite { directory: tempfile::TempDir },
    Postgres { server: String, name: String },
}

impl Database {
    pub fn sqlite() -> Self {
        Self::Sqlite { directory: tempfile::tempdir().unwrap() }
    }

    pub async fn postgres() -> Self {
        let server = server_url();
        let name = format!("store_{}", Uuid::now_v7().simple());
        raw(&server).await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        Self::Postgres { server, name }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite { directory } => format!("sqlite:{}", directory.path().join("store.db").display()),
            Self::Postgres { server, name } => {
                let (address, database) = server.rsplit_once('/').unwrap();
                let parameters = database.split_once('?').map(|(_, parameters)| format!("?{parameters}"));
                format!("{address}/{name}{}", parameters.unwrap_or_default())
            }
        }
    }

    pub async fn connect(&self) -> Arc<dyn Store> {
        connect(&self.url().parse().unwrap(), ca_file().as_deref()).await.unwrap()
    }

    /// The texts that a query past the store gives in its column `value`.
    pub async fn texts(&self, sql: &str) -> Vec<Option<String>> {
        match self {
            Self::Sqlite { .. } => {
                let rows: Vec<Row> = diesel::sql_query(sql).load(&mut self.raw_sqlite()).unwrap();
                rows.into_iter().map(|row| row.value).collect()
            }
            Self::Postgres { .. } => {
                let rows = self.raw_postgres().await.query(sql, &[]).await.unwrap();
                rows.iter().map(|row| row.get("value")).collect()
            }
        }
    }

    /// The file of a SQLite database.
    pub fn file(&self) -> PathBuf {
        self.url().strip_prefix("sqlite:").unwrap().into()
    }

    /// Does something past the store.
    pub async fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite { .. } => self.raw_sqlite().batch_execute(sql).unwrap(),
            Self::Postgres { .. } => self.raw_postgres().await.batch_execute(sql).await.unwrap(),
        }
    }

    pub fn raw_sqlite(&self) -> SqliteConnection {
        let url = self.url();
        let mut connection = SqliteConnection::establish(url.strip_prefix("sqlite:").unwrap()).unwrap();
        connection.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON").unwrap();
        connection
    }

    pub async fn raw_postgres(&self) -> Client {
        raw(&self.url()).await
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
}

impl Drop for Database {
    fn drop(&mut self) {
        let Self::Postgres { server, name } = &*self else {
            return Logs::of_sqlite(Path::new(self.url().strip_prefix("sqlite:").unwrap())).check();
        };
        let (logs, server, name) = (Logs::of_postgres(&self.url()), server.clone(), name.clone());
        // In a thread and a runtime of its own: this one may be unwinding.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                raw(&server).await.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
            });
        });
        let dropped = dropped.join();
        assert!(dropped.is_ok() || std::thread::panicking(), "the test's database could not be dropped");
        logs.check();
    }
}

/// The server that PostgreSQL tests make their databases on.
pub fn server_url() -> String {
    std::env::var("TEST_DATABASE_URL")
        .expect("TEST_DATABASE_URL names no PostgreSQL server; `make test` starts one and sets it")
}

/// The CA that signed the server's certificate.
pub fn ca_file() -> Option<PathBuf> {
    std::env::var_os("TEST_DATABASE_CA").map(PathBuf::from)
}

async fn raw(url: &str) -> Client {
    let config: Config = url.parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub fn project(text: &str) -> ProjectId {
    text.parse().unwrap()
}

/// A key ring of one key with that id.
pub fn sealer(key_id: &str) -> Sealer {
    format!("{key_id}:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").parse().unwrap()
}

pub fn seal(key_id: &str, service: ServiceId, clear: &str) -> Sealed {
    sealer(key_id).seal(service, clear.as_bytes()).unwrap()
}

/// A service that was just accepted, at a time with nanoseconds.
pub fn service(project_id: &str, name: &str) -> Service {
    let now = Timestamp::from_nanosecond(1_795_446_000_123_456_789).unwrap();
    let wish = Wish {
        kind: ServiceKind::Postgresql,
        version: "17".to_owned(),
        tier: TierSpec { tier: SizeTier::Dev, memory_mib: 256, cpu_millis: 500, storage_mib: 1024 },
        power: Power::On,
    };
    let address = Address { hostname: format!("{name}-host"), published: None };
    let id = ServiceId(Uuid::now_v7());
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok();
    Service { trace, ..Service::accepted(id, (project(project_id), name.parse().unwrap()), wish, address, now) }
}

pub fn published(mut service: Service, port: u16) -> Service {
    service.address.published = Some(Published { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port });
    service
}

pub fn new(service: &Service) -> NewService {
    NewService {
        service: service.clone(),
        sealed: seal("k1", service.id, "hunter2"),
        tasks: Vec::new(),
        member: None,
        idempotency: None,
        quota: u32::MAX,
        room: None,
    }
}

pub fn keyed(service: &Service, key: &str, fingerprint: &str) -> NewService {
    let key: IdempotencyKey = key.parse().unwrap();
    NewService { idempotency: Some(Idempotency { key, fingerprint: fingerprint.to_owned() }), ..new(service) }
}

/// Writes a service with its first event.
pub async fn create(store: &dyn Store, service: &Service) {
    store.service_create(&new(service), &NewEvent::provisioned(service, "ada")).await.unwrap();
}

/// The ports that are held, without whose they are.
pub async fn ports(store: &dyn Store) -> Vec<u16> {
    store.port_list().await.unwrap().into_iter().map(|(_, port)| port).collect()
}

/// An event with that message.
pub fn note(message: &str) -> NewEvent {
    let occurred_at = "2026-11-23T12:00:00.000000001Z".parse().unwrap();
    NewEvent { message: message.to_owned(), actor: Some("ada".to_owned()), occurred_at }
}

pub async fn begin_term(store: &dyn Store) -> Term {
    let seen = store.term_current(&NodeName::default()).await.unwrap();
    store.term_take(&seen, ReplicaId(Uuid::now_v7())).await.unwrap().unwrap()
}

/// Writes a service over the one that was read.
pub async fn update(
    store: &dyn Store,
    before: &Service,
    after: &Service,
    event: Option<&NewEvent>,
    now: Timestamp,
) -> Result<Service> {
    let write = Write { service: Some(after), event, ..Write::new(Guard::Revision(before), now) };
    Ok(store.commit(write).await?.service)
}

/// Appends an event that changes nothing, whatever state the service is in.
pub async fn append(store: &dyn Store, service: &Service, message: &str) -> Result<ServiceEvent> {
    let guard = Guard::State { read: service, one_of: ServiceState::ALL };
    let event = note(message);
    let committed = store.commit(Write { event: Some(&event), ..Write::new(guard, event.occurred_at) }).await?;
    Ok(committed.event.unwrap())
}

/// The same time without what is finer than a microsecond.
pub fn micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap()
}
