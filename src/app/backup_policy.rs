//! When services are backed up without anybody asking for it.

use super::backups::able;
use super::{App, AppError, Committed, Result, now};
use crate::catalog::definition;
use crate::domain::backup_policy::{BackupPolicy, Keep, MOST_KEPT, Schedule};
use crate::domain::event::NewEvent;
use crate::domain::id::ServiceId;
use crate::domain::lifecycle::Privilege;
use crate::domain::permission::Principal;
use crate::domain::service::Service;

/// What a client asks for; without a schedule nothing more.
#[derive(Debug, Clone)]
pub struct PolicyRequest {
    pub schedule: Option<String>,
    /// How many are kept of the last, and by day, week and month.
    pub keep: [i32; 4],
    pub verify: bool,
    pub point_in_time: bool,
}

impl PolicyRequest {
    fn parse(&self) -> Result<Option<BackupPolicy>> {
        const FIELDS: [&str; 4] = ["keepLast", "keepDaily", "keepWeekly", "keepMonthly"];
        let Some(schedule) = &self.schedule else { return Ok(None) };
        let schedule = Schedule::parse(schedule, now())
            .map_err(|why| AppError::BadInput { field: "schedule", message: why.to_string() })?;
        let mut numbers = [0; 4];
        for ((number, given), field) in numbers.iter_mut().zip(self.keep).zip(FIELDS) {
            *number = u16::try_from(given).ok().filter(|given| *given <= MOST_KEPT).ok_or_else(|| {
                let message = format!("It is a number from 0 to {MOST_KEPT}.");
                AppError::BadInput { field, message }
            })?;
        }
        let [last, daily, weekly, monthly] = numbers;
        let keep = Keep { last, daily, weekly, monthly };
        if keep == Keep::default() {
            let message = "At least one of keepLast, keepDaily, keepWeekly and keepMonthly has to keep one.".to_owned();
            return Err(AppError::BadInput { field: "keepLast", message });
        }
        Ok(Some(BackupPolicy { schedule, keep, verify: self.verify, point_in_time: self.point_in_time }))
    }
}

impl App {
    /// Has a service backed up by a schedule, or by none any more. What is so already gives no event.
    pub async fn set_backup_policy(
        &self,
        viewer: &Principal,
        id: ServiceId,
        request: &PolicyRequest,
    ) -> Result<Committed> {
        let change = |service: &Service, now| {
            able(service)?;
            let policy = request.parse()?;
            let kind = definition(service.wish.kind);
            let can = kind.offer.as_ref().is_some_and(|offer| offer.can.archive.is_some());
            if policy.as_ref().is_some_and(|policy| policy.point_in_time) && !can {
                let message = format!("Of {} nothing but a backup can be brought back.", kind.name);
                return Err(AppError::BadInput { field: "pointInTime", message });
            }
            if policy == service.backup_plan.policy {
                return Ok(service.clone());
            }
            let backup_plan = service.backup_plan.with_policy(policy, id, now);
            Ok(Service { backup_plan, ..service.clone() })
        };
        let what = Privilege::SetBackupPolicy;
        let committed = self.set(viewer, id, what, change, NewEvent::backup_policy_set).await?;
        // Whether its log is kept is seen by a look.
        self.hints.wake(id);
        Ok(committed)
    }
}
