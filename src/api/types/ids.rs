//! Ids and cursors, parsed where they come in.

use async_graphql::ID;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::api::error::{Error, Result};
use crate::domain::id::{BackupId, ProjectId, ServiceId};

/// `field` is the argument or input field that holds the id.
pub fn parse_service(field: &str, id: &ID) -> Result<ServiceId> {
    id.parse().map_err(|_| Error::bad_input(field, "It is not a service's id: \"svc_\" and 32 hexadecimal digits."))
}

/// `field` is the argument or input field that holds the id.
pub fn parse_project(field: &str, id: &ID) -> Result<ProjectId> {
    id.parse().map_err(|_| {
        Error::bad_input(
            field,
            "It is not a project's id: 1 to 63 letters, digits, '.', '_' or '-', with a letter or digit at both ends.",
        )
    })
}

/// `field` is the argument or input field that holds the id.
pub fn parse_backup(field: &str, id: &ID) -> Result<BackupId> {
    id.parse().map_err(|_| Error::bad_input(field, "It is not a backup's id: \"bkp_\" and 32 hexadecimal digits."))
}

/// A backup's cursor in a list of backups, made as a service's is.
pub fn backup_cursor(id: BackupId) -> String {
    service_cursor(ServiceId(id.0))
}

pub fn parse_backup_cursor(text: &str) -> Option<BackupId> {
    parse_service_cursor(text).map(|ServiceId(id)| BackupId(id))
}

/// A service's cursor in a list of services: its id's bytes, so that it is plain that nothing can be read from it.
pub fn service_cursor(id: ServiceId) -> String {
    URL_SAFE_NO_PAD.encode(id.0.as_bytes())
}

pub fn parse_service_cursor(text: &str) -> Option<ServiceId> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Uuid::from_slice(&bytes).ok().map(ServiceId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_cursor_reads_back_and_nothing_else_does() {
        let id = ServiceId(Uuid::from_u128(7));
        assert_eq!(parse_service_cursor(&service_cursor(id)), Some(id));
        for text in ["", "svc_", "AAAA", "é", &id.to_string(), &format!("{}A", service_cursor(id))] {
            assert_eq!(parse_service_cursor(text), None, "{text}");
        }
    }
}
