//! What is kept of servers' logs.

use jiff::{SignedDuration, Timestamp};
use project_services::domain::id::InstanceId;
use project_services::domain::log::LogSection;
use project_services::domain::node::NodeName;
use project_services::store::{Guard, Write};

use super::fixture::{Database, create, service};
use super::read;

contract! {
    sections_are_kept_changed_and_forgotten,
}

async fn sections_are_kept_changed_and_forgotten(database: Database) {
    let store = database.connect().await;
    let (one, other) = (service("demo", "one"), service("demo", "other"));
    let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
    let section = |service: &project_services::domain::service::Service, first: &str, minutes: i64| LogSection {
        service: service.id,
        instance: service.instance,
        first: first.to_owned(),
        last: first.to_owned(),
        since: now + SignedDuration::from_mins(minutes),
        until: now + SignedDuration::from_mins(minutes + 1),
        is_open: true,
        stored_bytes: 7,
    };
    create(&*store, &one).await;
    create(&*store, &other).await;
    let write = async |sections: &[LogSection], sections_lost: &[LogSection]| {
        let read = read(&*store, one.id).await;
        store.commit(Write { sections, sections_lost, ..Write::new(Guard::Revision(&read), now) }).await.unwrap();
    };
    let (first, second) = (section(&one, "A", 0), section(&one, "C", 5));
    let before = LogSection { instance: InstanceId(uuid::Uuid::from_u128(9)), ..section(&one, "A", -9) };
    write(&[second.clone(), first.clone(), before.clone()], &[]).await;
    assert_eq!(store.section_list(&[one.id]).await.unwrap(), [before.clone(), first.clone(), second.clone()]);
    assert_eq!(store.section_list(&[other.id]).await.unwrap(), []);
    assert_eq!(store.section_list(&[one.id, other.id]).await.unwrap().len(), 3);

    let longer = LogSection { last: "B".to_owned(), is_open: false, stored_bytes: 9, ..first };
    write(std::slice::from_ref(&longer), &[before]).await;
    assert_eq!(store.section_list(&[one.id]).await.unwrap(), [longer.clone(), second.clone()]);
    assert_eq!(store.section_list_on(&NodeName::default()).await.unwrap(), [longer, second]);
}
