//! How full a service's volume is, and what follows of that where its file system sets no limit.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::service::RunId;

/// From this part of its size on it takes no more writes, in hundredths.
const FULL: u64 = 100;
/// Below this it takes writes again.
const ROOMY: u64 = 95;
/// From this on it is stopped. What is written until it has ended comes on top, and has to stay below a quarter more.
const HALT: u64 = 110;
/// One that was stopped may grow so far while it is cleaned up; one that holds nearly so much, a little further.
const CEILING: u64 = 120;
const CLEANING: u64 = 2;
/// What it holds is noted when it has changed by so much.
const NOTED: u64 = 1;
/// What takes no more writes, and has grown by so much all the same, is told so again.
const REGROWN: u64 = 2;
/// Each warning is given once, and again after it has held so much less.
const WARNINGS: [u8; 2] = [80, 90];
const REARMED: u64 = 5;
/// What may grow by so much, in bytes, while its host has too little space; what goes on then is stopped.
const UNNOTICED: u64 = 16 << 20;
const DEFIANT: u64 = 64 << 20;
/// How long one that was stopped may be cleaned up after a start.
const CLEANUP: SignedDuration = SignedDuration::from_mins(10);

/// What a volume with a limit of its own can hold at most, of its size: what is stopped below that can still be started.
const WALL: u64 = 125;
/// What a file system of its own leaves of that. A quota leaves all of it.
const USABLE: u64 = 115;

/// How fast a volume may fill, in bytes a second: while something is written, and when nothing was lately. On the machine that
/// this was tried on PostgreSQL wrote 120 MB a second in half a core.
const FAST: u64 = 256 << 20;
const FROM_REST: u64 = 100 << 20;
const SOONEST: Duration = Duration::from_millis(200);
const LATEST: Duration = Duration::from_secs(15);
/// Measuring takes at most one part in so many of the time.
const SPARING: u32 = 5;

/// What a volume holds at a moment, and what is left on the disk that it shares with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// On the volume, in bytes.
    pub used: u64,
    /// On the disk, in bytes.
    pub free: u64,
    /// The disk's size, in bytes.
    pub disk: u64,
    /// Why nothing else takes from that disk; None where others do.
    pub own: Option<Own>,
}

/// What gives a volume a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// A quota: the disk is what it allows.
    Quota,
    /// A file system that takes a part for itself.
    FileSystem,
}

/// What keeps volumes from taking more than that of the engine's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageBackend {
    /// Nothing but that they are measured.
    Volume,
    /// A quota of the engine's file system.
    Quota,
    /// A file system of their own, in a file.
    Loop,
}

/// The limit of a volume for a size of `storage_mib`, in MiB, where it has one of its own.
pub fn wall_mib(storage_mib: u32) -> u64 {
    u64::from(storage_mib) * WALL / 100
}

/// The part of a disk that services leave to the host, in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve(pub u16);

text_enum! {
    /// Why a service takes no more writes.
    pub enum Full {
        /// It holds what its size is meant for.
        Size = "SIZE",
        /// The host has too little space left, and it went on growing.
        Host = "HOST",
    } or Unknown
}

/// What is known of a service's storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// On its volume, in MiB, within a hundredth of its size; None until it was measured.
    pub used_mib: Option<u64>,
    /// What its volume can hold, in MiB, where it has a limit of its own.
    pub own_mib: Option<u64>,
    /// Whether that limit is a quota.
    pub by_quota: bool,
    /// The run in which that could not be made more, as it is in use.
    pub grows_after: Option<RunId>,
    /// The warning that was given last, in hundredths; 0 for none.
    pub warned: u8,
    /// Why it is to take no more writes, while that is so.
    pub full: Option<Full>,
    /// It took so much more all the same that it must not run.
    pub halted: bool,
    /// While one that is halted may run.
    pub cleanup: Option<Cleanup>,
    /// What the server inside may have been told of it.
    pub closed: Option<Closed>,
}

/// A while in which its user can make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleanup {
    pub until: Timestamp,
    /// How much it may hold meanwhile, in MiB.
    pub ceiling_mib: u64,
}

/// The server inside was told to take no more writes, or may have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The run that has taken it; None where that is not known.
    pub run: Option<RunId>,
    /// What it held then, in MiB.
    pub at_mib: u64,
}

impl Fill {
    fn used_mib(&self) -> u64 {
        self.used >> 20
    }

    /// Whether services have taken what they are to leave to the host.
    pub fn is_short(&self, reserve: Reserve) -> bool {
        self.own.is_none() && self.left(reserve) == 0
    }

    /// How soon to measure again a volume for `limit_mib`, after a measurement that took so long: so soon that it can't have
    /// filled far beyond what it may by then. `is_at_rest`: it has not changed for some time.
    pub fn pause(&self, limit_mib: u32, reserve: Reserve, took: Duration, is_at_rest: bool) -> Duration {
        // A little beyond the next border, which it can go anyway.
        let border = match hundredths(self.used_mib(), limit_mib) {
            ..FULL => FULL + 5,
            FULL..HALT => HALT + 2,
            _ => CEILING,
        };
        let mut room = ((u64::from(limit_mib) << 20) * border / 100).saturating_sub(self.used);
        let rate = if is_at_rest { FROM_REST } else { FAST };
        // Of what rests while its host has too little space there may be many.
        let unnoticed = if is_at_rest { rate } else { UNNOTICED };
        room = room.min(self.left(reserve) + unnoticed);
        let pause = Duration::from_millis(room.saturating_mul(1000) / rate);
        pause.clamp(SOONEST, LATEST).max(took * (SPARING - 1))
    }

    /// What is left on the disk before services have to leave it, in bytes.
    fn left(&self, reserve: Reserve) -> u64 {
        if self.own.is_some() {
            return self.free;
        }
        self.free.saturating_sub(reserve.of(self.disk))
    }
}

impl Reserve {
    fn of(self, disk: u64) -> u64 {
        disk / 10_000 * u64::from(self.0)
    }
}

impl Storage {
    /// What a measurement makes of it, for a size of `limit_mib`. `grown` is by how many bytes the volume has grown since its
    /// host had too little space.
    pub fn judged(&self, fill: &Fill, limit_mib: u32, reserve: Reserve, grown: u64) -> Self {
        let used = fill.used_mib();
        let part = hundredths(used, limit_mib);
        let short = fill.is_short(reserve);
        // It ends when there is a hundredth of the disk more than that.
        let relieved = fill.left(reserve) > fill.disk / 100;
        let full = match self.full {
            _ if part >= FULL => Some(Full::Size),
            Some(Full::Size) if part >= ROOMY => Some(Full::Size),
            Some(Full::Host) if !relieved => Some(Full::Host),
            _ if short && grown > UNNOTICED => Some(Full::Host),
            _ => None,
        };
        let defies = full == Some(Full::Host) && (self.halted || grown > DEFIANT);
        let halted = part >= HALT || defies;
        let ceiling = self.cleanup.is_none_or(|cleanup| used < cleanup.ceiling_mib);
        let noted = self.used_mib.is_some_and(|noted| hundredths(noted.abs_diff(used), limit_mib) < NOTED);
        let warned = self.warning(part);
        let changed = (full, halted, warned) != (self.full, self.halted, self.warned) || !ceiling;
        let used_mib = if noted && !changed { self.used_mib } else { Some(used) };
        let mut closed = self.closed.clone();
        if let Some(closed) = closed.as_mut().filter(|closed| full.is_some() && closed.run.is_some())
            && hundredths(used.saturating_sub(closed.at_mib), limit_mib) >= REGROWN
        {
            closed.run = None;
        }
        let cleanup = self.cleanup.filter(|_| halted && ceiling);
        let own_mib = fill.own.map(|_| fill.disk >> 20);
        let by_quota = fill.own == Some(Own::Quota);
        let grows_after = self.grows_after.clone().filter(|_| own_mib == self.own_mib);
        Self { used_mib, own_mib, by_quota, grows_after, warned, full, halted, cleanup, closed }
    }

    /// What it may hold of a size of `size_mib`, in MiB: a volume that has yet to grow, or can't, holds less.
    pub fn limit_mib(&self, size_mib: u32) -> u32 {
        let part = if self.by_quota { WALL } else { USABLE };
        match self.own_mib.filter(|_| self.is_cramped(size_mib)) {
            Some(own) => u32::try_from(own * 100 / part).unwrap_or(size_mib),
            None => size_mib,
        }
    }

    /// Whether its volume is too small for a size of `size_mib`.
    pub fn is_cramped(&self, size_mib: u32) -> bool {
        self.own_mib.is_some_and(|own| hundredths(own, size_mib) < USABLE - 5)
    }

    /// Whether a limit of its own keeps it within a quarter more than `size_mib`.
    pub fn is_walled(&self, size_mib: u32) -> bool {
        self.own_mib.is_some_and(|own| own <= wall_mib(size_mib))
    }

    fn warning(&self, part: u64) -> u8 {
        let given = WARNINGS.into_iter().rev().find(|&warning| {
            let rearmed = if self.warned >= warning { REARMED } else { 0 };
            part + rearmed >= u64::from(warning)
        });
        given.unwrap_or_default()
    }

    /// For a size of `limit_mib` from now on. What no longer fits, the next measurement tells.
    pub fn refitted(&self, limit_mib: u32) -> Self {
        let fits =
            self.full == Some(Full::Size) && self.used_mib.is_some_and(|used| hundredths(used, limit_mib) < ROOMY);
        if fits { Self { full: None, halted: false, cleanup: None, ..self.clone() } } else { self.clone() }
    }

    /// Its user has it started: one that is halted may run for a while, to be cleaned up.
    pub fn opened(&self, limit_mib: u32, now: Timestamp) -> Self {
        let used = self.used_mib.unwrap_or_default();
        let size = u64::from(limit_mib);
        let ceiling_mib = (size * CEILING).max(used * 100 + size * CLEANING) / 100;
        let cleanup = self.halted.then_some(Cleanup { until: now + CLEANUP, ceiling_mib });
        Self { cleanup, ..self.clone() }
    }

    /// The server inside was told something by which it may take writes again.
    pub fn forget_told(&mut self) {
        if let Some(closed) = &mut self.closed {
            closed.run = None;
        }
    }

    /// Whether it must not run. A clock that was put back to before the clean-up began ends that.
    pub fn is_stopped(&self, now: Timestamp) -> bool {
        let open = |cleanup: Cleanup| cleanup.until - CLEANUP <= now && now < cleanup.until;
        self.halted && !self.cleanup.is_some_and(open)
    }
}

/// How much of `limit_mib` that is.
fn hundredths(mib: u64, limit_mib: u32) -> u64 {
    mib * 100 / u64::from(limit_mib.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 1000;
    const RESERVE: Reserve = Reserve(500);
    const ROOM: u64 = 500 << 30;

    fn fill(used_mib: u64) -> Fill {
        Fill { used: used_mib << 20, free: ROOM, disk: 1 << 40, own: None }
    }

    /// What a series of measurements makes of it.
    fn after(measured: &[u64]) -> Storage {
        let judge = |storage: Storage, used: &u64| storage.judged(&fill(*used), LIMIT, RESERVE, 0);
        measured.iter().fold(Storage::default(), judge)
    }

    #[test]
    fn a_volume_with_a_limit_of_its_own_holds_what_it_has_room_for() {
        let own = |mib: u64| Storage { own_mib: Some(mib), ..Storage::default() };
        // What an ext4 of 1.25 times the size has room for, and what is left of it for twice the size.
        assert_eq!(
            (own(1190).limit_mib(1000), own(1190).is_cramped(1000), own(1190).is_walled(1000)),
            (1000, false, true)
        );
        assert_eq!(
            (own(1190).limit_mib(2000), own(1190).is_cramped(2000), own(1190).is_walled(2000)),
            (1034, true, true)
        );
        assert_eq!(
            (own(1190).limit_mib(500), own(1190).is_cramped(500), own(1190).is_walled(500)),
            (500, false, false)
        );
        let shared = Storage::default();
        assert_eq!((shared.limit_mib(1000), shared.is_cramped(1000), shared.is_walled(1000)), (1000, false, false));
        // Its host has room enough, whatever is left on it.
        let fill = Fill { used: 990 << 20, free: 0, disk: 1190 << 20, own: Some(Own::FileSystem) };
        let judged = shared.judged(&fill, LIMIT, RESERVE, DEFIANT * 2);
        assert_eq!((judged.own_mib, judged.full, judged.halted), (Some(1190), None, false));
        // A quota of 1.25 times the size is the quarter that the size has beside it, and can't become another.
        let judged = shared.judged(&Fill { disk: 1250 << 20, own: Some(Own::Quota), ..fill }, LIMIT, RESERVE, 0);
        assert_eq!((judged.limit_mib(1000), judged.limit_mib(4000)), (1000, 1000));
        assert!(judged.is_cramped(4000) && judged.is_walled(1000) && !judged.is_walled(500));
    }

    #[test]
    fn it_is_full_at_its_size_and_writable_below_95_hundredths() {
        for (measured, full, halted) in [
            (&[999][..], None, false),
            (&[1000], Some(Full::Size), false),
            (&[1000, 950], Some(Full::Size), false),
            (&[950], None, false),
            (&[1000, 949], None, false),
            (&[1100], Some(Full::Size), true),
            (&[1100, 1099], Some(Full::Size), false),
        ] {
            let storage = after(measured);
            assert_eq!((storage.full, storage.halted), (full, halted), "{measured:?}");
        }
    }

    #[test]
    fn each_warning_is_given_once_until_there_was_room_again() {
        for (measured, warned) in [
            (&[799][..], 0),
            (&[800], 80),
            (&[800, 760], 80),
            (&[800, 749], 0),
            (&[900], 90),
            (&[900, 860], 90),
            (&[900, 849], 80),
            (&[900, 700], 0),
        ] {
            assert_eq!(after(measured).warned, warned, "{measured:?}");
        }
    }

    #[test]
    fn what_it_holds_is_noted_when_it_has_changed_by_a_hundredth() {
        assert_eq!(after(&[500, 509]).used_mib, Some(500));
        assert_eq!(after(&[500, 510]).used_mib, Some(510));
        assert_eq!(after(&[795, 801]).used_mib, Some(801), "with what follows from it");
    }

    #[test]
    fn one_that_is_stopped_can_be_cleaned_up_for_a_while_and_up_to_a_ceiling() {
        let now = Timestamp::UNIX_EPOCH;
        let halted = after(&[1100]);
        assert!(halted.is_stopped(now));
        let open = halted.opened(LIMIT, now);
        assert!(!open.is_stopped(now) && open.is_stopped(now + CLEANUP) && open.is_stopped(now - CLEANUP));
        assert!(!open.judged(&fill(1199), LIMIT, RESERVE, 0).is_stopped(now));
        assert!(open.judged(&fill(1200), LIMIT, RESERVE, 0).is_stopped(now));
        let cleaned = open.judged(&fill(900), LIMIT, RESERVE, 0);
        assert_eq!((cleaned.full, cleaned.halted, cleaned.cleanup), (None, false, None));
        let far = after(&[1230]).opened(LIMIT, now);
        assert!(!far.judged(&fill(1230), LIMIT, RESERVE, 0).is_stopped(now), "it can always be started");
        assert_eq!(Storage::default().opened(LIMIT, now).cleanup, None);
    }

    #[test]
    fn a_larger_size_makes_room() {
        let halted = after(&[1100]);
        let larger = halted.refitted(2000);
        assert_eq!((larger.full, larger.halted), (None, false));
        assert_eq!(halted.refitted(1100), halted);
    }

    #[test]
    fn who_writes_on_all_the_same_is_told_again() {
        let closed = Some(Closed { run: Some(RunId("1".to_owned())), at_mib: 1000 });
        let told = Storage { closed, ..after(&[1000]) };
        let run = |used| told.judged(&fill(used), LIMIT, RESERVE, 0).closed.unwrap().run;
        assert!(run(1019).is_some() && run(1020).is_none());
    }

    #[test]
    fn while_the_host_has_too_little_space_what_grows_is_closed_and_nobody_else() {
        let disk = 1 << 40;
        let short = Fill { used: 100 << 20, free: RESERVE.of(disk) - 1, disk, own: None };
        let judge = |storage: &Storage, fill: &Fill, grown| storage.judged(fill, LIMIT, RESERVE, grown);
        let quiet = judge(&Storage::default(), &short, UNNOTICED);
        assert_eq!(quiet.full, None);
        let grows = judge(&quiet, &short, UNNOTICED + 1);
        assert_eq!((grows.full, grows.halted), (Some(Full::Host), false));
        let defies = judge(&grows, &short, DEFIANT + 1);
        assert!(defies.halted);
        let barely = Fill { free: RESERVE.of(disk) + 1, ..short };
        assert_eq!(judge(&grows, &barely, 0).full, Some(Full::Host));
        let relieved = Fill { free: RESERVE.of(disk) * 2, ..short };
        assert_eq!(judge(&defies, &relieved, 0), Storage { used_mib: Some(100), ..Storage::default() });
    }

    #[test]
    fn it_is_measured_the_sooner_the_less_room_there_is() {
        let pause = |used, rests| fill(used).pause(LIMIT, RESERVE, Duration::ZERO, rests);
        assert_eq!(pause(1089, false), SOONEST);
        assert!(pause(990, false) < Duration::from_millis(300) && pause(990, true) < Duration::from_millis(700));
        assert!(pause(40, false) > Duration::from_secs(3));
        let large = fill(40).pause(20 * 1024, RESERVE, Duration::ZERO, true);
        assert_eq!(large, LATEST);
        let slow = fill(1000).pause(LIMIT, RESERVE, Duration::from_secs(1), false);
        assert_eq!(slow, Duration::from_secs(4), "a fifth of the time");
        let scarce = Fill { free: RESERVE.of(1 << 40) + (100 << 20), ..fill(0) };
        assert!(scarce.pause(20 * 1024, RESERVE, Duration::ZERO, false) < Duration::from_secs(1));
        let short = Fill { free: 0, ..scarce };
        assert_eq!(short.pause(20 * 1024, RESERVE, Duration::ZERO, false), SOONEST);
        assert_eq!(short.pause(20 * 1024, RESERVE, Duration::ZERO, true), Duration::from_secs(1));
    }
}
