//! When a service is backed up by itself.

use async_graphql::Object;
use jiff::Timestamp;

use super::date_time::DateTime;
use crate::domain::backup_policy;
use crate::domain::service::Service;

/// A policy, and when it asks for something next.
pub struct BackupPolicy {
    policy: backup_policy::BackupPolicy,
    due_at: Option<Timestamp>,
    log_awaits_start: bool,
}

impl BackupPolicy {
    pub fn of(service: &Service) -> Option<Self> {
        let plan = &service.backup_plan;
        let policy = plan.policy.clone()?;
        let log_awaits_start = policy.point_in_time && service.evidence.log_awaits_start;
        Some(Self { policy, due_at: plan.due_at, log_awaits_start })
    }
}

/// When a service is backed up by itself, and how much of that is kept. What any of the rules keeps is kept, and in any case the
/// newest backup that is VERIFIED. Backups that somebody asked for are kept until somebody deletes them.
#[Object]
impl BackupPolicy {
    /// A cron expression of five fields, in UTC.
    async fn schedule(&self) -> &str {
        self.policy.schedule.as_str()
    }

    /// How many are kept of the newest.
    async fn keep_last(&self) -> u16 {
        self.policy.keep.last
    }

    /// Of how many days the newest is kept.
    async fn keep_daily(&self) -> u16 {
        self.policy.keep.daily
    }

    /// Of how many weeks, which begin on Mondays, the newest is kept.
    async fn keep_weekly(&self) -> u16 {
        self.policy.keep.weekly
    }

    /// Of how many months the newest is kept.
    async fn keep_monthly(&self) -> u16 {
        self.policy.keep.monthly
    }

    /// Whether each is restored once, where nobody reaches it, to see that it can be.
    async fn verify(&self) -> bool {
        self.policy.verify
    }

    /// Whether what is written in between is kept as well: see `recoveryWindow`.
    async fn point_in_time(&self) -> bool {
        self.policy.point_in_time
    }

    /// Whether `pointInTime` begins with the service's next start only, for its container was made before it could be done. Restart the
    /// service to begin now; until then its `recoveryWindow` does not go on.
    async fn point_in_time_awaits_restart(&self) -> bool {
        self.log_awaits_start
    }

    /// When it is backed up next. It is past while the service does not run: then it is backed up once it does.
    async fn next_run_at(&self) -> Option<DateTime> {
        self.due_at.map(DateTime)
    }
}
