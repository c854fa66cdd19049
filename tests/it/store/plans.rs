//! What is asked again and again reads nothing of what is over: the databases themselves tell how they would go about it.

use project_services::domain::node::NodeName;
use std::collections::BTreeSet;
use std::sync::Mutex;

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl};

use super::fixture::{Database, create, service};

contract! {
    what_is_asked_again_and_again_reads_no_history,
}

/// The queries that any connection has made since somebody listened.
static ASKED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn listener() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            ASKED.lock().unwrap().insert(query.to_string());
        }
    }))
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

async fn plan(database: &Database, query: &str) -> String {
    match database {
        Database::Sqlite { .. } => {
            let steps = diesel::sql_query(format!("EXPLAIN QUERY PLAN {query}"));
            let steps: Vec<Step> = steps.load(&mut database.raw_sqlite()).unwrap();
            steps.into_iter().map(|step| step.detail + "\n").collect()
        }
        Database::Postgres { .. } => {
            let client = database.raw_postgres().await;
            // As where a table is large.
            client.batch_execute("SET enable_seqscan = off").await.unwrap();
            let lines = client.query(&format!("EXPLAIN {query}"), &[]).await.unwrap();
            lines.iter().map(|line| line.get::<_, String>(0) + "\n").collect()
        }
    }
}

async fn what_is_asked_again_and_again_reads_no_history(database: Database) {
    set_default_instrumentation(listener).unwrap();
    let store = database.connect().await;
    create(&*store, &service("demo", "db")).await;
    store.service_tally().await.unwrap();
    store.service_list_revisions(&NodeName::default()).await.unwrap();
    store.backup_list_open(None).await.unwrap();
    let quote = if matches!(database, Database::Sqlite { .. }) { '`' } else { '"' };
    for (table, part, index) in [
        ("services", "GROUP BY", "services_counted"),
        ("services", "revision", "services_of_node"),
        ("backups", "to_verify OR", "backups_open"),
    ] {
        let from = format!(" FROM {quote}{table}{quote} WHERE ");
        let asked = ASKED.lock().unwrap().clone();
        let is_it = |query: &&String| query.contains(&from) && query.contains(part) && !query.contains("evidence");
        let is_whole = |query: &&String| query.ends_with("binds: []") || query.ends_with("binds: [\"local\"]");
        let queries: Vec<_> = asked.iter().filter(is_it).filter(is_whole).collect();
        assert!(!queries.is_empty(), "{part}: {asked:?}");
        for query in queries {
            let query = &query.replace("= ?", "= 'local'").replace("= $1", "= 'local'");
            let plan = plan(&database, query).await;
            assert!(plan.contains(index), "{query}\n{plan}");
        }
    }
}
