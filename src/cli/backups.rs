//! Backups, from a terminal.

use std::time::Duration;

use serde_json::{Value, json};

use super::remote::ClientError;
use super::{Client, Ended, confirmed};
use crate::config::client::BackupCommand;

const CREATE: &str = "mutation ($input: CreateBackupInput!) { answer: createBackup(input: $input) { backup { id } } }";
const VERIFY: &str = "mutation ($id: ID!) { answer: verifyBackup(input: { backupId: $id }) { backup { id } } }";
const DELETE: &str = "mutation ($id: ID!) { answer: deleteBackup(input: { backupId: $id }) { backup { id } } }";
const RESTORE: &str =
    "mutation ($input: RestoreServiceInput!) { answer: restoreService(input: $input) { service { id projectId } } }";
const BACKUP: &str = "query ($id: ID!) { backup(id: $id) { id serviceName kind version state phase note contentBytes
    storedBytes createdAt error { code message } verification { verifiedAt facts { name value } } } }";
const OF_PROJECT: &str = "query ($of: ID!, $after: String) { list: backups(projectId: $of, first: 100, after: $after) {
    pageInfo { hasNextPage endCursor }
    nodes { id serviceName kind version state phase note contentBytes storedBytes createdAt error { code message } } } }";
const OF_SERVICE: &str = "query ($of: ID!, $after: String) { service(id: $of) { list: backups(first: 100, after: $after) {
    pageInfo { hasNextPage endCursor }
    nodes { id serviceName kind version state phase note contentBytes storedBytes createdAt error { code message } } } } }";

/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_secs(1);
/// How many looks in a row may reach no server before it is given up: half a minute.
const TRIES: u32 = 30;

impl Client<'_> {
    pub(super) async fn backup(&self, command: &BackupCommand) -> Result<Ended, ClientError> {
        match command {
            BackupCommand::List { service, .. } => self.list_backups(service.as_deref()).await,
            BackupCommand::Create { action, note } => {
                let input = json!({"id": self.id(&action.service).await?, "note": note});
                let answer = self.remote.ask(CREATE, json!({"input": input})).await?;
                let id = answer["answer"]["backup"]["id"].as_str().unwrap_or_default().to_owned();
                self.see_through(&id, action.no_wait, &["AVAILABLE", "VERIFIED"]).await
            }
            BackupCommand::Verify { backup, no_wait, .. } => {
                self.remote.ask(VERIFY, json!({"id": backup})).await?;
                self.see_through(backup, *no_wait, &["VERIFIED"]).await
            }
            BackupCommand::Delete { backup, no_wait, yes, .. } => {
                if !yes && !confirmed(&format!("the backup {backup}"), backup)? {
                    return Ok(Ended::With(1));
                }
                self.remote.ask(DELETE, json!({"id": backup})).await?;
                self.see_through(backup, *no_wait, &[]).await
            }
            BackupCommand::Restore { backup, name, tier, no_wait, .. } => {
                let project = self.at.project.as_ref().map(ToString::to_string);
                let new = json!({"projectId": project, "name": name, "tier": tier.map(|tier| tier.as_str())});
                let before = self.cursors().await?;
                let input = json!({"backupId": backup, "into": {"newService": new}});
                let answer = self.remote.ask(RESTORE, json!({"input": input})).await?;
                let service = &answer["answer"]["service"];
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (id, project) = (text(&service["id"]), text(&service["projectId"]));
                self.arrive(&project, before, &id, (!no_wait).then_some("RUNNING")).await
            }
        }
    }

    /// Where the log of the project is that a service is made in.
    async fn cursors(&self) -> Result<String, ClientError> {
        self.cursor(&self.project().await?).await
    }

    async fn list_backups(&self, service: Option<&str>) -> Result<Ended, ClientError> {
        let (document, of) = match service {
            Some(service) => (OF_SERVICE, self.id(service).await?),
            None => (OF_PROJECT, self.project().await?),
        };
        let (mut backups, mut after) = (Vec::new(), Value::Null);
        loop {
            let mut answer = self.remote.ask(document, json!({"of": of, "after": after})).await?;
            let page = match service {
                Some(_) => answer["service"]["list"].take(),
                None => answer["list"].take(),
            };
            backups.extend(page["nodes"].as_array().cloned().unwrap_or_default());
            if page["pageInfo"]["hasNextPage"] != true {
                break;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
        self.out.backups(&backups)?;
        Ok(Ended::Well)
    }

    /// Waits until nothing is being done about a backup, telling how far that is, and shows it. It is as it was to be where it
    /// is in one of the states of `good`, or is gone where there are none.
    async fn see_through(&self, id: &str, no_wait: bool, good: &[&str]) -> Result<Ended, ClientError> {
        let (mut told, mut failed) = (Value::Null, 0);
        loop {
            let mut answer = match self.remote.ask(BACKUP, json!({"id": id})).await {
                Err(ClientError::Unreachable(_)) if failed < TRIES => {
                    failed += 1;
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                answer => answer?,
            };
            failed = 0;
            let backup = answer["backup"].take();
            if backup.is_null() {
                return Ok(if good.is_empty() { Ended::Well } else { Ended::With(1) });
            }
            let is_over = backup["phase"].is_null() && backup["state"] != "DELETING";
            if is_over || no_wait {
                self.out.backup(&backup)?;
                let is_good = good.iter().any(|state| backup["state"] == *state) && backup["error"].is_null();
                return Ok(if no_wait || is_good { Ended::Well } else { Ended::With(1) });
            }
            let now = json!([backup["state"], backup["phase"], backup["error"]["code"]]);
            if now != told {
                self.out.backup_progress(&backup)?;
                told = now;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
