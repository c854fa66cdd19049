//! Volumes with a limit of their own, in files on a host whose file system can set none.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::clones::clone;
use crate::restore::told;
use crate::support::client::Client;
use crate::support::engine::Engine;
use crate::support::eventually;
use crate::support::server::Server;

const MIB: u64 = 1024 * 1024;

/// An engine of its own, whose host can be started anew, with a server that puts volumes into files there.
struct Host {
    engine: Engine,
    files: PathBuf,
}

impl Host {
    async fn start() -> Self {
        let engine = Engine::start(&[]).await;
        for image in ["postgres:17", "redis:7", "debian:bookworm-slim"] {
            engine.load(image);
        }
        let files = engine.directory().join("volumes");
        Self { engine, files }
    }

    async fn serve(&self) -> Server {
        self.serve_from(&self.files).await
    }

    async fn serve_from(&self, files: &Path) -> Server {
        let files = files.to_str().unwrap();
        let host = self.engine.host();
        let settings = [("DOCKER_HOST", host.as_str()), ("STORAGE_BACKEND", "loop"), ("STORAGE_DIRECTORY", files)];
        Server::start(&settings).await
    }

    fn file(&self, id: &str) -> PathBuf {
        self.files.join(format!("{id}.img"))
    }

    /// Loop devices are gone after it, and so is what is in memory.
    async fn reboot(&self, ids: &[&str]) {
        self.engine.stop();
        for id in ids {
            fs::remove_file(link(id)).unwrap();
            detach(&self.file(id));
        }
        self.engine.again().await;
    }

    fn runs(&self, id: &str) -> bool {
        self.engine.docker(&["inspect", "--format", "{{.State.Running}}", id]) == "true"
    }

    fn inside(&self, id: &str, command: &str) -> String {
        self.engine.docker(&["exec", id, "sh", "-c", command])
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.engine.end();
        for file in fs::read_dir(&self.files).into_iter().flatten().flatten() {
            detach(&file.path());
            let _ = fs::remove_file(link(file.path().file_stem().unwrap().to_str().unwrap()));
        }
    }
}

fn link(id: &str) -> PathBuf {
    Path::new("/dev/project-services").join(id)
}

fn devices(file: &Path) -> Vec<String> {
    let output = Command::new("losetup").args(["--noheadings", "--output", "NAME", "--associated"]).arg(file).output();
    String::from_utf8(output.unwrap().stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

fn detach(file: &Path) {
    for device in devices(file) {
        assert!(Command::new("losetup").args(["--detach", &device]).status().unwrap().success());
    }
}

/// What is shown of its storage once it runs and was measured.
async fn storage(client: &Client, id: &str, limit: u64) -> Value {
    let query = "query($id: ID!) { service(id: $id) { state error { code } operation { kind } restartPending
        storage { usedMib limitMib enforcement } } }";
    eventually(&format!("{limit} MiB"), async || {
        let service = client.data(query, json!({"id": id})).await["service"].clone();
        let is_so = service["state"] == "RUNNING"
            && service["operation"].is_null()
            && service["storage"]["limitMib"] == limit
            && service["storage"]["enforcement"] == "HARD";
        is_so.then_some(service)
    })
    .await
}

/// One that a host has no room for is refused, and leaves nothing.
async fn a_full_host(host: &Host) {
    host.engine.run("mkdir small && mount -t tmpfs -o size=300m none small");
    let server = host.serve_from(&host.engine.directory().join("small")).await;
    let client = Client::new(&server);
    let id = client.provision("REDIS", "7").await["id"].as_str().unwrap().to_owned();
    let refused = client.settled(&id, "ERROR").await;
    assert_eq!(refused["error"]["code"], "NO_SPACE", "{refused}");
    host.engine.run("test -z \"$(ls small)\"");
    client.act("destroyService", &id).await;
    client.settled(&id, "DESTROYED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_in_a_file_holds_no_more_and_comes_back_after_the_host_was_started_anew() {
    let host = Host::start().await;
    let server = host.serve().await;
    let client = Client::new(&server);
    let postgresql = json!({"projectId": client.project, "kind": "POSTGRESQL", "tier": "DEV", "version": "17"});
    let redis = json!({"projectId": client.project, "kind": "REDIS", "tier": "DEV", "version": "7"});
    let [database, cache] = [client.provision_with(postgresql).await, client.provision_with(redis).await]
        .map(|service| service["id"].as_str().unwrap().to_owned());
    for (id, limit) in [(&database, 1024), (&cache, 512)] {
        client.settled(id, "RUNNING").await;
        storage(&client, id, limit).await;
        // What it may take is taken, so that it is there whatever others write.
        let file = fs::metadata(host.file(id)).unwrap();
        assert_eq!(file.len(), limit * MIB * 5 / 4);
        assert_eq!(file.mode() & 0o777, 0o600, "nobody else reads it");
        assert!(file.blocks() * 512 >= file.len(), "{} blocks", file.blocks());
    }
    let url = client.reveal(&database).await["DATABASE_URL"].clone();
    let sql = |statement: &str| host.inside(&database, &format!("psql '{url}' -qtAc \"{statement}\""));
    sql("create table t as select 1 as i");
    let password = client.reveal(&cache).await["REDIS_PASSWORD"].clone();
    let ask = |command: &str| host.inside(&cache, &format!("redis-cli --no-auth-warning -a {password} {command}"));
    assert_eq!(ask("set k kept"), "OK");

    // Nothing that is written gets beyond the limit. The server sees it stopped on the way there.
    let hog = ["exec", cache.as_str(), "dd", "if=/dev/zero", "of=/data/hog", "bs=1M", "count=2000"];
    let filled = Command::new("docker").args(["--host", &host.engine.host()]).args(hog).output().unwrap();
    assert!(!filled.status.success());
    sql("insert into t values (2)");
    let full = json!({"id": cache});
    eventually("it to be stopped", async || {
        let query = "query($id: ID!) { service(id: $id) { state error { code } } }";
        let service = client.data(query, full.clone()).await["service"].clone();
        (service["state"] == "ERROR" && service["error"]["code"] == "STORAGE_FULL").then_some(())
    })
    .await;
    client.act("startService", &cache).await;
    client.settled(&cache, "RUNNING").await;
    host.inside(&cache, "rm /data/hog");
    storage(&client, &cache, 512).await;

    host.reboot(&[&database, &cache]).await;
    for (id, limit) in [(&database, 1024), (&cache, 512)] {
        eventually("its container to run", async || host.runs(id).then_some(())).await;
        storage(&client, id, limit).await;
    }
    assert_eq!(sql("select sum(i) from t"), "3");
    assert_eq!(ask("get k"), "kept");

    // A larger size is a larger file. Where the kernel does not let it grow while it is in use, that takes a restart.
    let resize =
        "mutation($id: ID!) { resizeService(input: {id: $id, tier: STANDARD, apply: NOW}) { service { id } } }";
    client.data(resize, json!({"id": cache})).await;
    storage(&client, &cache, 2048).await;
    assert_eq!(fs::metadata(host.file(&cache)).unwrap().len(), 2560 * MIB);
    assert_eq!(ask("get k"), "kept");
    let room: u64 = host.inside(&cache, "stat -f -c %b /data").parse().unwrap();
    assert!((2300..=2560).contains(&(room * 4096 / MIB)), "{room} blocks");

    // Without its file it is an error, not an empty database; with it, it is as it was.
    client.act("stopService", &database).await;
    client.settled(&database, "STOPPED").await;
    let aside = host.files.join("aside");
    detach(&host.file(&database));
    fs::rename(host.file(&database), &aside).unwrap();
    client.act("startService", &database).await;
    let lost = client.settled(&database, "ERROR").await;
    assert_eq!(lost["error"]["code"], "VOLUME_LOST", "{lost}");
    assert!(!host.file(&database).exists());
    fs::rename(&aside, host.file(&database)).unwrap();
    client.act("startService", &database).await;
    client.settled(&database, "RUNNING").await;
    assert_eq!(sql("select sum(i) from t"), "3");

    a_full_host(&host).await;
    for id in [&database, &cache] {
        client.act("destroyService", id).await;
        client.settled(id, "DESTROYED").await;
        assert!(!host.file(id).exists() && !link(id).exists() && devices(&host.file(id)).is_empty(), "{id}");
    }
    assert_eq!(fs::read_dir(&host.files).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_a_file_is_copied_into_another_one() {
    let host = Host::start().await;
    let server = host.serve().await;
    let client = Client::new(&server);
    let database = client.provision("POSTGRESQL", "17").await["id"].as_str().unwrap().to_owned();
    client.settled(&database, "RUNNING").await;
    let say = async |id: &str, statement: &str| {
        let url = client.reveal(id).await["DATABASE_URL"].clone();
        host.inside(id, &format!("psql '{url}' -qtAc \"{statement}\""))
    };
    say(&database, "create table t as select 1 as i").await;
    let since = client.cursor().await;
    let copy = clone(&client, &database, "copy").await;
    client.settled(&copy, "RUNNING").await;
    let way = told(&client, &since, "copy has the data of ").await;
    assert!(way.ends_with(", copied from volume to volume."), "{way}");
    assert_eq!(say(&copy, "select sum(i) from t").await, "1");
    for id in [&database, &copy] {
        client.act("destroyService", id).await;
        client.settled(id, "DESTROYED").await;
    }
    assert_eq!(fs::read_dir(&host.files).unwrap().count(), 0);
}
