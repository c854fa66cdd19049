//! What servers write of each change before it takes effect, as far as it is kept where backups are: with a backup of the same
//! instance it brings back any moment in between.

use jiff::{SignedDuration, Timestamp};

use super::backup::Backup;
use super::id::{InstanceId, ServiceId};

/// An unbroken stretch of an instance's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSection {
    pub service: ServiceId,
    pub instance: InstanceId,
    /// The names of its first and its last segment.
    pub first: String,
    pub last: String,
    /// It holds all that was written after this.
    pub since: Timestamp,
    /// It holds all that was committed before this.
    pub until: Timestamp,
    /// Whether more may follow.
    pub is_open: bool,
    /// What was kept of it, compressed and sealed, in bytes.
    pub stored_bytes: u64,
}

impl LogSection {
    /// Whether what a backup holds can be gone on from with it.
    pub fn goes_on_from(&self, backup: &Backup) -> bool {
        let spans = |(instance, time)| self.spans(instance, time);
        backup.state.is_whole() && backup.instance.zip(backup.begun_at.zip(backup.ended_at)).is_some_and(spans)
    }

    /// Whether it holds all that an instance wrote from then to then.
    pub fn spans(&self, instance: InstanceId, (from, to): (Timestamp, Timestamp)) -> bool {
        self.instance == instance && self.since <= from && to <= self.until
    }

    /// Whether a backup was begun since it begins, so that it can be gone on from with it sooner or later.
    pub fn awaits(&self, backup: &Backup) -> bool {
        let is_fine = backup.state.is_open() || backup.state.is_whole();
        backup.instance == Some(self.instance) && is_fine && backup.begun_at.is_some_and(|at| self.since <= at)
    }

    /// The first moment of those `days` before `now` that it brings back with any of `backups`, and the backup for that.
    fn beginning<'a>(&self, backups: &'a [Backup], days: u32, now: Timestamp) -> Option<(&'a Backup, Timestamp)> {
        let oldest = now - SignedDuration::from_hours(24 * i64::from(days));
        if self.until < oldest {
            return None;
        }
        let ended = |backup: &Backup| backup.ended_at.unwrap_or(now);
        let fit = || backups.iter().filter(|backup| self.goes_on_from(backup));
        let before = fit().filter(|backup| ended(backup) <= oldest).max_by_key(|backup| ended(backup));
        let first = before.or_else(|| fit().min_by_key(|backup| ended(backup)))?;
        Some((first, ended(first).max(oldest)))
    }

    /// From when on what it holds is of use for those `days` before `now`; None: nothing of it, unless it is open.
    pub fn needed_since(&self, backups: &[Backup], days: u32, now: Timestamp) -> Option<Timestamp> {
        let begun = |(backup, _): (&Backup, _)| backup.begun_at.unwrap_or(self.since);
        self.beginning(backups, days, now).map(begun)
    }
}

/// What was collected of an instance's log.
#[derive(Debug, Clone)]
pub struct Collected {
    /// In their order, unbroken: the names, and when each was last written to.
    pub segments: Vec<(String, Timestamp)>,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// Whether all that was committed by then is in it, or was collected before.
    pub is_up_to_date: bool,
    /// Whether some that came before were given up.
    pub has_gap: bool,
    /// What was kept of it, compressed and sealed, in bytes.
    pub stored_bytes: u64,
}

/// How long before the last write to a segment anything was committed that is in a later one, at most: a segment may be written
/// after the next one has begun.
const OVERLAP: SignedDuration = SignedDuration::from_secs(1);

/// Up to when a collection that was begun then holds all that was committed, with what was kept before. `written_at` is when its
/// last segment was last written to.
pub fn holds_until(is_up_to_date: bool, begun_at: Timestamp, written_at: Timestamp) -> Timestamp {
    if is_up_to_date { begun_at } else { written_at - OVERLAP }
}

/// The section that `collected` goes on with, as it is with it, or the one that begins with it. None where it has nothing new.
/// `known` are those of the same instance.
pub fn with_collected(
    known: &[LogSection],
    (service, instance): (ServiceId, InstanceId),
    collected: &Collected,
    follows: fn(last: &str, next: &str) -> bool,
) -> Option<LogSection> {
    let newest = known.iter().max_by(|one, other| one.last.cmp(&other.last));
    let fresh = |name: &str| newest.is_none_or(|newest| newest.last.as_str() < name);
    let mut new = collected.segments.iter().filter(|(name, _)| fresh(name));
    let first = new.next();
    let last = new.next_back().or(first);
    let until = |written: Timestamp| holds_until(collected.is_up_to_date, collected.begun_at, written);
    match (newest, first.zip(last)) {
        (Some(newest), None) => {
            let goes_on = newest.is_open && !collected.has_gap;
            let until = if collected.is_up_to_date && goes_on { collected.begun_at } else { newest.until };
            (goes_on || newest.is_open).then(|| LogSection { until, is_open: goes_on, ..newest.clone() })
        }
        (Some(newest), Some(((first, _), (last, written)))) if follows(&newest.last, first) => Some(LogSection {
            last: last.clone(),
            until: until(*written).max(newest.until),
            is_open: true,
            stored_bytes: newest.stored_bytes + collected.stored_bytes,
            ..newest.clone()
        }),
        (_, Some(((first, _), (last, written)))) => Some(LogSection {
            service,
            instance,
            first: first.clone(),
            last: last.clone(),
            // What was written before that may be in a segment that is missing.
            since: collected.begun_at,
            until: until(*written).max(collected.begun_at),
            is_open: true,
            stored_bytes: collected.stored_bytes,
        }),
        (None, None) => None,
    }
}

/// The moments that a service can be brought back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryWindow {
    /// In their order, each apart from the next.
    spans: Vec<Span>,
}

/// All moments from `from` to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl RecoveryWindow {
    /// Of the last `days` before `now`; None where there is no moment at all. All sections and backups are of one service.
    pub fn new(sections: &[LogSection], backups: &[Backup], days: u32, now: Timestamp) -> Option<Self> {
        let span = |section: &LogSection| {
            section.beginning(backups, days, now).map(|(_, from)| Span { from, to: section.until })
        };
        let mut spans: Vec<Span> = sections.iter().filter_map(span).collect();
        spans.sort_by_key(|span| span.from);
        let mut apart: Vec<Span> = Vec::new();
        for span in spans {
            match apart.last_mut().filter(|last| span.from <= last.to) {
                Some(last) => last.to = last.to.max(span.to),
                None => apart.push(span),
            }
        }
        (!apart.is_empty()).then_some(Self { spans: apart })
    }

    pub fn earliest(&self) -> Timestamp {
        self.spans[0].from
    }

    pub fn latest(&self) -> Timestamp {
        self.spans[self.spans.len() - 1].to
    }

    /// The moments between those two that it can't be brought back to.
    pub fn gaps(&self) -> impl Iterator<Item = Span> + '_ {
        self.spans.windows(2).map(|pair| Span { from: pair[0].to, to: pair[1].from })
    }
}

/// What brings back the moment `at`: the newest backup before it, and the section that goes on from there.
pub fn source_of<'a>(
    sections: &'a [LogSection],
    backups: &'a [Backup],
    at: Timestamp,
) -> Option<(&'a LogSection, &'a Backup)> {
    let fit = |section: &'a LogSection| {
        let before = backups.iter().filter(move |backup| section.goes_on_from(backup));
        let newest = before.filter(|backup| backup.ended_at.is_some_and(|ended| ended <= at));
        newest.max_by_key(|backup| backup.ended_at).map(|backup| (section, backup))
    };
    // What serves by then was made last.
    let all = sections.iter().filter(|section| at <= section.until).filter_map(fit);
    all.max_by_key(|(_, backup)| backup.ended_at)
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::domain::backup::{BackupOrigin, BackupState};
    use crate::domain::id::BackupId;
    use crate::domain::lifecycle::tests::service;
    use crate::domain::service::{Power, ServiceState};
    use uuid::Uuid;

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
    }

    fn section(instance: u128, since: i64, until: i64) -> LogSection {
        LogSection {
            service: ServiceId(Uuid::nil()),
            instance: InstanceId(Uuid::from_u128(instance)),
            first: format!("{since}"),
            last: format!("{until}"),
            since: at(since),
            until: at(until),
            is_open: false,
            stored_bytes: 0,
        }
    }

    fn backup(instance: u128, begun: i64, ended: i64) -> Backup {
        let service = service(ServiceState::Running, Power::On);
        let id = BackupId(Uuid::from_u128(ended.unsigned_abs().into()));
        Backup {
            state: BackupState::Available,
            instance: Some(InstanceId(Uuid::from_u128(instance))),
            begun_at: Some(at(begun)),
            ended_at: Some(at(ended)),
            ..Backup::new(id, &service, BackupOrigin::Scheduled, None, at(begun))
        }
    }

    /// The first moment, the last one, and the gaps, in hours.
    type Shown = (i64, i64, Vec<(i64, i64)>);

    fn window(sections: &[LogSection], backups: &[Backup], now: i64) -> Option<Shown> {
        let hours = |at: Timestamp| at.as_second() / 3600;
        let window = RecoveryWindow::new(sections, backups, 7, at(now))?;
        let gaps = window.gaps().map(|gap| (hours(gap.from), hours(gap.to))).collect();
        Some((hours(window.earliest()), hours(window.latest()), gaps))
    }

    #[test]
    fn it_reaches_from_the_end_of_a_backup_to_the_end_of_the_log_that_goes_on_from_it() {
        assert_eq!(window(&[section(1, 10, 20)], &[], 20), None, "there is nothing to begin with");
        assert_eq!(window(&[section(1, 10, 20)], &[backup(2, 11, 12)], 20), None, "it is another instance's");
        assert_eq!(window(&[section(1, 10, 20)], &[backup(1, 9, 12)], 20), None, "it needs what came before");
        assert_eq!(window(&[section(1, 10, 20)], &[backup(1, 19, 21)], 20), None, "it needs what is yet to come");
        assert_eq!(window(&[section(1, 10, 20)], &[backup(1, 11, 12)], 20), Some((12, 20, vec![])));
        let failed = Backup { state: BackupState::Failed, ..backup(1, 11, 12) };
        assert_eq!(window(&[section(1, 10, 20)], &[failed], 20), None);
    }

    #[test]
    fn what_is_missing_between_two_sections_is_told() {
        let sections = [section(1, 10, 20), section(1, 22, 30), section(2, 40, 50)];
        let backups = [backup(1, 11, 12), backup(1, 23, 24), backup(2, 40, 41)];
        assert_eq!(window(&sections, &backups, 50), Some((12, 50, vec![(20, 24), (30, 41)])));
        let source = |hour| {
            let found = source_of(&sections, &backups, at(hour));
            found.map(|(section, backup)| (section.first.clone(), backup.id.0.as_u128()))
        };
        assert_eq!(source(11), None);
        assert_eq!(source(15), Some(("10".to_owned(), 12)));
        assert_eq!(source(21), None, "it is in a gap");
        assert_eq!(source(24), Some(("22".to_owned(), 24)));
        assert_eq!(source(45), Some(("40".to_owned(), 41)));
        assert_eq!(source(51), None);
    }

    fn collected(names: &[u32], begun_at: i64) -> Collected {
        let segments = names.iter().map(|name| (format!("{name:02}"), at(begun_at))).collect();
        Collected { segments, begun_at: at(begun_at), is_up_to_date: true, has_gap: false, stored_bytes: 1 }
    }

    fn grown(known: &[LogSection], collected: &Collected) -> Option<LogSection> {
        let whose = (ServiceId(Uuid::nil()), InstanceId(Uuid::from_u128(1)));
        let follows = |last: &str, next: &str| last.parse::<u32>().unwrap() + 1 == next.parse::<u32>().unwrap();
        with_collected(known, whose, collected, follows)
    }

    #[test]
    fn what_follows_the_last_segment_goes_on_with_its_section_and_what_does_not_begins_another() {
        let first = grown(&[], &collected(&[1, 2], 10)).unwrap();
        assert_eq!((first.first.as_str(), first.last.as_str(), first.since), ("01", "02", at(10)));
        assert_eq!((first.until, first.is_open), (at(10), true));
        let idle = grown(slice::from_ref(&first), &collected(&[], 11)).unwrap();
        assert_eq!((idle.last.as_str(), idle.until, idle.since), ("02", at(11), at(10)));
        // What was kept and not let go is given again.
        let more = grown(slice::from_ref(&idle), &collected(&[2, 3, 4], 12)).unwrap();
        assert_eq!((more.first.as_str(), more.last.as_str(), more.until), ("01", "04", at(12)));
        let late = Collected { is_up_to_date: false, ..collected(&[5], 13) };
        assert_eq!(grown(slice::from_ref(&more), &late).unwrap().until, at(13) - OVERLAP);
        let later = grown(slice::from_ref(&more), &collected(&[6], 14)).unwrap();
        assert_eq!((later.first.as_str(), later.since), ("06", at(14)));
        let again = grown(&[more, later.clone()], &collected(&[7], 15)).unwrap();
        assert_eq!((again.first.as_str(), again.until), ("06", at(15)));
        let gap = Collected { has_gap: true, ..collected(&[], 16) };
        let closed = grown(&[again], &gap).unwrap();
        assert_eq!((closed.until, closed.is_open), (at(15), false), "what is missing is not brought back");
        assert_eq!(grown(&[], &collected(&[], 17)), None);
    }

    #[test]
    fn it_begins_so_many_days_ago_and_no_more_of_the_log_is_needed_than_that() {
        let (section, day) = (section(1, 0, 1000), 24);
        let backups = [backup(1, 1, 2), backup(1, 10 * day, 10 * day + 1), backup(1, 20 * day, 20 * day + 1)];
        let now = 26 * day;
        assert_eq!(window(slice::from_ref(&section), &backups, now), Some((19 * day, 1000, vec![])));
        assert_eq!(section.needed_since(&backups, 7, at(now)), Some(at(10 * day)));
        let newest = &backups[2..];
        assert_eq!(window(slice::from_ref(&section), newest, now), Some((20 * day + 1, 1000, vec![])));
        assert_eq!(section.needed_since(newest, 7, at(now)), Some(at(20 * day)));
        assert_eq!(section.needed_since(&backups, 7, at(1000 + 8 * day)), None);
    }
}
