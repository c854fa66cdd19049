//! What frontends need beside the services themselves: what was changed and in which order, limits, projects, lists as
//! people look at them.

use project_services::domain::service::ServiceState;
use serde_json::{Value, json};

use crate::harness::{BOTH, Limits, Server, code_and_field, demo, token};

const PROVISION: &str = "mutation($input: ProvisionServiceInput!) { provisionService(input: $input) { service { id revision } \
     event { cursor revision state createdService { cursor node { id } } destroyedServiceId } } }";

#[tokio::test]
async fn a_mutation_tells_the_event_that_it_wrote_and_none_where_it_wrote_none() {
    let server = Server::start().await;
    let token = demo();
    let input = json!({"input": {"projectId": "demo", "kind": "REDIS", "idempotencyKey": "once"}});
    let first = server.data(&token, PROVISION, input.clone()).await["provisionService"].clone();
    let id = first["service"]["id"].as_str().unwrap();
    assert_eq!(first["event"]["createdService"]["node"]["id"], id);
    assert_eq!((&first["event"]["state"], &first["event"]["revision"]), (&json!("PENDING"), &json!(1)));
    let again = server.data(&token, PROVISION, input).await["provisionService"].clone();
    assert_eq!((&again["service"]["id"], &again["event"]), (&json!(id), &Value::Null));

    server.settle(id, ServiceState::Running).await;
    let events = "query($id: ID!) { service(id: $id) { revision events(last: 1) { nodes { cursor revision } } } }";
    for (action, state) in [
        ("revealCredentials", ServiceState::Running),
        ("stopService", ServiceState::Stopped),
        ("startService", ServiceState::Running),
        ("restartService", ServiceState::Running),
        ("rotateCredentials", ServiceState::Running),
        ("destroyService", ServiceState::Destroyed),
    ] {
        let ask = format!(
            "mutation($id: ID!) {{ {action}(input: {{id: $id}}) {{ service {{ revision }} \
             event {{ cursor revision actor createdService {{ cursor }} destroyedServiceId }} }} }}"
        );
        let told = server.data(&token, &ask, json!({"id": id})).await[action].clone();
        let service = server.data(&token, events, json!({"id": id})).await["service"].clone();
        let newest = &service["events"]["nodes"][0];
        assert_eq!((&told["event"]["cursor"], &told["event"]["actor"]), (&newest["cursor"], &json!("ada")), "{action}");
        assert_eq!((&told["service"]["revision"], &newest["revision"]), (&service["revision"], &service["revision"]));
        assert_eq!(
            (&told["event"]["createdService"], &told["event"]["destroyedServiceId"]),
            (&Value::Null, &Value::Null)
        );
        if action == "stopService" {
            let repeated = server.data(&token, &ask, json!({"id": id})).await[action].clone();
            assert_eq!(repeated, json!({"service": told["service"], "event": null}));
        }
        server.settle(id, state).await;
    }
    let query = "query($id: ID!) { service(id: $id) { events(last: 1) { nodes { destroyedServiceId } } } }";
    let data = server.data(&token, query, json!({"id": id})).await;
    assert_eq!(data["service"]["events"]["nodes"][0]["destroyedServiceId"], id);
}

#[tokio::test]
async fn a_project_has_its_services_events_and_usage() {
    let server = Server::start_limited(Limits { services: 3, ..Limits::default() }).await;
    let token = demo();
    for name in ["orders", "cache"] {
        server.provision(&token, json!({"projectId": "demo", "kind": "REDIS", "name": name})).await;
    }
    let query = "{ project(projectId: \"demo\") { id projectId usage { services servicesMaximum } \
         services(orderBy: NAME_ASC) { nodes { name } } \
         events(last: 2) { nodes { message } pageInfo { hasPreviousPage hasNextPage } } } limits { servicesPerProject } }";
    let data = server.data(&token, query, json!({})).await;
    assert_eq!(data["limits"]["servicesPerProject"], 3);
    assert_eq!(data["project"]["usage"], json!({"services": 2, "servicesMaximum": 3}));
    assert_eq!(data["project"]["services"]["nodes"], json!([{"name": "cache"}, {"name": "orders"}]));
    let messages =
        ["orders", "cache"].map(|name| json!({"message": format!("{name} was accepted and waits to be provisioned.")}));
    assert_eq!(data["project"]["events"]["nodes"], json!(messages));
    assert_eq!(data["project"]["events"]["pageInfo"], json!({"hasPreviousPage": false, "hasNextPage": false}));

    // Each object is found again by its id.
    let catalog = server.data(&token, "{ serviceCatalog { id } }", json!({})).await;
    for (id, kind) in [(&data["project"]["id"], "Project"), (&catalog["serviceCatalog"][0]["id"], "CatalogEntry")] {
        let node = server.data(&token, "query($id: ID!) { node(id: $id) { __typename id } }", json!({"id": id})).await;
        assert_eq!(node["node"], json!({"__typename": kind, "id": id}));
    }
    let query = "{ project(projectId: \"other\") { id } node(id: \"project:other\") { id } }";
    assert_eq!(server.data(&token, query, json!({})).await, json!({"project": null, "node": null}));
}

#[tokio::test]
async fn lists_are_searched_and_ordered_and_their_filters_bounded() {
    let server = Server::start().await;
    let viewer = token(&["demo"], BOTH);
    for name in ["orders", "cache", "old-orders"] {
        server.provision(&viewer, json!({"projectId": "demo", "kind": "REDIS", "name": name})).await;
    }
    let query = "query($filter: ServiceFilter, $orderBy: ServiceOrder, $after: String) { services(projectId: \"demo\", \
         filter: $filter, orderBy: $orderBy, first: 1, after: $after) { nodes { name } totalCount pageInfo { endCursor hasNextPage } } }";
    let mut names = Vec::new();
    let mut after = Value::Null;
    loop {
        let variables = json!({"filter": {"search": " ORDERS"}, "orderBy": "NAME_DESC", "after": after});
        let page = server.data(&viewer, query, variables).await["services"].clone();
        assert_eq!(page["totalCount"], 2);
        names.push(page["nodes"][0]["name"].as_str().unwrap().to_owned());
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(names, ["orders", "old-orders"]);

    for (filter, field) in [
        (json!({"states": vec!["RUNNING"; 101]}), "states"),
        (json!({"states": vec!["RUNNING"; 33_000]}), "states"),
        (json!({"kinds": vec!["REDIS"; 101]}), "kinds"),
        (json!({"search": "x".repeat(41)}), "search"),
        (json!({"search": "a\u{0}"}), "search"),
    ] {
        let body = server.run(&viewer, query, json!({"filter": filter})).await;
        assert_eq!(code_and_field(&body), ("BAD_USER_INPUT", field));
    }
    server.data(&viewer, query, json!({"filter": {"states": vec!["RUNNING"; 100]}})).await;
}

#[tokio::test]
async fn no_text_holds_a_nul() {
    let server = Server::start().await;
    let token = demo();
    for (query, variables, field) in [
        ("query($p: ID!) { services(projectId: $p) { totalCount } }", json!({"p": "demo\u{0}"}), "p"),
        ("{ services(projectId: \"demo\\u0000\") { totalCount } }", json!({}), "projectId"),
        ("{ services(projectId: \"demo\", filter: {search: \"\\u0000\"}) { totalCount } }", json!({}), "search"),
        ("query($c: String = \"\\u0000\") { services(projectId: \"demo\", after: $c) { totalCount } }", json!({}), "c"),
        ("{ ...f } fragment f on Query { node(id: \"\\u0000\") { id } }", json!({}), "id"),
        (PROVISION, json!({"input": {"projectId": "demo", "kind": "REDIS", "version": "7\u{0}"}}), "version"),
    ] {
        let body = server.run(&token, query, variables).await;
        assert_eq!(code_and_field(&body), ("BAD_USER_INPUT", field), "{query}: {body}");
    }
    assert_eq!(server.written("demo").await, (0, 0));
}

#[tokio::test]
async fn a_conflict_names_what_it_is_about() {
    let server = Server::start().await;
    let token = demo();
    let input = json!({"projectId": "demo", "kind": "REDIS", "name": "orders", "idempotencyKey": "once"});
    server.provision(&token, input.clone()).await;
    for (changes, field) in
        [(json!({"idempotencyKey": "twice"}), "name"), (json!({"tier": "STANDARD"}), "idempotencyKey")]
    {
        let mut input = input.clone();
        input.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let body = server.run(&token, PROVISION, json!({"input": input})).await;
        assert_eq!(code_and_field(&body), ("CONFLICT", field));
    }
}

#[tokio::test]
async fn the_codes_of_errors_can_be_asked_for() {
    let server = Server::start().await;
    let query = "{ errorCodes __type(name: \"ErrorCode\") { enumValues { name } } }";
    let data = server.data(&demo(), query, json!({})).await;
    let listed: Vec<_> = data["__type"]["enumValues"].as_array().unwrap().iter().map(|value| &value["name"]).collect();
    assert_eq!(json!(listed), data["errorCodes"]);
    assert!(listed.contains(&&json!("CURSOR_EXPIRED")));
}
