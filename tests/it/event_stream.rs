//! GraphQL over server-sent events: streams, ends, and who is let go.

use std::collections::VecDeque;
use std::time::Duration;

use project_services::domain::service::ServiceState;
use project_services::http::SocketLimits;
use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::{BOTH, Limits, PATIENCE, Server, code, code_and_field, demo, in_seconds, sign};

const EVENTS: &str =
    "subscription($after: String) { serviceEvents(projectId: \"demo\", after: $after) { cursor message } }";
const CHANGED: &str = "subscription($id: ID!) { serviceChanged(id: $id) { state } }";

/// An event stream, read as it comes.
struct Stream {
    response: Response,
    text: String,
    heard: VecDeque<Heard>,
}

#[derive(Debug, PartialEq)]
enum Heard {
    Next(Value),
    Complete,
    Comment,
}

impl Stream {
    async fn of(request: RequestBuilder) -> Self {
        let response = request.header(header::ACCEPT, "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream; charset=utf-8");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        Self { response, text: String::new(), heard: VecDeque::new() }
    }

    async fn open(server: &Server, token: &str, query: &str, variables: Value) -> Self {
        Self::of(server.post(Some(token), &json!({"query": query, "variables": variables}))).await
    }

    /// None at the end of the response; an error when it is cut off.
    async fn hear(&mut self) -> Result<Option<Heard>, reqwest::Error> {
        while self.heard.is_empty() {
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("the server says nothing")?;
            let Some(chunk) = chunk else {
                assert_eq!(self.text, "");
                return Ok(None);
            };
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                self.heard.push_back(match event {
                    ":" => Heard::Comment,
                    "event: complete\ndata: " => Heard::Complete,
                    next => {
                        let data = next.strip_prefix("event: next\ndata: ").unwrap_or_else(|| panic!("heard {next:?}"));
                        Heard::Next(serde_json::from_str(data).unwrap())
                    }
                });
                self.text = rest.to_owned();
            }
        }
        Ok(self.heard.pop_front())
    }

    async fn next(&mut self) -> Value {
        loop {
            match self.hear().await.unwrap() {
                Some(Heard::Next(value)) => return value,
                Some(Heard::Comment) => {}
                other => panic!("no result but {other:?}"),
            }
        }
    }

    async fn completes(mut self) {
        assert_eq!(self.hear().await.unwrap(), Some(Heard::Complete));
        assert_eq!(self.hear().await.unwrap(), None);
    }
}

async fn provisioned(server: &Server) -> String {
    server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await
}

/// The cursor of a service's first event.
async fn first_cursor(server: &Server, id: &str) -> Value {
    let query = "query($id: ID!) { service(id: $id) { events(first: 1) { nodes { cursor } } } }";
    server.data(&demo(), query, json!({"id": id})).await["service"]["events"]["nodes"][0]["cursor"].take()
}

#[tokio::test]
async fn queries_and_mutations_are_answered_by_one_result_and_the_end() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server, &demo(), "{ viewer { subject } }", json!({})).await;
    assert_eq!(stream.next().await, json!({"data": {"viewer": {"subject": "ada"}}}));
    stream.completes().await;

    let mutation = "mutation { provisionService(input: {projectId: \"demo\", kind: REDIS}) { service { name } } }";
    let mut stream = Stream::open(&server, &demo(), mutation, json!({})).await;
    assert_eq!(stream.next().await, json!({"data": {"provisionService": {"service": {"name": "redis"}}}}));
    stream.completes().await;

    let request = server.client.get(server.url("/graphql?query=%7Bviewer%7Bsubject%7D%7D")).bearer_auth(demo());
    let mut stream = Stream::of(request).await;
    assert_eq!(stream.next().await, json!({"data": {"viewer": {"subject": "ada"}}}));
    stream.completes().await;
}

#[tokio::test]
async fn what_can_not_be_executed_is_told_in_the_stream() {
    let server = Server::start().await;
    for (query, expected) in [
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        (
            "subscription { a: serviceChanged(id: 1) { id } b: serviceChanged(id: 1) { id } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("subscription { serviceEvents(projectId: \"other\") { cursor } }", "NOT_FOUND"),
    ] {
        let mut stream = Stream::open(&server, &demo(), query, json!({})).await;
        assert_eq!(code(&stream.next().await), expected, "{query}");
        stream.completes().await;
    }
    for query in ["{ viewer { subject } }", "subscription { serviceEvents(projectId: \"demo\") { cursor } }"] {
        let mut stream = Stream::of(server.post(None, &json!({"query": query}))).await;
        assert_eq!(code(&stream.next().await), "UNAUTHENTICATED", "{query}");
        stream.completes().await;
    }
}

#[tokio::test]
async fn what_is_no_request_has_its_status() {
    let server = Server::start().await;
    let mutation = "/graphql?query=mutation%7B__typename%7D";
    let post = || server.client.post(server.url("/graphql"));
    for (request, status) in [
        (server.client.get(server.url(mutation)), StatusCode::METHOD_NOT_ALLOWED),
        (server.client.get(server.url("/graphql")), StatusCode::BAD_REQUEST),
        (post().header("content-type", "text/plain").body("{}"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (post().header("content-type", "application/json").body("{}"), StatusCode::BAD_REQUEST),
    ] {
        let response = request.bearer_auth(demo()).header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json; charset=utf-8");
        assert_eq!(code(&response.json().await.unwrap()), "BAD_USER_INPUT");
    }
    let body = json!({"query": EVENTS});
    for accept in ["application/json", "*/*", "application/graphql-response+json"] {
        let response = server.post(Some(&demo()), &body).header("accept", accept).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{accept}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(code_and_field(&answer), ("BAD_USER_INPUT", "query"));
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("WebSocket") && message.contains("text/event-stream"), "{message}");
    }
}

#[tokio::test]
async fn a_stream_that_is_taken_up_again_loses_and_doubles_nothing() {
    let server = Server::start().await;
    let id = provisioned(&server).await;
    let first = first_cursor(&server, &id).await;
    server.append(&id, 3).await;
    let mut stream = Stream::open(&server, &demo(), EVENTS, json!({"after": first})).await;
    let mut heard = Vec::new();
    for _ in 0..2 {
        heard.push(stream.next().await["data"]["serviceEvents"].take());
    }
    drop(stream);
    server.append(&id, 150).await;
    let mut stream = Stream::open(&server, &demo(), EVENTS, json!({"after": heard[1]["cursor"]})).await;
    for _ in 0..151 {
        heard.push(stream.next().await["data"]["serviceEvents"].take());
    }
    let cursors: Vec<&str> = heard.iter().map(|event| event["cursor"].as_str().unwrap()).collect();
    assert!(cursors.is_sorted_by(|a, b| a < b), "{cursors:?}");
    // What happens while it is read comes as it happens.
    server.settle(&id, ServiceState::Running).await;
    let message = "redis is running and answers its health check.";
    assert_eq!(stream.next().await["data"]["serviceEvents"]["message"], message);
}

#[tokio::test]
async fn a_stream_ends_by_itself_or_with_its_token() {
    let server = Server::start().await;
    let id = provisioned(&server).await;
    let mut stream = Stream::open(&server, &demo(), CHANGED, json!({"id": id})).await;
    assert_eq!(stream.next().await["data"]["serviceChanged"]["state"], "PENDING");
    let short = sign(&json!({"sub": "ada", "exp": in_seconds(2 - 30), "projects": ["demo"], "permissions": BOTH}));
    let mut expiring = Stream::open(&server, &short, CHANGED, json!({"id": id})).await;
    assert_eq!(expiring.next().await["data"]["serviceChanged"]["state"], "PENDING");
    let last = expiring.next().await;
    assert_eq!((code(&last), &last["data"]), ("UNAUTHENTICATED", &Value::Null));
    expiring.completes().await;

    server.settle(&id, ServiceState::Destroyed).await;
    assert_eq!(stream.next().await["data"]["serviceChanged"]["state"], "DESTROYED");
    stream.completes().await;
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_by_comments() {
    let limits = SocketLimits { ping_interval: Duration::from_millis(50), ..SocketLimits::default() };
    let server = Server::start_with_limits(limits).await;
    let id = provisioned(&server).await;
    let mut stream = Stream::open(&server, &demo(), CHANGED, json!({"id": id})).await;
    stream.next().await;
    for _ in 0..3 {
        assert_eq!(stream.hear().await.unwrap(), Some(Heard::Comment));
    }
}

#[tokio::test]
async fn an_operation_ends_when_its_client_goes() {
    // No comment is due that would find out.
    let limits = SocketLimits { ping_interval: Duration::from_secs(3600), ..SocketLimits::default() };
    let server = Server::start_with_limits(limits).await;
    let id = provisioned(&server).await;
    let mut stream = Stream::open(&server, &demo(), CHANGED, json!({"id": id})).await;
    stream.next().await;
    assert_eq!(server.sockets.len(), 1);
    drop(stream);
    server.sockets.close();
    timeout(PATIENCE, server.sockets.wait()).await.expect("the operation goes on without its client");
}

#[tokio::test]
async fn an_operation_ends_when_its_client_does_not_read() {
    let mut limits = Limits::default();
    limits.sockets.patience = Duration::from_millis(200);
    limits.requests.aliases = 400;
    let server = Server::start_limited(limits).await;
    let id = provisioned(&server).await;
    server.append(&id, 1000).await;
    // Far more than the buffers between here and there hold.
    let fields: String = (0..400).map(|n| format!("a{n}: message ")).collect();
    let query =
        format!("subscription($after: String) {{ serviceEvents(projectId: \"demo\", after: $after) {{ {fields} }} }}");
    let after = first_cursor(&server, &id).await;
    let mut stream = Stream::open(&server, &demo(), &query, json!({"after": after})).await;
    server.sockets.close();
    timeout(PATIENCE, server.sockets.wait()).await.expect("a client that does not read is kept");
    // Should it read on, it gets what was under way, and then no end that it could take for the operation's.
    let broken = loop {
        match stream.hear().await {
            Ok(Some(Heard::Next(_))) => {}
            other => break other,
        }
    };
    assert!(broken.is_err(), "{broken:?}");
}

#[tokio::test]
async fn a_server_that_goes_breaks_streams_off_so_that_clients_come_back() {
    let server = Server::start().await;
    let id = provisioned(&server).await;
    let mut stream = Stream::open(&server, &demo(), CHANGED, json!({"id": id})).await;
    stream.next().await;
    server.shutdown.cancel();
    let broken = stream.hear().await;
    assert!(broken.is_err(), "{broken:?}");
    server.sockets.close();
    timeout(PATIENCE, server.sockets.wait()).await.expect("a stream is left open");
}
