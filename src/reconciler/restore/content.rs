//! What is laid out in an instance: of a backup, or of a service as it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_stream::stream;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::replay::Replay;
use crate::catalog::access::Access;
use crate::catalog::backup::{self as ability, facts, piece_end, piece_head};
use crate::domain::backup::BackupErrorCode;
use crate::domain::service::Service;
use crate::engine::{Command, Engine, Flow};
use crate::reconciler::backups::{FLOWING, Trouble, WAITING};
use crate::reconciler::execute::{COMPLAINT, command};
use crate::repository::{Manifest, Object, Repository, Secret};

/// How much is laid out at a time, in bytes.
const PIECE: usize = 1 << 20;

type Facts = BTreeMap<String, String>;

/// A stream, and what is told of it once it has ended.
pub(in crate::reconciler) struct Content {
    /// What it is: an ability's [`content`](ability::Backup::content).
    pub kind: String,
    /// Whether all of it was restored and read before.
    pub is_verified: bool,
    /// What is read on from it, if anything.
    pub replay: Option<Box<Replay>>,
    /// How long it is, in bytes, where that is known.
    bytes: Option<u64>,
    stream: BoxStream<'static, Result<Bytes, Trouble>>,
    facts: Arc<Mutex<Facts>>,
}

impl Content {
    /// What a backup holds.
    pub async fn of_backup(repository: &Repository, (manifest, secret): (&Manifest, &Secret)) -> Result<Self, Trouble> {
        let object = Object::from_stored(manifest.backup, manifest.object.clone());
        let stream = repository.read(&object, &secret.key).await?;
        Ok(Self {
            kind: manifest.content.clone(),
            is_verified: false,
            replay: None,
            bytes: Some(manifest.written.content_bytes),
            stream: stream.map(|piece| piece.map_err(Trouble::from)).boxed(),
            facts: Arc::new(Mutex::new(manifest.facts.clone())),
        })
    }

    /// What a stream of that kind gives.
    pub fn of(kind: &str, stream: BoxStream<'static, Result<Bytes, Trouble>>) -> Self {
        Self { kind: kind.to_owned(), is_verified: false, bytes: None, replay: None, stream, facts: Arc::default() }
    }

    /// What a service holds, which has to run until all of it has flowed.
    pub fn of_service(engine: &Arc<dyn Engine>, service: &Service, access: Access, able: &ability::Backup) -> Self {
        let taking = Command { limit: Some(FLOWING), kept: COMPLAINT, ..command((able.take)(&access)) };
        let (pieces, mut flowing) = mpsc::channel(WAITING);
        let (engine, instance) = (Arc::clone(engine), service.instance);
        let giving = AbortOnDropHandle::new(tokio::spawn(async move {
            engine.pump(instance, &taking, Flow { output: Some(pieces), ..Flow::default() }).await
        }));
        let told = Arc::<Mutex<Facts>>::default();
        let noted = Arc::clone(&told);
        let failed = |why: String| {
            let message = format!("The server inside did not give its data: {why}");
            Trouble::Failed { code: BackupErrorCode::SourceFailed, message, tries: 3 }
        };
        let stream = stream! {
            while let Some(piece) = flowing.recv().await {
                yield Ok(piece);
            }
            // What has ended is whole only if what gave it says so.
            match giving.await {
                Ok(Ok(ended)) if ended.exit_code == Some(0) => *locked(&noted) = facts(&ended.output).0,
                Ok(Ok(ended)) => yield Err(failed(access.redact(&facts(&ended.output).1))),
                Ok(Err(error)) => yield Err(error.into()),
                Err(error) => yield Err(failed(error.to_string())),
            }
        };
        Self {
            kind: able.content.to_owned(),
            is_verified: false,
            bytes: None,
            replay: None,
            stream: stream.boxed(),
            facts: told,
        }
    }

    /// As what lays it out takes it, up to where it breaks off, and word of that; tells by `progress` how much has flowed.
    pub fn in_pieces(mut self, progress: Option<watch::Sender<u64>>) -> (Broken, BoxStream<'static, Bytes>) {
        let broken = Broken::default();
        let noted = broken.clone();
        let pieces = stream! {
            let (mut flowed, mut piece) = (0, BytesMut::new());
            // What is known to be so long is one piece, and none of it has to wait for others.
            let all = self.bytes;
            if let Some(all) = all.filter(|all| *all > 0) {
                yield piece_head(all);
            }
            loop {
                match self.stream.next().await {
                    Some(Ok(part)) => {
                        flowed += part.len() as u64;
                        if let Some(progress) = &progress {
                            progress.send_replace(flowed);
                        }
                        if let Some(all) = all {
                            if flowed > all {
                                break;
                            }
                            yield part;
                            continue;
                        }
                        piece.extend_from_slice(&part);
                        if piece.len() < PIECE {
                            continue;
                        }
                    }
                    Some(Err(error)) => {
                        noted.note(error);
                        return;
                    }
                    None => break,
                }
                yield piece_head(piece.len() as u64);
                yield piece.split().freeze();
            }
            if all.is_some_and(|all| all != flowed) {
                let message = "It is not as long as its manifest says.";
                noted.note(Trouble::lasting(BackupErrorCode::Damaged, message));
                return;
            }
            if !piece.is_empty() {
                yield piece_head(piece.len() as u64);
                yield piece.freeze();
            }
            let end = piece_end(&locked(&self.facts));
            yield end;
        };
        (broken, pieces.boxed())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a content broke off of.
#[derive(Clone, Default)]
pub(in crate::reconciler) struct Broken {
    error: Arc<Mutex<Option<Trouble>>>,
    told: Arc<Notify>,
}

impl Broken {
    fn note(&self, error: Trouble) {
        *locked(&self.error) = Some(error);
        self.told.notify_one();
    }

    pub fn take(&self) -> Option<Trouble> {
        locked(&self.error).take()
    }

    /// Returns once it has broken off.
    pub async fn told(&self) -> Trouble {
        loop {
            self.told.notified().await;
            if let Some(error) = self.take() {
                return error;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_measured_is_one_piece_and_has_to_be_as_long_as_that() {
        let come = async |bytes| {
            let parts = ["ab", "cde"].map(|part| Ok(Bytes::from(part)));
            let stream = futures_util::stream::iter(parts).boxed();
            let content =
                Content { kind: String::new(), is_verified: false, bytes, replay: None, stream, facts: Arc::default() };
            let (broken, pieces) = content.in_pieces(None);
            let came = pieces.collect::<Vec<_>>().await.concat();
            (String::from_utf8(came).unwrap(), broken.take().is_some())
        };
        let whole = ("5\nabcde0\nwhole\n".to_owned(), false);
        assert_eq!(come(Some(5)).await, whole);
        assert_eq!(come(None).await.0, "5\nabcde0\nwhole\n");
        for bytes in [0, 4, 6] {
            let (came, is_broken) = come(Some(bytes)).await;
            assert!(is_broken && !came.contains("whole"), "{bytes}: {came:?}");
        }
    }
}
