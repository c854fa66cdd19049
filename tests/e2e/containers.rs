//! What a service's container is, seen from the engine and from inside.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::docker::{LABEL, docker, inspect, owned, preview};
use crate::support::eventually;
use crate::support::server::Server;

const MIB: u64 = 1024 * 1024;

async fn provisioned(client: &Client, kind: &str, tier: &str) -> String {
    let input = json!({"projectId": client.project, "kind": kind, "tier": tier});
    let service = client.provision_with(input).await;
    let id = service["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    id
}

/// Limits and confinement that hold for every kind.
fn assert_confined(container: &Value, memory_mib: u64, cpus: f64) {
    let host = &container["HostConfig"];
    assert_eq!(host["Memory"], memory_mib * MIB);
    assert_eq!(host["MemorySwap"], memory_mib * MIB, "no swap beyond the memory");
    assert_eq!(host["NanoCpus"], (cpus * 1e9) as u64);
    assert!(host["PidsLimit"].as_u64().unwrap() > 0);
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert!(host["CapAdd"].is_null());
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["Privileged"], false);
    let limit = |name: &str, value: u64| json!({"Name": name, "Hard": value, "Soft": value});
    assert_eq!(host["Ulimits"], json!([limit("nofile", 16_384), limit("core", 0)]));
    assert_eq!((&host["PidMode"], &host["UTSMode"], &host["IpcMode"]), (&json!(""), &json!(""), &json!("private")));
    assert!(host["Devices"].as_array().is_none_or(Vec::is_empty));
    assert_eq!(container["NetworkSettings"]["Networks"].as_object().unwrap().len(), 1, "its project's network alone");
    assert_eq!(host["LogConfig"]["Config"], json!({"max-file": "3", "max-size": "10m"}));
    assert_eq!(host["RestartPolicy"]["Name"], "always");
    let bindings = host["PortBindings"].as_object().map_or(0, serde_json::Map::len);
    assert_eq!(bindings, 0, "nothing is published unless configured");
    assert_ne!(container["Config"]["User"], "");
    assert_eq!(container["Config"]["Healthcheck"]["Test"], json!(["NONE"]), "each would be a process of the engine's");
    // Nothing of the host's, such as the engine's socket, is mounted: a mount without a name is no volume.
    let volumes: std::collections::BTreeSet<_> =
        container["Mounts"].as_array().unwrap().iter().map(|mount| mount["Name"].as_str().unwrap()).collect();
    assert_eq!(volumes.len(), 1, "one volume a service: {volumes:?}");
    assert!(host["Binds"].is_null());
    assert_confined_inside(container["Name"].as_str().unwrap().trim_start_matches('/'));
}

/// What the limits come to for the main process.
fn assert_confined_inside(id: &str) {
    let status = docker(&["exec", id, "cat", "/proc/1/status"]);
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("{name} in {status}")).trim()
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs"), "1");
    let cannot = "for path in / /etc /usr/bin /var; do touch $path/x 2>/dev/null && echo $path; done; \
        for path in /var/run/docker.sock /run/docker.sock; do [ -e $path ] && echo $path; done; true";
    assert_eq!(docker(&["exec", "--user", "0", id, "sh", "-c", cannot]), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_one_project_do_not_reach_another_projects_database() {
    let (ours, theirs) = (Server::start(&[]).await, Server::start(&[]).await);
    provisioned(&Client::new(&ours), "REDIS", "DEV").await;
    let client = Client::new(&theirs);
    let id = provisioned(&client, "POSTGRESQL", "DEV").await;
    let credentials = client.reveal(&id).await;
    let network = theirs.network();
    let address = inspect(&id)["NetworkSettings"]["Networks"][&network]["IPAddress"].as_str().unwrap().to_owned();
    let by_name = format!("{}?connect_timeout=3", credentials["DATABASE_URL"]);
    let by_address = by_name.replace(&credentials["PGHOST"], &address);
    for (url, refusal) in [(&by_name, "could not translate host name"), (&by_address, "timeout expired")] {
        let connect = |server: &Server| {
            preview(&server.test, &server.network(), "postgres:17", &["psql", url, "-qtAc", "select 1"])
        };
        assert_eq!(connect(&theirs).as_deref(), Ok("1"), "on its own network it answers");
        let error = connect(&ours).unwrap_err();
        assert!(error.contains(refusal), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_sized_and_tuned_to_its_tier() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    for (tier, memory, cpus, storage) in
        [("DEV", 256, 0.5, 1024), ("STANDARD", 512, 1.0, 5 * 1024), ("PERFORMANCE", 1024, 2.0, 20 * 1024)]
    {
        let id = provisioned(&client, "POSTGRESQL", tier).await;
        assert_confined(&inspect(&id), memory, cpus);
        let labels = &inspect(&id)["Config"]["Labels"];
        assert_eq!(labels["dev.project-services.service"], id.as_str());
        assert_eq!(labels["dev.project-services.instance"], id.as_str());
        assert_eq!(labels["dev.project-services.build"].as_str().map(str::len), Some(64));
        let volume = docker(&["volume", "inspect", &id]);
        assert!(volume.contains(&format!("\"dev.project-services.storage-mib\": \"{storage}\"")), "{volume}");

        let credentials = client.reveal(&id).await;
        let show = |setting: &str| {
            let query = format!(
                "select setting::bigint * case unit when '8kB' then 8192 when 'kB' then 1024 \
                when 'MB' then 1048576 else 1 end from pg_settings where name = '{setting}'"
            );
            let url = &credentials["DATABASE_URL"];
            let answer = preview(&server.test, &server.network(), "postgres:17", &["psql", url, "-qtAc", &query]);
            answer.unwrap().parse::<u64>().unwrap()
        };
        assert_eq!(show("shared_buffers"), memory * MIB / 4);
        assert_eq!(show("effective_cache_size"), memory * MIB * 3 / 4);
        assert_eq!(show("max_connections") - show("superuser_reserved_connections"), memory / 8);
        assert_eq!(show("maintenance_work_mem"), memory * MIB / 16);
        assert_eq!((show("temp_file_limit"), show("max_slot_wal_keep_size")), (storage * MIB / 4, storage * MIB / 8));
        if tier == "DEV" {
            let greedy = "select count(*) from generate_series(1, 1000000000)";
            let psql = ["psql", &credentials["DATABASE_URL"], "-qtAc", greedy];
            let refused = preview(&server.test, &server.network(), "postgres:17", &psql).unwrap_err();
            assert!(refused.contains("temporary file size exceeds temp_file_limit"), "{refused}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_sized_and_tuned_to_its_tier() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    for (tier, memory, cpus) in [("DEV", 128, 0.5), ("STANDARD", 256, 1.0), ("PERFORMANCE", 512, 2.0)] {
        let id = provisioned(&client, "REDIS", tier).await;
        assert_confined(&inspect(&id), memory, cpus);
        let url = &client.reveal(&id).await["REDIS_URL"];
        let get = |setting: &str| {
            let command = ["redis-cli", "--no-auth-warning", "-u", url, "config", "get", setting];
            let answer = preview(&server.test, &server.network(), "redis:7", &command).unwrap();
            answer.lines().nth(1).unwrap().to_owned()
        };
        let maxmemory = get("maxmemory").parse::<u64>().unwrap();
        assert!(maxmemory > 0 && maxmemory < memory * MIB, "{maxmemory}");
        assert_eq!(get("maxmemory-policy"), "volatile-lru");
        assert_eq!(get("appendonly"), "yes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_of_redis_may_do_nothing_else() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "DEV").await;
    let script = "(cat /data/.service/ping; echo KEYS '*') | redis-cli -h 127.0.0.1";
    let answer = docker(&["exec", &id, "sh", "-c", script]);
    assert!(answer.contains("PONG") && answer.contains("NOPERM"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_service_is_reached_from_the_host_on_the_port_it_keeps() {
    let server = Server::start(&[("PUBLISH_ADDRESS", "127.0.0.1"), ("PUBLISH_PORTS", "21000-28999")]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "POSTGRESQL", "DEV").await;
    let before = client.service(&id).await;
    assert_eq!(before["externalHost"], "127.0.0.1");
    let credentials = client.reveal(&id).await;
    let connect = async || {
        let service = client.service(&id).await;
        let mut config = tokio_postgres::Config::new();
        config
            .host(service["externalHost"].as_str().unwrap())
            .port(u16::try_from(service["externalPort"].as_u64().unwrap()).unwrap())
            .user(&credentials["PGUSER"])
            .password(&credentials["PGPASSWORD"])
            .dbname(&credentials["PGDATABASE"]);
        let (database, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        database.query_one("select 1", &[]).await.unwrap().get::<_, i32>(0)
    };
    assert_eq!(connect().await, 1);
    client.act("stopService", &id).await;
    let stopped = client.settled(&id, "STOPPED").await;
    assert!(stopped["externalHost"].is_null() && stopped["externalPort"].is_null(), "{stopped}");
    client.act("startService", &id).await;
    let after = client.settled(&id, "RUNNING").await;
    assert_eq!(after["externalPort"], before["externalPort"]);
    assert_eq!(connect().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_engine_does_not_publish_is_not_shown() {
    let server = Server::start(&[("PUBLISH_ADDRESS", "127.0.0.1"), ("PUBLISH_PORTS", "21000-28999")]).await;
    let client = Client::new(&server);
    let label = format!("{LABEL}={}", server.test);
    docker(&["network", "create", "--internal", "--label", &label, &server.network()]);
    let id = provisioned(&client, "REDIS", "DEV").await;
    let service = client.service(&id).await;
    assert!(service["externalHost"].is_null() && service["externalPort"].is_null(), "{service}");

    // Put on a network with a way out by hand, it is published.
    let open = format!("{}-open", server.network());
    docker(&["network", "create", "--label", &label, &open]);
    docker(&["network", "connect", &open, &id]);
    let shown = eventually("the address to be shown", async || {
        let service = client.service(&id).await;
        Some(format!("{}:{}", service["externalHost"].as_str()?, service["externalPort"]))
    })
    .await;
    assert_eq!(shown, docker(&["port", &id, "6379/tcp"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_was_there_is_used_and_stays() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let label = format!("{LABEL}={}", server.test);
    docker(&["network", "create", "--label", &label, &server.network()]);
    let id = provisioned(&client, "REDIS", "DEV").await;
    client.act("destroyService", &id).await;
    client.settled(&id, "DESTROYED").await;
    assert_eq!(owned(&server.test).len(), 1, "only the network that was there before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_was_made_with_other_settings_is_made_anew_at_its_next_start() {
    let server = Server::start(&[]).await;
    let client = Client::new(&server);
    let id = provisioned(&client, "REDIS", "DEV").await;
    let url = client.reveal(&id).await["REDIS_URL"].clone();
    let ask = |words: &[&str]| {
        let command = [&["redis-cli", "--no-auth-warning", "-u", &url], words].concat();
        preview(&server.test, &server.network(), "redis:7", &command).unwrap()
    };
    ask(&["set", "k", "kept"]);
    client.act("stopService", &id).await;
    client.settled(&id, "STOPPED").await;
    let made = inspect(&id);

    // As an earlier version, or somebody by hand, made it.
    let labels = made["Config"]["Labels"].as_object().unwrap().iter().map(|(key, value)| {
        let value = if key.ends_with(".build") { "0".repeat(64) } else { value.as_str().unwrap().to_owned() };
        format!("--label={key}={value}")
    });
    let labels: Vec<_> = labels.collect();
    let (network, volume) = (server.network(), format!("{id}:/data"));
    let arguments = ["--init", "--network", &network, "--volume", &volume, "redis:7", "redis-server", "--port", "1"];
    docker(&["rm", &id]);
    docker(
        &[&["create", "--name", &id], &labels.iter().map(String::as_str).collect::<Vec<_>>()[..], &arguments].concat(),
    );

    client.act("startService", &id).await;
    client.settled(&id, "RUNNING").await;
    assert_eq!(ask(&["get", "k"]), "kept");
    assert_eq!(inspect(&id)["Config"]["Labels"], made["Config"]["Labels"]);
    let query = "query($id: ID!) { service(id: $id) { events(last: 50) { nodes { message } } } }";
    let events = client.data(query, json!({"id": id})).await;
    assert!(events.to_string().contains("had other settings than it is to have"), "{events}");
}
