//! On a directory. The same on a bucket is in tests/it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::manifest::tests::{manifest, ring, secret};
use super::seal::CHUNK;
use super::upload::IN_DIRECTORY;
use super::*;
use crate::crypto::CryptoError;

const PART: usize = IN_DIRECTORY.size;

struct Bench {
    directory: TempDir,
    repository: Repository,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::open(&RepositoryUrl::directory(directory.path().join("backups")), &[]).unwrap();
        Self { directory, repository }
    }

    fn file(&self, object: &Object) -> PathBuf {
        self.directory.path().join("backups").join(object.content().as_ref())
    }

    /// Every file that is there, staged ones too.
    fn files(&self) -> Vec<String> {
        let (mut files, mut folders) = (Vec::new(), vec![self.directory.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path.display().to_string()) }
            }
        }
        files
    }

    async fn write(&self, object: &Object, content: &[u8], key: &ContentKey) -> Written {
        let pieces: Vec<_> = content.chunks(100_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let (progress, told) = watch::channel(0);
        let written = self.repository.write(object, stream::iter(pieces).boxed(), key, &progress).await.unwrap();
        assert_eq!(*told.borrow(), content.len() as u64);
        written
    }

    async fn read(&self, object: &Object, key: &ContentKey) -> Result<Vec<u8>> {
        let pieces: Vec<Bytes> = self.repository.read(object, key).await?.try_collect().await?;
        Ok(pieces.concat())
    }
}

fn object(number: u128) -> Object {
    let backup = BackupId(Uuid::from_u128(number));
    Object::from_stored(backup, format!("demo/db-00000001/2026-03-04T05-06-07Z-{backup}"))
}

/// Bytes that don't compress, the same at every call.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

fn is_damaged<T: std::fmt::Debug>(read: &Result<T>) -> bool {
    matches!(read, Err(RepositoryError::Damaged { .. }))
}

#[tokio::test]
async fn a_content_reads_back_whatever_its_length() {
    let (bench, key) = (Bench::new(), ContentKey::random().unwrap());
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, PART - 1, PART + 1, 2 * PART + 12_345] {
        let content = noise(length);
        let written = bench.write(&object(1), &content, &key).await;
        let file = fs::read(bench.file(&object(1))).unwrap();
        let digest: String = sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(&file))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let expected = Written { content_bytes: length as u64, stored_bytes: file.len() as u64, sha256: digest };
        assert_eq!(written, expected);
        assert!(bench.read(&object(1), &key).await.unwrap() == content, "{length} bytes");
        assert_eq!(bench.files().len(), 1, "nothing is staged any more");
    }
}

#[tokio::test]
async fn what_compresses_takes_little_and_comes_in_pieces() {
    let (bench, key) = (Bench::new(), ContentKey::random().unwrap());
    let content = vec![0; 20 << 20];
    assert!(bench.write(&object(1), &content, &key).await.stored_bytes < 10_000);
    let pieces: Vec<Bytes> = bench.repository.read(&object(1), &key).await.unwrap().try_collect().await.unwrap();
    assert!(pieces.iter().all(|piece| piece.len() <= 128 << 10));
    assert!(pieces.concat() == content);
}

/// Chunks of the object, not of the content, are what a truncation could go unnoticed at.
#[tokio::test]
async fn a_truncated_object_is_damaged_wherever_it_ends() {
    let (bench, key) = (Bench::new(), ContentKey::random().unwrap());
    bench.write(&object(1), &noise(2 * CHUNK + 100), &key).await;
    let (path, header, chunk) = (bench.file(&object(1)), 15, CHUNK + 16);
    let whole = fs::read(&path).unwrap();
    let ends = [0, 1, 14, header, header + 1, header + 16, header + chunk - 1, header + chunk, header + chunk + 1];
    for end in ends.into_iter().chain([header + 2 * chunk, whole.len() - 1]) {
        fs::write(&path, &whole[..end]).unwrap();
        let read = bench.read(&object(1), &key).await;
        assert!(is_damaged(&read), "{end} of {} bytes", whole.len());
    }
    fs::write(&path, [whole.as_slice(), b"x"].concat()).unwrap();
    assert!(is_damaged(&bench.read(&object(1), &key).await));
    let swapped = [&whole[..header], &whole[header + chunk..header + 2 * chunk], &whole[header..header + chunk]];
    fs::write(&path, [&swapped.concat(), &whole[header + 2 * chunk..]].concat()).unwrap();
    assert!(is_damaged(&bench.read(&object(1), &key).await), "two chunks in the other order");
}

#[tokio::test]
async fn another_object_and_another_key_are_refused() {
    let (bench, key) = (Bench::new(), ContentKey::random().unwrap());
    for number in [1, 2] {
        bench.write(&object(number), b"content", &key).await;
    }
    assert!(is_damaged(&bench.read(&object(1), &ContentKey::random().unwrap()).await));
    fs::rename(bench.file(&object(2)), bench.file(&object(1))).unwrap();
    assert!(is_damaged(&bench.read(&object(1), &key).await), "it is sealed with the same key, but is another's");
    assert!(matches!(bench.read(&object(2), &key).await, Err(RepositoryError::Missing(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_altered_or_truncated_object_is_damaged(
        length in 0..3 * CHUNK,
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
        truncate in any::<bool>(),
    ) {
        Runtime::new().unwrap().block_on(async {
            let (bench, key) = (Bench::new(), ContentKey::random().unwrap());
            bench.write(&object(1), &noise(length), &key).await;
            let mut file = fs::read(bench.file(&object(1))).unwrap();
            let at = at.index(file.len());
            if truncate { file.truncate(at) } else { file[at] ^= 1 << bit }
            fs::write(bench.file(&object(1)), file).unwrap();
            prop_assert!(is_damaged(&bench.read(&object(1), &key).await));
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_content_that_fails_leaves_nothing_behind() {
    let (bench, key) = (Bench::new(), ContentKey::random().unwrap());
    for length in [0, 100, 3 * PART] {
        let pieces = [Ok(Bytes::from(noise(length))), Err(io::Error::other("the server went away"))];
        let (progress, _) = watch::channel(0);
        let written = bench.repository.write(&object(1), stream::iter(pieces).boxed(), &key, &progress).await;
        assert!(matches!(written, Err(RepositoryError::Content(_))), "{written:?}");
        assert_eq!(bench.files(), Vec::<String>::new(), "after {length} bytes");
    }
}

#[tokio::test]
async fn a_writing_that_is_dropped_leaves_nothing_behind() {
    let (bench, key) = (Bench::new(), ContentKey::random().unwrap());
    let (progress, mut told) = watch::channel(0);
    let endless = stream::iter([Ok(Bytes::from(noise(2 * PART)))]).chain(stream::pending()).boxed();
    let first = object(1);
    tokio::select! {
        _ = bench.repository.write(&first, endless, &key, &progress) => panic!("it does not end"),
        _ = told.changed() => {}
    }
    for _ in 0..200 {
        if bench.files().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?} are left", bench.files());
}

#[tokio::test]
async fn removing_removes_everything_and_may_be_repeated() {
    let (bench, key) = (Bench::new(), ContentKey::random().unwrap());
    bench.write(&object(1), b"content", &key).await;
    bench.write(&object(2), b"content", &key).await;
    let staged = bench.file(&object(1)).display().to_string() + "#1";
    fs::write(&staged, "half").unwrap();
    for _ in 0..2 {
        bench.repository.remove(&object(1)).await.unwrap();
        assert_eq!(bench.files(), [bench.file(&object(2)).display().to_string()]);
    }
    bench.repository.remove(&object(2)).await.unwrap();
    assert_eq!(fs::read_dir(bench.directory.path().join("backups")).unwrap().count(), 0, "no directory is left");
    bench.repository.remove(&object(2)).await.unwrap();
    bench.repository.ping().await.unwrap();
    assert_eq!(bench.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_manifest_is_beside_its_content_and_opens_with_the_key_ring() {
    let (bench, sealer, secret) = (Bench::new(), ring("a", 1), secret());
    let mut manifest = manifest();
    let object = Object::from_stored(manifest.backup, manifest.object.clone());
    let early = bench.repository.write_manifest(&manifest, &secret, &sealer).await;
    assert!(matches!(early, Err(RepositoryError::Missing(_))), "{early:?}");
    let read = bench.repository.read_manifest(&object, &sealer).await;
    assert!(matches!(read, Err(RepositoryError::Missing(_))), "{read:?}");

    manifest.written = bench.write(&object, b"content", &secret.key).await;
    let staged = bench.file(&object).display().to_string() + "#1";
    fs::write(&staged, "half").unwrap();
    bench.repository.write_manifest(&manifest, &secret, &sealer).await.unwrap();
    assert!(!fs::exists(&staged).unwrap(), "what an earlier try has left goes");
    let (read, opened) = bench.repository.read_manifest(&object, &sealer).await.unwrap();
    assert_eq!((&read, &opened.access), (&manifest, &secret.access));
    assert_eq!(bench.read(&object, &opened.key).await.unwrap(), b"content");

    let other = bench.repository.read_manifest(&object, &ring("a", 2)).await;
    assert!(matches!(other, Err(RepositoryError::Key(CryptoError::Refused))), "{other:?}");
    let mut moved = object.clone();
    moved.backup = BackupId(Uuid::from_u128(9));
    assert!(is_damaged(&bench.repository.read_manifest(&moved, &sealer).await));
    manifest.written.stored_bytes += 1;
    assert!(is_damaged(&bench.repository.write_manifest(&manifest, &secret, &sealer).await));
}

#[tokio::test]
async fn a_list_is_in_the_order_of_names_and_of_manifests_only() {
    let (bench, sealer, secret) = (Bench::new(), ring("a", 1), secret());
    assert_eq!(bench.repository.list().await.count().await, 0);
    for name in ["b/x", "a/y", "a/x"] {
        let object = Object::from_stored(manifest().backup, name.to_owned());
        let written = bench.write(&object, b"content", &secret.key).await;
        let manifest = Manifest { object: name.to_owned(), written, ..manifest() };
        bench.repository.write_manifest(&manifest, &secret, &sealer).await.unwrap();
    }
    fs::write(bench.directory.path().join("backups/a/other.json"), "{}").unwrap();
    bench.write(&object(1), b"without a manifest", &secret.key).await;
    let listed: Vec<Manifest> = bench.repository.list().await.try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|manifest| manifest.object.as_str()).collect::<Vec<_>>(), ["a/x", "a/y", "b/x"]);
}

#[tokio::test]
async fn a_directory_is_its_owners_only_and_one_that_cant_be_made_is_refused() {
    let bench = Bench::new();
    let mode = fs::metadata(bench.directory.path().join("backups")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let file = bench.directory.path().join("file");
    fs::write(&file, "").unwrap();
    let opened = Repository::open(&RepositoryUrl::directory(file.join("backups")), &[]);
    assert!(matches!(opened, Err(RepositoryError::Refused(_))), "{opened:?}");
}

/// What a store that is full answers over HTTP.
#[tokio::test]
async fn a_bucket_without_space_is_full() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 4096]).await;
            let answer = b"HTTP/1.1 507 Insufficient Storage\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = connection.write_all(answer).await;
        }
    });
    let options = [
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("AWS_PROFILE", "ignored".to_owned()),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value));
    let repository = Repository::open(&"s3://bucket/x".parse().unwrap(), &options).unwrap();
    let pinged = repository.ping().await;
    assert!(matches!(pinged, Err(RepositoryError::Full(_))), "{pinged:?}");
    server.abort();
}

/// The text of a manifest's file.
fn manifest_text(bench: &Bench, object: &Object) -> String {
    let file = bench.directory.path().join("backups").join(object.manifest().as_ref());
    fs::read_to_string(file).unwrap()
}

#[tokio::test]
async fn manifests_are_sealed_anew_and_those_that_do_not_open_are_named_and_stop_nobody() {
    let bench = Bench::new();
    let mut objects = Vec::new();
    for (number, sealer) in [(1, ring("old", 1)), (2, ring("lost", 9)), (3, ring("new", 2)), (4, ring("old", 1))] {
        let (secret, mut manifest) = (secret(), manifest());
        let object = Object::from_stored(BackupId(Uuid::from_u128(number)), format!("demo/db-{number}/at"));
        (manifest.backup, manifest.object) = (object.backup, object.as_str().to_owned());
        manifest.written = bench.write(&object, b"content", &secret.key).await;
        bench.repository.write_manifest(&manifest, &secret, &sealer).await.unwrap();
        objects.push(object);
    }
    fs::write(bench.directory.path().join("backups/note.json"), "not ours").unwrap();
    let (lost, current) = (manifest_text(&bench, &objects[1]), manifest_text(&bench, &objects[2]));
    let both: Sealer =
        "new:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=,old:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
            .parse()
            .unwrap();
    for expected in [2, 0] {
        let done = bench.repository.reseal(&both).await.unwrap();
        assert_eq!(done.resealed, expected);
        let mut named: Vec<_> = done.unreadable.iter().map(|(name, _)| name.as_str()).collect();
        named.sort_unstable();
        assert_eq!(named, ["demo/db-2/at.json", "note.json"]);
    }
    assert_eq!((manifest_text(&bench, &objects[1]), manifest_text(&bench, &objects[2])), (lost, current));
    for object in [&objects[0], &objects[2], &objects[3]] {
        let (_, secret) = bench.repository.read_manifest(object, &ring("new", 2)).await.unwrap();
        assert_eq!(bench.read(object, &secret.key).await.unwrap(), b"content");
    }
    assert_eq!(bench.files().len(), 9, "nothing is left beside them: {:?}", bench.files());
}

const HOUR: i64 = 3600;

#[tokio::test]
async fn the_newest_snapshots_of_an_installation_stay_and_read_back() {
    use crate::domain::id::InstallationId;
    let bench = Bench::new();
    let (sealer, start) = (ring("a", 1), "2026-03-04T05:06:07Z".parse::<jiff::Timestamp>().unwrap());
    let [ours, other] = [1, 2].map(|number| InstallationId(Uuid::from_u128(number)));
    let file = bench.directory.path().join("copy");
    for (number, installation) in [(0, ours), (1, ours), (2, other), (3, ours)] {
        fs::write(&file, vec![u8::try_from(number).unwrap(); 300_000]).unwrap();
        let at = start + jiff::SignedDuration::from_secs(number * HOUR);
        bench.repository.write_snapshot(file.clone(), (installation, "SCHEDULED"), at, &sealer).await.unwrap();
    }
    let hour = std::time::Duration::from_secs(3600);
    let newest = start + jiff::SignedDuration::from_secs(3 * HOUR);
    assert_eq!(bench.repository.newest_snapshot(ours).await.unwrap(), Some(newest));
    assert_eq!(bench.repository.newest_snapshot(InstallationId(Uuid::nil())).await.unwrap(), None);
    // What a writing left that was broken off long ago, and one that is under way.
    let folder = bench.directory.path().join(format!("backups/sidecar/{ours}"));
    fs::write(folder.join("2026-03-04T04-00-00Z-x.zst.sealed"), "left").unwrap();
    assert_eq!(bench.repository.trim_snapshots(ours, (2, hour), jiff::Timestamp::now()).await.unwrap(), 1);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 5, "two of two files, and what may be under way");
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(25);
    assert_eq!(bench.repository.trim_snapshots(ours, (2, hour), later).await.unwrap(), 0);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 4);

    let kept = bench.repository.survey(&sealer).await.unwrap();
    let taken: Vec<_> = kept.snapshots.iter().map(|found| (found.manifest.installation, found.is_whole)).collect();
    assert_eq!(taken, [(ours, true), (ours, true), (other, true)]);
    let last = &kept.snapshots[1];
    assert_eq!((last.manifest.taken_at, last.manifest.content.as_str()), (newest, "sqlite-database"));
    let key = &last.secret.as_ref().unwrap().key;
    assert_eq!(bench.read(&last.manifest.object(), key).await.unwrap(), vec![3; 300_000]);
    assert_eq!(bench.repository.list().await.count().await, 0, "they are no backups of services");
}

#[tokio::test]
async fn snapshots_of_changes_crowd_out_none_that_were_taken_by_the_hour_or_before_a_migration() {
    let bench = Bench::new();
    let (sealer, ours) = (ring("a", 1), crate::domain::id::InstallationId(Uuid::from_u128(1)));
    let (hour, file) = (std::time::Duration::from_secs(3600), bench.directory.path().join("copy"));
    fs::write(&file, "copy").unwrap();
    let write = async |at: &str, reason: &str| {
        let at: jiff::Timestamp = format!("2026-03-04T{at}Z").parse().unwrap();
        bench.repository.write_snapshot(file.clone(), (ours, reason), at, &sealer).await.unwrap();
        bench.repository.trim_snapshots(ours, (3, hour), at).await.unwrap();
    };
    for (hour, reason) in [(5, "SCHEDULED"), (6, "SCHEDULED"), (7, "BEFORE_MIGRATION"), (8, "SCHEDULED")] {
        write(&format!("{hour:02}:00:00"), reason).await;
        for minute in 1..=20 {
            write(&format!("{hour:02}:{minute:02}:00"), Snapshot::CHANGED).await;
        }
    }
    let kept = bench.repository.survey(&sealer).await.unwrap().snapshots;
    let times: Vec<_> = kept.iter().map(|found| found.manifest.taken_at.strftime("%H:%M").to_string()).collect();
    let expected = ["06:00", "06:20", "07:00", "07:20", "08:00", "08:16", "08:17", "08:18", "08:19", "08:20"];
    assert_eq!(times, expected, "the newest of each hour, what was not taken of a change, and the newest five");
}

#[tokio::test]
async fn a_survey_tells_what_is_whole_what_opens_and_what_is_no_manifest() {
    let bench = Bench::new();
    for (number, sealer) in [(1, ring("a", 1)), (2, ring("a", 1)), (3, ring("b", 2))] {
        let (secret, mut manifest) = (secret(), manifest());
        let object = Object::from_stored(BackupId(Uuid::from_u128(number)), format!("demo/db-{number}/at"));
        (manifest.backup, manifest.object) = (object.backup, object.as_str().to_owned());
        manifest.written = bench.write(&object, b"content", &secret.key).await;
        bench.repository.write_manifest(&manifest, &secret, &sealer).await.unwrap();
    }
    let place = |name: &str| bench.directory.path().join("backups").join(name);
    fs::write(place("demo/db-2/at.zst.sealed"), "short").unwrap();
    fs::write(place("demo/note.json"), "{}").unwrap();
    fs::copy(place("demo/db-1/at.json"), place("demo/moved.json")).unwrap();
    let kept = bench.repository.survey(&ring("a", 1)).await.unwrap();
    let found: Vec<_> = kept.backups.iter().map(|found| (found.is_whole, found.secret.is_ok())).collect();
    assert_eq!(found, [(true, true), (false, true), (true, false)]);
    assert_eq!(kept.backups[2].secret.as_ref().err(), Some(&CryptoError::UnknownKey("b".to_owned())));
    assert_eq!(kept.unreadable, ["demo/moved.json", "demo/note.json"]);
}
