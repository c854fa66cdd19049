use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::World;
use crate::support::docker::docker;
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::server::{SUPERUSER, Server};

/// How long a question takes, whatever becomes of it, with what a busy machine adds.
pub const AT_MOST: Duration = Duration::from_secs(22);

impl World {
    async fn postgresql(version: &str) -> Self {
        Self::filled(&[], version).await
    }

    async fn filled(settings: &[(&str, &str)], version: &str) -> Self {
        let world = Self::on(Server::start(settings).await, "POSTGRESQL", version).await;
        world.sql("create table t (a int, b text); insert into t values (1, null), (2, ''), (3, E'x\"y\\n,\\\\z')");
        world
    }

    /// What a client says.
    fn sql(&self, statement: &str) -> String {
        self.speak(&["psql", &self.url, "-qtA", "-v", "ON_ERROR_STOP=1", "-c", statement]).unwrap()
    }

    pub async fn run(&self, statement: &str) -> Result<Value, Value> {
        let selection = "result { columns rows truncated durationMs }";
        self.ask("runSql", selection, json!({"statement": statement})).await.map(|payload| payload["result"].clone())
    }

    pub async fn rows(&self, statement: &str) -> Value {
        self.run(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"))["rows"].clone()
    }

    /// The message that a statement is refused with.
    pub async fn refusal(&self, statement: &str) -> String {
        let error = match self.run(statement).await {
            Ok(result) => panic!("{statement}: {result}"),
            Err(error) => error,
        };
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{statement}: {error}");
        assert_eq!(error["extensions"]["field"], "statement", "{statement}: {error}");
        error["message"].as_str().unwrap().to_owned()
    }

    /// How many statements are under way, as its own container tells at once.
    fn sessions(&self) -> String {
        let count = "select count(*) from pg_stat_activity where usename = 'project_services_reader'";
        docker(&["exec", &self.id, "sh", "-c", &format!("psql -qtAU $POSTGRES_USER -d $POSTGRES_DB -c \"{count}\"")])
    }
}

async fn reads(version: &str) {
    let world = World::postgresql(version).await;
    let result = world.run("select a, b, null as \"a\", b is null as \"q\"\",\n\" from t order by t.a;").await.unwrap();
    assert_eq!(result["columns"], json!(["a", "b", "a", "q\",\n"]));
    let rows = json!([["1", null, null, "t"], ["2", "", null, "f"], ["3", "x\"y\n,\\z", null, "f"]]);
    assert_eq!((&result["rows"], &result["truncated"]), (&rows, &json!(false)));
    for (statement, rows) in [
        ("select from t where a < 3", json!([[], []])),
        ("select a from t where a > 3", json!([])),
        ("select null", json!([[null]])),
        ("table t -- c", json!([["1", null], ["2", ""], ["3", "x\"y\n,\\z"]])),
        ("show transaction_read_only", json!([["on"]])),
        ("values (array['ä', null]), ('{\"\"}')", json!([["{ä,NULL}"], ["{\"\"}"]])),
        (
            "select row(1, null, '('), '$$', ':a', '\\q', E'\\\\! id'",
            json!([["(1,,\"(\")", "$$", ":a", "\\q", "\\! id"]]),
        ),
        ("select current_user", json!([["project_services_reader"]])),
    ] {
        assert_eq!(world.rows(statement).await, rows, "{statement}");
    }
    assert!(world.rows("explain analyze select * from t").await[0][0].as_str().unwrap().starts_with("Seq Scan on t"));
    assert!(world.rows("select * from pg_stats").await.as_array().unwrap().len() > 20);

    // More rows, and more bytes.
    let many = world.run("select g from generate_series(1, 1000) g").await.unwrap();
    assert_eq!((many["rows"].as_array().unwrap().len(), &many["truncated"]), (200, &json!(true)));
    let endless = world.run("select generate_series(1, 1000000000)").await.unwrap();
    assert_eq!((endless["rows"].as_array().unwrap().len(), &endless["truncated"]), (200, &json!(true)));
    let wide = world.run("select repeat(chr(g), 300000) from generate_series(65, 90) g").await.unwrap();
    assert_eq!((wide["rows"].as_array().unwrap().len(), &wide["truncated"]), (3, &json!(true)));
    let long = world.run("select 1 union all select length(repeat('x', 2000000))").await.unwrap();
    assert_eq!((&long["rows"], &long["truncated"]), (&json!([["1"], ["2000000"]]), &json!(false)));
    let too_long = world.run("select repeat('x', 2000000)").await.unwrap();
    assert_eq!((&too_long["rows"], &too_long["truncated"]), (&json!([]), &json!(true)));

    assert_eq!(world.refusal("select 1/0").await, "division by zero");
    let refusal = world.refusal("select c from t").await;
    assert!(refusal.starts_with("column \"c\" does not exist\nLINE 1: select c from t\n"), "{refusal}");
    assert!(!refusal.contains("QUERY"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_of_postgresql_17_give_rows_and_nulls() {
    reads("17").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_of_postgresql_16_give_rows_and_nulls() {
    reads("16").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_of_postgresql_15_give_rows_and_nulls() {
    reads("15").await;
}

/// Statements, and a part of what each is refused with.
const ATTACKS: [(&str, &str); 39] = [
    ("insert into t values (9)", "Only statements that read"),
    ("insert into t values (9) returning a", "read-only transaction"),
    ("with x as (insert into t values (9) returning a) select * from x", "read-only transaction"),
    ("update t set a = 9 returning a", "read-only transaction"),
    ("delete from t returning a", "read-only transaction"),
    ("select * from t for update", "read-only transaction"),
    ("truncate t", "Only statements that read"),
    ("create table w (a int)", "Only statements that read"),
    ("create temp table w as select 1", "Only statements that read"),
    ("select 1 into w", "Only statements that read"),
    ("drop table t", "Only statements that read"),
    ("explain analyze insert into t values (9)", "read-only transaction"),
    ("do $$ begin insert into t values (9); end $$", "Only statements that read"),
    ("call p()", "Only statements that read"),
    ("select 1; drop table t", "one statement, and only one"),
    ("commit; begin read write; insert into t values (9)", "one statement, and only one"),
    ("commit", "Only statements that read"),
    ("rollback", "Only statements that read"),
    ("savepoint s", "Only statements that read"),
    ("set transaction read write", "Only statements that read"),
    ("select set_config('transaction_read_only', 'off', true)", "transaction"),
    ("set session authorization default", "Only statements that read"),
    ("select set_config('role', 'ADMIN', false)", "permission denied"),
    ("select set_config('session_authorization', 'ADMIN', false)", "permission denied"),
    ("\\! id", "syntax error"),
    ("select 1 \\! id", "syntax error"),
    ("select 1 \\g |id", "syntax error"),
    ("\n\\q\n\\! id", "syntax error"),
    (" \\copy t to program 'id'", "syntax error"),
    ("copy t to program 'id'", "Only statements that read"),
    ("copy t to stdout", "Only statements that read"),
    ("copy t from '/etc/passwd'", "Only statements that read"),
    ("select pg_read_file('/etc/passwd')", "permission denied"),
    ("select lo_import('/etc/passwd')", "permission denied"),
    ("select lo_export(1, '/tmp/x')", "permission denied"),
    ("select nextval('s')", "read-only transaction"),
    ("select writes()", "read-only transaction"),
    ("$$; drop table t; $$", "syntax error"),
    ("-- nothing", "one statement, and only one"),
];

async fn refuses(version: &str) {
    let world = World::postgresql(version).await;
    world.sql(
        "create sequence s; grant all on s to public; grant all on t to public; grant create on schema public to public;
         create procedure p() language plpgsql as 'begin insert into t values (9); commit; end';
         create function writes() returns int language plpgsql security definer
           as 'begin perform set_config(''default_transaction_read_only'', ''off'', false); insert into t values (9); return 1; end';
         create function makes() returns oid language plpgsql security definer as 'begin return lo_create(4711); end'",
    );
    let before = world.sql("select * from t");
    let admin = world.url.split(['/', ':']).nth(3).unwrap().to_owned();
    for (statement, part) in ATTACKS {
        let refusal = world.refusal(&statement.replace("ADMIN", &admin)).await;
        assert!(refusal.contains(part), "{statement}: {refusal}");
    }
    // Where the server lets something be done, as with a table that is made to be explained, and an older one with large
    // objects, it does not stay.
    assert!(world.run("explain analyze create table public.w as select 1").await.is_ok());
    let _ = world.run("select makes()").await;
    let _ = world.run("select lo_from_bytea(4712, 'x'), lo_create(4713)").await;
    let _ = world.run("select set_config('default_transaction_read_only', 'off', false), pg_notify('x', 'y')").await;
    let left = "select nextval('s') from (select count(*) as n from pg_largeobject_metadata) x where n = 0
        and to_regclass('w') is null";
    assert_eq!(world.sql(left), "1");
    assert_eq!(world.sql("select * from t"), before);

    // Nobody comes in over TCP: it has no password.
    let (rest, database) = world.url.rsplit_once('/').unwrap();
    let host = rest.rsplit_once('@').unwrap().1;
    for user in ["project_services_reader", "project_services_reader:x"] {
        let refusal = world.speak(&["psql", "-w", &format!("postgresql://{user}@{host}/{database}"), "-c", "select 1"]);
        let refusal = refusal.unwrap_err();
        assert!(refusal.contains("password authentication failed") || refusal.contains("no password"), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_statement_tries_changes_anything_in_postgresql_17() {
    refuses("17").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_statement_tries_changes_anything_in_postgresql_15() {
    refuses("15").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_much_ends_and_leaves_the_server_as_it_was() {
    let world = World::postgresql("17").await;
    world.sql(
        "create function stays() returns int language plpgsql as $$ begin loop begin
           perform set_config('client_connection_check_interval', '0', false); perform pg_sleep(1000);
         exception when query_canceled then null; end; end loop; end $$",
    );
    let started = world.sql("select pg_postmaster_start_time()");
    for (statement, part) in [
        ("select pg_sleep(60)", "statement timeout"),
        ("select count(*) from generate_series(1, 1000000000) a", ""),
        ("select a.oid, b.oid from pg_proc a, pg_proc b, pg_proc c order by md5(c::text)", ""),
        ("select repeat('x', 500000000)", "memory"),
        ("select length(string_agg(repeat('x', 1000), '')) from generate_series(1, 1000000)", "memory"),
        ("select stays()", "longer than ten seconds"),
    ] {
        let begun = Instant::now();
        let refusal = world.refusal(statement).await;
        assert!(refusal.contains(part), "{statement}: {refusal}");
        assert!(begun.elapsed() < AT_MOST, "{statement}: {:?}", begun.elapsed());
        eventually("its session to end", async || (world.sessions() == "0").then_some(())).await;
    }
    let run = "select count(*) from t where pg_postmaster_start_time() = ";
    assert_eq!(world.sql(&format!("{run}'{started}'")), "3");
    let recoveries = docker(&["logs", &world.id]).matches("was not properly shut down").count();
    assert_eq!(recoveries, 0, "no process of the server was killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_is_put_right_whatever_somebody_made_of_it() {
    let world = World::filled(&[SUPERUSER], "17").await;
    let role = "select rolsuper, rolcanlogin, rolconnlimit, rolpassword is null, array(select roleid::regrole::text
        from pg_auth_members where member = a.oid order by 1), array(select setconfig from pg_db_role_setting where setrole = a.oid)
        from pg_authid a where rolname = 'project_services_reader'";
    // Two at once make it.
    let (one, other) = tokio::join!(world.run("select 1"), world.run("select 1"));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    let right = world.sql(role);
    for change in [
        "superuser",
        "password 'x'",
        "nologin",
        "connection limit 0",
        "valid until '2020-01-01'",
        "set log_statement = 'all'",
        "reset temp_file_limit",
        "in database postgres set default_transaction_read_only = off",
    ] {
        world.sql(&format!("alter role project_services_reader {change}"));
        assert_eq!(world.rows("select 1").await, json!([["1"]]), "{change}");
        assert_eq!(world.sql(role), right, "{change}");
    }
    world.sql("grant pg_execute_server_program, pg_write_all_data to project_services_reader with admin option");
    world.sql("revoke pg_read_all_data from project_services_reader");
    assert_eq!(world.rows("select count(*) from t").await, json!([["3"]]));
    assert_eq!(world.sql(role), right);
}

/// Of all that is kept: the server's log, ours, the list of processes while it runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_written_down_nowhere() {
    let world = World::filled(&[SUPERUSER], "17").await;
    world.sql("alter system set log_statement = 'all'");
    world.sql("alter system set log_min_duration_statement = 0");
    world.sql("select pg_reload_conf()");
    let slow = world.run("select 'horse-battery' from pg_sleep(8)");
    let look = async {
        eventually("the statement to run", async || (world.sessions() == "1").then_some(())).await;
        docker(&["top", &world.id, "-eo", "pid,args"])
    };
    let (slow, processes) = tokio::join!(slow, look);
    assert_eq!(slow.unwrap()["rows"], json!([["horse-battery"]]));
    assert!(processes.contains("psql") && !processes.contains("horse"), "{processes}");
    for statement in ["select horse-battery", "select 1/0 as \"horse-battery\"", "select 'horse-battery'::int"] {
        world.refusal(statement).await;
    }
    let hexadecimal: String = "horse-battery".bytes().map(|byte| format!("{byte:02x}")).collect();
    for (whose, log) in [("the server's", world.server.log()), ("the container's", docker(&["logs", &world.id]))] {
        assert!(!log.contains("horse-battery") && !log.contains(&hexadecimal), "{whose} log has it");
    }
    let log = world.server.log();
    let audited = log.lines().filter(|line| line.contains("RUN_SQL") && line.contains("Accepted")).count();
    assert_eq!(audited, 4, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_t_be_asked_is_said_so_in_time() {
    let proxy = Proxy::start();
    let world = World::on(Server::start(&[("DOCKER_HOST", &proxy.host())]).await, "POSTGRESQL", "17").await;
    let unavailable = async |part: &str| {
        let begun = Instant::now();
        let error = world.run("select 1").await.unwrap_err();
        assert_eq!(error["extensions"]["code"], "UNAVAILABLE", "{error}");
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
        assert!(begun.elapsed() < AT_MOST, "{:?}", begun.elapsed());
    };
    proxy.remove();
    unavailable("engine").await;
    proxy.put_back();
    // Hung: it takes connections and says nothing.
    docker(&["exec", &world.id, "sh", "-c", "kill -STOP $(head -n 1 $PGDATA/postmaster.pid)"]);
    unavailable("in time").await;
    docker(&["exec", &world.id, "sh", "-c", "kill -CONT $(head -n 1 $PGDATA/postmaster.pid)"]);
    assert_eq!(world.rows("select 1").await, json!([["1"]]));

    let (cut, ()) = tokio::join!(world.run("select pg_sleep(9)"), async {
        eventually("the statement to run", async || (world.sessions() == "1").then_some(())).await;
        docker(&["kill", &world.id]);
    });
    let cut = cut.unwrap_err();
    assert_eq!(cut["extensions"]["code"], "UNAVAILABLE", "{cut}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_service_takes_two_statements_at_once() {
    let world = World::postgresql("17").await;
    let slow = "select pg_sleep(8)";
    let (one, two, more) = tokio::join!(world.run(slow), world.run(slow), async {
        eventually("both to run", async || (world.sessions() == "2").then_some(())).await;
        world.run("select 1").await.unwrap_err()
    });
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    assert_eq!((&more["extensions"]["code"], &more["extensions"]["retryAfter"]), (&json!("RATE_LIMITED"), &json!(1)));
    assert_eq!(world.rows("select 1").await, json!([["1"]]));
}
