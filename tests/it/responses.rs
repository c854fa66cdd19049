//! Every response is what its document asks for, in its order, and what the schema promises: documents over the whole
//! schema, with arguments that fit and arguments that fail.

mod check;
mod document;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use project_services::domain::service::ServiceState;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::runtime::Runtime;

use check::Checker;
use document::{Choices, Known, Schema};

use crate::harness::{BOTH, Limits, Server, demo, token};

const CASES: u32 = 500;

#[test]
fn every_response_is_what_the_document_and_the_schema_say() {
    let runtime = Runtime::new().unwrap();
    let mut limits = Limits::default();
    (limits.wire.subject_rate, limits.wire.address_rate) = (NonZeroU32::MAX, NonZeroU32::MAX);
    let server = runtime.block_on(Server::start_limited(limits));
    let known = runtime.block_on(known(&server));
    let schema = Schema::of(&project_services::api::sdl());
    let (executed, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let result = runner.run(&vec(any::<u16>(), 0..160), |choices| {
        let document = schema.document(&mut Choices::new(choices), &known);
        let request = json!({"query": document});
        let answer = runtime
            .block_on(async { server.post(Some(&demo()), &request).send().await.unwrap().text().await.unwrap() });
        let outcome = Checker::new(&schema, &document).check(&answer);
        let has_failed = outcome
            .map_err(|why| proptest::test_runner::TestCaseError::fail(format!("{why}\n{document}\n{answer}")))?;
        if let Some(has_failed) = has_failed {
            executed.fetch_add(1, Ordering::Relaxed);
            failed.fetch_add(usize::from(has_failed), Ordering::Relaxed);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let (executed, failed) = (executed.into_inner(), failed.into_inner());
    let cases = CASES as usize;
    assert!(executed > cases / 2, "only {executed} of {cases} documents were executed");
    assert!(failed > cases / 10 && executed - failed > cases / 10, "{failed} of {executed} had errors");
}

async fn known(server: &Server) -> Known {
    let mut services = Vec::new();
    for state in [ServiceState::Running, ServiceState::Stopped, ServiceState::Destroyed] {
        let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
        server.append(&id, 2).await;
        server.settle(&id, state).await;
        services.push(id);
    }
    // Nobody's who asks.
    services.push(server.provision(&token(&["other"], BOTH), json!({"projectId": "other", "kind": "REDIS"})).await);
    let query = "{ services(projectId: \"demo\") { eventCursor pageInfo { startCursor } } }";
    let data = server.data(&demo(), query, json!({})).await;
    let cursors = [&data["services"]["eventCursor"], &data["services"]["pageInfo"]["startCursor"]];
    Known { services, cursors: cursors.map(|cursor| cursor.as_str().unwrap().to_owned()).to_vec() }
}

#[tokio::test]
async fn a_failure_reaches_as_far_as_the_schema_lets_it_and_no_further() {
    let server = Server::start().await;
    for (query, data) in [
        ("{ viewer { subject } services(projectId: \"nope\") { totalCount } }", "null"),
        ("{ viewer { subject } node(id: \"abc\") { id } }", r#"{"viewer":{"subject":"ada"},"node":null}"#),
        ("{ service(id: \"abc\") { id } viewer { subject } }", r#"{"service":null,"viewer":{"subject":"ada"}}"#),
        (
            "{ project(projectId: \"demo\") { id } project(projectId: \"demo\") { events(after: \"no\") { nodes { cursor } } } }",
            r#"{"project":null}"#,
        ),
        (
            "{ project(projectId: \"demo\") { events(after: \"no\") { nodes { cursor } } } project(projectId: \"demo\") { id } }",
            r#"{"project":null}"#,
        ),
        (
            "{ viewer { s: subject ...v } } fragment v on Viewer { projects subject }",
            r#"{"viewer":{"s":"ada","projects":["demo"],"subject":"ada"}}"#,
        ),
    ] {
        let answer = server.post(Some(&demo()), &json!({"query": query})).send().await.unwrap().text().await.unwrap();
        assert!(answer.ends_with(&format!("\"data\":{data}}}")), "{query}: {answer}");
    }
}

#[tokio::test]
async fn of_two_mutations_the_one_that_happened_is_told() {
    let server = Server::start().await;
    let query = "mutation { a: provisionService(input: {projectId: \"demo\", kind: REDIS, name: \"one\"}) { service { name } } \
         b: provisionService(input: {projectId: \"demo\", kind: REDIS, name: \"one\"}) { service { name } } \
         c: provisionService(input: {projectId: \"demo\", kind: REDIS, name: \"two\"}) { service { name } } }";
    let body = server.run(&demo(), query, json!({})).await;
    let data = json!({"a": {"service": {"name": "one"}}, "b": null, "c": {"service": {"name": "two"}}});
    assert_eq!((&body["data"], &body["errors"][0]["path"]), (&data, &json!(["b"])));
    assert_eq!(body["errors"].as_array().unwrap().len(), 1);
}
