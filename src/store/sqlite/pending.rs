//! The database as it was before its tables are changed.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel_migrations::MigrationHarness;

use super::super::copied::CopiedBefore;
use super::super::inventory::{self, Inventory};
use super::super::schema::installation;
use super::super::types::Id;
use super::keeper::{NO_ROOM, TABLES, copy_to};
use super::place::{beside, has_room_for_copy};
use super::{MIGRATIONS, Result, SETTINGS, StoreError};
use crate::domain::id::InstallationId;

/// What its copy is called, behind the database's own name.
const BEFORE: &str = ".before-migration";

/// Copies a database that is there, and whose tables are not up to date; None for any other. What is wrong with one that
/// can't be used is told where it is opened.
///
/// # Errors
/// `Failed` where it is to be copied and can't be.
pub fn copy_before(path: &Path) -> Result<Option<CopiedBefore>> {
    let found = std::fs::metadata(path);
    if !found.is_ok_and(|found| found.is_file() && found.len() > 0) {
        return Ok(None);
    }
    let Some(mut connection) = path.to_str().and_then(|url| SqliteConnection::establish(url).ok()) else {
        return Ok(None);
    };
    if connection.batch_execute(SETTINGS).is_err()
        || !matches!(inventory::look(&mut connection, TABLES), Ok(Ok(Inventory::Installation)))
        || !connection.has_pending_migration(MIGRATIONS).unwrap_or(false)
    {
        return Ok(None);
    }
    let mut copied = CopiedBefore::begin(beside(path, BEFORE)).map_err(|error| StoreError::Failed(error.into()))?;
    if !has_room_for_copy(path, copied.path()) {
        return Err(StoreError::Failed(NO_ROOM.into()));
    }
    copy_to(&mut connection, copied.path()).map_err(StoreError::Failed)?;
    let id = installation::table.select(installation::id).first::<Id>(&mut connection).optional();
    copied.installation = id.ok().flatten().map(|Id(id)| InstallationId(id));
    Ok(Some(copied))
}
