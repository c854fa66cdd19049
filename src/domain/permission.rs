//! Who a viewer is and what they may do.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use super::id::{InvalidId, ProjectId};

text_enum! {
    /// What a token can grant beyond reading.
    pub enum Permission {
        /// Provision, start, stop, restart, reveal.
        ProjectSettings = "project:settings",
        /// Destroy.
        ProjectDelete = "project:delete",
        /// See the nodes that services run on, and say what is placed on them. It is about no project.
        PlatformNodes = "platform:nodes",
    }
}

/// How far the clock of who signs tokens may be from this server's.
pub const CLOCK_LEEWAY: SignedDuration = SignedDuration::from_secs(30);

/// The projects a token is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Projects {
    All,
    Listed(Vec<ProjectId>),
}

impl FromStr for Projects {
    type Err = InvalidId;

    /// One project's id, or `*`.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text == "*" { Ok(Self::All) } else { Ok(Self::Listed(vec![text.parse()?])) }
    }
}

impl FromIterator<Self> for Projects {
    /// All that the parts are good for.
    fn from_iter<T: IntoIterator<Item = Self>>(parts: T) -> Self {
        let mut listed = Vec::new();
        for part in parts {
            match part {
                Self::All => return Self::All,
                Self::Listed(projects) => listed.extend(projects),
            }
        }
        Self::Listed(listed)
    }
}

/// A viewer whose token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub subject: String,
    pub projects: Projects,
    /// As the token gives them; ones that this product doesn't know are kept and grant nothing.
    pub permissions: Vec<String>,
    pub expires_at: Timestamp,
}

/// Why a viewer may not do a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The project does not exist as far as this viewer can tell.
    #[error("the project is not in the token")]
    NotVisible,
    #[error("the permission {0} is missing")]
    Missing(Permission),
}

impl Principal {
    /// From when on the viewer's token is good for nothing, on a clock that may be a little ahead of its signer's.
    pub fn ends_at(&self) -> Timestamp {
        self.expires_at.checked_add(CLOCK_LEEWAY).unwrap_or(Timestamp::MAX)
    }

    pub fn sees(&self, project: &ProjectId) -> bool {
        match &self.projects {
            Projects::All => true,
            Projects::Listed(projects) => projects.contains(project),
        }
    }

    pub fn has(&self, permission: Permission) -> bool {
        self.permissions.iter().any(|granted| granted == permission.as_str())
    }

    /// Decides whether the viewer may do what `permission` stands for in `project`.
    pub fn authorize(&self, project: &ProjectId, permission: Permission) -> Result<(), Denied> {
        if !self.sees(project) {
            Err(Denied::NotVisible)
        } else if !self.has(permission) {
            Err(Denied::Missing(permission))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(projects: Projects, permissions: &[&str]) -> Principal {
        Principal {
            subject: "ada".to_owned(),
            projects,
            permissions: permissions.iter().map(|&p| p.to_owned()).collect(),
            expires_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_project_outside_the_token_is_invisible_whatever_the_permissions() {
        let (demo, other): (ProjectId, ProjectId) = ("demo".parse().unwrap(), "other".parse().unwrap());
        let viewer = principal(Projects::Listed(vec![demo.clone()]), &["project:settings"]);
        assert_eq!(viewer.authorize(&demo, Permission::ProjectSettings), Ok(()));
        assert_eq!(viewer.authorize(&demo, Permission::ProjectDelete), Err(Denied::Missing(Permission::ProjectDelete)));
        assert_eq!(viewer.authorize(&other, Permission::ProjectSettings), Err(Denied::NotVisible));
    }

    #[test]
    fn nothing_is_granted_by_default() {
        let demo: ProjectId = "demo".parse().unwrap();
        assert!(!principal(Projects::Listed(vec![]), &["project:settings"]).sees(&demo));
        assert!(principal(Projects::All, &[]).authorize(&demo, Permission::ProjectSettings).is_err());
    }
}
