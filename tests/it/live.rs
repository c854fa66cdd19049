//! Logs and measurements over the wire.

use std::sync::atomic::Ordering;

use jiff::{SignedDuration, Timestamp};
use project_services::catalog::access::Access;
use project_services::domain::history::minute_of;
use project_services::domain::live::{Holdings, UsageRecord};
use project_services::domain::service::ServiceState;
use serde_json::{Value, json};

use crate::harness::{Server, Socket, code, demo, eventually, token};

const LOGS: &str = "subscription($id: ID!, $tail: Int) { serviceLogs(id: $id, tail: $tail) { stream text } }";
const METRICS: &str = "subscription($id: ID!) { serviceMetrics(id: $id) {
    cpuMillis cpuLimitMillis memoryMib memoryLimitMib storageMib storageLimitMib connections connectionsLimit } }";
const HISTORY: &str = "query($id: ID!, $range: MetricsRange!) { serviceMetricsHistory(id: $id, range: $range) {
    range from to stepSeconds cpuLimitMillis memoryLimitMib storageLimitMib connectionsLimit
    points { measuredAt cpuMillis memoryMib storageMib connections } } }";

async fn redis(server: &Server) -> String {
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    server.settle(&id, ServiceState::Running).await;
    id
}

async fn text(socket: &mut Socket) -> String {
    let payload = socket.next("1").await;
    payload["data"]["serviceLogs"]["text"].as_str().unwrap_or_else(|| panic!("{payload}")).to_owned()
}

#[tokio::test]
async fn logs_begin_with_the_last_lines_and_go_on_where_they_were_broken_off() {
    let server = Server::start().await;
    let id = redis(&server).await;
    for line in ["one", "two", "three"] {
        server.instruments.write(line);
    }
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    socket.subscribe("1", LOGS, json!({"id": id, "tail": 2})).await;
    assert_eq!(text(&mut socket).await, "two");
    assert_eq!(text(&mut socket).await, "three");
    server.instruments.write("four");
    server.append(&id, 1).await;
    assert_eq!(text(&mut socket).await, "four");
    server.settle(&id, ServiceState::Destroyed).await;
    assert_eq!(socket.json().await, json!({"type": "complete", "id": "1"}));
}

#[tokio::test]
async fn passwords_are_left_out_of_the_logs_also_those_that_are_made_while_they_are_followed() {
    let server = Server::start().await;
    let id = redis(&server).await;
    server.instruments.running.store(true, Ordering::SeqCst);
    let passwords = async || {
        let id = id.parse().unwrap();
        let sealed = server.store.sealed_get(id).await.unwrap().unwrap();
        let access = Access::from_bytes(&server.sealer.open(id, &sealed).unwrap()).unwrap();
        access.passwords().map(str::to_owned).collect::<Vec<_>>()
    };
    let write = |passwords: &[String]| server.instruments.write(&format!("AUTH {} failed", passwords.join(" ")));
    write(&passwords().await);
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    socket.subscribe("1", LOGS, json!({"id": id})).await;
    assert_eq!(text(&mut socket).await, "AUTH [redacted] failed");
    let rotate = "mutation($id: ID!) { rotateCredentials(input: {id: $id}) { service { id } } }";
    server.data(&demo(), rotate, json!({"id": id})).await;
    write(&passwords().await);
    assert_eq!(text(&mut socket).await, "AUTH [redacted] [redacted] failed");
}

#[tokio::test]
async fn the_logs_of_a_service_that_is_destroyed_end_though_its_container_does_not() {
    let server = Server::start().await;
    let id = redis(&server).await;
    server.instruments.running.store(true, Ordering::SeqCst);
    server.instruments.write("one");
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    socket.subscribe("1", LOGS, json!({"id": id})).await;
    assert_eq!(text(&mut socket).await, "one");
    server.settle(&id, ServiceState::Destroyed).await;
    assert_eq!(socket.json().await, json!({"type": "complete", "id": "1"}));
}

#[tokio::test]
async fn logs_take_a_permission_and_a_sane_tail() {
    let server = Server::start().await;
    let id = redis(&server).await;
    let mut reader = Socket::ready(&server, Some(&token(&["demo"], &["project:delete"]))).await;
    reader.subscribe("1", LOGS, json!({"id": id})).await;
    assert_eq!(code(&reader.next("1").await), "FORBIDDEN");
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    for tail in [-1, 5001] {
        socket.subscribe("1", LOGS, json!({"id": id, "tail": tail})).await;
        assert_eq!(code(&socket.next("1").await), "BAD_USER_INPUT", "{tail}");
        assert_eq!(socket.json().await["type"], "complete");
    }
}

#[tokio::test]
async fn one_measurement_serves_all_who_follow_and_ends_with_them() {
    let server = Server::start().await;
    let id = redis(&server).await;
    let measuring = || server.instruments.measuring.load(Ordering::SeqCst);
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut socket = Socket::ready(&server, Some(&token(&["demo"], &[]))).await;
        socket.subscribe("1", METRICS, json!({"id": id})).await;
        let mut payload = socket.next("1").await;
        let metrics = &mut payload["data"]["serviceMetrics"];
        // The first measurement may come before the first count.
        for (counted, value) in [("storageMib", json!(4.0)), ("connections", json!(2))] {
            assert!(metrics[counted].is_null() || metrics[counted] == value, "{metrics}");
            metrics[counted] = Value::Null;
        }
        assert_eq!(
            *metrics,
            json!({"cpuMillis": 125, "cpuLimitMillis": 500, "memoryMib": 1.5, "memoryLimitMib": 128,
                "storageMib": null, "storageLimitMib": 512, "connections": null, "connectionsLimit": 512})
        );
        sockets.push(socket);
    }
    assert_eq!(measuring(), 1);
    let resize = "mutation($id: ID!) { resizeService(input: {id: $id, tier: STANDARD}) { service { id } } }";
    server.data(&demo(), resize, json!({"id": id})).await;
    loop {
        let now = sockets[0].next("1").await["data"]["serviceMetrics"].clone();
        if now["memoryLimitMib"] == 256 {
            assert_eq!((&now["cpuLimitMillis"], &now["connectionsLimit"]), (&json!(1000), &json!(1024)), "{now}");
            break;
        }
    }
    drop(sockets);
    eventually("the measurement to end", async || (measuring() == 0).then_some(())).await;
}

#[tokio::test]
async fn measurements_go_on_while_what_is_held_is_counted() {
    let server = Server::start().await;
    let id = redis(&server).await;
    server.instruments.counting_hangs.store(true, Ordering::SeqCst);
    let mut socket = Socket::ready(&server, Some(&demo())).await;
    socket.subscribe("1", METRICS, json!({"id": id})).await;
    for _ in 0..3 {
        let payload = socket.next("1").await;
        let metrics = &payload["data"]["serviceMetrics"];
        assert_eq!((&metrics["cpuMillis"], &metrics["storageMib"]), (&json!(125), &Value::Null), "{payload}");
    }
}

#[tokio::test]
async fn the_last_day_is_there_in_three_ranges_for_who_sees_the_service() {
    let server = Server::start().await;
    let id = redis(&server).await;
    let now = minute_of(Timestamp::now());
    let minutes_ago = |minutes: i64| now.checked_sub(SignedDuration::from_mins(minutes)).unwrap();
    let record = |minutes, cpu_millis, holdings| UsageRecord {
        service: id.parse().unwrap(),
        minute: minutes_ago(minutes),
        cpu_millis,
        memory_bytes: 3 << 20,
        holdings,
    };
    let holdings = Some(Holdings { storage_bytes: 5 << 20, connections: 7 });
    let records =
        [record(30, 250, holdings), record(29, 350, None), record(5 * 60, 100, None), record(20 * 60, 50, None)];
    server.store.usage_record(&records).await.unwrap();
    let reader = token(&["demo"], &[]);
    let history = async |range: &str| {
        let data = server.data(&reader, HISTORY, json!({"id": id, "range": range})).await;
        data["serviceMetricsHistory"].clone()
    };
    let hour = history("HOUR").await;
    let expected = json!([
        {"measuredAt": minutes_ago(30).to_string(), "cpuMillis": 250, "memoryMib": 3.0, "storageMib": 5.0,
            "connections": 7},
        {"measuredAt": minutes_ago(29).to_string(), "cpuMillis": 350, "memoryMib": 3.0, "storageMib": null,
            "connections": null},
    ]);
    assert_eq!(hour["points"], expected);
    assert_eq!((&hour["stepSeconds"], &hour["connectionsLimit"]), (&json!(60), &json!(512)));
    let span = |history: &Value| {
        let time = |field: &str| history[field].as_str().unwrap().parse::<Timestamp>().unwrap();
        time("to").duration_since(time("from"))
    };
    let figures = |history: &Value| {
        let points = history["points"].as_array().unwrap();
        points.iter().map(|point| point["cpuMillis"].as_u64().unwrap()).sum::<u64>()
    };
    let (six, day) = (history("SIX_HOURS").await, history("DAY").await);
    assert_eq!([&hour, &six, &day].map(span), [1, 6, 24].map(SignedDuration::from_hours));
    assert_eq!(six["points"][0]["cpuMillis"], 100);
    assert_eq!(day["points"][0]["cpuMillis"], 50);
    assert!(figures(&day) >= 50 + 100 + 300, "{day}");
    let stranger = server.data(&token(&["other"], &[]), HISTORY, json!({"id": id, "range": "DAY"})).await;
    assert_eq!(stranger, json!({"serviceMetricsHistory": null}));
    server.settle(&id, ServiceState::Destroyed).await;
    assert_eq!(history("DAY").await["points"], json!([]), "what it took is gone with it");
}
