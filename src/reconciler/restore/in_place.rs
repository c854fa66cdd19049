//! A backup is brought into the service that it is of: another instance is given what it holds, and takes the place of the one
//! that runs the service. That one goes on until then, and is kept with all that was written since.

use tokio::sync::{Notify, watch};

use crate::catalog::definition;
use crate::domain::backup::Backup;
use crate::domain::event::NewEvent;
use crate::domain::observed::Volume;
use crate::domain::service::{ErrorCode, OperationPhase, Service, ServiceState};
use crate::domain::task::Task;
use crate::reconciler::Reconciler;
use crate::reconciler::backups::Trouble;
use crate::reconciler::execute::Done;
use crate::reconciler::replace::{Halt, Kept, Moving, instance_to_be};
use crate::reconciler::rules::{Failure, holds_up};
use crate::reconciler::steps::Step;

impl Reconciler {
    pub(super) async fn restore_in_place(&self, service: &Service, task: Task, interrupt: &Notify) -> Done {
        let backup = match self.whole_backup(&task).await {
            Ok(backup) => backup,
            Err(done) => return done,
        };
        let access = match self.access(service).await {
            Ok(access) => access,
            Err(done) => return done,
        };
        let Some(offer) = &definition(service.wish.kind).offer else {
            let message = "The catalog no longer offers this kind of service.".to_owned();
            return Done::Failed(Failure { code: ErrorCode::RestoreFailed, message });
        };
        let version = backup.as_ref().map_or(&service.wish.version, |backup| &backup.version);
        let mut moving = Moving {
            access,
            service: service.clone(),
            step: Step::Restore(task.id),
            task,
            interrupt,
            offer,
            new: instance_to_be(service, version),
            keeps: true,
        };
        match self.bring_back(&mut moving, backup).await {
            Ok(()) => {
                self.hints.project_changed(&service.project);
                Done::Tried
            }
            // What came of the last write nobody knows: the next look finds out.
            Err(Halt::Store(error)) => Done::StoreFailed(error),
            // What was being made then may come to be yet. The next try throws it away, or else the rules do.
            Err(Halt::Left) => Done::Tried,
            Err(halt) => self.give_back(&moving, halt).await,
        }
    }

    /// What it is restored from, where that is still kept.
    async fn whole_backup(&self, task: &Task) -> Result<Option<Backup>, Done> {
        let Some(id) = task.backup else { return Ok(None) };
        let backup = self.store.backup_get(id).await.map_err(Done::StoreFailed)?;
        Ok(backup.filter(|backup| backup.state.is_whole()))
    }

    async fn bring_back(&self, moving: &mut Moving<'_>, backup: Option<Backup>) -> Result<(), Halt> {
        let backup = backup.ok_or_else(|| Halt::Refused("The backup is not there any more.".to_owned()))?;
        let project = moving.service.project.clone();
        let _slot = self.unless_left(moving, async { Ok(self.lanes.bulk(&project).await) }).await?;
        let to = moving.task.recover_to;
        let content = async { Ok(self.content_of(&backup, to).await?) };
        let content = self.unless_left(moving, content).await?;
        let all = backup.content_bytes;
        self.register(moving).await?;
        // How far an earlier try came tells nothing of this one.
        self.note_phase(moving, OperationPhase::Restoring, |_| ()).await?;
        let mut new = moving.new.clone();
        self.unless_left(moving, async { Ok(self.fetch_beside(&mut new).await?) }).await?;
        moving.new = new;
        let (progress, flowed) = watch::channel(0);
        let image_of_new = {
            let bringing = async { Ok(self.bring_to_rest(&moving.new, &moving.access, content, &progress).await?) };
            tokio::select! {
                brought = self.unless_left(moving, bringing) => brought?,
                never = self.tell_restored(&moving.service, flowed, all) => never,
            }
        };
        moving.new.evidence.note_served(Some(image_of_new));

        let (old, grace) = (moving.service.instance, moving.offer.stop_grace);
        self.note_phase(moving, OperationPhase::Switching, |_| ()).await?;
        let seen = self.engine.look(old, &self.image(&moving.service)).await?;
        if seen.container.is_some() {
            self.engine.stop(old, grace).await?;
        }
        self.clear_places(moving).await?;
        // Nobody can go back to what is lost. What is there in its place is somebody else's, and stays.
        moving.keeps = seen.volume == Volume::Ours;
        let told = |before: &Service, after: &Service, kept: Kept| {
            NewEvent::restored_in_place((before, after), (&backup, to), kept.until, kept.now)
        };
        self.switch(moving, told).await
    }

    /// The service goes on as what it was.
    async fn give_back(&self, moving: &Moving<'_>, halt: Halt) -> Done {
        let failed = halt.told().map(|(why, for_good)| {
            let message = format!("It could not be restored, and is what it was: {why}");
            self.failed(&moving.task, Failure { code: ErrorCode::RestoreFailed, message }, for_good)
        });
        // What did not run before is in error again, until the rules say of what.
        let mend = |after: &mut Service, task: Option<&Task>| {
            if let Some(error) = task.and_then(Task::shown_error)
                && after.state == ServiceState::Provisioning
            {
                (after.state, after.operation, after.error) = (ServiceState::Error, None, Some(error.clone()));
            }
        };
        self.take_back(moving, failed, mend).await
    }

    /// Whether a restore in place has to be begun anew later, for what runs the service until then needs something first.
    pub(in crate::reconciler) async fn is_held_up(&self, service: &Service) -> bool {
        let Ok(Some(row)) = self.store.service_get(service.id).await else { return false };
        match self.engine.look(row.instance, &self.image(&row)).await {
            Ok(seen) => row.evidence.initialised && holds_up(&row, &seen, (self.clock)()),
            Err(_) => false,
        }
    }
}

impl From<Trouble> for Halt {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Left => Self::Left,
            Trouble::Store(error) => error.into(),
            Trouble::Failed { message, tries: 1, .. } => Self::Refused(message),
            Trouble::Failed { message, .. } => Self::Failed(message),
        }
    }
}
