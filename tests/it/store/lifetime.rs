//! How long services are there.

use jiff::{SignedDuration, Timestamp};
use project_services::domain::id::ServiceId;
use project_services::domain::lifetime::Lifetime;
use project_services::domain::node::NodeName;
use project_services::domain::service::{Power, Service, Wish};

use super::fixture::{Database, create, micros, service, update};
use super::{destroy, later, read};

contract! {
    a_lifetime_is_kept_and_changed,
    what_expires_is_found_when_something_is_due,
}

async fn a_lifetime_is_kept_and_changed(database: Database) {
    let store = database.connect().await;
    let at = Timestamp::from_nanosecond(1_795_446_000_123_456_789).unwrap();
    let first = Lifetime { protected: false, expires_at: Some(at), told: true };
    let service = Service { lifetime: first, ..service("demo", "db") };
    create(&*store, &service).await;
    let mut before = read(&*store, service.id).await;
    assert_eq!(before.lifetime, Lifetime { expires_at: Some(micros(at)), ..first });
    for lifetime in [
        Lifetime { protected: true, expires_at: None, told: false },
        Lifetime { protected: false, expires_at: Some(Timestamp::from_second(253_402_207_200).unwrap()), told: true },
        Lifetime::default(),
    ] {
        let after = Service { lifetime, ..before.clone() };
        let written = update(&*store, &before, &after, None, later(before.updated_at)).await.unwrap();
        assert_eq!(written.lifetime, lifetime);
        before = read(&*store, service.id).await;
        assert_eq!(before, written);
    }
}

async fn what_expires_is_found_when_something_is_due(database: Database) {
    let store = database.connect().await;
    let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
    let hour = SignedDuration::from_hours(1);
    let expiring = async |name: &str, seconds: i64, told: bool| {
        let expires_at = Some(now + SignedDuration::from_secs(seconds));
        let lifetime = Lifetime { protected: false, expires_at, told };
        let service = Service { lifetime, ..service("demo", name) };
        create(&*store, &service).await;
        service.id
    };
    create(&*store, &service("demo", "lasting")).await;
    let near = expiring("near", 3600, false).await;
    expiring("far", 3601, false).await;
    expiring("told", 1, true).await;
    let over = expiring("over", 0, true).await;
    let long_over = expiring("long-over", -86_400, false).await;
    destroy(&*store, expiring("gone", 0, true).await).await;
    let going = read(&*store, expiring("going", 0, true).await).await;
    let wish = Wish { power: Power::Deleted, ..going.wish.clone() };
    update(&*store, &going, &Service { wish, ..going.clone() }, None, later(going.updated_at)).await.unwrap();

    let found = async |now: Timestamp| {
        let found = store.service_list_expiring(&NodeName::default(), now, now + hour).await.unwrap();
        found.into_iter().map(|service| service.id).collect::<Vec<ServiceId>>()
    };
    assert_eq!(found(now).await, [long_over, over, near], "the soonest first");
    assert_eq!(found(now - hour - hour).await, [long_over]);
    assert_eq!(found(now + hour + hour).await.len(), 5);
}
