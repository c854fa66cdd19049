//! What an operator sees of a provisioning in a collector of traces.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::client::Client;
use crate::support::collector::{Collector, Span};
use crate::support::database::Database;
use crate::support::docker::docker;
use crate::support::eventually;
use crate::support::server::{SECRET, Server};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

const ACTION: &str = "project_services.reconcile.action";
const OUTCOME: &str = "project_services.reconcile.outcome";
const REASON: &str = "project_services.reconcile.reason";
const STATE: &str = "project_services.service.state";

/// A server that exports to `collector` without much ado.
async fn traced(collector: &Collector) -> Server {
    Server::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url()), ("OTEL_BSP_SCHEDULE_DELAY", "100")]).await
}

/// Without those that a measurement of the storage was ahead of.
fn steps(spans: &[Span]) -> Vec<Span> {
    let steps = spans.iter().filter(|span| span.name.starts_with("reconcile"));
    steps.filter(|span| span.attribute(OUTCOME) != Some("OVERTAKEN")).cloned().collect()
}

fn children<'a>(spans: &'a [Span], parent: &Span) -> Vec<&'a str> {
    spans.iter().filter(|span| span.parent == parent.id).map(|span| span.name.as_str()).collect()
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let named: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(named.len(), 1, "{name} in {spans:#?}");
    named[0]
}

fn provision(client: &Client, kind: &str) -> Value {
    let query = "mutation Ask($input: ProvisionServiceInput!) { provisionService(input: $input) { service { id } } }";
    json!({"query": query, "variables": {"input": {"projectId": client.project, "kind": kind}}})
}

/// Provisions as part of the caller's trace.
async fn provision_within(server: &Server, kind: &str, trace: &str) -> String {
    let client = Client::new(server);
    let request = reqwest::Client::new().post(format!("http://{}/graphql", server.address)).bearer_auth(&client.token);
    let request = request.header("traceparent", format!("00-{trace}-{CALLER}-01")).header("x-request-id", "ours");
    let answer = request.json(&provision(&client, kind)).send().await.unwrap().json::<Value>().await.unwrap();
    answer["data"]["provisionService"]["service"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn process(span: &Span) -> String {
    span.attribute("service.instance.id").unwrap().to_owned()
}

fn is_end(span: &Span, trace: &str) -> bool {
    span.trace == trace && span.attribute(STATE) == Some("RUNNING")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_follows_a_provisioning_from_its_request_to_running() {
    let collector = Collector::start().await;
    let server = traced(&collector).await;
    let client = Client::new(&server);
    let id = provision_within(&server, "POSTGRESQL", TRACE).await;
    client.settled(&id, "RUNNING").await;
    collector.until("the end", |span| is_end(span, TRACE)).await;

    let spans = collector.trace(TRACE);
    let request = one(&spans, "POST /graphql");
    assert_eq!(request.parent, CALLER);
    for (key, value) in [
        ("service.name", "project-services"),
        ("http.request.method", "POST"),
        ("http.route", "/graphql"),
        ("http.response.status_code", "200"),
        ("project_services.request.id", "ours"),
    ] {
        assert_eq!(request.attribute(key), Some(value), "{request:?}");
    }
    let mutation = one(&spans, "mutation provisionService");
    assert_eq!(mutation.parent, request.id);
    assert_eq!(mutation.attribute("graphql.operation.type"), Some("mutation"));
    assert_eq!(mutation.attribute("graphql.operation.name"), Some("Ask"));
    assert!(children(&spans, mutation).contains(&"store service_create"), "{spans:#?}");

    let steps = steps(&spans);
    let actions: Vec<_> = steps.iter().map(|step| step.attribute(ACTION)).collect();
    let expected = ["CREATE_STORAGE", "CREATE_CONTAINER", "START", "AWAIT_READY"].map(Some);
    assert_eq!(actions, [&expected[..], &[None]].concat());
    let calls = ["engine ensure_volume", "engine ensure_container", "engine start", "engine run"];
    for (step, call) in steps.iter().zip(calls) {
        assert_eq!((step.attribute(OUTCOME), step.failed), (Some("OK"), false), "{step:?}");
        assert!(children(&spans, step).contains(&call), "{step:?} in {spans:#?}");
    }
    for step in &steps {
        assert_eq!(step.parent, mutation.id);
        assert_eq!(step.attribute("project_services.service.id"), Some(id.as_str()));
        assert_eq!(step.attribute("project_services.service.kind"), Some("POSTGRESQL"));
        assert_eq!(step.attribute("project_services.operation.kind"), Some("PROVISION"));
        assert!(step.attribute(REASON).is_some() && children(&spans, step).contains(&"look"), "{step:?}");
    }
    assert_eq!(steps[4].attribute(STATE), Some("RUNNING"));
    let known: BTreeSet<_> = spans.iter().map(|span| span.id.as_str()).chain([CALLER]).collect();
    assert!(spans.iter().all(|span| known.contains(span.parent.as_str()) && span.began <= span.ended), "{spans:#?}");

    // The log's lines name the trace.
    let log = server.log();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for (target, message) in
        [("audit", "Accepted"), ("project_services::reconciler::note", "A service changed its state")]
    {
        let line = lines.iter().find(|line| line["target"] == target && line["fields"]["message"] == message).unwrap();
        assert_eq!(line["span"]["trace_id"], TRACE, "{line}");
    }
    // Other requests are traces of their own.
    assert!(collector.spans().iter().any(|span| span.name == "query service" && span.trace != TRACE));

    let other = "11111111111111111111111111111111";
    let destroy = format!("mutation {{ destroyService(input: {{id: \"{id}\"}}) {{ service {{ id }} }} }}");
    let request = reqwest::Client::new().post(format!("http://{}/graphql", server.address)).bearer_auth(&client.token);
    let request = request.header("traceparent", format!("00-{other}-{CALLER}-01"));
    request.json(&json!({"query": destroy})).send().await.unwrap().error_for_status().unwrap();
    let end = |span: &Span| span.trace == other && span.attribute(STATE) == Some("DESTROYED");
    collector.until("the end of the destroying", end).await;
    let removal = collector.trace(other);
    assert!(children(&removal, one(&removal, "reconcile REMOVE")).contains(&"engine remove_container"), "{removal:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_outlives_the_server_and_a_recovery_is_a_trace_of_its_own() {
    let collector = Collector::start().await;
    let mut server = traced(&collector).await;
    let id = provision_within(&server, "POSTGRESQL", TRACE).await;
    collector.until("the container", |span| span.attribute(ACTION) == Some("CREATE_CONTAINER")).await;
    let first = process(&collector.spans()[0]);
    server.kill();
    server.restart().await;
    let client = Client::new(&server);
    client.settled(&id, "RUNNING").await;
    let end = collector.until("the end", |span| is_end(span, TRACE)).await;
    assert_ne!(process(&end), first, "the second process exported it");
    let steps_of = |spans: &[Span]| steps(spans).iter().map(process).collect::<BTreeSet<_>>().len();
    assert_eq!(steps_of(&collector.trace(TRACE)), 2, "both took steps of one trace");
    let before = collector.trace(TRACE).len();

    docker(&["kill", &id]);
    let recovered = |span: &Span| span.trace != TRACE && span.attribute(STATE) == Some("RUNNING");
    let end = collector.until("the recovery", recovered).await;
    let recovery = collector.trace(&end.trace);
    let steps = steps(&recovery);
    assert!(steps.len() > 1, "{recovery:#?}");
    assert_eq!((steps[0].parent.as_str(), steps[0].links.len()), ("", 1), "{recovery:#?}");
    assert_eq!(steps[0].links[0].0, TRACE);
    assert!(steps[1..].iter().all(|step| step.parent == steps[0].id), "{recovery:#?}");
    assert_eq!(steps.last().unwrap().attribute("project_services.operation.kind"), Some("RECOVER"));
    assert_eq!(collector.trace(TRACE).len(), before, "nothing was added to the first trace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_with_the_replica_that_takes_over() {
    let collector = Collector::start().await;
    let database = Database::new().await;
    let mut settings = database.settings();
    settings.push(("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), collector.url()));
    settings.push(("OTEL_BSP_SCHEDULE_DELAY".to_owned(), "100".to_owned()));
    let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let mut first = Server::start(&settings).await;
    eventually("the first replica to lead", async || first.leads().then_some(())).await;
    let second = first.replica().await;
    let id = provision_within(&second, "POSTGRESQL", TRACE).await;
    collector.until("the container", |span| span.attribute(ACTION) == Some("CREATE_CONTAINER")).await;
    first.kill();
    Client::new(&second).settled(&id, "RUNNING").await;
    let end = collector.until("the end", |span| is_end(span, TRACE)).await;
    let spans = collector.trace(TRACE);
    assert_eq!(process(one(&spans, "mutation provisionService")), process(&end), "the second took the request");
    let steps = steps(&spans);
    assert!(steps.iter().any(|step| process(step) != process(&end)), "the first began: {steps:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settled_services_are_looked_at_without_a_trace_and_the_last_spans_are_flushed() {
    let collector = Collector::start().await;
    let mut server = Server::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=of%20the%20operator"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("OTEL_SERVICE_NAME", "ours"),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ("RECONCILE_INTERVAL", "1"),
    ])
    .await;
    let client = Client::new(&server);
    let id = provision_within(&server, "REDIS", TRACE).await;
    client.settled(&id, "RUNNING").await;
    let looks = || server.log().matches("Looked at a service").count();
    let settled = looks();
    eventually("more looks", async || (looks() >= settled + 3).then_some(())).await;
    assert!(collector.spans().is_empty(), "it is not time yet");
    assert!(server.terminate().await.success());

    let spans = collector.spans();
    assert!(steps(&spans).last().is_some_and(|step| is_end(step, TRACE)), "nothing follows the end: {spans:#?}");
    for (key, value) in [("service.name", "ours"), ("deployment.environment.name", "test")] {
        assert_eq!(spans[0].attribute(key), Some(value));
    }
    assert!(collector.header("x-key").iter().all(|value| value.as_deref() == Some("of the operator")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_a_line_in_the_log() {
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let mut server = Server::start(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &format!("http://{address}/v1/traces")),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "200"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "20"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5"),
    ])
    .await;
    let client = Client::new(&server);
    let service = client.provision("REDIS", "7").await;
    let id = service["id"].as_str().unwrap();
    client.settled(id, "RUNNING").await;
    let lines = |log: &str, text: &str| log.matches(text).count();
    let failures = "The collector can't be reached";
    eventually("batches that fail", async || (lines(&server.log(), failures) > 5).then_some(())).await;
    client.act("stopService", id).await;
    client.settled(id, "STOPPED").await;
    assert_eq!(lines(&server.log(), "Traces can't be exported"), 1, "{}", server.log());

    drop(silent);
    let _collector = Collector::start_at(&address.to_string()).await;
    eventually("the end of the outage", async || server.log().contains("Traces are exported again").then_some(()))
        .await;
    assert!(server.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_answer_holds_no_stop_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut server = Server::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]).await;
    Client::new(&server).cursor().await;
    let began = Instant::now();
    assert!(server.terminate().await.success());
    assert!(began.elapsed() < Duration::from_secs(8), "it stopped after {:?}", began.elapsed());
    assert!(server.log().contains("The last traces could not be exported"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_over_websockets_and_event_streams_are_traced() {
    let collector = Collector::start().await;
    let server = traced(&collector).await;
    let client = Client::new(&server);
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    for given in [None, Some(&traceparent)] {
        let mut request = format!("ws://{}/graphql", server.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        if let Some(given) = given {
            request.headers_mut().insert("traceparent", given.parse().unwrap());
        }
        let (mut socket, _) = connect_async(request).await.unwrap();
        let bearer = format!("Bearer {}", client.token);
        for message in [
            json!({"type": "connection_init", "payload": {"Authorization": bearer}}),
            json!({"type": "subscribe", "id": "1", "payload": {"query": "{ viewer { subject } }"}}),
        ] {
            socket.send(Message::text(message.to_string())).await.unwrap();
        }
        while let Some(Ok(message)) = socket.next().await {
            if message.to_text().is_ok_and(|text| text.contains("complete")) {
                break;
            }
        }
    }
    let request = reqwest::Client::new().post(format!("http://{}/graphql", server.address)).bearer_auth(&client.token);
    let request = request.header("traceparent", &traceparent).header("accept", "text/event-stream");
    let events = request.json(&json!({"query": "{ services(projectId: \"none\") { totalCount } }"})).send().await;
    assert!(events.unwrap().text().await.unwrap().contains("event: complete"));
    let streamed = collector.until("the streamed one", |span| span.name == "query services").await;
    assert_eq!(streamed.parent, one(&collector.trace(TRACE), "POST /graphql").id);

    let continued = collector.until("the continued one", |span| span.name == "query viewer" && span.trace == TRACE);
    let continued = continued.await;
    let upgrade = one(&collector.trace(TRACE), "GET /graphql").clone();
    assert_eq!((upgrade.parent.as_str(), continued.parent.as_str()), (CALLER, upgrade.id.as_str()));
    assert_eq!(upgrade.attribute("http.response.status_code"), Some("101"));
    let own = collector.until("the other", |span| span.name == "query viewer" && span.trace != TRACE).await;
    let opened_by = collector.until("its upgrade", |span| span.name == "GET /graphql" && span.trace != TRACE).await;
    assert_eq!(own.links, [(opened_by.trace.clone(), opened_by.id)]);
    assert!(own.parent.is_empty() && own.trace != opened_by.trace);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_nothing_of_a_document_is_exported() {
    let collector = Collector::start().await;
    let server = traced(&collector).await;
    let client = Client::new(&server);
    let mut secrets = vec![SECRET.to_owned(), client.token.clone()];
    secrets.extend(["a-literal-key", "a-variable-key", "a-refused-literal"].map(str::to_owned));
    let mutation = format!(
        "mutation {{ provisionService(input: {{projectId: \"{}\", kind: REDIS, idempotencyKey: \"a-literal-key\"}})
            {{ service {{ id }} }} }}",
        client.project
    );
    let made = client.data(&mutation, json!({})).await;
    let input = json!({"projectId": client.project, "kind": "POSTGRESQL", "idempotencyKey": "a-variable-key"});
    let ids = [
        made["provisionService"]["service"]["id"].as_str().unwrap().to_owned(),
        client.provision_with(input).await["id"].as_str().unwrap().to_owned(),
    ];
    for (id, key) in ids.iter().zip(["REDIS_PASSWORD", "PGPASSWORD"]) {
        client.settled(id, "RUNNING").await;
        secrets.push(client.reveal(id).await[key].clone());
        client.act("rotateCredentials", id).await;
        client.settled(id, "RUNNING").await;
        secrets.push(client.reveal(id).await[key].clone());
        assert_ne!(secrets[secrets.len() - 1], secrets[secrets.len() - 2]);
    }
    let url = format!("http://{}/graphql", server.address);
    let made_up = reqwest::Client::new().request("MADEUP".parse().unwrap(), url).send().await.unwrap();
    assert_eq!(made_up.status(), 405);
    let other = collector.until("the method", |span| span.name == "HTTP /graphql").await;
    assert_eq!(other.attribute("http.request.method"), Some("_OTHER"));
    secrets.push("MADEUP".to_owned());
    let refused = client.execute("{ service(id: \"a-refused-literal\") { id nothing } }", json!({})).await;
    assert!(refused["errors"].is_array());
    let failed = collector.until("the refused one", |span| span.name == "GraphQL Operation" && span.failed).await;
    assert_eq!(failed.attribute("error.type"), Some("GRAPHQL_VALIDATION_FAILED"));
    let steps = steps(&collector.spans());
    let rotations = steps.iter().filter(|step| step.attribute(ACTION) == Some("ROTATE_CREDENTIALS")).count();
    assert!(rotations >= 2, "{steps:#?}");
    let exported = collector.text();
    assert!(exported.contains(&ids[0]));
    for secret in secrets {
        assert!(!exported.contains(&secret), "{secret} is exported");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_that_are_not_sampled_or_switched_off_are_not_exported() {
    let collector = Collector::start().await;
    let url = collector.url();
    for settings in [[("OTEL_TRACES_SAMPLER", "always_off")], [("OTEL_SDK_DISABLED", "true")]] {
        let mut server =
            Server::start(&[&[("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())], &settings[..]].concat()).await;
        let client = Client::new(&server);
        client.cursor().await;
        assert!(server.terminate().await.success());
    }
    let mut server = traced(&collector).await;
    let client = Client::new(&server);
    let request = reqwest::Client::new().post(format!("http://{}/graphql", server.address)).bearer_auth(&client.token);
    let request = request.header("traceparent", format!("00-{TRACE}-{CALLER}-00"));
    request.json(&json!({"query": "{ viewer { subject } }"})).send().await.unwrap().error_for_status().unwrap();
    assert!(server.terminate().await.success());
    assert!(collector.spans().is_empty(), "{:#?}", collector.spans());
}
