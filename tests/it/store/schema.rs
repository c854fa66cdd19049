//! The migrations go up, down and up again, and src/store/schema.rs is what they make.

use std::collections::BTreeMap;

use diesel::backend::Backend;
use diesel::connection::SimpleConnection;
use diesel::migration::MigrationVersion;
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use project_services::domain::backup_policy::BackupPlan;
use project_services::domain::event::ServiceEvent;
use project_services::domain::lifetime::Lifetime;
use project_services::domain::node::{NodeName, Promised};
use project_services::domain::service::Service;
use project_services::domain::task::{Job, Task, TaskId};
use project_services::store::{Guard, StoreError, Write, connect};
use uuid::Uuid;

use super::fixture::{Database, begin_term, ca_file, create, micros, project, service};

/// Has `harness` work on the database, with the migrations.
macro_rules! with_migrations {
    ($database:expr, $harness:expr) => {
        match $database {
            Database::Sqlite { .. } => {
                let migrations = FileBasedMigrations::from_path("migrations/sqlite").unwrap();
                $harness(&mut $database.raw_sqlite(), migrations);
            }
            Database::Postgres { .. } => {
                let migrations = FileBasedMigrations::from_path("migrations/postgres").unwrap();
                let connection = AsyncPgConnection::try_from($database.raw_postgres().await).await.unwrap();
                let work =
                    move || $harness(&mut AsyncConnectionWrapper::<AsyncPgConnection>::from(connection), migrations);
                tokio::task::spawn_blocking(work).await.unwrap();
            }
        }
    };
}

/// Reverts every migration.
async fn revert(database: &Database) {
    fn all<D: Backend>(connection: &mut impl MigrationHarness<D>, migrations: FileBasedMigrations) {
        connection.revert_all_migrations(migrations).unwrap();
    }
    with_migrations!(database, all);
}

/// The first version that had traces, which was the last one whose passwords were changed by a mark on their service.
const TRACES: &str = "20261125000000";
/// The last version that knew of one engine only.
const ONE_NODE: &str = "20261127060000";
/// The last version that knew nothing of the end of services.
const BACKUPS: &str = "20261126120000";

/// Reverts what came after a version.
async fn revert_to(database: &Database, last: &'static str) {
    fn later<D: Backend>(connection: &mut impl MigrationHarness<D>, migrations: FileBasedMigrations, last: &str) {
        let is_later = |version: &MigrationVersion<'_>| version.to_string().as_str() > last;
        while connection.applied_migrations().unwrap().iter().any(is_later) {
            connection.revert_last_migration(migrations.clone()).unwrap();
        }
    }
    with_migrations!(database, |connection, migrations| later(connection, migrations, last));
}

async fn check_upgrade(database: &Database) {
    let services = ["db", "cache"].map(|name| service("demo", name));
    let store = database.connect().await;
    for service in &services {
        create(&*store, service).await;
    }
    let rotation =
        Task::new(TaskId(Uuid::now_v7()), services[0].id, Job::RotateCredentials, micros(services[0].updated_at));
    let parts = Write { tasks: &[rotation], ..Write::new(Guard::Revision(&services[0]), services[0].updated_at) };
    store.commit(parts).await.unwrap();
    let events = store.event_list_since(&project("demo"), 0, 10).await.unwrap();
    drop(store);

    revert_to(database, TRACES).await;
    let store = database.connect().await;
    for service in &services {
        assert_eq!(store.service_get(service.id).await.unwrap().as_ref().map(|row| row.id), Some(service.id));
        assert!(store.sealed_get(service.id).await.unwrap().is_some());
    }
    let kept = store.event_list_since(&project("demo"), 0, 10).await.unwrap();
    let old: Vec<_> = events.into_iter().map(|event| ServiceEvent { revision: None, ..event }).collect();
    assert_eq!(kept, old, "each event is there, and which revision it was of nobody knows");
    let open = store.task_list_open(services[0].id).await.unwrap();
    assert_eq!(open.iter().map(|task| task.job).collect::<Vec<_>>(), [Job::RotateCredentials], "it goes on");
    assert_eq!(store.task_list_open(services[1].id).await.unwrap(), []);
}

mod an_installation_of_before_keeps_its_services_and_what_was_under_way {
    use super::{Database, check_upgrade};

    #[tokio::test]
    async fn on_sqlite() {
        check_upgrade(&Database::sqlite()).await;
    }

    #[tokio::test]
    async fn on_postgres() {
        check_upgrade(&Database::postgres().await).await;
    }
}

async fn check_lasting(database: &Database) {
    let store = database.connect().await;
    let expires_at = Some(micros(service("demo", "db").created_at));
    let lifetime = Lifetime { protected: false, expires_at, told: true };
    let backup_plan = super::backup_plans::plan(expires_at);
    let service = Service { lifetime, backup_plan, ..service("demo", "db") };
    create(&*store, &service).await;
    let before = store.service_get(service.id).await.unwrap().unwrap();
    drop(store);

    revert_to(database, BACKUPS).await;
    let store = database.connect().await;
    let after = store.service_get(service.id).await.unwrap();
    let plain = Service { lifetime: Lifetime::default(), backup_plan: BackupPlan::default(), ..before };
    assert_eq!(after, Some(plain), "it goes on, and can be destroyed");
}

mod services_of_before_go_on_for_as_long_as_nobody_destroys_them {
    use super::{Database, check_lasting};

    #[tokio::test]
    async fn on_sqlite() {
        check_lasting(&Database::sqlite()).await;
    }

    #[tokio::test]
    async fn on_postgres() {
        check_lasting(&Database::postgres().await).await;
    }
}

async fn check_placed(database: &Database) {
    let store = database.connect().await;
    let services = ["db", "cache"].map(|name| service("demo", name));
    for service in &services {
        create(&*store, service).await;
    }
    let term = begin_term(&*store).await;
    let before = store.service_get(services[0].id).await.unwrap();
    drop(store);

    revert_to(database, ONE_NODE).await;
    let store = database.connect().await;
    assert_eq!(store.service_get(services[0].id).await.unwrap(), before);
    let tier = services[0].wish.tier;
    let promised = Promised::default().and(&tier).and(&tier);
    assert_eq!(store.promised_list().await.unwrap(), [(NodeName::default(), promised)], "on the one that there was");
    assert_eq!(store.term_current(&term.node).await.unwrap(), term, "whoever reconciles goes on");
}

mod what_was_there_before_nodes_is_on_the_one_that_there_was {
    use super::{Database, check_placed};

    #[tokio::test]
    async fn on_sqlite() {
        check_placed(&Database::sqlite()).await;
    }

    #[tokio::test]
    async fn on_postgres() {
        check_placed(&Database::postgres().await).await;
    }
}

/// table, column, type, "null" or "not null"
type Columns = Vec<(String, String, String, String)>;

async fn columns(database: &Database) -> Columns {
    let sql = match database {
        Database::Sqlite { .. } => {
            "SELECT t.name || ' ' || c.name || ' ' || lower(c.type) || ' ' || CASE WHEN c.\"notnull\" THEN 'not null' ELSE 'null' END \
             AS value FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid"
        }
        Database::Postgres { .. } => {
            "SELECT table_name || ' ' || column_name || ' ' || udt_name || ' ' || \
             CASE is_nullable WHEN 'NO' THEN 'not null' ELSE 'null' END AS value \
             FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name COLLATE \"C\", ordinal_position"
        }
    };
    let found = database.texts(sql).await.into_iter().flatten();
    let columns = found.map(|line| {
        let words: Vec<_> = line.splitn(4, ' ').map(str::to_owned).collect();
        let [table, column, kind, null] = words.try_into().unwrap();
        (table, column, kind, null)
    });
    columns.filter(|(table, ..)| table != "__diesel_schema_migrations").collect()
}

/// What src/store/schema.rs declares, with the types' names on that backend.
fn declared(names: &BTreeMap<&str, &str>) -> Columns {
    let text = include_str!("../../../src/store/schema.rs");
    let mut columns = Columns::new();
    for body in text.split("diesel::table! {").skip(1) {
        let mut lines = body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("use "));
        let (table, _) = lines.next().unwrap().split_once(" (").unwrap();
        for line in lines.take_while(|line| *line != "}") {
            let (column, kind) = line.trim_end_matches(',').split_once(" -> ").unwrap();
            let inner = kind.strip_prefix("Nullable<").and_then(|kind| kind.strip_suffix('>'));
            let null = if inner.is_some() { "null" } else { "not null" };
            let kind = names[inner.unwrap_or(kind)];
            columns.push((table.to_owned(), column.to_owned(), kind.to_owned(), null.to_owned()));
        }
    }
    columns
}

async fn check_schema(database: &Database, names: &[(&str, &str)]) {
    let _store = database.connect().await;
    let expected = declared(&names.iter().copied().collect());
    assert_eq!(columns(database).await, expected);
    assert!(expected.len() > 20, "schema.rs was not read");
}

mod schema_rs_is_what_the_migrations_make {
    use super::{Database, check_schema};

    #[tokio::test]
    async fn on_sqlite() {
        let names = [
            ("Bool", "integer"),
            ("Bytea", "blob"),
            ("Instant", "text"),
            ("Int4", "integer"),
            ("Int8", "integer"),
            ("Jsonb", "text"),
            ("Text", "text"),
            ("Uuid", "text"),
        ];
        check_schema(&Database::sqlite(), &names).await;
    }

    #[tokio::test]
    async fn on_postgres() {
        let names = [
            ("Bool", "bool"),
            ("Bytea", "bytea"),
            ("Instant", "timestamptz"),
            ("Int4", "int4"),
            ("Int8", "int8"),
            ("Jsonb", "jsonb"),
            ("Text", "text"),
            ("Uuid", "uuid"),
        ];
        check_schema(&Database::postgres().await, &names).await;
    }
}

async fn check_up_down_up(database: &Database) {
    let store = database.connect().await;
    create(&*store, &service("demo", "db")).await;
    drop(store);
    let up = columns(database).await;
    revert(database).await;
    assert_eq!(columns(database).await, []);
    let store = database.connect().await;
    assert_eq!(columns(database).await, up);
    create(&*store, &service("demo", "db")).await;
}

mod migrations_go_up_and_down_and_up_again {
    use super::{Database, check_up_down_up};

    #[tokio::test]
    async fn on_sqlite() {
        check_up_down_up(&Database::sqlite()).await;
    }

    #[tokio::test]
    async fn on_postgres() {
        check_up_down_up(&Database::postgres().await).await;
    }
}

async fn check_loss(database: &Database) {
    drop(database.connect().await);
    let sql = "DROP TABLE service_events";
    match database {
        Database::Sqlite { .. } => database.raw_sqlite().batch_execute(sql).unwrap(),
        Database::Postgres { .. } => database.raw_postgres().await.batch_execute(sql).await.unwrap(),
    }
    let before = columns(database).await;
    let refused = connect(&database.url().parse().unwrap(), ca_file().as_deref()).await.map(drop);
    let Err(StoreError::NotOurs(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("service_events are missing"), "{why}");
    assert_eq!(columns(database).await, before);
}

mod an_installation_that_lost_a_table_is_refused {
    use super::{Database, check_loss};

    #[tokio::test]
    async fn on_sqlite() {
        check_loss(&Database::sqlite()).await;
    }

    #[tokio::test]
    async fn on_postgres() {
        check_loss(&Database::postgres().await).await;
    }
}

#[tokio::test]
async fn tables_of_the_same_names_are_not_taken_over() {
    let database = Database::postgres().await;
    database.raw_postgres().await.batch_execute("CREATE TABLE services (port int)").await.unwrap();
    let refused = connect(&database.url().parse().unwrap(), ca_file().as_deref()).await.map(drop);
    let Err(StoreError::NotOurs(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("it has the tables services"), "{why}");
    let tables = "SELECT string_agg(relname, ' ') AS value FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    assert_eq!(database.texts(tables).await, [Some("services".to_owned())], "nothing was made");
}

#[tokio::test]
async fn every_table_and_column_is_commented() {
    let database = Database::postgres().await;
    let _store = database.connect().await;
    let uncommented = database
        .texts(
            "SELECT c.relname || '.' || coalesce(a.attname, '') AS value FROM pg_class c \
             JOIN (SELECT attrelid, attnum, attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped \
                   UNION SELECT oid, 0, NULL FROM pg_class) a ON a.attrelid = c.oid \
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace \
             AND c.relname <> '__diesel_schema_migrations' AND col_description(c.oid, a.attnum) IS NULL \
             AND (a.attnum > 0 OR obj_description(c.oid, 'pg_class') IS NULL)",
        )
        .await;
    assert_eq!(uncommented, []);
}
