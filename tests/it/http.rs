//! GraphQL over HTTP to the letter: methods, media types, statuses, request ids; pages, health.

use std::collections::BTreeSet;

use project_services::http::{Ready, SocketLimits};
use reqwest::header::{self, HeaderName};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{READY, Server, code, code_and_field, demo};

const JSON: &str = "application/json; charset=utf-8";
const RESPONSE: &str = "application/graphql-response+json; charset=utf-8";

fn content_type(response: &Response) -> &str {
    response.headers()[header::CONTENT_TYPE].to_str().unwrap()
}

async fn post(server: &Server, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
    let request = server.client.post(server.url("/graphql")).header(header::CONTENT_TYPE, content_type);
    request.bearer_auth(demo()).body(body).send().await.unwrap()
}

#[tokio::test]
async fn the_client_chooses_the_media_type_and_with_it_the_status() {
    let server = Server::start().await;
    let ok = json!({"query": "{ viewer { subject } }"});
    let partial = json!({"query": "{ viewer { subject } service(id: \"nonsense\") { id } }"});
    let null = json!({"query": "{ viewer { subject } services(projectId: \"nope\") { totalCount } }"});
    let invalid = json!({"query": "{ nonsense }"});
    let undecided = json!({"query": "query a { __typename } query b { __typename }"});
    let unparsable = json!({"query": "{"});
    let no_variable = json!({"query": "query($kind: ServiceKind!) { catalogEntry(kind: $kind) { name } }"});
    for (accept, body, status, expected) in [
        ("*/*", &ok, 200, JSON),
        ("application/json", &ok, 200, JSON),
        ("application/json", &partial, 200, JSON),
        ("application/json", &invalid, 200, JSON),
        ("application/json", &unparsable, 200, JSON),
        ("application/json", &no_variable, 200, JSON),
        ("application/graphql-response+json", &ok, 200, RESPONSE),
        ("application/graphql-response+json", &partial, 294, RESPONSE),
        ("application/graphql-response+json", &null, 294, RESPONSE),
        ("application/json", &null, 200, JSON),
        ("application/graphql-response+json", &invalid, 422, RESPONSE),
        ("application/graphql-response+json", &undecided, 422, RESPONSE),
        ("application/graphql-response+json", &unparsable, 400, RESPONSE),
        ("application/graphql-response+json", &no_variable, 422, RESPONSE),
        ("application/graphql-response+json, application/json;q=0.9", &ok, 200, RESPONSE),
        ("text/html", &ok, 406, JSON),
    ] {
        let response = server.post(Some(&demo()), body).header(header::ACCEPT, accept).send().await.unwrap();
        assert_eq!((response.status().as_u16(), content_type(&response)), (status, expected), "{accept}: {body}");
        let answer: Value = response.json().await.unwrap();
        if body == &ok && status == 200 {
            assert_eq!(answer, json!({"data": {"viewer": {"subject": "ada"}}}));
        } else {
            code(&answer);
        }
        // What was not executed has no data, not even null (GraphQL specification, section 7.1).
        let executed = [&ok, &partial, &null].contains(&body) && status < 300;
        assert_eq!(answer.get("data").is_some(), executed, "{accept}: {answer}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_request_are_refused() {
    let server = Server::start().await;
    let request = json!({"query": "{ viewer { subject } }"}).to_string();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "",
        "application/json; charset=utf-16",
    ] {
        let response = post(&server, content_type, request.clone()).await;
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
        assert_eq!(code(&response.json().await.unwrap()), "BAD_USER_INPUT");
    }
    let response = server.client.post(server.url("/graphql")).body(request.clone()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for content_type in ["application/json", "Application/JSON; Charset=\"UTF-8\"", "application/json;charset=utf-8"] {
        assert_eq!(post(&server, content_type, request.clone()).await.status(), StatusCode::OK, "{content_type}");
    }

    let table: [(Vec<u8>, &str); 16] = [
        (b"".to_vec(), "body"),
        (b"{".to_vec(), "body"),
        (b"nonsense".to_vec(), "body"),
        (b"{\"query\": \"\xff\"}".to_vec(), "body"),
        (b"\xff\xfe".to_vec(), "body"),
        (b"null".to_vec(), "body"),
        (b"7".to_vec(), "body"),
        (format!("[{request}]").into_bytes(), "body"),
        (b"[]".to_vec(), "body"),
        (b"{}".to_vec(), "query"),
        (b"{\"query\": null}".to_vec(), "query"),
        (b"{\"query\": 7}".to_vec(), "query"),
        (b"{\"query\": \"{a}\", \"variables\": []}".to_vec(), "variables"),
        (b"{\"query\": \"{a}\", \"variables\": \"{}\"}".to_vec(), "variables"),
        (b"{\"query\": \"{a}\", \"operationName\": 7}".to_vec(), "operationName"),
        (b"{\"query\": \"{a}\", \"extensions\": 7}".to_vec(), "extensions"),
    ];
    for (body, field) in table {
        let text = String::from_utf8_lossy(&body).into_owned();
        let response = post(&server, "application/json", body).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{text}");
        assert_eq!(code_and_field(&response.json().await.unwrap()), ("BAD_USER_INPUT", field), "{text}");
    }
    let nothing = json!({"query": "{ __typename }", "variables": null, "operationName": null, "extensions": {"a": 1}});
    assert_eq!(post(&server, "application/json", nothing.to_string()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_too_large() {
    let server = Server::start().await;
    let sized = |size: usize| {
        let start = "{\"query\": \"{ __typename }\", \"extensions\": {\"x\": \"";
        format!("{start}{}\"}}}}", "x".repeat(size - start.len() - 3))
    };
    let post = async |size: usize| {
        let request = server.client.post(server.url("/graphql")).bearer_auth(demo());
        request.header(header::CONTENT_TYPE, "application/json").body(sized(size)).send().await.unwrap()
    };
    assert_eq!(post(1 << 20).await.status(), StatusCode::OK);
    for size in [(1 << 20) + 1, 3 << 20] {
        let response = post(size).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE, "{size}");
        assert_eq!(code_and_field(&response.json().await.unwrap()), ("BAD_USER_INPUT", "body"));
    }
}

#[tokio::test]
async fn get_runs_queries_and_nothing_else() {
    let server = Server::start().await;
    let get = async |pairs: &[(&str, &str)]| {
        let request = server.client.get(server.url("/graphql")).bearer_auth(demo());
        let query: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={}", percent(value))).collect();
        let (client, request) = request.build_split();
        let mut request = request.unwrap();
        request.url_mut().set_query(Some(&query.join("&")));
        client.execute(request).await.unwrap()
    };
    let response = get(&[("query", "{ viewer { subject } }")]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.json::<Value>().await.unwrap()["data"]["viewer"]["subject"], "ada");
    let query = "query a($kind: ServiceKind!) { catalogEntry(kind: $kind) { name } } query b { viewer { subject } }";
    let response =
        get(&[("query", query), ("variables", "{\"kind\": \"REDIS\"}"), ("operationName", "a"), ("extensions", "{}")])
            .await;
    assert_eq!(response.json::<Value>().await.unwrap(), json!({"data": {"catalogEntry": {"name": "Redis"}}}));

    let mutation = "mutation { provisionService(input: {projectId: \"demo\", kind: REDIS}) { service { id } } }";
    let both = format!("{mutation} query q {{ viewer {{ subject }} }}").replacen("mutation", "mutation m", 1);
    for pairs in [vec![("query", mutation)], vec![("query", both.as_str()), ("operationName", "m")]] {
        let response = get(&pairs).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "POST");
        assert_eq!(code(&response.json().await.unwrap()), "BAD_USER_INPUT");
    }
    assert_eq!(get(&[("query", &both), ("operationName", "q")]).await.status(), StatusCode::OK);
    assert_eq!(server.written("demo").await, (0, 0));

    for (pairs, field) in [
        (vec![], "query"),
        (vec![("query", "{ __typename }"), ("variables", "nonsense")], "variables"),
        (vec![("query", "{ __typename }"), ("variables", "[]")], "variables"),
        (vec![("query", "{ __typename }"), ("extensions", "7")], "extensions"),
    ] {
        let response = get(&pairs).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{pairs:?}");
        assert_eq!(code_and_field(&response.json().await.unwrap()), ("BAD_USER_INPUT", field), "{pairs:?}");
    }
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let server = Server::start().await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let response = server.client.request(method.clone(), server.url("/graphql")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(response.headers()[header::ALLOW], "GET, POST");
        assert_eq!(code(&response.json().await.unwrap()), "BAD_USER_INPUT");
    }
}

#[tokio::test]
async fn subscriptions_need_a_websocket() {
    let server = Server::start().await;
    let body = json!({"query": "subscription { serviceEvents(projectId: \"demo\") { cursor } }"});
    let response = server.post(Some(&demo()), &body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(code_and_field(&answer), ("BAD_USER_INPUT", "query"));
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("WebSocket"));
}

#[tokio::test]
async fn a_browser_gets_graphiql() {
    let server = Server::start().await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for path in ["/graphql", "/graphiql"] {
        let response = server.client.get(server.url(path)).header(header::ACCEPT, browser).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert!(content_type(&response).starts_with("text/html"), "{path}");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        let script = policy.split("; ").find(|directive| directive.starts_with("script-src"));
        assert_eq!(script, Some("script-src 'self'"), "{path}");
        assert!(policy.starts_with("default-src 'none'; ") && policy.ends_with("frame-ancestors 'none'"), "{path}");
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[header::REFERRER_POLICY], "no-referrer");
    }
    // With a query it is a request like any other.
    let url = server.url("/graphql?query=%7B__typename%7D");
    let response = server.client.get(url).header(header::ACCEPT, browser).send().await.unwrap();
    assert_eq!(content_type(&response), JSON);
}

#[tokio::test]
async fn pages_and_assets_are_compressed_and_cached() {
    let server = Server::start().await;
    let get = async |path: &str, name: HeaderName, value: &str| {
        server.client.get(server.url(path)).header(name, value).send().await.unwrap()
    };
    let page = get("/graphiql", header::ACCEPT_ENCODING, "identity").await;
    assert_eq!(page.headers()[header::CACHE_CONTROL], "no-cache");
    let page = page.text().await.unwrap();
    assert!(!page.contains("make web"), "the pages were not built: make web");
    assert!(!page.contains("://"), "all that the page loads is the server's");
    let script = page.split_once("src=\"./").unwrap().1.split_once('"').unwrap().0;

    let mut tags = BTreeSet::new();
    let mut last = u64::MAX;
    for (accepted, coding) in [("identity", None), ("gzip", Some("gzip")), ("gzip, deflate, br, zstd", Some("br"))] {
        let path = format!("/{script}");
        let response = get(&path, header::ACCEPT_ENCODING, accepted).await;
        assert_eq!(content_type(&response), "text/javascript");
        let header = |name: HeaderName| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header(header::CONTENT_ENCODING).as_deref(), coding);
        assert_eq!(header(header::VARY).as_deref(), Some("Accept, Accept-Encoding"));
        assert_eq!(header(header::CACHE_CONTROL).as_deref(), Some("public, max-age=31536000, immutable"));
        let length = response.content_length().unwrap();
        assert!(length < last, "{accepted}: {length} is less than {last}");
        last = length;
        let tag = header(header::ETAG).unwrap();
        let request = server.client.get(server.url(&path)).header(header::ACCEPT_ENCODING, accepted);
        let again = request.header(header::IF_NONE_MATCH, format!("\"other\", W/{tag}")).send().await.unwrap();
        assert_eq!(
            (again.status(), again.headers()[header::ETAG].to_str().unwrap()),
            (StatusCode::NOT_MODIFIED, &*tag)
        );
        assert_eq!(again.bytes().await.unwrap().len(), 0);
        assert!(tags.insert(tag), "each form has a tag of its own");
    }
    // The dashboard's page is made for its server, and has a tag as well.
    let dashboard = get("/", header::ACCEPT, "text/html").await;
    assert_eq!(dashboard.headers()[header::CACHE_CONTROL], "no-cache");
    let tag = dashboard.headers()[header::ETAG].to_str().unwrap();
    assert_eq!(get("/", header::IF_NONE_MATCH, tag).await.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(get("/", header::IF_NONE_MATCH, "\"other\"").await.status(), StatusCode::OK);
    for path in ["/assets/nothing.js", "/assets/../graphiql.html", "/assets/..%2Fgraphiql.html", "/assets/"] {
        assert_eq!(server.client.get(server.url(path)).send().await.unwrap().status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn every_response_has_a_request_id() {
    let server = Server::start().await;
    let id = async |path: &str, given: Option<&str>| {
        let mut request = server.client.get(server.url(path));
        if let Some(given) = given {
            request = request.header("x-request-id", given);
        }
        request.send().await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    let longest = "x".repeat(128);
    for path in ["/graphql?query=%7B__typename%7D", "/graphql", "/healthz", "/nowhere"] {
        assert_eq!(id(path, Some("Deploy-7.a_b")).await, "Deploy-7.a_b", "{path}");
        assert_eq!(id(path, Some(&longest)).await, longest, "{path}");
        assert_ne!(id(path, None).await, id(path, None).await, "{path}");
        for bad in ["", "a b", "a\"b", "{}", &format!("{longest}x")] {
            let made = id(path, Some(bad)).await;
            assert!(made != bad && !made.is_empty(), "{path}: {bad}");
        }
    }
}

#[tokio::test]
async fn health_and_readiness_say_what_is_there() {
    let server = Server::start().await;
    let response = server.client.get(server.url("/healthz")).send().await.unwrap();
    assert_eq!((response.status(), response.text().await.unwrap().as_str()), (StatusCode::OK, "ok"));
    let response = server.client.get(server.url("/readyz")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.json::<Value>().await.unwrap(), json!({"store": "ok", "engine": "ok", "keys": "ok"}));

    let gone = || Err("connection refused".to_owned());
    for (part, ready) in [
        ("store", Ready { store: gone(), ..READY }),
        ("engine", Ready { engine: gone(), ..READY }),
        ("keys", Ready { keys: gone(), ..READY }),
    ] {
        let server = Server::start_with(SocketLimits::default(), None, ready).await;
        let response = server.client.get(server.url("/readyz")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let mut expected = json!({"store": "ok", "engine": "ok", "keys": "ok"});
        expected[part] = json!("unavailable: connection refused");
        assert_eq!(response.json::<Value>().await.unwrap(), expected);
    }
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
