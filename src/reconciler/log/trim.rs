//! What is kept of logs goes once no moment can be brought back with it any more.

use std::collections::BTreeMap;

use super::*;
use crate::domain::service::ServiceState;

/// How often logs are trimmed.
const INTERVAL: Duration = Duration::from_secs(3600);

impl Reconciler {
    pub(in crate::reconciler) async fn trim_kept_logs(self: Arc<Self>) {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            interval.tick().await;
            self.trim_kept().await;
        }
    }

    /// Removes what no moment of the recovery window needs.
    pub async fn trim_kept(&self) {
        let sections = match self.store.section_list_on(&self.node).await {
            Ok(sections) => sections,
            Err(error) => {
                tracing::debug!(error = ?error, "The logs that are kept could not be listed");
                return;
            }
        };
        let mut instances: BTreeMap<_, Vec<LogSection>> = BTreeMap::new();
        for section in sections {
            instances.entry((section.service, section.instance.0)).or_default().push(section);
        }
        for ((service, instance), sections) in instances {
            if let Err(error) = self.trim_one(service, InstanceId(instance), sections).await {
                tracing::warn!(service = %service, why = ?error, "What is kept of its log could not be trimmed");
            }
        }
    }

    async fn trim_one(&self, id: ServiceId, instance: InstanceId, sections: Vec<LogSection>) -> Result<(), Trouble> {
        let Some(service) = self.store.service_get(id).await? else { return Ok(()) };
        let backups = self.store.backup_list_all(&[id]).await?;
        let now = (self.clock)();
        let days = self.settings.backups.recovery_days;
        let goes_on = service.state != ServiceState::Destroyed && service.instance == instance;
        let needed = |section: &LogSection| {
            let open = (section.is_open && goes_on).then_some(section.since);
            section.needed_since(&backups, days, now).or(open)
        };
        let since = sections.iter().filter_map(needed).min().map(|since| since - APART);
        self.settings.backups.repository.trim_log(&folder(&service, instance), since, now).await?;
        let lost: Vec<_> = sections.into_iter().filter(|section| needed(section).is_none()).collect();
        if lost.is_empty() {
            return Ok(());
        }
        let guard = Guard::Term { epoch: self.epoch(), read: &service };
        self.store.commit(Write { sections_lost: &lost, ..Write::new(guard, now) }).await?;
        Ok(())
    }
}
