//! A MySQL is brought to another version under who writes to it.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{PUBLISHED, World, phase, revert, upgrade, versions};
use crate::support::docker::{LABEL, docker, preview, try_docker};
use crate::support::eventually;
use crate::support::proxy::Proxy;

/// The stand-in of the newer version is that of the older one as well, where that can't be had.
fn older() -> (&'static str, &'static str) {
    let is_there = try_docker(&["image", "inspect", "mysql:8.4"]).is_ok();
    ("IMAGE_MYSQL_8_4", if is_there { "mysql:8.4" } else { "mysql:9.7" })
}

impl World {
    /// How its clients connect.
    fn mysql_options(&self) -> Vec<String> {
        let (who, at) = self.url.strip_prefix("mysql://").unwrap().split_once('@').unwrap();
        let ((user, password), (address, database)) = (who.split_once(':').unwrap(), at.split_once('/').unwrap());
        let (host, port) = address.split_once(':').unwrap();
        let options = [("host", host), ("port", port), ("user", user), ("password", password), ("database", database)];
        options.map(|(option, value)| format!("--{option}={value}")).to_vec()
    }

    fn try_mysql(&self, statements: &str) -> Result<String, String> {
        let options = self.mysql_options();
        let mut command = vec!["mysql"];
        command.extend(options.iter().map(String::as_str));
        command.extend(["--default-character-set=utf8mb4", "-NBe", statements]);
        preview(&self.server.test, &self.server.network(), "mysql:9.7", &command)
    }

    fn mysql(&self, statements: &str) -> String {
        self.try_mysql(statements).unwrap()
    }

    /// A client that goes on writing one number after the other.
    fn writer(&self) -> Writer {
        let (label, network) = (format!("{LABEL}={}", self.server.test), self.server.network());
        let client = format!("mysql {} --connect-timeout=3", self.mysql_options().join(" "));
        let write = format!(
            "n=0; while :; do n=$((n + 1)); if said=$({client} -e \"INSERT INTO ledger VALUES ($n)\" 2>&1); \
             then echo took $n; else echo \"refused $said\"; fi; done"
        );
        let words = ["run", "--detach", "--network", &network, "--label", &label, "--entrypoint", "sh", "mysql:9.7"];
        Writer { container: docker(&[&words[..], &["-c", &write]].concat()) }
    }
}

struct Writer {
    container: String,
}

impl Writer {
    fn said(&self) -> String {
        docker(&["logs", &self.container])
    }

    /// What it was told that it is kept.
    fn kept(&self) -> HashSet<u64> {
        self.said().lines().filter_map(|line| line.strip_prefix("took ")?.parse().ok()).collect()
    }

    async fn goes_on(&self) {
        let before = self.kept().len();
        eventually("it to write", async || (self.kept().len() > before + 3).then_some(())).await;
    }

    fn end(self) -> (String, HashSet<u64>) {
        docker(&["kill", &self.container]);
        (self.said(), self.kept())
    }
}

/// What a dump may lose: digits of a FLOAT, bytes that are no text, who is told of a change.
const FILL: &[&str] = &[
    "CREATE TABLE things (id int AUTO_INCREMENT PRIMARY KEY, name varchar(60) UNIQUE, f float, d double, m decimal(30, 9),
       b longblob, bits bit(9), bin binary(5), at datetime(6), j json, e enum('a', 'b'), s set('x', 'y'), p point,
       `twice``d` float GENERATED ALWAYS AS (f * 2) STORED) COMMENT 'of all kinds'",
    "INSERT INTO things (name, f, d, m, b, bits, bin, at, j, e, s, p) VALUES
       ('zażółć 😀', 16777215, 1e300, 123456789.123456789, x'00ff27', b'101010101', x'0001', '2026-02-03 04:05:06.789',
        '{\"b\": [1, 2.5, null], \"a\": \"ä\"}', 'b', 'x,y', ST_PointFromText('POINT(1 2)')),
       ('one\r\n\\t\\\\ two', 1e0 / 3, -0e0, -0.5, REPEAT(RANDOM_BYTES(1000), 300), b'0', x'', NULL, '[]', NULL, '', NULL)",
    "INSERT INTO things (name, f, b) WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 400)
       SELECT n, RAND(n), RANDOM_BYTES(1000) FROM n",
    "CREATE TABLE parts (at date, n int) PARTITION BY RANGE (YEAR(at)) (
       PARTITION a VALUES LESS THAN (2026), PARTITION b VALUES LESS THAN MAXVALUE)",
    "INSERT INTO parts VALUES ('2025-05-05', 1), ('2026-05-05', 2)",
    "CREATE TABLE `of``them` (thing int, heard int DEFAULT 0, FOREIGN KEY (thing) REFERENCES things (id))",
    "CREATE TRIGGER hears AFTER INSERT ON things FOR EACH ROW INSERT INTO `of``them` VALUES (NEW.id, 1)",
    "CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC RETURN 2 * n",
    "CREATE VIEW seen AS SELECT twice(n) AS n FROM parts",
    "CREATE TABLE ticks (n int)",
    "CREATE EVENT tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO ticks VALUES (1)",
    "CREATE TABLE ledger (n int PRIMARY KEY)",
];

const LOOK: &str = "CHECKSUM TABLE things, parts, `of``them` EXTENDED;
    SELECT SUM(n), (SELECT COUNT(*) FROM things WHERE b IS NOT NULL) FROM seen;
    SELECT AUTO_INCREMENT, table_comment FROM information_schema.tables
      WHERE table_schema = DATABASE() AND table_name = 'things'";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mysql_has_taken_is_kept_whenever_the_server_is_killed_and_what_it_was_comes_back() {
    let proxy = Proxy::start();
    let settings = [PUBLISHED, ("DOCKER_HOST", &proxy.host()), older()];
    let mut world = World::new("MYSQL", "8.4", "DEV", &settings).await;
    let id = world.id.clone();
    let stop = format!("/containers/{id}/stop");
    let mut stops = proxy.catch(move |request| request.contains(&stop));
    for statements in FILL {
        world.mysql(statements);
    }
    assert_eq!(versions(&world.client(), &id).await["upgradesTo"], json!(["9.7"]));
    let (before, service) = (world.mysql(LOOK), world.client().service(&id).await);
    assert!(service["viewerActions"].as_array().unwrap().contains(&json!("UPGRADE")));

    world.mysql("XA START 'of two'; INSERT INTO ledger VALUES (-1); XA END 'of two'; XA PREPARE 'of two'");
    upgrade(&world.client(), &id, "9.7").await;
    let refused = eventually("it to be refused", async || {
        let service = world.client().service(&id).await;
        service["error"]["message"].as_str().map(str::to_owned)
    })
    .await;
    assert!(refused.contains("It has a prepared transaction, which has to be committed"), "{refused}");
    assert_eq!(world.things(), (1, 1), "what was made for it is gone");
    world.mysql("XA ROLLBACK 'of two'");

    // Something begins that never ends, and something is due meanwhile.
    let held = world.mysql_options().join(" ");
    let begun = format!("mysql {held} -e 'BEGIN; INSERT INTO ledger VALUES (-2); DO SLEEP(600); COMMIT' 2>&1 || :");
    let (label, network) = (format!("{LABEL}={}", world.server.test), world.server.network());
    let words = ["run", "--detach", "--network", &network, "--label", &label, "--entrypoint", "sh", "mysql:9.7"];
    let begun = docker(&[&words[..], &["-c", &begun]].concat());
    let writer = world.writer();
    writer.goes_on().await;
    world.mysql("CREATE TABLE due (n int); CREATE EVENT once ON SCHEDULE AT NOW() + INTERVAL 5 SECOND DO INSERT INTO due VALUES (1)");

    let mut events = world.client().events(None).await;
    assert!(upgrade(&world.client(), &id, "9.7").await["errors"].is_null());
    for at in ["COPYING_DATA", "COMPARING", "SWITCHING"] {
        while !phase(&mut events, at).await {}
        if at == "SWITCHING" {
            (&mut stops).await.unwrap();
            assert!(world.try_mysql("SELECT 1").unwrap_err().contains("offline"), "nobody is let in any more");
        }
        world.server.kill();
        world.server.restart().await;
        let client = world.client();
        events = client.events(Some(&client.cursor().await)).await;
        assert_eq!(client.service(&id).await["version"], "8.4", "{at}");
    }
    let after = world.brought_to("9.7").await;
    for same in ["hostname", "port", "externalHost", "externalPort"] {
        assert_eq!(after[same], service[same], "{same}");
    }
    writer.goes_on().await;
    assert_eq!(world.mysql(LOOK), before);
    assert_eq!(world.things(), (1, 2));
    let ticks = world.mysql("SELECT COUNT(*) FROM ticks");
    eventually("its events to go on", async || (world.mysql("SELECT COUNT(*) FROM ticks") != ticks).then_some(()))
        .await;
    let due = eventually("what was due to be done", async || {
        Some(world.mysql("SELECT COUNT(*) FROM due")).filter(|count| count != "0")
    })
    .await;
    assert_eq!(due, "1", "once");
    let said = eventually("what had begun to be ended", async || {
        Some(docker(&["logs", &begun])).filter(|said| said.contains("ERROR"))
    })
    .await;
    assert!(!said.contains("denied"), "{said}");
    let (said, kept) = writer.end();
    assert!(said.contains("ERROR 1290"), "while it was copied writes were refused: {said}");
    let held = |world: &World| -> HashSet<i64> {
        world.mysql("SELECT n FROM ledger").lines().map(|line| line.parse().unwrap()).collect()
    };
    let of_new = held(&world);
    let lost: Vec<_> = kept.iter().filter(|n| !of_new.contains(&i64::try_from(**n).unwrap())).collect();
    assert!(lost.is_empty(), "{lost:?} were told to be kept");
    assert!(!of_new.contains(&-1) && !of_new.contains(&-2), "what was never committed is not there");

    let answer = revert(&world.client(), &id).await;
    let message = answer["data"]["revertService"]["event"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(
        message.contains("from version 9.7 to 8.4 and the data that it had then; since its last start ")
            && message.contains(" rows were inserted"),
        "{message}"
    );
    assert_eq!(world.settled().await["version"], "8.4");
    assert_eq!(world.mysql(LOOK), before);
    assert!(held(&world).len() < of_new.len(), "what was written since stays with the newer one");
    world.mysql("INSERT INTO things (name) VALUES ('takes writes'); DROP EVENT tick");
    assert_eq!(world.client().service(&id).await["error"], Value::Null);
}
