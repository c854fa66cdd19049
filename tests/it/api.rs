//! What queries and mutations do, over a real port.

use diesel::sql_types::Text;
use diesel::{Connection, RunQueryDsl, SqliteConnection};
use std::net::{IpAddr, Ipv4Addr};

use project_services::domain::address::Publishing;
use project_services::domain::lifecycle::ServiceAction;
use project_services::domain::service::ServiceState;
use project_services::http::SocketLimits;
use project_services::store::{Guard, Write};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{BOTH, READY, Server, code, code_and_field, demo, in_seconds, sign, token};

const PROVISION: &str = "mutation($input: ProvisionServiceInput!) { provisionService(input: $input) { service {
    id projectId name kind version tier { tier name memoryMib cpus storageMib } state
    operation { kind phase progressPercent startedAt } error { code } hostname port externalHost externalPort
    credentials { key value mode } viewerActions createdAt updatedAt
    events(first: 5) { nodes { cursor previousState state message actor } } } } }";

#[tokio::test]
async fn a_provisioned_service_is_pending_and_shows_all_it_is() {
    let server = Server::start().await;
    let input = json!({"projectId": "demo", "kind": "POSTGRESQL", "name": "orders"});
    let data = server.data(&demo(), PROVISION, json!({"input": input})).await;
    let mut service = data["provisionService"]["service"].clone();
    let mut take = |pointer: &str| service.pointer_mut(pointer).unwrap().take();

    let id = take("/id");
    let suffix = &id.as_str().unwrap()[28..];
    assert_eq!(take("/hostname"), format!("orders-{suffix}"));
    let created = take("/createdAt");
    assert!(created.as_str().unwrap().parse::<jiff::Timestamp>().is_ok() && created.as_str().unwrap().ends_with('Z'));
    assert_eq!(take("/updatedAt"), created);
    assert_eq!(take("/operation/startedAt"), created);
    assert!(take("/events/nodes/0/cursor").is_string());
    // User and database are no secrets; that they are the real ones, the reveal shows.
    let mut credentials = take("/credentials");
    let name = |index: usize| credentials[index]["value"].as_str().unwrap().to_owned();
    let (host, user, database) = (name(1), name(3), name(5));
    assert!(user.starts_with("user_") && database.starts_with("db_"), "{credentials}");
    let plain = |key: &str, value: &str| json!({"key": key, "value": value, "mode": "PLAIN"});
    let masked = |key: &str, value: &str| json!({"key": key, "value": value, "mode": "MASKED"});
    let shown = json!([
        masked("DATABASE_URL", &format!("postgresql://{user}:••••••••@{host}:5432/{database}")),
        plain("PGHOST", &format!("orders-{suffix}")),
        plain("PGPORT", "5432"),
        plain("PGUSER", &user),
        masked("PGPASSWORD", "••••••••"),
        plain("PGDATABASE", &database),
    ]);
    assert_eq!(credentials.take(), shown);
    let expected = json!({
        "id": null, "projectId": "demo", "name": "orders", "kind": "POSTGRESQL", "version": "17",
        "tier": {"tier": "DEV", "name": "Dev", "memoryMib": 256, "cpus": 0.5, "storageMib": 1024},
        "state": "PENDING",
        "operation": {"kind": "PROVISION", "phase": "QUEUED", "progressPercent": null, "startedAt": null},
        "error": null, "hostname": null, "port": 5432, "externalHost": null, "externalPort": null,
        "credentials": null,
        "viewerActions": ["DESTROY", "REVEAL_CREDENTIALS"], "createdAt": null, "updatedAt": null,
        "events": {"nodes": [{"cursor": null, "previousState": null, "state": "PENDING", "actor": "ada",
            "message": "orders was accepted and waits to be provisioned."}]},
    });
    assert_eq!(service, expected);

    let read = "query($id: ID!) { service(id: $id) { name } node(id: $id) { __typename id ... on Service { port } } }";
    let data = server.data(&demo(), read, json!({"id": id})).await;
    let node = json!({"__typename": "Service", "id": id, "port": 5432});
    assert_eq!(data, json!({"service": {"name": "orders"}, "node": node}));
}

#[tokio::test]
async fn the_catalog_lists_what_is_offered_and_what_will_be() {
    let server = Server::start().await;
    let query = "{ serviceCatalog { kind name availability versions defaultVersion tiers { tier memoryMib cpus storageMib } resizesLive endpoints { name protocol port } abilities credentialKeys }
        available: serviceCatalog(availability: AVAILABLE) { kind } catalogEntry(kind: QDRANT) { name endpoints { name } abilities versions tiers { tier } defaultVersion } }";
    let data = server.data(&demo(), query, json!({})).await;
    let kinds: Vec<_> = data["serviceCatalog"].as_array().unwrap().iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(
        json!(kinds),
        json!(["POSTGRESQL", "REDIS", "MYSQL", "MONGODB", "QDRANT", "OBJECT_STORAGE", "MINIO", "MAILPIT"])
    );
    let available = ["POSTGRESQL", "REDIS", "MYSQL", "MONGODB", "OBJECT_STORAGE", "MINIO", "MAILPIT"]
        .map(|kind| json!({"kind": kind}));
    assert_eq!(data["available"], json!(available));
    assert_eq!(
        data["catalogEntry"],
        json!({"name": "Qdrant", "endpoints": [], "abilities": [], "versions": [], "tiers": [], "defaultVersion": null})
    );
    let tier =
        |tier, memory, cpus, storage| json!({"tier": tier, "memoryMib": memory, "cpus": cpus, "storageMib": storage});
    let redis = json!({
        "kind": "REDIS", "name": "Redis", "availability": "AVAILABLE", "versions": ["8", "7", "6"], "defaultVersion": "7",
        "tiers": [tier("DEV", 128, 0.5, 512), tier("STANDARD", 256, 1.0, 2048), tier("PERFORMANCE", 512, 2.0, 10240)],
        "resizesLive": true, "endpoints": [{"name": "redis", "protocol": "redis", "port": 6379}],
        "abilities": ["LIVE_ROTATION", "LIVE_RESIZE", "STORAGE_GUARD", "UPGRADE", "BACKUP", "EXPORT", "KEYS"], "credentialKeys": ["REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"],
    });
    assert_eq!(data["serviceCatalog"][1], redis);
}

#[tokio::test]
async fn the_viewer_is_who_the_token_says() {
    let server = Server::start().await;
    let exp = in_seconds(60);
    let query = "{ viewer { subject projects permissions expiresAt } }";
    let claims = json!({"sub": "grace", "exp": exp, "projects": ["*"], "permissions": ["project:settings", "x"]});
    let data = server.data(&sign(&claims), query, json!({})).await;
    let expires_at = jiff::Timestamp::from_second(exp).unwrap().to_string();
    let permissions = json!(["project:settings", "x"]);
    let viewer = json!({"subject": "grace", "projects": ["*"], "permissions": permissions, "expiresAt": expires_at});
    assert_eq!(data["viewer"], viewer);
    // What a token does not say is not granted.
    let data = server.data(&sign(&json!({"sub": "grace", "exp": exp})), query, json!({})).await;
    assert_eq!((&data["viewer"]["projects"], &data["viewer"]["permissions"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn pages_of_services_go_forwards_and_backwards() {
    let server = Server::start().await;
    let token = demo();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(server.provision(&token, json!({"projectId": "demo", "kind": "REDIS"})).await);
    }
    let query = "query($first: Int, $after: String, $last: Int, $before: String) {
        services(projectId: \"demo\", first: $first, after: $after, last: $last, before: $before) {
            totalCount nodes { id } edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";
    let page = async |arguments: Value| {
        let services = server.data(&token, query, arguments).await["services"].clone();
        assert_eq!(services["totalCount"], 5);
        let edges = services["edges"].as_array().unwrap();
        let nodes: Vec<&Value> = edges.iter().map(|edge| &edge["node"]).collect();
        assert_eq!(json!(nodes), services["nodes"]);
        let info = &services["pageInfo"];
        assert_eq!(info["startCursor"], edges.first().map_or(Value::Null, |edge| edge["cursor"].clone()));
        assert_eq!(info["endCursor"], edges.last().map_or(Value::Null, |edge| edge["cursor"].clone()));
        let places: Vec<usize> =
            nodes.iter().map(|node| ids.iter().position(|id| node["id"] == **id).unwrap()).collect();
        (places, info["hasPreviousPage"].as_bool().unwrap(), info["hasNextPage"].as_bool().unwrap(), info.clone())
    };

    let (places, previous, next, info) = page(json!({"first": 2})).await;
    assert_eq!((places, previous, next), (vec![0, 1], false, true));
    let (places, previous, next, info) = page(json!({"first": 2, "after": info["endCursor"]})).await;
    assert_eq!((places, previous, next), (vec![2, 3], true, true));
    let (places, previous, next, last) = page(json!({"first": 2, "after": info["endCursor"]})).await;
    assert_eq!((places, previous, next), (vec![4], true, false));
    let (places, previous, next, _) = page(json!({"first": 2, "after": last["endCursor"]})).await;
    assert_eq!((places, previous, next), (vec![], true, false));

    let (places, previous, next, info) = page(json!({"last": 2})).await;
    assert_eq!((places, previous, next), (vec![3, 4], true, false));
    let (places, previous, next, info) = page(json!({"last": 2, "before": info["startCursor"]})).await;
    assert_eq!((places, previous, next), (vec![1, 2], true, true));
    let (places, previous, next, info) = page(json!({"last": 2, "before": info["startCursor"]})).await;
    assert_eq!((places, previous, next), (vec![0], false, true));
    let (places, previous, next, _) = page(json!({"last": 2, "before": info["startCursor"]})).await;
    assert_eq!((places, previous, next), (vec![], false, true));

    let (places, ..) = page(json!({})).await;
    assert_eq!(places, vec![0, 1, 2, 3, 4]);
    let (places, ..) = page(json!({"first": null, "last": null, "after": null, "before": null})).await;
    assert_eq!(places.len(), 5);
}

#[tokio::test]
async fn services_are_filtered_and_destroyed_ones_hidden_unless_asked_for() {
    let server = Server::start().await;
    let token = demo();
    let redis = server.provision(&token, json!({"projectId": "demo", "kind": "REDIS"})).await;
    let postgresql = server.provision(&token, json!({"projectId": "demo", "kind": "POSTGRESQL"})).await;
    let gone = server.provision(&token, json!({"projectId": "demo", "kind": "REDIS"})).await;
    server.settle(&redis, ServiceState::Running).await;
    server.settle(&gone, ServiceState::Destroyed).await;
    let query =
        "query($filter: ServiceFilter) { services(projectId: \"demo\", filter: $filter) { totalCount nodes { id } } }";
    for (filter, expected) in [
        (json!(null), vec![&redis, &postgresql]),
        (json!({}), vec![&redis, &postgresql]),
        (json!({"includeDestroyed": true}), vec![&redis, &postgresql, &gone]),
        (json!({"includeDestroyed": null}), vec![&redis, &postgresql]),
        (json!({"kinds": ["REDIS"]}), vec![&redis]),
        (json!({"kinds": "POSTGRESQL"}), vec![&postgresql]),
        (json!({"states": ["RUNNING"], "kinds": null}), vec![&redis]),
        (json!({"states": ["PENDING"], "kinds": ["REDIS"]}), vec![]),
    ] {
        let services = &server.data(&token, query, json!({"filter": filter})).await["services"];
        let ids: Vec<_> =
            services["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{filter}");
        assert_eq!(services["totalCount"], expected.len(), "{filter}");
    }
    // What lies at the cursor is not on a page before this one when the filter leaves it out.
    let query_after =
        "query($after: String) { services(projectId: \"demo\", after: $after, filter: {kinds: [POSTGRESQL]}) {
        nodes { id } pageInfo { hasPreviousPage } } }";
    let edges = "{ services(projectId: \"demo\", first: 1) { edges { cursor } } }";
    let first = server.data(&token, edges, json!({})).await["services"]["edges"][0]["cursor"].clone();
    let services = server.data(&token, query_after, json!({"after": first})).await["services"].clone();
    assert_eq!(services, json!({"nodes": [{"id": postgresql}], "pageInfo": {"hasPreviousPage": false}}));
    let body = server.run(&token, query, json!({"filter": {"states": ["GONE"]}})).await;
    assert_eq!(code_and_field(&body), ("BAD_USER_INPUT", "states"));
}

#[tokio::test]
async fn pages_of_events_go_both_ways_with_the_cursors_of_subscriptions() {
    let server = Server::start().await;
    let token = demo();
    let id = server.provision(&token, json!({"projectId": "demo", "kind": "REDIS"})).await;
    let other = server.provision(&token, json!({"projectId": "demo", "kind": "REDIS"})).await;
    server.append(&id, 3).await;
    server.append(&other, 1).await;
    let query = "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { service(id: $id) {
        events(first: $first, after: $after, last: $last, before: $before) {
            nodes { cursor serviceId service { name } } edges { cursor node { cursor } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }";
    let page = async |mut arguments: Value| {
        arguments["id"] = json!(id);
        let events = server.data(&token, query, arguments).await["service"]["events"].clone();
        for (node, edge) in events["nodes"].as_array().unwrap().iter().zip(events["edges"].as_array().unwrap()) {
            assert_eq!((&node["serviceId"], &node["service"]["name"]), (&json!(id), &json!("redis")));
            assert_eq!((&edge["cursor"], &edge["node"]["cursor"]), (&node["cursor"], &node["cursor"]));
        }
        let cursors: Vec<String> = events["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["cursor"].as_str().unwrap().to_owned())
            .collect();
        (cursors, events["pageInfo"]["hasPreviousPage"] == true, events["pageInfo"]["hasNextPage"] == true)
    };
    let (all, previous, next) = page(json!({})).await;
    assert_eq!((all.len(), previous, next), (4, false, false));
    assert!(all.is_sorted());
    assert_eq!(page(json!({"first": 2})).await, (all[..2].to_vec(), false, true));
    assert_eq!(page(json!({"first": 2, "after": all[1]})).await, (all[2..].to_vec(), true, false));
    assert_eq!(page(json!({"last": 1, "before": all[3]})).await, (all[2..3].to_vec(), true, true));
    assert_eq!(page(json!({"last": 9})).await, (all.clone(), false, false));
}

#[tokio::test]
async fn an_idempotency_key_gives_the_first_service_again_and_refuses_other_attributes() {
    let server = Server::start().await;
    let token = demo();
    let input = json!({"projectId": "demo", "kind": "REDIS", "idempotencyKey": "deploy-7"});
    let first = server.provision(&token, input.clone()).await;
    server.settle(&first, ServiceState::Running).await;
    let written = server.written("demo").await;
    assert_eq!(server.provision(&token, input.clone()).await, first);
    // The catalog's defaults are attributes like any other.
    let mut spelled = input.clone();
    spelled["version"] = json!("7");
    spelled["tier"] = json!("DEV");
    assert_eq!(server.provision(&token, spelled).await, first);
    for (key, value) in [("kind", "POSTGRESQL"), ("tier", "STANDARD"), ("version", "6"), ("name", "other")] {
        let mut changed = input.clone();
        changed[key] = json!(value);
        let body = server.run(&token, PROVISION, json!({"input": changed})).await;
        assert_eq!(code(&body), "CONFLICT", "{key}: {body}");
    }
    assert_eq!(server.written("demo").await, written);

    // A row of an earlier server, which wrote the default of its time into the fingerprint, and a version that is no longer
    // offered: what was asked for is the same as ever.
    let file = server.directory.path().join("store.db");
    let mut database = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    let old: String = Sha256::digest("REDIS\nDEV\n5\n").iter().map(|byte| format!("{byte:02x}")).collect();
    let written_then = "UPDATE services SET idempotency_fingerprint = $1, spec = json_set(spec, '$.version', '5')";
    diesel::sql_query(written_then).bind::<Text, _>(old).execute(&mut database).unwrap();
    assert_eq!(server.provision(&token, input.clone()).await, first);
    let mut spelled = input.clone();
    spelled["version"] = json!("5");
    assert_eq!(server.provision(&token, spelled).await, first);
    spelled = input.clone();
    spelled["version"] = json!("7");
    assert_eq!(code(&server.run(&token, PROVISION, json!({"input": spelled})).await), "CONFLICT");

    let everywhere = crate::harness::token(&["*"], BOTH);
    let elsewhere = json!({"projectId": "other", "kind": "REDIS", "idempotencyKey": "deploy-7"});
    assert_ne!(server.provision(&everywhere, elsewhere).await, first);
}

#[tokio::test]
async fn a_name_is_taken_until_its_service_is_destroyed() {
    let server = Server::start().await;
    let token = demo();
    let input = json!({"projectId": "demo", "kind": "REDIS", "name": "cache"});
    let id = server.provision(&token, input.clone()).await;
    let before = server.written("demo").await;
    let body = server.run(&token, PROVISION, json!({"input": input})).await;
    assert_eq!(code(&body), "CONFLICT");
    assert!(body["errors"][0]["message"].as_str().unwrap().contains("cache"));
    assert_eq!(server.written("demo").await, before);
    server.settle(&id, ServiceState::Destroyed).await;
    assert_ne!(server.provision(&token, input).await, id);
}

#[tokio::test]
async fn actions_go_on_from_where_the_service_is() {
    let server = Server::start().await;
    let token = demo();
    let id = server.provision(&token, json!({"projectId": "demo", "kind": "REDIS"})).await;
    let act = async |field: &str| {
        let query = format!(
            "mutation($id: ID!) {{ {field}(input: {{id: $id}}) {{ service {{ state operation {{ kind phase }} }} }} }}"
        );
        server.run(&token, &query, json!({"id": id})).await
    };
    let body = act("startService").await;
    let extensions = &body["errors"][0]["extensions"];
    assert_eq!(code(&body), "INVALID_STATE");
    assert_eq!((&extensions["state"], &extensions["allowedStates"]), (&json!("PENDING"), &json!(["STOPPED", "ERROR"])));

    server.settle(&id, ServiceState::Running).await;
    let body = act("stopService").await;
    let stopping = json!({"state": "RUNNING", "operation": {"kind": "STOP", "phase": "QUEUED"}});
    assert_eq!(body["data"]["stopService"]["service"], stopping);
    // Once more is the same, and no second event.
    let written = server.written("demo").await;
    assert_eq!(act("stopService").await, body);
    assert_eq!(server.written("demo").await, written);

    server.settle(&id, ServiceState::Stopped).await;
    let body = act("startService").await;
    assert_eq!(body["data"]["startService"]["service"]["operation"]["kind"], "START");
    server.settle(&id, ServiceState::Running).await;
    let body = act("restartService").await;
    assert_eq!(body["data"]["restartService"]["service"]["operation"]["kind"], "RESTART");
    let body = act("destroyService").await;
    assert_eq!(body["data"]["destroyService"]["service"]["state"], "DESTROYING");
    assert_eq!(code(&act("revealCredentials").await), "INVALID_STATE");
    server.settle(&id, ServiceState::Destroyed).await;
    let body = act("destroyService").await;
    assert_eq!((code(&body), &body["errors"][0]["extensions"]["state"]), ("INVALID_STATE", &json!("DESTROYED")));
}

#[tokio::test]
async fn viewer_actions_are_what_would_be_accepted() {
    let server = Server::start().await;
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    let deleting = ["DESTROY", "RESTORE"];
    let settings: Vec<_> =
        ServiceAction::ALL.iter().map(|action| action.as_str()).filter(|action| !deleting.contains(action)).collect();
    let all = ServiceAction::ALL.iter().map(|action| action.as_str()).collect::<Vec<_>>();
    let running = [
        "STOP",
        "RESTART",
        "DESTROY",
        "REVEAL_CREDENTIALS",
        "ROTATE_CREDENTIALS",
        "RESIZE",
        "REPAIR",
        "UPGRADE",
        "UPDATE_IMAGE",
        "BROWSE_KEYS",
        "CREATE_BACKUP",
        "RESTORE",
    ];
    use ServiceState as S;
    for (state, expected) in [
        (S::Pending, vec!["DESTROY", "REVEAL_CREDENTIALS"]),
        (S::Provisioning, vec!["STOP", "DESTROY", "REVEAL_CREDENTIALS"]),
        (S::Running, running.to_vec()),
        (S::Stopped, vec!["START", "DESTROY", "REVEAL_CREDENTIALS", "RESIZE"]),
        (
            S::Error,
            vec![
                "START",
                "STOP",
                "RESTART",
                "DESTROY",
                "REVEAL_CREDENTIALS",
                "RESIZE",
                "REPAIR",
                "UPDATE_IMAGE",
                "RESTORE",
            ],
        ),
        (S::Destroying, vec![]),
        (S::Destroyed, vec![]),
    ] {
        server.settle(&id, state).await;
        for (permissions, filter) in [
            (BOTH, all.clone()),
            (&["project:settings"][..], settings.clone()),
            (&["project:delete"][..], deleting.to_vec()),
            (&[][..], vec![]),
        ] {
            let token = token(&["demo"], permissions);
            let data =
                server.data(&token, "query($id: ID!) { service(id: $id) { viewerActions } }", json!({"id": id})).await;
            let expected: Vec<_> = expected.iter().filter(|action| filter.contains(action)).collect();
            assert_eq!(data["service"]["viewerActions"], json!(expected), "{state} with {permissions:?}");
        }
    }
}

#[tokio::test]
async fn what_changes_a_version_is_offered_where_there_is_one_to_come_to() {
    let server = Server::start().await;
    let input = json!({"projectId": "demo", "kind": "REDIS", "version": "6"});
    let id = server.provision(&demo(), input).await;
    server.settle(&id, ServiceState::Running).await;
    let look = async || {
        let query = "query($id: ID!) { service(id: $id) { upgradesTo replaced { version } viewerActions } }";
        let service = server.data(&demo(), query, json!({"id": id})).await["service"].clone();
        let offered = |action: &str| service["viewerActions"].as_array().unwrap().contains(&json!(action));
        let offered = ["UPGRADE", "REVERT", "UPDATE_IMAGE", "RESIZE", "STOP"].map(offered);
        (service["upgradesTo"].clone(), service["replaced"]["version"].clone(), offered)
    };
    assert_eq!(look().await, (json!(["8", "7"]), Value::Null, [true, false, true, true, true]));
    server.keep_another(&id).await;
    assert_eq!(look().await, (json!(["8", "7"]), json!("6"), [true, true, true, true, true]));

    let upgrade = async |version: &str| {
        let mutation = "mutation($input: UpgradeServiceInput!) { upgradeService(input: $input) {
            service { operation { kind phase } } event { message } } }";
        server.run(&demo(), mutation, json!({"input": {"id": id, "version": version}})).await
    };
    for (version, refused) in [("9", "BAD_USER_INPUT"), ("6", "CONFLICT"), ("", "BAD_USER_INPUT")] {
        let body = upgrade(version).await;
        assert_eq!((code(&body), &body["errors"][0]["extensions"]["field"]), (refused, &json!("version")));
    }
    let asked = upgrade("7").await["data"]["upgradeService"].clone();
    assert_eq!(asked["service"]["operation"], json!({"kind": "UPGRADE", "phase": "QUEUED"}));
    assert_eq!(asked["event"]["message"], "redis is to be brought from version 6 to 7.");
    assert!(upgrade("7").await["data"]["upgradeService"]["event"].is_null(), "it is on its way");
    assert_eq!(look().await.2, [false, false, false, false, true]);
    for mutation in ["revertService", "updateImage", "rotateCredentials"] {
        let mutation = format!("mutation($id: ID!) {{ {mutation}(input: {{id: $id}}) {{ event {{ message }} }} }}");
        let body = server.run(&demo(), &mutation, json!({"id": id})).await;
        assert_eq!(code(&body), "CONFLICT", "{mutation}: {body}");
    }
    // A stop ends it.
    let stop = "mutation($id: ID!) { stopService(input: {id: $id}) { service { operation { kind } } } }";
    let stopped = server.data(&demo(), stop, json!({"id": id})).await;
    assert_eq!(stopped["stopService"]["service"]["operation"]["kind"], "STOP");
    server.settle(&id, ServiceState::Stopped).await;
    assert_eq!(look().await.2, [false, true, false, true, false]);

    let revert =
        "mutation($id: ID!) { revertService(input: {id: $id}) { service { version state } event { message } } }";
    let reverted = server.data(&demo(), revert, json!({"id": id})).await["revertService"].clone();
    assert_eq!(reverted["service"], json!({"version": "6", "state": "STOPPED"}));
    let message = reverted["event"]["message"].as_str().unwrap();
    assert!(message.contains("what was written since can't be told"), "{message}");
}

#[tokio::test]
async fn a_reveal_shows_the_credentials_once_and_is_an_event() {
    let server = Server::start().await;
    let token = demo();
    let id = server.provision(&token, json!({"projectId": "demo", "kind": "POSTGRESQL"})).await;
    let reveal = "mutation($id: ID!) { revealCredentials(input: {id: $id}) {
        credentials { key value mode } service { credentials { value mode } } } }";
    let data = server.data(&token, reveal, json!({"id": id})).await;
    let revealed = &data["revealCredentials"];
    let value = |index: usize| revealed["credentials"][index]["value"].as_str().unwrap();
    let (url, host, port, user, password, database) = (value(0), value(1), value(2), value(3), value(4), value(5));
    assert_eq!(url, format!("postgresql://{user}:{password}@{host}:{port}/{database}"));
    assert_eq!(host, server.service(&id).await.address.hostname);
    assert!(password.len() >= 32);
    for credential in revealed["credentials"].as_array().unwrap() {
        assert_eq!(credential["mode"], "REVEALED");
    }
    let beside = &revealed["service"]["credentials"];
    assert_eq!(beside[4], json!({"value": "••••••••", "mode": "MASKED"}));
    assert_eq!(beside[3], json!({"value": user, "mode": "PLAIN"}));
    assert!(!beside.to_string().contains(password), "{beside}");
    let events = server.events(&id).await;
    let event = ("The credentials of postgresql were revealed.".to_owned(), Some("ada".to_owned()));
    assert_eq!(events.last(), Some(&event));
    assert!(!format!("{events:?}").contains(password));
    // The same password for as long as the service lives.
    assert_eq!(server.data(&token, reveal, json!({"id": id})).await, data);
}

#[tokio::test]
async fn a_rotation_is_accepted_once_while_the_service_runs_and_reveal_shows_what_is_confirmed() {
    let server = Server::start().await;
    let token = demo();
    let id = server.provision(&token, json!({"projectId": "demo", "kind": "REDIS"})).await;
    let rotate = async || {
        let query =
            "mutation($id: ID!) { rotateCredentials(input: {id: $id}) { service { state operation { kind phase } } } }";
        server.run(&token, query, json!({"id": id})).await
    };
    let reveal = async || {
        let query = "mutation($id: ID!) { revealCredentials(input: {id: $id}) { credentials { key value } } }";
        server.data(&token, query, json!({"id": id})).await
    };
    let body = rotate().await;
    assert_eq!(
        (code(&body), &body["errors"][0]["extensions"]["allowedStates"]),
        ("INVALID_STATE", &json!(["RUNNING"]))
    );

    server.settle(&id, ServiceState::Running).await;
    let (before, id_) = (reveal().await, id.parse().unwrap());
    let sealed = server.store.sealed_get(id_).await.unwrap();
    let body = rotate().await;
    let rotating = json!({"state": "RUNNING", "operation": {"kind": "ROTATE_CREDENTIALS", "phase": "QUEUED"}});
    assert_eq!(body["data"]["rotateCredentials"]["service"], rotating);
    let event = ("A change of the password of redis was requested.".to_owned(), Some("ada".to_owned()));
    assert_eq!(server.events(&id).await.last(), Some(&event));
    let pending = server.store.sealed_get(id_).await.unwrap();
    assert_ne!(pending, sealed, "the password to be is stored");
    let written = server.written("demo").await;
    assert_eq!(rotate().await, body, "once more is the same");
    assert_eq!(server.written("demo").await, written);
    assert_eq!(server.store.sealed_get(id_).await.unwrap(), pending);
    assert_eq!(reveal().await, before, "no server has taken it yet");

    // What was asked for before its end is not under way any more.
    let destroy = "mutation($id: ID!) { destroyService(input: {id: $id}) { service { state } } }";
    server.data(&token, destroy, json!({"id": id})).await;
    let reveal = "mutation($id: ID!) { revealCredentials(input: {id: $id}) { service { state } } }";
    for state in ["DESTROYING", "DESTROYED"] {
        let written = server.written("demo").await;
        for body in [rotate().await, server.run(&token, reveal, json!({"id": id})).await] {
            assert_eq!((code(&body), &body["errors"][0]["extensions"]["state"]), ("INVALID_STATE", &json!(state)));
        }
        assert_eq!(server.written("demo").await, written);
        if state == "DESTROYING" {
            server.settle(&id, ServiceState::Destroyed).await;
        }
    }
}

#[tokio::test]
async fn a_published_service_says_where_once_the_engine_does() {
    let publishing = Publishing { address: IpAddr::V4(Ipv4Addr::LOCALHOST), ports: 20000..=20001 };
    let server = Server::start_with(SocketLimits::default(), Some(publishing), READY).await;
    let token = demo();
    let id = server.provision(&token, json!({"projectId": "demo", "kind": "REDIS"})).await;
    let shown = async || {
        let query = "query($id: ID!) { service(id: $id) { externalHost externalPort } }";
        server.data(&token, query, json!({"id": id})).await["service"].clone()
    };
    assert_eq!(shown().await, json!({"externalHost": null, "externalPort": null}));
    let before = server.service(&id).await;
    let meant = before.address.published.unwrap();
    assert!((20000..=20001).contains(&meant.port));
    let mut after = before.clone();
    after.evidence.published = Some(meant);
    let write = Write::new(Guard::Revision(&before), jiff::Timestamp::now());
    server.store.commit(Write { service: Some(&after), ..write }).await.unwrap();
    assert_eq!(shown().await, json!({"externalHost": "127.0.0.1", "externalPort": meant.port}));
}

#[tokio::test]
async fn a_project_whose_network_would_be_the_hosts_gets_no_services() {
    let server = Server::start().await;
    let token = token(&["host"], BOTH);
    let input = json!({"projectId": "host", "kind": "REDIS"});
    let answer = server.run(&token, PROVISION, json!({"input": input})).await;
    assert_eq!(code_and_field(&answer), ("BAD_USER_INPUT", "projectId"), "{answer}");
    assert_eq!(server.written("host").await, (0, 0));
}
