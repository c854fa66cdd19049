//! What every store has to do, as one suite that each backend runs, and what each of the two promises besides.

use jiff::{SignedDuration, Timestamp};
use project_services::domain::event::NewEvent;
use project_services::domain::id::ServiceId;
use project_services::domain::service::{Power, Service, ServiceState, Wish};
use project_services::store::{Page, Store};

use fixture::{project, update};

macro_rules! contract {
    ($($test:ident,)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    super::$test(super::Database::sqlite()).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    super::$test(super::Database::postgres().await).await;
                }
            )+
        }
    };
}

mod backup_plans;
mod backups;
mod chain;
mod changes;
mod credentials;
pub mod fixture;
mod group_commit;
mod handles;
mod instances;
mod lifetime;
mod lists;
mod log_sections;
mod newer;
mod plans;
mod pool;
mod postgres;
mod retention;
mod schema;
mod services;
mod sqlite;
mod terms;
mod usage;

const ALL: Page<i64> = Page { after: None, before: None, limit: 1000, from_end: false };

fn later(time: Timestamp) -> Timestamp {
    time.checked_add(SignedDuration::from_nanos(1_000_001_001)).unwrap()
}

async fn read(store: &dyn Store, id: ServiceId) -> Service {
    store.service_get(id).await.unwrap().unwrap()
}

/// Destroys a service as the reconciler does, but at once.
async fn destroy(store: &dyn Store, id: ServiceId) -> Service {
    let before = read(store, id).await;
    let after = Service {
        wish: Wish { power: Power::Deleted, ..before.wish.clone() },
        generation: before.generation + 1,
        state: ServiceState::Destroyed,
        operation: None,
        ..before.clone()
    };
    let now = later(before.updated_at);
    let event = NewEvent::of_change(&before, &after, None, now);
    update(store, &before, &after, event.as_ref(), now).await.unwrap()
}

async fn sequences(store: &dyn Store, project_id: &str) -> Vec<i64> {
    let events = store.event_list_since(&project(project_id), 0, 10_000).await.unwrap();
    events.iter().map(|event| event.sequence).collect()
}
