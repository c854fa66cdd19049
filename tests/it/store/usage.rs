//! What services took, minute by minute.

use jiff::{SignedDuration, Timestamp};
use project_services::domain::live::{Holdings, UsageRecord};
use project_services::domain::service::Service;

use super::destroy;
use super::fixture::{Database, create, service};

contract! {
    a_day_is_kept_and_each_minute_takes_the_place_of_yesterday_s,
    nothing_is_kept_of_what_is_destroyed,
}

fn record(service: &Service, minute: &str, cpu_millis: u32) -> UsageRecord {
    let minute = minute.parse().unwrap();
    UsageRecord { service: service.id, minute, cpu_millis, memory_bytes: 1 << 40, holdings: None }
}

async fn a_day_is_kept_and_each_minute_takes_the_place_of_yesterday_s(database: Database) {
    let store = database.connect().await;
    let (one, other) = (service("demo", "one"), service("demo", "other"));
    create(&*store, &one).await;
    create(&*store, &other).await;
    let counted = Some(Holdings { storage_bytes: 5 << 30, connections: 9 });
    let first = UsageRecord { holdings: counted, ..record(&one, "2030-01-01T23:59:00Z", 1) };
    let second = record(&one, "2030-01-02T00:00:00Z", 2);
    store.usage_record(&[second, first, record(&other, "2030-01-02T00:00:00Z", 3)]).await.unwrap();
    assert_eq!(store.usage_list(one.id, Timestamp::UNIX_EPOCH).await.unwrap(), [first, second]);
    assert_eq!(store.usage_list(one.id, second.minute).await.unwrap(), [second]);
    // Two days of every minute leave one.
    for day in ["2030-01-03", "2030-01-04"] {
        let midnight: Timestamp = format!("{day}T00:00:00Z").parse().unwrap();
        let minute = |number| midnight.checked_add(SignedDuration::from_mins(number)).unwrap();
        let records: Vec<_> = (0..1440).map(|number| UsageRecord { minute: minute(number), ..second }).collect();
        store.usage_record(&records).await.unwrap();
    }
    let kept = store.usage_list(one.id, Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(kept.len(), 1440);
    assert_eq!(kept[0].minute, "2030-01-04T00:00:00Z".parse().unwrap());
    assert_eq!(store.usage_list(other.id, Timestamp::UNIX_EPOCH).await.unwrap().len(), 1);
}

async fn nothing_is_kept_of_what_is_destroyed(database: Database) {
    let store = database.connect().await;
    let one = service("demo", "one");
    create(&*store, &one).await;
    let taken = record(&one, "2030-01-01T00:00:00Z", 1);
    store.usage_record(&[taken]).await.unwrap();
    destroy(&*store, one.id).await;
    // One that was measured before comes too late.
    store.usage_record(&[taken]).await.unwrap();
    assert_eq!(database.texts("SELECT 'left' AS value FROM service_usage").await, []);
}
