//! A user who has locked himself out is told so, and gets in again.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::docker::{docker, inspect, preview};
use crate::support::eventually;
use crate::support::server::{SUPERUSER, Server};

/// A server in whose container anybody can do anything.
fn inside(id: &str, command: &[&str]) -> String {
    docker(&[&["exec", id], command].concat())
}

/// Until it is shown in ERROR with this code; logins are tried once a minute.
async fn in_error(client: &Client, id: &str, code: &str) {
    let query = "query($id: ID!) { service(id: $id) { state viewerActions error { code } } }";
    eventually(code, async || {
        let service = client.data(query, json!({"id": id})).await["service"].clone();
        let actions = service["viewerActions"].as_array().unwrap();
        assert!(service["state"] != "ERROR" || actions.contains(&json!("REPAIR")), "{service}");
        (service["state"] == "ERROR" && service["error"]["code"] == code).then_some(())
    })
    .await;
}

async fn repair(client: &Client, id: &str) {
    let mut events = client.events(None).await;
    let mutation = "mutation($id: ID!) { repairService(input: {id: $id}) { service { id } event { message } } }";
    let answer = client.data(mutation, json!({"id": id})).await;
    let message = answer["repairService"]["event"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("A repair of ") && message.ends_with(" was requested."), "{message}");
    events.until(id, "RUNNING").await;
    client.settled(id, "RUNNING").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_locked_himself_out_is_told_so_and_gets_in_again() {
    let mut server = Server::start(&[SUPERUSER]).await;
    let client = Client::new(&server);
    let mut ids = Vec::new();
    for (kind, version) in [("POSTGRESQL", "17"), ("REDIS", "7")] {
        ids.push(client.provision(kind, version).await["id"].as_str().unwrap().to_owned());
    }
    let [postgresql, redis] = &ids[..] else { panic!("there are two") };
    for id in &ids {
        client.settled(id, "RUNNING").await;
    }
    let credentials = client.reveal(postgresql).await;
    let (url, user) = (credentials["DATABASE_URL"].clone(), credentials["PGUSER"].clone());
    let redis_url = client.reveal(redis).await["REDIS_URL"].clone();
    let (test, network) = (server.test.clone(), server.network());
    let sql = |statement: &str| {
        let command = ["psql", &url, "-qtAc", statement];
        preview(&test, &network, "postgres:17", &command)
    };
    let ping = || {
        let command = ["redis-cli", "--no-auth-warning", "-u", &redis_url, "get", "kept"];
        preview(&test, &network, "redis:7", &command).unwrap()
    };
    sql("create table kept as select 'kept' as x").unwrap();
    let set = ["redis-cli", "--no-auth-warning", "-u", &redis_url, "set", "kept", "kept"];
    preview(&test, &network, "redis:7", &set).unwrap();

    // The password and the user, by hand.
    assert_eq!(sql("show is_superuser").as_deref(), Ok("on"));
    sql(&format!("alter role project_services nologin; alter role \"{user}\" nologin password 'mine'")).unwrap();
    let password =
        ["redis-cli", "--no-auth-warning", "-u", &redis_url, "acl", "setuser", "default", "resetpass", ">mine"];
    preview(&test, &network, "redis:7", &password).unwrap();
    for id in &ids {
        in_error(&client, id, "CREDENTIALS_REFUSED").await;
    }
    assert!(sql("select 1").is_err());
    let before = inspect(postgresql)["Id"].clone();
    // One of them while the server is killed again and again.
    repair(&client, redis).await;
    assert_eq!(ping(), "kept");
    let mutation = "mutation($id: ID!) { repairService(input: {id: $id}) { service { operation { kind } } } }";
    let asked = client.data(mutation, json!({"id": postgresql})).await;
    assert_eq!(asked["repairService"]["service"]["operation"]["kind"], "REPAIR");
    for phase in ["STOPPING", "REPAIRING", "CREATING_CONTAINER", "STARTING"] {
        let client = Client::new(&server);
        let query = "query($id: ID!) { service(id: $id) { state operation { phase } } }";
        eventually(phase, async || {
            let service = client.data(query, json!({"id": postgresql})).await["service"].clone();
            (service["operation"]["phase"] == phase || service["operation"] == Value::Null).then_some(())
        })
        .await;
        server.kill();
        server.restart().await;
    }
    let client = Client::new(&server);
    client.settled(postgresql, "RUNNING").await;
    assert_eq!(sql("select x from kept").as_deref(), Ok("kept"));
    assert_ne!(inspect(postgresql)["Id"], before);

    let sidecar = "select rolsuper and rolcanlogin and oid = 10 from pg_roles where rolname = 'project_services'";
    assert_eq!(sql(sidecar).as_deref(), Ok("t"));

    // Who may connect, and what keeps the server from starting.
    sql("copy (select 'host all all all reject') to '/var/lib/postgresql/data/pgdata/pg_hba.conf'").unwrap();
    sql("alter system set port = 6000").unwrap();
    sql("alter system set shared_preload_libraries = 'nothing'").unwrap();
    client.act("restartService", postgresql).await;
    in_error(&client, postgresql, "CRASH_LOOP").await;
    repair(&client, postgresql).await;
    assert_eq!(sql("select x from kept").as_deref(), Ok("kept"));
    assert_eq!(sql("show shared_preload_libraries").as_deref(), Ok(""));
    // A start that follows repairs nothing.
    sql("alter system set work_mem = '3MB'").unwrap();
    client.act("restartService", postgresql).await;
    client.settled(postgresql, "RUNNING").await;
    let auto = "cat /var/lib/postgresql/data/pgdata/postgresql.auto.conf";
    assert!(inside(postgresql, &["sh", "-c", auto]).contains("3MB"));
}
