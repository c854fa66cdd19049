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
    /// The next server restores it from the backup of then.
    Restored(Timestamp),
    /// It is stopped, and is restored from the backup of then when it is started.
    RestoredAtStart(Timestamp),
    /// It had no data yet, as far as the database tells.
    Empty,
    /// Its volume is gone and there is no backup that can be used.
    Lost,
    /// A newer version of the server has written what this one does not know.
    NotUnderstood,
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
                Fate::Restored(at) => format!("will be restored from its backup of {at:.0}"),
                Fate::RestoredAtStart(at) => {
                    format!("is stopped; it will be restored from its backup of {at:.0} when it is started")
                }
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
