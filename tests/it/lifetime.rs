//! Protection from being destroyed, expiry, and the end of a project, over a real port.

use diesel::sql_types::Text;
use diesel::{Connection, RunQueryDsl, SqliteConnection};
use jiff::{SignedDuration, Timestamp};
use project_services::domain::backup::BackupOrigin;
use project_services::domain::service::ServiceState;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{BOTH, Server, code, code_and_field, demo, token};

const SHOWN: &str = "service { name state deletionProtection expiresAt } event { message actor }";

async fn ask(server: &Server, mutation: &str, kind: &str, input: Value) -> Value {
    let query = format!("mutation($input: {kind}!) {{ answer: {mutation}(input: $input) {{ {SHOWN} }} }}");
    server.run(&demo(), &query, json!({"input": input})).await
}

async fn protect(server: &Server, id: &str, enabled: bool) -> Value {
    let input = json!({"id": id, "enabled": enabled});
    ask(server, "setDeletionProtection", "SetDeletionProtectionInput", input).await
}

async fn expire(server: &Server, id: &str, at: Option<Timestamp>) -> Value {
    ask(server, "setExpiry", "SetExpiryInput", json!({"id": id, "expiresAt": at})).await
}

async fn destroy(server: &Server, id: &str) -> Value {
    ask(server, "destroyService", "ServiceInput", json!({"id": id})).await
}

async fn offers_destroy(server: &Server, id: &str) -> bool {
    let query = "query($id: ID!) { service(id: $id) { viewerActions } }";
    let data = server.data(&demo(), query, json!({"id": id})).await;
    data["service"]["viewerActions"].as_array().unwrap().contains(&json!("DESTROY"))
}

fn in_minutes(minutes: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap() + SignedDuration::from_mins(minutes)
}

#[tokio::test]
async fn what_is_protected_is_not_destroyed_until_that_is_taken_back() {
    let server = Server::start().await;
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    assert!(offers_destroy(&server, &id).await);
    let answer = protect(&server, &id, true).await["data"]["answer"].clone();
    assert_eq!(answer["service"]["deletionProtection"], true);
    assert_eq!(answer["event"], json!({"message": "redis is protected from being destroyed.", "actor": "ada"}));
    assert!(!offers_destroy(&server, &id).await);

    let written = server.written("demo").await;
    let again = protect(&server, &id, true).await["data"]["answer"].clone();
    assert_eq!((&again["service"]["deletionProtection"], &again["event"]), (&json!(true), &Value::Null));
    let refused = destroy(&server, &id).await;
    assert_eq!(code_and_field(&refused), ("CONFLICT", "id"));
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("setDeletionProtection"), "{refused}");
    assert_eq!(server.written("demo").await, written);

    let answer = protect(&server, &id, false).await["data"]["answer"].clone();
    let message = "redis is not protected from being destroyed any more.";
    assert_eq!(answer["event"], json!({"message": message, "actor": "ada"}));
    assert!(offers_destroy(&server, &id).await);
    assert_eq!(destroy(&server, &id).await["data"]["answer"]["service"]["state"], "DESTROYING");
    for enabled in [true, false] {
        assert_eq!(code_and_field(&protect(&server, &id, enabled).await), ("CONFLICT", "id"));
    }
}

#[tokio::test]
async fn an_expiry_is_set_moved_and_taken_back() {
    let server = Server::start().await;
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    let at = in_minutes(90);
    let answer = expire(&server, &id, Some(at)).await["data"]["answer"].clone();
    assert_eq!(answer["service"]["expiresAt"], at.to_string());
    let message = format!("redis is to be destroyed at {at}, with its data.");
    assert_eq!(answer["event"], json!({"message": message, "actor": "ada"}));

    let written = server.written("demo").await;
    assert!(expire(&server, &id, Some(at)).await["data"]["answer"]["event"].is_null(), "it has that already");
    for soon in [in_minutes(-90), Timestamp::now(), Timestamp::now() + SignedDuration::from_secs(55)] {
        let refused = expire(&server, &id, Some(soon)).await;
        assert_eq!(code_and_field(&refused), ("BAD_USER_INPUT", "expiresAt"), "{soon}");
    }
    let nothing = ask(&server, "setExpiry", "SetExpiryInput", json!({"id": id})).await;
    assert_eq!(code_and_field(&nothing), ("BAD_USER_INPUT", "expiresAt"), "never is said, not left out");
    assert_eq!(server.written("demo").await, written);

    let moved = expire(&server, &id, Some(in_minutes(30))).await["data"]["answer"].clone();
    assert_eq!(moved["service"]["expiresAt"], in_minutes(30).to_string());
    let never = expire(&server, &id, None).await["data"]["answer"].clone();
    assert_eq!(never["service"]["expiresAt"], Value::Null);
    assert_eq!(never["event"]["actor"], "ada");
    assert!(expire(&server, &id, None).await["data"]["answer"]["event"].is_null());
    destroy(&server, &id).await;
    assert_eq!(code_and_field(&expire(&server, &id, Some(at)).await), ("CONFLICT", "id"));
}

#[tokio::test]
async fn nothing_is_protected_and_expires() {
    let server = Server::start().await;
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    expire(&server, &id, Some(in_minutes(90))).await;
    assert_eq!(code_and_field(&protect(&server, &id, true).await), ("CONFLICT", "enabled"));
    expire(&server, &id, None).await;
    protect(&server, &id, true).await;
    assert_eq!(code_and_field(&expire(&server, &id, Some(in_minutes(90))).await), ("CONFLICT", "expiresAt"));

    let written = server.written("demo").await;
    let input = json!({"projectId": "demo", "kind": "REDIS", "deletionProtection": true, "expiresAt": in_minutes(90)});
    let refused = ask(&server, "provisionService", "ProvisionServiceInput", input).await;
    assert_eq!(code_and_field(&refused), ("CONFLICT", "expiresAt"));
    assert_eq!(server.written("demo").await, written);
}

#[tokio::test]
async fn a_new_service_is_protected_or_expires_from_the_first() {
    let server = Server::start().await;
    let provision = async |name: &str, more: Value| {
        let mut input = json!({"projectId": "demo", "kind": "REDIS", "name": name});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask(&server, "provisionService", "ProvisionServiceInput", input).await
    };
    let (at, accepted) = (in_minutes(30), "was accepted and waits to be provisioned.");
    for (name, more, protected, message) in [
        ("plain", json!({}), false, format!("plain {accepted}")),
        ("null", json!({"deletionProtection": null, "expiresAt": null}), false, format!("null {accepted}")),
        (
            "kept",
            json!({"deletionProtection": true}),
            true,
            format!("kept {accepted} It is protected from being destroyed."),
        ),
        (
            "short",
            json!({"expiresAt": at}),
            false,
            format!("short {accepted} It is to be destroyed at {at}, with its data."),
        ),
    ] {
        let answer = provision(name, more.clone()).await["data"]["answer"].clone();
        assert_eq!(answer["service"]["deletionProtection"], protected, "{name}");
        assert_eq!(answer["service"]["expiresAt"], more["expiresAt"], "{name}");
        assert_eq!(answer["event"], json!({"message": message, "actor": "ada"}));
    }
    let refused = provision("late", json!({"expiresAt": in_minutes(-1)})).await;
    assert_eq!(code_and_field(&refused), ("BAD_USER_INPUT", "expiresAt"));
}

#[tokio::test]
async fn what_is_said_of_its_end_is_an_attribute_of_a_repeated_request() {
    let server = Server::start().await;
    let file = server.directory.path().join("store.db");
    let mut database = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    let digest = |text: &str| -> String { Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect() };
    let mut kept_as = |text: &str| {
        let kept = "UPDATE services SET idempotency_fingerprint = $1 WHERE idempotency_fingerprint IS NOT NULL";
        diesel::sql_query(kept).bind::<Text, _>(digest(text)).execute(&mut database).unwrap()
    };
    let plain = json!({"projectId": "demo", "kind": "REDIS", "idempotencyKey": "deploy-7"});
    let first = server.provision(&demo(), plain.clone()).await;
    // As earlier servers wrote it.
    kept_as("REDIS\nDEV\n\n");
    assert_eq!(server.provision(&demo(), plain.clone()).await, first);
    let with = |key: &str, value: Value| {
        let mut input = plain.clone();
        input[key] = value;
        input
    };
    assert_eq!(server.provision(&demo(), with("deletionProtection", json!(false))).await, first);
    assert_eq!(server.provision(&demo(), with("expiresAt", Value::Null)).await, first);
    for changed in [with("deletionProtection", json!(true)), with("expiresAt", json!(in_minutes(90)))] {
        let body = ask(&server, "provisionService", "ProvisionServiceInput", changed.clone()).await;
        assert_eq!(code_and_field(&body), ("CONFLICT", "idempotencyKey"), "{changed}");
    }
    // The same request is the same also once its expiry is past.
    kept_as("REDIS\nDEV\n\n\nexpires 2026-01-31T12:00:00Z");
    assert_eq!(server.provision(&demo(), with("expiresAt", json!("2026-01-31T12:00:00Z"))).await, first);
    assert_eq!(code(&ask(&server, "provisionService", "ProvisionServiceInput", plain.clone()).await), "CONFLICT");
}

#[tokio::test]
async fn a_project_is_destroyed_with_all_that_it_has_unless_something_is_protected() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for name in ["one", "two", "three"] {
        ids.push(server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS", "name": name})).await);
    }
    let elsewhere = token(&["other"], BOTH);
    let other = server.provision(&elsewhere, json!({"projectId": "other", "kind": "REDIS"})).await;
    let end = async |force: Value| {
        let query =
            "mutation($input: DestroyProjectInput!) { destroyProject(input: $input) { services { id state } } }";
        server.run(&demo(), query, json!({"input": {"projectId": "demo", "force": force}})).await
    };
    protect(&server, &ids[0], true).await;
    protect(&server, &ids[2], true).await;
    let written = server.written("demo").await;
    for force in [json!(null), json!(false)] {
        let refused = end(force).await;
        assert_eq!(code_and_field(&refused), ("CONFLICT", "projectId"));
        let message = refused["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("one, three") && !message.contains("two"), "{message}");
    }
    assert_eq!(server.written("demo").await, written, "nothing was done");

    // As where it was broken off half-way.
    destroy(&server, &ids[1]).await;
    let destroying: Vec<_> = ids.iter().map(|id| json!({"id": id, "state": "DESTROYING"})).collect();
    assert_eq!(end(json!(true)).await["data"]["destroyProject"]["services"], json!(destroying));
    let asked = ("The removal of one was requested.".to_owned(), Some("ada".to_owned()));
    assert_eq!(server.events(&ids[0]).await.last(), Some(&asked));
    let written = server.written("demo").await;
    assert_eq!(end(json!(false)).await["data"]["destroyProject"]["services"], json!(destroying), "it goes on");
    assert_eq!(destroy(&server, &ids[0]).await["data"]["answer"]["event"], Value::Null, "so does that of one");
    assert_eq!(server.written("demo").await, written);
    for id in &ids {
        server.settle(id, ServiceState::Destroyed).await;
    }
    assert_eq!(end(json!(false)).await["data"]["destroyProject"]["services"], json!([]));
    assert_eq!(server.service(&other).await.state, ServiceState::Pending);
}

#[tokio::test]
async fn a_project_ends_with_a_last_backup_of_each_unless_one_can_not_have_it_now() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for name in ["one", "two", "three"] {
        let input = json!({"projectId": "demo", "kind": "REDIS", "name": name});
        ids.push(server.provision(&demo(), input).await);
        server.settle(&ids[ids.len() - 1], ServiceState::Running).await;
    }
    let end = async |force: bool| {
        let query =
            "mutation($input: DestroyProjectInput!) { destroyProject(input: $input) { services { id state } } }";
        let input = json!({"projectId": "demo", "force": force, "finalBackup": true});
        server.run(&demo(), query, json!({"input": input})).await
    };
    let create = "mutation($id: ID!) { createBackup(input: {id: $id}) { backup { id } } }";
    server.data(&demo(), create, json!({"id": ids[2]})).await;
    server.settle(&ids[1], ServiceState::Stopped).await;
    let written = server.written("demo").await;
    let refused = end(false).await;
    assert_eq!(code_and_field(&refused), ("CONFLICT", "finalBackup"));
    let message = refused["errors"][0]["message"].as_str().unwrap();
    let named = "Can't be backed up now: two (STOPPED), three (something else is being done to it).";
    assert!(message.starts_with(named), "{message}");
    assert_eq!(code_and_field(&end(true).await), ("BAD_USER_INPUT", "force"));
    assert_eq!(server.written("demo").await, written, "nothing was done");

    server.settle(&ids[1], ServiceState::Running).await;
    destroy(&server, &ids[2]).await;
    protect(&server, &ids[0], true).await;
    assert_eq!(code_and_field(&end(false).await), ("CONFLICT", "projectId"));
    protect(&server, &ids[0], false).await;
    let states = [(&ids[0], "RUNNING"), (&ids[1], "RUNNING"), (&ids[2], "DESTROYING")];
    let expected = json!(states.map(|(id, state)| json!({"id": id, "state": state})));
    assert_eq!(end(false).await["data"]["destroyProject"]["services"], expected);
    let open = server.store.backup_list_open(None).await.unwrap();
    let last = open.iter().filter(|backup| backup.origin == BackupOrigin::Final && backup.to_verify);
    let last: Vec<_> = last.map(|backup| backup.service.to_string()).collect();
    assert_eq!(last, ids[..2], "each goes once its last backup is verified");
    let written = server.written("demo").await;
    assert_eq!(end(false).await["data"]["destroyProject"]["services"], expected, "sent again, it goes on");
    assert_eq!(server.written("demo").await, written);
}

#[tokio::test]
async fn a_project_of_several_pages_is_destroyed_as_a_whole() {
    let server = Server::start_limited(crate::harness::Limits { services: 102, ..Default::default() }).await;
    for _ in 0..102 {
        server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    }
    let query = "mutation { destroyProject(input: {projectId: \"demo\"}) { services { state } } }";
    let services = server.data(&demo(), query, json!({})).await["destroyProject"]["services"].clone();
    assert_eq!(services, json!(vec![json!({"state": "DESTROYING"}); 102]));
}
