//! What is kept of servers' logs, beside the backups of their services and in the same form: a part of it is a sealed content, and
//! then a manifest in which its key is sealed under the key ring. What a part holds stands in its name, so that a list tells it.

use std::io;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::error::{RepositoryError, Result};
use super::manifest::{self, FORMAT, Written, installation, shown};
use super::secret::{ContentKey, Secret};
use super::{Object, Repository, damaged, document, unreadable};
use crate::crypto::Sealer;
use crate::domain::id::{BackupId, InstallationId, InstanceId, ProjectId, ServiceId};
use crate::domain::name::ServiceName;

/// The folder, in a service's, that has those of its instances.
const FOLDER: &str = "log";
/// How a name tells a time.
const TIME: &str = "%Y-%m-%dT%H-%M-%SZ";
/// What has no manifest after so long was left behind by a writing that was broken off.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(24);

/// Where the parts of an instance's log are: `{project}/{service}-{8 digits of its id}/log/{instance}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFolder {
    path: String,
}

impl LogFolder {
    pub fn new(project: &ProjectId, name: &ServiceName, service: ServiceId, instance: InstanceId) -> Self {
        Self { path: format!("{}/{FOLDER}/{instance}", Object::folder(project, name, service)) }
    }

    /// Whether something of that name is of a log.
    pub(super) fn has(path: &Path) -> bool {
        path.parts().nth(2).is_some_and(|part| part.as_ref() == FOLDER) && path.parts().count() == 5
    }
}

/// A part of a log, for a restore that has nothing else.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct LogPart {
    /// As that of a [`super::Manifest`].
    pub format: u32,
    #[serde(with = "shown")]
    pub part: BackupId,
    #[serde(with = "shown")]
    pub service: ServiceId,
    #[serde(with = "installation")]
    pub installation: InstallationId,
    pub instance: Uuid,
    /// What the content is, such as `postgresql-write-ahead-log`.
    pub content: String,
    /// The names of its first and its last segment.
    pub first: String,
    pub last: String,
    pub taken_at: Timestamp,
    /// With what was kept before it holds all that was committed before this; None where an earlier version has written it.
    #[serde(default)]
    pub until: Option<Timestamp>,
    pub written: Written,
    /// Where its content is, as that of a [`super::Manifest`].
    pub object: String,
}

/// A part of a log, as the name of its manifest tells of it: `{time}-{first}-{last}-{id}`. Its content's is its id, for what is in it
/// is known only once it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub first: String,
    pub last: String,
    /// To the second.
    pub taken_at: Timestamp,
    manifest: Object,
    content: Object,
}

impl Listed {
    pub(super) fn parse(path: &Path) -> Option<Self> {
        let path = path.as_ref().strip_suffix(Object::MANIFEST)?;
        let (folder, name) = path.rsplit_once('/')?;
        let mut words = name.rsplitn(4, '-');
        let (part, last, first, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let id = part.parse().ok()?;
        Some(Self {
            first: first.to_owned(),
            last: last.to_owned(),
            taken_at: time_of(time)?,
            manifest: Object::from_stored(id, path.to_owned()),
            content: Object::from_stored(id, format!("{folder}/{part}")),
        })
    }
}

impl Listed {
    /// Where it is, with the other parts of its instance's log.
    pub fn folder(&self) -> &str {
        self.manifest.as_str().rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The name of what is written beside it, by which parts of a folder are in the order of time.
    pub fn name(&self) -> &str {
        self.manifest.as_str()
    }

    pub(super) fn content(&self) -> Path {
        self.content.content()
    }
}

fn time_of(name: &str) -> Option<Timestamp> {
    let time = DateTime::strptime(TIME, name).ok()?;
    Offset::UTC.to_timestamp(time).ok()
}

/// What is to be kept, whose it is, and what it is.
pub struct NewLogPart<'a> {
    pub folder: &'a LogFolder,
    pub service: ServiceId,
    pub instance: InstanceId,
    pub installation: InstallationId,
    pub content: &'a str,
}

/// What it turned out to be.
pub struct Ends {
    pub first: String,
    pub last: String,
    pub taken_at: Timestamp,
    /// As that of a [`LogPart`].
    pub until: Timestamp,
}

impl Repository {
    /// Keeps `stream`; once it has ended `ends` tells what it was.
    ///
    /// # Errors
    /// As [`Repository::write`]; what was written is removed then, as far as that can be done.
    pub async fn write_log(
        &self,
        new: &NewLogPart<'_>,
        stream: BoxStream<'static, io::Result<Bytes>>,
        ends: impl FnOnce() -> io::Result<Ends> + Send,
        sealer: &Sealer,
    ) -> Result<LogPart> {
        let part = BackupId(Uuid::now_v7());
        let content = Object::from_stored(part, format!("{}/{part}", new.folder.path));
        let secret = Secret { key: ContentKey::random().map_err(RepositoryError::Key)?, access: Zeroizing::default() };
        let written = self.write(&content, stream, &secret.key, &watch::channel(0).0).await?;
        let finished = async {
            let Ends { first, last, taken_at, until } = ends().map_err(RepositoryError::Content)?;
            let name = format!("{}-{first}-{last}-{part}", taken_at.strftime(TIME));
            let manifest = Object::from_stored(part, format!("{}/{name}", new.folder.path));
            let part = LogPart {
                format: FORMAT,
                part,
                service: new.service,
                installation: new.installation,
                instance: new.instance.0,
                content: new.content.to_owned(),
                first,
                last,
                taken_at,
                until: Some(until),
                written,
                object: content.as_str().to_owned(),
            };
            let document = manifest::sealed(&part, &secret, sealer).map_err(|error| unreadable(&manifest, error))?;
            self.store.put(&manifest.manifest(), PutPayload::from(document)).await?;
            Ok(part)
        };
        let finished: Result<LogPart> = finished.await;
        if finished.is_err() {
            let _ = self.remove(&content).await;
        }
        finished
    }

    /// The parts that are in a folder, in the order of their first segments, of which several may hold the same.
    pub async fn list_log(&self, folder: &LogFolder) -> Result<Vec<Listed>> {
        let (mut parts, _) = self.in_folder(folder).await?;
        parts.sort_by(|one, other| (&one.first, one.taken_at).cmp(&(&other.first, other.taken_at)));
        Ok(parts)
    }

    /// What a part holds, and what that is.
    ///
    /// # Errors
    /// As [`Repository::read_manifest`] and [`Repository::read`].
    pub async fn read_log(
        &self,
        listed: &Listed,
        sealer: &Sealer,
    ) -> Result<(LogPart, BoxStream<'static, Result<Bytes>>)> {
        let (part, secret) = self.log_part(listed, sealer).await?;
        let content = self.read(&listed.content, &secret.key).await?;
        Ok((part, content))
    }

    /// What is written beside a part.
    ///
    /// # Errors
    /// As [`Repository::read_manifest`].
    pub async fn read_log_part(&self, listed: &Listed, sealer: &Sealer) -> Result<LogPart> {
        Ok(self.log_part(listed, sealer).await?.0)
    }

    async fn log_part(&self, listed: &Listed, sealer: &Sealer) -> Result<(LogPart, Secret)> {
        let path = listed.manifest.manifest();
        let document = document(&self.store, &path).await?;
        let (part, secret) =
            manifest::opened::<LogPart>(&document, sealer).map_err(|error| unreadable(&listed.manifest, error))?;
        let is_it = part.part == listed.content.backup
            && part.object == listed.content.as_str()
            && (&part.first, &part.last) == (&listed.first, &listed.last);
        if !is_it {
            return Err(damaged(&path, "it is another part's"));
        }
        Ok((part, secret))
    }

    /// Removes the parts of a folder that were taken before `since` but for the last of them, which tells from when on there is all;
    /// all parts where it is None; and what was left behind by writings that were broken off.
    pub async fn trim_log(&self, folder: &LogFolder, since: Option<Timestamp>, now: Timestamp) -> Result<()> {
        let (parts, contents) = self.in_folder(folder).await?;
        // A name tells the time to the second.
        let is_old = |since| move |part: &&Listed| part.taken_at + SignedDuration::from_secs(1) < since;
        let before = since.and_then(|since| parts.iter().filter(is_old(since)).map(|part| part.taken_at).max());
        let kept_since = before.or(since).unwrap_or(Timestamp::MAX);
        for part in parts.iter().filter(is_old(kept_since)) {
            self.remove(&part.manifest).await?;
            self.remove(&part.content).await?;
        }
        for content in contents {
            let is_known = parts.iter().any(|part| part.content == content);
            // Its id tells when it was begun.
            let begun = content.backup.0.get_timestamp().map(|begun| begun.to_unix());
            let begun = begun.and_then(|(second, _)| Timestamp::from_second(second.try_into().ok()?).ok());
            if !is_known && begun.is_none_or(|begun| now.duration_since(begun) > GIVEN_UP) {
                self.remove(&content).await?;
            }
        }
        Ok(())
    }

    /// Its parts, and all contents.
    async fn in_folder(&self, folder: &LogFolder) -> Result<(Vec<Listed>, Vec<Object>)> {
        let (mut parts, mut contents) = (Vec::new(), Vec::new());
        let mut found = self.store.list(Some(&Path::from(folder.path.as_str())));
        while let Some(meta) = found.try_next().await? {
            parts.extend(Listed::parse(&meta.location));
            if let Some(path) = meta.location.as_ref().strip_suffix(Object::CONTENT)
                && let Some(id) = path.rsplit_once('/').and_then(|(_, id)| id.parse().ok())
            {
                contents.push(Object::from_stored(id, path.to_owned()));
            }
        }
        Ok((parts, contents))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;
    use crate::repository::RepositoryUrl;
    use crate::repository::manifest::tests::ring;

    #[tokio::test]
    async fn parts_are_listed_read_back_and_trimmed_and_no_other_service_has_them() {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::open(&RepositoryUrl::directory(directory.path().to_owned()), &[]).unwrap();
        let (service, instance) = (ServiceId(Uuid::from_u128(1)), InstanceId(Uuid::from_u128(2)));
        let folder_of =
            |name: &str| LogFolder::new(&"demo".parse().unwrap(), &name.parse().unwrap(), service, instance);
        let (folder, sealer) = (folder_of("db"), ring("a", 1));
        let at = |minute: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        let write = async |name: &str, minute: i64, content: &'static [u8]| {
            let installation = InstallationId(Uuid::nil());
            let new = NewLogPart { folder: &folder, service, instance, installation, content: "log" };
            let ends =
                || Ok(Ends { first: name.to_owned(), last: name.to_owned(), taken_at: at(minute), until: at(minute) });
            let stream = stream::iter([Ok(Bytes::from_static(content))]).boxed();
            repository.write_log(&new, stream, ends, &sealer).await
        };
        write("B", 2, b"second").await.unwrap();
        write("A", 1, b"first").await.unwrap();
        let broken = |_| Err(io::Error::other("it broke off"));
        let new = NewLogPart {
            folder: &folder,
            service,
            instance,
            installation: InstallationId(Uuid::nil()),
            content: "log",
        };
        let failing = stream::iter([Ok(Bytes::from_static(b"x")), Err(())].map(|part| part.or_else(broken))).boxed();
        let never = || -> io::Result<Ends> { unreachable!("it has no end") };
        assert!(repository.write_log(&new, failing, never, &sealer).await.is_err());

        let listed = repository.list_log(&folder).await.unwrap();
        assert_eq!(listed.iter().map(|part| part.first.as_str()).collect::<Vec<_>>(), ["A", "B"]);
        let read = async |part: &Listed, sealer: &Sealer| {
            let (told, content) = repository.read_log(part, sealer).await?;
            Ok::<_, RepositoryError>((told.last, content.try_collect::<Vec<Bytes>>().await?.concat()))
        };
        assert_eq!(read(&listed[0], &sealer).await.unwrap(), ("A".to_owned(), b"first".to_vec()));
        assert!(matches!(read(&listed[0], &ring("b", 2)).await, Err(RepositoryError::Key(_))));
        let renamed = Listed { last: "Z".to_owned(), ..listed[0].clone() };
        assert!(matches!(read(&renamed, &sealer).await, Err(RepositoryError::Damaged { .. })));
        assert!(repository.list_log(&folder_of("other")).await.unwrap().is_empty());
        assert_eq!(repository.list().await.count().await, 0, "they are no backups");
        let kept = repository.survey(&sealer).await.unwrap();
        assert!(kept.backups.is_empty() && kept.unreadable.is_empty(), "{kept:?}");

        repository.trim_log(&folder, Some(at(2)), at(3)).await.unwrap();
        assert_eq!(repository.list_log(&folder).await.unwrap().len(), 2, "the last one before tells that there is all");
        repository.trim_log(&folder, Some(at(3)), at(3)).await.unwrap();
        let listed = repository.list_log(&folder).await.unwrap();
        assert_eq!(listed.iter().map(|part| part.first.as_str()).collect::<Vec<_>>(), ["B"]);
        assert_eq!(read(&listed[0], &sealer).await.unwrap().1, b"second");
        repository.trim_log(&folder, None, at(4)).await.unwrap();
        assert!(repository.list_log(&folder).await.unwrap().is_empty());
    }

    #[test]
    fn a_part_is_known_by_the_name_of_its_manifest() {
        let id = "bkp_00000000000000000000000000000001";
        let folder = "demo/db-deadbeef/log/00000000-0000-0000-0000-000000000002";
        let path = |name: &str| Path::from(format!("{folder}/{name}"));
        let part = path(&format!("2026-11-26T12-00-00Z-A1-A3-{id}.json"));
        let listed = Listed::parse(&part).unwrap();
        assert_eq!((listed.first.as_str(), listed.last.as_str()), ("A1", "A3"));
        assert_eq!(listed.taken_at, "2026-11-26T12:00:00Z".parse().unwrap());
        assert_eq!(listed.content.as_str(), format!("{folder}/{id}"));
        assert!(LogFolder::has(&part) && !LogFolder::has(&Path::from("demo/db-deadbeef/log.json")));
        for other in [format!("2026-11-26T12-00-00Z-{id}.json"), "x.json".to_owned(), format!("A1-A3-{id}.json")] {
            assert_eq!(Listed::parse(&path(&other)), None, "{other}");
        }
    }
}
