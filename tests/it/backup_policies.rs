//! What can be asked of backups that are taken by themselves, and of a last one, over a real port.

use jiff::Timestamp;
use project_services::domain::backup::{BackupOrigin, BackupState};
use project_services::domain::service::ServiceState;
use serde_json::{Value, json};

use crate::harness::{Server, code, code_and_field, demo};

const SET: &str = "mutation($input: SetBackupPolicyInput!) { setBackupPolicy(input: $input) {
    service { backupPolicy { schedule keepLast keepDaily keepWeekly keepMonthly verify nextRunAt } }
    event { message actor } } }";
const DESTROY: &str = "mutation($input: ServiceInput!) { destroyService(input: $input) {
    service { state } event { message actor } } }";

async fn running(server: &Server, kind: &str) -> String {
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": kind})).await;
    server.settle(&id, ServiceState::Running).await;
    id
}

#[tokio::test]
async fn a_policy_is_set_shown_and_taken_back() {
    let server = Server::start().await;
    let id = running(&server, "REDIS").await;
    let set = async |input: Value| server.data(&demo(), SET, json!({"input": input})).await["setBackupPolicy"].clone();
    let answer = set(json!({"id": id, "schedule": " 0  3 * * *"})).await;
    let policy = &answer["service"]["backupPolicy"];
    let next: Timestamp = policy["nextRunAt"].as_str().unwrap().parse().unwrap();
    assert!(next > Timestamp::now(), "{next}");
    let expected = json!({"schedule": "0 3 * * *", "keepLast": 3, "keepDaily": 7, "keepWeekly": 4, "keepMonthly": 0,
        "verify": true, "nextRunAt": policy["nextRunAt"]});
    assert_eq!(policy, &expected);
    let message = "redis is backed up at 0 3 * * * (UTC), each of them verified. Kept are 3 last, 7 daily, 4 weekly.";
    assert_eq!(answer["event"], json!({"message": message, "actor": "ada"}));

    let written = server.written("demo").await;
    assert!(set(json!({"id": id, "schedule": "0 3 * * *"})).await["event"].is_null(), "it is so already");
    for (input, field) in [
        (json!({"id": id}), "schedule"),
        (json!({"id": id, "schedule": "0 0 31 2 *"}), "schedule"),
        (json!({"id": id, "schedule": "* * * * *"}), "schedule"),
        (json!({"id": id, "schedule": "tomorrow"}), "schedule"),
        (json!({"id": id, "schedule": "0 3 * * *", "keepDaily": -1}), "keepDaily"),
        (json!({"id": id, "schedule": "0 3 * * *", "keepMonthly": 1001}), "keepMonthly"),
        (json!({"id": id, "schedule": "0 3 * * *", "keepLast": 0, "keepDaily": 0, "keepWeekly": 0}), "keepLast"),
    ] {
        let refused = server.run(&demo(), SET, json!({"input": input})).await;
        assert_eq!(code_and_field(&refused), ("BAD_USER_INPUT", field), "{input}");
    }
    assert_eq!(server.written("demo").await, written);

    let answer = set(json!({"id": id, "schedule": null})).await;
    assert!(answer["service"]["backupPolicy"].is_null());
    assert_eq!(answer["event"]["message"], "redis is not backed up by a schedule any more.");
    server.settle(&id, ServiceState::Destroyed).await;
    let refused = server.run(&demo(), SET, json!({"input": {"id": id, "schedule": "0 3 * * *"}})).await;
    assert_eq!(code_and_field(&refused), ("CONFLICT", "id"));
}

#[tokio::test]
async fn a_service_stays_until_its_final_backup_is_verified() {
    let server = Server::start().await;
    let id = running(&server, "REDIS").await;
    let input = json!({"input": {"id": id, "finalBackup": true}});
    let other = "mutation($input: ServiceInput!) { stopService(input: $input) { service { id } } }";
    let refused = server.run(&demo(), other, input.clone()).await;
    assert_eq!(code_and_field(&refused), ("BAD_USER_INPUT", "finalBackup"));

    let answer = server.data(&demo(), DESTROY, input.clone()).await["destroyService"].clone();
    assert_eq!(answer["service"]["state"], "RUNNING");
    let message = "redis is to be backed up once more, and destroyed once that backup is verified.";
    assert_eq!(answer["event"], json!({"message": message, "actor": "ada"}));
    let open = server.store.backup_list_open(None).await.unwrap();
    let shown: Vec<_> = open.iter().map(|backup| (backup.origin, backup.state, backup.to_verify)).collect();
    assert_eq!(shown, [(BackupOrigin::Final, BackupState::Pending, true)]);
    let again = server.data(&demo(), DESTROY, input).await["destroyService"].clone();
    assert!(again["event"].is_null(), "it is on its way");

    let other = running(&server, "POSTGRESQL").await;
    let create = "mutation($id: ID!) { createBackup(input: {id: $id}) { backup { id } } }";
    server.data(&demo(), create, json!({"id": other})).await;
    let refused = server.run(&demo(), DESTROY, json!({"input": {"id": other, "finalBackup": true}})).await;
    assert_eq!(code_and_field(&refused), ("CONFLICT", "finalBackup"), "what was begun before does not hold all");
    let stopped = running(&server, "REDIS").await;
    let protect = "mutation($id: ID!) { setDeletionProtection(input: {id: $id, enabled: true}) { service { id } } }";
    server.data(&demo(), protect, json!({"id": stopped})).await;
    let last = json!({"input": {"id": stopped, "finalBackup": true}});
    assert_eq!(code_and_field(&server.run(&demo(), DESTROY, last.clone()).await), ("CONFLICT", "id"));
    let free = "mutation($id: ID!) { setDeletionProtection(input: {id: $id, enabled: false}) { service { id } } }";
    server.data(&demo(), free, json!({"id": stopped})).await;
    server.settle(&stopped, ServiceState::Stopped).await;
    assert_eq!(code(&server.run(&demo(), DESTROY, last).await), "INVALID_STATE");
}
