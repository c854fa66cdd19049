//! What a service holds is downloaded, in the form of its own tools.

use reqwest::Response;
use serde_json::json;

use crate::backups::{redis, running, sql};
use crate::support::client::Client;
use crate::support::docker::{docker, inspect, owned};
use crate::support::eventually;
use crate::support::server::Server;

async fn begin(server: &Server, client: &Client, id: &str) -> Response {
    let mutation = "mutation($id: ID!) { exportService(input: {id: $id}) { path } }";
    let data = client.data(mutation, json!({"id": id})).await;
    let url = format!("http://{}{}", server.address, data["exportService"]["path"].as_str().unwrap());
    let answer = reqwest::get(url).await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    answer
}

async fn download(server: &Server, client: &Client, id: &str) -> Vec<u8> {
    let answer = begin(server, client, id).await;
    answer.bytes().await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_of_each_kind_read_what_is_downloaded() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "17").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    let fill = "CREATE TABLE t AS SELECT g, md5(g::text) FROM generate_series(1, 50000) g";
    sql(&server, &url, fill).unwrap();
    let file = server.directory().join("whole.dump");
    std::fs::write(&file, download(&server, &client, &id).await).unwrap();
    let label = format!("dev.project-services.test={}", server.test);
    let mount = format!("{}:/whole.dump:ro", file.display());
    let run = ["run", "--rm", "--label", &label, "--volume", &mount, "--entrypoint", "pg_restore", "postgres:17"];
    let restored = docker(&[&run[..], &["-f", "-", "/whole.dump"]].concat());
    let rows = restored.lines().filter(|line| line.split_once('\t').is_some_and(|(_, md5)| md5.len() == 32)).count();
    assert_eq!(rows, 50_000);

    let other = running(&client, "REDIS", "7").await;
    let url = client.reveal(&other).await["REDIS_URL"].clone();
    redis(&server, "7", &url, &["SET", "key", "found in it"]);
    let file = download(&server, &client, &other).await;
    assert!(file.starts_with(b"REDIS00"));
    assert!(file.windows(11).any(|part| part == b"found in it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_nobody_takes_holds_up_neither_a_stop_nor_a_destroy() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = running(&client, "POSTGRESQL", "17").await;
    let url = client.reveal(&id).await["DATABASE_URL"].clone();
    // More than fits into all that is between the two, also compressed.
    let fill = "CREATE TABLE t AS SELECT sha512(g::text::bytea) || sha512((-g)::text::bytea) FROM generate_series(1, 300000) g";
    sql(&server, &url, fill).unwrap();

    let waits = async || {
        let dump = "FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event = 'ClientWrite'";
        let mut before = String::new();
        eventually("the dump to wait for who takes it", async || {
            let waiting = sql(&server, &url, &format!("SELECT pid, state_change, backend_xmin {dump}")).unwrap();
            let is_still = !waiting.is_empty() && waiting == before;
            before = waiting;
            is_still.then_some(())
        })
        .await;
    };

    // Whose container is told something else goes on.
    let download = begin(&server, &client, &id).await;
    waits().await;
    let loaded = sql(&server, &url, "SELECT pg_conf_load_time()").unwrap();
    docker(&["kill", "--signal", "HUP", &id]);
    let reloaded = format!("SELECT '{loaded}' < pg_conf_load_time() AND pg_conf_load_time() < now() - interval '2 s'");
    eventually("its configuration to be read anew", async || {
        (sql(&server, &url, &reloaded).unwrap() == "t").then_some(())
    })
    .await;
    assert!(!download.bytes().await.unwrap().is_empty());

    let download = begin(&server, &client, &id).await;
    waits().await;
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    let state = inspect(&id)["State"].take();
    assert_eq!((&state["Running"], &state["ExitCode"]), (&json!(false), &json!(0)), "{state}");
    assert!(download.bytes().await.is_err(), "it is told that it is not whole");

    client.act("startService", &id).await;
    client.settled(&id, "RUNNING").await;
    let _download = begin(&server, &client, &id).await;
    waits().await;
    client.act("destroyService", &id).await;
    client.settled(&id, "DESTROYED").await;
    eventually("its network to be gone", async || owned(&server.test).is_empty().then_some(())).await;
}
