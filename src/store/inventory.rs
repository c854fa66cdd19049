//! Whether the tables that are there are an installation of this program's, asked before anything is done to them.

use diesel::prelude::*;
use diesel::query_builder::SqlQuery;
use diesel::query_dsl::methods::LoadQuery;
use diesel::sql_types::Text;

/// Where diesel records which migrations were run.
const RECORD: &str = "__diesel_schema_migrations";

/// The tables, each with the version of the migration that makes it, the first one first.
const TABLES: [(&str, &str); 14] = [
    ("installation", "20261123000000"),
    ("projects", "20261123000000"),
    ("services", "20261123000000"),
    ("service_events", "20261123000000"),
    ("reconciler_term", "20261123120000"),
    ("store_probes", "20261125181500"),
    ("tasks", "20261125200000"),
    ("service_usage", "20261126000000"),
    ("instances", "20261126060000"),
    ("backups", "20261126120000"),
    ("log_sections", "20261126210000"),
    ("pool_members", "20261126230000"),
    ("destroyed_counts", "20261126233000"),
    ("nodes", "20261127230000"),
];

/// What a database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inventory {
    /// All that belongs to an installation of this version or another.
    Installation,
    /// One whose migrations were all taken back.
    TakenBack,
    /// No table at all.
    Empty,
    /// Tables of something else only.
    Other,
}

/// What such a query gives.
#[derive(QueryableByName)]
pub struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Looks at the tables, whose names the query `tables` gives in its column `name`. The error says which are missing.
pub fn look<C>(connection: &mut C, tables: &'static str) -> QueryResult<Result<Inventory, String>>
where
    C: Connection,
    for<'a> SqlQuery: LoadQuery<'a, C, Name>,
{
    let mut load = |query: &'static str| -> QueryResult<Vec<String>> {
        let names: Vec<Name> = diesel::sql_query(query).load(connection)?;
        Ok(names.into_iter().map(|Name { name }| name).collect())
    };
    let tables = load(tables)?;
    let recorded = match tables.iter().any(|table| table == RECORD) {
        true => Some(load("SELECT version AS name FROM __diesel_schema_migrations")?),
        false => None,
    };
    Ok(judge(&tables, recorded.as_deref()))
}

fn judge(tables: &[String], recorded: Option<&[String]>) -> Result<Inventory, String> {
    let is_there = |table: &str| tables.iter().any(|found| found == table);
    let was_made = |version: &str| recorded.is_some_and(|recorded| recorded.iter().any(|found| found == version));
    let named = |wanted: &dyn Fn(&str, &str) -> bool| {
        let found = TABLES.iter().filter(|(table, version)| wanted(table, version)).map(|(table, _)| *table);
        found.collect::<Vec<_>>().join(", ")
    };
    let missing = named(&|table, version| was_made(version) && !is_there(table));
    if !missing.is_empty() {
        return Err(format!("its tables {missing} are missing"));
    }
    let unrecorded = named(&|table, version| is_there(table) && !was_made(version));
    if !unrecorded.is_empty() {
        return Err(format!("it has the tables {unrecorded}, and no record of the migrations that made them"));
    }
    Ok(match (was_made(TABLES[0].1), recorded) {
        (true, _) => Inventory::Installation,
        (false, Some([])) if tables.len() == 1 => Inventory::TakenBack,
        (false, _) if tables.is_empty() => Inventory::Empty,
        (false, _) => Inventory::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(tables: &[&str], recorded: Option<&[&str]>) -> Result<Inventory, String> {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        judge(&owned(tables), recorded.map(owned).as_deref())
    }

    #[test]
    fn every_table_of_the_schema_is_known() {
        let schema = include_str!("schema.rs");
        let declared: Vec<_> = schema
            .split("diesel::table! {")
            .skip(1)
            .filter_map(|body| body.lines().map(str::trim).find_map(|line| line.split_once(" (")))
            .map(|(table, _)| table)
            .collect();
        assert!(declared.len() > 4, "schema.rs was not read");
        for table in declared {
            assert!(TABLES.iter().any(|(known, _)| *known == table), "{table} is missing in TABLES");
        }
    }

    #[test]
    fn an_installation_is_whole_or_refused() {
        const FIRST: [&str; 5] = ["installation", "projects", "services", "service_events", RECORD];
        assert_eq!(judged(&FIRST, Some(&["20261123000000"])), Ok(Inventory::Installation));
        assert_eq!(judged(&FIRST, Some(&["20261123000000", "20991231000000"])), Ok(Inventory::Installation));
        let lost = judged(&FIRST[2..], Some(&["20261123000000", "20261123120000"]));
        assert_eq!(lost, Err("its tables installation, projects, reconciler_term are missing".to_owned()));
        for recorded in [None, Some(&[] as &[_]), Some(&["20200101000000"])] {
            let unknown = judged(&["services", "users", RECORD], recorded).unwrap_err();
            assert!(unknown.contains("the tables services, and no record"), "{unknown}");
        }
    }

    #[test]
    fn nothing_is_told_from_something_else() {
        assert_eq!(judged(&[], None), Ok(Inventory::Empty));
        assert_eq!(judged(&[RECORD], Some(&[])), Ok(Inventory::TakenBack));
        assert_eq!(judged(&["users"], None), Ok(Inventory::Other));
        assert_eq!(judged(&["users", RECORD], Some(&["20200101000000"])), Ok(Inventory::Other));
        assert_eq!(judged(&["users", RECORD], Some(&[])), Ok(Inventory::Other));
    }
}
