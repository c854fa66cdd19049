//! What only the PostgreSQL store promises: the order of the log beside open transactions, TLS, and coming back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use project_services::domain::node::NodeName;
use project_services::domain::service::Service;
use project_services::domain::term::ReplicaId;
use project_services::store::{Guard, Notice, Store, StoreError, StoreUrl, Write, connect};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::config::Host;
use uuid::Uuid;

use super::fixture::{self, Database, ca_file, create, note, project, service, update};

/// A certificate authority that has signed nothing.
const ANOTHER_CA: &str = "-----BEGIN CERTIFICATE-----
MIIBgjCCASegAwIBAgIUVuPNuv38a+fDaZT1Rq/d4bjElz0wCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKQW5vdGhlciBDQTAgFw0yNjExMjMxNTIxNTdaGA8yMTI2MTAz
MDE1MjE1N1owFTETMBEGA1UEAwwKQW5vdGhlciBDQTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABNC5vNOpbv+2ew4n2hddmzxgT+1fDRXlJh7fwDz8uJBPmzAd7Dpb
vAJ7CxPzsb3UX12T74L2JrA5y4tSjhC4WvmjUzBRMB0GA1UdDgQWBBRdawhz+hKK
oBAIoq3g7eK80rs7ITAfBgNVHSMEGDAWgBRdawhz+hKKoBAIoq3g7eK80rs7ITAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCDMKImwMOXI+X07kZu
0M2GdTh0x5vzM80ue7gtYcHMlAIhAL2693HhvyDy03bDLarskWnHqlJSJXwC9P/g
mbW1LJa5
-----END CERTIFICATE-----
";

fn with_parameter(url: &str, parameter: &str) -> StoreUrl {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{parameter}").parse().unwrap()
}

/// Asks until some connection of the test's database waits for a lock.
async fn until_one_waits_for_a_lock(client: &Client) {
    let sql = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let asking = async { while client.query(sql, &[]).await.unwrap().is_empty() {} };
    tokio::time::timeout(Duration::from_secs(30), asking).await.expect("no connection waits for a lock");
}

fn append(store: &Arc<dyn Store>, service: &Service) -> JoinHandle<Result<i64, StoreError>> {
    let (store, service) = (Arc::clone(store), service.clone());
    tokio::spawn(async move { Ok(fixture::append(&*store, &service, "mine").await?.sequence) })
}

#[tokio::test]
async fn an_append_waits_for_the_commit_of_the_one_ahead_of_it() {
    let database = Database::postgres().await;
    let store = database.connect().await;
    let (here, elsewhere) = (service("demo", "db"), service("other", "db"));
    create(&*store, &here).await;
    create(&*store, &elsewhere).await;

    // Another replica has taken place 2 and does not commit yet.
    let (other, watch) = (database.raw_postgres().await, database.raw_postgres().await);
    other
        .batch_execute(
            "BEGIN; UPDATE projects SET last_sequence = last_sequence + 1 WHERE project_id = 'demo'; \
             INSERT INTO service_events SELECT project_id, 2, service_id, state, state, NULL, 'slow', NULL, occurred_at \
             FROM service_events WHERE project_id = 'demo'",
        )
        .await
        .unwrap();
    let mine = append(&store, &here);
    until_one_waits_for_a_lock(&watch).await;
    // Place 3 would be visible ahead of place 2, and a reader that went on from 3 would never see 2.
    assert!(!mine.is_finished());
    assert_eq!(store.event_list_since(&project("demo"), 1, 10).await.unwrap(), []);
    // Other projects go on.
    assert_eq!(append(&store, &elsewhere).await.unwrap().unwrap(), 2);
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(mine.await.unwrap().unwrap(), 3);
    let events = store.event_list_since(&project("demo"), 1, 10).await.unwrap();
    let found: Vec<_> = events.iter().map(|event| (event.sequence, event.message.as_str())).collect();
    assert_eq!(found, [(2, "slow"), (3, "mine")]);
}

#[tokio::test]
async fn a_place_whose_transaction_fails_is_given_to_the_next() {
    let database = Database::postgres().await;
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let (other, watch) = (database.raw_postgres().await, database.raw_postgres().await);
    other
        .batch_execute("BEGIN; UPDATE projects SET last_sequence = last_sequence + 1 WHERE project_id = 'demo'")
        .await
        .unwrap();
    let mine = append(&store, &service);
    until_one_waits_for_a_lock(&watch).await;
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(mine.await.unwrap().unwrap(), 2);
}

/// service_create waits, with the project's row, for a name that an uncommitted service_update frees. If that one then
/// waited for the project's row, neither would end.
#[tokio::test]
async fn an_update_that_waits_for_its_place_has_not_locked_its_service() {
    let database = Database::postgres().await;
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let (other, watch) = (database.raw_postgres().await, database.raw_postgres().await);
    other.batch_execute("BEGIN; SELECT * FROM projects FOR UPDATE").await.unwrap();
    let update = tokio::spawn({
        let (store, service) = (Arc::clone(&store), service.clone());
        async move { update(&*store, &service, &service, Some(&note("x")), service.updated_at).await }
    });
    until_one_waits_for_a_lock(&watch).await;
    watch.batch_execute("SELECT * FROM services FOR UPDATE NOWAIT").await.unwrap();
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(update.await.unwrap().unwrap().revision, 2);
}

#[tokio::test]
async fn a_call_that_waits_too_long_is_given_up_and_leaves_nothing_behind() {
    let database = Database::postgres().await;
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let other = database.raw_postgres().await;
    other.batch_execute("BEGIN; SELECT * FROM projects FOR UPDATE").await.unwrap();
    let given_up = append(&store, &service).await.unwrap();
    assert!(matches!(given_up, Err(StoreError::Busy(_))), "{given_up:?}");
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(append(&store, &service).await.unwrap().unwrap(), 2);
}

/// What is held in one project holds up neither the reconciler's writes in another nor its term, however many wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_project_holds_up_no_other_and_deposes_nobody() {
    let database = Database::postgres().await;
    let store = database.connect().await;
    let reconciler = Arc::clone(&store).reserved();
    let (held, free) = (service("held", "db"), service("free", "db"));
    create(&*store, &held).await;
    create(&*store, &free).await;
    let other = database.raw_postgres().await;
    other.batch_execute("BEGIN; SELECT * FROM projects WHERE project_id = 'held' FOR UPDATE").await.unwrap();

    let seen = store.term_current(&NodeName::default()).await.unwrap();
    let mut term = reconciler.term_take(&seen, ReplicaId(Uuid::now_v7())).await.unwrap().unwrap();
    let mut reveals = tokio::task::JoinSet::new();
    let mut writes = tokio::task::JoinSet::new();
    let began = Instant::now();
    let (mut read, mut slowest) = (free.clone(), Duration::ZERO);
    while began.elapsed() < Duration::from_secs(16) {
        while reveals.len() < 20 {
            let (store, held) = (Arc::clone(&store), held.clone());
            reveals.spawn(async move { fixture::append(&*store, &held, "waits").await });
        }
        // The reconciler's own writes wait as well.
        while writes.len() < 4 {
            let (reconciler, held, epoch) = (Arc::clone(&reconciler), held.clone(), term.epoch);
            writes.spawn(async move {
                let (event, guard) = (note("waits"), Guard::Term { epoch, read: &held });
                reconciler.commit(Write { event: Some(&event), ..Write::new(guard, event.occurred_at) }).await
            });
        }
        while let Some(waited) = reveals.try_join_next() {
            let waited = waited.unwrap();
            assert!(matches!(waited, Err(StoreError::Busy(_) | StoreError::Unavailable(_))), "{waited:?}");
        }
        while let Some(waited) = writes.try_join_next() {
            let waited = waited.unwrap();
            assert!(matches!(waited, Err(StoreError::Busy(_))), "{waited:?}");
        }
        let asked = Instant::now();
        term = reconciler.term_renew(&term).await.unwrap().expect("the term goes on");
        let (event, guard) = (note("goes on"), Guard::Term { epoch: term.epoch, read: &read });
        let write = Write { service: Some(&read), event: Some(&event), ..Write::new(guard, event.occurred_at) };
        let written = reconciler.commit(write).await.unwrap();
        // Reading is nobody's to hold up.
        assert!(store.service_get(held.id).await.unwrap().is_some());
        slowest = slowest.max(asked.elapsed());
        read = written.service;
    }
    // A leader steps down after two seconds.
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert!(read.revision > 16);
    other.batch_execute("ROLLBACK").await.unwrap();
    reveals.shutdown().await;
    writes.shutdown().await;
    fixture::append(&*store, &held, "goes on").await.unwrap();
}

/// Who wants to reconcile waits until what the last term writes is written or given up.
#[tokio::test]
async fn a_term_begins_when_the_last_ones_writes_have_ended() {
    let database = Database::postgres().await;
    let store = database.connect().await;
    let first = store
        .term_take(&store.term_current(&NodeName::default()).await.unwrap(), ReplicaId(Uuid::now_v7()))
        .await
        .unwrap()
        .unwrap();
    let (writer, watch) = (database.raw_postgres().await, database.raw_postgres().await);
    writer.batch_execute("BEGIN; SELECT epoch FROM reconciler_term FOR KEY SHARE").await.unwrap();
    let first = store.term_renew(&first).await.unwrap().expect("signs of life go on meanwhile");
    let taking = tokio::spawn({
        let (store, first) = (Arc::clone(&store), first.clone());
        async move { store.term_take(&first, ReplicaId(Uuid::now_v7())).await }
    });
    until_one_waits_for_a_lock(&watch).await;
    writer.batch_execute("COMMIT").await.unwrap();
    assert_eq!(taking.await.unwrap().unwrap().unwrap().epoch, first.epoch + 1);
}

#[tokio::test]
async fn a_server_that_hangs_up_is_unavailable_and_the_next_call_works() {
    let database = Database::postgres().await;
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    let (other, watch) = (database.raw_postgres().await, database.raw_postgres().await);
    other.batch_execute("BEGIN; SELECT * FROM projects FOR UPDATE").await.unwrap();
    let mine = append(&store, &service);
    until_one_waits_for_a_lock(&watch).await;
    // As a shutdown does, in the midst of a call and with idle connections in the pool.
    let hang_up = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND application_name = 'project-services'";
    watch.query(hang_up, &[]).await.unwrap();
    let answer = mine.await.unwrap();
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    // And in the midst of a call that has no transaction.
    other.batch_execute("ROLLBACK; BEGIN; LOCK TABLE services").await.unwrap();
    let get = tokio::spawn({
        let (store, id) = (Arc::clone(&store), service.id);
        async move { store.service_get(id).await }
    });
    until_one_waits_for_a_lock(&watch).await;
    watch.query(hang_up, &[]).await.unwrap();
    let answer = get.await.unwrap();
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(append(&store, &service).await.unwrap().unwrap(), 2);
    watch.query(hang_up, &[]).await.unwrap();
    store.ping().await.unwrap();
}

/// Passes connections on from `listener` to `server`. When the task is aborted, all of them break.
fn pass_on(listener: TcpListener, server: SocketAddr) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut far = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    })
}

#[tokio::test]
async fn a_server_that_was_away_is_used_again_when_it_is_back() {
    let database = Database::postgres().await;
    let config: tokio_postgres::Config = database.url().parse().unwrap();
    let [Host::Tcp(host)] = config.get_hosts() else { panic!("one host name is expected") };
    let server = format!("{host}:{}", config.get_ports()[0]);
    let address = tokio::net::lookup_host(&server).await.unwrap().next().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = listener.local_addr().unwrap();
    let passing = pass_on(listener, address);

    let url: StoreUrl = database.url().replace(&server, &near.to_string()).parse().unwrap();
    let store = connect(&url, ca_file().as_deref()).await.unwrap();
    let service = service("demo", "db");
    create(&*store, &service).await;

    passing.abort();
    assert!(passing.await.unwrap_err().is_cancelled());
    for _ in 0..3 {
        let answer = append(&store, &service).await.unwrap();
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
    assert!(matches!(connect(&url, ca_file().as_deref()).await, Err(StoreError::Unavailable(_))));
    let passing = pass_on(TcpListener::bind(near).await.unwrap(), address);
    assert_eq!(append(&store, &service).await.unwrap().unwrap(), 2);
    passing.abort();
}

#[tokio::test]
async fn tls_is_used_where_it_is_asked_for_and_nowhere_else() {
    let database = Database::postgres().await;
    for (mode, expected) in [("disable", "f"), ("require", "t"), ("verify-full", "t"), ("prefer", "t")] {
        let url = with_parameter(&database.url(), &format!("sslmode={mode}&application_name=tls-{mode}"));
        let store = connect(&url, Some(&ca())).await.unwrap();
        store.ping().await.unwrap();
        let sql = format!(
            "SELECT DISTINCT left(ssl::text, 1) AS value FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = 'tls-{mode}'"
        );
        assert_eq!(database.texts(&sql).await, [Some(expected.to_owned())], "{mode}");
    }
}

fn ca() -> PathBuf {
    ca_file().expect("TEST_DATABASE_CA names no CA file; `make test` makes one and sets it")
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_refused() {
    let database = Database::postgres().await;
    let directory = tempfile::tempdir().unwrap();
    let another = directory.path().join("another.crt");
    std::fs::write(&another, ANOTHER_CA).unwrap();
    for mode in ["require", "prefer"] {
        let url = with_parameter(&database.url(), &format!("sslmode={mode}"));
        // The wrong authority, the system's, and the right one for a server of another name.
        assert_refused(&url, Some(another.clone())).await;
        assert_refused(&url, None).await;
        let config: tokio_postgres::Config = database.url().parse().unwrap();
        let [Host::Tcp(host)] = config.get_hosts() else { panic!("one host name is expected") };
        let elsewhere = database.url().replace(&format!("@{host}:"), "@db.example:");
        let url = with_parameter(&elsewhere, &format!("sslmode={mode}&hostaddr=127.0.0.1"));
        assert_refused(&url, Some(ca())).await;
    }
}

async fn assert_refused(url: &StoreUrl, ca_file: Option<PathBuf>) {
    let error = connect(url, ca_file.as_deref()).await.map(|_| ()).unwrap_err();
    let StoreError::Unavailable(cause) = &error else { panic!("{error:?}") };
    assert!(cause.to_string().contains("certificate"), "{cause}");
}

#[tokio::test]
async fn a_ca_file_without_a_certificate_is_refused() {
    let database = Database::postgres().await;
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.crt");
    std::fs::write(&empty, "nothing").unwrap();
    for file in [empty, directory.path().join("missing.crt")] {
        let error = connect(&database.url().parse().unwrap(), Some(&file)).await.map(|_| ()).unwrap_err();
        assert!(matches!(&error, StoreError::Failed(cause) if cause.to_string().contains("CA file")), "{error:?}");
    }
}

#[tokio::test]
async fn no_error_of_connecting_tells_the_password() {
    let database = Database::postgres().await;
    let config: tokio_postgres::Config = database.url().parse().unwrap();
    let password = std::str::from_utf8(config.get_password().unwrap()).unwrap();
    let wrong = database.url().replace(password, "not-the-s3cret");
    let error = connect(&wrong.parse().unwrap(), Some(&ca())).await.map(|_| ()).unwrap_err();
    let StoreError::Unavailable(cause) = &error else { panic!("{error:?}") };
    assert!(!format!("{error} {error:?} {cause}").contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_hear_of_each_others_commits_also_after_their_connection_was_cut() {
    let database = Database::postgres().await;
    let (here, there) = (database.connect().await, database.connect().await);
    let mut notices = here.notices();
    let mut next = async || {
        tokio::time::timeout(std::time::Duration::from_secs(20), futures_util::StreamExt::next(&mut notices))
            .await
            .unwrap()
            .unwrap()
    };
    assert_eq!(next().await, Notice::Connected);
    for name in ["a", "b"] {
        let service = service("demo", name);
        create(&*there, &service).await;
        assert_eq!(next().await, Notice::Changed { project: project("demo"), service: service.id });
        let cut = "SELECT pg_terminate_backend(pid)::text AS value FROM pg_stat_activity WHERE query LIKE 'LISTEN %' \
                   AND datname = current_database()";
        assert_eq!(database.texts(cut).await.len(), 1);
        assert_eq!(next().await, Notice::Connected, "and with it the word that there may be more");
    }
}
