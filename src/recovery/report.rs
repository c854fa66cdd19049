//! What became of it, for the person who asked.

use std::fmt;

use jiff::Timestamp;

use super::Brought;
use crate::domain::service::Service;

/// What becomes of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Its volume is on this engine.
    IsThere,
    /// The next server restores it.
    Restored(Restored),
    /// It is stopped, and is restored when it is started.
    RestoredAtStart(Restored),
    /// It had no data yet, as far as the database tells.
    Empty,
    /// Its volume is gone and there is no backup that can be used.
    Lost,
    /// A newer version of the server has written what this one does not know.
    NotUnderstood,
}

/// What a service is restored to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// When its backup was begun.
    pub backup: Timestamp,
    /// The last moment that its log brings back beyond that; None: that of the backup.
    pub to: Option<Timestamp>,
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Some(to) => {
                write!(f, "restored to what it was at {to:.0}, by its backup of {:.0} and its log", self.backup)
            }
            None => write!(f, "restored from its backup of {:.0}", self.backup),
        }
    }
}

/// What was brought back.
#[derive(Debug)]
pub struct Report {
    pub database: Brought,
    /// Services and backups that the database did not know.
    pub imported: (usize, usize),
    pub services: Vec<(Service, Fate)>,
    /// What could not be used, and why.
    pub skipped: Vec<String>,
}

impl Report {
    /// How many services are not recovered.
    pub fn lost(&self) -> usize {
        let is_lost = |fate: &Fate| matches!(fate, Fate::Lost | Fate::NotUnderstood);
        self.services.iter().filter(|(_, fate)| is_lost(fate)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.database {
            Brought::WasThere => writeln!(f, "The database was there, and is kept.")?,
            Brought::AsOf(at) => writeln!(f, "The database is the snapshot of {at:.0}.")?,
            Brought::Begun => writeln!(f, "The database is a new one.")?,
        }
        let (services, backups) = self.imported;
        writeln!(f, "It knows of these only by manifests: services {services}, backups {backups}.")?;
        for (service, fate) in &self.services {
            let (project, name, id) = (&service.project, &service.name, service.id);
            let told = match fate {
                Fate::IsThere => "its volume is here; it is left alone".to_owned(),
                Fate::Restored(to) => format!("will be {to}"),
                Fate::RestoredAtStart(to) => format!("is stopped; when it is started it will be {to}"),
                Fate::Empty => "had not run yet by then, and begins empty".to_owned(),
                Fate::Lost => {
                    "CAN'T BE RECOVERED: its volume is gone, and there is no backup of it that can be used".to_owned()
                }
                Fate::NotUnderstood => "IS LEFT ALONE: a newer version of the server works on it".to_owned(),
            };
            writeln!(f, "{project}/{name}  {id}  {told}")?;
        }
        self.skipped.iter().try_for_each(|what| writeln!(f, "Not used: {what}"))
    }
}
