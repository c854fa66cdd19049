//! A backup that was laid out goes on to a later moment: the server reads its log up to there, which flows in meanwhile.

use std::pin::pin;
use std::sync::Arc;

use async_stream::stream;
use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::catalog::archive::Replay as Ability;
use crate::domain::log::LogSection;
use crate::reconciler::log::{APART, folder};
use crate::repository::{Listed, RepositoryError};

/// How long a collection may wait for its last segment, at most.
const SLOW: SignedDuration = SignedDuration::from_secs(30);

/// What is read on from a backup.
pub(in crate::reconciler) struct Replay {
    able: Ability,
    /// None: all there is.
    to: Option<Timestamp>,
    log: Content,
}

impl Reconciler {
    /// What `backup` goes on with up to `to`.
    pub(super) async fn replay_of(&self, backup: &Backup, to: Timestamp) -> Result<Replay, Trouble> {
        let offer = definition(backup.kind).offer.as_ref();
        let gone =
            || Trouble::lasting(BackupErrorCode::Missing, "What was written up to that moment is not kept any more.");
        let archive = offer.and_then(|offer| offer.can.archive.as_ref()).ok_or_else(gone)?;
        let service = self.store.service_get(backup.service).await?.ok_or(Trouble::Left)?;
        let sections = self.store.section_list(&[backup.service]).await?;
        let fits = |section: &&LogSection| section.goes_on_from(backup) && to <= section.until;
        let section = sections.iter().find(fits).ok_or_else(gone)?;
        let repository = &self.settings.backups.repository;
        let listed = repository.list_log(&folder(&service, section.instance)).await?;
        // What came before the section ends in a gap.
        let listed: Vec<_> = listed.into_iter().filter(|part| part.last >= section.first).collect();
        let newest = listed.iter().filter(|part| part.last <= section.last).map(|part| part.taken_at).max();
        let begun = backup.begun_at.ok_or_else(gone)?;
        // Nothing was committed since the newest was taken, or it would not be the newest: so there is nothing to stop at.
        let is_all = newest.is_some_and(|newest| newest + SLOW < to);
        let listed = listed.into_iter().filter(|part| !is_all || part.last <= section.last).collect();
        let parts = needed(listed, begun, &section.last, archive.follows)?;
        let (repository, sealer) = (repository.clone(), Arc::clone(&self.sealer));
        let stream = stream! {
            for part in parts {
                match repository.read_log(&part, &sealer).await {
                    Ok((told, mut content)) => {
                        while let Some(piece) = content.next().await {
                            yield piece.map_err(Trouble::from);
                        }
                        // When it was taken tells nothing: more may have waited then than it has.
                        if !is_all && told.until.is_some_and(|until| until > to) {
                            return;
                        }
                    }
                    Err(error) => {
                        yield Err(error.into());
                        return;
                    }
                }
            }
        };
        Ok(Replay {
            able: archive.replay,
            to: (!is_all).then_some(to),
            log: Content::of(archive.content, stream.boxed()),
        })
    }

    /// Has the server of `new`, which is made by `deployment`, be where it is to go on to. None where it does not answer, or else
    /// whether it is where all there is leads to.
    pub(super) async fn replay(
        &self,
        new: &Service,
        replay: Replay,
        deployment: &(impl Fn() -> Deployment + Sync),
    ) -> Result<Option<bool>, Trouble> {
        let with = |to| {
            let mut deployment = deployment();
            deployment.command.extend((replay.able.arguments)(to));
            deployment
        };
        self.start_alone(new, || with(replay.to)).await?;
        let (broken, content) = replay.log.in_pieces(None);
        let feeding = Command { limit: Some(FLOWING), kept: COMPLAINT, ..command((replay.able.feed)()) };
        let mut feeding = pin!(self.engine.pump(new.instance, &feeding, Flow { input: Some(content), output: None }));
        let mut answering = pin!(self.answers_at_last(new, deployment().ready_check));
        let mut is_fed = false;
        let answers = loop {
            tokio::select! {
                answers = &mut answering => break answers?,
                error = broken.told() => return Err(error),
                fed = &mut feeding, if !is_fed => {
                    if let Some(error) = broken.take() {
                        return Err(error);
                    }
                    // Where it could not be fed it ends, or has all it needs.
                    fed?;
                    is_fed = true;
                }
            }
        };
        if answers || replay.to.is_none() {
            return Ok(answers.then_some(replay.to.is_none()));
        }
        let log = self.engine.logs(new.instance, LINES).await.unwrap_or_default().join("\n");
        if !log.contains(replay.able.never_reached) {
            return Ok(None);
        }
        // All that was committed by then is there, and has been fed.
        self.engine.remove(&Target::Container(new.instance)).await?;
        self.start_alone(new, || with(None)).await?;
        Ok(self.answers_at_last(new, deployment().ready_check).await?.then_some(true))
    }

    /// Waits for as long as a server may read its log.
    async fn answers_at_last(&self, new: &Service, check: Vec<String>) -> Result<bool, Trouble> {
        let waiting = async {
            loop {
                if self.answers(new.instance, check.clone(), None).await? {
                    return Ok(true);
                }
                let seen = self.engine.look(new.instance, &self.image(new)).await?;
                if seen.container.is_none_or(|container| container.status != ContainerStatus::Running) {
                    return Ok(false);
                }
            }
        };
        tokio::time::timeout(FLOWING, waiting).await.unwrap_or(Ok(false))
    }

    pub(super) async fn prepare_replay(&self, new: &Service, able: &Ability) -> Result<(), Trouble> {
        match self.engine.run(new.instance, &command((able.prepare)())).await? {
            ended if ended.exit_code == Some(0) => Ok(()),
            ended => Err(self.not_restored(new, &ended, format!("It could not be laid out: {}", ended.output)).await),
        }
    }

    pub(super) async fn finish_replay(
        &self,
        new: &Service,
        access: &Access,
        (able, is_all): (&Ability, bool),
    ) -> Result<(), Trouble> {
        match self.engine.run(new.instance, &command((able.finish)(access, is_all))).await? {
            ended if ended.exit_code == Some(0) => Ok(()),
            ended => {
                let why = access.redact(&ended.output);
                Err(self.not_restored(new, &ended, format!("It did not come to that moment: {why}")).await)
            }
        }
    }
}

impl Replay {
    pub(super) fn able(&self) -> Ability {
        self.able
    }
}

/// Those of the parts that hold what was written from that moment up to the segment `end`, and on up to a gap, each going on where the
/// one before it ends. `listed` is in the order of first segments.
fn needed(
    mut listed: Vec<Listed>,
    from: Timestamp,
    end: &str,
    follows: fn(&str, &str) -> bool,
) -> Result<Vec<Listed>, RepositoryError> {
    listed.sort_by_key(|part| part.taken_at);
    let mut needed: Vec<Listed> = Vec::new();
    for part in listed.into_iter().filter(|part| part.taken_at + APART >= from) {
        if let Some(last) = needed.last() {
            // It was given twice, for nobody noted it the first time.
            if part.last <= last.last {
                continue;
            }
            if part.first > last.last && !follows(&last.last, &part.first) {
                break;
            }
        }
        needed.push(part);
    }
    match needed.last() {
        Some(last) if last.last.as_str() < end => {
            Err(RepositoryError::Missing(format!("What was written after {}", last.last)))
        }
        _ => Ok(needed),
    }
}
