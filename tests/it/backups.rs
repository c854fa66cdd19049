//! What can be asked of backups, over a real port.

use jiff::Timestamp;
use project_services::domain::backup::Backup;
use project_services::domain::service::ServiceState;
use project_services::domain::task::Job;
use project_services::store::{Guard, Write};
use serde_json::{Value, json};

use crate::harness::{BOTH, Server, code, code_and_field, demo, token};

const CREATE: &str = "mutation($input: CreateBackupInput!) { createBackup(input: $input) {
    backup { id state phase origin note serviceName kind version contentBytes storedBytes } event { message actor } } }";
const RESTORE: &str = "mutation($input: RestoreServiceInput!) { restoreService(input: $input) {
    service { id projectId name kind version state operation { kind phase } } event { message } } }";
const VERIFY: &str =
    "mutation($id: ID!) { verifyBackup(input: {backupId: $id}) { backup { state phase } event { message } } }";

async fn running(server: &Server, kind: &str) -> String {
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": kind})).await;
    server.settle(&id, ServiceState::Running).await;
    id
}

#[tokio::test]
async fn they_are_asked_for_listed_and_refused_with_the_reason() {
    let server = Server::start().await;
    let id = running(&server, "REDIS").await;
    let note = json!({"input": {"id": id, "note": "  before the change "}});
    let made = server.data(&demo(), CREATE, note.clone()).await["createBackup"].clone();
    let backup = &made["backup"];
    let expected = json!({"id": backup["id"], "state": "PENDING", "phase": "QUEUED", "origin": "MANUAL",
        "note": "before the change", "serviceName": "redis", "kind": "REDIS", "version": "7",
        "contentBytes": 0, "storedBytes": null});
    assert_eq!(backup, &expected);
    assert_eq!(made["event"], json!({"message": "A backup of redis was requested.", "actor": "ada"}));
    let again = server.data(&demo(), CREATE, note).await["createBackup"].clone();
    assert_eq!((&again["backup"]["id"], &again["event"]), (&backup["id"], &Value::Null));

    let lists = "query($id: ID!) { backups(projectId: \"demo\") { totalCount nodes { id } pageInfo { hasNextPage } }
        service(id: $id) { backups(first: 1) { edges { cursor node { id service { id } } } } } }";
    let data = server.data(&demo(), lists, json!({"id": id})).await;
    let one = json!({"totalCount": 1, "nodes": [{"id": backup["id"]}], "pageInfo": {"hasNextPage": false}});
    assert_eq!(data["backups"], one);
    assert_eq!(data["service"]["backups"]["edges"][0]["node"], json!({"id": backup["id"], "service": {"id": id}}));

    let long = server.run(&demo(), CREATE, json!({"input": {"id": id, "note": "x".repeat(201)}})).await;
    assert_eq!(code_and_field(&long), ("BAD_USER_INPUT", "note"));
    let early = server.run(&demo(), VERIFY, json!({"id": backup["id"]})).await;
    assert_eq!(code_and_field(&early), ("CONFLICT", "backupId"));
    let early = json!({"input": {"backupId": backup["id"], "into": {"newService": {}}}});
    assert_eq!(code_and_field(&server.run(&demo(), RESTORE, early).await), ("CONFLICT", "backupId"));
    let none = json!({"input": {"backupId": "svc_1", "into": {"newService": {}}}});
    assert_eq!(code_and_field(&server.run(&demo(), RESTORE, none).await), ("BAD_USER_INPUT", "backupId"));

    let stopped = running(&server, "POSTGRESQL").await;
    server.settle(&stopped, ServiceState::Stopped).await;
    let refused = server.run(&demo(), CREATE, json!({"input": {"id": stopped}})).await;
    assert_eq!(code(&refused), "INVALID_STATE");
}

#[tokio::test]
async fn a_restore_makes_a_service_that_waits_for_the_data_of_its_backup() {
    let server = Server::start().await;
    let id = running(&server, "REDIS").await;
    let kept = server.keep_backup(&id).await;
    let into = |new: Value| json!({"input": {"backupId": kept.id.to_string(), "into": {"newService": new}}});
    let both = token(&["demo", "other"], BOTH);
    let foreign = server.run(&demo(), RESTORE, into(json!({"projectId": "other"}))).await;
    assert_eq!(code(&foreign), "NOT_FOUND");
    let new = into(json!({"projectId": "other", "name": "back", "tier": "STANDARD", "idempotencyKey": "k"}));
    let made = server.data(&both, RESTORE, new.clone()).await["restoreService"]["service"].clone();
    let expected = json!({"id": made["id"], "projectId": "other", "name": "back", "kind": "REDIS", "version": "7",
        "state": "PENDING", "operation": {"kind": "RESTORE", "phase": "QUEUED"}});
    assert_eq!(made, expected);
    let again = server.data(&both, RESTORE, new).await["restoreService"].clone();
    assert_eq!((&again["service"]["id"], &again["event"]), (&made["id"], &Value::Null));
    let made = made["id"].as_str().unwrap().parse().unwrap();
    let tasks = server.store.task_list_open(made).await.unwrap();
    assert_eq!(tasks.iter().map(|task| task.backup).collect::<Vec<_>>(), [Some(kept.id)]);

    let service = server.service(&id).await;
    let large = Backup { content_bytes: 600 << 20, revision: 1, ..kept.clone() };
    let backups = std::slice::from_ref(&large);
    server.store.commit(Write { backups, ..Write::new(Guard::Revision(&service), Timestamp::now()) }).await.unwrap();
    let refused = server.run(&demo(), RESTORE, into(json!({}))).await;
    assert_eq!(code_and_field(&refused), ("CONFLICT", "tier"));
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("needs 600 MiB"), "{refused}");
}

#[tokio::test]
async fn a_restore_in_place_is_of_the_service_itself_and_is_refused_with_the_reason() {
    let server = Server::start().await;
    let id = running(&server, "REDIS").await;
    let kept = server.keep_backup(&id).await;
    let into = |target: Value| json!({"input": {"backupId": kept.id.to_string(), "into": target}});
    let in_place = into(json!({"inPlace": true}));
    let refused = server.run(&demo(), RESTORE, into(json!({"inPlace": false}))).await;
    assert_eq!(code_and_field(&refused), ("BAD_USER_INPUT", "inPlace"));
    let both = server.run(&demo(), RESTORE, into(json!({"inPlace": true, "newService": {}}))).await;
    assert!(both["data"].is_null() && !both["errors"].is_null(), "{both}");

    // What ran once has data.
    let mut before = server.service(&id).await;
    let read = before.clone();
    before.evidence.initialised = true;
    let write = Write { service: Some(&before), ..Write::new(Guard::Revision(&read), Timestamp::now()) };
    server.store.commit(write).await.unwrap();
    let made = server.data(&demo(), RESTORE, in_place.clone()).await["restoreService"].clone();
    let message = made["event"]["message"].as_str().unwrap();
    assert!(message.starts_with("redis is to be restored in place from its backup of "), "{message}");
    let expected = json!({"id": id, "projectId": "demo", "name": "redis", "kind": "REDIS", "version": "7",
        "state": "RUNNING", "operation": {"kind": "RESTORE", "phase": "QUEUED"}});
    assert_eq!(made["service"], expected);
    let again = server.data(&demo(), RESTORE, in_place.clone()).await["restoreService"].clone();
    assert_eq!((&again["service"]["id"], &again["event"]), (&json!(id), &Value::Null));
    let tasks = server.store.task_list_open(id.parse().unwrap()).await.unwrap();
    assert_eq!(tasks.iter().map(|task| task.backup).collect::<Vec<_>>(), [Some(kept.id)]);
    let busy = "mutation($id: ID!) { resizeService(input: {id: $id, tier: STANDARD}) { service { id } } }";
    assert_eq!(code(&server.run(&demo(), busy, json!({"id": id})).await), "CONFLICT");
    server
        .data(&demo(), "mutation($id: ID!) { restartService(input: {id: $id}) { service { id } } }", json!({"id": id}))
        .await;
    assert_eq!(server.store.task_list_open(id.parse().unwrap()).await.unwrap(), [], "a restart ends it");

    for state in [ServiceState::Stopped, ServiceState::Provisioning] {
        server.settle(&id, state).await;
        assert_eq!(code(&server.run(&demo(), RESTORE, in_place.clone()).await), "INVALID_STATE", "{state}");
    }
    server.settle(&id, ServiceState::Error).await;
    let service = server.service(&id).await;
    let large = Backup { content_bytes: 5000 << 20, revision: 1, ..kept.clone() };
    let backups = std::slice::from_ref(&large);
    server.store.commit(Write { backups, ..Write::new(Guard::Revision(&service), Timestamp::now()) }).await.unwrap();
    let refused = server.run(&demo(), RESTORE, in_place.clone()).await;
    assert_eq!(code_and_field(&refused), ("CONFLICT", "backupId"));
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("needs 5000 MiB"), "{refused}");
    let fitting = Backup { revision: 2, ..kept };
    let backups = std::slice::from_ref(&fitting);
    server.store.commit(Write { backups, ..Write::new(Guard::Revision(&service), Timestamp::now()) }).await.unwrap();
    let made = server.data(&demo(), RESTORE, in_place.clone()).await["restoreService"]["service"].clone();
    assert_eq!((&made["state"], &made["operation"]["kind"]), (&json!("ERROR"), &json!("RESTORE")));
    server
        .data(&demo(), "mutation($id: ID!) { destroyService(input: {id: $id}) { service { id } } }", json!({"id": id}))
        .await;
    let refused = server.run(&demo(), RESTORE, in_place).await;
    assert_eq!(code_and_field(&refused), ("CONFLICT", "into"));
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("into a new service"), "{refused}");
}

#[tokio::test]
async fn a_clone_is_asked_for_of_what_runs_and_waits_for_its_data() {
    let server = Server::start().await;
    let id = running(&server, "REDIS").await;
    let clone = "mutation($input: CloneServiceInput!) { cloneService(input: $input) {
        service { id projectId name state tier { tier } expiresAt operation { kind phase } } event { actor } } }";
    let both = token(&["demo", "other"], BOTH);
    let foreign = json!({"input": {"id": id, "projectId": "other"}});
    assert_eq!(code(&server.run(&demo(), clone, foreign).await), "NOT_FOUND");
    let input = json!({"input": {"id": id, "projectId": "other", "name": "copy", "tier": "STANDARD",
        "expiresAt": "2100-01-01T00:00:00Z", "idempotencyKey": "k"}});
    let made = server.data(&both, clone, input.clone()).await["cloneService"].clone();
    let service = &made["service"];
    let expected = json!({"id": service["id"], "projectId": "other", "name": "copy", "state": "PENDING",
        "tier": {"tier": "STANDARD"}, "expiresAt": "2100-01-01T00:00:00Z",
        "operation": {"kind": "CLONE", "phase": "QUEUED"}});
    assert_eq!(service, &expected);
    let again = server.data(&both, clone, input).await["cloneService"].clone();
    assert_eq!((&again["service"]["id"], &again["event"]), (&service["id"], &Value::Null));
    let tasks = server.store.task_list_open(service["id"].as_str().unwrap().parse().unwrap()).await.unwrap();
    let of: Vec<_> = tasks.iter().map(|task| (task.job, task.source)).collect();
    assert_eq!(of, [(Job::Clone, Some(id.parse().unwrap()))]);
    server.settle(&id, ServiceState::Stopped).await;
    let stopped = server.run(&demo(), clone, json!({"input": {"id": id}})).await;
    assert_eq!(code(&stopped), "INVALID_STATE");
}
