//! A database with services that are as they should be, and with what is left of others.

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use jiff::Timestamp;
use project_services::catalog;
use project_services::catalog::access::{Access, Seed};
use project_services::crypto::Sealer;
use project_services::domain::event::NewEvent;
use project_services::domain::id::{InstallationId, InstanceId, ServiceId};
use project_services::domain::service::{Address, Power, RunId, Service, ServiceKind, ServiceState, SizeTier, Wish};
use project_services::store::{Guard, NewService, Store, Write, connect};
use tokio_postgres::NoTls;
use uuid::Uuid;
use zeroize::Zeroizing;

pub const KEYS: &str = "a:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
/// As many services as a preview is made of.
const OF_A_PROJECT: usize = 5;
/// How many rows are written with one text.
const BATCH: usize = 500;
/// Columns that are the same of all that are made after one.
const SAME: &str =
    "kind, spec, desired, generation, revision, state, evidence, created_at, updated_at, protected, expiry_told";

pub struct Filling {
    pub stopped: usize,
    pub running: usize,
    /// Services that are DESTROYED, each with two events.
    pub history: usize,
    /// Whether the engine has a container and a volume of what is STOPPED.
    pub kept: bool,
}

impl fmt::Display for Filling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = if self.kept { " with containers" } else { "" };
        write!(f, "{} STOPPED{kept}, {} RUNNING, {} DESTROYED", self.stopped, self.running, self.history)
    }
}

pub enum Database {
    Sqlite(String),
    Postgres { server: String, name: String },
}

impl Database {
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(file) => format!("sqlite:{file}"),
            Self::Postgres { server, name } => format!("{}/{name}", server.rsplit_once('/').unwrap().0),
        }
    }

    pub fn settings(&self) -> Vec<(String, String)> {
        let mut settings = vec![("DATABASE_URL".to_owned(), self.url())];
        settings.extend(std::env::var("TEST_DATABASE_CA").map(|ca| ("DATABASE_CA_FILE".to_owned(), ca)));
        settings
    }

    /// `text` as a value of an id's column.
    fn id(&self, id: Uuid) -> String {
        match self {
            Self::Sqlite(_) => format!("'{id}'"),
            Self::Postgres { .. } => format!("uuid '{id}'"),
        }
    }

    fn bytes(&self, bytes: &[u8]) -> String {
        let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        match self {
            Self::Sqlite(_) => format!("X'{hex}'"),
            Self::Postgres { .. } => format!("bytea '\\x{hex}'"),
        }
    }

    async fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(file) => SqliteConnection::establish(file).unwrap().batch_execute(sql).unwrap(),
            Self::Postgres { .. } => execute(&self.url(), sql).await,
        }
    }
}

async fn execute(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
}

pub async fn database(directory: &Path, server: Option<&str>) -> Database {
    match server {
        None => Database::Sqlite(directory.join("project-services.db").display().to_string()),
        Some(server) => {
            let name = format!("idle_{}", Uuid::now_v7().simple());
            execute(server, &format!("CREATE DATABASE {name}")).await;
            Database::Postgres { server: server.to_owned(), name }
        }
    }
}

pub async fn drop_database(database: &Database) {
    if let Database::Postgres { server, name } = database {
        execute(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    }
}

/// What an engine has of a service.
pub struct Instance {
    pub id: InstanceId,
    pub project: String,
    pub runs: bool,
}

pub struct Instances {
    pub installation: InstallationId,
    pub all: Vec<Instance>,
}

pub async fn fill(database: &Database, filling: &Filling) -> Instances {
    let ca = std::env::var_os("TEST_DATABASE_CA").map(std::path::PathBuf::from);
    let store = connect(&database.url().parse().unwrap(), ca.as_deref()).await.unwrap();
    let sealer: Sealer = KEYS.parse().unwrap();
    let installation = store.installation_id().await.unwrap();
    let mut all = Vec::new();
    for (number, state) in [(filling.stopped, ServiceState::Stopped), (filling.running, ServiceState::Running)] {
        if number == 0 {
            continue;
        }
        let runs = state == ServiceState::Running;
        let first = template(&store, &sealer, state, runs || filling.kept).await;
        all.push(Instance { id: InstanceId::first_of(first.id), project: first.project.to_string(), runs });
        let ids: Vec<Uuid> = (1..number).map(|_| Uuid::now_v7()).collect();
        for (batch, ids) in ids.chunks(BATCH).enumerate() {
            let mut sql = String::from("BEGIN;");
            for (n, id) in ids.iter().enumerate() {
                let n = batch * BATCH + n;
                let project = format!("{}-{}", state.as_str().to_lowercase(), n / OF_A_PROJECT);
                let sealed = sealer.seal(ServiceId(*id), &secrets()).unwrap();
                let service = [database.id(*id), format!("'{project}', 's{n}'"), database.id(*id)];
                let bytes = database.bytes(sealed.as_bytes());
                write!(
                    sql,
                    "INSERT INTO projects (project_id, last_sequence) VALUES ('{project}', {sequence}) \
                         ON CONFLICT (project_id) DO UPDATE SET last_sequence = {sequence}; \
                     INSERT INTO services (id, project_id, name, instance_id, sealed, sealed_key_id, {SAME}) \
                         SELECT {}, {}, {}, {bytes}, '{}', {SAME} FROM services WHERE id = {}; \
                     INSERT INTO service_events (project_id, sequence, service_id, state, message, occurred_at) \
                         SELECT project_id, {sequence}, id, state, 'It was.', created_at FROM services WHERE id = {};",
                    service[0],
                    service[1],
                    service[2],
                    sealed.key_id(),
                    database.id(first.id.0),
                    service[0],
                    sequence = n % OF_A_PROJECT + 1,
                )
                .unwrap();
                all.push(Instance { id: InstanceId::first_of(ServiceId(*id)), project, runs });
            }
            database.execute(&(sql + "COMMIT;")).await;
        }
    }
    history(database, &store, &sealer, filling.history).await;
    all.retain(|instance| instance.runs || filling.kept);
    Instances { installation, all }
}

async fn history(database: &Database, store: &Arc<dyn Store>, sealer: &Sealer, number: usize) {
    if number == 0 {
        return;
    }
    let first = template(store, sealer, ServiceState::Error, false).await;
    let ids: Vec<Uuid> = (0..number).map(|_| Uuid::now_v7()).collect();
    let same = SAME.replace("desired", "'DESTROYED'").replace("state", "'DESTROYED'");
    for (batch, ids) in ids.chunks(BATCH).enumerate() {
        let mut sql = String::from("BEGIN;");
        for (n, id) in ids.iter().enumerate() {
            let n = batch * BATCH + n;
            let (project, id) = (format!("gone-{}", n / OF_A_PROJECT), database.id(*id));
            let sequence = n % OF_A_PROJECT * 2 + 1;
            write!(
                sql,
                "INSERT INTO projects (project_id, last_sequence) VALUES ('{project}', {last}) \
                     ON CONFLICT (project_id) DO UPDATE SET last_sequence = {last}; \
                 INSERT INTO services (id, project_id, name, instance_id, destroyed_at, {SAME}) \
                     SELECT {id}, '{project}', 's{n}', {id}, updated_at, {same} FROM services WHERE id = {}; \
                 INSERT INTO service_events (project_id, sequence, service_id, state, message, occurred_at) \
                     SELECT project_id, {sequence}, id, 'PENDING', 'It was.', created_at FROM services WHERE id = {id} \
                     UNION ALL SELECT project_id, {last}, id, 'DESTROYED', 'It is not.', created_at FROM services \
                     WHERE id = {id};",
                database.id(first.id.0),
                last = sequence + 1,
            )
            .unwrap();
        }
        database.execute(&(sql + "COMMIT;")).await;
    }
    let tidy = "DELETE FROM service_events WHERE service_id = {}; DELETE FROM services WHERE id = {};";
    database.execute(&tidy.replace("{}", &database.id(first.id.0))).await;
}

fn secrets() -> Zeroizing<Vec<u8>> {
    Access::with_password(&Seed([1; Seed::LENGTH])).to_bytes()
}

/// One that is written through the store.
async fn template(store: &Arc<dyn Store>, sealer: &Sealer, state: ServiceState, has_data: bool) -> Service {
    let id = ServiceId(Uuid::now_v7());
    let tier = catalog::definition(ServiceKind::Redis).offer.as_ref().unwrap().tier(SizeTier::Dev).unwrap();
    let wish = Wish { kind: ServiceKind::Redis, version: "7".to_owned(), tier, power: Power::On };
    let address = Address { hostname: "redis".to_owned(), published: None };
    let name = (format!("first-{}", state.as_str().to_lowercase()).parse().unwrap(), "first".parse().unwrap());
    let service = Service::accepted(id, name, wish, address, Timestamp::now());
    let sealed = sealer.seal(id, &secrets()).unwrap();
    let (tasks, quota) = (Vec::new(), u32::MAX);
    let new =
        NewService { service: service.clone(), sealed, tasks, member: None, idempotency: None, quota, room: None };
    store.service_create(&new, &NewEvent::provisioned(&service, "bench")).await.unwrap();
    let mut after = service.clone();
    (after.state, after.operation) = (state, None);
    after.wish.power = if state == ServiceState::Running { Power::On } else { Power::Off };
    after.evidence.initialised = has_data;
    after.evidence.image = has_data.then(|| crate::engine::IMAGE.to_owned());
    after.evidence.made_for = has_data.then_some(SizeTier::Dev);
    let run = has_data.then(|| RunId(crate::engine::STARTED.to_owned()));
    match state {
        ServiceState::Running => after.evidence.ready_run = run,
        _ => after.evidence.ended_run = run,
    }
    let write = Write { service: Some(&after), ..Write::new(Guard::Revision(&service), Timestamp::now()) };
    store.commit(write).await.unwrap().service
}
