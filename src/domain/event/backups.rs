//! What the log tells of backups.

use jiff::Timestamp;

use super::NewEvent;
use crate::domain::backup::{Backup, BackupPhase, BackupState};
use crate::domain::backup_policy::BackupPolicy;
use crate::domain::service::Service;

impl NewEvent {
    /// Of a backup that changed.
    pub fn backup_changed(before: &Backup, after: &Backup, now: Timestamp) -> Self {
        Self { message: backup_sentence(before, after), actor: None, occurred_at: now }
    }

    /// Of a backup that `actor` has asked for.
    pub fn backup_requested(backup: &Backup, actor: &str, now: Timestamp) -> Self {
        Self::asked(format!("A backup of {} was requested.", backup.service_name), actor, now)
    }

    /// Of a backup that `actor` wants to be restored once, to see that it can be.
    pub fn verification_requested(backup: &Backup, actor: &str, now: Timestamp) -> Self {
        let (name, at) = (&backup.service_name, backup.created_at);
        Self::asked(format!("The backup of {name} of {at:.0} is to be verified."), actor, now)
    }

    /// Of a service that `actor` wants to be backed up once more and then destroyed.
    pub fn final_backup_requested(backup: &Backup, actor: &str, now: Timestamp) -> Self {
        let name = &backup.service_name;
        let message = format!("{name} is to be backed up once more, and destroyed once that backup is verified.");
        Self::asked(message, actor, now)
    }

    /// Of a service that is destroyed now that its final backup is verified.
    pub fn destroyed_after_backup(service: &Service, now: Timestamp) -> Self {
        let message = format!("The final backup of {0} is verified, and {0} is removed with its data.", service.name);
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service that stays although its final backup is verified.
    pub fn kept_after_backup(service: &Service, why: &str, now: Timestamp) -> Self {
        let message = format!("The final backup of {0} is verified. {0} stays, for {why}.", service.name);
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a backup that is due by its service's policy.
    pub fn backup_due(backup: &Backup, now: Timestamp) -> Self {
        let message = format!("A backup of {} is due by its schedule.", backup.service_name);
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a backup that its service's policy keeps no longer.
    pub fn backup_expired(backup: &Backup, now: Timestamp) -> Self {
        let (name, at) = (&backup.service_name, backup.created_at);
        let message = format!("The backup of {name} of {at:.0} is removed, for its policy keeps it no longer.");
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service that `actor` has given a policy, or none any more.
    pub fn backup_policy_set(after: &Service, actor: &str, now: Timestamp) -> Self {
        let name = &after.name;
        let message = match &after.backup_plan.policy {
            Some(BackupPolicy { schedule, keep, verify, point_in_time }) => {
                let verified = if *verify { ", each of them verified" } else { "" };
                let kept = keep
                    .parts()
                    .into_iter()
                    .filter(|(_, number)| *number > 0)
                    .map(|(name, number)| format!("{number} {name}"));
                let kept: Vec<_> = kept.collect();
                let log = if *point_in_time { " Any moment in between can be brought back as well." } else { "" };
                format!("{name} is backed up at {schedule} (UTC){verified}. Kept are {}.{log}", kept.join(", "))
            }
            None => format!("{name} is not backed up by a schedule any more."),
        };
        Self::asked(message, actor, now)
    }

    /// Of a service that has what another one held, by its files or as its server gave it.
    pub fn cloned(service: &Service, source: &Service, by_files: bool, now: Timestamp) -> Self {
        let (name, of) = (&service.name, &source.name);
        let way = if by_files { "copied from volume to volume" } else { "as its server gave it" };
        Self { message: format!("{name} has the data of {of}, {way}."), actor: None, occurred_at: now }
    }

    /// Of a service of which `actor` has asked for a dump.
    pub fn export_requested(service: &Service, actor: &str, now: Timestamp) -> Self {
        Self::asked(format!("A download of all that {} holds was requested.", service.name), actor, now)
    }

    /// Of a backup that `actor` does not want any more.
    pub fn backup_deletion_requested(backup: &Backup, actor: &str, now: Timestamp) -> Self {
        let (name, at) = (&backup.service_name, backup.created_at);
        Self::asked(format!("The removal of the backup of {name} of {at:.0} was requested."), actor, now)
    }

    /// Of a backup that is gone.
    pub fn backup_deleted(backup: &Backup, now: Timestamp) -> Self {
        let (name, at) = (&backup.service_name, backup.created_at);
        Self { message: format!("The backup of {name} of {at:.0} is removed."), actor: None, occurred_at: now }
    }

    /// The first event of a service that nothing but its backups knew of.
    pub fn recovered(service: &Service, now: Timestamp) -> Self {
        let message = format!("{} is known again by its backups.", service.name);
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service whose data was lost with its machine.
    pub fn to_be_recovered(service: &Service, (backup, to): (&Backup, Option<Timestamp>), now: Timestamp) -> Self {
        let (name, at) = (&service.name, backup.begun_at.unwrap_or(backup.created_at));
        let wanted = match to {
            Some(to) => format!("what it had at {to:.0}, by its backup of {at:.0} and its log"),
            None => format!("that of its backup of {at:.0}"),
        };
        let message = format!("The data of {name} was lost with its machine; it is to have {wanted}.");
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service that had been destroyed when another one was given its name.
    pub fn known_destroyed(service: &Service, now: Timestamp) -> Self {
        let message = format!("{} had been destroyed: a later service has its name.", service.name);
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service of which every change is kept from now on, after those of which none was since `missing`.
    pub fn log_begun(service: &Service, missing: Option<Timestamp>, now: Timestamp) -> Self {
        let name = &service.name;
        let message = match missing {
            Some(since) => format!(
                "What {name} wrote since {since:.0} could not be kept. No moment since then can be brought back, up to the \
                 next backup."
            ),
            None => {
                format!("What {name} writes is kept from now on: after the next backup any moment can be brought back.")
            }
        };
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service whose container was made before what is written could be kept.
    pub fn log_awaits_start(service: &Service, now: Timestamp) -> Self {
        let name = &service.name;
        let message = format!(
            "What {name} writes is kept from its next start on, for its container is of before that could be done. Restart it \
             to begin now."
        );
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service that has what a backup holds, or what it held at a later moment.
    pub fn restored(service: &Service, (backup, to): (&Backup, Option<Timestamp>), now: Timestamp) -> Self {
        let (name, of, at) = (&service.name, &backup.service_name, backup.created_at);
        let message = match to {
            Some(to) => format!("{name} has the data of {of} as it was at {to:.0}."),
            None => format!("{name} has the data of the backup of {of} of {at:.0}."),
        };
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service that `actor` wants to have what a backup of it holds.
    pub fn restore_requested(
        service: &Service,
        (backup, to): (&Backup, Option<Timestamp>),
        actor: &str,
        now: Timestamp,
    ) -> Self {
        let (name, at) = (&service.name, backup.created_at);
        let message = match to {
            Some(to) => format!("{name} is to be brought back, in place, to what it was at {to:.0}."),
            None => format!("{name} is to be restored in place from its backup of {at:.0}."),
        };
        Self::asked(message, actor, now)
    }

    /// Of a service that has what a backup of it holds from now on; what it was is kept until `kept_until`, if it is.
    pub fn restored_in_place(
        (before, after): (&Service, &Service),
        (backup, to): (&Backup, Option<Timestamp>),
        kept_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let name = &after.name;
        let data = match to {
            Some(to) => format!("it had at {to:.0}"),
            None => format!("of its backup of {:.0}", backup.created_at),
        };
        let (old, new) = (&before.wish.version, &after.wish.version);
        let version = match old == new {
            true => String::new(),
            false => format!(" It is of the backup's version {new} again, and was of {old}."),
        };
        let kept = match kept_until {
            Some(until) => format!("What it was until now is kept until {until:.0}."),
            None => "Of what it was nothing is there to keep.".to_owned(),
        };
        let message = format!("{name} has the data {data} again.{version} {kept}");
        Self { message, actor: None, occurred_at: now }
    }
}

fn backup_sentence(before: &Backup, after: &Backup) -> String {
    let what = format!("The backup of {} of {:.0}", after.service_name, after.created_at);
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    if after.error != before.error
        && let Some(error) = &after.error
    {
        return match after.state {
            _ if before.origin != after.origin => {
                format!("{what} has failed, and {} is not destroyed: {}", after.service_name, error.message)
            }
            BackupState::Failed => format!("{what} has failed: {}", error.message),
            BackupState::Available | BackupState::Verified if after.to_verify => {
                format!("{what} has to wait to be verified: {}", error.message)
            }
            BackupState::Available | BackupState::Verified => {
                format!("{what} could not be verified: {}", error.message)
            }
            _ => format!("{what} has to wait: {}", error.message),
        };
    }
    match (after.state, after.phase) {
        (BackupState::Running, _)
            if before.state == BackupState::Running && before.content_bytes != after.content_bytes =>
        {
            format!("{what} is being taken: {} MiB so far.", mib(after.content_bytes))
        }
        (BackupState::Running, _) => format!("{what} is being taken."),
        (_, Some(BackupPhase::Restoring)) => format!("{what} is being restored, to see that it can be."),
        (_, Some(BackupPhase::Reading)) => format!("{what} was restored, and is being read."),
        (BackupState::Available, _) => {
            let stored = after.stored_bytes.unwrap_or_default();
            format!("{what} is kept: {} MiB, stored in {} MiB.", mib(after.content_bytes), mib(stored))
        }
        (BackupState::Verified, _) => format!("{what} is verified: it was restored and read."),
        (state, _) => format!("{what} is {}.", state.as_str().to_lowercase()),
    }
}
