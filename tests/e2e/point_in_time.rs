//! A PostgreSQL is brought back to any moment, as far as what it wrote could be kept.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::backups::{running, sql, things, write_on};
use crate::faults::backups::files;
use crate::support::client::Client;
use crate::support::docker::{docker, inspect, make_anew};
use crate::support::eventually;
use crate::support::server::Server;

pub async fn keep(client: &Client, id: &str, point_in_time: bool) -> Value {
    let mutation = "mutation($id: ID!, $kept: Boolean!) { setBackupPolicy(input: {id: $id, schedule: \"0 3 * * *\",
        verify: false, pointInTime: $kept}) { service { backupPolicy { pointInTime } } } }";
    client.execute(mutation, json!({"id": id, "kept": point_in_time})).await
}

/// What it can be brought back to.
#[derive(Debug)]
pub struct Window {
    pub earliest: Timestamp,
    pub latest: Timestamp,
    pub gaps: Vec<(Timestamp, Timestamp)>,
}

pub async fn window(client: &Client, id: &str) -> Option<Window> {
    let query = "query($id: ID!) { service(id: $id) { recoveryWindow { earliest latest gaps { from to } } } }";
    let window = client.data(query, json!({"id": id})).await["service"]["recoveryWindow"].clone();
    let at = |value: &Value| value.as_str().unwrap().parse().unwrap();
    let gaps = |window: &Value| {
        window["gaps"].as_array().unwrap().iter().map(|gap| (at(&gap["from"]), at(&gap["to"]))).collect()
    };
    (!window.is_null()).then(|| Window {
        earliest: at(&window["earliest"]),
        latest: at(&window["latest"]),
        gaps: gaps(&window),
    })
}

/// Waits until it can be brought back to `at`.
pub async fn reaches(client: &Client, id: &str, at: Timestamp) -> Window {
    eventually(&format!("it to be kept up to {at}"), async || {
        window(client, id).await.filter(|window| at <= window.latest)
    })
    .await
}

async fn restore(client: &Client, id: &str, at: Timestamp, into: Value) -> Value {
    let mutation = "mutation($input: RestoreServiceInput!) { restoreService(input: $input) { service { id } } }";
    client.execute(mutation, json!({"input": {"id": id, "at": at.to_string(), "into": into}})).await
}

pub async fn into_new(client: &Client, id: &str, at: Timestamp, name: &str) -> String {
    let answer = restore(client, id, at, json!({"newService": {"name": name}})).await;
    let id = answer["data"]["restoreService"]["service"]["id"].as_str();
    id.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

pub async fn count(client: &Client, server: &Server, id: &str) -> i64 {
    let url = client.reveal(id).await["DATABASE_URL"].clone();
    let held = sql(server, &url, "SELECT count(*) || '|' || coalesce(max(n), 0) FROM ledger").unwrap();
    let (rows, last) = held.trim().split_once('|').unwrap();
    assert_eq!(rows, last, "what was committed up to a moment, and nothing else");
    rows.parse().unwrap()
}

/// A part of the time from `from` to `to`, another one each time.
fn between(from: Timestamp, to: Timestamp) -> Timestamp {
    let part = i64::from(Timestamp::now().subsec_nanosecond() % 1000);
    from + SignedDuration::from_micros(to.duration_since(from).as_micros() as i64 / 1000 * part)
}

#[tokio::test(flavor = "multi_thread")]
async fn any_moment_of_one_that_is_written_to_comes_back_however_often_the_server_is_killed() {
    let mut server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "17").await;
    let source = client.reveal(&id).await;
    let table = "CREATE TABLE ledger (n bigint PRIMARY KEY, filling text, at timestamptz DEFAULT clock_timestamp())";
    sql(&server, &source["DATABASE_URL"], table).unwrap();
    assert!(window(&client, &id).await.is_none());
    keep(&client, &id, true).await;
    let (ledger, done, writing) = write_on(&id, &source["PGUSER"], &source["PGDATABASE"]);
    reaches(&client, &id, Timestamp::UNIX_EPOCH).await;

    let mut client = client;
    for after in [700, 2500, 5100] {
        tokio::time::sleep(Duration::from_millis(after)).await;
        server.kill();
        server.restart().await;
        client = Client::new(&server);
    }
    let (known, at) = (ledger.load(Ordering::Relaxed), Timestamp::now());
    let seen = reaches(&client, &id, at).await;
    assert!(seen.gaps.is_empty(), "{seen:?}");
    done.store(true, Ordering::Relaxed);
    writing.join().unwrap();

    let moments = [at, between(seen.earliest, at), seen.earliest];
    let mut copies = Vec::new();
    for (moment, name) in moments.into_iter().zip(["one", "two", "three"]) {
        copies.push((moment, into_new(&client, &id, moment, name).await));
    }
    for (moment, copy) in &copies {
        client.settled(copy, "RUNNING").await;
        let rows = count(&client, &server, copy).await;
        // Rows are written one after the other: the one behind the next was begun once that was committed.
        let question = format!("SELECT bool_and(at > '{moment}') FROM ledger WHERE n = {}", rows + 2);
        assert_ne!(sql(&server, &source["DATABASE_URL"], &question).unwrap().trim(), "f", "{moment} {rows}");
        let question = format!("SELECT bool_and(at < '{moment}') FROM ledger WHERE n = {rows}");
        assert_ne!(sql(&server, &source["DATABASE_URL"], &question).unwrap().trim(), "f", "{moment} {rows}");
        assert!(*moment != at || rows >= i64::try_from(known).unwrap(), "{rows} of {known}");
    }
    assert_eq!(things(&server), (4, 4));

    // In place, and what it is from then on is kept as well.
    let moment = moments[1];
    let rows = count(&client, &server, &copies[1].1).await;
    let answer = restore(&client, &id, moment, json!({"inPlace": true})).await;
    assert!(answer["errors"].is_null(), "{answer}");
    eventually("it to be what it was", async || {
        let service = client.service(&id).await;
        assert_ne!(service["state"], "ERROR", "{service}");
        let url = &source["DATABASE_URL"];
        let held = sql(&server, url, "SELECT count(*) FROM ledger").unwrap_or_default();
        (service["operation"].is_null() && held.trim() == rows.to_string()).then_some(())
    })
    .await;
    sql(&server, &source["DATABASE_URL"], "CREATE TABLE later AS SELECT 1").unwrap();
    let seen = reaches(&client, &id, Timestamp::now()).await;
    assert_eq!(seen.gaps.len(), 1, "{seen:?}");
    let again = into_new(&client, &id, seen.latest, "again").await;
    client.settled(&again, "RUNNING").await;
    let url = client.reveal(&again).await["DATABASE_URL"].clone();
    assert_eq!(sql(&server, &url, "SELECT count(*) FROM later").unwrap().trim(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_can_be_kept_it_runs_on_and_what_there_is_no_room_for_is_told() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "16").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    sql(&server, &url, "CREATE TABLE ledger AS SELECT 1::bigint AS n").unwrap();
    keep(&client, &id, true).await;
    let fine = reaches(&client, &id, Timestamp::now()).await;

    let kept = server.directory().join("backups");
    let aside = server.directory().join("aside");
    std::fs::rename(&kept, &aside).unwrap();
    std::fs::write(&kept, "in the way").unwrap();
    sql(&server, &url, "CREATE TABLE filling (t text)").unwrap();
    for _ in 0..8 {
        let fill =
            "INSERT INTO filling SELECT repeat(md5(i::text), 30) FROM generate_series(1, 40000) i; TRUNCATE filling";
        sql(&server, &url, fill).unwrap();
    }
    let waits = || {
        let size = docker(&["exec", &id, "du", "-sm", "/var/lib/postgresql/data/.archive"]);
        size.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    assert!(waits() <= 256 + 16, "{} MiB wait", waits());
    let missed = docker(&["exec", &id, "sh", "-c", "ls /var/lib/postgresql/data/.archive/ready | grep -c missed"]);
    assert_ne!(missed.trim(), "0");
    sql(&server, &url, "INSERT INTO ledger VALUES (2)").unwrap();
    let lost = Timestamp::now();

    std::fs::remove_file(&kept).unwrap();
    std::fs::rename(&aside, &kept).unwrap();
    let seen = reaches(&client, &id, lost + SignedDuration::from_secs(1)).await;
    let [(from, to)] = seen.gaps.as_slice() else { panic!("{seen:?}") };
    assert!(fine.latest <= *from && *from < lost && lost < *to, "{seen:?} {lost}");
    let refused = restore(&client, &id, lost, json!({"newService": {"name": "never"}})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{refused}");
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("any between"), "{refused}");
    let before = into_new(&client, &id, *from, "before").await;
    let behind = into_new(&client, &id, seen.latest, "behind").await;
    for (copy, rows) in [(before, 1), (behind, 2)] {
        client.settled(&copy, "RUNNING").await;
        assert_eq!(count(&client, &server, &copy).await, rows);
    }

    // What was altered is not brought back.
    let log: Vec<_> = files(&kept).into_iter().filter(|path| path.to_string_lossy().contains("/log/")).collect();
    let newest =
        log.iter().filter(|path| path.extension().is_some_and(|extension| extension == "sealed")).max().unwrap();
    let mut bytes = std::fs::read(newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(newest, bytes).unwrap();
    let altered = into_new(&client, &id, seen.latest, "altered").await;
    let failed = client.settled(&altered, "ERROR").await;
    assert_eq!(failed["error"]["code"], "RESTORE_FAILED", "{failed}");

    keep(&client, &id, false).await;
    eventually("it to keep nothing any more", async || {
        let left = docker(&["exec", &id, "sh", "-c", "ls -d /var/lib/postgresql/data/.archive || echo none"]);
        left.contains("none").then_some(())
    })
    .await;
    let redis = running(&client, "REDIS", "7").await;
    let refused = keep(&client, &redis, true).await;
    assert_eq!(refused["errors"][0]["extensions"]["field"], "pointInTime", "{refused}");
}

/// Has its container be one of before servers kept their log, which runs.
async fn make_of_before(id: &str) {
    let change = |container: &mut Value| {
        let words = container["Cmd"].as_array_mut().unwrap();
        let before = words.len();
        while let Some(at) = words.iter().position(|word| word.as_str().unwrap().starts_with("archive_")) {
            words.drain(at - 1..=at);
        }
        assert!(words.len() < before, "{words:?}");
        for (key, label) in container["Labels"].as_object_mut().unwrap() {
            if key.ends_with(".build") {
                *label = json!("0".repeat(64));
            }
        }
    };
    make_anew(id, change).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_before_runs_on_and_says_that_its_log_is_kept_from_its_next_start_on() {
    let mut server = Server::start(&[]).await;
    let id = running(&Client::new(&server), "POSTGRESQL", "17").await;
    server.kill();
    make_of_before(&id).await;
    let run = inspect(&id)["State"]["StartedAt"].clone();
    server.restart().await;
    let client = Client::new(&server);
    client.settled(&id, "RUNNING").await;

    let awaits = async || {
        let query = "query($id: ID!) { service(id: $id) { backupPolicy { pointInTimeAwaitsRestart } events(last: 3) {
            nodes { message } } } }";
        let service = client.data(query, json!({"id": id})).await["service"].clone();
        let told = service["events"].to_string().contains("is kept from its next start on");
        let awaits = service["backupPolicy"]["pointInTimeAwaitsRestart"] == true;
        awaits.then(|| assert!(told, "{service}"))
    };
    keep(&client, &id, true).await;
    eventually("it to be told", &awaits).await;
    assert_eq!(inspect(&id)["State"]["StartedAt"], run);

    client.act("restartService", &id).await;
    client.settled(&id, "RUNNING").await;
    reaches(&client, &id, Timestamp::UNIX_EPOCH).await;
    assert!(awaits().await.is_none());
}
