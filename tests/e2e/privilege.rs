//! What a service's user may do in PostgreSQL, and what is the sidecar's.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::docker::{LABEL, docker, preview};
use crate::support::eventually;
use crate::support::server::Server;

struct World {
    server: Server,
    id: String,
}

impl World {
    async fn new(version: &str, settings: &[(&str, &str)]) -> Self {
        let server = Server::start(settings).await;
        let client = Client::new(&server);
        let id = client.provision("POSTGRESQL", version).await["id"].as_str().unwrap().to_owned();
        let world = Self { server, id };
        world.settled().await;
        world
    }

    fn client(&self) -> Client {
        Client::new(&self.server)
    }

    async fn settled(&self) -> Value {
        let service = self.client().settled(&self.id, "RUNNING").await;
        assert!(service["error"].is_null(), "{service}");
        service
    }

    /// What the server says to the service's user, with the password that is shown now.
    async fn try_sql(&self, statement: &str) -> Result<String, String> {
        let url = self.client().reveal(&self.id).await["DATABASE_URL"].clone();
        let command = ["psql", &url, "-qtA", "-v", "ON_ERROR_STOP=1", "-c", statement];
        preview(&self.server.test, &self.server.network(), "postgres:17", &command)
    }

    async fn sql(&self, statement: &str) -> String {
        self.try_sql(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    async fn refusal(&self, statement: &str) -> String {
        match self.try_sql(statement).await {
            Ok(said) => panic!("{statement}: {said}"),
            Err(refusal) => refusal.to_lowercase(),
        }
    }

    /// Whether the user is a superuser, and what else the user is.
    async fn user(&self) -> String {
        let roles =
            "select concat_ws(' ', rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolcanlogin)
            from pg_roles where rolname = current_user";
        self.sql(roles).await
    }

    /// What the console reads.
    async fn console(&self, statement: &str) -> String {
        let mutation = "mutation($id: ID!, $statement: String!) {
            runSql(input: {id: $id, statement: $statement}) { result { rows } } }";
        let data = self.client().data(mutation, json!({"id": self.id, "statement": statement})).await;
        data["runSql"]["result"]["rows"][0][0].as_str().unwrap().to_owned()
    }

    /// A request that ends in RUNNING again.
    async fn have(&self, mutation: &str, more: &str) {
        let mut events = self.client().events(None).await;
        let query = format!("mutation($id: ID!) {{ {mutation}(input: {{id: $id{more}}}) {{ service {{ id }} }} }}");
        self.client().data(&query, json!({"id": self.id})).await;
        events.until(&self.id, "RUNNING").await;
        self.settled().await;
    }

    async fn rotated(&self) {
        let before = self.client().reveal(&self.id).await["PGPASSWORD"].clone();
        self.client().act("rotateCredentials", &self.id).await;
        eventually("another password", async || {
            let is_new = self.client().reveal(&self.id).await["PGPASSWORD"] != before;
            (is_new && self.client().service(&self.id).await["operation"].is_null()).then_some(())
        })
        .await;
        self.settled().await;
    }

    async fn restarted(&self) {
        self.client().act("stopService", &self.id).await;
        self.client().settled(&self.id, "STOPPED").await;
        self.client().act("startService", &self.id).await;
        self.settled().await;
    }

    /// Lays its data out anew as servers of before did, whose user is the bootstrap superuser.
    async fn of_before(&self, version: &str) {
        let credentials = self.client().reveal(&self.id).await;
        self.client().act("stopService", &self.id).await;
        self.client().settled(&self.id, "STOPPED").await;
        let lay_out = r#"set -e
            cd /var/lib/postgresql/data
            rm -rf pgdata .initialised
            printf %s "$PGPASSWORD" >/tmp/password
            initdb -D pgdata -U "$PGUSER" --pwfile=/tmp/password >/dev/null
            echo 'host all all all scram-sha-256' >>pgdata/pg_hba.conf
            pg_ctl -D pgdata -w -o "-c listen_addresses=''" start >/dev/null
            createdb --maintenance-db postgres "$PGDATABASE"
            pg_ctl -D pgdata -w stop >/dev/null
            : >.initialised"#;
        let (label, volume) =
            (format!("{LABEL}={}", self.server.test), format!("{}:/var/lib/postgresql/data", self.id));
        let environment = ["PGUSER", "PGPASSWORD", "PGDATABASE"].map(|key| format!("{key}={}", credentials[key]));
        let mut command = vec!["run", "--rm", "--user", "postgres", "--label", &label, "-v", &volume];
        command.extend(environment.iter().flat_map(|value| ["-e", value]));
        command.extend(["--entrypoint", "bash"]);
        let image = format!("postgres:{version}");
        command.extend([image.as_str(), "-c", lay_out]);
        docker(&command);
        self.client().act("startService", &self.id).await;
        self.settled().await;
    }
}

const PLAIN: &str = "f t t f f t";
const SUPERUSER: &str = "t t t t t t";

/// Statements, and a part of what each is refused with.
const ATTACKS: [(&str, &str); 20] = [
    ("alter role USER superuser", "superuser"),
    ("create role s superuser", "superuser"),
    ("create role s replication", "permission denied|replication"),
    ("create role s bypassrls", "permission denied|bypassrls"),
    ("drop role project_services", "superuser"),
    ("alter role project_services nologin", "superuser"),
    ("alter role project_services password 'x'", "superuser"),
    ("alter role project_services rename to x", "superuser"),
    ("alter role project_services set role = 'USER'", "superuser"),
    ("grant project_services to USER", "superuser"),
    ("grant pg_execute_server_program to USER", "permission denied|superuser"),
    ("grant pg_read_server_files to USER", "permission denied|superuser"),
    ("grant pg_write_server_files to USER", "permission denied|superuser"),
    ("set role project_services", "permission denied"),
    ("copy t from program 'id'", "pg_execute_server_program"),
    ("copy t from '/etc/passwd'", "pg_read_server_files"),
    ("select pg_read_file('PG_VERSION')", "permission denied"),
    ("alter system set work_mem = '1MB'", "permission denied|superuser"),
    ("create extension file_fdw", "permission denied"),
    ("alter database postgres set work_mem = '1MB'", "must be owner"),
];

async fn is_what_it_may_be(version: &str) {
    let world = World::new(version, &[("POSTGRES_EXTENSIONS", "dblink,no_such_thing,postgres_fdw")]).await;
    let client = world.client();
    let credentials = client.reveal(&world.id).await;
    let user = &credentials["PGUSER"];
    assert_eq!(world.user().await, PLAIN);
    let owner = "select pg_get_userbyid(datdba) from pg_database where datname = current_database()";
    assert_eq!(world.sql(owner).await, *user);
    for statement in [
        "create table t (x text)",
        "insert into t values ('kept')",
        "create schema s create table t (x int)",
        "create extension hstore",
        "create extension pgcrypto",
        "create extension citext",
        "create extension if not exists dblink",
        "create role app login password 'app'",
        "alter role app createdb",
        "create role readers",
        "grant readers to app",
        "grant select on t to readers",
        "create role gone",
        "drop role gone",
        "create database other",
        "comment on database other is 'mine'",
        "checkpoint",
        "do $$ begin execute format('alter database %I set work_mem = ''3MB''', current_database()); end $$",
        "select count(*) from pg_ls_waldir()",
    ] {
        world.sql(statement).await;
    }
    for (statement, parts) in ATTACKS {
        let refusal = world.refusal(&statement.replace("USER", user)).await;
        assert!(parts.split('|').any(|part| refusal.contains(part)), "{statement}: {refusal}");
    }
    // The server trusts who is inside of the container, but not who lets the server connect there.
    let loopback =
        "select * from dblink('host=127.0.0.1 user=project_services dbname=postgres', 'select 1') as x (y int)";
    let refusal = world.refusal(loopback).await;
    assert!(refusal.contains("password"), "{refusal}");
    let log = docker(&["logs", &world.id]);
    assert!(!log.contains("dblink is left out") && log.contains("extension no_such_thing is left out"), "{log}");

    // What the sidecar does is not in its user's way, and the other way about.
    for setting in ["role = USER", "search_path = s", "default_transaction_read_only = on"] {
        let statement = format!("alter database {} set {}", credentials["PGDATABASE"], setting.replace("USER", user));
        world.sql(&statement).await;
        world.rotated().await;
        assert_eq!(world.console("select x from public.t").await, "kept");
        let reset = statement.replace(" set ", " reset ");
        let reset = reset.split(" = ").next().unwrap();
        world.sql(&format!("begin read write; {reset}; commit")).await;
    }
    assert_eq!(world.console("select current_user").await, "project_services_reader");
    world.restarted().await;
    assert_eq!((world.user().await, world.sql("select x from t").await), (PLAIN.to_owned(), "kept".to_owned()));
    let listed = "query($id: ID!) { service(id: $id) { credentials { key value } } }";
    assert!(!client.data(listed, json!({"id": world.id})).await.to_string().contains("project_services"));

    let by_hand = format!(
        "alter database {} owner to project_services; alter role {user} nologin superuser password 'mine'; \
         alter role project_services nologin password 'mine'",
        credentials["PGDATABASE"]
    );
    docker(&["exec", &world.id, "psql", "-U", "project_services", "-d", "postgres", "-c", &by_hand]);
    world.have("repairService", "").await;
    assert_eq!((world.user().await, world.sql(owner).await), (PLAIN.to_owned(), user.clone()));
    world.rotated().await;
    let own = "select rolcanlogin and rolsuper from pg_roles where rolname = 'project_services'";
    assert_eq!(world.sql(own).await, "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_postgresql_18_owns_its_database_and_is_no_superuser() {
    is_what_it_may_be("18").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_postgresql_17_owns_its_database_and_is_no_superuser() {
    is_what_it_may_be("17").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_postgresql_15_owns_its_database_and_is_no_superuser() {
    is_what_it_may_be("15").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_before_stays_as_it_is_until_it_is_brought_to_another_version() {
    let world = World::new("15", &[]).await;
    world.of_before("15").await;
    let user = world.client().reveal(&world.id).await["PGUSER"].clone();
    assert_eq!(world.user().await, SUPERUSER);
    for statement in [
        "create table t as select 'kept' as x",
        "create extension dblink",
        "create extension hstore",
        "create role boss superuser login password 'boss'",
        "create role worker",
        "create table work as select 1 as x",
        "alter table work owner to worker",
        "grant pg_execute_server_program to worker",
        "create function on_ddl() returns event_trigger language plpgsql as 'begin end'",
        "create event trigger e on ddl_command_end execute function on_ddl()",
        "create database other",
    ] {
        world.sql(statement).await;
    }
    assert_eq!(world.console("select x from t").await, "kept");
    world.rotated().await;
    world.restarted().await;
    world.have("repairService", "").await;
    let own = "select count(*) from pg_roles where rolname = 'project_services'";
    assert_eq!((world.user().await, world.sql(own).await), (SUPERUSER.to_owned(), "0".to_owned()));

    let brought = ", version: \"17\"";
    world.have("upgradeService", brought).await;
    assert_eq!(world.user().await, PLAIN);
    assert_eq!((world.sql("select x from t").await, world.sql(own).await), ("kept".to_owned(), "1".to_owned()));
    let superusers = "select string_agg(rolname, ' ') from pg_roles where rolsuper";
    assert_eq!(world.sql(superusers).await, "project_services");
    let owners = "select string_agg(distinct pg_get_userbyid(datdba), ' ') from pg_database where datname in (current_database(), 'other')";
    assert_eq!(world.sql(owners).await, user);
    let extensions = "select string_agg(extname, ' ' order by extname) from pg_extension";
    assert_eq!(world.sql(extensions).await, "dblink hstore plpgsql");
    world.sql("drop extension hstore; create extension hstore; drop extension hstore").await;
    world.sql("insert into work values (2); alter role worker login; create role more; drop role more").await;
    for (statement, part) in [
        ("copy t from program 'id'", "pg_execute_server_program"),
        ("set role worker; copy t from program 'id'", "pg_execute_server_program"),
        ("alter role boss superuser", "superuser"),
    ] {
        let refusal = world.refusal(statement).await;
        assert!(refusal.contains(part), "{statement}: {refusal}");
    }
    assert_eq!(world.console("select x from t").await, "kept");
    world.have("repairService", "").await;
    assert_eq!(world.user().await, PLAIN);

    // Who is who goes with the data.
    world.have("revertService", "").await;
    assert_eq!((world.user().await, world.sql(own).await), (SUPERUSER.to_owned(), "0".to_owned()));
    world.have("revertService", "").await;
    assert_eq!(world.user().await, PLAIN);
    world.rotated().await;
}

/// A check of whoever copies is run by whoever copies.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_makes_nobody_a_superuser() {
    let world = World::new("15", &[]).await;
    let user = world.client().reveal(&world.id).await["PGUSER"].clone();
    let climbs = |name: &str, argument: &str| {
        format!(
            "create function {name}({argument}) returns bool language plpgsql as $$ begin \
             execute 'alter role {user} superuser'; return true; exception when others then return true; end $$"
        )
    };
    for statement in [
        "create extension pgcrypto",
        "create role app login",
        &climbs("one", "int"),
        "create table checked (x int check (one(x)))",
        &climbs("whole", "checked"),
        "alter table checked add check (whole(checked))",
        "insert into checked values (1)",
        "create domain small as int check (one(value))",
        "create table domains as select 1::small as x",
        "create table of_app as select 7 as x",
        "alter table of_app enable row level security; alter table of_app force row level security",
        "create policy p on of_app using (x > 7)",
        "grant app to current_user; grant create on schema public to app; alter table of_app owner to app",
        "select lo_from_bytea(42, 'large')",
        "create materialized view seen as select * from checked",
        "create publication p for table checked",
    ] {
        world.sql(statement).await;
    }
    for (make, drop, part) in [
        ("create table keyed (x small) partition by list (x)", "drop table keyed", "partitioned table public.keyed"),
        ("create table keyed (x int) partition by range ((x::small))", "drop table keyed", "table public.keyed"),
        (
            "create function add(small, int) returns small language sql as 'select $1'; \
             create aggregate total(int) (sfunc = add, stype = small, initcond = '1')",
            "drop aggregate total(int)",
            "aggregate public.total(integer)",
        ),
    ] {
        world.sql(make).await;
        let upgrade = "mutation($id: ID!) { upgradeService(input: {id: $id, version: \"17\"}) { service { id } } }";
        world.client().data(upgrade, json!({"id": world.id})).await;
        eventually(part, async || {
            let error = world.client().service(&world.id).await["error"].clone();
            error["message"].as_str().is_some_and(|message| message.contains(part)).then_some(())
        })
        .await;
        world.sql(drop).await;
    }
    world.have("upgradeService", ", version: \"17\"").await;
    assert_eq!(world.user().await, PLAIN);
    let superusers = "select string_agg(rolname, ' ') from pg_roles where rolsuper";
    assert_eq!(world.sql(superusers).await, "project_services");
    let left = "select count(*) from pg_roles where rolname like 'project_services_%'";
    let held = "select (table checked) + (table domains) + (table seen) || convert_from(lo_get(42), 'UTF8')";
    assert_eq!((world.sql(left).await, world.sql(held).await), ("0".to_owned(), "3large".to_owned()));
    let hidden = "select relrowsecurity and relforcerowsecurity and relowner = 'app'::regrole from pg_class where relname = 'of_app'";
    assert_eq!(world.sql(hidden).await, "t");
    assert_eq!(world.console("select x from of_app").await, "7");
    world.have("revertService", "").await;
    assert_eq!(world.user().await, PLAIN);
}
