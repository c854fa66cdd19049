//! The logs of servers: what each writes of every change is collected from its volume while it runs, kept where backups are, and
//! only then let go. So it has a backup to go on from, one is taken where none is there.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Reconciler;
use super::backups::{Trouble, WRITES, able_now};
use super::execute::command;
use crate::catalog::archive::Archive;
use crate::catalog::definition;
use crate::domain::event::NewEvent;
use crate::domain::id::{InstanceId, ServiceId};
use crate::domain::log::{Collected, LogSection, with_collected};
use crate::domain::service::Service;
use crate::repository::LogFolder;
use crate::store::{Guard, StoreError, Write};
use crate::telemetry::metrics;

mod collect;
mod trim;

/// How long after a collection that found little the next one begins: with what that takes, what is kept is less than a minute
/// behind.
const PAUSE: Duration = Duration::from_secs(20);
/// The same after one that found much.
const SOON: Duration = Duration::from_secs(1);
/// How many segments are much, of those that may wait.
const MUCH: u32 = 8;
/// The longest pause after a collection that failed.
const LONGEST: Duration = Duration::from_secs(30);
/// How far what is noted is behind, where nothing was written, before that is noted.
const NOTED: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);
/// How often at most a backup is asked for that a section goes on from.
const ASKED: Duration = Duration::from_secs(15 * 60);
/// How far the clocks of this machine and the engine's may be apart. What is read or kept besides is passed over.
pub(super) const APART: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
/// The part of its storage that a log may take which waits to be collected.
const SHARE: u32 = 4;

/// A section, by its instance and its first segment.
type SectionId = (InstanceId, String);

/// What is known of a service's log from one collection to the next.
#[derive(Default)]
struct Course {
    /// Segments that are kept, and yet to be let go.
    kept: Vec<String>,
    /// How often it has failed since it last did not.
    failures: u32,
    /// Whether its server keeps none.
    is_off: bool,
    /// The section for which there is a backup.
    based: Option<SectionId>,
    /// That for which one was last asked for, and when.
    asked: Option<(SectionId, Instant)>,
}

impl Reconciler {
    /// Keeps the log of a service for as long as its container runs.
    pub(super) async fn keep_log(self: Arc<Self>, mut seen: watch::Receiver<Service>) {
        let mut course = Course::default();
        loop {
            let service = seen.borrow_and_update().clone();
            let changed = match self.see_to_log(&service, &mut course).await {
                None => seen.changed().await,
                Some(pause) => timeout(pause, seen.changed()).await.unwrap_or(Ok(())),
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Tells how soon to do so again; None: once something has changed.
    async fn see_to_log(&self, service: &Service, course: &mut Course) -> Option<Duration> {
        let archive = definition(service.wish.kind).offer.as_ref()?.can.archive.as_ref()?;
        let done = match service.backup_plan.keeps_log() {
            true => {
                course.is_off = false;
                self.collect(service, archive, course).await
            }
            false if course.is_off => return None,
            false => self.end_log(service, archive).await.map(|()| {
                *course = Course { is_off: true, ..Course::default() };
                Duration::MAX
            }),
        };
        match done {
            Ok(Duration::MAX) => None,
            Ok(pause) => {
                course.failures = 0;
                Some(pause)
            }
            Err(Trouble::Left) => Some(PAUSE),
            Err(trouble) => {
                course.failures = course.failures.saturating_add(1);
                metrics::backup("COLLECT_LOG", trouble.outcome());
                tracing::warn!(service = %service.id, why = ?trouble, "The log of a service could not be kept");
                Some(SOON.saturating_mul(1 << course.failures.min(6)).min(LONGEST))
            }
        }
    }

    /// Collects what waits, and tells how soon to do so again.
    async fn collect(&self, service: &Service, archive: &Archive, course: &mut Course) -> Result<Duration, Trouble> {
        let row = self.store.service_get(service.id).await?.ok_or(Trouble::Left)?;
        if able_now(&row).is_err() || row.instance != service.instance || !row.understood {
            return Err(Trouble::Left);
        }
        let found = match self.collected(&row, archive, &course.kept).await? {
            collect::Found::AtNextStart => {
                self.note_log_awaits_start(&row, true).await?;
                return Ok(PAUSE);
            }
            collect::Found::Log(found) => found,
        };
        self.note_log_awaits_start(&row, false).await?;
        course.kept.clear();
        let sections = self.note_collected(&row, archive, &found.collected).await?;
        metrics::backup("COLLECT_LOG", "OK");
        course.kept = found.collected.segments.into_iter().map(|(name, _)| name).collect();
        if let Some(section) = sections.iter().find(|section| section.is_open && section.instance == row.instance) {
            self.ask_for_base(&row, section, course).await?;
        }
        let waits = u32::try_from(course.kept.len()).unwrap_or(u32::MAX);
        Ok(match found.has_more {
            true => Duration::ZERO,
            false if waits >= MUCH.min(share_mib(&row) / 64) => SOON,
            false => PAUSE,
        })
    }

    /// Notes whether a start is awaited, where that is news.
    async fn note_log_awaits_start(&self, row: &Service, awaits: bool) -> Result<(), Trouble> {
        if row.evidence.log_awaits_start == awaits {
            return Ok(());
        }
        let now = (self.clock)();
        let mut after = row.clone();
        after.evidence.log_awaits_start = awaits;
        let event = awaits.then(|| NewEvent::log_awaits_start(row, now));
        match self.observe(row, &after, event.as_ref(), now).await {
            Ok(_) => self.hints.project_changed(&row.project),
            // The next collection finds it again.
            Err(StoreError::Stale) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Notes what was kept, and gives the sections as they are with it.
    async fn note_collected(
        &self,
        service: &Service,
        archive: &Archive,
        collected: &Collected,
    ) -> Result<Vec<LogSection>, Trouble> {
        for _ in 0..WRITES {
            let row = self.store.service_get(service.id).await?.ok_or(Trouble::Left)?;
            if row.instance != service.instance {
                return Err(Trouble::Left);
            }
            let known = self.store.section_list(&[row.id]).await?;
            let of_it: Vec<_> = known.iter().filter(|section| section.instance == row.instance).cloned().collect();
            let Some(section) = with_collected(&of_it, (row.id, row.instance), collected, archive.follows) else {
                return Ok(known);
            };
            let before = of_it.iter().find(|before| before.first == section.first);
            let is_new = before.is_none();
            let is_little = before.is_some_and(|before| {
                let little = section.until.duration_since(before.until) < NOTED;
                little && LogSection { until: before.until, ..section.clone() } == *before
            });
            if is_little {
                return Ok(known);
            }
            // One of another instance, or before a gap, is not gone on with.
            let over = known.iter().filter(|other| other.is_open && is_new);
            let mut sections: Vec<_> = over.map(|over| LogSection { is_open: false, ..over.clone() }).collect();
            let missing = of_it.iter().map(|section| section.until).max();
            sections.push(section);
            let now = (self.clock)();
            let event = is_new.then(|| NewEvent::log_begun(&row, missing, now));
            let guard = Guard::Term { epoch: self.epoch(), read: &row };
            let write = Write { sections: &sections, event: event.as_ref(), ..Write::new(guard, now) };
            match self.store.commit(write).await {
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    if event.is_some() {
                        self.hints.project_changed(&row.project);
                    }
                    return Ok(self.store.section_list(&[row.id]).await?);
                }
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Has a backup taken soon where none is there that the section goes on from.
    async fn ask_for_base(&self, service: &Service, section: &LogSection, course: &mut Course) -> Result<(), Trouble> {
        let id = (section.instance, section.first.clone());
        if course.based.as_ref() == Some(&id) {
            return Ok(());
        }
        if self.store.backup_list_all(&[service.id]).await?.iter().any(|backup| section.awaits(backup)) {
            course.based = Some(id);
            return Ok(());
        }
        if course.asked.as_ref().is_some_and(|(of, at)| *of == id && at.elapsed() < ASKED) {
            return Ok(());
        }
        let row = self.store.service_get(service.id).await?.ok_or(Trouble::Left)?;
        let now = (self.clock)();
        match self.plan(&row, Some(now), now).await {
            Ok(()) => {
                course.asked = Some((id, Instant::now()));
                self.hints.ask_for_backups();
                Ok(())
            }
            // The next collection finds out.
            Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Has the server keep its log no more, where it does.
    async fn end_log(&self, service: &Service, archive: &Archive) -> Result<(), Trouble> {
        let known = self.store.section_list(&[service.id]).await?;
        let open = |section: &&LogSection| section.is_open && section.instance == service.instance;
        let Some(section) = known.iter().find(open) else { return Ok(()) };
        let row = self.store.service_get(service.id).await?.ok_or(Trouble::Left)?;
        if able_now(&row).is_err() || row.backup_plan.keeps_log() || row.instance != service.instance {
            return Err(Trouble::Left);
        }
        let access = self.access(&row).await?;
        let ended = self.engine.run(row.instance, &command((archive.end)(&access))).await?;
        if ended.exit_code != Some(0) {
            return Err(collect::failed(&access.redact(&ended.output)));
        }
        let closed = [LogSection { is_open: false, ..section.clone() }];
        let guard = Guard::Term { epoch: self.epoch(), read: &row };
        self.store.commit(Write { sections: &closed, ..Write::new(guard, (self.clock)()) }).await?;
        Ok(())
    }
}

/// How much of a service's volume what waits may take, in MiB.
fn share_mib(service: &Service) -> u32 {
    service.wish.tier.storage_mib / SHARE
}

/// Where the log of a service's instance is kept.
pub(super) fn folder(service: &Service, instance: InstanceId) -> LogFolder {
    LogFolder::new(&service.project, &service.name, service.id, instance)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
