//! A repository in a bucket, on rclone's server for S3's protocol.

use std::collections::BTreeMap;
use std::io;
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
use tokio::sync::watch;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::bucket::{Bucket, KEYS};

const MIB: usize = 1 << 20;

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
    let store = Bucket::start();
    let (repository, key) = (open("s3://backups/of/tests", &store.endpoint, KEYS), ContentKey::random().unwrap());
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
    assert_eq!(store.objects().len(), 0);
    assert!(matches!(read(&repository, &object(1), &key).await, Err(RepositoryError::Missing(_))));
}

#[tokio::test]
async fn a_manifest_in_a_bucket_is_listed_and_opens() {
    let store = Bucket::start();
    let repository = open("s3://backups/of/tests", &store.endpoint, KEYS);
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
            instance: None,
            image: Some("postgres@sha256:0123".to_owned()),
            content: "postgresql-base-tar".to_owned(),
            facts: BTreeMap::new(),
            begun_at: "2026-03-04T05:06:07Z".parse().unwrap(),
            ended_at: "2026-03-04T05:06:09Z".parse().unwrap(),
            note: None,
            origin: None,
            verification: None,
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
    let store = Bucket::start();
    let pieces = [Ok(noise(20 * MIB)), Err(io::Error::other("the server went away"))];
    let key = ContentKey::random().unwrap();
    let (progress, _told) = watch::channel(0);
    let written = open("s3://backups/of/tests", &store.endpoint, KEYS)
        .write(&object(1), stream::iter(pieces).boxed(), &key, &progress)
        .await;
    assert!(matches!(written, Err(RepositoryError::Content(_))), "{written:?}");
    assert_eq!(store.objects().len(), 0);
}

#[tokio::test]
async fn wrong_keys_and_a_missing_bucket_are_for_an_operator() {
    let store = Bucket::start();
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
    let mut store = Bucket::start();
    let repository = open("s3://backups/of/tests", &store.endpoint, KEYS);
    store.away();
    let began = Instant::now();
    let pinged = repository.ping().await;
    assert!(matches!(pinged, Err(RepositoryError::Unavailable(_))), "{pinged:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "after {:?}", began.elapsed());
}
