//! What a service holds is copied into an instance from volume to volume, by a container that has both, while the service holds
//! its files as they are. Where that can't be done it is nobody's trouble, for the same flows out of the server as well.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::bring::roomy;
use crate::catalog::access::Access;
use crate::catalog::copy::{Copy, HELD, RELEASED};
use crate::catalog::definition;
use crate::catalog::deployment::{Change, Deployment};
use crate::domain::backup::BackupErrorCode;
use crate::domain::image::Image;
use crate::domain::service::Service;
use crate::engine::{Command, Ended, EngineError, Flow, Target};
use crate::reconciler::backups::{FLOWING, Trouble, WAITING, able_now};
use crate::reconciler::execute::{COMPLAINT, command};
use crate::reconciler::{Reconciler, things};

/// How often it is measured how much is there.
const MEASURED: Duration = Duration::from_secs(1);
/// The longest line that is told of what is held, in bytes; a label takes some hundred.
const LINE: usize = 64 << 10;

impl Reconciler {
    /// Makes the instance of `new` anew with the files of `source`, for a server that lets in whom `access` names, and gives the
    /// image that has read them. None where they can't be had that way.
    pub(super) async fn copied(
        &self,
        new: &Service,
        access: &Access,
        source: &Service,
        progress: &watch::Sender<u64>,
    ) -> Result<Option<Image>, Trouble> {
        let Some(copy) = able_now(source)?.copy else { return Ok(None) };
        let copied = self.copy_over(new, access, (source, &copy), progress).await;
        // It would keep the source's volume from being removed.
        let removed = self.engine.remove(&Target::Container(new.instance)).await;
        match copied {
            Ok(image) => {
                removed?;
                Ok(Some(image))
            }
            Err(Trouble::Failed { code, message, .. }) if code != BackupErrorCode::EngineUnavailable => {
                tracing::warn!(service = %new.id, source = %source.id, why = message,
                    "What a service holds can't be copied by its files; its server is asked for it");
                Ok(None)
            }
            Err(trouble) => Err(trouble),
        }
    }

    async fn copy_over(
        &self,
        new: &Service,
        access: &Access,
        (source, copy): (&Service, &Copy),
        progress: &watch::Sender<u64>,
    ) -> Result<Image, Trouble> {
        let gone = || Trouble::lasting(BackupErrorCode::RestoreFailed, "The catalog no longer offers its kind.");
        let offer = definition(new.wish.kind).offer.as_ref().ok_or_else(gone)?;
        let theirs = self.access(source).await?;
        self.remove_instance(new.instance).await?;
        self.engine.ensure(&things::volume(new)).await?;

        let roomy = roomy(new, offer);
        let idle = || (offer.deployment)(&roomy.wish, access, &self.settings.policy).idle();
        let held = async {
            let holding = self.hold(source, theirs, copy);
            let mut held = Held { holding, heard: Vec::new() };
            held.line(HELD).await.map(|_| held)
        };
        let (held, started) = tokio::join!(held, self.start_copier(new, source, idle));
        match started {
            Err(EngineError::Refused { message, .. }) => {
                return Err(Trouble::lasting(BackupErrorCode::RestoreFailed, message));
            }
            // Where the engine is away, that says more than what was held.
            started => started?,
        }
        let mut held = held?;

        let version = &new.wish.version;
        let copying = self.instruct_copier(new, (copy.copy)(version));
        tokio::select! {
            copied = copying => copied?,
            ended = held.end() => return Err(ended),
            never = self.tell_copied(new, progress) => never,
        }
        held.tell(copy.release).await;
        let told = held.line(RELEASED).await?;
        self.instruct_copier(new, (copy.finish)(access, version, &told)).await?;
        let seen = self.engine.look(new.instance, &self.image(new)).await?.container;
        seen.map(|container| container.image).ok_or_else(|| {
            Trouble::passing(BackupErrorCode::EngineUnavailable, "What was copying its data was removed.")
        })
    }

    async fn start_copier(
        &self,
        new: &Service,
        source: &Service,
        idle: impl Fn() -> Deployment + Sync,
    ) -> Result<(), EngineError> {
        self.engine.ensure(&things::copier(new, self.image(new), idle(), source.instance)).await?;
        self.engine.start(new.instance, &idle()).await
    }

    async fn instruct_copier(&self, new: &Service, change: Change) -> Result<(), Trouble> {
        let command = Command { limit: Some(FLOWING), ..command(change) };
        match self.engine.run(new.instance, &command).await? {
            ended if ended.exit_code == Some(0) => Ok(()),
            ended => Err(self.not_restored(new, &ended, ended.output.clone()).await),
        }
    }

    /// Tells how much is there by now. What can't be measured is no matter of the copy.
    async fn tell_copied<T>(&self, new: &Service, progress: &watch::Sender<u64>) -> T {
        let offer = definition(new.wish.kind).offer.as_ref();
        let (path, port) = offer.map_or(("/", 0), |offer| (offer.data_path, offer.port()));
        loop {
            tokio::time::sleep(MEASURED).await;
            if let Ok(held) = self.instruments.holdings(new.instance, path, port).await {
                progress.send_replace(held.storage_bytes);
            }
        }
    }

    fn hold(&self, source: &Service, access: Access, copy: &Copy) -> Holding {
        let holding = Command { limit: Some(FLOWING), kept: COMPLAINT, ..command((copy.hold)(&access)) };
        let (tell, mut told) = mpsc::channel(1);
        let (says, said) = mpsc::channel(WAITING);
        let (engine, instance) = (std::sync::Arc::clone(&self.engine), source.instance);
        let input = futures_util::stream::poll_fn(move |context| told.poll_recv(context)).boxed();
        let flow = Flow { input: Some(input), output: Some(says) };
        let going = AbortOnDropHandle::new(tokio::spawn(async move { engine.pump(instance, &holding, flow).await }));
        Holding { tell, said, going, access }
    }
}

/// What holds the files of a service as they are, for as long as this is there.
struct Holding {
    tell: mpsc::Sender<Bytes>,
    said: mpsc::Receiver<Bytes>,
    going: AbortOnDropHandle<Result<Ended, EngineError>>,
    access: Access,
}

/// The same, with what was heard of it and not yet read.
struct Held {
    holding: Holding,
    heard: Vec<u8>,
}

impl Held {
    /// What follows `word` in the next line that begins with it.
    async fn line(&mut self, word: &str) -> Result<String, Trouble> {
        loop {
            while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                if let Some(rest) = line.trim_end().strip_prefix(word) {
                    return Ok(rest.trim_start().to_owned());
                }
            }
            match self.holding.said.recv().await {
                Some(piece) if self.heard.len() + piece.len() <= LINE => self.heard.extend_from_slice(&piece),
                _ => return Err(self.end().await),
            }
        }
    }

    async fn tell(&self, line: &'static str) {
        // Where nobody takes it any more, what it says next tells why.
        let _ = self.holding.tell.send(Bytes::from_static(line.as_bytes())).await;
    }

    /// Why it has ended, once it has.
    async fn end(&mut self) -> Trouble {
        let why = match (&mut self.holding.going).await {
            Ok(Ok(ended)) => self.holding.access.redact(&ended.output),
            Ok(Err(error)) => return error.into(),
            Err(error) => error.to_string(),
        };
        let message = format!("The server inside does not hold its files: {why}");
        Trouble::Failed { code: BackupErrorCode::SourceFailed, message, tries: 3 }
    }
}
