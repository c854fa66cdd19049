//! Which moments a service can be brought back to, and what can be asked of them, over a real port.

use jiff::{SignedDuration, Timestamp};
use project_services::domain::backup::Backup;
use project_services::domain::log::LogSection;
use project_services::domain::service::ServiceState;
use project_services::store::{Guard, Write};
use serde_json::{Value, json};

use crate::harness::{Server, code_and_field, demo, token};

const RESTORE: &str = "mutation($input: RestoreServiceInput!) { restoreService(input: $input) {
    service { id state operation { kind } } event { message } } }";
const WINDOW: &str = "query($id: ID!) { service(id: $id) { recoveryWindow { earliest latest gaps { from to } } } }";

/// A PostgreSQL with a backup, whose log is kept from an hour before now to half an hour before, and for the last minute.
async fn kept(server: &Server) -> (String, Backup, Timestamp) {
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "POSTGRESQL"})).await;
    server.settle(&id, ServiceState::Running).await;
    let made = server.keep_backup(&id).await;
    let service = server.service(&id).await;
    let now = Timestamp::from_microsecond(made.created_at.as_microsecond()).unwrap();
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    let (begun_at, ended_at) = (Some(ago(59)), Some(ago(58)));
    let backup = Backup { instance: Some(service.instance), begun_at, ended_at, revision: 1, ..made };
    let section = |first: &str, since, until, is_open| LogSection {
        service: service.id,
        instance: service.instance,
        first: first.to_owned(),
        last: format!("{first}F"),
        since,
        until,
        is_open,
        stored_bytes: 1,
    };
    let sections = [section("A", ago(60), ago(30), false), section("B", ago(1), now, true)];
    let (backups, guard) = (std::slice::from_ref(&backup), Guard::Revision(&service));
    server.store.commit(Write { backups, sections: &sections, ..Write::new(guard, now) }).await.unwrap();
    (id, backup, now)
}

#[tokio::test]
async fn a_moment_of_the_window_is_restored_and_another_one_refused_with_the_window() {
    let server = Server::start().await;
    let (id, backup, now) = kept(&server).await;
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    let window = server.data(&demo(), WINDOW, json!({"id": id})).await["service"]["recoveryWindow"].clone();
    let at = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap().as_microsecond();
    assert_eq!(at(&window["earliest"]), ago(58).as_microsecond());
    assert_eq!(at(&window["latest"]), ago(30).as_microsecond(), "what came later has no backup to begin with");
    assert_eq!(window["gaps"], json!([]));

    let input = |at: Timestamp, into: Value| json!({"input": {"id": id, "at": at.to_string(), "into": into}});
    let new = || json!({"newService": {"name": "back"}});
    for outside in [ago(59), ago(29), now + SignedDuration::from_hours(1)] {
        let refused = server.run(&demo(), RESTORE, input(outside, new())).await;
        assert_eq!(code_and_field(&refused), ("BAD_USER_INPUT", "at"));
        let message = refused["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(&format!("to {}", ago(30))), "{message}");
    }
    let other = json!({"id": id, "backupId": backup.id.to_string(), "into": new()});
    for neither in [other, json!({"id": id, "into": new()}), json!({"into": new()})] {
        let refused = server.run(&demo(), RESTORE, json!({"input": neither})).await;
        assert_eq!(code_and_field(&refused), ("BAD_USER_INPUT", "backupId"));
    }
    let weak = token(&["demo"], &["project:settings"]);
    let refused = server.run(&weak, RESTORE, input(ago(40), json!({"inPlace": true}))).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN", "{refused}");

    let made = server.data(&weak, RESTORE, input(ago(40), new())).await["restoreService"]["service"].clone();
    assert_eq!((&made["state"], &made["operation"]["kind"]), (&json!("PENDING"), &json!("RESTORE")));
    let made = made["id"].as_str().unwrap().parse().unwrap();
    let tasks = server.store.task_list_open(made).await.unwrap();
    let wanted: Vec<_> =
        tasks.iter().map(|task| (task.backup, task.recover_to.map(|to| to.as_microsecond()))).collect();
    assert_eq!(wanted, [(Some(backup.id), Some(ago(40).as_microsecond()))]);

    let answer = server.data(&demo(), RESTORE, input(ago(35), json!({"inPlace": true}))).await;
    let message = answer["restoreService"]["event"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("to what it was at {:.0}", ago(35))), "{message}");
}

#[tokio::test]
async fn the_windows_of_a_list_take_two_queries_however_many_there_are() {
    let server = Server::start().await;
    let mut windows = Vec::new();
    for _ in 0..3 {
        let (id, ..) = kept(&server).await;
        windows.push(server.data(&demo(), WINDOW, json!({"id": id})).await["service"].clone());
    }
    let list =
        "query($p: ID!) { services(projectId: $p) { nodes { recoveryWindow { earliest latest gaps { from to } } } } }";
    // What else may be read of them is known by the second time.
    for _ in 0..2 {
        let before = server.store.read_count();
        let nodes = server.data(&demo(), list, json!({"p": "demo"})).await["services"]["nodes"].clone();
        assert_eq!(nodes, json!(windows));
        assert_eq!(server.store.read_count() - before, 3, "the list, the logs and the backups");
    }
}

#[tokio::test]
async fn one_whose_log_is_not_kept_has_no_window() {
    let server = Server::start().await;
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "POSTGRESQL"})).await;
    server.settle(&id, ServiceState::Running).await;
    server.keep_backup(&id).await;
    let data = server.data(&demo(), WINDOW, json!({"id": id})).await;
    assert_eq!(data["service"]["recoveryWindow"], Value::Null);
    let input = json!({"id": id, "at": Timestamp::now().to_string(), "into": {"newService": {}}});
    let refused = server.run(&demo(), RESTORE, json!({"input": input})).await;
    assert_eq!(code_and_field(&refused), ("BAD_USER_INPUT", "at"));
}
