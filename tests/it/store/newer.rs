//! Rows as a newer version of the server may write them: shown as far as they are known, beside others, and left alone.

use std::sync::Arc;

use project_services::domain::service::{ErrorCode, OperationKind, OperationPhase, Service, ServiceKind, ServiceState};
use project_services::store::{Guard, Page, ServiceFilter, StoreError, Write};

use super::fixture::{Database, append, create, note, project, service};
use super::{ALL, later, read};

contract! {
    rows_of_a_newer_version_are_listed_beside_others_and_left_alone,
    events_of_a_newer_version_are_read_in_their_places,
}

/// Each makes a service into one that only a newer version understands.
const NEWER: &[&str] = &[
    "state = 'HIBERNATING'",
    "kind = 'CASSANDRA', spec = '{\"kind\": \"CASSANDRA\", \"version\": \"5\", \"hostname\": \"h\", \"published\": null, \
     \"tier\": {\"tier\": \"DEV\", \"memory_mib\": 1, \"cpu_millis\": 1, \"storage_mib\": 1}}'",
    "spec = '{\"kind\": \"POSTGRESQL\", \"build\": {\"version\": \"17\"}}'",
    "desired = 'ASLEEP'",
    "operation = '{\"kind\": \"REPLICATE\", \"phase\": \"COPYING\", \"progress_percent\": null, \
     \"started_at\": \"2030-01-01T00:00:00Z\", \"deadline\": null}'",
    "operation = '[\"another form\"]'",
    "error = '{\"code\": \"REPLICATION_FAILED\", \"message\": \"no\", \"occurred_at\": \"2030-01-01T00:00:00Z\"}'",
    "evidence = '{\"initialised\": \"twice\"}'",
    "name = 'Ünïcode'",
];

async fn rows_of_a_newer_version_are_listed_beside_others_and_left_alone(database: Database) {
    let store = database.connect().await;
    let (first, last) = (service("demo", "first"), service("demo", "last"));
    create(&*store, &first).await;
    let mut newer = Vec::new();
    for (number, change) in NEWER.iter().enumerate() {
        let service = service("demo", &format!("db-{number}"));
        create(&*store, &service).await;
        database.execute(&format!("UPDATE services SET {change} WHERE name = 'db-{number}'")).await;
        newer.push(service);
    }
    create(&*store, &last).await;
    let page = Page { after: None, before: None, limit: 100, from_end: false };
    let slice = store.service_list(&project("demo"), &ServiceFilter::default(), page).await.unwrap();
    let listed: Vec<Service> = slice.rows.into_iter().map(Arc::unwrap_or_clone).collect();
    let understood: Vec<_> = listed.iter().filter(|service| service.understood).map(|service| service.id).collect();
    assert_eq!((listed.len(), understood), (NEWER.len() + 2, vec![first.id, last.id]));
    assert_eq!(store.service_list_active().await.unwrap().len(), listed.len());
    store.service_tally().await.unwrap();
    let shown = &listed[2..];
    assert_eq!(shown[0].state, ServiceState::Unknown);
    assert_eq!((shown[1].wish.kind, shown[2].wish.kind), (ServiceKind::Unknown, ServiceKind::Unknown));
    for operation in [&shown[4], &shown[5]].map(|service| service.operation.as_ref().unwrap()) {
        assert_eq!((operation.kind, operation.phase), (OperationKind::Unknown, OperationPhase::Unknown));
    }
    let error = shown[6].error.as_ref().unwrap();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::Unknown, "no"));
    assert_eq!(shown[8].name.as_str(), "Ünïcode");

    for (service, made) in shown.iter().zip(&newer) {
        assert_eq!(service.id, made.id);
        let after = Service { state: ServiceState::Running, ..service.clone() };
        let event = note("x");
        for guard in [Guard::Revision(service), Guard::State { read: service, one_of: &[service.state] }] {
            let write =
                Write { service: Some(&after), event: Some(&event), ..Write::new(guard, later(event.occurred_at)) };
            let refused = store.commit(write).await;
            assert!(matches!(refused, Err(StoreError::NotUnderstood)), "{refused:?}");
        }
        assert_eq!(read(&*store, service.id).await, *service);
    }
    // The log that is left has to tell of it as well.
    database.execute("UPDATE services SET state = 'PENDING' WHERE state = 'HIBERNATING'").await;
}

async fn events_of_a_newer_version_are_read_in_their_places(database: Database) {
    let store = database.connect().await;
    let service = service("demo", "db");
    create(&*store, &service).await;
    append(&*store, &service, "known").await.unwrap();
    append(&*store, &service, "newer").await.unwrap();
    let newer = "UPDATE service_events SET operation = '{\"kind\": \"REPLICATE\"}', state = 'HIBERNATING' WHERE message = 'newer'";
    database.execute(newer).await;
    append(&*store, &service, "after").await.unwrap();
    database.execute("UPDATE service_events SET previous_state = 'HIBERNATING' WHERE message = 'after'").await;
    let since = store.event_list_since(&project("demo"), 1, 10).await.unwrap();
    let messages: Vec<_> = since.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(messages, ["known", "newer", "after"]);
    assert_eq!(since[1].state, ServiceState::Unknown);
    assert_eq!(since[1].operation.as_ref().unwrap().kind, OperationKind::Unknown);
    assert_eq!(since[2].previous_state, Some(ServiceState::Unknown));
    assert_eq!(store.event_list_of_service(service.id, ALL).await.unwrap().rows[1..], since);
}
