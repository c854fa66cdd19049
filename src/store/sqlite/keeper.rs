//! The one connection that stays open for as long as the server runs, and what is found out about the file meanwhile.
//!
//! As long as it is open, no other connection is the last one, whose end would remove the write-ahead log and its index:
//! they stay the files that were looked at in the beginning. And no other file can get the number of one of them.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use backon::{BlockingRetryable, ConstantBuilder};
use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};

use super::super::inventory::{self, Inventory};
use super::super::trouble::{Condition, Purpose, Trouble};
use super::place::{self, Place};
use super::{BoxError, Result, SETTINGS, StoreError, birth, diagnose, is_passing, migrate};
use crate::files::Draft;

/// Why a copy is not begun that would leave less than the reserve.
pub(super) const NO_ROOM: &str = "there is too little space for a copy of it";

/// Between two looks at the files.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

pub(super) const TABLES: &str =
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite@_%' ESCAPE '@'";

pub struct Keeper {
    // Ends before the place, which has a file open that must not be closed earlier.
    connection: Mutex<SqliteConnection>,
    place: Place,
    pub condition: Condition,
    /// Where the content is that would be lost at the end, for as long as the files are not in their place.
    saved: Mutex<Option<PathBuf>>,
}

#[derive(QueryableByName)]
struct Finding {
    #[diesel(sql_type = Text)]
    quick_check: String,
}

impl Keeper {
    /// Opens the file, which is begun if there is none, and brings its tables up to date.
    pub fn open(path: &Path, url: &str) -> Result<Self> {
        let unavailable = |error: BoxError| StoreError::Unavailable(error);
        let existing = path.ancestors().find(|ancestor| ancestor.exists());
        if existing.is_some_and(place::is_full) {
            let mib = place::RESERVE >> 20;
            let full = format!("{}: less than {mib} MiB are left on its disk, which it needs", path.display());
            return Err(StoreError::Unavailable(full.into()));
        }
        birth::ensure(path)?;
        let found = place::identity(path).map_err(|error| unavailable(error.into()))?;
        let mut connection = SqliteConnection::establish(url).map_err(|error| unavailable(error.into()))?;
        let refused = |error| refuse(path, error);
        connection.batch_execute(SETTINGS).map_err(refused)?;
        take_stock(path, inventory::look(&mut connection, TABLES).map_err(refused)?)?;
        // Kept in the file from then on. Where others switch as well, SQLite refuses one of them at once rather than have
        // both wait for each other (<https://sqlite.org/c3ref/busy_handler.html>). In all that is as long as the timeout.
        let pauses = ConstantBuilder::new().with_delay(Duration::from_millis(10)).with_max_times(500);
        let switch = || connection.batch_execute("PRAGMA journal_mode = WAL;");
        switch.retry(pauses).when(is_passing).call().map_err(refused)?;
        migrate(&mut connection)?;
        let place = Place::of(path).map_err(|error| unavailable(error.into()))?;
        if place::identity(path).ok() != Some(found) {
            return Err(unavailable(format!("{} was replaced while it was opened", path.display()).into()));
        }
        let condition = Condition::new(path.display().to_string());
        Ok(Self { connection: Mutex::new(connection), place, condition, saved: Mutex::new(None) })
    }

    /// What keeps a write of that purpose from being kept.
    pub fn admit(&self, purpose: Purpose) -> Result<()> {
        let full = || (purpose == Purpose::Request && self.place.is_full()).then_some(Trouble::Full);
        let trouble = self.condition.damage().or_else(|| self.place.misplaced()).or_else(full);
        trouble.map_or(Ok(()), |trouble| Err(StoreError::Trouble(trouble)))
    }

    /// Whether what was written is where it will be found.
    pub fn in_place(&self) -> Result<()> {
        self.place.misplaced().map_or(Ok(()), |trouble| Err(StoreError::Trouble(trouble)))
    }

    /// Copies all that is committed into a new file, for its owner only; others read and write meanwhile.
    pub fn copy_to(&self, file: &Path) -> Result<()> {
        self.in_place()?;
        if !place::has_room_for_copy(self.place.database(), file) {
            return Err(StoreError::Failed(NO_ROOM.into()));
        }
        let mut connection = self.connection();
        copy_to(&mut connection, file).map_err(StoreError::Failed)
    }

    fn look(&self) {
        if let Err(StoreError::Trouble(trouble)) = self.admit(Purpose::Request) {
            self.condition.note(&trouble);
        }
        match self.in_place() {
            Ok(()) => self.forget_saved(),
            Err(_) => self.save(),
        }
        if let Err(error) = self.place.back_index() {
            tracing::debug!(%error, "The index of the write-ahead log could not be given space ahead of time");
        }
    }

    /// Keeps what was accepted so far, once: while the files are open, and only then, all of it can still be read.
    fn save(&self) {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if saved.is_some() {
            return;
        }
        let mut connection = self.connection();
        // What is in the log alone goes into the file, if that is where it was; it may then be started from.
        if self.place.has_lost_its_log_only()
            && let Err(error) = connection.batch_execute("PRAGMA wal_checkpoint(PASSIVE)")
        {
            tracing::warn!(%error, "The write-ahead log could not be moved into the database");
        }
        let file = birth::saved_now(self.place.database());
        match copy(&mut connection, &file) {
            Ok(()) => tracing::warn!(file = %file.display(), "All that the database holds was saved beside its place"),
            Err(error) => {
                let pid = std::process::id();
                tracing::error!(%error, pid, "What the database holds could not be saved; it is lost when this process ends");
            }
        }
        *saved = Some(file);
    }

    /// What was saved would be taken for the newest one day.
    fn forget_saved(&self) {
        if let Some(file) = self.saved.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = fs::remove_file(file);
        }
    }

    fn connection(&self) -> MutexGuard<'_, SqliteConnection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads every page, for as long as that takes; others read and write meanwhile.
    fn check(&self) {
        match diesel::sql_query("PRAGMA quick_check(1)").load::<Finding>(&mut *self.connection()) {
            Ok(findings) => {
                if let Some(finding) = findings.into_iter().find(|finding| finding.quick_check != "ok") {
                    self.condition.note(&Trouble::Damaged(finding.quick_check));
                }
            }
            Err(error) => match diagnose(&error) {
                Some(trouble) => self.condition.note(&trouble),
                None => tracing::warn!(%error, "The database could not be checked for damage"),
            },
        }
    }
}

/// Looks at the files every now and then, for as long as the keeper is there, so that a trouble is logged though nobody
/// asks for anything.
pub async fn watch(keeper: Weak<Keeper>) {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let Some(keeper) = keeper.upgrade() else { return };
        if tokio::task::spawn_blocking(move || keeper.look()).await.is_err() {
            return;
        }
    }
}

/// Begins to check the whole file. It is a thread of its own, for the runtime would wait for it at its end.
pub fn check(keeper: &Arc<Keeper>) -> std::io::Result<()> {
    let keeper = Arc::clone(keeper);
    std::thread::Builder::new().name("check of the store".to_owned()).spawn(move || keeper.check()).map(drop)
}

/// Copies all that a connection reads into a new file, for its owner only.
fn copy(connection: &mut SqliteConnection, file: &Path) -> Result<(), BoxError> {
    let draft = Draft::of(file);
    copy_to(connection, draft.path())?;
    draft.put()?;
    Ok(())
}

/// The same where the file is of no use until it is whole.
pub(super) fn copy_to(connection: &mut SqliteConnection, file: &Path) -> Result<(), BoxError> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    let path = file.to_str().ok_or("the path is not UTF-8")?.to_owned();
    diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(path).execute(connection)?;
    Ok(())
}

/// Reads every page of a file that nobody has open, and sees that it is an installation.
pub fn check_file(path: &Path) -> Result<()> {
    let url = path.to_str().ok_or_else(|| StoreError::Failed("the path is not UTF-8".into()))?;
    let damaged = |how: &str| StoreError::NotOurs(format!("it is damaged: {how}"));
    let mut connection = SqliteConnection::establish(url).map_err(|error| damaged(&error.to_string()))?;
    let findings = diesel::sql_query("PRAGMA quick_check(1)").load::<Finding>(&mut connection);
    let findings = findings.map_err(|error| damaged(&error.to_string()))?;
    if let Some(finding) = findings.into_iter().find(|finding| finding.quick_check != "ok") {
        return Err(damaged(&finding.quick_check));
    }
    match inventory::look(&mut connection, TABLES).map_err(|error| damaged(&error.to_string()))? {
        Ok(Inventory::Installation) => Ok(()),
        Ok(_) => Err(StoreError::NotOurs("it is no installation".to_owned())),
        Err(what) => Err(StoreError::NotOurs(format!("it is no whole installation: {what}"))),
    }
}

fn take_stock(path: &Path, stock: Result<Inventory, String>) -> Result<()> {
    let what = match stock {
        Ok(Inventory::Installation | Inventory::TakenBack) => return Ok(()),
        Ok(Inventory::Empty) => "holds a database without tables".to_owned(),
        Ok(Inventory::Other) => "holds a database of something else".to_owned(),
        Err(what) => format!("is no whole installation: {what}"),
    };
    Err(not_ours(path, &what))
}

/// Why the file can't be used from the start.
fn refuse(path: &Path, error: diesel::result::Error) -> StoreError {
    match diagnose(&error) {
        Some(Trouble::Damaged(how)) => not_ours(path, &format!("is damaged, or no database at all: {how}")),
        Some(trouble) => StoreError::Trouble(trouble),
        None => StoreError::Unavailable(error.into()),
    }
}

fn not_ours(path: &Path, what: &str) -> StoreError {
    StoreError::NotOurs(format!(
        "{} {what}. Nothing was changed. Put back a copy of the database; to begin a new installation, remove the file",
        path.display()
    ))
}
