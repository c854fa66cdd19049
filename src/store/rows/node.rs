//! The rows of nodes.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use jiff::Timestamp;

use crate::domain::Stored;
use crate::domain::node::{Capacity, NodeName, NodeRecord, Promised};
use crate::store::schema::nodes;
use crate::store::types::{Instant, Json, Word};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = nodes)]
pub struct NodeRow {
    pub name: Word<NodeName>,
    pub cordoned: bool,
    pub away_since: Option<Instant>,
    pub capacity: Json<Capacity>,
    pub engine: Option<String>,
}

impl From<&NodeRecord> for NodeRow {
    fn from(node: &NodeRecord) -> Self {
        Self {
            name: node.name.clone().into(),
            cordoned: node.is_cordoned,
            away_since: node.away_since.map(Instant::from),
            capacity: node.capacity.into(),
            engine: node.engine.clone(),
        }
    }
}

impl From<NodeRow> for NodeRecord {
    fn from(row: NodeRow) -> Self {
        Self {
            name: row.name.value,
            is_cordoned: row.cordoned,
            away_since: row.away_since.map(Timestamp::from),
            capacity: row.capacity.value,
            engine: row.engine,
        }
    }
}

impl Stored for Capacity {
    /// Nothing is placed where it is not known how much may be.
    fn unknown(_: &str) -> Self {
        Self { memory_mib: Some(0), cpu_millis: Some(0), storage_mib: Some(0) }
    }
}

#[derive(QueryableByName)]
pub struct PromisedRow {
    #[diesel(sql_type = Text)]
    node: Word<NodeName>,
    #[diesel(sql_type = BigInt)]
    services: i64,
    #[diesel(sql_type = BigInt)]
    memory_mib: i64,
    #[diesel(sql_type = BigInt)]
    cpu_millis: i64,
    #[diesel(sql_type = BigInt)]
    storage_mib: i64,
}

impl PromisedRow {
    pub fn into_parts(self) -> (NodeName, Promised) {
        let promised = Promised {
            services: self.services.unsigned_abs(),
            memory_mib: self.memory_mib.unsigned_abs(),
            cpu_millis: self.cpu_millis.unsigned_abs(),
            storage_mib: self.storage_mib.unsigned_abs(),
        };
        (self.node.value, promised)
    }
}
