//! What is kept of servers' logs, and how far it goes on from their backups.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Installation;
use crate::catalog::definition;
use crate::crypto::Sealer;
use crate::domain::id::InstanceId;
use crate::domain::log::LogSection;
use crate::repository::{Found, Listed, LogPart, Manifest, Repository, RepositoryError};

type Follows = fn(last: &str, next: &str) -> bool;

/// Takes note of the unbroken stretches of the logs. What is damaged or opens with no key is passed over, and its name is added to
/// `unreadable`: a stretch ends before it where it is its last part.
pub(super) async fn find_logs(
    (repository, sealer): (&Repository, &Sealer),
    parts: Vec<Listed>,
    installations: &mut [Installation],
    unreadable: &mut Vec<String>,
) -> Result<(), RepositoryError> {
    let mut folders: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
    for part in parts {
        folders.entry(part.folder().to_owned()).or_default().push(part);
    }
    for parts in folders.values() {
        let Some(told) = first_of((repository, sealer), parts, unreadable).await? else { continue };
        let of_it = installations.iter_mut().find(|installation| installation.id == told.installation);
        let Some(installation) = of_it else { continue };
        let Some(follows) = installation.services.get(&told.service).and_then(|backups| follows(backups)) else {
            continue;
        };
        for run in runs(parts, follows) {
            let first = first_of((repository, sealer), run.iter().copied(), unreadable).await?;
            let last = first_of((repository, sealer), run.iter().rev().copied(), unreadable).await?;
            let Some((first, last)) = first.zip(last) else { continue };
            if [&first, &last].iter().all(|part| (part.service, part.instance) == (told.service, told.instance)) {
                installation.logs.entry(told.service).or_default().push(section(&first, &last));
            }
        }
    }
    Ok(())
}

/// The first of `parts` that can be read.
async fn first_of(
    (repository, sealer): (&Repository, &Sealer),
    parts: impl IntoIterator<Item = &Listed>,
    unreadable: &mut Vec<String>,
) -> Result<Option<LogPart>, RepositoryError> {
    for part in parts {
        match repository.read_log_part(part, sealer).await {
            Ok(part) => return Ok(Some(part)),
            Err(RepositoryError::Missing(_) | RepositoryError::Damaged { .. } | RepositoryError::Key(_)) => {
                if !unreadable.iter().any(|name| name == part.name()) {
                    unreadable.push(part.name().to_owned());
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn follows(backups: &[Found<Manifest>]) -> Option<Follows> {
    let kind = backups.first()?.manifest.kind;
    Some(definition(kind).offer.as_ref()?.can.archive.as_ref()?.follows)
}

/// The parts of a folder, which are in the order of time, as far as each goes on where the one before it ends. What a part has that
/// was kept before is passed over.
fn runs(parts: &[Listed], follows: Follows) -> Vec<Vec<&Listed>> {
    let mut runs: Vec<Vec<&Listed>> = Vec::new();
    for part in parts {
        match runs.last_mut().and_then(|run| Some((run.last()?.last.clone(), run))) {
            Some((last, _)) if part.last <= last => {}
            Some((last, run)) if part.first <= last || follows(&last, &part.first) => run.push(part),
            _ => runs.push(vec![part]),
        }
    }
    runs
}

fn section(first: &LogPart, last: &LogPart) -> LogSection {
    LogSection {
        service: first.service,
        instance: InstanceId(first.instance),
        first: first.first.clone(),
        last: last.last.clone(),
        since: first.taken_at,
        until: last.until.unwrap_or(last.taken_at),
        is_open: false,
        stored_bytes: last.written.stored_bytes,
    }
}

/// What is kept, as it is together with what the database knew of it when it was copied: parts of it may have been removed since, and
/// that nothing was written for a while is in no part.
pub(super) fn together(kept: &[LogSection], known: &[LogSection]) -> Vec<LogSection> {
    let with_known = |kept: &LogSection| {
        let overlaps = |known: &&LogSection| {
            known.instance == kept.instance && known.first <= kept.last && kept.first <= known.last
        };
        match known.iter().find(overlaps) {
            Some(known) => LogSection {
                first: known.first.clone().min(kept.first.clone()),
                since: if known.first <= kept.first { known.since } else { kept.since },
                until: if known.last <= kept.last { known.until.max(kept.until) } else { kept.until },
                stored_bytes: known.stored_bytes.max(kept.stored_bytes),
                ..kept.clone()
            },
            None => kept.clone(),
        }
    };
    kept.iter().map(with_known).collect()
}

/// Up to when one of `sections` goes on from what was backed up of an instance from `from` to `to`; None where none does.
pub(super) fn reach(
    sections: &[LogSection],
    instance: Option<InstanceId>,
    (from, to): (Timestamp, Timestamp),
) -> Option<Timestamp> {
    let fits = |section: &&LogSection| instance.is_some_and(|instance| section.spans(instance, (from, to)));
    sections.iter().filter(fits).map(|section| section.until).max().filter(|until| *until > to)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use uuid::Uuid;

    use super::*;
    use crate::domain::id::ServiceId;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    fn section(first: &str, last: &str, since: i64, until: i64) -> LogSection {
        LogSection {
            service: ServiceId(Uuid::nil()),
            instance: InstanceId(Uuid::from_u128(1)),
            first: first.to_owned(),
            last: last.to_owned(),
            since: at(since),
            until: at(until),
            is_open: false,
            stored_bytes: 1,
        }
    }

    #[test]
    fn what_is_kept_reaches_as_far_as_it_and_the_database_tell() {
        let ends = |kept: LogSection, known: LogSection| {
            let one = together(&[kept], &[known]).remove(0);
            (one.first, one.last, one.since, one.until)
        };
        let of = |first: &str, last: &str, since, until| (first.to_owned(), last.to_owned(), at(since), at(until));
        let newer = ends(section("A", "D", 1, 40), section("A", "B", 1, 20));
        assert_eq!(newer, of("A", "D", 1, 40), "it was kept after the database was copied");
        let idle = ends(section("A", "B", 1, 20), section("A", "B", 1, 50));
        assert_eq!(idle, of("A", "B", 1, 50), "nothing was written since");
        let trimmed = ends(section("C", "D", 30, 40), section("A", "D", 1, 45));
        assert_eq!(trimmed, of("A", "D", 1, 45), "its beginning was removed");
        let cut = ends(section("A", "C", 1, 30), section("A", "D", 1, 45));
        assert_eq!(cut, of("A", "C", 1, 30), "its end is gone");
        let other = ends(section("E", "F", 60, 70), section("A", "D", 1, 45));
        assert_eq!(other, of("E", "F", 60, 70));
    }

    #[test]
    fn it_goes_on_from_a_backup_of_its_instance_that_it_holds_all_since() {
        let sections = [section("A", "D", 10, 40), section("F", "G", 60, 70)];
        let it = Some(InstanceId(Uuid::from_u128(1)));
        assert_eq!(reach(&sections, it, (at(11), at(12))), Some(at(40)));
        assert_eq!(reach(&sections, it, (at(61), at(62))), Some(at(70)));
        assert_eq!(reach(&sections, it, (at(9), at(12))), None, "it needs what came before");
        assert_eq!(reach(&sections, it, (at(39), at(40))), None, "there is nothing beyond it");
        assert_eq!(reach(&sections, it, (at(45), at(46))), None, "it is in a gap");
        assert_eq!(reach(&sections, Some(InstanceId(Uuid::from_u128(2))), (at(11), at(12))), None);
        assert_eq!(reach(&sections, None, (at(11), at(12))), None);
    }
}
