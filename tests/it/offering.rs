//! What the operator offers.

use project_services::catalog::offering::{Images, Kinds, Offering};
use serde_json::json;

use crate::harness::{Limits, Server, code, demo};

#[tokio::test]
async fn what_the_operator_does_not_offer_is_shown_as_withdrawn_and_refused() {
    let offering = Offering::new(Some(Kinds::parse("-REDIS").unwrap()), Images::default());
    let server = Server::start_limited(Limits { offering, ..Limits::default() }).await;
    let query = "{ catalogEntry(kind: REDIS) { availability versions tiers { tier } }
        withdrawn: serviceCatalog(availability: WITHDRAWN) { kind }
        available: serviceCatalog(availability: AVAILABLE) { kind } }";
    let data = server.data(&demo(), query, json!({})).await;
    assert_eq!(
        (&data["catalogEntry"]["availability"], &data["withdrawn"]),
        (&json!("WITHDRAWN"), &json!([{"kind": "REDIS"}]))
    );
    // Of services that are there it is to be known what they can be.
    assert_eq!(data["catalogEntry"]["versions"], json!(["8", "7", "6"]));
    assert!(!data["available"].as_array().unwrap().contains(&json!({"kind": "REDIS"})));
    let mutation = "mutation { provisionService(input: {projectId: \"demo\", kind: REDIS}) { service { id } } }";
    let body = server.run(&demo(), mutation, json!({})).await;
    assert_eq!((code(&body), &body["errors"][0]["extensions"]["field"]), ("BAD_USER_INPUT", &json!("kind")));
}
