//! The data is gone, or somebody touched it.

use std::time::Duration;

use super::{provisioned, shows_error};
use crate::support::client::Client;
use crate::support::docker::{docker, inspect, owned};
use crate::support::engine::Engine;
use crate::support::eventually;
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_gone_is_never_replaced_by_an_empty_one() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "POSTGRESQL", "17").await;
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    docker(&["rm", &id]);
    docker(&["volume", "rm", &id]);
    // Shown as soon as it is so, not only at the next start.
    let lost = client.settled(&id, "ERROR").await;
    assert_eq!(lost["error"]["code"], "VOLUME_LOST");
    client.act("startService", &id).await;
    let lost = client.settled(&id, "ERROR").await;
    assert_eq!(lost["error"]["code"], "VOLUME_LOST");
    client.act("destroyService", &id).await;
    client.settled(&id, "DESTROYED").await;
    assert_eq!(owned(&server.test), Vec::<String>::new());
}

/// The engine tells only that something was pruned.
#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_pruned_is_missed_at_once() {
    let engine = Engine::start(&[]).await;
    engine.load("redis:7");
    let server = Server::start(&[("DOCKER_HOST", &engine.host()), ("RECONCILE_INTERVAL", "600")]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "7").await;
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    engine.docker(&["rm", &id]);
    // It was removed by hand, and that is seen. Newer engines prune volumes with names only when asked for all.
    client.settled(&id, "STOPPED").await;
    let prune = format!("docker --host {} volume prune --force", engine.host());
    engine.run(&format!("{prune} --all || {prune}"));
    shows_error(&client, &id, "VOLUME_LOST", Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_was_emptied_is_not_filled_anew_and_runs_once_its_data_is_back() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    for (kind, version) in [("POSTGRESQL", "17"), ("REDIS", "7")] {
        let id = provisioned(&client, kind, version).await;
        client.act("stopService", &id).await;
        client.settled(&id, "STOPPED").await;
        let copy = format!("{id}-copy");
        docker(&["volume", "create", "--label", &format!("dev.project-services.test={}", server.test), &copy]);
        let mounts = [format!("{id}:/data"), format!("{copy}:/copy")];
        let shell = |script: &str| {
            let mounts = ["--volume", &mounts[0], "--volume", &mounts[1]];
            let run = [&["run", "--rm", "--user", "0", "--entrypoint", "sh"], &mounts[..], &["redis:7", "-c", script]];
            docker(&run.concat())
        };
        shell("cp -a /data/. /copy && rm -rf /data/* /data/.[!.]*");
        client.act("startService", &id).await;
        let lost = client.settled(&id, "ERROR").await;
        assert_eq!(lost["error"]["code"], "VOLUME_LOST", "{kind}");
        eventually("the engine to leave it alone", async || {
            let container = inspect(&id);
            let policy = &container["HostConfig"]["RestartPolicy"]["Name"];
            (policy == "no" && container["State"]["Running"] == false).then_some(())
        })
        .await;
        let written = shell("ls -A /data");
        assert!(!written.contains("pgdata") && !written.contains("appendonly"), "{kind}: {written}");

        shell("rm -rf /data/* /data/.[!.]*; cp -a /copy/. /data");
        client.act("startService", &id).await;
        client.settled(&id, "RUNNING").await;
    }
}
