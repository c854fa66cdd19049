//! When a service is backed up without anybody asking for it, and how much of that is kept.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Stored;
use super::backup::{Backup, BackupOrigin, BackupState};
use super::id::{BackupId, ServiceId};

/// The least between two runs of a schedule.
pub const CLOSEST: SignedDuration = SignedDuration::from_mins(15);
/// Services of one schedule are backed up within so long after its time, each at a moment of its own, so that not all of them
/// are at once; where it comes round sooner, within a quarter of that.
pub const SPREAD: SignedDuration = SignedDuration::from_mins(30);
/// The most that each rule keeps.
pub const MOST_KEPT: u16 = 1000;
/// How long one that has failed is kept once a newer one has not.
const FAILED_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How many runs of a schedule are looked at for two that are too close.
const LOOKED_AT: usize = 100;
const MOST_CHARACTERS: usize = 100;

/// When backups are taken: a cron expression of five fields, in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schedule(String);

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    #[error("It is no cron expression of five fields (minute, hour, day, month, weekday), such as 0 3 * * *: {0}")]
    Unreadable(String),
    #[error("It never comes round.")]
    Never,
    #[error("It comes round more often than every {} minutes.", CLOSEST.as_mins())]
    TooOften,
}

impl Schedule {
    /// Reads one that is to hold from `now` on.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, InvalidSchedule> {
        let fields: Vec<_> = text.split_whitespace().collect();
        let schedule = Self(fields.join(" "));
        if schedule.0.len() > MOST_CHARACTERS {
            return Err(InvalidSchedule::Unreadable(format!("it has more than {MOST_CHARACTERS} characters.")));
        }
        if fields.len() != 5 {
            return Err(InvalidSchedule::Unreadable(format!("it has {}.", fields.len())));
        }
        schedule.cron().map_err(|error| InvalidSchedule::Unreadable(error.to_string()))?;
        let mut last = schedule.next(now).ok_or(InvalidSchedule::Never)?;
        for _ in 0..LOOKED_AT {
            let Some(next) = schedule.next(last) else { break };
            if next.duration_since(last) < CLOSEST {
                return Err(InvalidSchedule::TooOften);
            }
            last = next;
        }
        Ok(schedule)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn cron(&self) -> Result<Cron, croner::errors::CronError> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        parser.parse(&self.0)
    }

    /// The first time after `at` that it names; None where there is none any more.
    fn next(&self, at: Timestamp) -> Option<Timestamp> {
        let at = chrono::DateTime::from_timestamp(at.as_second(), 0)?;
        let next = self.cron().ok()?.find_next_occurrence(&at, false).ok()?;
        Timestamp::from_second(next.timestamp()).ok()
    }

    /// When `service` is backed up for the first time after `now`.
    fn due(&self, service: ServiceId, now: Timestamp) -> Option<Timestamp> {
        // From the id's random part, so that it stays the same.
        let part = i64::try_from(service.0.as_u128() & 0xFFFF).unwrap_or_default();
        let mut at = self.next(now.checked_sub(SPREAD).unwrap_or(now))?;
        loop {
            let following = self.next(at);
            let room = following.map_or(SPREAD, |following| (following.duration_since(at) / 4).min(SPREAD));
            let due = at.checked_add(SignedDuration::from_secs(room.as_secs() * part / 0x1_0000)).ok()?;
            if due > now {
                return Some(due);
            }
            at = following?;
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many of the backups that were taken by schedule are kept. What any of the rules keeps is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// The newest.
    pub last: u16,
    /// The newest of each of so many days.
    pub daily: u16,
    /// The newest of each of so many weeks, which begin on Mondays.
    pub weekly: u16,
    /// The newest of each of so many months.
    pub monthly: u16,
}

impl Keep {
    /// Each rule's name, and how many it keeps.
    pub fn parts(self) -> [(&'static str, u16); 4] {
        [("last", self.last), ("daily", self.daily), ("weekly", self.weekly), ("monthly", self.monthly)]
    }
}

/// Why a text says nothing of what to keep.
#[derive(Debug, thiserror::Error)]
#[error("expected one or more of last=N, daily=N, weekly=N and monthly=N, separated by commas, N up to {MOST_KEPT}")]
pub struct InvalidKeep;

impl FromStr for Keep {
    type Err = InvalidKeep;

    fn from_str(text: &str) -> Result<Self, InvalidKeep> {
        let mut keep = Self::default();
        for part in text.split(',') {
            let (name, number) = part.split_once('=').ok_or(InvalidKeep)?;
            let number = number.trim().parse().ok().filter(|number| *number <= MOST_KEPT).ok_or(InvalidKeep)?;
            match name.trim() {
                "last" => keep.last = number,
                "daily" => keep.daily = number,
                "weekly" => keep.weekly = number,
                "monthly" => keep.monthly = number,
                _ => return Err(InvalidKeep),
            }
        }
        if keep == Self::default() {
            return Err(InvalidKeep);
        }
        Ok(keep)
    }
}

/// When a service is backed up without anybody asking for it, and what is kept of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPolicy {
    pub schedule: Schedule,
    pub keep: Keep,
    /// Whether each is restored once, to see that it can be.
    pub verify: bool,
    /// Whether what is written in between is kept as well, so that any moment can be brought back.
    #[serde(default)]
    pub point_in_time: bool,
}

impl Stored for BackupPolicy {
    fn unknown(text: &str) -> Self {
        Self { schedule: Schedule(text.to_owned()), keep: Keep::default(), verify: false, point_in_time: false }
    }
}

/// A policy, and where its service stands in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupPlan {
    /// None: it is backed up only when somebody asks for it.
    pub policy: Option<BackupPolicy>,
    /// When it is to be backed up next, which is past where it could not be; of a destroyed service, when its backups are to be
    /// looked through next.
    pub due_at: Option<Timestamp>,
}

impl BackupPlan {
    /// Whether what is written in between is kept as well.
    pub fn keeps_log(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.point_in_time)
    }

    /// That of a service which gets a policy, or none any more, at `now`. What is the same stays, with what is due.
    pub fn with_policy(&self, policy: Option<BackupPolicy>, service: ServiceId, now: Timestamp) -> Self {
        if policy == self.policy {
            return self.clone();
        }
        let due_at = policy.as_ref().and_then(|policy| policy.schedule.due(service, now));
        Self { policy, due_at }
    }

    /// The same once what was due at `now` is begun. What was missed meanwhile is not made up for.
    pub fn begun(&self, service: ServiceId, now: Timestamp) -> Self {
        let due_at = self.policy.as_ref().and_then(|policy| policy.schedule.due(service, now));
        Self { due_at, ..self.clone() }
    }
}

/// Which of `backups`, all of one service, are not to be kept any more. Of those that nobody has asked for only; the newest that
/// is VERIFIED is kept in any case. The days, weeks and months that count are those that have a backup; once the service
/// is destroyed, which then gets no others, those up to `now`.
pub fn expired(keep: Keep, backups: &[Backup], is_destroyed: bool, now: Timestamp) -> Vec<BackupId> {
    let mut scheduled: Vec<_> = backups.iter().filter(|backup| backup.origin == BackupOrigin::Scheduled).collect();
    scheduled.sort_by_key(|backup| std::cmp::Reverse(backup.created_at));
    let whole: Vec<_> = scheduled.iter().copied().filter(|backup| backup.state.is_whole()).collect();
    let mut kept = HashSet::new();
    kept.extend(whole.iter().find(|backup| backup.state == BackupState::Verified).map(|backup| backup.id));
    if !is_destroyed {
        kept.extend(whole.iter().take(keep.last.into()).map(|backup| backup.id));
    }
    type Beginning = fn(Date) -> Date;
    let rules: [(u16, i64, Beginning); 3] =
        [(keep.daily, 1, |date| date), (keep.weekly, 7, monday), (keep.monthly, 31, Date::first_of_month)];
    for (number, days, period) in rules {
        let mut periods = HashSet::new();
        for backup in &whole {
            let age = SignedDuration::from_hours(24 * days * i64::from(number));
            if is_destroyed && now.duration_since(backup.created_at) > age {
                break;
            }
            if periods.len() == usize::from(number) {
                break;
            }
            if periods.insert(period(Offset::UTC.to_datetime(backup.created_at).date())) {
                kept.insert(backup.id);
            }
        }
    }
    let is_over = |backup: &&&Backup| match backup.state {
        BackupState::Available | BackupState::Verified => !kept.contains(&backup.id),
        BackupState::Failed => {
            let is_old = now.duration_since(backup.created_at) > FAILED_KEPT;
            is_old && whole.first().is_some_and(|newest| newest.created_at > backup.created_at)
        }
        _ => false,
    };
    scheduled.iter().filter(is_over).map(|backup| backup.id).collect()
}

fn monday(date: Date) -> Date {
    let since = date.weekday().to_monday_zero_offset();
    date.checked_sub(jiff::Span::new().days(since)).unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::tests::service;
    use crate::domain::service::{Power, ServiceState};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(text: &str) -> Schedule {
        Schedule::parse(text, at("2026-11-26T12:00:00Z")).unwrap()
    }

    /// One whose moment is that of the schedule, or at `part` of 65,536 of the time over which services are spread.
    fn id(part: u128) -> ServiceId {
        ServiceId(uuid::Uuid::from_u128(part))
    }

    #[test]
    fn a_schedule_has_five_fields_comes_round_and_not_too_often() {
        let now = at("2026-11-26T12:00:00Z");
        for fine in ["0 3 * * *", "*/15 * * * *", "0 0 29 2 *", " 30  4 1,15 * MON ", "0 0 31 * *"] {
            assert!(Schedule::parse(fine, now).is_ok(), "{fine}");
        }
        assert_eq!(Schedule::parse(" 30  4 1 * * ", now).unwrap().as_str(), "30 4 1 * *");
        for never in ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
            assert_eq!(Schedule::parse(never, now), Err(InvalidSchedule::Never), "{never}");
        }
        for often in ["* * * * *", "*/14 * * * *", "0,1 3 * * *", "59 23 * * *,0 0 * * *", "50,10 3,4 * * *"] {
            let parsed = Schedule::parse(often, now);
            let is_refused = matches!(parsed, Err(InvalidSchedule::TooOften | InvalidSchedule::Unreadable(_)));
            assert!(is_refused || often.starts_with("50"), "{often}: {parsed:?}");
        }
        let long = format!("{} 3 * * *", "0,".repeat(60));
        for bad in ["", "3", "0 3 * *", "0 0 3 * * *", "61 3 * * *", "0 3 * * NEVER", "@daily", "0 3 * * * 2027", &long]
        {
            let parsed = Schedule::parse(bad, now);
            assert!(matches!(parsed, Err(InvalidSchedule::Unreadable(_))), "{bad}: {parsed:?}");
        }
    }

    #[test]
    fn services_of_one_schedule_are_spread_and_each_keeps_its_moment() {
        let daily = schedule("0 3 * * *");
        let now = at("2026-11-26T12:00:00Z");
        assert_eq!(daily.due(id(0), now), Some(at("2026-11-27T03:00:00Z")));
        assert_eq!(daily.due(id(0x8000), now), Some(at("2026-11-27T03:15:00Z")));
        let last = daily.due(id(0xFFFF), now).unwrap();
        assert!(last > at("2026-11-27T03:29:00Z") && last < at("2026-11-27T03:30:00Z"), "{last}");
        // At its moment, and between the schedule's time and its own.
        assert_eq!(daily.due(id(0x8000), at("2026-11-27T03:15:00Z")), Some(at("2026-11-28T03:15:00Z")));
        assert_eq!(daily.due(id(0x8000), at("2026-11-27T03:10:00Z")), Some(at("2026-11-27T03:15:00Z")));
        let often = schedule("*/20 * * * *");
        assert_eq!(often.due(id(0x8000), at("2026-11-27T03:10:00Z")), Some(at("2026-11-27T03:22:30Z")));
        assert_eq!(often.due(id(0x8000), at("2026-11-27T03:01:00Z")), Some(at("2026-11-27T03:02:30Z")));
    }

    #[test]
    fn what_was_missed_is_made_up_for_once() {
        let policy =
            BackupPolicy { schedule: schedule("0 * * * *"), keep: Keep::default(), verify: true, point_in_time: false };
        let plan = BackupPlan::default().with_policy(Some(policy.clone()), id(0), at("2026-11-26T12:10:00Z"));
        assert_eq!(plan.due_at, Some(at("2026-11-26T13:00:00Z")));
        let begun = plan.begun(id(0), at("2026-11-26T18:20:00Z"));
        assert_eq!(begun.due_at, Some(at("2026-11-26T19:00:00Z")));
        assert_eq!(plan.with_policy(Some(policy), id(0), at("2026-11-26T18:20:00Z")), plan, "what is due stays due");
        assert_eq!(plan.with_policy(None, id(0), at("2026-11-26T18:20:00Z")), BackupPlan::default());
    }

    fn backup(number: u128, created_at: Timestamp, state: BackupState) -> Backup {
        let service = service(ServiceState::Running, Power::On);
        let id = BackupId(uuid::Uuid::from_u128(number));
        Backup { state, ..Backup::new(id, &service, BackupOrigin::Scheduled, None, created_at) }
    }

    fn numbers(keep: Keep, backups: &[Backup], is_destroyed: bool, now: Timestamp) -> Vec<u128> {
        let mut expired: Vec<_> =
            expired(keep, backups, is_destroyed, now).iter().map(|backup| backup.0.as_u128()).collect();
        expired.sort_unstable();
        expired
    }

    /// Two a day, for 70 days up to now: number 0 is the oldest, 139 of today.
    fn many(now: Timestamp) -> Vec<Backup> {
        let of = |number: u32| {
            let age = SignedDuration::from_hours(12 * (139 - i64::from(number)));
            backup(number.into(), now - age, BackupState::Available)
        };
        (0..140).map(of).collect()
    }

    #[test]
    fn each_rule_keeps_the_newest_of_its_periods() {
        // A Thursday.
        let now = at("2026-11-26T12:00:00Z");
        let backups = many(now);
        let kept = |keep: Keep| {
            let expired = numbers(keep, &backups, false, now);
            (0..140).rev().filter(|number| !expired.contains(number)).collect::<Vec<u128>>()
        };
        assert_eq!(kept(Keep { last: 3, ..Keep::default() }), [139, 138, 137]);
        assert_eq!(kept(Keep { daily: 3, ..Keep::default() }), [139, 137, 135]);
        // Sundays, at noon.
        assert_eq!(kept(Keep { weekly: 3, ..Keep::default() }), [139, 131, 117]);
        // The last of October and of September.
        assert_eq!(kept(Keep { monthly: 9, ..Keep::default() }), [139, 87, 25]);
        let all = Keep { last: 1, daily: 2, weekly: 2, monthly: 2 };
        assert_eq!(kept(all), [139, 137, 131, 87]);
    }

    #[test]
    fn the_newest_that_is_verified_stays_and_so_does_what_somebody_asked_for() {
        let now = at("2026-11-26T12:00:00Z");
        let mut backups = many(now);
        backups[7].state = BackupState::Verified;
        backups[5].state = BackupState::Verified;
        backups[6].origin = BackupOrigin::Manual;
        backups[4].origin = BackupOrigin::Final;
        let expired = numbers(Keep { last: 1, ..Keep::default() }, &backups, false, now);
        assert_eq!(expired.len(), 140 - 4, "{expired:?}");
        assert!([139, 7, 6, 4].iter().all(|kept| !expired.contains(kept)), "{expired:?}");
        // What is on its way is left alone, and so it is at its end.
        for state in [BackupState::Pending, BackupState::Running, BackupState::Deleting, BackupState::Unknown] {
            backups[1].state = state;
            assert!(!numbers(Keep { last: 1, ..Keep::default() }, &backups, false, now).contains(&1), "{state}");
        }
    }

    #[test]
    fn a_backup_that_never_came_round_again_is_kept_however_old_it_is() {
        let now = at("2026-11-26T12:00:00Z");
        let backups = [backup(1, at("2020-01-01T00:00:00Z"), BackupState::Available)];
        for keep in [Keep { daily: 1, ..Keep::default() }, Keep { monthly: 1, ..Keep::default() }] {
            assert!(numbers(keep, &backups, false, now).is_empty());
            assert_eq!(numbers(keep, &backups, true, now), [1], "its service is destroyed");
        }
    }

    #[test]
    fn those_of_a_destroyed_service_end_with_their_days_and_the_verified_one_stays() {
        let now = at("2026-11-26T12:00:00Z");
        let mut backups = many(now);
        backups[3].state = BackupState::Verified;
        let keep = Keep { last: 5, daily: 7, ..Keep::default() };
        let later = now + SignedDuration::from_hours(24 * 4);
        let left = |at| 140 - numbers(keep, &backups, true, at).len();
        assert_eq!(left(now), 7 + 1);
        assert_eq!(left(later), 4 + 1);
        assert_eq!(left(later + SignedDuration::from_hours(24 * 9)), 1);
    }

    #[test]
    fn one_that_failed_goes_a_week_later_once_a_newer_one_has_not() {
        let now = at("2026-11-26T12:00:00Z");
        let days = |days: i64| now - SignedDuration::from_hours(24 * days);
        let keep = Keep { last: 1, ..Keep::default() };
        let failed = |number, age| backup(number, days(age), BackupState::Failed);
        let alone = [failed(1, 30), failed(2, 8), failed(3, 1)];
        assert!(numbers(keep, &alone, false, now).is_empty(), "nothing newer is there");
        let [old, week, fresh] = alone;
        let with = [old, week, fresh, backup(4, days(9), BackupState::Available)];
        assert_eq!(numbers(keep, &with, false, now), [1]);
    }

    #[test]
    fn what_to_keep_is_read_from_a_text() {
        let keep: Keep = "last=3, daily=7,weekly=4,monthly=6".parse().unwrap();
        assert_eq!(keep, Keep { last: 3, daily: 7, weekly: 4, monthly: 6 });
        for bad in ["", "last", "last=", "last=0", "yearly=1", "last=-1", "last=1001", "daily=70000"] {
            assert!(bad.parse::<Keep>().is_err(), "{bad}");
        }
    }
}
