//! Which web pages are let in, over HTTP, server-sent events and WebSocket.

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::{ALLOWED_ORIGIN, Server, code, demo};

/// What a page may not come from; the first has the server's own address but for its port.
const STRANGERS: [&str; 5] =
    ["http://127.0.0.1:1", "https://evil.example", "https://app.example.evil.example", "http://app.example", "null"];

fn provision() -> Value {
    json!({"query": "mutation { provisionService(input: {projectId: \"demo\", kind: REDIS}) { service { id } } }"})
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_before_anything_runs() {
    let server = Server::start().await;
    for origin in STRANGERS {
        for accept in ["application/json", "text/event-stream"] {
            let request = server.post(Some(&demo()), &provision());
            let response = request.header("origin", origin).header("accept", accept).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{origin}");
            assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), "{origin}");
            assert!(response.headers().contains_key("x-request-id"));
            assert_eq!(code(&response.json().await.unwrap()), "FORBIDDEN");
        }
        let request = server.client.get(server.url("/graphql?query=%7B__typename%7D")).header("origin", origin);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{origin}");
        let request = server.client.request(Method::OPTIONS, server.url("/graphql")).header("origin", origin);
        let response = request.header("access-control-request-method", "POST").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{origin}");
        assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_METHODS), "{origin}");
    }
    assert_eq!(server.written("demo").await, (0, 0));
}

#[tokio::test]
async fn the_own_and_the_allowed_pages_are_let_in() {
    let server = Server::start().await;
    for origin in [ALLOWED_ORIGIN, &server.url("")] {
        let body = json!({"query": "{ viewer { subject } }"});
        let response = server.post(Some(&demo()), &body).header("origin", origin).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], origin);
        assert_eq!(response.headers()[header::ACCESS_CONTROL_EXPOSE_HEADERS], "x-request-id, retry-after");
        assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        let vary: Vec<_> =
            response.headers().get_all(header::VARY).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(vary.join(", ").to_lowercase(), "accept, origin");
        assert_eq!(response.json::<Value>().await.unwrap(), json!({"data": {"viewer": {"subject": "ada"}}}));
    }
    // What is refused for another reason can be read by the page as well.
    let response = server.client.post(server.url("/graphql")).header("origin", ALLOWED_ORIGIN).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], ALLOWED_ORIGIN);
}

#[tokio::test]
async fn an_allowed_page_is_told_what_it_may_send() {
    let server = Server::start().await;
    let ask = |origin: &str, headers: Option<&str>| {
        let request = server.client.request(Method::OPTIONS, server.url("/graphql"));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        headers.into_iter().fold(request, |request, headers| request.header("access-control-request-headers", headers))
    };
    let wanted = "authorization,content-type,x-request-id,traceparent";
    let response = ask(ALLOWED_ORIGIN, Some(wanted)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let headers = response.headers();
    assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], ALLOWED_ORIGIN);
    assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_METHODS], "GET, POST");
    assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_HEADERS], wanted);
    assert_eq!(headers[header::ACCESS_CONTROL_MAX_AGE], "7200");
    let vary: Vec<_> = headers.get_all(header::VARY).iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(vary, ["access-control-request-headers", "origin"]);

    let response = ask(ALLOWED_ORIGIN, None).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_HEADERS));
    // Without the question that browsers ask it is a method like any other.
    let request = server.client.request(Method::OPTIONS, server.url("/graphql")).header("origin", ALLOWED_ORIGIN);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn websockets_are_opened_for_the_same_pages_only() {
    let server = Server::start().await;
    let connect = async |origin: &str| {
        let mut request = format!("ws://{}/graphql", server.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        match connect_async(request).await {
            Ok((_, response)) => response.status().as_u16(),
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
        }
    };
    for origin in STRANGERS {
        assert_eq!(connect(origin).await, 403, "{origin}");
    }
    for origin in [ALLOWED_ORIGIN, &server.url("")] {
        assert_eq!(connect(origin).await, 101, "{origin}");
    }
}
