use std::time::Instant;

use serde_json::json;

use super::World;
use super::sql::AT_MOST;
use crate::support::docker::preview;
use crate::support::eventually;
use crate::support::server::Server;

const IMAGE: &str = "mysql:9.7";

impl World {
    async fn mysql() -> Self {
        let world = Self::on(Server::start(&[]).await, "MYSQL", "9.7").await;
        world.as_application(
            "create table t (a int, b text, c blob); insert into t values
             (1, null, x'00ff'), (2, '', ''), (3, 'x\"y\\n,\\\\<&>\\'ä', 'q')",
        );
        world
    }

    /// What a client of the application says.
    fn as_application(&self, statements: &str) -> String {
        let (rest, database) = self.url.rsplit_once('/').unwrap();
        let (login, address) = rest.strip_prefix("mysql://").unwrap().split_once('@').unwrap();
        let ((user, password), (host, _)) = (login.split_once(':').unwrap(), address.split_once(':').unwrap());
        let (host, user, password) = (format!("-h{host}"), format!("-u{user}"), format!("-p{password}"));
        let words = ["mysql", &host, &user, &password, "--default-character-set=utf8mb4", "-NBe", statements, database];
        preview(&self.server.test, &self.server.network(), IMAGE, &words).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_of_mysql_give_rows_and_nulls() {
    let world = World::mysql().await;
    let result = world.run("select a, b, c, null as `n\"&` from t order by a;").await.unwrap();
    assert_eq!(result["columns"], json!(["a", "b", "c", "n\"&"]));
    let rows = json!([["1", null, "0x00FF", null], ["2", "", "0x", null], ["3", "x\"y\n,\\<&>'ä", "0x71", null]]);
    assert_eq!((&result["rows"], &result["truncated"]), (&rows, &json!(false)));
    for (statement, rows) in [
        ("select a from t where a > 3", json!([])),
        ("table t limit 1 -- c", json!([["1", null, "0x00FF"]])),
        ("with x as (select 1 as one) select * from x", json!([["1"]])),
        ("values row('ä', null), row('', 'NULL')", json!([["ä", null], ["", "NULL"]])),
        (
            "select '$(id)', '\\\\! id', 'delimiter x', current_user()",
            json!([["$(id)", "\\! id", "delimiter x", "project_services_reader@localhost"]]),
        ),
        ("show tables", json!([["t"]])),
    ] {
        assert_eq!(world.rows(statement).await, rows, "{statement}");
    }
    assert!(world.rows("explain select * from t").await.to_string().contains("t"));

    // More rows, and more bytes.
    let many = "with recursive g (n) as (select 1 union all select n + 1 from g where n < 1000) select";
    for (what, rows) in [("n from g", 200), ("x.n from g x, g y, g z", 200), ("repeat('x', 300000) from g", 3)] {
        let given = world.run(&format!("{many} {what}")).await.unwrap();
        assert_eq!((given["rows"].as_array().unwrap().len(), &given["truncated"]), (rows, &json!(true)), "{what}");
    }
    let refusal = world.refusal("select d from t").await;
    assert_eq!(refusal, "Unknown column 'd' in 'field list'");
}

/// Statements, and a part of what each is refused with.
const ATTACKS: [(&str, &str); 24] = [
    ("insert into t values (9, '', '')", "INSERT command denied"),
    ("update t set a = 9", "UPDATE command denied"),
    ("delete from t", "DELETE command denied"),
    ("drop table t", "DROP command denied"),
    ("create table w (a int)", "CREATE command denied"),
    ("create temporary table w (a int)", "Access denied"),
    ("select * from t for update", "command denied"),
    ("/*!50000 delete from t */", "DELETE command denied"),
    ("select 1; drop table t", "error in your SQL syntax"),
    ("select writes()", "denied"),
    ("call p()", "denied"),
    ("select a from sneaks", "Only statements that read"),
    ("set @x = 1", "Only statements that read"),
    ("set session max_execution_time = 0", "Only statements that read"),
    ("set password = 'x'", "Current password"),
    ("alter user user() identified by 'x'", "Current password"),
    ("commit", "Only statements that read"),
    ("select 1 into @x", "Only statements that read"),
    ("select * from t into outfile '/tmp/x'", "denied"),
    ("\\! id", "error in your SQL syntax"),
    ("source /etc/passwd", "error in your SQL syntax"),
    ("select * from mysql.user", "SELECT command denied"),
    ("shutdown", "Only statements that read"),
    ("-- nothing", "Only statements that read"),
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_statement_tries_changes_anything_in_mysql() {
    let world = World::mysql().await;
    world.as_application(
        "delimiter //\ncreate function writes() returns int modifies sql data \
         begin insert into t values (9, '', ''); return 1; end//\n",
    );
    world.as_application("create procedure p() insert into t values (9, '', '')");
    world.as_application("create view sneaks as select writes() as a");
    let before = world.as_application("select * from t");
    for (statement, part) in ATTACKS {
        let refusal = world.refusal(statement).await;
        assert!(refusal.contains(part), "{statement}: {refusal}");
    }
    assert_eq!(world.rows("select load_file('/etc/passwd')").await, json!([[null]]));
    assert_eq!(world.as_application("select * from t"), before);

    // What lifts the server's own limit is ended all the same.
    let begun = Instant::now();
    let endless = "select /*+ max_execution_time(3600000) */ benchmark(1000000000000, sha2('x', 512))";
    assert_eq!(world.refusal(endless).await, "The statement took longer than ten seconds.");
    assert!(begun.elapsed() < AT_MOST, "{:?}", begun.elapsed());
    eventually("it to be over", async || {
        let left = "select count(*) from information_schema.processlist where command <> 'Sleep'";
        (world.rows(left).await == json!([["1"]])).then_some(())
    })
    .await;
    world.client().act("restartService", &world.id).await;
    world.client().settled(&world.id, "RUNNING").await;
    assert_eq!(world.rows("select count(*) from t").await, json!([["3"]]));
}
