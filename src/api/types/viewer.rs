//! Who is asking.

use async_graphql::{ID, Object};

use super::date_time::DateTime;
use crate::domain::permission::{Principal, Projects};

pub struct Viewer(pub Principal);

/// You, as your token says.
#[Object]
impl Viewer {
    /// Who you are: the token's `sub`.
    async fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The projects that you can see; `["*"]` stands for all of them.
    async fn projects(&self) -> Vec<ID> {
        match &self.0.projects {
            Projects::All => vec!["*".into()],
            Projects::Listed(projects) => projects.iter().map(|project| project.as_str().into()).collect(),
        }
    }

    /// What you may do in them beyond reading, such as `project:settings` and `project:delete`.
    async fn permissions(&self) -> &[String] {
        &self.0.permissions
    }

    /// When your token expires, and your subscriptions with it.
    async fn expires_at(&self) -> DateTime {
        DateTime(self.0.expires_at)
    }
}
