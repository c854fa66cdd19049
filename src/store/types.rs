//! How values become columns. The SQL types are PostgreSQL's own there, and TEXT on SQLite, so that tables, rows and
//! queries are one text for both. Nothing here knows a table.

use std::fmt::{Debug, Display};
use std::io::Write;
use std::str::FromStr;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::Stored;

/// The SQL types. The numbers are PostgreSQL's (`pg_type.dat`).
pub mod sql {
    use diesel::query_builder::QueryId;
    use diesel::sql_types::SqlType;

    #[derive(Debug, Clone, Copy, Default, QueryId, SqlType)]
    #[diesel(sqlite_type(name = "Text"), postgres_type(oid = 2950, array_oid = 2951))]
    pub struct Uuid;

    #[derive(Debug, Clone, Copy, Default, QueryId, SqlType)]
    #[diesel(sqlite_type(name = "Text"), postgres_type(oid = 3802, array_oid = 3807))]
    pub struct Jsonb;

    #[derive(Debug, Clone, Copy, Default, QueryId, SqlType)]
    #[diesel(sqlite_type(name = "Text"), postgres_type(oid = 1184, array_oid = 1185))]
    pub struct Instant;
}

type Raw<'a, DB> = <DB as Backend>::RawValue<'a>;

/// An id. On SQLite its lower-case text with hyphens, which sorts as its bytes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = sql::Uuid)]
pub struct Id(pub uuid::Uuid);

impl FromSql<sql::Uuid, Pg> for Id {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(uuid::Uuid::from_slice(value.as_bytes())?))
    }
}

impl ToSql<sql::Uuid, Pg> for Id {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<sql::Uuid, Sqlite> for Id {
    fn from_sql(mut value: Raw<'_, Sqlite>) -> deserialize::Result<Self> {
        Ok(Self(uuid::Uuid::try_parse(value.read_text())?))
    }
}

impl ToSql<sql::Uuid, Sqlite> for Id {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.to_string());
        Ok(IsNull::No)
    }
}

/// A time in whole microseconds, the finest that PostgreSQL keeps: what is read back is what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = sql::Instant)]
pub struct Instant(Timestamp);

/// 2000-01-01, which PostgreSQL counts from, in microseconds since 1970 (`src/include/datatype/timestamp.h`).
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

impl From<Timestamp> for Instant {
    /// Cuts off what is finer than a microsecond.
    fn from(time: Timestamp) -> Self {
        // Whole microseconds of a time in range are in range; the fallback is never taken.
        Self(crate::clock::in_microseconds(time))
    }
}

impl From<Instant> for Timestamp {
    fn from(instant: Instant) -> Self {
        instant.0
    }
}

impl FromSql<sql::Instant, Pg> for Instant {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let since_2000 = <i64 as FromSql<BigInt, Pg>>::from_sql(value)?;
        let since_1970 = since_2000.checked_add(POSTGRES_EPOCH).ok_or("a time out of range")?;
        Ok(Self(Timestamp::from_microsecond(since_1970)?))
    }
}

impl ToSql<sql::Instant, Pg> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&(self.0.as_microsecond() - POSTGRES_EPOCH).to_be_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<sql::Instant, Sqlite> for Instant {
    fn from_sql(mut value: Raw<'_, Sqlite>) -> deserialize::Result<Self> {
        Ok(Self(value.read_text().parse()?))
    }
}

impl ToSql<sql::Instant, Sqlite> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        // Always six decimals, so that texts sort as times do.
        out.set_value(format!("{:.6}", self.0));
        Ok(IsNull::No)
    }
}

/// A value kept as a JSON document. Fields that are not known are passed over; what can't be read otherwise is
/// [`Stored::unknown`].
#[derive(Debug, Clone, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = sql::Jsonb)]
pub struct Json<T: Debug + Serialize + DeserializeOwned + Stored> {
    pub value: T,
    /// Whether all words in it are known.
    pub known: bool,
}

impl<T: Debug + Serialize + DeserializeOwned + Stored> Json<T> {
    fn read(document: &[u8]) -> Self {
        match serde_json::from_slice::<T>(document) {
            Ok(value) => Self { known: value.is_known(), value },
            Err(_) => Self { value: T::unknown(&String::from_utf8_lossy(document)), known: false },
        }
    }
}

impl<T: Debug + Serialize + DeserializeOwned + Stored> From<T> for Json<T> {
    fn from(value: T) -> Self {
        Self { value, known: true }
    }
}

/// The first byte of a jsonb value on the wire (`jsonb_recv` in PostgreSQL).
const JSONB_VERSION: u8 = 1;

impl<T: Debug + Serialize + DeserializeOwned + Stored> FromSql<sql::Jsonb, Pg> for Json<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes() {
            [JSONB_VERSION, document @ ..] => Ok(Self::read(document)),
            _ => Err("a jsonb value of an unknown version".into()),
        }
    }
}

impl<T: Debug + Serialize + DeserializeOwned + Stored> ToSql<sql::Jsonb, Pg> for Json<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&[JSONB_VERSION])?;
        serde_json::to_writer(out, &self.value)?;
        Ok(IsNull::No)
    }
}

impl<T: Debug + Serialize + DeserializeOwned + Stored> FromSql<sql::Jsonb, Sqlite> for Json<T> {
    fn from_sql(mut value: Raw<'_, Sqlite>) -> deserialize::Result<Self> {
        Ok(Self::read(value.read_text().as_bytes()))
    }
}

impl<T: Debug + Serialize + DeserializeOwned + Stored> ToSql<sql::Jsonb, Sqlite> for Json<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(serde_json::to_string(&self.value)?);
        Ok(IsNull::No)
    }
}

/// A value kept as its text: an enum of the domain, a name, a project's id. A text that can't be read is
/// [`Stored::unknown`].
#[derive(Debug, Clone, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub struct Word<T: Debug + Display + FromStr + Stored> {
    pub value: T,
    pub known: bool,
}

impl<T: Debug + Display + FromStr + Stored> From<T> for Word<T> {
    fn from(value: T) -> Self {
        Self { value, known: true }
    }
}

impl<T: Debug + Display + FromStr + Stored> Word<T> {
    fn read(text: &str) -> Self {
        match text.parse::<T>() {
            Ok(value) => Self { value, known: true },
            Err(_) => Self { value: T::unknown(text), known: false },
        }
    }
}

impl<T: Debug + Display + FromStr + Stored> FromSql<Text, Pg> for Word<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self::read(std::str::from_utf8(value.as_bytes())?))
    }
}

impl<T: Debug + Display + FromStr + Stored> FromSql<Text, Sqlite> for Word<T> {
    fn from_sql(mut value: Raw<'_, Sqlite>) -> deserialize::Result<Self> {
        Ok(Self::read(value.read_text()))
    }
}

impl<T: Debug + Display + FromStr + Stored> ToSql<Text, Pg> for Word<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        write!(out, "{}", self.value)?;
        Ok(IsNull::No)
    }
}

impl<T: Debug + Display + FromStr + Stored> ToSql<Text, Sqlite> for Word<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.value.to_string());
        Ok(IsNull::No)
    }
}
