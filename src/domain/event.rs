//! What happened to a service, in the order in which it happened in its project.

use jiff::Timestamp;

mod backups;

use super::id::{ProjectId, ServiceId};
use super::name::ServiceName;
use super::service::{ErrorCode, Operation, OperationKind, OperationPhase, Service, ServiceState};

/// An entry of a project's event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEvent {
    pub project: ProjectId,
    /// 1 for a project's first event, and one more with each: there are no gaps, and the order is that of commits. Old ones
    /// may have been taken away.
    pub sequence: i64,
    pub service: ServiceId,
    /// None on the first event of a service.
    pub previous_state: Option<ServiceState>,
    pub state: ServiceState,
    pub operation: Option<Operation>,
    pub message: String,
    pub actor: Option<String>,
    pub occurred_at: Timestamp,
    /// The revision of the service from then on; None on events of earlier versions.
    pub revision: Option<i64>,
}

/// How much of a project's log there is. It begins with 1 to 0, which is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSpan {
    /// From this sequence on all events are there. Older ones may have been taken away.
    pub first: i64,
    pub last: i64,
}

impl LogSpan {
    /// Ahead of the first event: the earliest place from which all that comes can be read.
    pub fn start(self) -> i64 {
        self.first - 1
    }
}

/// What an event that is about to be appended tells. Its place in the log, the states before and after it and the operation
/// are what the log finds when it appends it, so that no event contradicts another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub message: String,
    /// None where the system acted.
    pub actor: Option<String>,
    pub occurred_at: Timestamp,
}

impl NewEvent {
    /// The first event of `service`.
    pub fn provisioned(service: &Service, actor: &str) -> Self {
        let name = &service.name;
        let end = match service.lifetime.expires_at {
            Some(at) => format!(" It is to be destroyed at {at:.0}, with its data."),
            None if service.lifetime.protected => " It is protected from being destroyed.".to_owned(),
            None => String::new(),
        };
        let message = format!("{name} was accepted and waits to be provisioned.{end}");
        Self::asked(message, actor, service.created_at)
    }

    pub fn credentials_revealed(service: &Service, actor: &str, now: Timestamp) -> Self {
        Self::asked(format!("The credentials of {} were revealed.", service.name), actor, now)
    }

    /// Of a service whose password `actor` wants changed.
    pub fn rotation_requested(service: &Service, actor: &str, now: Timestamp) -> Self {
        Self::asked(format!("A change of the password of {} was requested.", service.name), actor, now)
    }

    /// Of a service whose server takes the new password, and no other any more.
    pub fn credentials_rotated(service: &Service, now: Timestamp) -> Self {
        let message = format!("The password of {} was changed; the old one is no longer accepted.", service.name);
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service that `actor` has given another size, which the server inside takes at its next start as far as it needs
    /// one.
    pub fn resized(service: &Service, actor: &str, now: Timestamp) -> Self {
        Self::asked(format!("{} is to have the size {}.", service.name, service.wish.tier.tier.name()), actor, now)
    }

    /// Of a service that holds so many hundredths of what its size is meant for.
    pub fn storage_filling(service: &Service, hundredths: u8, now: Timestamp) -> Self {
        let (name, size) = (&service.name, service.storage_limit_mib());
        let message = format!(
            "{name} holds {hundredths} % of the {size} MiB that its size has. At 100 % it takes no more writes."
        );
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service that `actor` wants to be of `version`.
    pub fn upgrade_requested(service: &Service, version: &str, actor: &str, now: Timestamp) -> Self {
        let before = &service.wish.version;
        Self::asked(format!("{} is to be brought from version {before} to {version}.", service.name), actor, now)
    }

    /// Of a service that is run by an instance of another version from now on; what ran it is kept until `kept_until`.
    pub fn switched(before: &Service, after: &Service, kept_until: Timestamp, now: Timestamp) -> Self {
        let (name, old, new) = (&after.name, &before.wish.version, &after.wish.version);
        let message =
            format!("{name} has all its data in version {new}; what it was in {old} is kept until {kept_until:.0}.");
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service that `actor` wants to be what it was; `written` tells what was written since.
    pub fn reverted(before: &Service, after: &Service, written: &str, actor: &str, now: Timestamp) -> Self {
        let (name, old, new) = (&after.name, &before.wish.version, &after.wish.version);
        let message = match old == new {
            true => format!("{name} goes back to what it was and the data that it had then; {written}."),
            false => format!("{name} goes back from version {old} to {new} and the data that it had then; {written}."),
        };
        Self::asked(message, actor, now)
    }

    /// Of a service that `actor` wants to run from what its image's name means by now.
    pub fn update_requested(service: &Service, actor: &str, now: Timestamp) -> Self {
        Self::asked(format!("{} is to run from the newest image of its version.", service.name), actor, now)
    }

    /// Of a service whose image's name means what it runs from already.
    pub fn image_current(service: &Service, now: Timestamp) -> Self {
        let message = format!("{} runs from the newest image of its version already.", service.name);
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service that is to be made anew from another image.
    pub fn image_pulled(service: &Service, now: Timestamp) -> Self {
        let message = format!("A newer image of {} is there; it is started from that.", service.name);
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service whose container had other limits than it is to have.
    pub fn limits_restored(service: &Service, now: Timestamp) -> Self {
        let message = format!("The limits of {} were changed by somebody else, and are put right.", service.name);
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service whose container had other settings than it is to have.
    pub fn made_anew(service: &Service, now: Timestamp) -> Self {
        let message =
            format!("The container of {} had other settings than it is to have, and is made anew.", service.name);
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service that `actor` has protected from being destroyed, or lets be destroyed again.
    pub fn protection_set(after: &Service, actor: &str, now: Timestamp) -> Self {
        let name = &after.name;
        let message = match after.lifetime.protected {
            true => format!("{name} is protected from being destroyed."),
            false => format!("{name} is not protected from being destroyed any more."),
        };
        Self::asked(message, actor, now)
    }

    /// Of a service that `actor` has given an expiry, or none any more.
    pub fn expiry_set(after: &Service, actor: &str, now: Timestamp) -> Self {
        let name = &after.name;
        let message = match after.lifetime.expires_at {
            Some(at) => format!("{name} is to be destroyed at {at:.0}, with its data."),
            None => format!("{name} is not to be destroyed at any time any more: it has no expiry."),
        };
        Self::asked(message, actor, now)
    }

    /// Of a service that expires at `at`, within the hour.
    pub fn expiry_near(service: &Service, at: Timestamp, now: Timestamp) -> Self {
        let name = &service.name;
        let message =
            format!("{name} is about to expire: it is destroyed at {at:.0}, with its data, unless that is changed.");
        Self { message, actor: None, occurred_at: now }
    }

    /// Of a service that is destroyed because its time has come.
    pub fn expired(service: &Service, now: Timestamp) -> Self {
        let message = format!("{} has expired, and is removed with its data.", service.name);
        Self { message, actor: None, occurred_at: now }
    }

    fn asked(message: String, actor: &str, now: Timestamp) -> Self {
        Self { message, actor: Some(actor.to_owned()), occurred_at: now }
    }

    /// The event of a change from `before` to `after`; None when a viewer can't see a difference.
    pub fn of_change(before: &Service, after: &Service, actor: Option<&str>, now: Timestamp) -> Option<Self> {
        let shown = |service: &Service| {
            let operation = service.operation.as_ref().map(|o| (o.kind, o.phase, o.progress_percent, o.started_at));
            let error = service.error.as_ref().map(|e| (e.code, e.message.clone()));
            (service.state, operation, error)
        };
        (shown(before) != shown(after) || is_moved(before, after)).then(|| Self {
            message: sentence(before, after),
            actor: actor.map(str::to_owned),
            occurred_at: now,
        })
    }
}

/// Whether it runs on, and is published elsewhere than before. With a change of its state that goes without saying.
fn is_moved(before: &Service, after: &Service) -> bool {
    let runs = |service: &Service| service.state == ServiceState::Running;
    runs(before) && runs(after) && before.evidence.published != after.evidence.published
}

/// Whether it ran and took no more writes.
fn is_full(before: &Service) -> bool {
    let full = before.error.as_ref().is_some_and(|error| error.code == ErrorCode::StorageFull);
    full && before.state == ServiceState::Running
}

/// Whether it was being given another size.
fn is_resized(before: &Service) -> bool {
    before.operation.as_ref().is_some_and(|operation| operation.kind == OperationKind::Resize)
}

/// Whether it was on its way to another version.
fn is_brought(before: &Service) -> bool {
    let kinds = [OperationKind::Upgrade, OperationKind::Revert];
    let is_one = before.operation.as_ref().is_some_and(|operation| kinds.contains(&operation.kind));
    is_one && before.state == ServiceState::Provisioning
}

fn sentence(before: &Service, after: &Service) -> String {
    let name = &after.name;
    if after.error != before.error
        && let Some(error) = &after.error
    {
        return match after.state {
            ServiceState::Error => format!("{name} is in error: {}", error.message),
            ServiceState::Destroying => format!("{name} could not be removed yet: {}", error.message),
            ServiceState::Running => format!("{name} is running. {}", error.message),
            _ => format!("{name} has to wait: {}", error.message),
        };
    }
    let Some(operation) = &after.operation else {
        return match after.state {
            ServiceState::Error => {
                let why = after.error.as_ref().map_or("", |error| error.message.lines().next().unwrap_or_default());
                format!("{name} is still in error: {why}")
            }
            ServiceState::Running if is_moved(before, after) => match after.evidence.published {
                Some(published) => format!("{name} is published on {published} now."),
                None => format!("{name} is not published any more."),
            },
            ServiceState::Running if is_full(before) => format!("{name} has room again, and takes writes."),
            ServiceState::Running if is_resized(before) => {
                format!("{name} is running in the size {}.", after.wish.tier.tier.name())
            }
            ServiceState::Running if is_brought(before) => {
                format!("{name} is running in version {}.", after.wish.version)
            }
            ServiceState::Running => format!("{name} is running and answers its health check."),
            ServiceState::Stopped => format!("{name} is stopped; its data is kept."),
            ServiceState::Destroyed => format!("{name} is destroyed: its container and its volume are gone."),
            state => format!("{name} is {}.", state.as_str().to_lowercase()),
        };
    };
    let step = step(name, operation);
    let unasked = |operation: &Operation| operation.kind == OperationKind::Recover;
    if unasked(operation) && !before.operation.as_ref().is_some_and(unasked) {
        return format!("{name} no longer ran as it should and is being repaired. {step}");
    }
    step
}

fn step(name: &ServiceName, operation: &Operation) -> String {
    match operation.phase {
        OperationPhase::Queued => match operation.kind {
            OperationKind::Provision => format!("{name} waits to be provisioned."),
            OperationKind::Start => format!("A start of {name} was requested."),
            OperationKind::Stop => format!("A stop of {name} was requested."),
            OperationKind::Restart => format!("A restart of {name} was requested."),
            OperationKind::Destroy => format!("The removal of {name} was requested."),
            OperationKind::Recover => format!("{name} is about to be repaired."),
            OperationKind::RotateCredentials => format!("A change of the password of {name} was requested."),
            OperationKind::Resize => format!("A change of the size of {name} was requested."),
            OperationKind::Repair => format!("A repair of {name} was requested."),
            OperationKind::Upgrade => format!("Another version of {name} was requested."),
            OperationKind::Revert => format!("{name} is about to go back to what it was before."),
            OperationKind::UpdateImage => format!("A newer image of {name} was requested."),
            OperationKind::Restore => format!("{name} is about to be restored from a backup."),
            OperationKind::Clone => format!("{name} is about to be given the data of another service."),
            OperationKind::Unknown => format!("{name} waits."),
        },
        OperationPhase::PullingImage => match operation.progress_percent {
            Some(percent) => format!("The image of {name} is being pulled: {percent} %."),
            None => format!("The image of {name} is being pulled."),
        },
        OperationPhase::CreatingVolume => format!("The volume of {name} is being created."),
        OperationPhase::CreatingContainer => format!("The container of {name} is being created."),
        OperationPhase::Starting => format!("The container of {name} is being started."),
        OperationPhase::WaitingForReady => format!("{name} is started and has yet to answer its health check."),
        OperationPhase::Stopping => format!("{name} is being shut down."),
        OperationPhase::Removing => format!("The container and the volume of {name} are being removed."),
        OperationPhase::ChangingPassword => format!("The password of {name} is being changed."),
        OperationPhase::Resizing => format!("{name} is given its new size."),
        OperationPhase::Repairing => format!("The container of {name} is to be made anew, with its own settings."),
        OperationPhase::Preparing => format!("Another instance of {name} is being prepared beside it."),
        OperationPhase::CopyingData => match operation.progress_percent {
            Some(percent) => format!("The data of {name} is being copied: about {percent} %."),
            None => format!("The data of {name} is being copied; it takes no writes meanwhile."),
        },
        OperationPhase::Comparing => format!("The copy of {name} is being compared with what it holds."),
        OperationPhase::Switching if operation.kind == OperationKind::Restore => {
            format!("{name} is being shut down, to run on with what was restored.")
        }
        OperationPhase::Switching => format!("{name} is being shut down, to run on with the copy."),
        OperationPhase::Restoring if operation.kind == OperationKind::Clone => match operation.progress_percent {
            Some(percent) => format!("{name} is being given its data: about {percent} %."),
            None => format!("{name} is being given its data."),
        },
        OperationPhase::Restoring => match operation.progress_percent {
            Some(percent) => format!("The data of {name} is being restored: {percent} %."),
            None => format!("The data of {name} is being restored."),
        },
        OperationPhase::Unknown => format!("{name} is being worked on."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::tests::service;
    use crate::domain::service::{Power, Published, RunId};
    use std::net::{IpAddr, Ipv6Addr};

    #[test]
    fn a_change_that_nobody_sees_is_no_event() {
        let before = service(ServiceState::Running, Power::On);
        let mut after = before.clone();
        after.evidence.ready_run = Some(RunId("2026-01-01T00:00:00Z".to_owned()));
        after.trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok();
        assert!(after.trace.is_some());
        assert_eq!(NewEvent::of_change(&before, &after, None, Timestamp::UNIX_EPOCH), None);
        after.state = ServiceState::Stopped;
        let event = NewEvent::of_change(&before, &after, None, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(event.message, "postgresql is stopped; its data is kept.");
    }

    #[test]
    fn where_a_service_that_runs_is_published_is_told_when_it_changes() {
        let mut before = service(ServiceState::Provisioning, Power::On);
        let mut after = before.clone();
        after.evidence.published = Some(Published { address: IpAddr::V6(Ipv6Addr::LOCALHOST), port: 20_000 });
        let message = |before: &Service, after: &Service| {
            NewEvent::of_change(before, after, None, Timestamp::UNIX_EPOCH).map(|event| event.message)
        };
        assert_eq!(message(&before, &after), None, "it does not run yet");
        after.state = ServiceState::Running;
        after.operation = None;
        let runs = "postgresql is running and answers its health check.";
        assert_eq!(message(&before, &after).as_deref(), Some(runs));
        before = Service { evidence: before.evidence, ..after.clone() };
        assert_eq!(message(&before, &after).as_deref(), Some("postgresql is published on [::1]:20000 now."));
        assert_eq!(message(&after, &before).as_deref(), Some("postgresql is not published any more."));
    }

    #[test]
    fn a_new_size_is_told_when_it_is_there() {
        let mut before = service(ServiceState::Running, Power::On);
        before.operation = Some(Operation::queued(OperationKind::Resize, Timestamp::UNIX_EPOCH));
        let after = Service { operation: None, ..before.clone() };
        let event = NewEvent::of_change(&before, &after, None, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(event.message, "postgresql is running in the size Dev.");
    }

    #[test]
    fn what_is_repaired_is_not_told_as_what_somebody_asked_for() {
        let running = service(ServiceState::Running, Power::On);
        let step = |before: &Service, kind, phase| {
            let operation = Some(Operation { phase, ..Operation::queued(kind, Timestamp::UNIX_EPOCH) });
            let after = Service { state: ServiceState::Provisioning, operation, ..before.clone() };
            let event = NewEvent::of_change(before, &after, None, Timestamp::UNIX_EPOCH).unwrap();
            (event.message, after)
        };
        let (message, starting) = step(&running, OperationKind::Recover, OperationPhase::Starting);
        let repaired = "postgresql no longer ran as it should and is being repaired. ";
        assert_eq!(message, format!("{repaired}The container of postgresql is being started."));
        let (message, _) = step(&starting, OperationKind::Recover, OperationPhase::WaitingForReady);
        assert_eq!(message, "postgresql is started and has yet to answer its health check.");
        let (message, _) = step(&running, OperationKind::Start, OperationPhase::Starting);
        assert_eq!(message, "The container of postgresql is being started.");
    }
}
