//! What was promised of every kind, for those that have no tests of their own: with clients that nobody here wrote.

use std::collections::HashMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::backups::{ask, back_up, backup_in, restored};
use crate::support::client::Client;
use crate::support::docker::{LABEL, docker, inspect, owned, preview, try_docker};
use crate::support::eventually;
use crate::support::server::Server;

mod s3;

type Credentials = HashMap<String, String>;
type Said = Result<String, String>;

/// How a kind is spoken to.
struct Kind {
    name: &'static str,
    version: &'static str,
    /// Which of the credentials is the secret itself.
    secret: &'static str,
    endpoints: &'static [&'static str],
    write: fn(&World, &Credentials) -> Said,
    /// Says "kept" where it was written.
    read: fn(&World, &Credentials) -> Said,
    /// What an answer has in it where a client is not let in.
    refusal: &'static str,
}

struct World {
    server: Server,
    /// What the service's endpoints are published on, by their names.
    ports: HashMap<String, u64>,
}

impl World {
    fn port(&self, endpoint: &str) -> u64 {
        self.ports[endpoint]
    }
}

fn run(program: &str, arguments: &[&str]) -> Said {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stdout) + &text(&output.stderr)) }
}

const MYSQL: Kind = Kind {
    name: "MYSQL",
    version: "9.7",
    secret: "MYSQLPASSWORD",
    endpoints: &["mysql"],
    write: |world, credentials| mysql(world, credentials, "create table t (x text); insert into t values ('kept')"),
    read: |world, credentials| mysql(world, credentials, "select x from t"),
    refusal: "ERROR 1045",
};

fn mysql(world: &World, credentials: &Credentials, statements: &str) -> Said {
    let of = |option: &str, key: &str| format!("--{option}={}", credentials[key]);
    let (host, user) = (of("host", "MYSQLHOST"), of("user", "MYSQLUSER"));
    let (password, port) = (of("password", "MYSQLPASSWORD"), of("port", "MYSQLPORT"));
    let command = ["mysql", &host, &port, &user, &password, "-NBe", statements, &credentials["MYSQLDATABASE"]];
    preview(&world.server.test, &world.server.network(), "mysql:9.7", &command)
}

const MONGODB: Kind = Kind {
    name: "MONGODB",
    version: "8.0",
    secret: "MONGOPASSWORD",
    endpoints: &["mongodb"],
    write: |world, credentials| mongosh(world, credentials, "db.t.insertOne({x: 'kept'}).acknowledged"),
    read: |world, credentials| mongosh(world, credentials, "db.t.findOne().x"),
    refusal: "Authentication failed",
};

fn mongosh(world: &World, credentials: &Credentials, statement: &str) -> Said {
    let command = ["mongosh", "--quiet", "--norc", &credentials["MONGO_URL"], "--eval", statement];
    preview(&world.server.test, &world.server.network(), "mongo:8.0", &command)
}

const OBJECT_STORAGE: Kind = Kind {
    name: "OBJECT_STORAGE",
    version: "4.48",
    secret: "AWS_SECRET_ACCESS_KEY",
    endpoints: &["s3"],
    write: |world, credentials| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "kept").unwrap();
        s3(world, credentials, &["--upload-file", file.path().to_str().unwrap()])
    },
    read: |world, credentials| s3(world, credentials, &[]),
    refusal: "SignatureDoesNotMatch",
};

fn s3(world: &World, credentials: &Credentials, arguments: &[&str]) -> Said {
    let url = format!("http://127.0.0.1:{}/{}/t", world.port("s3"), credentials["S3_BUCKET"]);
    let user = format!("{}:{}", credentials["AWS_ACCESS_KEY_ID"], credentials["AWS_SECRET_ACCESS_KEY"]);
    let signed = format!("aws:amz:{}:s3", credentials["AWS_REGION"]);
    let body = "x-amz-content-sha256: UNSIGNED-PAYLOAD";
    let mut all = vec!["--silent", "--show-error", "--fail-with-body", "--header", body, "--user", &user];
    all.extend(["--aws-sigv4", &signed, &url]);
    all.extend(arguments);
    run("curl", &all)
}

const MINIO: Kind = Kind { name: "MINIO", version: "2025-09-07T16-13-09Z", ..OBJECT_STORAGE };

const MAILPIT: Kind = Kind {
    name: "MAILPIT",
    version: "1.33",
    secret: "SMTP_PASSWORD",
    endpoints: &["smtp", "web"],
    write: send,
    read: |world, credentials| {
        let said = inbox(world, credentials, "messages")?;
        let mails: Value = serde_json::from_str(&said).unwrap();
        Ok(mails["messages"][0]["Subject"].as_str().unwrap_or_default().to_owned())
    },
    refusal: "401",
};

fn send(world: &World, credentials: &Credentials) -> Said {
    let url = format!("smtp://127.0.0.1:{}", world.port("smtp"));
    let user = format!("{}:{}", credentials["SMTP_USERNAME"], credentials["SMTP_PASSWORD"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "From: a@example.org\r\nTo: b@example.org\r\nSubject: kept\r\n\r\nHello\r\n").unwrap();
    let mail = file.path().to_str().unwrap();
    let sender = ["--mail-from", "a@example.org", "--mail-rcpt", "b@example.org", "--upload-file", mail];
    let mut all = vec!["--silent", "--show-error", &url, "--user", &user];
    all.extend(sender);
    run("curl", &all)
}

fn inbox(world: &World, credentials: &Credentials, what: &str) -> Said {
    let inner = credentials["MAILPIT_URL"].rsplit_once('@').unwrap().0;
    let url = format!("{inner}@127.0.0.1:{}/api/v1/{what}", world.port("web"));
    run("curl", &["--silent", "--show-error", "--fail", &url])
}

const QDRANT: Kind = Kind {
    name: "QDRANT",
    version: "1.20.0",
    secret: "QDRANT_API_KEY",
    endpoints: &["grpc", "http"],
    write: |world, credentials| {
        let vectors = r#"{"vectors": {"size": 2, "distance": "Dot"}}"#;
        qdrant_says(world, credentials, &["--request", "PUT", "--json", vectors])
    },
    read: |world, credentials| qdrant_says(world, credentials, &[]).map(|_| "kept".to_owned()),
    refusal: "401",
};

fn qdrant_says(world: &World, credentials: &Credentials, arguments: &[&str]) -> Said {
    let url = format!("http://127.0.0.1:{}/collections/t", world.port("http"));
    let key = format!("api-key: {}", credentials["QDRANT_API_KEY"]);
    run("curl", &[&["--silent", "--show-error", "--fail", "--header", &key, &url], arguments].concat())
}

/// The container of a running service, and its endpoints, which have to be published.
async fn found(client: &Client, id: &str) -> (String, HashMap<String, u64>) {
    let query = "query($id: ID!) { service(id: $id) {
        containerName port externalPort endpoints { name protocol port externalPort } } }";
    eventually("it is published", async || {
        let service = client.data(query, json!({"id": id})).await["service"].clone();
        let endpoints = service["endpoints"].as_array().unwrap();
        assert_eq!(endpoints[0]["port"], service["port"]);
        assert_eq!(endpoints[0]["externalPort"], service["externalPort"]);
        let ports = endpoints
            .iter()
            .map(|endpoint| Some((endpoint["name"].as_str().unwrap().to_owned(), endpoint["externalPort"].as_u64()?)));
        Some((service["containerName"].as_str()?.to_owned(), ports.collect::<Option<_>>()?))
    })
    .await
}

impl World {
    /// A server and a running service of `kind`, with its id and its container.
    async fn with(kind: &Kind, settings: &[(&str, &str)]) -> (Self, Client, String, String) {
        let settings = [&[("PUBLISH_ADDRESS", "127.0.0.1")], settings].concat();
        let server = Server::start(&settings).await;
        let client = Client::new(&server);
        let id = client.provision(kind.name, kind.version).await["id"].as_str().unwrap().to_owned();
        client.settled(&id, "RUNNING").await;
        let (name, ports) = found(&client, &id).await;
        (Self { server, ports }, client, id, name)
    }
}

/// Has a service's password changed, and returns what it hands out once that is done.
async fn rotated(client: &Client, id: &str, secret: &str, before: &Credentials) -> Credentials {
    client.act("rotateCredentials", id).await;
    eventually("the password is another one", async || {
        let now = client.reveal(id).await;
        let is_done = client.service(id).await["operation"].is_null();
        (is_done && now[secret] != before[secret]).then_some(now)
    })
    .await
}

async fn walk(kind: Kind) {
    walk_with(kind, &[]).await;
}

async fn walk_with(kind: Kind, settings: &[(&str, &str)]) {
    let (world, client, id, name) = World::with(&kind, settings).await;
    let mut names: Vec<_> = world.ports.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, kind.endpoints);

    let first = client.reveal(&id).await;
    (kind.write)(&world, &first).unwrap();
    let read = async |credentials: &Credentials| {
        eventually("it answers", async || (kind.read)(&world, credentials).ok()).await
    };
    assert_eq!(read(&first).await, "kept");
    let secret = &first[kind.secret];
    let altered = |with: &str| -> Credentials {
        first.iter().map(|(key, value)| (key.clone(), value.replace(secret, with))).collect()
    };
    let refused = (kind.read)(&world, &altered("wrong")).unwrap_err();
    assert!(refused.contains(kind.refusal), "a wrong password: {refused}");

    let inspected = inspect(&name).to_string();
    assert!(!inspected.contains(secret.as_str()), "the container's description tells the secret");
    assert!(!docker(&["logs", &name]).contains(secret.as_str()), "the container's log tells the secret");
    assert!(!world.server.log().contains(secret.as_str()), "the server's log tells the secret");

    let second = rotated(&client, &id, kind.secret, &first).await;
    assert_eq!(read(&second).await, "kept");
    let refused = (kind.read)(&world, &first).unwrap_err();
    assert!(refused.contains(kind.refusal), "the password of before: {refused}");

    client.act("restartService", &id).await;
    client.settled(&id, "RUNNING").await;
    assert_eq!(read(&second).await, "kept");
    assert!((kind.read)(&world, &first).is_err(), "a restart brings no old password back");

    // What is made anew has the data, and refuses to begin without it.
    let of_before = docker(&["inspect", "-f", "{{.Id}}", &name]);
    docker(&["rm", "-f", &name]);
    eventually("it is made anew", async || {
        let now = try_docker(&["inspect", "-f", "{{.Id}}", &name]).ok()?;
        (now != of_before && client.service(&id).await["state"] == "RUNNING").then_some(())
    })
    .await;
    assert_eq!(read(&second).await, "kept");
    assert_eq!(client.service(&id).await["error"], Value::Null);

    client.act("destroyService", &id).await;
    client.settled(&id, "DESTROYED").await;
    assert_eq!(owned(&world.server.test), Vec::<String>::new(), "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_9_7() {
    walk(MYSQL).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "has no stand-in: make test-official"]
async fn mysql_8_4() {
    walk(Kind { version: "8.4", ..MYSQL }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mysql_comes_back_from_its_backup_and_takes_no_writes_when_it_is_full() {
    let (world, client, id, name) = World::with(&MYSQL, &[]).await;
    let credentials = client.reveal(&id).await;
    (MYSQL.write)(&world, &credentials).unwrap();

    let made = back_up(&client, &id).await;
    backup_in(&client, &made, "AVAILABLE").await;
    ask(&client, "verifyBackup", &made).await;
    let verified = backup_in(&client, &made, "VERIFIED").await;
    let rows = format!("rows of {}.t", credentials["MYSQLDATABASE"]);
    let facts = verified["verification"]["facts"].as_array().unwrap();
    assert!(facts.contains(&json!({"name": rows, "value": "1"})), "{verified}");
    let again = restored(&client, &made, "again").await;
    let others = client.reveal(&again).await;
    assert_ne!(others["MYSQLPASSWORD"], credentials["MYSQLPASSWORD"]);
    assert_eq!((MYSQL.read)(&world, &others).unwrap(), "kept");

    // More than the size is meant for.
    docker(&["exec", "--user", "root", &name, "fallocate", "-l", "920M", "/var/lib/mysql/filler"]);
    eventually("it is full", async || {
        let service = client.service(&id).await;
        (service["state"] == "RUNNING" && service["error"]["code"] == "STORAGE_FULL").then_some(())
    })
    .await;
    let denied =
        eventually("it takes no writes", async || mysql(&world, &credentials, "insert into t values ('more')").err())
            .await;
    assert!(denied.contains("INSERT command denied"), "{denied}");
    assert_eq!((MYSQL.read)(&world, &credentials).unwrap().lines().next(), Some("kept"));
    mysql(&world, &credentials, "delete from t where x = 'more'").unwrap();
    docker(&["exec", "--user", "root", &name, "rm", "/var/lib/mysql/filler"]);
    eventually("it takes writes again", async || mysql(&world, &credentials, "insert into t values ('new')").ok())
        .await;
    eventually("nothing is wrong with it", async || client.service(&id).await["error"].is_null().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mongodb_8_0() {
    walk(MONGODB).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "its stand-in is that of 8.0: make test-official"]
async fn mongodb_7_0() {
    walk(Kind { version: "7.0", ..MONGODB }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_rotates_under_who_is_connected_and_comes_back_from_its_backup_as_it_was() {
    let (world, client, id, name) = World::with(&MONGODB, &[]).await;
    let credentials = client.reveal(&id).await;
    let fill = "db.t.insertMany([{x: 'kept', n: Double(1), '10': Long(2), '2': null}, {x: 'ä'}]);
        db.t.createIndex({x: 1}, {unique: true}); db.createCollection('none');
        db.many.insertMany(Array.from({length: 3000}, (_, n) => ({n, text: 'x'.repeat(500)}))).acknowledged";
    assert_eq!(mongosh(&world, &credentials, fill).unwrap(), "true");

    let made = back_up(&client, &id).await;
    backup_in(&client, &made, "AVAILABLE").await;
    ask(&client, "verifyBackup", &made).await;
    let verified = backup_in(&client, &made, "VERIFIED").await;
    let facts = verified["verification"]["facts"].as_array().unwrap();
    let database = &credentials["MONGODATABASE"];
    for (name, value) in
        [(format!("documents of {database}.many"), "3000"), (format!("collections of {database}"), "3")]
    {
        assert!(facts.contains(&json!({"name": name, "value": value})), "{verified}");
    }

    let again = restored(&client, &made, "again").await;
    let others = client.reveal(&again).await;
    assert_ne!(others["MONGOPASSWORD"], credentials["MONGOPASSWORD"]);
    let all =
        "EJSON.stringify([db.getCollectionNames().sort(), db.t.getIndexes(), db.t.find().sort({_id: 1}).toArray(),
        db.many.countDocuments({text: 'x'.repeat(500)}), db.t.countDocuments({n: {$type: 'double'}})])";
    assert_eq!(mongosh(&world, &others, all).unwrap(), mongosh(&world, &credentials, all).unwrap());

    let (label, network) = (format!("{LABEL}={}", world.server.test), world.server.network());
    let container =
        ["run", "--detach", "--network", &network, "--label", &label, "--entrypoint", "mongosh", "mongo:8.0"];
    let counts = "while (true) { print(db.t.countDocuments()); sleep(100); }";
    let client_of_before =
        docker(&[&container[..], &[&credentials["MONGO_URL"], "--quiet", "--eval", counts]].concat());
    let said = || docker(&["logs", &client_of_before]).lines().filter(|line| *line == "2").count();
    eventually("it is connected", async || (said() > 0).then_some(())).await;
    let now = rotated(&client, &id, MONGODB.secret, &credentials).await;
    let before = said();
    eventually("it goes on", async || (said() > before + 1).then_some(())).await;
    assert_eq!((MONGODB.read)(&world, &now).unwrap(), "kept");

    // More than the size is meant for. That writes are refused then its stand-in does not show.
    docker(&["exec", "--user", "mongodb", &name, "fallocate", "-l", "2060M", "/data/db/filler"]);
    eventually("it is full", async || {
        let service = client.service(&id).await;
        (service["state"] == "RUNNING" && service["error"]["code"] == "STORAGE_FULL").then_some(())
    })
    .await;
    mongosh(&world, &now, "db.many.deleteMany({n: {$gt: 9}})").unwrap();
    docker(&["exec", "--user", "mongodb", &name, "rm", "/data/db/filler"]);
    eventually("nothing is wrong with it", async || client.service(&id).await["error"].is_null().then_some(())).await;
    mongosh(&world, &now, "db.t.insertOne({x: 'new'})").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn object_storage() {
    walk(OBJECT_STORAGE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn minio() {
    walk(MINIO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mailpit() {
    walk(MAILPIT).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "has no stand-in: make test-official"]
async fn qdrant_1_20() {
    walk_with(QDRANT, &[("KINDS", "+QDRANT")]).await;
}
