//! What a service holds, as it is read.

use async_graphql::{ID, Object, SimpleObject};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::api::documents::limits::list_cost;
use crate::api::error::{Error, Result};
use crate::catalog::inquiry::MAX_ITEMS;
use crate::domain::console::{self, readable};

/// What a statement gave.
#[derive(SimpleObject)]
pub struct SqlResult {
    /// The names of the columns. One may come twice, and there may be none; of MySQL they are told where there are rows.
    columns: Vec<String>,
    /// At most 200 rows, each with a cell for every column, in the server's own text; of MySQL what is no text is in
    /// hexadecimal digits. Null is SQL's NULL.
    rows: Vec<Vec<Option<String>>>,
    /// Whether there were more rows or bytes than are given: 200 rows, 1 MiB. A row that is too long for it is left out, with
    /// those behind it.
    truncated: bool,
    /// How long the server inside took, in milliseconds.
    duration_ms: u32,
}

impl From<console::Table> for SqlResult {
    fn from(table: console::Table) -> Self {
        let console::Table { columns, rows, is_truncated, duration_millis } = table;
        Self { columns, rows, truncated: is_truncated, duration_ms: duration_millis.min(i32::MAX.unsigned_abs()) }
    }
}

pub struct RedisKey(pub console::Key);

/// A key of a Redis service.
#[Object]
impl RedisKey {
    /// The key for people to read. Where it is not UTF-8, each byte that is none of a character is written as `\x` and two
    /// hexadecimal digits, so that two keys may look alike.
    async fn key(&self) -> String {
        readable(&self.0.name)
    }

    /// The key's bytes, to read it by with `readKey`; as well what identifies it in a list.
    async fn key_base64(&self) -> ID {
        STANDARD.encode(&self.0.name).into()
    }

    /// What kind of value it has, in Redis' own word: `string`, `list`, `hash`, `set`, `zset`, `stream`, or that of a module.
    #[graphql(name = "type")]
    async fn kind(&self) -> &str {
        &self.0.kind
    }

    /// After how many seconds it is gone, rounded up. Null where it stays.
    async fn ttl_seconds(&self) -> Option<i32> {
        self.0.ttl_millis.map(|millis| int(millis.div_ceil(1000)))
    }

    /// What it takes of the memory with its value, in bytes, as Redis estimates it. Null where it was gone before that was
    /// asked.
    async fn memory_bytes(&self) -> Option<i32> {
        self.0.memory_bytes.map(int)
    }
}

/// The beginning of a value.
#[derive(SimpleObject)]
pub struct RedisValue {
    /// The key that has it.
    key: RedisKey,
    /// How long all of it is: bytes of a `string`, items of all else.
    length: i32,
    /// At most 200 entries, of 1 MiB together; of a `list`, a `zset` and a `stream` the first ones, of a `hash` and a `set`
    /// any. A `string` has one. Of a large value there are fewer, and of a module's there are none.
    #[graphql(complexity = "list_cost(MAX_ITEMS, child_complexity)")]
    entries: Vec<RedisEntry>,
    /// Whether there are more entries, or bytes of one, than are given.
    truncated: bool,
}

/// A part of a value.
#[derive(SimpleObject)]
pub struct RedisEntry {
    /// The field of a `hash`, the index in a `list`, the id in a `stream`; null of all else. Escaped as `RedisKey.key` is.
    field: Option<String>,
    /// The value, a member of a `set` or a `zset`, or the fields of an entry of a `stream` as a JSON object. Escaped as
    /// `RedisKey.key` is.
    value: String,
    /// Of a member of a `zset`. Null of all else, and where it is infinite.
    score: Option<f64>,
}

impl From<console::KeyValue> for RedisValue {
    fn from(value: console::KeyValue) -> Self {
        let console::KeyValue { key, length, entries, is_truncated } = value;
        let entry = |console::KeyEntry { field, value, score }| RedisEntry {
            field,
            value,
            score: score.filter(|score| score.is_finite()),
        };
        Self {
            key: RedisKey(key),
            length: int(length),
            entries: entries.into_iter().map(entry).collect(),
            truncated: is_truncated,
        }
    }
}

/// GraphQL has no greater ones.
fn int(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A key from its bytes in base 64.
pub fn parse_key(key: &ID) -> Result<Vec<u8>> {
    STANDARD.decode(key.as_bytes()).map_err(|_| Error::bad_input("keyBase64", "It is no `RedisKey.keyBase64`."))
}
