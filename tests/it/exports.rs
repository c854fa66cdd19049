//! Downloads of all that a service holds, over a real port.

use project_services::catalog::inquiry::Answer;
use project_services::domain::service::ServiceState;
use serde_json::json;

use crate::harness::{Server, code, demo};

const ASK: &str = "mutation($id: ID!) { exportService(input: {id: $id}) { path expiresAt event { message actor } } }";

#[tokio::test]
async fn a_link_gives_all_of_it_or_breaks_off() {
    let server = Server::start().await;
    let id = server.provision(&demo(), json!({"projectId": "demo", "kind": "REDIS"})).await;
    assert_eq!(code(&server.run(&demo(), ASK, json!({"id": id})).await), "INVALID_STATE");
    server.settle(&id, ServiceState::Running).await;
    let asked = server.data(&demo(), ASK, json!({"id": id})).await["exportService"].clone();
    let message = "A download of all that redis holds was requested.";
    assert_eq!(asked["event"], json!({"message": message, "actor": "ada"}));
    let path = asked["path"].as_str().unwrap().to_owned();
    let get = async |path: &str| reqwest::get(format!("http://{}{path}", server.address)).await.unwrap();

    server.instruments.answer("REDIS0011 and so on");
    let file = get(&path).await;
    let disposition = file.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(
        disposition.starts_with("attachment; filename=\"redis-2") && disposition.ends_with(".rdb\""),
        "{disposition}"
    );
    assert_eq!(file.headers()["cache-control"], "no-store");
    assert_eq!(file.text().await.unwrap(), "REDIS0011 and so on");

    let failing = Answer { exit_code: Some(1), stdout: b"REDIS0011".into(), stderr: b"no memory".into() };
    server.instruments.answer_with(failing);
    let broken = get(&path).await;
    assert!(broken.status().is_success() && broken.bytes().await.is_err(), "what is not whole does not end well");

    let mut altered = path.clone();
    altered.pop();
    altered.push(if path.ends_with('A') { 'B' } else { 'A' });
    for path in [altered.as_str(), "/exports/x", "/exports/Zm9v"] {
        let refused = get(path).await;
        assert_eq!(refused.status(), 404, "{path}");
        assert!(refused.text().await.unwrap().contains("not good any more"));
    }
    server.settle(&id, ServiceState::Stopped).await;
    assert_eq!(get(&path).await.status(), 409);
}
