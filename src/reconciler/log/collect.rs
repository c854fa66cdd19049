//! What waits in a volume flows to where backups are.

use std::collections::BTreeMap;

use async_stream::stream;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::catalog::archive::{Order, Segment, facts};
use crate::catalog::backup::facts as told;
use crate::domain::backup::BackupErrorCode;
use crate::domain::log::holds_until;
use crate::engine::{Command, Ended, EngineError, Flow};
use crate::reconciler::backups::WAITING;
use crate::reconciler::execute::COMPLAINT;
use crate::repository::{Ends, NewLogPart, RepositoryError};

/// How long a collection may take.
const COLLECTING: Duration = Duration::from_secs(10 * 60);

pub(super) enum Found {
    /// The server was started by an earlier version, and keeps nothing before it is started again.
    AtNextStart,
    Log(Log),
}

pub(super) struct Log {
    pub collected: Collected,
    pub has_more: bool,
}

/// What was read of the stream up to now.
#[derive(Default)]
struct Reading {
    segments: Vec<Segment>,
    /// The beginning of a line.
    line: Vec<u8>,
    /// Bytes of the segment's content that are yet to come.
    content: u64,
}

impl Reading {
    fn read(&mut self, mut piece: &[u8]) -> io::Result<()> {
        while !piece.is_empty() {
            if self.content > 0 {
                let here = usize::try_from(self.content).unwrap_or(usize::MAX).min(piece.len());
                self.content -= here as u64;
                piece = &piece[here..];
                continue;
            }
            let Some(end) = piece.iter().position(|byte| *byte == b'\n') else {
                self.line.extend_from_slice(piece);
                return Ok(());
            };
            self.line.extend_from_slice(&piece[..end]);
            piece = &piece[end + 1..];
            let segment = std::str::from_utf8(&self.line).ok().and_then(Segment::parse);
            let segment = segment.ok_or_else(|| io::Error::other("it gave something else than its log"))?;
            self.line.clear();
            self.content = segment.bytes;
            self.segments.push(segment);
        }
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.content == 0 && self.line.is_empty()
    }

    /// What is unbroken of it from its beginning on.
    fn unbroken(&self, follows: fn(&str, &str) -> bool) -> &[Segment] {
        let broken = self.segments.windows(2).position(|pair| !follows(&pair[0].name, &pair[1].name));
        &self.segments[..broken.map_or(self.segments.len(), |at| at + 1)]
    }
}

impl Reconciler {
    /// Has what waits be kept. `kept` is let go.
    pub(super) async fn collected(
        &self,
        service: &Service,
        archive: &Archive,
        kept: &[String],
    ) -> Result<Found, Trouble> {
        let access = self.access(service).await?;
        let order = Order { share_mib: share_mib(service), kept };
        let collecting = command((archive.collect)(&access, order));
        let collecting = Command { limit: Some(COLLECTING), kept: COMPLAINT, ..collecting };
        let (pieces, mut flowing) = mpsc::channel(WAITING);
        let (engine, instance) = (Arc::clone(&self.engine), service.instance);
        let giving = AbortOnDropHandle::new(tokio::spawn(async move {
            engine.pump(instance, &collecting, Flow { output: Some(pieces), ..Flow::default() }).await
        }));
        let heard = Arc::<Mutex<Heard>>::default();
        let mut stored_bytes = 0;
        match flowing.recv().await {
            None => {
                let ended = giving.await;
                let mut heard = locked(&heard);
                if let Err(why) = heard.ended(ended) {
                    return Err(heard.error.take().map_or_else(|| failed(&access.redact(&why)), Trouble::from));
                }
            }
            Some(first) => {
                let new = NewLogPart {
                    folder: &folder(service, instance),
                    service: service.id,
                    instance,
                    installation: self.settings.backups.installation,
                    content: archive.content,
                };
                let follows = archive.follows;
                let ends = || {
                    let heard = locked(&heard);
                    let segments = heard.reading.unbroken(follows);
                    let ends = segments.first().zip(segments.last()).zip(heard.begun_at());
                    let ((first, last), taken_at) = ends.ok_or_else(|| io::Error::other("it is no log"))?;
                    let until = holds_until(heard.is_up_to_date(follows), taken_at, last.written_at);
                    Ok(Ends { first: first.name.clone(), last: last.name.clone(), taken_at, until })
                };
                let stream = watched(first, flowing, giving, Arc::clone(&heard));
                let part = self.settings.backups.repository.write_log(&new, stream, ends, &self.sealer).await;
                stored_bytes = match part {
                    Ok(part) => part.written.stored_bytes,
                    Err(RepositoryError::Content(why)) => {
                        return Err(match locked(&heard).error.take() {
                            Some(error) => error.into(),
                            None => failed(&access.redact(&why.to_string())),
                        });
                    }
                    Err(error) => return Err(error.into()),
                };
            }
        }
        let heard = locked(&heard);
        if heard.facts.contains_key(facts::AT_NEXT_START) {
            return Ok(Found::AtNextStart);
        }
        let begun_at = heard.begun_at().ok_or_else(|| failed("it does not tell the time"))?;
        let segments = heard.reading.unbroken(archive.follows);
        let is_all = heard.is_all(archive.follows);
        Ok(Found::Log(Log {
            collected: Collected {
                segments: segments.iter().map(|segment| (segment.name.clone(), segment.written_at)).collect(),
                begun_at,
                is_up_to_date: heard.is_up_to_date(archive.follows),
                has_gap: heard.facts.contains_key(facts::GIVEN_UP),
                stored_bytes,
            },
            has_more: !is_all || heard.facts.contains_key(facts::MORE),
        }))
    }
}

/// What was heard of a collection.
#[derive(Default)]
struct Heard {
    reading: Reading,
    facts: BTreeMap<String, String>,
    error: Option<EngineError>,
}

impl Heard {
    /// By the clock of the server, as is what it commits.
    fn begun_at(&self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.facts.get(facts::NOW)?.parse().ok()?).ok()
    }

    /// Whether nothing of it is missing in between.
    fn is_all(&self, follows: fn(&str, &str) -> bool) -> bool {
        self.reading.unbroken(follows).len() == self.reading.segments.len()
    }

    fn is_up_to_date(&self, follows: fn(&str, &str) -> bool) -> bool {
        self.is_all(follows) && self.facts.contains_key(facts::UP_TO_DATE)
    }

    /// Takes note of how it ended; tells why that is no good end.
    fn ended(&mut self, ended: Result<Result<Ended, EngineError>, JoinError>) -> Result<(), String> {
        let ended = match ended.map_err(|error| error.to_string())? {
            Ok(ended) => ended,
            Err(error) => {
                let why = error.to_string();
                self.error = Some(error);
                return Err(why);
            }
        };
        let (facts, said) = told(&ended.output);
        match ended.exit_code {
            Some(0) if self.reading.is_whole() => self.facts = facts,
            Some(0) => return Err("it broke off".to_owned()),
            _ => return Err(said),
        }
        Ok(())
    }
}

/// The same stream, that is heard as it flows.
fn watched(
    first: Bytes,
    mut flowing: mpsc::Receiver<Bytes>,
    giving: AbortOnDropHandle<Result<Ended, EngineError>>,
    heard: Arc<Mutex<Heard>>,
) -> BoxStream<'static, io::Result<Bytes>> {
    let stream = stream! {
        let mut next = Some(first);
        while let Some(piece) = next {
            let read = locked(&heard).reading.read(&piece);
            if let Err(error) = read {
                yield Err(error);
                return;
            }
            yield Ok(piece);
            next = flowing.recv().await;
        }
        let ended = giving.await;
        let ended = locked(&heard).ended(ended);
        if let Err(why) = ended {
            yield Err(io::Error::other(why));
        }
    };
    stream.boxed()
}

pub(super) fn failed(why: &str) -> Trouble {
    let message = format!("The server inside did not give its log: {why}");
    Trouble::passing(BackupErrorCode::SourceFailed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_heard_wherever_the_stream_is_cut() {
        let stream = b"A1 3 10\nabcA2 0 11\nA4 2 12\n\nx";
        let follows = |last: &str, next: &str| matches!((last, next), ("A1", "A2"));
        for cut in 0..stream.len() {
            let mut reading = Reading::default();
            reading.read(&stream[..cut]).unwrap();
            assert!(!reading.is_whole() || [0, 11, 19].contains(&cut), "{cut}");
            reading.read(&stream[cut..]).unwrap();
            assert!(reading.is_whole());
            let names = |segments: &[Segment]| segments.iter().map(|segment| segment.name.clone()).collect::<Vec<_>>();
            assert_eq!(names(&reading.segments), ["A1", "A2", "A4"]);
            assert_eq!(names(reading.unbroken(follows)), ["A1", "A2"]);
        }
        assert!(Reading::default().read(b"../x 3 10\n").is_err());
        assert!(Reading::default().read(b"psql: error\n").is_err());
    }
}
