//! What a backup holds is laid out in an instance by a container that does nothing else, and read there once.

use super::*;
use crate::catalog::Offer;

/// What restores `content`, where the catalog still has that.
fn restorer(new: &Service, content: &Content) -> Result<(&'static Offer, &'static Ability), Trouble> {
    let offer = definition(new.wish.kind).offer.as_ref();
    let able = offer.and_then(|offer| Some((offer, offer.can.backup.as_ref()?)));
    able.filter(|(_, able)| able.content == content.kind).ok_or_else(|| {
        let message = "The catalog no longer offers a way to restore what it holds.";
        Trouble::lasting(BackupErrorCode::RestoreFailed, message)
    })
}

/// The same with room to work in, for that is the sidecar's work, and not held back by the size of what it is for.
pub(super) fn roomy(new: &Service, offer: &Offer) -> Service {
    let mut roomy = new.clone();
    roomy.wish.tier = offer.tiers.last().copied().unwrap_or(new.wish.tier);
    roomy.wish.tier.storage_mib = new.wish.tier.storage_mib;
    roomy
}

impl Reconciler {
    /// Makes the instance of `new` anew, with `content`, and has it run, where nobody reaches it, so that it lets in
    /// whom `access` names.
    pub(in crate::reconciler) async fn bring_in(
        &self,
        new: &Service,
        access: &Access,
        content: Content,
        progress: Option<&watch::Sender<u64>>,
    ) -> Result<&'static Ability, Trouble> {
        let (offer, able) = restorer(new, &content)?;
        let mut content = content;
        let replay = content.replay.take();
        self.lay_out(new, access, content, progress).await?;
        if let Some(replay) = &replay {
            self.prepare_replay(new, &replay.able()).await?;
        }
        self.engine.remove(&Target::Container(new.instance)).await?;

        let real = || {
            let mut deployment = (offer.deployment)(&new.wish, access, &self.settings.policy);
            deployment.expect_data();
            deployment
        };
        let replays = replay.as_deref().map(replay::Replay::able);
        let came_to = match replay {
            Some(replay) => self.replay(new, *replay, &real).await?,
            None => self.start_and_wait(new, &real).await?.then_some(true),
        };
        match (came_to, replays) {
            (Some(is_all), Some(able)) => self.finish_replay(new, access, (&able, is_all)).await?,
            (Some(_), None) => {}
            (None, _) => {
                let log = self.engine.logs(new.instance, LINES).await.unwrap_or_default().join("\n");
                let message = format!("What was restored does not start: {}", access.redact(&log));
                return Err(self.unrestorable(new, message).await);
            }
        }
        if let Some(admit) = able.admit {
            let ended = self.engine.run(new.instance, &command(admit(access))).await?;
            if ended.exit_code != Some(0) {
                let why = access.redact(&ended.output);
                let message = format!("What was restored does not take its password: {why}");
                return Err(self.not_restored(new, &ended, message).await);
            }
        }
        Ok(able)
    }

    /// The same, but shut down again, and its container gone: gives the image that has read it.
    pub(super) async fn bring_to_rest(
        &self,
        new: &Service,
        access: &Access,
        content: Content,
        progress: &watch::Sender<u64>,
    ) -> Result<Image, Trouble> {
        let (offer, able) = restorer(new, &content)?;
        let settle = able.settle.filter(|_| content.replay.is_none());
        match settle {
            Some(settle) => {
                self.lay_out(&roomy(new, offer), access, content, Some(progress)).await?;
                let settling = Command { limit: Some(FLOWING), ..command(settle(access)) };
                let ended = self.engine.run(new.instance, &settling).await?;
                if ended.exit_code != Some(0) {
                    let message = format!("What was restored can't be read: {}", access.redact(&ended.output));
                    return Err(self.not_restored(new, &ended, message).await);
                }
            }
            None => {
                self.bring_in(new, access, content, Some(progress)).await?;
                self.engine.stop(new.instance, offer.stop_grace).await?;
            }
        }
        let seen = self.engine.look(new.instance, &self.image(new)).await?.container;
        let image = match seen.map(|container| (container.status, container.image)) {
            Some((ContainerStatus::Exited { exit_code: 0, .. }, image)) => image,
            Some((ContainerStatus::Running, image)) if settle.is_some() => image,
            _ => {
                let message = "What was restored did not shut down cleanly.";
                return Err(Trouble::passing(BackupErrorCode::RestoreFailed, message));
            }
        };
        self.engine.remove(&Target::Container(new.instance)).await?;
        Ok(image)
    }

    /// Makes the instance of `new` anew, with `content` laid out in its volume, and a container that waits.
    async fn lay_out(
        &self,
        new: &Service,
        access: &Access,
        content: Content,
        progress: Option<&watch::Sender<u64>>,
    ) -> Result<(), Trouble> {
        let (offer, able) = restorer(new, &content)?;
        self.remove_instance(new.instance).await?;
        self.engine.ensure(&things::volume(new)).await?;
        self.start_alone(new, || (offer.deployment)(&new.wish, access, &self.settings.policy).idle()).await?;
        self.flow_in(new, able, content, progress).await
    }

    /// Tells whether it answers.
    async fn start_and_wait(&self, new: &Service, make: &(impl Fn() -> Deployment + Sync)) -> Result<bool, Trouble> {
        self.start_alone(new, make).await?;
        let answers = self.answers(new.instance, make().ready_check, None);
        Ok(tokio::time::timeout(READY, answers).await.unwrap_or(Ok(false))?)
    }

    /// Salted files differ each time, which nobody minds.
    pub(super) async fn start_alone(&self, new: &Service, make: impl Fn() -> Deployment + Sync) -> Result<(), Trouble> {
        self.engine.ensure(&things::isolated(new, self.image(new), make())).await?;
        Ok(self.engine.start(new.instance, &make()).await?)
    }

    /// Has the content flow into the idle container, which lays it out.
    async fn flow_in(
        &self,
        new: &Service,
        able: &Ability,
        content: Content,
        progress: Option<&watch::Sender<u64>>,
    ) -> Result<(), Trouble> {
        let laying_out = (able.lay_out)(&new.wish.version, content.is_verified);
        let (broken, content) = content.in_pieces(progress.cloned());
        let command = Command { limit: Some(FLOWING), kept: COMPLAINT, ..command(laying_out) };
        let laying = self.engine.pump(new.instance, &command, Flow { input: Some(content), output: None });
        let ended = tokio::select! {
            ended = laying => ended,
            error = broken.told() => return Err(error),
        };
        // It may have ended because of that.
        if let Some(error) = broken.take() {
            return Err(error);
        }
        match ended? {
            ended if ended.exit_code == Some(0) => Ok(()),
            ended => {
                let message = format!("It could not be laid out: {}", ended.output);
                Err(self.not_restored(new, &ended, message).await)
            }
        }
    }
}
