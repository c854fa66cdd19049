//! What each root field needs, and that nobody gets it with less: every field with every kind of token, over the wire.

use std::collections::BTreeSet;

use project_services::domain::id::Cursor;
use project_services::domain::service::ServiceState;
use serde_json::{Value, json};

use crate::harness::{BOTH, Heard, Server, Socket, code, in_seconds, sign, sign_with, token};

/// What a root field needs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Needs {
    /// Any good token.
    Token,
    /// A token that is good for the project.
    Sight,
    /// The same, with this permission.
    Permission(&'static str),
}

const SETTINGS: Needs = Needs::Permission("project:settings");
const DELETE: Needs = Needs::Permission("project:delete");
/// Which is about no project.
const NODES: Needs = Needs::Permission("platform:nodes");

struct Field {
    root: &'static str,
    name: &'static str,
    needs: Needs,
    /// The state in which it works.
    state: ServiceState,
    /// Of an operation on service `ID` in project `PROJECT`; `AFTER` is a cursor before the project's first event.
    document: String,
}

fn table() -> Vec<Field> {
    let field =
        |root, name, needs, state, document: &str| Field { root, name, needs, state, document: document.to_owned() };
    let query = |name, needs, document| field("Query", name, needs, ServiceState::Running, document);
    let action = |name, needs, state| {
        let document = format!("mutation {{ {name}(input: {{id: \"ID\"}}) {{ service {{ id }} }} }}");
        field("Mutation", name, needs, state, &document)
    };
    let provision = "mutation { provisionService(input: {projectId: \"PROJECT\", kind: REDIS}) { service { id } } }";
    let events = "subscription { serviceEvents(projectId: \"PROJECT\", after: \"AFTER\") { cursor } }";
    let changed = "subscription { serviceChanged(id: \"ID\") { id } }";
    let logs = "subscription { serviceLogs(id: \"ID\") { text } }";
    let sql = "mutation { runSql(input: {id: \"ID\", statement: \"TABLE t\"}) { result { rows } } }";
    let scan = "mutation { scanKeys(input: {id: \"ID\"}) { total } }";
    let read = "mutation { readKey(input: {id: \"ID\", keyBase64: \"YQ==\"}) { service { id } } }";
    let resize = "mutation { resizeService(input: {id: \"ID\", tier: STANDARD}) { service { id } } }";
    let upgrade = "mutation { upgradeService(input: {id: \"ID\", version: \"7\"}) { service { id } } }";
    let back_up = "mutation { createBackup(input: {id: \"ID\"}) { backup { id } } }";
    let verify = "mutation { verifyBackup(input: {backupId: \"BACKUP\"}) { backup { id } } }";
    let delete = "mutation { deleteBackup(input: {backupId: \"BACKUP\"}) { backup { id } } }";
    let restore =
        "mutation { restoreService(input: {backupId: \"BACKUP\", into: {newService: {}}}) { service { id } } }";
    let in_place =
        "mutation { restoreService(input: {backupId: \"BACKUP\", into: {inPlace: true}}) { service { id } } }";
    let protect = "mutation { setDeletionProtection(input: {id: \"ID\", enabled: true}) { service { id } } }";
    let expire = "mutation { setExpiry(input: {id: \"ID\", expiresAt: \"2100-01-01T00:00:00Z\"}) { service { id } } }";
    let policy = "mutation { setBackupPolicy(input: {id: \"ID\", schedule: \"0 3 * * *\"}) { service { id } } }";
    let clone = "mutation { cloneService(input: {id: \"ID\"}) { service { id } } }";
    let export = "mutation { exportService(input: {id: \"ID\"}) { path } }";
    let destroy_all = "mutation { destroyProject(input: {projectId: \"PROJECT\", force: true}) { services { id } } }";
    let cordon = |name| format!("mutation {{ {name}(input: {{name: \"local\"}}) {{ node {{ cordoned }} }} }}");
    let metrics = "subscription { serviceMetrics(id: \"ID\") { memoryMib } }";
    vec![
        query("node", Needs::Sight, "{ node(id: \"ID\") { id } }"),
        query("project", Needs::Sight, "{ project(projectId: \"PROJECT\") { usage { services } } }"),
        query("limits", Needs::Token, "{ limits { servicesPerProject } }"),
        query("errorCodes", Needs::Token, "{ errorCodes }"),
        query("viewer", Needs::Token, "{ viewer { subject } }"),
        query("serviceCatalog", Needs::Token, "{ serviceCatalog { kind } }"),
        query("catalogEntry", Needs::Token, "{ catalogEntry(kind: REDIS) { kind } }"),
        query("service", Needs::Sight, "{ service(id: \"ID\") { id } }"),
        query("serviceMetricsHistory", Needs::Sight, "{ serviceMetricsHistory(id: \"ID\") { points { cpuMillis } } }"),
        query("services", Needs::Sight, "{ services(projectId: \"PROJECT\") { totalCount } }"),
        query("backup", Needs::Sight, "{ backup(id: \"BACKUP\") { id } }"),
        query("backups", Needs::Sight, "{ backups(projectId: \"PROJECT\") { totalCount } }"),
        field("Mutation", "provisionService", SETTINGS, ServiceState::Running, provision),
        action("startService", SETTINGS, ServiceState::Stopped),
        action("stopService", SETTINGS, ServiceState::Running),
        action("restartService", SETTINGS, ServiceState::Running),
        action("destroyService", DELETE, ServiceState::Running),
        action("revealCredentials", SETTINGS, ServiceState::Running),
        action("rotateCredentials", SETTINGS, ServiceState::Running),
        action("repairService", SETTINGS, ServiceState::Running),
        field("Mutation", "resizeService", SETTINGS, ServiceState::Running, resize),
        field("Mutation", "upgradeService", SETTINGS, ServiceState::Running, upgrade),
        action("revertService", SETTINGS, ServiceState::Running),
        action("updateImage", SETTINGS, ServiceState::Running),
        field("Mutation", "createBackup", SETTINGS, ServiceState::Running, back_up),
        field("Mutation", "verifyBackup", SETTINGS, ServiceState::Running, verify),
        field("Mutation", "deleteBackup", DELETE, ServiceState::Running, delete),
        field("Mutation", "restoreService", SETTINGS, ServiceState::Running, restore),
        field("Mutation", "restoreService", DELETE, ServiceState::Running, in_place),
        field("Mutation", "setDeletionProtection", SETTINGS, ServiceState::Running, protect),
        field("Mutation", "setExpiry", SETTINGS, ServiceState::Running, expire),
        field("Mutation", "setBackupPolicy", SETTINGS, ServiceState::Running, policy),
        field("Mutation", "cloneService", SETTINGS, ServiceState::Running, clone),
        field("Mutation", "exportService", SETTINGS, ServiceState::Running, export),
        field("Mutation", "destroyProject", DELETE, ServiceState::Running, destroy_all),
        field("Mutation", "runSql", SETTINGS, ServiceState::Running, sql),
        field("Mutation", "scanKeys", SETTINGS, ServiceState::Running, scan),
        field("Mutation", "readKey", SETTINGS, ServiceState::Running, read),
        query("nodes", NODES, "{ nodes { name promised { services } } }"),
        field("Mutation", "uncordonNode", NODES, ServiceState::Running, &cordon("uncordonNode")),
        field("Subscription", "serviceEvents", Needs::Sight, ServiceState::Running, events),
        field("Subscription", "serviceChanged", Needs::Sight, ServiceState::Running, changed),
        field("Subscription", "serviceLogs", SETTINGS, ServiceState::Running, logs),
        field("Subscription", "serviceMetrics", Needs::Sight, ServiceState::Running, metrics),
        // After which no service is placed any more.
        field("Mutation", "cordonNode", NODES, ServiceState::Running, &cordon("cordonNode")),
    ]
}

impl Field {
    fn document(&self, id: &str, project: &str) -> String {
        let after = Cursor::encode(&project.parse().unwrap(), 0);
        let backup = id.replace("svc_", "bkp_");
        self.document.replace("AFTER", &after).replace("BACKUP", &backup).replace("ID", id).replace("PROJECT", project)
    }

    /// The first response to the document, or `{"closed": code}` where the connection is refused.
    async fn ask(&self, server: &Server, token: Option<&str>, id: &str, project: &str) -> Value {
        let document = self.document(id, project);
        if self.root != "Subscription" {
            let response = server.post(token, &json!({"query": document})).send().await.unwrap();
            assert_eq!(response.status(), 200, "{}", self.name);
            return response.json().await.unwrap();
        }
        let mut socket = Socket::open(server, "graphql-transport-ws", None).await;
        let payload = token.map(|token| json!({"Authorization": format!("Bearer {token}")}));
        socket.say(json!({"type": "connection_init", "payload": payload})).await;
        if let Heard::Closed(code) = socket.hear().await {
            return json!({"closed": code});
        }
        socket.subscribe("1", &document, json!({})).await;
        socket.next("1").await
    }

    /// A service in project `demo`, in the state in which the field works.
    async fn service(&self, server: &Server) -> String {
        server.instruments.write("a line of the log");
        match self.name {
            "runSql" => server.instruments.answer("a\nfalse 0\n(1)\n\n"),
            "scanKeys" => server.instruments.answer("+OK\r\n:0\r\n*2\r\n$1\r\n0\r\n*0\r\n+OK\r\n"),
            "readKey" => server.instruments.answer("+OK\r\n+none\r\n:-2\r\n$-1\r\n+OK\r\n"),
            _ => {}
        }
        let kind = if self.name == "runSql" { "POSTGRESQL" } else { "REDIS" };
        let version = if self.name == "upgradeService" { Some("6") } else { None };
        let input = json!({"projectId": "demo", "kind": kind, "version": version});
        let id = server.provision(&token(&["demo"], BOTH), input).await;
        server.settle(&id, self.state).await;
        if self.document.contains("BACKUP") {
            server.keep_backup(&id).await;
        }
        if self.name == "revertService" {
            server.keep_another(&id).await;
        }
        id
    }
}

fn is_refused(body: &Value) -> bool {
    body["data"].as_object().is_none_or(|data| data.values().all(Value::is_null))
}

#[tokio::test]
async fn the_table_has_every_root_field() {
    let server = Server::start().await;
    let fields = "fields { name }";
    let query = format!(
        "{{ __schema {{ queryType {{ name {fields} }} mutationType {{ name {fields} }} subscriptionType {{ name {fields} }} }} }}"
    );
    // Introspection needs no token.
    let body: Value = server.post(None, &json!({"query": query})).send().await.unwrap().json().await.unwrap();
    let mut in_schema = BTreeSet::new();
    for root in ["queryType", "mutationType", "subscriptionType"] {
        let root = &body["data"]["__schema"][root];
        for field in root["fields"].as_array().unwrap() {
            in_schema.insert((root["name"].as_str().unwrap().to_owned(), field["name"].as_str().unwrap().to_owned()));
        }
    }
    let in_table: BTreeSet<_> =
        table().into_iter().map(|field| (field.root.to_owned(), field.name.to_owned())).collect();
    assert_eq!(in_table, in_schema);
}

#[tokio::test]
async fn no_root_field_answers_without_a_good_token() {
    let server = Server::start().await;
    let claims = |exp| json!({"sub": "ada", "exp": in_seconds(exp), "projects": ["*"], "permissions": BOTH});
    let expired = sign(&claims(-60));
    let foreign = sign_with(&claims(3600), jsonwebtoken::Algorithm::HS256, "another secret, also long enough");
    for field in table() {
        let id = field.service(&server).await;
        let before = (server.written("demo").await, server.service(&id).await);
        for (kind, token) in [("none", None), ("expired", Some(&expired)), ("of another key", Some(&foreign))] {
            let body = field.ask(&server, token.map(String::as_str), &id, "demo").await;
            if field.root == "Subscription" && token.is_some() {
                assert_eq!(body, json!({"closed": 4403}), "{} with {kind}", field.name);
                continue;
            }
            assert_eq!(code(&body), "UNAUTHENTICATED", "{} with {kind}: {body}", field.name);
            assert!(is_refused(&body), "{} with {kind}: {body}", field.name);
        }
        assert_eq!((server.written("demo").await, server.service(&id).await), before, "{}", field.name);
    }
}

#[tokio::test]
async fn what_is_in_another_project_looks_like_what_is_nowhere() {
    let server = Server::start().await;
    let other = token(&["other"], BOTH);
    let nowhere = "svc_00000000000000000000000000000001";
    for field in table() {
        let id = field.service(&server).await;
        let before = (server.written("demo").await, server.service(&id).await);
        let body = field.ask(&server, Some(&other), &id, "demo").await;
        if field.needs == Needs::Token {
            assert!(body["errors"].is_null(), "{}: {body}", field.name);
            continue;
        }
        assert!(is_refused(&body), "{}: {body}", field.name);
        let absent = field.ask(&server, Some(&other), nowhere, "nowhere").await;
        let told = body.to_string().replace(&id, nowhere).replace("demo", "nowhere");
        assert_eq!(told, absent.to_string(), "{}", field.name);
        assert_eq!((server.written("demo").await, server.service(&id).await), before, "{}", field.name);
    }
}

#[tokio::test]
async fn what_needs_a_permission_is_forbidden_without_it() {
    let server = Server::start().await;
    for field in table() {
        let id = field.service(&server).await;
        let before = server.service(&id).await;
        let others: Vec<_> =
            BOTH.iter().copied().filter(|&permission| field.needs != Needs::Permission(permission)).collect();
        for permissions in [&[][..], &others] {
            let body = field.ask(&server, Some(&token(&["demo"], permissions)), &id, "demo").await;
            let Needs::Permission(permission) = field.needs else {
                assert!(body["errors"].is_null(), "{}: {body}", field.name);
                continue;
            };
            assert_eq!(code(&body), "FORBIDDEN", "{}: {body}", field.name);
            assert_eq!(body["errors"][0]["extensions"]["permission"], permission, "{}: {body}", field.name);
            assert!(body["errors"][0]["message"].as_str().unwrap().contains(permission), "{}: {body}", field.name);
            assert!(is_refused(&body), "{}: {body}", field.name);
        }
        let after = server.service(&id).await;
        assert_eq!((after.wish.power, after.state, after.revision), (before.wish.power, before.state, before.revision));
    }
}

#[tokio::test]
async fn each_root_field_answers_those_who_may() {
    let server = Server::start().await;
    for field in table() {
        let id = field.service(&server).await;
        let permissions = match field.needs {
            Needs::Permission(permission) => vec![permission],
            Needs::Token | Needs::Sight => Vec::new(),
        };
        let body = field.ask(&server, Some(&token(&["demo"], &permissions)), &id, "demo").await;
        assert!(body["errors"].is_null() && !is_refused(&body), "{}: {body}", field.name);
    }
}

#[tokio::test]
async fn a_viewer_who_is_refused_writes_nothing() {
    let server = Server::start().await;
    let id = server.provision(&token(&["demo"], BOTH), json!({"projectId": "demo", "kind": "REDIS"})).await;
    let written = server.written("demo").await;
    let destroy = "mutation($id: ID!) { destroyService(input: {id: $id}) { service { id } } }";
    for (viewer, refusal) in [(token(&["demo"], &[]), "FORBIDDEN"), (token(&["other"], BOTH), "NOT_FOUND")] {
        assert_eq!(code(&server.run(&viewer, destroy, json!({"id": id})).await), refusal);
    }
    assert_eq!(server.written("demo").await, written);
}

#[tokio::test]
async fn the_type_name_of_a_root_needs_no_token() {
    let server = Server::start().await;
    let body: Value =
        server.post(None, &json!({"query": "{ __typename }"})).send().await.unwrap().json().await.unwrap();
    assert_eq!(body, json!({"data": {"__typename": "Query"}}));
}
