//! What a service holds is downloaded, in the form of its own tools.

use serde_json::json;

use crate::backups::{redis, running, sql};
use crate::support::client::Client;
use crate::support::docker::docker;
use crate::support::server::Server;

async fn download(server: &Server, client: &Client, id: &str) -> Vec<u8> {
    let mutation = "mutation($id: ID!) { exportService(input: {id: $id}) { path } }";
    let data = client.data(mutation, json!({"id": id})).await;
    let url = format!("http://{}{}", server.address, data["exportService"]["path"].as_str().unwrap());
    let answer = reqwest::get(url).await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
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
