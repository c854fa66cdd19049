//! Where in a repository a backup's files are.

use jiff::Timestamp;
use object_store::path::Path;

use crate::domain::id::{BackupId, ProjectId, ServiceId};
use crate::domain::name::ServiceName;

/// A backup's place: `{project}/{service}-{8 digits of its id}/{time}-{backup}`, which is the same for its content and its
/// manifest but for what they end in. People find a service's backups by it, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub backup: BackupId,
    path: String,
}

impl Object {
    /// What the name of a content ends in.
    pub(super) const CONTENT: &str = ".zst.sealed";
    /// What the name of a manifest ends in.
    pub(super) const MANIFEST: &str = ".json";

    pub fn new(
        project: &ProjectId,
        name: &ServiceName,
        service: ServiceId,
        backup: BackupId,
        begun_at: Timestamp,
    ) -> Self {
        let time = begun_at.strftime("%Y-%m-%dT%H-%M-%SZ");
        Self { backup, path: format!("{}/{time}-{backup}", Self::folder(project, name, service)) }
    }

    /// What is kept of a service is below this.
    pub(super) fn folder(project: &ProjectId, name: &ServiceName, service: ServiceId) -> String {
        format!("{project}/{name}-{}", service.suffix())
    }

    /// Takes what [`Object::as_str`] gave.
    pub fn from_stored(backup: BackupId, path: String) -> Self {
        Self { backup, path }
    }

    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// The content's path. What no path may contain is encoded, so that none leads out of the repository.
    pub(super) fn content(&self) -> Path {
        Path::from(format!("{}{}", self.path, Self::CONTENT))
    }

    /// The content of the manifest of that name; None where it is no manifest's.
    pub(super) fn content_beside(manifest: &Path) -> Option<Path> {
        let path = manifest.as_ref().strip_suffix(Self::MANIFEST)?;
        Path::parse(format!("{path}{}", Self::CONTENT)).ok()
    }

    pub(super) fn manifest(&self) -> Path {
        Path::from(format!("{}{}", self.path, Self::MANIFEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_path_tells_people_whose_backup_it_is_and_of_when() {
        let object = Object::new(
            &"demo".parse().unwrap(),
            &"shop-db".parse().unwrap(),
            ServiceId(Uuid::from_u128(0xdead_beef)),
            BackupId(Uuid::from_u128(1)),
            "2026-03-04T05:06:07.89Z".parse().unwrap(),
        );
        let path = "demo/shop-db-deadbeef/2026-03-04T05-06-07Z-bkp_00000000000000000000000000000001";
        assert_eq!(object.as_str(), path);
        assert_eq!(object.content().as_ref(), format!("{path}.zst.sealed"));
        assert_eq!(object.manifest().as_ref(), format!("{path}.json"));
        assert_eq!(Object::from_stored(object.backup, path.to_owned()), object);
    }

    #[test]
    fn no_path_leads_out_of_the_repository() {
        let object = Object::from_stored(BackupId(Uuid::nil()), "../../etc/x".to_owned());
        assert_eq!(object.content().as_ref(), "%2E%2E/%2E%2E/etc/x.zst.sealed");
    }
}
