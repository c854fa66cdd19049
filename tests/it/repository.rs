//! A repository in a bucket, on rclone's server for S3's protocol.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use project_services::crypto::Sealer;
use project_services::domain::id::{BackupId, InstallationId, ServiceId};
use project_services::domain::service::TierSpec;
use project_services::repository::{
    ContentKey, Manifest, Object, Repository, RepositoryError, Result, Secret, Written,
};
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;
use zeroize::Zeroizing;

const KEYS: (&str, &str) = ("access", "s3cret-s3cret");
const MIB: usize = 1 << 20;

/// A store with one bucket, `backups`.
struct Store {
    server: Child,
    endpoint: String,
    directory: TempDir,
}

impl Store {
    fn start() -> Self {
        let rclone =
            std::env::var("TEST_RCLONE").expect("TEST_RCLONE names no rclone; `make test` fetches one and sets it");
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("backups")).unwrap();
        let mut server = Command::new(rclone)
            .args(["serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", &format!("{},{}", KEYS.0, KEYS.1)])
            .args(["--config", "/dev/null", "--log-level", "NOTICE"])
            .arg(directory.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
        let endpoint = log.find_map(|line| {
            let line = line.unwrap();
            let (_, address) = line.split_once("http://")?;
            Some(format!("http://{}", address.split(['/', ']']).next()?))
        });
        // What it writes later is read and thrown away, lest it wait for a reader.
        std::thread::spawn(move || log.for_each(drop));
        Self { server, endpoint: endpoint.expect("it says where it listens"), directory }
    }

    fn repository(&self) -> Repository {
        open("s3://backups/of/tests", &self.endpoint, KEYS)
    }

    fn objects(&self) -> usize {
        let (mut files, mut folders) = (0, vec![self.directory.path().join("backups")]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files += 1 }
            }
        }
        files
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

fn open(url: &str, endpoint: &str, keys: (&str, &str)) -> Repository {
    let options = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", keys.0),
        ("AWS_SECRET_ACCESS_KEY", keys.1),
        ("AWS_REGION", "us-east-1"),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Repository::open(&url.parse().unwrap(), &options).unwrap()
}

fn object(number: u128) -> Object {
    let backup = BackupId(Uuid::from_u128(number));
    let service = ServiceId(Uuid::from_u128(7));
    Object::new(
        &"demo".parse().unwrap(),
        &"db".parse().unwrap(),
        service,
        backup,
        "2026-03-04T05:06:07Z".parse().unwrap(),
    )
}

fn noise(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).unwrap();
    bytes.into()
}

async fn write(repository: &Repository, object: &Object, content: &Bytes, key: &ContentKey) -> Result<Written> {
    let pieces: Vec<io::Result<Bytes>> = content.chunks(MIB).map(|piece| Ok(content.slice_ref(piece))).collect();
    repository.write(object, stream::iter(pieces).boxed(), key, &watch::channel(0).0).await
}

async fn read(repository: &Repository, object: &Object, key: &ContentKey) -> Result<Vec<u8>> {
    let pieces: Vec<Bytes> = repository.read(object, key).await?.try_collect().await?;
    Ok(pieces.concat())
}

#[tokio::test]
async fn a_bucket_keeps_contents_of_any_length() {
    let store = Store::start();
    let (repository, key) = (store.repository(), ContentKey::random().unwrap());
    repository.ping().await.unwrap();
    for length in [0, 1, 65_536, 65_537, 8 * MIB, 26 * MIB] {
        let content = noise(length);
        let written = write(&repository, &object(1), &content, &key).await.unwrap();
        assert_eq!(written.content_bytes, length as u64);
        assert!(read(&repository, &object(1), &key).await.unwrap() == content, "{length} bytes");
    }
    let other = read(&repository, &object(1), &ContentKey::random().unwrap()).await;
    assert!(matches!(other, Err(RepositoryError::Damaged { .. })), "{:?}", other.map(|_| ()));
    for _ in 0..2 {
        repository.remove(&object(1)).await.unwrap();
    }
    assert_eq!(store.objects(), 0);
    assert!(matches!(read(&repository, &object(1), &key).await, Err(RepositoryError::Missing(_))));
}

#[tokio::test]
async fn a_manifest_in_a_bucket_is_listed_and_opens() {
    let store = Store::start();
    let repository = store.repository();
    let sealer: Sealer = format!("a:{}", STANDARD.encode([1; 32])).parse().unwrap();
    let secret = Secret { key: ContentKey::random().unwrap(), access: Zeroizing::new(b"ada".to_vec()) };
    assert_eq!(repository.list().await.count().await, 0);
    let mut expected = Vec::new();
    for number in [1, 2] {
        let object = object(number);
        let manifest = Manifest {
            format: 1,
            backup: object.backup,
            service: ServiceId(Uuid::from_u128(7)),
            service_name: "db".to_owned(),
            project: "demo".parse().unwrap(),
            installation: InstallationId(Uuid::from_u128(3)),
            kind: "POSTGRESQL".parse().unwrap(),
            version: "17".to_owned(),
            tier: TierSpec { tier: "DEV".parse().unwrap(), memory_mib: 256, cpu_millis: 500, storage_mib: 1024 },
            content: "postgresql-base-tar".to_owned(),
            facts: BTreeMap::new(),
            begun_at: "2026-03-04T05:06:07Z".parse().unwrap(),
            ended_at: "2026-03-04T05:06:09Z".parse().unwrap(),
            note: None,
            written: write(&repository, &object, &noise(1000), &secret.key).await.unwrap(),
            object: object.as_str().to_owned(),
        };
        repository.write_manifest(&manifest, &secret, &sealer).await.unwrap();
        let (read, opened) = repository.read_manifest(&object, &sealer).await.unwrap();
        assert_eq!((&read, &opened.access), (&manifest, &secret.access));
        expected.push(manifest);
    }
    let listed: Vec<Manifest> = repository.list().await.try_collect().await.unwrap();
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn a_content_that_fails_leaves_no_object() {
    let store = Store::start();
    let pieces = [Ok(noise(20 * MIB)), Err(io::Error::other("the server went away"))];
    let key = ContentKey::random().unwrap();
    let (progress, _told) = watch::channel(0);
    let written = store.repository().write(&object(1), stream::iter(pieces).boxed(), &key, &progress).await;
    assert!(matches!(written, Err(RepositoryError::Content(_))), "{written:?}");
    assert_eq!(store.objects(), 0);
}

#[tokio::test]
async fn wrong_keys_and_a_missing_bucket_are_for_an_operator() {
    let store = Store::start();
    let others = [
        open("s3://backups", &store.endpoint, ("access", "another")),
        open("s3://backups", &store.endpoint, ("nobody", "another")),
        open("s3://elsewhere", &store.endpoint, KEYS),
    ];
    for repository in others {
        let pinged = repository.ping().await;
        assert!(matches!(pinged, Err(RepositoryError::Refused(_))), "{pinged:?}");
        let written = write(&repository, &object(1), &noise(20 * MIB), &ContentKey::random().unwrap()).await;
        assert!(matches!(written, Err(RepositoryError::Refused(_))), "{written:?}");
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_told_soon() {
    let mut store = Store::start();
    let repository = store.repository();
    store.server.kill().unwrap();
    store.server.wait().unwrap();
    let began = Instant::now();
    let pinged = repository.ping().await;
    assert!(matches!(pinged, Err(RepositoryError::Unavailable(_))), "{pinged:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "after {:?}", began.elapsed());
}
