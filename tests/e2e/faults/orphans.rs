//! What bears the installation's labels and nobody wants, and what bears those of another.

use uuid::Uuid;

use super::provisioned;
use crate::support::client::Client;
use crate::support::docker::{LABEL, docker, inspect, try_docker};
use crate::support::eventually;
use crate::support::server::Server;

const INSTALLATION: &str = "dev.project-services.installation";
const SERVICE: &str = "dev.project-services.service";
const PROJECT: &str = "dev.project-services.project";

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_wants_is_removed_and_all_else_stays() {
    let server = Server::start(&[("ORPHAN_GRACE", "1"), ("RECONCILE_INTERVAL", "1")]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    let before = inspect(&id)["State"]["StartedAt"].clone();
    let installation = inspect(&id)["Config"]["Labels"][INSTALLATION].as_str().unwrap().to_owned();

    let name = |what: &str| format!("{what}-{}", server.test);
    let test = format!("{LABEL}={}", server.test);
    let (ours, others) = (format!("{INSTALLATION}={installation}"), format!("{INSTALLATION}={}", Uuid::now_v7()));
    let nobody = format!("{SERVICE}=svc_{}", Uuid::now_v7().simple());
    let (own, project) = (format!("{SERVICE}={id}"), format!("{PROJECT}=nobody"));
    let container = |what: &str, labels: &[&str]| {
        let name = name(what);
        let mut create = vec!["create", "--name", &name, "--label", &test];
        labels.iter().for_each(|label| create.extend(["--label", label]));
        create.push("redis:7");
        docker(&create);
    };
    container("rowless", &[&ours, &nobody]);
    container("nameless", &[&ours]);
    container("second", &[&ours, &own]);
    container("foreign", &[&others, &nobody]);
    container("plain", &[]);
    docker(&["network", "create", "--label", &test, "--label", &ours, "--label", &project, &name("unused")]);
    docker(&["network", "create", "--label", &test, "--label", &others, "--label", &project, &name("theirs")]);
    docker(&["volume", "create", "--label", &test, "--label", &ours, "--label", &nobody, &name("data")]);

    eventually("the orphans to go", async || {
        let gone = |kind: &str, what: &str| try_docker(&[kind, "inspect", &name(what)]).is_err();
        let containers = ["rowless", "nameless", "second"].iter().all(|what| gone("container", what));
        (containers && gone("network", "unused")).then_some(())
    })
    .await;
    for what in ["foreign", "plain"] {
        assert!(try_docker(&["container", "inspect", &name(what)]).is_ok(), "{what} stays");
    }
    assert!(try_docker(&["network", "inspect", &name("theirs")]).is_ok());
    assert!(try_docker(&["volume", "inspect", &name("data")]).is_ok(), "data is left for a person");
    assert_eq!(inspect(&id)["State"]["StartedAt"], before, "the service itself was left alone");
}
