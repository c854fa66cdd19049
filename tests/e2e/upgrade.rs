//! A service is brought to another version, with its data, and back.

use serde_json::{Value, json};

use crate::support::client::{Client, Events};
use crate::support::docker::{docker, owned, preview};
use crate::support::engine::Engine;
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::server::{SUPERUSER, Server};

mod mongodb;
mod mysql;

const PUBLISHED: (&str, &str) = ("PUBLISH_ADDRESS", "127.0.0.1");

pub async fn upgrade(client: &Client, id: &str, version: &str) -> Value {
    let mutation = "mutation($input: UpgradeServiceInput!) { upgradeService(input: $input) {
        service { version operation { kind } } event { message actor } } }";
    client.execute(mutation, json!({"input": {"id": id, "version": version}})).await
}

pub async fn revert(client: &Client, id: &str) -> Value {
    let mutation =
        "mutation($id: ID!) { revertService(input: {id: $id}) { service { version state } event { message } } }";
    client.execute(mutation, json!({"id": id})).await
}

/// What is refused, as code, field and message.
pub fn refusal(answer: &Value) -> (String, String, String) {
    let error = &answer["errors"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&error["extensions"]["code"]), text(&error["extensions"]["field"]), text(&error["message"]))
}

pub async fn versions(client: &Client, id: &str) -> Value {
    let query = "query($id: ID!) { service(id: $id) { version upgradesTo replaced { version keptUntil } } }";
    client.data(query, json!({"id": id})).await["service"].clone()
}

/// Reads on until the service is in `phase`, or in one of which that can't be told any more.
pub async fn phase(events: &mut Events, phase: &str) -> bool {
    loop {
        let event = events.next().await.unwrap();
        if event["operation"]["phase"] == phase {
            return true;
        }
        if event["state"] == "RUNNING" && event["operation"].is_null() && event["previousState"] == "PROVISIONING" {
            return false;
        }
    }
}

/// Waits for a word of how far the copy is.
async fn progress(events: &mut Events) {
    loop {
        let operation = events.next().await.unwrap()["operation"].take();
        if operation["phase"] == "COPYING_DATA" && operation["progressPercent"].as_u64().is_some_and(|part| part < 100)
        {
            return;
        }
    }
}

struct World {
    server: Server,
    id: String,
    url: String,
}

impl World {
    async fn new(kind: &str, version: &str, tier: &str, settings: &[(&str, &str)]) -> Self {
        let server = Server::start(settings).await;
        let client = Client::new(&server);
        let input = json!({"projectId": client.project, "kind": kind, "version": version, "tier": tier});
        let id = client.provision_with(input).await["id"].as_str().unwrap().to_owned();
        client.settled(&id, "RUNNING").await;
        let (_, url) = client.reveal(&id).await.into_iter().find(|(key, _)| key.ends_with("_URL")).unwrap();
        Self { server, id, url }
    }

    fn client(&self) -> Client {
        Client::new(&self.server)
    }

    /// Statements by a client of the platform, in one session.
    fn try_sql(&self, url: &str, statements: &str) -> Result<String, String> {
        let command = ["psql", url, "-qtA", "-v", "ON_ERROR_STOP=1", "-c", statements];
        preview(&self.server.test, &self.server.network(), "postgres:17", &command)
    }

    fn sql(&self, statements: &str) -> String {
        self.try_sql(&self.url, statements).unwrap()
    }

    fn redis(&self, words: &str) -> String {
        let mut command = vec!["redis-cli", "--no-auth-warning", "-u", &self.url];
        command.extend(words.split(' '));
        preview(&self.server.test, &self.server.network(), "redis:7", &command).unwrap()
    }

    /// How many containers and volumes are there.
    fn things(&self) -> (usize, usize) {
        let label = format!("label=dev.project-services.service={}", self.id);
        let count = |list: &[&str]| docker(list).lines().count();
        (count(&["ps", "-aq", "--filter", &label]), count(&["volume", "ls", "-q", "--filter", &label]))
    }

    /// Waits until it runs in `version`, from whatever it was left in.
    async fn brought_to(&self, version: &str) -> Value {
        eventually("its new version", async || {
            (self.client().service(&self.id).await["version"] == version).then_some(())
        })
        .await;
        self.settled().await
    }

    async fn settled(&self) -> Value {
        let service = self.client().settled(&self.id, "RUNNING").await;
        assert!(service["error"].is_null(), "{service}");
        service
    }
}

/// What a cluster of some variety answers, whatever its version.
const LOOK: &str = "SELECT string_agg(x, ' ' ORDER BY x) FROM (
    SELECT 'rows ' || count(*) || ' ' || sum(hashtext(t::text)::bigint) x FROM t t
    UNION ALL SELECT 'partition ' || tableoid::regclass || ' ' || count(*) FROM parts GROUP BY tableoid
    UNION ALL SELECT 'sequence ' || last_value FROM t_id_seq
    UNION ALL SELECT 'blob ' || md5(lo_get(42))
    UNION ALL SELECT 'unlogged ' || count(*) FROM scratch
    UNION ALL SELECT 'similar ' || round(similarity('upgrade', 'upgrades')::numeric, 2)
    UNION ALL SELECT 'function ' || twice(21)
    UNION ALL SELECT 'granted ' || has_table_privilege('reader', 't', 'SELECT')
    UNION ALL SELECT 'setting ' || current_setting('work_mem')) look";

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_goes_over_with_all_that_it_holds_and_back() {
    let world = World::new("POSTGRESQL", "15", "DEV", &[PUBLISHED]).await;
    let (client, id) = (world.client(), world.id.as_str());
    for statements in [
        "CREATE EXTENSION pg_trgm",
        "CREATE TABLE t (id serial PRIMARY KEY, words text)",
        "INSERT INTO t (words) SELECT md5(n::text) FROM generate_series(1, 5000) n",
        "CREATE INDEX ON t USING gin (words gin_trgm_ops)",
        "CREATE TABLE parts (at date, n int) PARTITION BY RANGE (at)",
        "CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-07-01')",
        "CREATE TABLE parts_b PARTITION OF parts FOR VALUES FROM ('2026-07-01') TO ('2027-01-01')",
        "INSERT INTO parts SELECT date '2026-01-01' + n % 365, n FROM generate_series(0, 999) n",
        "SELECT lo_from_bytea(42, decode(repeat('c0ffee', 100000), 'hex'))",
        "CREATE UNLOGGED TABLE scratch AS SELECT 1",
        "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1'",
        "CREATE ROLE reader LOGIN PASSWORD 'read it'",
        "GRANT SELECT ON t TO reader",
        "CREATE DATABASE \"other's\"",
        "COMMENT ON DATABASE \"other's\" IS 'with a quote'",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''3MB''', current_database()); END $$",
    ] {
        world.sql(statements);
    }
    let other = |role: &str| {
        let (address, _) = world.url.rsplit_once('/').unwrap();
        let (_, host) = address.rsplit_once('@').unwrap();
        match role {
            "" => format!("{address}/other's"),
            role => format!("postgresql://{role}:read%20it@{host}/{}", world.url.rsplit_once('/').unwrap().1),
        }
    };
    world.try_sql(&other(""), "CREATE TABLE elsewhere AS SELECT 7 AS n").unwrap();
    let before = world.sql(LOOK);
    let service = client.service(id).await;
    assert_eq!(versions(&client, id).await["upgradesTo"], json!(["18", "17", "16"]));
    assert!(service["viewerActions"].as_array().unwrap().contains(&json!("UPGRADE")));
    assert!(!service["viewerActions"].as_array().unwrap().contains(&json!("REVERT")));

    // What can't be.
    let (code, field, _) = refusal(&upgrade(&client, id, "19").await);
    assert_eq!((code.as_str(), field.as_str()), ("BAD_USER_INPUT", "version"));
    let (code, field, _) = refusal(&upgrade(&client, id, "15").await);
    assert_eq!((code.as_str(), field.as_str()), ("CONFLICT", "version"));
    assert_eq!(refusal(&revert(&client, id).await).0, "CONFLICT");
    let as_sidecar = |statement: &str| {
        docker(&["exec", id, "psql", "-U", "project_services", "-d", "dbname='other\\'s'", "-c", statement])
    };
    as_sidecar("CREATE EXTENSION adminpack");
    upgrade(&client, id, "17").await;
    let failed = eventually("it to be refused", async || {
        let service = client.service(id).await;
        service["error"]["code"].is_string().then_some(service)
    })
    .await;
    assert_eq!((&failed["state"], &failed["error"]["code"]), (&json!("RUNNING"), &json!("UPGRADE_FAILED")));
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(message.contains("The extension adminpack, which the database other\\'s has"), "{message}");
    assert_eq!((world.things(), world.sql(LOOK)), ((1, 1), before.clone()));
    as_sidecar("DROP EXTENSION adminpack");

    // What is.
    let asked = upgrade(&client, id, "17").await;
    assert_eq!(asked["data"]["upgradeService"]["service"]["operation"]["kind"], "UPGRADE", "{asked}");
    assert!(upgrade(&client, id, "17").await["data"]["upgradeService"]["event"].is_null());
    assert_eq!(refusal(&upgrade(&client, id, "16").await).0, "CONFLICT");
    let resize = "mutation($id: ID!) { resizeService(input: {id: $id, tier: STANDARD}) { service { id } } }";
    assert_eq!(refusal(&client.execute(resize, json!({"id": id})).await).0, "CONFLICT");
    let actions = client.service(id).await["viewerActions"].clone();
    assert_eq!(actions, json!(["STOP", "RESTART", "DESTROY", "REVEAL_CREDENTIALS"]));
    let after = world.settled().await;
    assert_eq!(after["version"], "17");
    for same in ["hostname", "port", "externalHost", "externalPort"] {
        assert_eq!(after[same], service[same], "{same}");
    }
    assert!(after["externalPort"].is_number());
    assert_eq!(world.sql(LOOK), before);
    assert!(world.sql("SHOW server_version").starts_with("17"));
    assert_eq!(world.sql("SELECT count(*) > 0 FROM pg_stats WHERE tablename = 't'"), "t", "statistics are there");
    assert_eq!(world.try_sql(&other(""), "SELECT n FROM elsewhere").unwrap(), "7");
    assert_eq!(world.try_sql(&other("reader"), "SELECT count(*) FROM t").unwrap(), "5000");
    assert_eq!((world.things(), &versions(&client, id).await["replaced"]["version"]), ((1, 2), &json!("15")));
    assert_eq!(refusal(&upgrade(&client, id, "15").await).0, "CONFLICT");

    // Back, and forth again: nothing of either is lost.
    world.sql("INSERT INTO t (words) VALUES ('later'), ('later'), ('later')");
    world.sql("SELECT pg_stat_force_next_flush()");
    eventually("what was written to be told", async || {
        (world.sql("SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 't'") == "3").then_some(())
    })
    .await;
    let answer = revert(&client, id).await;
    let event = answer["data"]["revertService"]["event"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(event.contains("from version 17 to 15") && event.contains("3 rows were inserted"), "{event}");
    assert_eq!(world.settled().await["version"], "15");
    assert_eq!((world.sql(LOOK), world.things()), (before.clone(), (1, 2)));
    world.sql("CREATE TABLE written (n int)");
    assert!(revert(&client, id).await["errors"].is_null());
    assert_eq!(world.settled().await["version"], "17");
    assert_eq!(world.sql("SELECT count(*) FROM t"), "5003");
    world.sql("CREATE TABLE written (n int)");

    // The newest keeps its data at another place of the image's.
    let before = world.sql(LOOK);
    assert!(upgrade(&client, id, "18").await["errors"].is_null());
    assert_eq!(world.settled().await["version"], "18");
    assert_eq!((world.sql(LOOK), world.things()), (before, (1, 3)));

    client.act("destroyService", id).await;
    client.settled(id, "DESTROYED").await;
    assert_eq!(owned(&world.server.test), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_not_go_over_is_refused_by_its_name_until_it_is_gone() {
    let world = World::new("POSTGRESQL", "16", "DEV", &[SUPERUSER]).await;
    let (client, id) = (world.client(), world.id.as_str());
    // There are no prepared transactions unless a superuser has the server keep them.
    world.sql("ALTER SYSTEM SET max_prepared_transactions = 1");
    client.act("restartService", id).await;
    world.settled().await;
    let elsewhere = "/var/lib/postgresql/data/elsewhere";
    world.sql(&format!("COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; mkdir {elsewhere}'"));
    for statement in [
        "CREATE DATABASE closed ALLOW_CONNECTIONS false",
        &format!("CREATE TABLESPACE elsewhere LOCATION '{elsewhere}'"),
        "CREATE TABLE moved TABLESPACE elsewhere AS SELECT 1 AS n",
        "CREATE TABLE t AS SELECT 1 AS n",
        "CREATE SUBSCRIPTION news CONNECTION 'host=127.0.0.1 port=1' PUBLICATION news WITH (connect = false)",
        "ALTER SUBSCRIPTION news ENABLE",
        "BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'of two'",
    ] {
        world.sql(statement);
    }
    for (told, cleared) in [
        ("The database closed allows no connections", "ALTER DATABASE closed ALLOW_CONNECTIONS true"),
        ("The tablespace elsewhere is outside", "ALTER TABLE moved SET TABLESPACE pg_default"),
        ("The subscription news writes to it; disable it first.", "ALTER SUBSCRIPTION news DISABLE"),
        ("The prepared transaction of two has to be committed or rolled back first.", "COMMIT PREPARED 'of two'"),
    ] {
        assert!(upgrade(&client, id, "17").await["errors"].is_null());
        let refused = eventually(told, async || {
            let service = client.service(id).await;
            service["error"]["message"].as_str().is_some_and(|message| message.contains(told)).then_some(service)
        })
        .await;
        assert_eq!((&refused["state"], &refused["error"]["code"]), (&json!("RUNNING"), &json!("UPGRADE_FAILED")));
        assert_eq!((world.things(), &refused["version"]), ((1, 1), &json!("16")), "nothing was done to it");
        world.sql(cleared);
        if told.contains("tablespace") {
            world.sql("DROP TABLESPACE elsewhere");
        }
    }
    assert!(upgrade(&client, id, "17").await["errors"].is_null());
    assert_eq!(world.settled().await["version"], "17");
    assert_eq!(world.sql("SELECT sum(t.n), sum(moved.n) FROM t, moved"), "3|2");
    assert_eq!(world.sql("SELECT subname, subenabled FROM pg_subscription"), "news|f");
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_server_is_killed_it_is_the_old_one_or_the_new_one() {
    let proxy = Proxy::start();
    let mut world = World::new("POSTGRESQL", "15", "PERFORMANCE", &[("DOCKER_HOST", &proxy.host())]).await;
    let id = world.id.clone();
    let stop = format!("/containers/{id}/stop");
    let mut stops = proxy.catch(move |request| request.contains(&stop));
    let fill = "CREATE TABLE t AS SELECT n, repeat(md5(n::text), 10) AS words FROM generate_series(1, 500000) n";
    world.sql(fill);
    let size: u64 = world.sql("SELECT pg_database_size(current_database())").parse().unwrap();
    assert!(size > 180_000_000, "{size}");
    let look = "SELECT count(*) || ' ' || sum(hashtext(t::text)::bigint) FROM t t";
    let before = world.sql(look);
    let mut events = world.client().events(None).await;
    assert!(upgrade(&world.client(), &id, "17").await["errors"].is_null());
    for at in ["PREPARING", "COPYING_DATA", "COMPARING", "SWITCHING", "CREATING_CONTAINER"] {
        if at == "COMPARING" {
            progress(&mut events).await;
        }
        // It may run again in between, until it is tried anew.
        while !phase(&mut events, at).await {}
        if at == "SWITCHING" {
            (&mut stops).await.unwrap();
        }
        if at == "COPYING_DATA" {
            let refused = world.try_sql(&world.url, "INSERT INTO t VALUES (0, 'lost')").unwrap_err();
            assert!(refused.contains("read-only transaction"), "{refused}");
            assert_eq!(world.sql(look), before, "it is read meanwhile");
        }
        world.server.kill();
        if at == "COMPARING" {
            assert_eq!(world.sql(look), before, "its clients need no sidecar");
        }
        world.server.restart().await;
        let client = world.client();
        events = client.events(Some(&client.cursor().await)).await;
        let version = client.service(&id).await["version"].clone();
        assert_eq!(version, if at == "CREATING_CONTAINER" { "17" } else { "15" });
    }
    assert_eq!(world.settled().await["version"], "17");
    assert_eq!((world.sql(look), world.things()), (before, (1, 2)));
    world.sql("INSERT INTO t VALUES (0, 'kept')");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_or_a_destroy_ends_an_upgrade() {
    let world = World::new("POSTGRESQL", "16", "DEV", &[]).await;
    let (client, id) = (world.client(), world.id.as_str());
    world.sql("CREATE TABLE t AS SELECT n, repeat(md5(n::text), 10) AS words FROM generate_series(1, 50000) n");
    let mut events = client.events(None).await;

    upgrade(&client, id, "17").await;
    assert!(phase(&mut events, "COPYING_DATA").await);
    client.act("stopService", id).await;
    client.settled(id, "STOPPED").await;
    eventually("what was made for it to go", async || (world.things() == (1, 1)).then_some(())).await;
    client.act("startService", id).await;
    assert_eq!(world.settled().await["version"], "16");
    world.sql("INSERT INTO t VALUES (0, 'after a stop')");

    // A client that says that it writes all the same.
    let mut events = client.events(Some(&client.cursor().await)).await;
    upgrade(&client, id, "17").await;
    assert!(phase(&mut events, "COPYING_DATA").await);
    let write = "DO $$ BEGIN ASSERT current_setting('default_transaction_read_only') = 'on'; END $$";
    let insert = "BEGIN READ WRITE; INSERT INTO t VALUES (-1, 'all the same'); COMMIT";
    eventually("a write to get through", async || {
        let command = ["psql", &world.url, "-qtA", "-v", "ON_ERROR_STOP=1", "-c", write, "-c", insert];
        preview(&world.server.test, &world.server.network(), "postgres:17", &command).ok()
    })
    .await;
    assert!(phase(&mut events, "PREPARING").await, "it is begun anew");
    assert_eq!(world.settled().await["version"], "17");
    assert_eq!(world.sql("SELECT words FROM t WHERE n < 1 ORDER BY n"), "all the same\nafter a stop");

    assert!(revert(&client, id).await["errors"].is_null());
    world.settled().await;
    let mut events = client.events(Some(&client.cursor().await)).await;
    upgrade(&client, id, "17").await;
    assert!(phase(&mut events, "COPYING_DATA").await);
    client.act("destroyService", id).await;
    client.settled(id, "DESTROYED").await;
    assert_eq!(owned(&world.server.test), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_goes_over_and_what_it_was_goes_after_its_time() {
    let settings = [PUBLISHED, ("KEEP_REPLACED", "20"), ("RECONCILE_INTERVAL", "1")];
    let world = World::new("REDIS", "6", "DEV", &settings).await;
    let (client, id) = (world.client(), world.id.as_str());
    let fill = "for i = 1, 500 do redis.call('set', i, i) end";
    let command = ["redis-cli", "--no-auth-warning", "-u", &world.url, "eval", fill, "0"];
    preview(&world.server.test, &world.server.network(), "redis:7", &command).unwrap();
    assert_eq!(world.redis("dbsize"), "500");
    world.redis("hset hash a 1 b 2");
    world.redis("set passing by ex 10000");
    let service = client.service(id).await;

    // No registry is there to pull from.
    let update = "mutation($id: ID!) { updateImage(input: {id: $id}) { service { operation { kind phase } } event { message } } }";
    let asked = client.data(update, json!({"id": id})).await["updateImage"].clone();
    assert_eq!(asked["service"]["operation"], json!({"kind": "UPDATE_IMAGE", "phase": "QUEUED"}));
    let failed = eventually("the pull to fail", async || {
        let service = client.service(id).await;
        service["error"]["code"].is_string().then_some(service)
    })
    .await;
    assert_eq!((&failed["state"], &failed["error"]["code"]), (&json!("RUNNING"), &json!("PULL_FAILED")));

    upgrade(&client, id, "7").await;
    let after = world.settled().await;
    assert_eq!((&after["version"], &after["externalPort"]), (&json!("7"), &service["externalPort"]));
    assert_eq!((world.redis("dbsize"), world.redis("get 77")), ("502".to_owned(), "77".to_owned()));
    assert_eq!(world.redis("hget hash b"), "2");
    assert!(world.redis("ttl passing").parse::<u32>().unwrap() > 9000);
    assert!(world.redis("info server").contains("redis_version:7"));
    assert_eq!(world.redis("set later 1"), "OK");
    let answer = revert(&client, id).await;
    let message = answer["data"]["revertService"]["event"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(message.contains("1 changes were made"), "{message}");
    assert_eq!(world.settled().await["version"], "6");
    assert_eq!((world.redis("get later"), world.redis("set yes 1")), (String::new(), "OK".to_owned()));
    assert_eq!(versions(&client, id).await["replaced"]["version"], "7");

    eventually("what it was to go", async || {
        (versions(&client, id).await["replaced"].is_null() && world.things() == (1, 1)).then_some(())
    })
    .await;
    assert_eq!(refusal(&revert(&client, id).await).0, "CONFLICT");
    assert_eq!(world.redis("get yes"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_killed_leaves_the_old_one_or_the_new_one_and_a_newer_image_is_taken() {
    let engine = Engine::start(&[]).await;
    for image in ["redis:6", "redis:7"] {
        engine.load(image);
    }
    let server = Server::start(&[("DOCKER_HOST", &engine.host()), ("KEEP_REPLACED", "60")]).await;
    let client = Client::new(&server);
    let id = client.provision("REDIS", "6").await["id"].as_str().unwrap().to_owned();
    client.settled(&id, "RUNNING").await;
    let running = || engine.docker(&["ps", "-q", "--filter", "label=dev.project-services.instance"]);
    let password = client.reveal(&id).await["REDIS_PASSWORD"].clone();
    let redis = |words: &[&str]| {
        let command = ["exec", &running(), "redis-cli", "--no-auth-warning", "-a", &password];
        engine.docker(&[&command[..], words].concat())
    };
    let fill = "for i = 1, 50000 do redis.call('set', i, string.rep('x', 100)) end";
    redis(&["eval", fill, "0"]);
    let mut events = client.events(None).await;
    assert!(upgrade(&client, &id, "7").await["errors"].is_null());
    for at in ["PREPARING", "COPYING_DATA"] {
        assert!(phase(&mut events, at).await, "{at}");
        engine.kill();
        engine.again().await;
    }
    let service = client.settled(&id, "RUNNING").await;
    assert!(service["error"].is_null(), "{service}");
    assert_eq!(service["version"], "7");
    assert_eq!((running().lines().count(), redis(&["dbsize"])), (1, "50000".to_owned()));

    // The name means another image by now.
    let made = engine.docker(&["inspect", "--format", "{{.Image}}", &running()]);
    engine.docker(&["create", "--name", "next", "redis:7"]);
    engine.docker(&["commit", "--change", "LABEL minor=next", "next", "redis:7"]);
    let update = "mutation($id: ID!) { updateImage(input: {id: $id}) { event { message } } }";
    assert!(client.execute(update, json!({"id": id})).await["errors"].is_null());
    let service = client.settled(&id, "RUNNING").await;
    assert!(service["error"].is_null(), "{service}");
    assert_ne!(engine.docker(&["inspect", "--format", "{{.Image}}", &running()]), made);
    assert_eq!(redis(&["dbsize"]), "50000");
}
