//! What servers of S3's protocol hold is backed up while clients write and delete, and comes back.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::*;
use crate::backups::fact;
use crate::clones::clone;

/// How much an upload of one part has at least.
const PART: usize = 5 << 20;
const WRITERS: usize = 3;

/// Speaks to one service as its user.
#[derive(Clone)]
struct S3 {
    port: u64,
    credentials: Credentials,
}

impl S3 {
    async fn of(client: &Client, id: &str) -> Self {
        let (_, ports) = found(client, id).await;
        Self { port: ports["s3"], credentials: client.reveal(id).await }
    }

    fn ask(&self, path: &str, arguments: &[&str]) -> Said {
        let credentials = &self.credentials;
        let url = format!("http://127.0.0.1:{}/{}/{path}", self.port, credentials["S3_BUCKET"]);
        let user = format!("{}:{}", credentials["AWS_ACCESS_KEY_ID"], credentials["AWS_SECRET_ACCESS_KEY"]);
        let common = ["--silent", "--show-error", "--fail-with-body", "--max-time", "30", "--user", &user];
        let signed =
            ["--aws-sigv4", "aws:amz:us-east-1:s3", "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD", &url];
        run("curl", &[&common[..], &signed, arguments].concat())
    }

    fn put(&self, key: &str, body: &[u8], headers: &[&str]) -> Said {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), body).unwrap();
        let upload = ["--upload-file", file.path().to_str().unwrap()];
        let headers: Vec<_> = headers.iter().flat_map(|header| ["--header", header]).collect();
        self.ask(key, &[&upload[..], &headers].concat())
    }

    fn get(&self, key: &str) -> Said {
        self.ask(key, &[])
    }

    /// An upload of several parts.
    fn put_in_parts(&self, key: &str, parts: &[String]) -> Said {
        let begun = self.ask(&format!("{key}?uploads="), &["--request", "POST"])?;
        let upload = begun.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
        let mut list = String::new();
        for (number, part) in (1..).zip(parts) {
            let path = format!("{key}?partNumber={number}&uploadId={upload}");
            let said = self.put(&path, part.as_bytes(), &[]);
            said?;
            let shown = self.ask(&format!("{key}?uploadId={upload}"), &[])?;
            let tag = shown.rsplit_once("<ETag>").unwrap().1.split_once('<').unwrap().0.to_owned();
            list += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
        }
        let list = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        self.ask(&format!("{key}?uploadId={upload}"), &["--request", "POST", "--data-binary", &list])
    }

    /// Ten uploads of 8 MiB at once, twice: what boto3 does by default with a large file.
    fn put_at_once(&self) {
        std::thread::scope(|scope| {
            for n in 0..10 {
                scope.spawn(move || {
                    for turn in 0..2 {
                        self.put(&format!("large/{n}/{turn}"), &vec![b'x'; 8 << 20], &[]).unwrap();
                    }
                });
            }
        });
    }

    /// Objects that tell of themselves what they hold are written and deleted, until told to end: gives how often.
    fn churn(&self) -> (Arc<AtomicU64>, impl FnOnce() + use<>) {
        let (turns, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let writers: Vec<JoinHandle<()>> = (0..WRITERS)
            .map(|writer| {
                let (s3, turns, is_over) = (self.clone(), Arc::clone(&turns), Arc::clone(&is_over));
                std::thread::spawn(move || {
                    for turn in 0.. {
                        if is_over.load(Ordering::Relaxed) {
                            return;
                        }
                        let key = churned(writer, turn);
                        match turn % 4 {
                            3 => s3.ask(&key, &["--request", "DELETE"]).unwrap(),
                            _ => s3.put(&key, told(&key, turn).as_bytes(), &[]).unwrap(),
                        };
                        turns.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let end = move || {
            is_over.store(true, Ordering::Relaxed);
            writers.into_iter().for_each(|writer| writer.join().unwrap());
        };
        (turns, end)
    }

    /// Fails where any of those objects is not one that was written.
    fn assert_whole(&self) {
        let mut there = 0;
        for (writer, turn) in (0..WRITERS).flat_map(|writer| (0..5).map(move |turn| (writer, turn))) {
            let key = churned(writer, turn);
            let Ok(body) = self.get(&key) else { continue };
            let turn = body.split(' ').nth(2).and_then(|turn| turn.parse().ok()).unwrap_or_else(|| panic!("{key}"));
            assert!(body == told(&key, turn).trim(), "{key} is not what was written in turn {turn}");
            there += 1;
        }
        assert!(there > 0, "none of what was written is there");
    }
}

fn churned(writer: usize, turn: usize) -> String {
    format!("churn/{writer}/{}", turn % 5)
}

/// What a key holds after a turn: a few bytes or many.
fn told(key: &str, turn: usize) -> String {
    format!("{key} turn {turn} ").repeat([1, 300, 40_000][turn % 3])
}

/// A service is backed up while it is written to, and is had again anew, in its place, and as a clone.
async fn comes_back(kind: &Kind) {
    let (_world, client, id, _) = World::with(kind, &[]).await;
    let s3 = S3::of(&client, &id).await;
    let headers = ["content-type: text/x-kept", "x-amz-meta-note: noted", "x-amz-tagging: a=b"];
    s3.put("still/small", b"kept", &headers).unwrap();
    let parts = ["a".repeat(PART), "b".repeat(100)];
    s3.put_in_parts("still/parts", &parts).unwrap();

    s3.put_at_once();

    let (turns, end) = s3.churn();
    eventually("it is written to", async || (turns.load(Ordering::Relaxed) > 30).then_some(())).await;
    let made = back_up(&client, &id).await;
    let before = turns.load(Ordering::Relaxed);
    backup_in(&client, &made, "AVAILABLE").await;
    assert!(turns.load(Ordering::Relaxed) > before, "it served on");
    let cloned = clone(&client, &id, "cloned").await;
    eventually("it to be cloned", async || {
        let service = client.service(&cloned).await;
        assert!(service["error"].is_null(), "{service}");
        (service["state"] == "RUNNING" && service["operation"].is_null()).then_some(())
    })
    .await;
    end();

    ask(&client, "verifyBackup", &made).await;
    let verified = backup_in(&client, &made, "VERIFIED").await;
    let number = |name: &str| fact(&verified, name).and_then(|value| value.parse::<usize>().ok()).unwrap();
    assert!(number("objects of bucket-") > 2 && number("bytes of bucket-") > PART, "{verified}");

    s3.put("still/small", b"later", &[]).unwrap();
    s3.ask("still/parts", &["--request", "DELETE"]).unwrap();
    let into =
        "mutation($id: ID!) { restoreService(input: {backupId: $id, into: {inPlace: true}}) { service { id } } }";
    client.data(into, json!({"id": made})).await;
    let again = restored(&client, &made, "again").await;
    client.settled(&id, "RUNNING").await;
    for service in [&again, &cloned, &id] {
        let theirs = S3::of(&client, service).await;
        let names = ["S3_BUCKET", "AWS_ACCESS_KEY_ID"];
        assert!(names.iter().all(|name| theirs.credentials[*name] == s3.credentials[*name]));
        let is_same = theirs.credentials["AWS_SECRET_ACCESS_KEY"] == s3.credentials["AWS_SECRET_ACCESS_KEY"];
        assert_eq!(is_same, *service == id);
        let shown = theirs.ask("still/small", &["--include"]).unwrap().to_lowercase();
        for part in ["content-type: text/x-kept", "x-amz-meta-note: noted", "\n\r\nkept"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(theirs.ask("still/small?tagging=", &[]).unwrap().contains("<Key>a</Key><Value>b</Value>"));
        assert!(theirs.get("still/parts").unwrap() == parts.concat());
        theirs.assert_whole();
        theirs.put("new", b"taken", &[]).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_storage_that_is_written_to_comes_back_from_its_backup() {
    comes_back(&OBJECT_STORAGE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minio_that_is_written_to_comes_back_from_its_backup() {
    comes_back(&MINIO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_storage_that_is_full_takes_deletes_and_has_room_by_them() {
    let (_world, client, id, name) = World::with(&OBJECT_STORAGE, &[]).await;
    let s3 = S3::of(&client, &id).await;
    let mut random = vec![0; 24 << 20];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
    let keys: Vec<_> = (0..4).map(|n| format!("large/{n}")).collect();
    for key in &keys {
        s3.put(key, &random, &[]).unwrap();
    }
    s3.put("small", b"kept", &[]).unwrap();
    // More than the size is meant for, and with what can be deleted only.
    docker(&["exec", &name, "fallocate", "-l", "950M", "/data/filler"]);
    let refused = eventually("it takes no writes", async || s3.put("more", b"more", &[]).err()).await;
    assert!(refused.contains("InternalError"), "{refused}");
    let shown = async || {
        let service = client.service(&id).await;
        assert_eq!(service["state"], "RUNNING", "{service}");
        service["error"]["code"].clone()
    };
    eventually("it is shown", async || (shown().await == "STORAGE_FULL").then_some(())).await;
    assert_eq!(s3.get("small").unwrap(), "kept");
    let made = back_up(&client, &id).await;
    backup_in(&client, &made, "AVAILABLE").await;
    for key in &keys {
        s3.ask(key, &["--request", "DELETE"]).unwrap();
    }
    eventually("it takes writes again", async || s3.put("more", b"more", &[]).ok()).await;
    eventually("nothing is wrong with it", async || shown().await.is_null().then_some(())).await;
    assert_eq!(s3.get("small").unwrap(), "kept");
    // What is restored is not full any more.
    let again = S3::of(&client, &restored(&client, &made, "again").await).await;
    again.put("more", b"more", &[]).unwrap();
    assert_eq!(again.ask(&keys[0], &["--output", "/dev/null", "--write-out", "%{size_download}"]).unwrap(), "25165824");
}
